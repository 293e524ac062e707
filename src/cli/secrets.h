/* What fieldgate check has to say of the files that secrets and certificates are in. */
#ifndef CLI_SECRETS_H
#define CLI_SECRETS_H

#include "model/settings.h"

/* Warn on standard error of every file with a secret in it that everybody can read. */
void secrets_warn(const struct settings *settings);

/* Can each certificate and its key be used? What cannot is said on standard error. Returns 0; -EINVAL; -ENOMEM. */
int secrets_judge(const struct settings *settings);

#endif
