#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/document.h"
#include "conf/mistakes.h"

#define READ_BYTES	65536
#define LINES_ABOVE_MAX 50 /* of comments and blanks that are looked beyond */

/* One file on its way into the document. */
struct intake {
	struct document *document;
	struct mistakes *mistakes;
	const struct intake *includer; /* NULL for the first file */
	const char *at;
	const char *end; /* a NUL stands there */
	size_t file;
	unsigned line;
	unsigned depth;
	bool includes;
	dev_t device; /* which file that is, to notice that it includes itself */
	ino_t inode;
};

void
document_init(struct document *document)
{
	memset(document, 0, sizeof(*document));
}

void
document_done(struct document *document)
{
	for (size_t i = 0; i < document->file_count; i++)
		free(document->files[i]);
	free(document->files);
	free(document->places);
	free(document->text);
	document_init(document);
}

static const struct document_place *
place_of(const struct document *document, size_t flat)
{
	static const struct document_place nowhere = { .file = 0, .line = 1 };

	if (document->place_count == 0)
		return &nowhere;
	if (flat > document->place_count)
		flat = document->place_count;
	return &document->places[flat > 0 ? flat - 1 : 0];
}

size_t
document_file_at(const struct document *document, size_t flat)
{
	return place_of(document, flat)->file;
}

const char *
document_file(const struct document *document, size_t flat)
{
	return document->file_count ? document->files[place_of(document, flat)->file] : "";
}

unsigned
document_line(const struct document *document, size_t flat)
{
	return place_of(document, flat)->line;
}

struct syntax_line
document_text(const struct document *document, size_t flat)
{
	const char *at = document->text, *end;

	if (!at || flat == 0)
		return (struct syntax_line){ .text = NULL };
	for (; flat > 1; flat--) {
		end = strchr(at, '\n');
		if (!end)
			return (struct syntax_line){ .text = NULL };
		at = end + 1;
	}
	end = strchr(at, '\n');
	return (struct syntax_line){ .text = at, .length = end ? (size_t)(end - at) : strlen(at) };
}

struct syntax_line
document_text_above(const struct document *document, size_t flat)
{
	size_t last = flat > LINES_ABOVE_MAX ? flat - LINES_ABOVE_MAX : 1;

	while (flat > last) {
		struct syntax_line line = document_text(document, --flat);
		size_t blanks = line.text ? strspn(line.text, " \t\r") : 0;

		if (line.text && blanks < line.length && line.text[blanks] != '#')
			return line;
	}
	return (struct syntax_line){ .text = NULL };
}

/* Say where the current flat line comes from. */
static int
mark_place(struct intake *intake, bool new_line)
{
	struct document *document = intake->document;

	if (new_line || document->place_count == 0) {
		if (document->place_count == document->place_capacity) {
			size_t capacity = document->place_capacity ? 2 * document->place_capacity : 256;
			struct document_place *places = realloc(document->places, capacity * sizeof(*places));

			if (!places)
				return -ENOMEM;
			document->places = places;
			document->place_capacity = capacity;
		}
		document->place_count++;
	}
	document->places[document->place_count - 1] =
	    (struct document_place){ .file = intake->file, .line = intake->line };
	return 0;
}

static int
make_room(struct document *document, size_t more)
{
	size_t capacity = document->capacity ? document->capacity : 4096;
	ptrdiff_t comma = document->comma ? document->comma - document->text : -1;
	char *text;

	while (capacity < document->length + more + 1)
		capacity *= 2;
	if (capacity == document->capacity)
		return 0;
	text = realloc(document->text, capacity);
	if (!text)
		return -ENOMEM;
	document->text = text;
	document->capacity = capacity;
	document->comma = comma >= 0 ? text + comma : NULL;
	return 0;
}

static int
put(struct document *document, const char *text, size_t length)
{
	int error = make_room(document, length);

	if (error)
		return error;
	memcpy(document->text + document->length, text, length);
	document->length += length;
	document->text[document->length] = '\0';
	return 0;
}

/* Copy `length` bytes of the file, counting its lines. */
static int
copy(struct intake *intake, size_t length)
{
	while (length > 0) {
		const char *newline = memchr(intake->at, '\n', length);
		size_t part = newline ? (size_t)(newline - intake->at) + 1 : length;
		int error = put(intake->document, intake->at, part);

		if (error)
			return error;
		intake->at += part;
		length -= part;
		if (newline) {
			intake->line++;
			error = mark_place(intake, true);
			if (error)
				return error;
		}
	}
	return 0;
}

static size_t
digits(const char *at)
{
	return strspn(at, "0123456789");
}

static size_t
exponent(const char *at)
{
	size_t sign = at[0] != '\0' && (at[1] == '-' || at[1] == '+');

	if ((*at != 'e' && *at != 'E') || digits(at + 1 + sign) == 0)
		return 0;
	return 1 + sign + digits(at + 1 + sign);
}

static size_t
suffix(const char *at)
{
	return at[0] != 'L' ? 0 : at[1] != 'L' ? 1 : 2;
}

/* An integer beyond 64 bits goes on as a floating-point number, whose size is right and which no whole number
 * is read from. */
static int
put_huge(struct intake *intake, size_t length, bool hexadecimal)
{
	char text[DBL_MAX_10_EXP + 8];
	double number;
	int error;

	if (!hexadecimal) {
		error = put(intake->document, intake->at, length);
		return error ? error : put(intake->document, ".0", 2);
	}
	number = strtod(intake->at, NULL);
	if (isinf(number))
		strcpy(text, "1e999");
	else
		snprintf(text, sizeof(text), "%.0f.0", number);
	return put(intake->document, text, strlen(text));
}

/* A number as libconfig's scanner.l cuts it out. */
static int
copy_number(struct intake *intake)
{
	const char *at = intake->at;
	size_t sign = *at == '-' || *at == '+';
	size_t length = sign + digits(at + sign);
	bool hexadecimal = false, overflow, wide;
	int error;

	if (length == 1 && at[0] == '0' && (at[1] == 'x' || at[1] == 'X') &&
	    strspn(at + 2, "0123456789abcdefABCDEF") > 0) {
		hexadecimal = true;
		length = 2 + strspn(at + 2, "0123456789abcdefABCDEF");
	} else if (at[length] == '.') {
		length += 1 + digits(at + length + 1);
		length += exponent(at + length);
		return copy(intake, length);
	} else if (length == sign) {
		return copy(intake, 1);
	} else if (exponent(at + length) > 0) {
		return copy(intake, length + exponent(at + length));
	}

	errno = 0;
	if (hexadecimal) {
		unsigned long long number = strtoull(at, NULL, 16);

		overflow = errno == ERANGE || number > INT64_MAX;
		wide = number > INT32_MAX;
	} else {
		long long number = strtoll(at, NULL, 10);

		overflow = errno == ERANGE;
		wide = number < INT32_MIN || number > INT32_MAX;
	}
	if (overflow) {
		error = put_huge(intake, length, hexadecimal);
		intake->at += length + suffix(at + length);
		return error;
	}
	error = copy(intake, length);
	if (!error && wide && suffix(intake->at) == 0)
		error = put(intake->document, "L", 1);
	return error ? error : copy(intake, suffix(intake->at));
}

static int
copy_comment(struct intake *intake)
{
	const char *close = strstr(intake->at + 2, "*/");

	if (!close) {
		mistakes_add_line(intake->mistakes, intake->document->place_count,
		    "the comment that begins here has no end, '*/' is required");
		return -EINVAL;
	}
	return copy(intake, (size_t)(close - intake->at) + 2);
}

static int
copy_string(struct intake *intake)
{
	const char *at = intake->at + 1;

	while (*at && *at != '"' && *at != '\n')
		at += *at == '\\' && at[1] && at[1] != '\n' ? 2 : 1;
	if (*at != '"') {
		/* libconfig lets a string go on over lines, and so finds a forgotten quote where the next
		 * string begins. */
		mistakes_add_line(intake->mistakes, intake->document->place_count,
		    "a string that begins on this line has no end, '\"' on the same line is required");
		return -EINVAL;
	}
	return copy(intake, (size_t)(at - intake->at) + 1);
}

static size_t
name_length(const char *at)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz*-_0123456789";

	return *at && strchr(letters, *at) && strcspn(at, "-_0123456789") > 0 ? strspn(at, letters) : 0;
}

static int take_file(
    const struct intake *includer, struct document *document, struct mistakes *mistakes, const char *path);

/* `name` as seen from the file that includes it. Returns NULL when there is no memory. */
static char *
include_path(const char *includer, const char *name, size_t length)
{
	const char *slash = strrchr(includer, '/');
	char *path = NULL;
	int folder = slash && *name != '/' ? (int)(slash - includer) + 1 : 0;

	return asprintf(&path, "%.*s%.*s", folder, includer, (int)length, name) < 0 ? NULL : path;
}

/* At the beginning of a line: the length of '@include "' there, or 0. */
static size_t
include_length(const struct intake *intake)
{
	size_t before = strspn(intake->at, " \t"), between;

	if (strncmp(intake->at + before, "@include", 8) != 0)
		return 0;
	between = strspn(intake->at + before + 8, " \t");
	return between > 0 && intake->at[before + 8 + between] == '"' ? before + 8 + between + 1 : 0;
}

static int
take_include(struct intake *intake, size_t directive)
{
	const char *name = intake->at + directive;
	size_t length = strcspn(name, "\"\n");
	size_t flat = intake->document->place_count;
	char *path;
	int error;

	if (name[length] != '"' || length == 0 || length >= PATH_MAX) {
		mistakes_add_line(
		    intake->mistakes, flat, "@include names no file, '@include \"FILE\"' is required");
		return -EINVAL;
	}
	if (!intake->includes || intake->depth >= DOCUMENT_MAX_DEPTH) {
		mistakes_add_line(intake->mistakes, flat,
		    "@include is not possible here, allowed are %d files within each other",
		    DOCUMENT_MAX_DEPTH);
		return -EINVAL;
	}
	path = include_path(intake->document->files[intake->file], name, length);
	if (!path)
		return -ENOMEM;
	error = take_file(intake, intake->document, intake->mistakes, path);
	free(path);
	if (error)
		return error;
	/* Back in this file. What follows must not look like the beginning of a line: libconfig would take a
	 * second @include. */
	intake->at = name + length + 1;
	error = mark_place(intake, false);
	return error ? error : put(intake->document, "/**/", 4);
}

/* Count levels and settings. Returns 0 or -EINVAL when there are too many. */
static int
count_token(struct intake *intake)
{
	struct document *document = intake->document;
	unsigned limit = 0;

	switch (*intake->at) {
	case '{':
	case '(':
	case '[':
		if (document->level + 1 == DOCUMENT_MAX_LEVELS)
			limit = DOCUMENT_MAX_LEVELS - 1;
		else
			document->settings[++document->level] = 0;
		break;
	case '}':
	case ')':
	case ']':
		document->level -= document->level > 0;
		break;
	case '=':
	case ':':
		if (++document->settings[document->level] > DOCUMENT_MAX_SETTINGS)
			limit = DOCUMENT_MAX_SETTINGS;
		break;
	default:
		break;
	}
	if (limit == 0)
		return 0;
	mistakes_add_line(intake->mistakes, document->place_count, "too many %s, allowed are %u",
	    limit == DOCUMENT_MAX_SETTINGS ? "settings in one group" : "brackets within brackets", limit);
	return -EINVAL;
}

/* Copy up to the end of the next token. */
static int
copy_token(struct intake *intake, bool line_begins)
{
	struct document *document = intake->document;
	const char *at = intake->at;
	size_t length = line_begins ? include_length(intake) : 0;
	int error;

	if (length > 0)
		return take_include(intake, length);
	if (strchr(" \t\r\n\f", *at))
		return copy(intake, 1);
	if (*at == '#' || (at[0] == '/' && at[1] == '/'))
		return copy(intake, strcspn(at, "\n"));
	if (at[0] == '/' && at[1] == '*')
		return copy_comment(intake);
	if ((*at == ')' || *at == ']') && document->comma)
		*document->comma = ' ';
	document->comma = NULL;
	if (*at == '"')
		return copy_string(intake);
	if (name_length(at) > 0)
		return copy(intake, name_length(at));
	if (strchr("+-.0123456789", *at))
		return copy_number(intake);
	error = count_token(intake);
	if (!error)
		error = copy(intake, 1);
	if (!error && *at == ',')
		document->comma = document->text + document->length - 1;
	return error;
}

static int
take_text(struct intake *intake)
{
	static const char byte_order_mark[] = "\xEF\xBB\xBF";
	const char *begin, *nul;
	int error;

	if (strncmp(intake->at, byte_order_mark, 3) == 0)
		intake->at += 3;
	begin = intake->at;
	error = mark_place(intake, false);
	nul = memchr(intake->at, '\0', (size_t)(intake->end - intake->at));
	if (!error && nul) {
		for (const char *c = begin; c < nul; c++)
			intake->line += *c == '\n'; /* NOLINT: text of the file, up to `nul` in it */
		error = mark_place(intake, false);
		mistakes_add_line(intake->mistakes, intake->document->place_count,
		    "a byte 0 stands here, text is required");
		return error ? error : -EINVAL;
	}
	while (!error && intake->at < intake->end)
		error = copy_token(intake, intake->at == begin || intake->at[-1] == '\n');
	/* A comment is none for libconfig without the end of its line; and the includer goes on in a line of
	 * its own. */
	if (!error)
		error = put(intake->document, "\n", 1);
	return error ? error : mark_place(intake, true);
}

static int
add_file(struct document *document, const char *name, size_t *ret)
{
	char **files = realloc(document->files, (document->file_count + 1) * sizeof(*files));

	if (!files)
		return -ENOMEM;
	document->files = files;
	files[document->file_count] = strdup(name);
	if (!files[document->file_count])
		return -ENOMEM;
	*ret = document->file_count++;
	return 0;
}

/* All of an open file, terminated. */
static int
read_all(int fd, size_t limit, char **ret, size_t *ret_length)
{
	size_t length = 0, capacity = 0;
	char *data = NULL;
	ssize_t got;

	do {
		if (capacity - length < READ_BYTES + 1) {
			char *more = realloc(data, capacity = 2 * capacity + READ_BYTES + 1);

			if (!more) {
				free(data);
				return -ENOMEM;
			}
			data = more;
		}
		got = read(fd, data + length, READ_BYTES);
		if (got > 0)
			length += (size_t)got;
		if (got < 0 && errno != EINTR) {
			int error = -errno;

			free(data);
			return error;
		}
	} while (got != 0 && length <= limit);
	if (length > limit) {
		free(data);
		return -EFBIG;
	}
	data[length] = '\0';
	*ret = data;
	*ret_length = length;
	return 0;
}

static bool
is_open_already(const struct intake *includer, const struct stat *status)
{
	for (; includer; includer = includer->includer)
		if (includer->device == status->st_dev && includer->inode == status->st_ino)
			return true;
	return false;
}

/* Returns 0, negative errno of the file, or -ELOOP if it includes itself. */
static int
open_file(const struct intake *includer, const char *path, struct stat *ret_status)
{
	/* The first file may be a pipe; an include is a plain file, and looking at another one must not
	 * block. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (includer ? O_NONBLOCK : 0));
	int error = 0;

	if (fd < 0 || fstat(fd, ret_status) != 0)
		error = -errno;
	else if (S_ISDIR(ret_status->st_mode))
		error = -EISDIR;
	else if (includer && !S_ISREG(ret_status->st_mode))
		error = -EINVAL;
	else if (is_open_already(includer, ret_status))
		error = -ELOOP;
	if (error && fd >= 0)
		close(fd);
	return error ? error : fd;
}

static void
report_file(const struct intake *includer, struct mistakes *mistakes, const char *path, int error)
{
	if (!includer)
		mistakes_add_file(mistakes, path, "%s", strerror(-error));
	else if (error == -ELOOP)
		mistakes_add_line(mistakes, includer->document->place_count,
		    "@include \"%s\": the file includes itself", path);
	else
		mistakes_add_line(mistakes, includer->document->place_count, "@include \"%s\": %s%s", path,
		    error == -EINVAL ? "not a plain file" : strerror(-error),
		    strpbrk(path, "*?") ? ", the name of one file is required" : "");
}

static int
take_file(
    const struct intake *includer, struct document *document, struct mistakes *mistakes, const char *path)
{
	struct intake intake = {
		.document = document, .mistakes = mistakes, .includer = includer, .line = 1, .includes = true
	};
	struct stat status = { .st_size = 0 };
	size_t length = 0;
	char *data = NULL;
	int fd = open_file(includer, path, &status);
	int error = fd < 0 ? fd : read_all(fd, DOCUMENT_MAX_BYTES - document->length, &data, &length);

	if (fd >= 0)
		close(fd);
	if (error && error != -ENOMEM) {
		report_file(includer, mistakes, path, error);
		return -EINVAL;
	}
	if (!error)
		error = add_file(document, path, &intake.file);
	if (!error) {
		intake.at = data;
		intake.end = data + length;
		intake.depth = includer ? includer->depth + 1 : 0;
		intake.device = status.st_dev;
		intake.inode = status.st_ino;
		error = take_text(&intake);
	}
	free(data);
	return error;
}

int
document_read(struct document *document, const char *path, struct mistakes *mistakes)
{
	return take_file(NULL, document, mistakes, path);
}

int
document_take(
    struct document *document, const char *name, const char *text, size_t length, struct mistakes *mistakes)
{
	struct intake intake = { .document = document, .mistakes = mistakes, .line = 1, .includes = false };
	char *data = malloc(length + 1);
	int error = data ? add_file(document, name, &intake.file) : -ENOMEM;

	if (!error) {
		if (length > 0)
			memcpy(data, text, length);
		data[length] = '\0';
		intake.at = data;
		intake.end = data + length;
		error = take_text(&intake);
	}
	free(data);
	return error;
}

/* Names of the groups that are open, for document_duplicate(). */
struct seen {
	const char *name;
	size_t length;
	size_t flat;
	unsigned depth;
};

struct search {
	struct seen *seen;
	size_t count;
	size_t capacity;
	unsigned depth;
};

static const struct seen *
find_seen(const struct search *search, const char *name, size_t length)
{
	for (size_t i = search->count; i > 0 && search->seen[i - 1].depth == search->depth; i--)
		if (search->seen[i - 1].length == length &&
		    memcmp(search->seen[i - 1].name, name, length) == 0)
			return &search->seen[i - 1];
	return NULL;
}

static bool
add_seen(struct search *search, const char *name, size_t length, size_t flat)
{
	if (search->count == search->capacity) {
		size_t capacity = search->capacity ? 2 * search->capacity : 64;
		struct seen *seen = realloc(search->seen, capacity * sizeof(*seen));

		if (!seen)
			return false;
		search->seen = seen;
		search->capacity = capacity;
	}
	search->seen[search->count++] =
	    (struct seen){ .name = name, .length = length, .flat = flat, .depth = search->depth };
	return true;
}

/* The length of a string, comment or name that the text begins with; 1 for anything else. */
static size_t
token_length(const char *at)
{
	const char *end = at + 1;

	if (*at == '#' || (at[0] == '/' && at[1] == '/'))
		return strcspn(at, "\n");
	if (at[0] == '/' && at[1] == '*') {
		end = strstr(at + 2, "*/");
		return end ? (size_t)(end - at) + 2 : strlen(at);
	}
	if (*at == '"') {
		while (*end && *end != '"')
			end += *end == '\\' && end[1] ? 2 : 1;
		return (size_t)(end - at) + (*end == '"');
	}
	return name_length(at) > 0 ? name_length(at) : 1;
}

/* Look at one token. Returns the setting that stood there before. */
static const struct seen *
search_token(struct search *search, const char *at, size_t length, size_t flat, bool *ret_stop)
{
	const struct seen *first = NULL;

	if (*at == '{' || *at == '(')
		search->depth++;
	if ((*at == '}' || *at == ')') && search->depth > 0) {
		while (search->count > 0 && search->seen[search->count - 1].depth >= search->depth)
			search->count--;
		search->depth--;
	}
	if (name_length(at) > 0 && strchr("=:", at[length + strspn(at + length, " \t\r\n")])) {
		first = find_seen(search, at, length);
		if (!first && !add_seen(search, at, length, flat))
			*ret_stop = true;
	}
	return first;
}

char *
document_duplicate(const struct document *document, size_t flat, size_t *ret_first)
{
	struct search search = { .depth = 0 };
	char *name = NULL;
	size_t line = 1;
	bool stop = !document->text;

	for (const char *at = document->text; !stop && *at && line <= flat && !name;) {
		size_t length = token_length(at);
		const struct seen *first = search_token(&search, at, length, line, &stop);

		if (first) {
			name = strndup(at, length);
			*ret_first = first->flat;
		}
		for (; length > 0; length--)
			line += *at++ == '\n';
	}
	free(search.seen);
	return name;
}
