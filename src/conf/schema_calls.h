/* The rows of calls: what the gateway asks the server for. Part of schema.c. */
#ifndef CONF_SCHEMA_CALLS_H
#define CONF_SCHEMA_CALLS_H

#include "conf/schema.h"

extern const struct setting_group schema_call;
extern const struct setting_group schema_call_param;
extern const struct setting_group schema_call_result;

#endif
