/* What only shows when several settings are seen together: names that are given twice or lead nowhere, points
 * that do not fit their table or type, units that their bus does not have. Also works out the defaults that
 * depend on other settings.
 */
#ifndef CONF_VERIFY_H
#define CONF_VERIFY_H

#include "conf/schema.h"

struct mistakes;

/* Check the inputs and complete them; a setting that the reader has found wrong already is not judged again.
 * Returns 0 whether or not there are mistakes; -ENOMEM. */
int verify_all(struct root_input *root, struct mistakes *mistakes);

#endif
