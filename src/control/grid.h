/* A table of texts in columns as wide as they need to be, for people. What a cell holds may come from a wire: bytes that would
 * steer a terminal are printed as '?'. */
#ifndef CONTROL_GRID_H
#define CONTROL_GRID_H

#include <stdio.h>

#define GRID_COLUMNS_MAX 14
#define GRID_CELL_MAX	 320

struct grid;

/* A column for each heading; one that begins with '>' is set to the right. Returns NULL when there is no memory. */
struct grid *grid_new(const char *const *headings, size_t count);
void grid_free(struct grid *grid);

/* Put the text into the next cell, row by row. */
void grid_cell(struct grid *grid, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line of its own under the row that is complete. */
void grid_note(struct grid *grid, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Replace in place what would steer a terminal. Returns `text`. */
const char *grid_harmless(char *text);

void grid_print(const struct grid *grid, FILE *out);

#endif
