/* libconfig's tree -> inputs, by the rows of the schema: every name is known, every value of its kind and in
 * its range. What only shows when several settings are seen together is the business of verify.c.
 */
#ifndef CONF_READER_H
#define CONF_READER_H

#include "conf/schema.h"
#include "model/settings.h"

struct mistakes;

/* Read the tree below `root`; values that are wrong keep their default and are not valid in their node.
 * scratch  holds the inputs; texts still belong to libconfig
 * Returns 0 whether or not there are mistakes; -ENOMEM. */
int reader_read(const struct config_setting_t *root, struct settings *scratch, struct mistakes *mistakes,
    struct root_input *ret);

#endif
