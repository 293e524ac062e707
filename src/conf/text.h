/* A configuration that is in memory and no file: for tests. Includes are refused. */
#ifndef CONF_TEXT_H
#define CONF_TEXT_H

#include "conf/conf.h"

/* As conf_load(), with `name` for messages; the text needs no terminator. */
int conf_load_text(const char *name, const char *text, size_t length, struct settings **ret_settings,
    struct conf_report *ret_report);

#endif
