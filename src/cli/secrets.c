#include "cli/secrets.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cloud/tls.h"

/* ---- who can read them ---- */

struct secret {
	const char *file;
	const char *what;
};

struct secrets {
	struct secret *list; /* up to 5 of each device, and the server's */
	size_t count;
};

static void
add(struct secrets *secrets, const char *file, const char *what)
{
	if (file)
		secrets->list[secrets->count++] = (struct secret){ .file = file, .what = what };
}

static bool
is_inline(const struct device *device)
{
	const struct credentials *credentials = &device->credentials;

	return (!credentials->secret_file && (credentials->token || credentials->password)) ||
	       (device->claim && !device->claim->secret_file) || (device->provision && !device->provision->secret_file);
}

static void
add_device(struct secrets *secrets, const struct device *device)
{
	add(secrets, device->credentials.key_file, "a key");
	add(secrets, device->credentials.secret_file, "a secret");
	add(secrets, device->claim ? device->claim->secret_file : NULL, "a secret");
	add(secrets, device->provision ? device->provision->secret_file : NULL, "a secret");
	add(secrets, is_inline(device) ? device->source.file : NULL, "tokens");
}

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct secret *)a)->file, ((const struct secret *)b)->file);
}

void
secrets_warn(const struct settings *settings)
{
	struct secrets secrets = { .list = calloc(5 * settings->device_count + 1, sizeof(struct secret)) };
	struct stat status;

	if (!secrets.list)
		return;
	add(&secrets, settings->server.tls.key_file, "a key");
	for (size_t i = 0; i < settings->device_count; i++)
		add_device(&secrets, &settings->devices[i]);
	qsort(secrets.list, secrets.count, sizeof(secrets.list[0]), compare);
	for (size_t i = 0; i < secrets.count; i++) {
		const struct secret *secret = &secrets.list[i];

		if (i > 0 && strcmp(secret->file, secret[-1].file) == 0)
			continue;
		if (stat(secret->file, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & S_IROTH))
			fprintf(stderr, "warning: %s: readable by everybody, and it holds %s: chmod 640\n", secret->file,
			    secret->what);
	}
	free(secrets.list);
}

/* ---- certificates ---- */

static bool
is_usable(struct tls *tls, const char *cert_file, const char *key_file, const char **ret_why)
{
	SSL_CTX *context = tls_context(tls, cert_file, key_file, ret_why);

	SSL_CTX_free(context);
	return context != NULL;
}

static bool
judge_device(struct tls *tls, const struct device *device)
{
	const struct credentials *credentials = &device->credentials;
	const char *why;

	if (!credentials->cert_file || is_usable(tls, credentials->cert_file, credentials->key_file, &why))
		return true;
	fprintf(stderr, "%s:%u: device %s: %s\n", device->source.file, device->source.line, device->name, why);
	return false;
}

int
secrets_judge(const struct settings *settings)
{
	struct tls *tls = settings->server.tls.on ? tls_new(&settings->server) : NULL;
	const char *why;
	bool server;
	int error;

	if (!settings->server.tls.on)
		return 0;
	if (!tls)
		return -ENOMEM;
	server = is_usable(tls, NULL, NULL, &why);
	error = server ? 0 : -EINVAL;
	if (!server)
		fprintf(stderr, "server: %s\n", why);
	/* Without the server's none is. */
	for (size_t i = 0; server && i < settings->device_count; i++)
		error = judge_device(tls, &settings->devices[i]) ? error : -EINVAL;
	tls_free(tls);
	return error;
}
