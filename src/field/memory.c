#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/thread_name.h"
#include "field/memory.h"

#define FILE_MAX    (1024 * 1024)
#define HEADER	    "fieldgate learned 1\n"
#define STACK_BYTES (64 * 1024)

struct memory {
	const struct bus *bus;
	char *path; /* NULL: there is no state directory */
	char *temporary;
	char *text; /* being written */
	pthread_t thread;
	bool writing;
};

/* FNV-1a. Against damage, not against people. */
static uint32_t
checksum(const char *text, size_t size)
{
	uint32_t sum = 2166136261U;

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ (unsigned char)text[i]) * 16777619U;
	return sum;
}

/* DIR/learned-NAME-SUM: letters of the name that a file cannot have are replaced, and the sum keeps names
 * apart. */
static int
make_paths(struct memory *memory)
{
	const char *directory = getenv("STATE_DIRECTORY");
	const char *name = memory->bus->name;
	char plain[33];
	size_t i;

	if (!directory || directory[0] != '/')
		return 0;
	for (i = 0; name[i] != '\0' && i < sizeof(plain) - 1; i++)
		plain[i] = isalnum((unsigned char)name[i]) ? name[i] : '_';
	plain[i] = '\0';
	/* The first of several directories. */
	if (asprintf(&memory->path, "%.*s/learned-%s-%08x", (int)strcspn(directory, ":"), directory, plain,
		checksum(name, strlen(name))) < 0) {
		memory->path = NULL;
		return -ENOMEM;
	}
	if (asprintf(&memory->temporary, "%s.new", memory->path) < 0) {
		memory->temporary = NULL;
		return -ENOMEM;
	}
	return 0;
}

struct memory *
memory_new(const struct bus *bus)
{
	struct memory *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return NULL;
	memory->bus = bus;
	if (make_paths(memory) != 0) {
		memory_free(memory);
		return NULL;
	}
	return memory;
}

void
memory_free(struct memory *memory)
{
	if (!memory)
		return;
	if (memory->writing)
		pthread_join(memory->thread, NULL);
	free(memory->text);
	free(memory->path);
	free(memory->temporary);
	free(memory);
}

void
memory_rebind(struct memory *memory, const struct bus *bus)
{
	memory->bus = bus;
}

/* --- as text --- */

static void
print_bus(FILE *file, const struct bus *bus)
{
	if (bus->type == BUS_RTU)
		fprintf(file, "bus rtu %s\n", bus->port ? bus->port : "");
	else
		fprintf(file, "bus %s %s %d\n", bus->type == BUS_TCP ? "tcp" : "rtu-over-tcp",
		    bus->host ? bus->host : "", bus->tcp_port);
}

static void
print_learned(FILE *file, const struct schedule *schedule)
{
	for (size_t i = 0; i < schedule->unit_count; i++) {
		const struct plan_unit *lore = &schedule->unit[i].lore;

		if (lore->no_holes || lore->max_registers > 0 || lore->max_bits > 0)
			fprintf(file, "unit %d holes %d registers %d bits %d\n", lore->unit, !lore->no_holes,
			    lore->max_registers, lore->max_bits);
	}
	for (size_t i = 0; i < schedule->item_count; i++) {
		const struct schedule_item *item = &schedule->items[i];

		if (item->retry_ms > 0)
			fprintf(file, "point %d %s %d %d exception %d\n", item->point->unit,
			    point_table_name(item->point->table), item->point->addr, item->point->count,
			    item->exception);
	}
}

/* The whole file, or NULL. */
static char *
make_text(const struct bus *bus, const struct schedule *schedule)
{
	char *text = NULL;
	char *whole = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	if (!file)
		return NULL;
	fputs(HEADER, file);
	print_bus(file, bus);
	print_learned(file, schedule);
	if (fclose(file) != 0 || asprintf(&whole, "%send %08x\n", text, checksum(text, size)) < 0)
		whole = NULL;
	free(text);
	return whole;
}

/* --- writing --- */

static int
write_all(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t done = write(fd, text, size);

		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0) {
			text += done;
			size -= (size_t)done;
		}
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

/* The new name is on disk only once the directory is. */
static void
sync_directory(const char *path)
{
	const char *end = strrchr(path, '/');
	char *directory = strndup(path, (size_t)(end - path) + 1);
	int fd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(directory);
}

static int
write_file(const struct memory *memory)
{
	int fd = open(memory->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int error;

	if (fd < 0)
		return -errno;
	error = write_all(fd, memory->text, strlen(memory->text));
	if (close(fd) != 0 && error == 0)
		error = -errno;
	if (error == 0 && rename(memory->temporary, memory->path) != 0)
		error = -errno;
	if (error == 0)
		sync_directory(memory->path);
	else
		unlink(memory->temporary);
	return error;
}

static void *
run_writing(void *arg)
{
	thread_name("bus memory");
	return (void *)(intptr_t)write_file(arg);
}

int
memory_save(struct memory *memory, const struct schedule *schedule)
{
	pthread_attr_t attributes;
	int error;

	if (!memory->path)
		return -ENOENT;
	if (memory->writing)
		return -EBUSY;
	free(memory->text);
	memory->text = make_text(memory->bus, schedule);
	if (!memory->text)
		return -ENOMEM;
	error = pthread_attr_init(&attributes);
	if (error != 0)
		return -error;
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	error = pthread_create(&memory->thread, &attributes, run_writing, memory);
	pthread_attr_destroy(&attributes);
	memory->writing = error == 0;
	return -error;
}

int
memory_result(struct memory *memory)
{
	void *result;

	if (!memory->writing)
		return 0;
	if (pthread_tryjoin_np(memory->thread, &result) != 0)
		return -EINPROGRESS;
	memory->writing = false;
	return (int)(intptr_t)result;
}

/* --- reading --- */

static int
read_text(const char *path, char **ret_text)
{
	FILE *file = fopen(path, "re");
	char *text;
	size_t size;

	if (!file)
		return -errno;
	text = malloc(FILE_MAX + 1);
	if (!text) {
		fclose(file);
		return -ENOMEM;
	}
	size = fread(text, 1, FILE_MAX, file);
	text[size] = '\0';
	fclose(file);
	if (strlen(text) != size || size == FILE_MAX) {
		free(text);
		return -EBADMSG;
	}
	*ret_text = text;
	return 0;
}

/* Header, checksum; cuts off the last line. */
static bool
is_sound(char *text)
{
	char *end = strstr(text, "\nend ");
	unsigned sum;
	int length = 0;

	if (strncmp(text, HEADER, sizeof(HEADER) - 1) != 0 || !end)
		return false;
	end++;
	if (sscanf(end, "end %8x\n%n", &sum, &length) != 1 || end[length] != '\0')
		return false;
	if (sum != checksum(text, (size_t)(end - text)))
		return false;
	*end = '\0';
	return true;
}

static bool
is_of_bus(const char *line, const struct bus *bus)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	bool same;

	if (!file)
		return false;
	print_bus(file, bus);
	same = fclose(file) == 0 && strncmp(line, text, size) == 0;
	free(text);
	return same;
}

static int
take_point(struct schedule *schedule, const char *line, int64_t now_us)
{
	char table[16];
	int unit;
	int addr;
	int count;
	int exception;
	int taken = 0;

	if (sscanf(line, "point %d %15s %d %d exception %d", &unit, table, &addr, &count, &exception) != 5)
		return 0;
	for (size_t i = 0; i < schedule->item_count; i++) {
		const struct point *point = schedule->items[i].point;

		if (point->unit != unit || point->addr != addr || point->count != count ||
		    strcmp(point_table_name(point->table), table) != 0 || schedule->items[i].retry_ms > 0)
			continue;
		schedule_remember_point(schedule, point, exception, now_us);
		taken++;
	}
	return taken;
}

static int
take_unit(struct schedule *schedule, const char *line, int64_t now_us)
{
	struct plan_unit lore = { 0 };
	int holes;

	if (sscanf(line, "unit %d holes %d registers %d bits %d", &lore.unit, &holes, &lore.max_registers,
		&lore.max_bits) != 4 ||
	    lore.max_registers < 0 || lore.max_bits < 0 || !schedule_unit(schedule, lore.unit))
		return 0;
	lore.no_holes = !holes;
	schedule_remember_unit(schedule, &lore, now_us);
	return 1;
}

int
memory_load(const struct memory *memory, struct schedule *schedule, int64_t now_us)
{
	char *text = NULL;
	char *line;
	int taken = 0;
	int error = memory->path ? read_text(memory->path, &text) : -ENOENT;

	if (!text)
		return error;
	line = text + sizeof(HEADER) - 1;
	if (!is_sound(text))
		error = -EBADMSG;
	else if (!is_of_bus(line, memory->bus))
		error = -ESTALE;
	for (; error == 0 && line && *line != '\0'; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		taken += take_point(schedule, line, now_us) + take_unit(schedule, line, now_us);
	free(text);
	return error != 0 ? error : taken;
}
