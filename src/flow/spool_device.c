/* Devices in the file: their ids there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "flow/spool_state.h"

static uint64_t
hash_text(uint64_t start, const char *text)
{
	return text ? spool_hash(start, text, strlen(text)) : start;
}

/* With other credentials it is another device. */
static int64_t
credentials_hash(const struct credentials *credentials)
{
	uint64_t sum = SPOOL_HASH_START;

	switch (credentials->kind) {
	case CREDENTIALS_TOKEN:
		sum = hash_text(sum, credentials->token);
		break;
	case CREDENTIALS_BASIC:
		sum = hash_text(hash_text(hash_text(sum, "basic "), credentials->client_id), " ");
		sum = hash_text(sum, credentials->user);
		break;
	case CREDENTIALS_CERTIFICATE:
		sum = hash_text(hash_text(sum, "certificate "), credentials->cert_file);
		break;
	case CREDENTIALS_NONE:
		break;
	}
	return (int64_t)sum;
}

static int
note_device(struct spool *spool, size_t index, int64_t number)
{
	size_t count = (size_t)number + 1;

	if (number <= 0 || number >= SPOOL_NUMBERS_MAX)
		return -EBADMSG;
	if (count > spool->index_count) {
		uint32_t *indexes = realloc(spool->indexes, count * sizeof(indexes[0]));

		if (!indexes)
			return -ENOMEM;
		memset(indexes + spool->index_count, 0, (count - spool->index_count) * sizeof(indexes[0]));
		spool->indexes = indexes;
		spool->index_count = count;
	}
	spool->indexes[number] = (uint32_t)index + 1;
	spool->numbers[index] = (uint32_t)number;
	return 0;
}

static int
bind_device(struct spool *spool, sqlite3_stmt *prepared, size_t index)
{
	const struct device *device = &spool->settings->devices[index];
	int code = sqlite3_bind_text(prepared, 1, device->name, -1, SQLITE_STATIC);

	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(prepared, 2, credentials_hash(&device->credentials));
	return code == SQLITE_OK ? 0 : spool_failure(spool, code);
}

static int
find_device(struct spool *spool, size_t index)
{
	sqlite3_stmt *prepared = spool->statements[SPOOL_DEVICE];
	int error = bind_device(spool, prepared, index);
	int code = error < 0 ? SQLITE_DONE : sqlite3_step(prepared);

	if (code == SQLITE_ROW) {
		error = note_device(spool, index, sqlite3_column_int64(prepared, 0));
		spool->unusable = spool->unusable || error == -EBADMSG;
	} else if (code != SQLITE_DONE) {
		error = spool_failure(spool, code);
	}
	sqlite3_reset(prepared);
	return error;
}

int
spool_find_devices(struct spool *spool)
{
	int error = 0;

	memset(spool->numbers, 0, spool->settings->device_count * sizeof(spool->numbers[0]));
	for (size_t i = 0; i < spool->settings->device_count && error == 0; i++)
		error = find_device(spool, i);
	return error;
}

int
spool_device_number(struct spool *spool, uint32_t index)
{
	sqlite3_stmt *prepared = spool->statements[SPOOL_NEW_DEVICE];
	int error;

	if (spool->numbers[index] != 0)
		return 0;
	error = bind_device(spool, prepared, index);
	if (error == 0)
		error = spool_run(spool, SPOOL_NEW_DEVICE);
	return error < 0 ? error : note_device(spool, index, sqlite3_last_insert_rowid(spool->db));
}
