#include "field/talk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool
waits(const struct line_script *script)
{
	for (size_t i = 0; i < script->count; i++)
		if (script->steps[i].expect || script->steps[i].frame)
			return true;
	return false;
}

int
script_init(struct script *script, const struct line_script *settings, bool answered)
{
	int error = 0;

	*script = (struct script){ .steps = settings->steps, .count = settings->count };
	script->frame_at_last = answered && !waits(settings);
	script->expects = calloc(settings->count + 1, sizeof(struct pattern *));
	if (!script->expects)
		return -ENOMEM;
	for (size_t i = 0; error == 0 && i < script->count; i++)
		if (script->steps[i].expect)
			error = pattern_new(script->steps[i].expect, &script->expects[i], NULL);
	if (error != 0)
		script_done(script);
	return error;
}

void
script_done(struct script *script)
{
	for (size_t i = 0; script->expects && i < script->count; i++)
		pattern_free(script->expects[i]);
	free(script->expects);
	*script = (struct script){ .count = 0 };
}

/* --- steps --- */

const struct line_step *
talk_step(const struct talk *talk)
{
	return &talk->script->steps[talk->at];
}

int64_t
talk_until_us(const struct talk *talk)
{
	int64_t until_us = talk->until_us;

	if (talk->phase != TALK_ANSWER)
		return until_us;
	if (talk->bound_us < until_us)
		until_us = talk->bound_us;
	return talk->expects && talk->used > 0 && talk->quiet_us < until_us ? talk->quiet_us : until_us;
}

/* The answer may be there before we know that the question has left: what it has to be is known from the begin of the step. */
static void
begin_step(struct talk *talk)
{
	if (talk->at == talk->script->count)
		return;
	talk->phase = TALK_SPEED;
	if (talk_step(talk)->send.length > 0)
		talk->used = 0;
	talk->expects = talk->script->expects[talk->at] != NULL;
	talk->wants_frame =
	    talk_step(talk)->frame || (talk->script->frame_at_last && talk->at + 1 == talk->script->count);
}

static int64_t
timeout_us(const struct talk *talk)
{
	int timeout_ms = talk_step(talk)->timeout_ms > 0 ? talk_step(talk)->timeout_ms : talk->timeout_ms;

	return (int64_t)timeout_ms * 1000;
}

static void
begin_answer(struct talk *talk, int64_t now_us)
{
	talk->phase = TALK_ANSWER;
	talk->until_us = now_us + timeout_us(talk);
	talk->bound_us = talk->until_us + talk->frame_us;
}

void
talk_begin(struct talk *talk, const struct script *script, int timeout_ms, int64_t frame_us, int64_t now_us)
{
	talk->script = script;
	talk->refuse = NULL;
	talk->timeout_ms = timeout_ms;
	talk->frame_us = frame_us;
	talk->at = 0;
	talk->sent = talk->heard = false;
	talk->error = 0;
	talk->used = 0;
	talk->until_us = talk->quiet_us = now_us;
	begin_step(talk);
}

/* --- answers --- */

static void
look(struct talk *talk, const uint8_t *text, size_t length)
{
	size_t from;
	size_t to;

	if (talk->refuse && pattern_match(talk->refuse, text, length) == 1)
		talk->error = -EPERM;
	else if (pattern_match(talk->script->expects[talk->at], text, length) == 1) {
		talk->expects = false;
		/* What came behind it may be the answer to the next step. */
		if (text == talk->window && pattern_taken(talk->script->expects[talk->at], 0, &from, &to)) {
			talk->used -= to;
			memmove(talk->window, talk->window + to, talk->used);
		}
	}
}

static bool
may_be_answered(const struct talk *talk)
{
	return talk->error == 0 && talk->at < talk->script->count &&
	       (talk->phase == TALK_SENDING || talk->phase == TALK_ANSWER);
}

void
talk_bytes(struct talk *talk, const uint8_t *bytes, size_t length, int64_t now_us)
{
	size_t keep;

	if (!may_be_answered(talk) || length == 0)
		return;
	talk->heard = true;
	if (talk->phase == TALK_ANSWER)
		talk->until_us = now_us + timeout_us(talk);
	if (length > TALK_WINDOW_MAX) {
		bytes += length - TALK_WINDOW_MAX;
		length = TALK_WINDOW_MAX;
	}
	keep = talk->used + length > TALK_WINDOW_MAX ? TALK_WINDOW_MAX - length : talk->used;
	memmove(talk->window, talk->window + talk->used - keep, keep);
	memcpy(talk->window + keep, bytes, length);
	talk->used = keep + length;
	talk->quiet_us = now_us + TALK_QUIET_US;
}

void
talk_frame(struct talk *talk, const uint8_t *text, size_t length, int64_t now_us)
{
	if (!may_be_answered(talk) || !talk->expects)
		return;
	look(talk, text, length);
	if (talk->expects)
		return;
	talk->used = 0;
	(void)talk_want(talk, now_us);
}

void
talk_good(struct talk *talk, int64_t now_us)
{
	if (!may_be_answered(talk))
		return;
	talk->wants_frame = false;
	(void)talk_want(talk, now_us);
}

/* --- walking --- */

void
talk_fail(struct talk *talk, int error)
{
	talk->error = error;
}

void
talk_go_on(struct talk *talk, int64_t now_us)
{
	if (talk->phase == TALK_SPEED) {
		talk->phase = TALK_SENDING;
		return;
	}
	talk->sent = true;
	begin_answer(talk, now_us);
}

/* Is the answer there, or will it not come? */
static bool
is_over(struct talk *talk, int64_t now_us)
{
	bool late = now_us >= talk->until_us || now_us >= talk->bound_us;

	if (talk->expects && talk->used > 0 && (late || now_us >= talk->quiet_us)) {
		look(talk, talk->window, talk->used);
		talk->quiet_us = INT64_MAX; /* until more comes */
	}
	if (!talk->expects && !talk->wants_frame)
		return true;
	if (late && talk->error == 0)
		talk->error = talk->heard ? -EBADMSG : -ETIMEDOUT;
	return talk->error != 0;
}

enum talk_want
talk_want(struct talk *talk, int64_t now_us)
{
	while (talk->error == 0 && talk->at < talk->script->count) {
		const struct line_step *step = talk_step(talk);

		switch (talk->phase) {
		case TALK_SPEED:
			if (step->baud > 0)
				return TALK_BAUD;
			talk->phase = TALK_SENDING;
			/* fall through */
		case TALK_SENDING:
			if (step->send.length > 0)
				return TALK_SEND;
			begin_answer(talk, now_us);
			/* fall through */
		case TALK_ANSWER:
			if (!is_over(talk, now_us))
				return TALK_WAIT;
			talk->phase = TALK_PAUSE;
			talk->until_us = now_us + (int64_t)step->delay_ms * 1000;
			break;
		case TALK_PAUSE:
			if (now_us < talk->until_us)
				return TALK_WAIT;
			talk->at++;
			begin_step(talk);
			break;
		}
	}
	return talk->error != 0 ? TALK_FAILED : TALK_DONE;
}
