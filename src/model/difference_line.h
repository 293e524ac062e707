/* Is anything that two configurations say about serial instruments another? Part of difference.c. Pure; any thread. */
#ifndef MODEL_DIFFERENCE_LINE_H
#define MODEL_DIFFERENCE_LINE_H

#include "model/settings.h"

bool difference_line_bus(const struct bus *a, const struct bus *b);
bool difference_line_device(const struct device *a, const struct device *b);

/* What is read; and what is sent. */
bool difference_line_reading(const struct point *a, const struct point *b);
bool difference_line_writing(const struct point *a, const struct point *b);

#endif
