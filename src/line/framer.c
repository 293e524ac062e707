#include "line/framer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "line/pattern.h"

#define WASTE_TOLD 4096 /* bytes that are told of though it goes on */
/* For each byte that comes so many bytes of frames that are refused are paid for. Without a bound somebody who sends nothing but
 * begins of long frames would have each of them looked through from every byte on. */
#define SEARCH_PER_BYTE 64

/* What the bytes at hand make. */
enum step {
	STEP_MORE,  /* nothing yet */
	STEP_WASTE, /* the first `length` are no frame, for `why` */
	STEP_SKIP,  /* the first `length` stand between frames, as they should */
	STEP_FRAME, /* the first `length` are one, which is `frame` */
};

struct cut {
	size_t length;
	const char *why;
	struct line_frame frame;
};

struct framer {
	const struct framing *framing;
	bool proven;
	framer_sink *sink;
	framer_waste *waste;
	void *ctx;
	struct pattern *start_pattern;
	struct pattern *end_pattern;
	enum step (*step)(struct framer *framer, struct cut *ret);
	size_t longest_end;
	size_t most; /* bytes that are ever kept */

	/* The bytes at hand are bytes[head] up to bytes[fill - 1]. */
	uint8_t *bytes;
	size_t head;
	size_t fill;
	size_t capacity;
	int64_t last_mono_ms; /* when the last byte came */

	size_t scan;	   /* start-end: no end begins before this; telegram: where its current line begins */
	bool open;	   /* telegram: the bytes at hand begin with its first line */
	bool skipping;	   /* the rest of a line, or up to a pause, is no frame */
	const char *skip_why; /* NULL: and is nobody's fault */
	uint64_t taken;	   /* bytes that have left, of all that came */
	uint64_t again_until; /* a frame that begins before that one is a guess */
	size_t credit;	      /* bytes that may be looked at in vain */

	uint8_t wasted[FRAMER_WASTE_KEPT];
	size_t kept;
	uint64_t waiting; /* bytes of waste that nobody was told of yet */
	const char *why;
	uint64_t waste_bytes;
	uint64_t resyncs;
	bool in_step; /* the last thing was no waste */
};

static const char too_long[] = "no frame ends within max_bytes";
static const char no_start[] = "no frame starts with them";
static const char late[] = "a frame is not complete after gap_ms";
static const char cut_short[] = "a frame is not complete";
static const char searched[] = "too many frames among them are not good";

static const uint8_t *
at_hand(const struct framer *framer)
{
	return framer->bytes + framer->head;
}

static size_t
length_of(const struct framer *framer)
{
	return framer->fill - framer->head;
}

static bool
is_of_lines(const struct framer *framer)
{
	return framer->framing->type == FRAMING_DELIMITER || framer->framing->type == FRAMING_TELEGRAM;
}

static bool
starts_with(const uint8_t *bytes, size_t length, const struct bytes *what)
{
	return length >= what->length && memcmp(bytes, what->data, what->length) == 0;
}

/* Bytes of the delimiter that what is at hand ends with, from `from` on; 0 if it does not. */
static size_t
ended(const struct framer *framer, size_t from)
{
	size_t length = length_of(framer);

	for (size_t i = 0; i < framer->framing->end_count; i++) {
		const struct bytes *end = &framer->framing->ends[i];

		if (length >= from + end->length &&
		    starts_with(at_hand(framer) + length - end->length, end->length, end))
			return end->length;
	}
	return 0;
}

static enum step
wasted(struct cut *ret, size_t length, const char *why)
{
	ret->length = length;
	ret->why = why;
	return STEP_WASTE;
}

/* The first `length` bytes, all of them. */
static enum step
whole(struct framer *framer, struct cut *ret, size_t length, size_t from, size_t to)
{
	ret->length = length;
	ret->frame = (struct line_frame){ .bytes = at_hand(framer), .length = length, .from = from, .to = to };
	return STEP_FRAME;
}

/* The rest of a line that is no frame: nothing of it is kept but what may be the first part of a delimiter. */
static enum step
skip_line(struct framer *framer, struct cut *ret)
{
	size_t length = length_of(framer);

	ret->why = framer->skip_why;
	if (ended(framer, 0) > 0) {
		framer->skipping = false;
		ret->length = length;
	} else if (length >= framer->longest_end) {
		ret->length = length - framer->longest_end + 1;
	} else {
		return STEP_MORE;
	}
	return framer->skip_why ? STEP_WASTE : STEP_SKIP;
}

/* So many bytes have come without a delimiter that the line is too long whatever comes. */
static bool
is_overlong(const struct framer *framer, size_t from)
{
	return length_of(framer) - from >= (size_t)framer->framing->max_bytes + framer->longest_end;
}

static enum step
step_delimiter(struct framer *framer, struct cut *ret)
{
	size_t length = length_of(framer), end;

	if (framer->skipping)
		return skip_line(framer, ret);
	end = ended(framer, 0);
	if (end == 0 && is_overlong(framer, 0)) {
		framer->skipping = true;
		framer->skip_why = too_long;
		return skip_line(framer, ret);
	}
	if (end == 0)
		return STEP_MORE;
	if (length - end > (size_t)framer->framing->max_bytes)
		return wasted(ret, length, too_long);
	if (length == end) { /* between CR and LF */
		ret->length = length;
		return STEP_SKIP;
	}
	whole(framer, ret, length, 0, length - end);
	ret->frame.length = length - end;
	return STEP_FRAME;
}

/* Does what is at hand begin as frames do? More bytes, or one less, may be needed to tell. Returns STEP_FRAME if so. */
static enum step
look_for_start(struct framer *framer, struct cut *ret)
{
	const struct bytes *start = &framer->framing->start;
	size_t length = length_of(framer), known = length < start->length ? length : start->length;

	if (known > 0 && memcmp(at_hand(framer), start->data, known) != 0)
		return wasted(ret, 1, no_start);
	return length < start->length || length == 0 ? STEP_MORE : STEP_FRAME;
}

static enum step
step_fixed(struct framer *framer, struct cut *ret)
{
	enum step step = look_for_start(framer, ret);
	size_t length = (size_t)framer->framing->length;

	if (step != STEP_FRAME)
		return step;
	return length_of(framer) < length ? STEP_MORE : whole(framer, ret, length, 0, length);
}

/* Where the first end is, from framer->scan on. Returns NULL if there is none yet. */
static const struct bytes *
find_end(struct framer *framer, size_t *ret_at)
{
	const struct framing *framing = framer->framing;
	size_t length = length_of(framer);

	if (framer->scan < framing->start.length)
		framer->scan = framing->start.length;
	for (; framer->scan < length; framer->scan++) {
		bool may_be = false;

		for (size_t i = 0; i < framing->end_count; i++) {
			const struct bytes *end = &framing->ends[i];
			size_t rest = length - framer->scan, known = rest < end->length ? rest : end->length;

			if (memcmp(at_hand(framer) + framer->scan, end->data, known) != 0)
				continue;
			if (known == end->length) {
				*ret_at = framer->scan;
				return end;
			}
			may_be = true;
		}
		if (may_be)
			break;
	}
	return NULL;
}

static enum step
step_start_end(struct framer *framer, struct cut *ret)
{
	const struct framing *framing = framer->framing;
	enum step step = look_for_start(framer, ret);
	size_t at = 0, total;
	const struct bytes *end;

	if (step != STEP_FRAME)
		return step;
	end = find_end(framer, &at);
	total = end ? at + end->length + (size_t)framing->tail : length_of(framer);
	if (total > (size_t)framing->max_bytes)
		return wasted(ret, 1, too_long);
	if (!end || length_of(framer) < total)
		return STEP_MORE;
	/* The end of the frame before was lost. */
	for (size_t i = at; !framer->proven && i-- > 1;)
		if (i + framing->start.length <= at && starts_with(at_hand(framer) + i, at - i, &framing->start))
			return wasted(ret, i, cut_short);
	return whole(framer, ret, total, framing->start.length, at);
}

static enum step
step_length_field(struct framer *framer, struct cut *ret)
{
	const struct framing *framing = framer->framing;
	enum step step = look_for_start(framer, ret);
	size_t head = (size_t)framing->length_at + (size_t)framing->length_size;
	const uint8_t *field = at_hand(framer) + framing->length_at;
	uint32_t said = 0;
	int64_t total;

	if (step != STEP_FRAME)
		return step;
	if (length_of(framer) < head)
		return STEP_MORE;
	for (int i = 0; i < framing->length_size; i++)
		said = said << 8 | field[framing->length_little ? framing->length_size - 1 - i : i];
	total = (int64_t)said + framing->length_plus;
	if (total < (int64_t)head || total > framing->max_bytes)
		return wasted(ret, 1, "the length in them is not possible");
	return length_of(framer) < (size_t)total ? STEP_MORE : whole(framer, ret, (size_t)total, 0, (size_t)total);
}

static enum step
step_silence(struct framer *framer, struct cut *ret)
{
	if (length_of(framer) > (size_t)framer->framing->max_bytes)
		framer->skipping = true;
	return framer->skipping ? wasted(ret, length_of(framer), too_long) : STEP_MORE;
}

/* A line of a telegram, or outside of one, is complete: it takes `length` bytes from framer->scan on, and `end` of them are the
 * delimiter. */
static enum step
step_telegram_line(struct framer *framer, struct cut *ret, size_t length, size_t end)
{
	size_t line = framer->scan;
	const uint8_t *text = at_hand(framer) + line;
	size_t text_length = length - line - end;

	framer->scan = length;
	if (text_length == 0 && !framer->open) {
		ret->length = length;
		return STEP_SKIP;
	}
	if (pattern_match(framer->start_pattern, text, text_length) == 1) {
		/* The end of the telegram before was lost. */
		if (framer->open && line > 0) {
			framer->open = false;
			framer->scan = 0;
			return wasted(ret, line, cut_short);
		}
		framer->open = true;
	} else if (!framer->open) {
		return wasted(ret, length, no_start);
	}
	if (pattern_match(framer->end_pattern, text, text_length) != 1)
		return STEP_MORE;
	if (length - end > (size_t)framer->framing->max_bytes)
		return wasted(ret, length, too_long);
	whole(framer, ret, length, 0, length - end);
	ret->frame.length = length - end;
	return STEP_FRAME;
}

static enum step
step_telegram(struct framer *framer, struct cut *ret)
{
	size_t end;

	if (framer->skipping)
		return skip_line(framer, ret);
	if (framer->scan >= length_of(framer))
		return STEP_MORE;
	end = ended(framer, framer->scan);
	if (end > 0)
		return step_telegram_line(framer, ret, length_of(framer), end);
	if (!is_overlong(framer, 0))
		return STEP_MORE;
	framer->skipping = true;
	framer->skip_why = too_long;
	return skip_line(framer, ret);
}

/* Framings, in the order of the enum. */
static enum step (*const steps[])(struct framer *framer, struct cut *ret) = {
	[FRAMING_DELIMITER] = step_delimiter,
	[FRAMING_FIXED] = step_fixed,
	[FRAMING_START_END] = step_start_end,
	[FRAMING_LENGTH_FIELD] = step_length_field,
	[FRAMING_SILENCE] = step_silence,
	[FRAMING_TELEGRAM] = step_telegram,
};

/* May a frame that was refused have hidden another one? */
static bool
may_hide(const struct framer *framer)
{
	return !is_of_lines(framer) && framer->framing->type != FRAMING_SILENCE;
}

static void
tell_waste(struct framer *framer)
{
	if (framer->waiting > 0 && framer->waste)
		framer->waste(framer->ctx, framer->wasted, framer->kept, framer->waiting, framer->why);
	framer->waiting = 0;
	framer->kept = 0;
}

static void
add_waste(struct framer *framer, const uint8_t *bytes, size_t length, const char *why)
{
	size_t kept;

	if (framer->waiting > 0 && framer->why != why)
		tell_waste(framer);
	framer->why = why;
	kept = FRAMER_WASTE_KEPT - framer->kept < length ? FRAMER_WASTE_KEPT - framer->kept : length;
	memcpy(framer->wasted + framer->kept, bytes, kept);
	framer->kept += kept;
	framer->waiting += length;
	framer->waste_bytes += length;
	framer->resyncs += framer->in_step;
	framer->in_step = false;
	if (framer->waiting >= WASTE_TOLD)
		tell_waste(framer);
}

static void
drop(struct framer *framer, size_t length)
{
	framer->head += length;
	framer->taken += length;
	framer->scan = framer->scan > length ? framer->scan - length : 0;
	if (framer->head == framer->fill)
		framer->head = framer->fill = 0;
}

/* Bytes of a frame that was refused have been told of with it. */
static void
waste(struct framer *framer, size_t length, const char *why)
{
	size_t told = 0;

	if (framer->again_until > framer->taken)
		told = framer->again_until - framer->taken < length ? (size_t)(framer->again_until - framer->taken) : length;
	if (length > told)
		add_waste(framer, at_hand(framer) + told, length - told, why);
	if (length == length_of(framer) || framer->framing->type == FRAMING_TELEGRAM)
		framer->open = false;
	drop(framer, length);
}

/* A frame of that length was refused: go on behind its first byte, or behind all of it if too much was looked at in vain. */
static void
search_inside(struct framer *framer, size_t length)
{
	framer->scan = 0;
	if (length <= framer->credit) {
		framer->credit -= length;
		drop(framer, 1);
	} else {
		waste(framer, length, searched);
		framer->scan = 0;
	}
}

static void
offer(struct framer *framer, const struct cut *cut)
{
	bool again = framer->taken < framer->again_until;

	tell_waste(framer);
	if (framer->sink(framer->ctx, &cut->frame, again)) {
		framer->in_step = true;
	} else if (may_hide(framer)) {
		if (!again) {
			framer->again_until = framer->taken + cut->length;
			framer->resyncs += framer->in_step;
			framer->in_step = false;
		}
		search_inside(framer, cut->length);
		return;
	}
	framer->open = false;
	framer->scan = 0;
	drop(framer, cut->length);
	framer->scan = 0;
}

/* All that the bytes at hand make. */
static void
work(struct framer *framer)
{
	struct cut cut;
	enum step step;

	while (length_of(framer) > 0 && (step = framer->step(framer, &cut)) != STEP_MORE) {
		if (step == STEP_FRAME)
			offer(framer, &cut);
		else if (step == STEP_WASTE)
			waste(framer, cut.length, cut.why);
		else
			drop(framer, cut.length);
	}
}

static bool
gap_is_over(const struct framer *framer, int64_t now_mono_ms)
{
	return framer->framing->gap_ms > 0 && now_mono_ms - framer->last_mono_ms >= framer->framing->gap_ms;
}

/* Nothing came for gap_ms. */
static void
end_gap(struct framer *framer)
{
	struct cut cut = { .length = length_of(framer) };

	if (framer->framing->type == FRAMING_SILENCE && !framer->skipping && cut.length > 0) {
		whole(framer, &cut, cut.length, 0, cut.length);
		offer(framer, &cut);
	} else if (cut.length > 0) {
		waste(framer, cut.length, late);
		framer->scan = 0;
		/* What comes late is the rest of a line, and not one by itself. */
		if (is_of_lines(framer) && !framer->skipping) {
			framer->skipping = true;
			framer->skip_why = late;
		}
	}
	tell_waste(framer);
	framer->skipping = framer->skipping && framer->framing->type != FRAMING_SILENCE;
}

static void
take_byte(struct framer *framer, uint8_t byte)
{
	if (framer->fill == framer->capacity) {
		memmove(framer->bytes, at_hand(framer), length_of(framer));
		framer->fill -= framer->head;
		framer->head = 0;
	}
	framer->bytes[framer->fill++] = byte;
	if (framer->credit < framer->capacity * SEARCH_PER_BYTE)
		framer->credit += SEARCH_PER_BYTE;
	work(framer);
}

/* One byte after the other, so that chunks make no difference. */
void
framer_feed(struct framer *framer, const uint8_t *bytes, size_t length, int64_t now_mono_ms)
{
	if (length == 0)
		return;
	framer_tick(framer, now_mono_ms);
	framer->last_mono_ms = now_mono_ms;
	for (size_t i = 0; i < length; i++)
		take_byte(framer, bytes[i]);
}

int64_t
framer_deadline(const struct framer *framer)
{
	bool waiting = length_of(framer) > 0 || framer->waiting > 0 ||
		       (framer->skipping && framer->framing->type == FRAMING_SILENCE);

	return framer->framing->gap_ms > 0 && waiting ? framer->last_mono_ms + framer->framing->gap_ms : INT64_MAX;
}

void
framer_tick(struct framer *framer, int64_t now_mono_ms)
{
	if (framer_deadline(framer) != INT64_MAX && gap_is_over(framer, now_mono_ms))
		end_gap(framer);
}

/* A last line needs no delimiter. */
static void
end_line(struct framer *framer)
{
	size_t length = length_of(framer);
	struct cut cut = { .length = length };
	enum step step = STEP_MORE;

	if (length == 0 || framer->skipping)
		return;
	if (framer->framing->type == FRAMING_DELIMITER && length <= (size_t)framer->framing->max_bytes)
		step = whole(framer, &cut, length, 0, length);
	while (framer->framing->type == FRAMING_TELEGRAM && framer->scan < length_of(framer)) {
		step = step_telegram_line(framer, &cut, length_of(framer), 0);
		if (step != STEP_WASTE)
			break;
		waste(framer, cut.length, cut.why);
	}
	if (step == STEP_FRAME)
		offer(framer, &cut);
}

void
framer_end(struct framer *framer)
{
	if (framer->framing->type == FRAMING_SILENCE)
		end_gap(framer);
	end_line(framer);
	if (length_of(framer) > 0)
		waste(framer, length_of(framer), framer->skipping && framer->skip_why ? framer->skip_why : cut_short);
	tell_waste(framer);
	framer_reset(framer, false);
}

void
framer_reset(struct framer *framer, bool middle)
{
	framer->taken += length_of(framer);
	framer->head = framer->fill = framer->scan = 0;
	framer->again_until = 0;
	framer->open = false;
	framer->skipping = middle && is_of_lines(framer);
	framer->skip_why = NULL;
	framer->kept = 0;
	framer->waiting = 0;
	framer->in_step = true;
	framer->credit = framer->capacity * SEARCH_PER_BYTE;
}

uint64_t
framer_wasted(const struct framer *framer)
{
	return framer->waste_bytes;
}

uint64_t
framer_resyncs(const struct framer *framer)
{
	return framer->resyncs;
}

int
framer_new(const struct framing *framing, bool proven, framer_sink *sink, framer_waste *waste_sink, void *ctx,
    struct framer **ret)
{
	struct framer *framer = calloc(1, sizeof(*framer));
	int error = 0;

	if (!framer)
		return -ENOMEM;
	framer->framing = framing;
	framer->proven = proven;
	framer->sink = sink;
	framer->waste = waste_sink;
	framer->ctx = ctx;
	framer->step = steps[framing->type];
	for (size_t i = 0; i < framing->end_count; i++)
		if (framing->ends[i].length > framer->longest_end)
			framer->longest_end = framing->ends[i].length;
	/* Twice what is kept, so that bytes are moved once for as many that came. */
	framer->capacity = 2 * ((size_t)framing->max_bytes + framer->longest_end + (size_t)framing->tail + 1);
	framer->bytes = malloc(framer->capacity);
	if (!framer->bytes)
		error = -ENOMEM;
	if (!error && framing->type == FRAMING_TELEGRAM)
		error = pattern_new(framing->start_pattern, &framer->start_pattern, NULL);
	if (!error && framing->type == FRAMING_TELEGRAM)
		error = pattern_new(framing->end_pattern, &framer->end_pattern, NULL);
	if (error) {
		framer_free(framer);
		return error;
	}
	framer_reset(framer, false);
	*ret = framer;
	return 0;
}

void
framer_free(struct framer *framer)
{
	if (!framer)
		return;
	pattern_free(framer->end_pattern);
	pattern_free(framer->start_pattern);
	free(framer->bytes);
	free(framer);
}
