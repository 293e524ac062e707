/* Cuts what comes from a serial port into frames, as struct framing says. Whatever the chunks in which bytes come, the frames are
 * the same, unless time has a part in it (gap_ms). Nothing is kept beyond framing.max_bytes. What belongs to no frame is counted and
 * left out. Where a frame begins with bytes that may also stand elsewhere, and it does not prove itself, the next one is looked for
 * from its second byte on.
 *
 * One thread; no I/O, no clock: time is passed in. Allocates when it is made, and in PCRE2.
 */
#ifndef LINE_FRAMER_H
#define LINE_FRAMER_H

#include "line/frame.h"
#include "model/settings.h"

#include <stdbool.h>

struct framer;

/* Judges a frame, which lives until it returns.
 * again  it begins within a frame that was refused, and so is a guess: if it is refused too, nobody need know
 * Returns true if the frame proves itself, or has nothing to prove. */
typedef bool framer_sink(void *ctx, const struct line_frame *frame, bool again);

/* Takes bytes that belong to no frame; NULL if nobody wants them. Called before the next frame, and at the end.
 * bytes   the first `kept` of them
 * length  how many they are
 * why     static text */
typedef void framer_waste(void *ctx, const uint8_t *bytes, size_t kept, uint64_t length, const char *why);
#define FRAMER_WASTE_KEPT 64

/* framing  lives as long as the framer; its patterns compile (conf/verify_line.c saw to it)
 * proven   frames have a checksum, so that a start within a frame need not be one
 * Returns 0; -ENOMEM; -EINVAL if a pattern is none. */
int framer_new(const struct framing *framing, bool proven, framer_sink *sink, framer_waste *waste, void *ctx,
    struct framer **ret);
void framer_free(struct framer *framer);

/* Take bytes that came by now. */
void framer_feed(struct framer *framer, const uint8_t *bytes, size_t length, int64_t now_mono_ms);

/* When framer_tick() is due next: the end of the gap that is waited for. INT64_MAX if nothing is. */
int64_t framer_deadline(const struct framer *framer);
void framer_tick(struct framer *framer, int64_t now_mono_ms);

/* Nothing more comes: a last line without delimiter is a frame, anything else that is not complete is waste. */
void framer_end(struct framer *framer);

/* Forget what is not complete, without a word: the port was opened anew.
 * middle  what comes may begin in the middle of a line, whose rest then is no frame; not so when an answer is awaited */
void framer_reset(struct framer *framer, bool middle);

/* Bytes that belonged to no frame, and how often such were met after good ones. */
uint64_t framer_wasted(const struct framer *framer);
uint64_t framer_resyncs(const struct framer *framer);

#endif
