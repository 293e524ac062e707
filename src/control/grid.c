#include "control/grid.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_INDENT 4

struct grid {
	const char *const *headings;
	size_t columns;
	int widths[GRID_COLUMNS_MAX];
	char **cells; /* row by row; a note is a row with nothing but its first cell */
	bool *notes;  /* of each cell: it begins a note */
	size_t count;
	size_t room;
};

/* Characters, not bytes. Those that take two columns are rare where this is read. */
static int
width_of(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

/* C0, DEL, and C1 as UTF-8 spells it. */
const char *
grid_harmless(char *text)
{
	for (unsigned char *at = (unsigned char *)text; *at; at++) {
		if (*at < 0x20 || *at == 0x7f)
			*at = '?';
		else if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
			at[0] = at[1] = '?';
	}
	return text;
}

static const char *
heading_text(const char *heading)
{
	return heading[0] == '>' ? heading + 1 : heading;
}

struct grid *
grid_new(const char *const *headings, size_t count)
{
	struct grid *grid = calloc(1, sizeof(*grid));

	if (!grid)
		return NULL;
	grid->headings = headings;
	grid->columns = count;
	for (size_t i = 0; i < count; i++)
		grid->widths[i] = width_of(heading_text(headings[i]));
	return grid;
}

void
grid_free(struct grid *grid)
{
	if (!grid)
		return;
	for (size_t i = 0; i < grid->count; i++)
		free(grid->cells[i]);
	free(grid->cells);
	free(grid->notes);
	free(grid);
}

static bool
make_room(struct grid *grid, size_t more)
{
	size_t room = grid->room;
	char **cells;
	bool *notes;

	while (grid->count + more > room)
		room = room == 0 ? 64 : room * 2;
	if (room == grid->room)
		return true;
	cells = realloc(grid->cells, room * sizeof(grid->cells[0]));
	if (cells)
		grid->cells = cells;
	notes = realloc(grid->notes, room * sizeof(grid->notes[0]));
	if (notes)
		grid->notes = notes;
	if (!cells || !notes)
		return false;
	grid->room = room;
	return true;
}

static void __attribute__((format(printf, 3, 0)))
add(struct grid *grid, bool note, const char *format, va_list args)
{
	char text[GRID_CELL_MAX];

	if (!make_room(grid, 1))
		return;
	vsnprintf(text, sizeof(text), format, args);
	grid_harmless(text);
	grid->notes[grid->count] = note;
	grid->cells[grid->count++] = strdup(text);
}

void
grid_cell(struct grid *grid, const char *format, ...)
{
	size_t before = grid->count;
	va_list args;

	va_start(args, format);
	add(grid, false, format, args);
	va_end(args);
	if (grid->count > before && grid->cells[before]) {
		int width = width_of(grid->cells[before]);
		int *column = &grid->widths[before % grid->columns];

		*column = width > *column ? width : *column;
	}
}

void
grid_note(struct grid *grid, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(grid, true, format, args);
	va_end(args);
	while (grid->count % grid->columns != 0 && make_room(grid, 1)) {
		grid->notes[grid->count] = false;
		grid->cells[grid->count++] = NULL;
	}
}

static void
print_cell(const struct grid *grid, size_t column, const char *text, FILE *out)
{
	bool right = grid->headings[column][0] == '>';
	int gap = grid->widths[column] - width_of(text);
	bool last = column + 1 == grid->columns;

	fprintf(out, "%s%*s%s%*s", column > 0 ? "  " : "", right ? gap : 0, "", text, right || last ? 0 : gap, "");
}

void
grid_print(const struct grid *grid, FILE *out)
{
	for (size_t i = 0; i < grid->columns; i++)
		print_cell(grid, i, heading_text(grid->headings[i]), out);
	fputc('\n', out);
	for (size_t row = 0; row + grid->columns <= grid->count; row += grid->columns) {
		if (grid->notes[row])
			fprintf(out, "%*s%s", NOTE_INDENT, "", grid->cells[row] ? grid->cells[row] : "");
		for (size_t i = 0; !grid->notes[row] && i < grid->columns; i++)
			print_cell(grid, i, grid->cells[row + i] ? grid->cells[row + i] : "", out);
		fputc('\n', out);
	}
}
