/* Cuts what comes from a serial port into frames, as struct framing says. Whatever the chunks in which bytes come, the frames are
 * the same, unless time has a part in it (gap_ms). Nothing is kept beyond framing.max_bytes; what belongs to no frame is counted
 * and left out, and the next frame is looked for in it from its second byte on.
 *
 * One thread; no I/O, no clock: time is passed in. Allocates when it is made, and in PCRE2.
 */
#ifndef LINE_FRAMER_H
#define LINE_FRAMER_H

#include "line/frame.h"
#include "model/settings.h"

struct framer;

/* Takes a frame, which lives until it returns. */
typedef void framer_sink(void *ctx, const struct line_frame *frame);

/* Takes bytes that belong to no frame, in their order; NULL if nobody wants them. `why` is static text. */
typedef void framer_waste(void *ctx, const uint8_t *bytes, size_t length, const char *why);

/* framing  lives as long as the framer; its patterns compile (conf/verify_line.c saw to it)
 * Returns 0; -ENOMEM; -EINVAL if a pattern is none. */
int framer_new(const struct framing *framing, framer_sink *sink, framer_waste *waste, void *ctx, struct framer **ret);
void framer_free(struct framer *framer);

/* Take bytes that came by now. */
void framer_feed(struct framer *framer, const uint8_t *bytes, size_t length, int64_t now_mono_ms);

/* When framer_tick() is due next: the end of the gap that is waited for. INT64_MAX if nothing is. */
int64_t framer_deadline(const struct framer *framer);
void framer_tick(struct framer *framer, int64_t now_mono_ms);

/* Nothing more comes: a last line without delimiter is a frame, anything else that is not complete is waste. */
void framer_end(struct framer *framer);

/* Forget what is not complete, without a word: the port was opened anew. */
void framer_reset(struct framer *framer);

/* Bytes that belonged to no frame, and how often such were met after good ones. */
uint64_t framer_wasted(const struct framer *framer);
uint64_t framer_resyncs(const struct framer *framer);

#endif
