#include "sim/fault.h"

#include <stdlib.h>
#include <string.h>

#define GARBAGE_BYTES 3
#define CUT_BYTES     3

static const struct fault_row {
	const char *name;
	enum fault_needs needs;
	bool executes;
	bool of_line;
} fault_rows[] = {
	[FAULT_NONE] = { .name = "none", .executes = true },
	[FAULT_DEAD] = { .name = "dead" },
	[FAULT_LATE] = { .name = "late", .executes = true },
	[FAULT_WRONG_UNIT] = { .name = "wrong_unit", .executes = true },
	[FAULT_WRONG_FUNCTION] = { .name = "wrong_function", .executes = true },
	[FAULT_WRONG_COUNT] = { .name = "wrong_count", .executes = true },
	[FAULT_WRONG_ECHO] = { .name = "wrong_echo", .executes = true },
	[FAULT_WRONG_TRANSACTION] = { .name = "wrong_transaction", .needs = NEEDS_MBAP, .executes = true },
	[FAULT_BAD_CRC] = { .name = "bad_crc", .needs = NEEDS_CRC, .executes = true },
	[FAULT_CUT] = { .name = "cut", .executes = true },
	[FAULT_GARBAGE_BEFORE] = { .name = "garbage_before", .executes = true },
	[FAULT_GARBAGE_AFTER] = { .name = "garbage_after", .executes = true },
	[FAULT_GLUED] = { .name = "glued", .executes = true },
	[FAULT_ECHO] = { .name = "echo", .needs = NEEDS_CRC, .executes = true, .of_line = true },
	[FAULT_EXCEPTION] = { .name = "exception" },
	[FAULT_BABBLE] = { .name = "babble", .of_line = true },
	[FAULT_SLOW_BYTES] = { .name = "slow_bytes", .executes = true },
	[FAULT_CLOSE] = { .name = "close", .needs = NEEDS_SOCKET, .executes = true, .of_line = true },
	[FAULT_RESET] = { .name = "reset", .needs = NEEDS_SOCKET, .executes = true, .of_line = true },
	[FAULT_SPLIT] = { .name = "split", .needs = NEEDS_SOCKET, .executes = true },
	[FAULT_HALF_OPEN] = { .name = "half_open", .needs = NEEDS_SOCKET, .of_line = true },
};

int
fault_parse(const char *name)
{
	for (int i = 0; i < (int)(sizeof(fault_rows) / sizeof(fault_rows[0])); i++)
		if (name && !strcmp(name, fault_rows[i].name))
			return i;
	return -1;
}

const char *
fault_name(enum fault_kind kind)
{
	return fault_rows[kind].name;
}

enum fault_needs
fault_needs(enum fault_kind kind)
{
	return fault_rows[kind].needs;
}

bool
fault_executes(enum fault_kind kind)
{
	return fault_rows[kind].executes;
}

bool
fault_is_of_line(enum fault_kind kind)
{
	return fault_rows[kind].of_line;
}

struct fault *
fault_find(struct fault *faults, uint8_t unit)
{
	struct fault *of_all = NULL;

	for (; faults; faults = faults->next) {
		if (faults->unit == unit)
			return faults;
		if (faults->unit == -1 && !of_all)
			of_all = faults;
	}
	return of_all;
}

static void
fault_remove(struct fault **faults, const struct fault *fault)
{
	while (*faults != fault)
		faults = &(*faults)->next;
	*faults = fault->next;
}

void
fault_spend(struct fault **faults, struct fault *fault)
{
	if (fault->left < 0 || --fault->left > 0)
		return;
	fault_remove(faults, fault);
	free(fault);
}

void
fault_clear(struct fault **faults, int unit)
{
	while (*faults) {
		struct fault *fault = *faults;
		if (unit == -2 || fault->unit == unit) {
			*faults = fault->next;
			free(fault);
		} else {
			faults = &fault->next;
		}
	}
}

void
fault_append(struct fault **faults, struct fault *fault)
{
	while (*faults)
		faults = &(*faults)->next;
	fault->next = NULL;
	*faults = fault;
}

void
noise_fill(uint8_t *bytes, size_t length)
{
	static uint32_t state = 2463534242u;

	for (size_t i = 0; i < length; i++) {
		state ^= state << 13;
		state ^= state >> 17;
		state ^= state << 5;
		bytes[i] = (uint8_t)(state >> 11);
	}
}

static void
answer_put(struct answer *answer, const uint8_t *bytes, size_t length)
{
	if (length > sizeof(answer->bytes) - answer->length)
		length = sizeof(answer->bytes) - answer->length;
	memcpy(answer->bytes + answer->length, bytes, length);
	answer->length += length;
}

void
answer_frame(const struct incoming *incoming, uint8_t *pdu, size_t length, struct answer *answer)
{
	if (length)
		answer->length = frame_build(
		    incoming->framing, incoming->transaction, incoming->unit, pdu, length, answer->bytes);
}

/* A function whose reply looks alike, so that only a comparison with the request tells them apart. */
static uint8_t
function_twin(uint8_t function)
{
	static const uint8_t twins[][2] = { { 1, 2 }, { 3, 4 }, { 5, 6 }, { 15, 16 } };

	for (size_t i = 0; i < sizeof(twins) / sizeof(twins[0]); i++) {
		if (function == twins[i][0])
			return twins[i][1];
		if (function == twins[i][1])
			return twins[i][0];
	}
	return function ^ 1;
}

static bool
function_is_read(uint8_t function)
{
	return (function >= 1 && function <= 4) || function == 23;
}

static size_t
shape_count(const struct fault *fault, uint8_t *pdu, size_t length)
{
	unsigned count = pdu[1] + 2u;

	if (fault->whole)
		count = pdu[1] > 2 ? pdu[1] - 2u : pdu[1] + 2u;
	if (fault->value >= 0)
		count = (unsigned)fault->value;
	count = count & 0xff;
	if (fault->whole && count > PDU_MAX - 2)
		count = PDU_MAX - 2;
	pdu[1] = (uint8_t)count;
	if (!fault->whole)
		return length;
	if (2 + count > length)
		memset(pdu + length, 0, 2 + count - length);
	return 2 + count;
}

/* What the application of the unit got wrong. */
static size_t
shape_pdu(const struct fault *fault, uint8_t *pdu, size_t length)
{
	if (fault->kind == FAULT_WRONG_FUNCTION)
		pdu[0] = fault->value >= 0 ? (uint8_t)fault->value : function_twin(pdu[0]);
	if (fault->kind == FAULT_WRONG_COUNT && function_is_read(pdu[0]))
		return shape_count(fault, pdu, length);
	if (fault->kind == FAULT_WRONG_ECHO && !function_is_read(pdu[0]) && length >= 5) {
		size_t at = fault->wrong_value ? 3 : 1;
		unsigned value = ((unsigned)pdu[at] << 8 | pdu[at + 1]) + 1;
		if (fault->value >= 0)
			value = (unsigned)fault->value;
		pdu[at] = (uint8_t)(value >> 8);
		pdu[at + 1] = (uint8_t)value;
	}
	return length;
}

static void
shape_envelope(const struct fault *fault, const struct incoming *incoming, const uint8_t *pdu, size_t length,
    struct answer *answer)
{
	uint16_t transaction = incoming->transaction;
	uint8_t unit = incoming->unit;

	if (fault->kind == FAULT_WRONG_UNIT)
		unit = fault->value >= 0 ? (uint8_t)fault->value : (uint8_t)(unit + 1);
	if (fault->kind == FAULT_WRONG_TRANSACTION)
		transaction = fault->value >= 0 ? (uint16_t)fault->value : (uint16_t)(transaction + 1);
	answer->length = frame_build(incoming->framing, transaction, unit, pdu, length, answer->bytes);
	if (fault->kind == FAULT_BAD_CRC)
		answer->bytes[answer->length - 1] ^= 0x5a;
}

static void
shape_garbage(const struct fault *fault, struct answer *answer)
{
	uint8_t bytes[FAULT_DATA_MAX];
	size_t length = fault->bytes >= 0 ? (size_t)fault->bytes : GARBAGE_BYTES;

	if (fault->data_length) {
		answer_put(answer, fault->data, fault->data_length);
		return;
	}
	noise_fill(bytes, length);
	answer_put(answer, bytes, length);
}

/* What happens to the frame on its way. */
static void
shape_bytes(const struct fault *fault, const struct incoming *incoming, struct answer *answer)
{
	uint8_t frame[FRAME_MAX];
	size_t length = answer->length;
	bool echo = fault->kind == FAULT_ECHO;

	memcpy(frame, answer->bytes, length);
	if (echo || fault->kind == FAULT_GARBAGE_BEFORE) {
		answer->length = 0;
		if (echo)
			answer_put(answer, incoming->frame, incoming->frame_length);
		else
			shape_garbage(fault, answer);
		answer_put(answer, frame, length);
	} else if (fault->kind == FAULT_GARBAGE_AFTER || (fault->kind == FAULT_GLUED && fault->data_length)) {
		shape_garbage(fault, answer);
	} else if (fault->kind == FAULT_GLUED) {
		answer_put(answer, frame, length);
	} else if (fault->kind == FAULT_CUT) {
		size_t bytes = fault->bytes >= 0 ? (size_t)fault->bytes : CUT_BYTES;
		answer->length = bytes < length ? bytes : length;
	}
}

static void
shape_time(const struct fault *fault, struct answer *answer)
{
	if (fault->kind == FAULT_LATE)
		answer->delay_us = fault->pause_us;
	if (fault->kind == FAULT_SLOW_BYTES || fault->kind == FAULT_SPLIT) {
		answer->chunk = 1;
		answer->gap_us = fault->pause_us;
	}
	if (fault->kind == FAULT_SPLIT)
		answer->chunk = fault->bytes > 0 ? (size_t)fault->bytes : (answer->length + 2) / 3;
}

void
fault_shape(const struct fault *fault, const struct incoming *incoming, uint8_t *pdu, size_t length,
    struct answer *answer)
{
	if (fault->kind == FAULT_CLOSE || fault->kind == FAULT_RESET) {
		answer->ending = fault->kind == FAULT_CLOSE ? ENDING_CLOSE : ENDING_RESET;
		answer->delay_us = fault->pause_us;
		return;
	}
	answer->half_open = fault->kind == FAULT_HALF_OPEN;
	if (fault->kind == FAULT_DEAD || fault->kind == FAULT_HALF_OPEN || fault->kind == FAULT_BABBLE)
		length = 0;
	if (length) {
		length = shape_pdu(fault, pdu, length);
		shape_envelope(fault, incoming, pdu, length, answer);
	}
	/* An adapter echoes and a noisy line is noisy whether or not somebody answers. */
	if (length || fault->kind == FAULT_ECHO)
		shape_bytes(fault, incoming, answer);
	shape_time(fault, answer);
}
