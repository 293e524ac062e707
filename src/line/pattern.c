#include "line/pattern.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* Steps of one match: some milliseconds on a slow computer. What needs more is no match. */
#define MATCH_STEPS_MAX 200000
#define MATCH_DEPTH_MAX 10000
#define MATCH_HEAP_KB	4096

struct pattern {
	pcre2_code *code;
	pcre2_match_data *match;
	pcre2_match_context *limits;
};

static int
compile(struct pattern *pattern, const char *text, char *wrong)
{
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	int error = 0;
	size_t at = 0;
	unsigned char said[PATTERN_TEXT_MAX - 40] = "";

	if (!context)
		return -ENOMEM;
	/* A line may end in CR, LF or both, and is bytes whatever a pattern would like. */
	pcre2_set_newline(context, PCRE2_NEWLINE_ANYCRLF);
	pattern->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
	    PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &at, context);
	pcre2_compile_context_free(context);
	if (pattern->code)
		return 0;
	pcre2_get_error_message(error, said, sizeof(said));
	if (wrong)
		snprintf(wrong, PATTERN_TEXT_MAX, "%s at character %zu", (const char *)said, at);
	return error == PCRE2_ERROR_HEAP_FAILED ? -ENOMEM : -EINVAL;
}

int
pattern_new(const char *text, struct pattern **ret, char *wrong)
{
	struct pattern *pattern = calloc(1, sizeof(*pattern));
	int error = pattern ? compile(pattern, text, wrong) : -ENOMEM;

	if (error)
		goto out;
	pattern->match = pcre2_match_data_create_from_pattern(pattern->code, NULL);
	pattern->limits = pcre2_match_context_create(NULL);
	if (!pattern->match || !pattern->limits) {
		error = -ENOMEM;
		goto out;
	}
	pcre2_set_match_limit(pattern->limits, MATCH_STEPS_MAX);
	pcre2_set_depth_limit(pattern->limits, MATCH_DEPTH_MAX);
	pcre2_set_heap_limit(pattern->limits, MATCH_HEAP_KB);
	*ret = pattern;
	return 0;
out:
	pattern_free(pattern);
	return error;
}

void
pattern_free(struct pattern *pattern)
{
	if (!pattern)
		return;
	pcre2_match_context_free(pattern->limits);
	pcre2_match_data_free(pattern->match);
	pcre2_code_free(pattern->code);
	free(pattern);
}

int
pattern_match(struct pattern *pattern, const uint8_t *bytes, size_t length)
{
	int count = pcre2_match(pattern->code, length > 0 ? bytes : (const uint8_t *)"", length, 0, 0, pattern->match,
	    pattern->limits);

	if (count >= 0)
		return 1;
	return count == PCRE2_ERROR_NOMATCH ? 0 : -ELOOP;
}

int
pattern_group(const struct pattern *pattern, const char *name)
{
	int group = pcre2_substring_number_from_name(pattern->code, (PCRE2_SPTR)name);

	return group > 0 ? group : -1;
}

int
pattern_groups(const struct pattern *pattern)
{
	uint32_t count = 0;

	pcre2_pattern_info(pattern->code, PCRE2_INFO_CAPTURECOUNT, &count);
	return (int)count;
}

bool
pattern_taken(const struct pattern *pattern, int group, size_t *ret_from, size_t *ret_to)
{
	const size_t *pairs = pcre2_get_ovector_pointer(pattern->match);

	if (group < 0 || (uint32_t)group >= pcre2_get_ovector_count(pattern->match) ||
	    pairs[2 * group] == PCRE2_UNSET || pairs[2 * group] > pairs[2 * group + 1])
		return false;
	*ret_from = pairs[2 * group];
	*ret_to = pairs[2 * group + 1];
	return true;
}
