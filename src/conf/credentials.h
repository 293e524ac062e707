/* What devices show to the server, and the files that secrets and certificates are in.
 *
 * A file whose name is relative is looked for in the folder that systemd puts credentials in ($CREDENTIALS_DIRECTORY), then
 * beside the file of the configuration that names it. Tokens and passwords are read here, once; of certificates and keys only
 * the path is settled, for they are read when a connection is made.
 */
#ifndef CONF_CREDENTIALS_H
#define CONF_CREDENTIALS_H

#include "conf/schema.h"

struct document;
struct mistakes;

/* Complete the credentials of each device; what is wrong is added to the mistakes, and no secret to their text. New text lives in
 * `scratch`. Returns 0 whether or not there are mistakes; -ENOMEM. */
int credentials_settle(struct root_input *root, const struct document *document, struct settings *scratch,
    struct mistakes *mistakes);

#endif
