/* gateway.conf -> settings, or the list of everything that is wrong with it. One thread, at start and at reload.
 *
 * The file is libconfig's format; what it may hold stands in conf/schema_*.c, a row per setting. All mistakes are found in one
 * run, each as "file:line: path: what is wrong, what is allowed".
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "model/settings.h"

#include <stddef.h>

struct conf_report {
	char **lines; /* one mistake each, without newline, in the order of the file */
	size_t count;
};

/* Read and check `path`. Returns 0 and the settings, the caller's to free; -EINVAL with at least one line in the report;
 * -ENOMEM. The report is filled in any case and must be given to conf_report_done(). */
int conf_load(const char *path, struct settings **ret_settings, struct conf_report *ret_report);

void conf_report_done(struct conf_report *report);

#endif
