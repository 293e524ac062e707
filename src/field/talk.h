/* A conversation with an instrument: the steps of a script, walked by what was sent, what came, and time. It sends and reads
 * nothing itself: it says what it wants, and is told what happened. One thread; no clock, no I/O.
 *
 * A step sets the speed, sends, waits for its answer, pauses, each if it says so. The answer is a frame in which `expect` is found,
 * or, for what is no frame (a prompt, an ACK), bytes since the sending in which it is found once the line has been quiet for
 * TALK_QUIET_US: "OK 1" may be the begin of "OK 12". `frame` waits for a good frame of the device.
 *
 * An answer has to begin within the timeout of the step, and to go on: the line may not be silent for longer. For as long as the
 * longest frame takes beyond the timeout it is waited for at most, so that a line that never is silent does not hold anybody up.
 */
#ifndef FIELD_TALK_H
#define FIELD_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "line/pattern.h"
#include "model/settings.h"

#define TALK_QUIET_US	20000
#define TALK_WINDOW_MAX 1024 /* of bytes since the sending so many are looked at, the last ones */

/* A script with its patterns. */
struct script {
	const struct line_step *steps;
	size_t count;
	struct pattern **expects; /* one a step, or NULL */
	bool frame_at_last;	  /* the last step waits for a frame, whatever it says */
};

/* settings  lives as long as the script
 * answered  it asks for something: if no step waits for an answer, the last one waits for a frame
 * Returns 0; -ENOMEM; -EINVAL if a pattern is none. */
int script_init(struct script *script, const struct line_script *settings, bool answered);
void script_done(struct script *script);

enum talk_want {
	TALK_BAUD,   /* set the speed of talk_step(), then talk_go_on() */
	TALK_SEND,   /* send what talk_step() says; when its last bit has left, talk_go_on() */
	TALK_WAIT,   /* nothing before talk_until_us(), unless something comes */
	TALK_DONE,
	TALK_FAILED, /* talk->error: -ETIMEDOUT nothing came, -EBADMSG something else than expected, -EPERM a refusal */
};

struct talk {
	const struct script *script;
	struct pattern *refuse; /* an answer that says no; NULL = there is none */
	int timeout_ms;		/* of steps that have none */
	int64_t frame_us;	/* the longest frame takes so long */
	size_t at;		/* the step, and what of it is next */
	enum { TALK_SPEED, TALK_SENDING, TALK_ANSWER, TALK_PAUSE } phase;
	bool expects;	  /* still */
	bool wants_frame;
	bool sent;	  /* something of it went out */
	bool heard;	  /* something came since */
	int64_t until_us; /* the answer has to go on, or the pause is over */
	int64_t bound_us; /* the answer has to be there */
	int64_t quiet_us; /* the bytes in the window are looked at */
	int error;
	size_t used;
	uint8_t window[TALK_WINDOW_MAX];
};

void talk_begin(struct talk *talk, const struct script *script, int timeout_ms, int64_t frame_us, int64_t now_us);

/* What it wants now. */
enum talk_want talk_want(struct talk *talk, int64_t now_us);

/* The step that talk_want() spoke of. */
const struct line_step *talk_step(const struct talk *talk);
int64_t talk_until_us(const struct talk *talk);

/* What it wanted is done. */
void talk_go_on(struct talk *talk, int64_t now_us);

/* It cannot be done: negative errno. */
void talk_fail(struct talk *talk, int error);

/* Bytes came. Before the frames that they complete. */
void talk_bytes(struct talk *talk, const uint8_t *bytes, size_t length, int64_t now_us);

/* A proven frame came, with this text. */
void talk_frame(struct talk *talk, const uint8_t *text, size_t length, int64_t now_us);

/* It was a good one of the device that is talked with. */
void talk_good(struct talk *talk, int64_t now_us);

#endif
