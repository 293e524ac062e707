/* A stream of bytes is cut into the same frames whatever its chunks, and finds its step again after noise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "line/framer.h"

#define TEXT_MAX 8192
#define BYTES(text) ((const uint8_t *)(text)), (sizeof(text) - 1)

/* What a framer said: "<frame>" for each, "!<frame>" for one that was refused, "{waste}" for what is none. */
struct heard {
	char text[TEXT_MAX];
	size_t used;
	uint64_t wasted;
	bool strict; /* frames prove themselves by the character before the last being their sum */
};

static void
hear(struct heard *heard, const char *before, const uint8_t *bytes, size_t length, const char *after)
{
	assert_true(heard->used + length + 8 < TEXT_MAX);
	heard->used += (size_t)sprintf(heard->text + heard->used, "%s", before);
	for (size_t i = 0; i < length; i++)
		heard->text[heard->used++] = bytes[i] >= ' ' && bytes[i] < '~' ? (char)bytes[i]
					     : bytes[i] == '\r'			? '^'
					     : bytes[i] == '\n'			? '/'
					     : bytes[i] == 2			? '['
					     : bytes[i] == 3			? ']'
										: '~';
	heard->used += (size_t)sprintf(heard->text + heard->used, "%s", after);
}

static bool
take_frame(void *ctx, const struct line_frame *frame, bool again)
{
	struct heard *heard = ctx;
	unsigned sum = 0;

	assert_true(frame->from <= frame->to && frame->to <= frame->length);
	for (size_t i = 0; i + 1 < frame->length; i++)
		sum += frame->bytes[i];
	if (heard->strict && (sum & 0x7f) != (unsigned)(frame->bytes[frame->length - 1] & 0x7f)) {
		if (!again)
			hear(heard, "!<", frame->bytes, frame->length, ">");
		return false;
	}
	hear(heard, "<", frame->bytes + frame->from, frame->to - frame->from, ">");
	return true;
}

static void
take_waste(void *ctx, const uint8_t *bytes, size_t kept, uint64_t length, const char *why)
{
	struct heard *heard = ctx;

	assert_non_null(why);
	assert_true(kept <= length && kept <= FRAMER_WASTE_KEPT);
	heard->wasted += length;
	hear(heard, "{", bytes, kept, kept < length ? "...}" : "}");
}

static unsigned
dice(unsigned sides)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 33) % sides;
}

/* chunk  0: all at once; 1: byte by byte; else chunks of up to so many bytes */
static void
run(const struct framing *framing, bool strict, const uint8_t *bytes, size_t length, unsigned chunk, struct heard *ret)
{
	struct framer *framer;

	*ret = (struct heard){ .strict = strict };
	assert_int_equal(framer_new(framing, strict, take_frame, take_waste, ret, &framer), 0);
	for (size_t at = 0; at < length;) {
		size_t some = chunk == 0 ? length : chunk == 1 ? 1 : 1 + dice(chunk);

		if (some > length - at)
			some = length - at;
		framer_feed(framer, bytes + at, some, 0);
		at += some;
	}
	framer_end(framer);
	assert_int_equal(framer_wasted(framer), ret->wasted);
	framer_free(framer);
}

static struct bytes crlf[] = { { (const uint8_t *)"\r", 1 }, { (const uint8_t *)"\n", 1 } };
static struct bytes two[] = { { (const uint8_t *)"\r\n", 2 } };
static struct bytes etx[] = { { (const uint8_t *)"\x03", 1 } };
static struct bytes several[] = { { (const uint8_t *)";;", 2 }, { (const uint8_t *)"#", 1 } };

#define LINES(those, most) { .type = FRAMING_DELIMITER, .ends = those, .end_count = sizeof(those) / sizeof(those[0]), .max_bytes = most }
#define STX { (const uint8_t *)"\x02", 1 }

static const struct {
	struct framing framing;
	bool strict;
	const uint8_t *bytes;
	size_t length;
	const char *heard;
} cases[] = {
	/* Lines: CR, LF and both; the last without any; empty ones are nothing. */
	{ LINES(crlf, 20), false, BYTES("one\r\ntwo\nthree\r\n\n\rfour"), "<one><two><three><four>" },
	{ LINES(two, 20), false, BYTES("a\rb\nc\r\r\nd\r\n"), "<a^b/c^><d>" },
	{ LINES(several, 20), false, BYTES("a;b;;c#;;#d;;;"), "<a;b><c><d><;>" },
	{ LINES(crlf, 20), false, BYTES("with\0nul\n\xff\xfe\n"), "<with~nul><~~>" },
	/* The longest line, one more, and one that never ends. */
	{ LINES(several, 4), false, BYTES("1234#12345#1234;;12345;;"), "<1234>{12345#}<1234>{12345;;}" },
	{ LINES(crlf, 4), false, BYTES("1234\n12345\n1\n"), "<1234>{12345/}<1>" },
	{ LINES(two, 4), false, BYTES("1234\r\n12345\r\n1\r\n"), "<1234>{12345^/}<1>" },
	{ LINES(crlf, 4), false, BYTES("123456789012345678901234567890123456789012345678901234567890123456789\n1\n"),
	    "{1234567890123456789012345678901234567890123456789012345678901234...}<1>" },
	/* Fixed length: with a start it finds its step by that, without by what proves the frame. */
	{ { .type = FRAMING_FIXED, .length = 4, .start = { (const uint8_t *)"AB", 2 }, .max_bytes = 16 }, false,
	    BYTES("AB12xABAAB34AB"), "<AB12>{x}<ABAA>{B34}{AB}" },
	{ { .type = FRAMING_FIXED, .length = 3, .max_bytes = 16 }, true, BYTES("\x01\x02\x03\x04\x01\x02\x03\x01\x01\x02"),
	    "<~[]>!<~~[><~[]><~~[>" },
	/* Start and end: with and without something behind, and a lost end. */
	{ { .type = FRAMING_START_END, .start = STX, .ends = etx, .end_count = 1, .max_bytes = 16 }, false,
	    BYTES("noise\x02" "1\x03\x02" "2\x03" "x\x02" "3\x02" "4\x03\x03"), "{noise}<1><2>{x}{[3}<4>{]}" },
	{ { .type = FRAMING_START_END, .start = STX, .ends = etx, .end_count = 1, .tail = 1, .max_bytes = 16 }, false,
	    BYTES("\x02" "1\x03" "c\x02" "2\x03\x03\x02" "3\x03"), "<1><2>{[3]}" },
	{ { .type = FRAMING_START_END, .start = STX, .ends = etx, .end_count = 1, .max_bytes = 5 }, false,
	    BYTES("\x02" "123\x03\x02" "1234\x03\x02" "1\x03"), "<123>{[}{1234]}<1>" },
	/* A start within a frame that proves itself is none; one that does not prove itself hides no other. */
	{ { .type = FRAMING_START_END, .start = STX, .ends = etx, .end_count = 1, .tail = 1, .max_bytes = 16 }, true,
	    BYTES("\x02\x02\x03\x07\x02" "9\x02\x01\x03\x06"), "<[>!<[9[~]~><~>" },
	/* Length field, which counts or does not count what is before it. */
	{ { .type = FRAMING_LENGTH_FIELD,
	      .start = { (const uint8_t *)"BM", 2 },
	      .length_at = 2,
	      .length_size = 2,
	      .length_plus = 4,
	      .max_bytes = 16 },
	    false, BYTES("xBM\0\x02okBBM\xff\xff" "BM\0\0BM\0\x03" "ab"), "{x}<BM~[ok>{B}{B}{M~~}<BM~~>{BM~]ab}" },
	{ { .type = FRAMING_LENGTH_FIELD, .length_at = 0, .length_size = 1, .max_bytes = 16 }, false,
	    BYTES("\x03" "ab\x01\x00\x02" "c"), "<]ab><~>{~}<[c>" },
	{ { .type = FRAMING_LENGTH_FIELD, .length_at = 0, .length_size = 4, .length_little = true, .length_plus = 4, .max_bytes = 16 },
	    false, BYTES("\x02\0\0\0hi\xff\xff\xff\xff"), "<[~~~hi>{~}{~~~}" },
	/* Silence: in a file there is none. */
	{ { .type = FRAMING_SILENCE, .max_bytes = 8, .gap_ms = 10 }, false, BYTES("1234"), "<1234>" },
	{ { .type = FRAMING_SILENCE, .max_bytes = 8, .gap_ms = 10 }, false, BYTES("123456789012"), "{123456789012}" },
	/* Telegrams: lines before and between, a lost end, one that is too long, and one that is cut off. */
	{ { .type = FRAMING_TELEGRAM,
	      .ends = crlf,
	      .end_count = 2,
	      .start_pattern = "^/",
	      .end_pattern = "^!",
	      .max_bytes = 32 },
	    false, BYTES("rest\r\n!99\r\n/A\r\n\r\n1\r\n!00\r\n/B\r\n2\r\n/C\r\n3\r\n!01\r\n/D\r\n!"),
	    "{rest^!99^}</A^/^/1^/!00>{/B^/2^/}</C^/3^/!01></D^/!>" },
	{ { .type = FRAMING_TELEGRAM,
	      .ends = crlf,
	      .end_count = 2,
	      .start_pattern = "^/",
	      .end_pattern = "^!",
	      .max_bytes = 12 },
	    false, BYTES("/A\r\n1\r\n2\r\n3\r\n4\r\n!\r\n/B\r\n!1\r\n/C\r\n"), "{/A^/1^/2^/3^/4^}{!^}</B^/!1>{/C^/}" },
};

static void
test_cases(void **state)
{
	struct heard heard;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run(&cases[i].framing, cases[i].strict, cases[i].bytes, cases[i].length, 0, &heard);
		if (strcmp(heard.text, cases[i].heard) != 0)
			fail_msg("case %zu:\n%s, should be\n%s", i, heard.text, cases[i].heard);
	}
}

/* The same frames and the same waste for every way in which the bytes can come. */
static void
test_chunks(void **state)
{
	static const char letters[] = "AB\x02\x02\x03\r\n/!12;#M\0\1";
	struct heard whole, pieces;
	uint8_t bytes[400];

	(void)state;
	for (int round = 0; round < 2000; round++) {
		size_t which = dice(sizeof(cases) / sizeof(cases[0])), length = 1 + dice(sizeof(bytes));

		for (size_t i = 0; i < length; i++)
			bytes[i] = (uint8_t)letters[dice(sizeof(letters))];
		if (dice(4) == 0 && cases[which].length < length)
			memcpy(bytes + dice((unsigned)(length - cases[which].length)), cases[which].bytes, cases[which].length);
		run(&cases[which].framing, cases[which].strict, bytes, length, 0, &whole);
		for (unsigned chunk = 1; chunk < 20; chunk += 6) {
			run(&cases[which].framing, cases[which].strict, bytes, length, chunk, &pieces);
			assert_string_equal(pieces.text, whole.text);
		}
	}
}

static void
test_gap(void **state)
{
	struct framing silence = { .type = FRAMING_SILENCE, .max_bytes = 8, .gap_ms = 20 };
	struct framing lines = LINES(crlf, 20);
	struct heard heard = { .used = 0 };
	struct framer *framer;

	(void)state;
	assert_int_equal(framer_new(&silence, false, take_frame, take_waste, &heard, &framer), 0);
	assert_int_equal(framer_deadline(framer), INT64_MAX);
	framer_feed(framer, BYTES("ab"), 1000);
	assert_int_equal(framer_deadline(framer), 1020);
	framer_feed(framer, BYTES("cd"), 1019);
	framer_tick(framer, 1038);
	assert_string_equal(heard.text, "");
	framer_tick(framer, 1039);
	assert_string_equal(heard.text, "<abcd>");
	assert_int_equal(framer_deadline(framer), INT64_MAX);
	/* The gap is also seen when only the next bytes tell of it; noise without end is dropped until there is one. */
	framer_feed(framer, BYTES("ef"), 2000);
	framer_feed(framer, BYTES("123456789"), 2020);
	framer_feed(framer, BYTES("1"), 2021);
	framer_feed(framer, BYTES("gh"), 2041);
	framer_tick(framer, 3000);
	assert_string_equal(heard.text, "<abcd><ef>{1234567891}<gh>");
	framer_free(framer);

	/* What comes after a gap in a line is the rest of it, and no line. */
	heard = (struct heard){ .used = 0 };
	lines.gap_ms = 100;
	assert_int_equal(framer_new(&lines, false, take_frame, take_waste, &heard, &framer), 0);
	framer_feed(framer, BYTES("12"), 0);
	framer_tick(framer, 100);
	framer_feed(framer, BYTES("3.5\r\n"), 101);
	framer_feed(framer, BYTES("6.5\r\n"), 102);
	assert_string_equal(heard.text, "{12}{3.5^}<6.5>");
	assert_int_equal(framer_resyncs(framer), 1);
	framer_free(framer);
}

/* A port that was opened in the middle of a line: the rest of that line is nobody's. */
static void
test_middle(void **state)
{
	struct framing lines = LINES(crlf, 20);
	struct heard heard = { .used = 0 };
	struct framer *framer;

	(void)state;
	assert_int_equal(framer_new(&lines, false, take_frame, take_waste, &heard, &framer), 0);
	framer_feed(framer, BYTES("lost"), 0);
	framer_reset(framer, true);
	framer_feed(framer, BYTES("3.5\r\n12.5\r\n"), 0);
	assert_string_equal(heard.text, "<12.5>");
	framer_reset(framer, false);
	framer_feed(framer, BYTES("3.5\r\n"), 0);
	assert_string_equal(heard.text, "<12.5><3.5>");
	assert_int_equal(framer_wasted(framer), 0);
	framer_free(framer);
}

/* --- frames that are refused --- */

struct judge {
	uint64_t looked_at; /* bytes */
	uint64_t wasted;
	unsigned refused;
	unsigned good;
};

/* Good is what has a "*" before its last byte. */
static bool
judge_frame(void *ctx, const struct line_frame *frame, bool again)
{
	struct judge *judge = ctx;

	(void)again;
	judge->looked_at += frame->length;
	judge->good += frame->bytes[frame->length - 2] == '*';
	judge->refused += frame->bytes[frame->length - 2] != '*';
	return frame->bytes[frame->length - 2] == '*';
}

static void
judge_waste(void *ctx, const uint8_t *bytes, size_t kept, uint64_t length, const char *why)
{
	struct judge *judge = ctx;

	(void)bytes;
	(void)kept;
	assert_non_null(why);
	judge->wasted += length;
}

#define FLOOD (4 * LINE_FRAME_MAX)

/* Begins of frames, each of which ends where the longest one may: however many there are, a byte is looked at a bounded number of times,
 * and a good frame behind them is found. Chunks make no difference. */
static void
test_a_flood_of_begins(void **state)
{
	static struct bytes end = { .data = (const uint8_t *)"\x03", .length = 1 };
	static uint8_t flood[FLOOD];
	static const struct framing framing = {
		.type = FRAMING_START_END,
		.ends = &end,
		.end_count = 1,
		.start = { .data = (const uint8_t *)"\x02", .length = 1 },
		.max_bytes = LINE_FRAME_MAX,
	};
	struct judge judges[2] = { { .good = 0 } };

	(void)state;
	memset(flood, 2, sizeof(flood));
	for (size_t at = LINE_FRAME_MAX - 1; at < FLOOD; at += LINE_FRAME_MAX)
		flood[at] = 3;
	for (int i = 0; i < 2; i++) {
		struct framer *framer;
		size_t step = i == 0 ? FLOOD : 777;

		assert_int_equal(framer_new(&framing, true, judge_frame, judge_waste, &judges[i], &framer), 0);
		for (size_t at = 0; at < FLOOD; at += step)
			framer_feed(framer, flood + at, FLOOD - at < step ? FLOOD - at : step, 1000);
		framer_feed(framer, BYTES("\x02yes*\x03"), 1000);
		framer_free(framer);
		assert_int_equal(judges[i].good, 1);
		assert_true(judges[i].looked_at < 64 * (FLOOD + 3 * (uint64_t)LINE_FRAME_MAX));
	}
	assert_memory_equal(&judges[0], &judges[1], sizeof(judges[0]));
}

/* Frames without a begin can be told from their checksum only. After bytes too many the step is found again, in the end. */
static void
test_long_frames_without_a_begin(void **state)
{
	static const struct framing framing = { .type = FRAMING_FIXED, .length = 1000, .max_bytes = 1000 };
	static uint8_t frame[1000];
	struct judge judge = { .good = 0 };
	struct framer *framer;
	int count = 0;

	(void)state;
	memset(frame, '-', sizeof(frame));
	frame[998] = '*';
	assert_int_equal(framer_new(&framing, true, judge_frame, judge_waste, &judge, &framer), 0);
	for (int round = 0; round < 20; round++) {
		framer_feed(framer, frame, 1 + dice(999), 1000);
		judge.good = 0;
		for (count = 0; judge.good < 2 && count < 100; count++)
			framer_feed(framer, frame, sizeof(frame), 1000);
		assert_true(count < 50);
	}
	framer_free(framer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_middle),
		cmocka_unit_test(test_a_flood_of_begins),
		cmocka_unit_test(test_long_frames_without_a_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
