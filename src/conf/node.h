/* What the judges ask of a group that was read: which of its settings were given, and whether they were right. The
 * name must be one of the group's.
 */
#ifndef CONF_NODE_H
#define CONF_NODE_H

#include "conf/schema.h"

struct mistakes;

/* Was it given, and rightly so? */
bool node_has(const struct setting_group *group, const struct node *node, const char *name);

/* Was it given, right or wrong? */
bool node_is_given(const struct setting_group *group, const struct node *node, const char *name);

/* Was it given, and is wrong? Then what depends on it is not judged. */
bool node_is_wrong(const struct setting_group *group, const struct node *node, const char *name);

/* A mistake of the node's setting `name`, or of the node itself without one. Returns false, for the judge that has
 * found it. */
bool node_fault(struct mistakes *mistakes, const struct node *node, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
