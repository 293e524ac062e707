#include "conf/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/document.h"
#include "conf/mistakes.h"
#include "conf/node.h"

#define SECRET_FILE_MAX 4096 /* bytes; a secret has 255 characters */

struct settle {
	struct root_input *root;
	const struct document *document;
	struct settings *scratch;
	struct mistakes *mistakes;
};

/* One setting that names a file. */
struct named {
	const struct node *node;
	const char *name;
	const char *file; /* as it stands there */
};

/* ---- files ---- */

/* The folder of the configuration's file that the setting stands in, with a '/' at its end unless it is the current one. */
static int
folder_of(const struct settle *settle, const struct named *named, const char **ret_file)
{
	const config_setting_t *setting = config_setting_get_member(named->node->setting, named->name);
	size_t flat = config_setting_source_line(setting ? setting : named->node->setting);
	const char *slash;

	*ret_file = document_file(settle->document, flat);
	slash = strrchr(*ret_file, '/');
	return slash ? (int)(slash + 1 - *ret_file) : 0;
}

static const char *
join(struct settle *settle, const char *folder, int length, const char *file)
{
	size_t size = (size_t)length + strlen(file) + 2;
	char *path = settings_alloc(settle->scratch, size);

	if (path)
		snprintf(path, size, "%.*s%s%s", length, folder, length > 0 && folder[length - 1] != '/' ? "/" : "", file);
	return path;
}

static void
report_missing(struct settle *settle, const struct named *named, const char *systemd)
{
	char quoted[MISTAKES_QUOTE_SIZE];
	const char *file;
	int length = folder_of(settle, named, &file);

	mistakes_quote(named->file, quoted);
	if (named->file[0] == '/')
		mistakes_add(settle->mistakes, named->node->setting, named->name, "there is no file %s", quoted);
	else
		mistakes_add(settle->mistakes, named->node->setting, named->name,
		    "there is no file %s, neither in $CREDENTIALS_DIRECTORY (%s) nor beside this file (in %.*s)", quoted,
		    systemd ? systemd : "which is not set", length ? length : 1, length ? file : ".");
}

/* Open what the setting names. Returns a descriptor and the path; -EINVAL after a mistake; -ENOMEM. */
static int
open_named(struct settle *settle, const struct named *named, const char **ret_path)
{
	const char *systemd = getenv("CREDENTIALS_DIRECTORY");
	const char *path = named->file, *beside, *conf_file;
	int length = folder_of(settle, named, &conf_file);
	char quoted[MISTAKES_QUOTE_SIZE];
	struct stat status;
	int fd, error;

	if (path[0] != '/') {
		beside = join(settle, conf_file, length, named->file);
		path = systemd ? join(settle, systemd, (int)strlen(systemd), named->file) : beside;
		if (!path || !beside)
			return -ENOMEM;
		if (access(path, F_OK) != 0)
			path = beside;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	error = fd < 0 ? errno : fstat(fd, &status) < 0 ? errno : S_ISREG(status.st_mode) ? 0 : EISDIR;
	if (error == 0) {
		*ret_path = path;
		return fd;
	}
	if (fd >= 0)
		close(fd);
	if (error == ENOENT)
		report_missing(settle, named, systemd);
	else
		mistakes_add(settle->mistakes, named->node->setting, named->name, "%s cannot be read: %s",
		    mistakes_quote(path, quoted), error == EISDIR ? "it is no file" : strerror(error));
	return -EINVAL;
}

/* Replace the name of a file by its path. Returns 0, also after a mistake; -ENOMEM. */
static int
settle_path(struct settle *settle, const struct node *node, const char *name, const char **file)
{
	const struct named named = { .node = node, .name = name, .file = *file };
	int fd = *file ? open_named(settle, &named, file) : -EINVAL;

	if (fd >= 0)
		close(fd);
	return fd == -ENOMEM ? -ENOMEM : 0;
}

/* Is it a secret as the row has it? Without the line's end, which an editor puts there. */
static const char *
judge_secret(const struct setting_row *row, char *text, size_t length)
{
	if (strlen(text) != length)
		return "has a NUL in it, text is required";
	while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
		text[--length] = '\0';
	if (schema_characters(text) < row->min)
		return "is empty, the secret is required in it";
	if (schema_characters(text) > row->max)
		return "holds more than the 255 characters that are allowed";
	return row->check((union setting_value){ .text = text });
}

/* The secret in a file. Returns 0, with NULL after a mistake; -ENOMEM. */
static int
read_secret(struct settle *settle, const struct named *named, const struct setting_row *row, const char **ret_path,
    const char **ret_secret)
{
	char text[SECRET_FILE_MAX + 1], quoted[MISTAKES_QUOTE_SIZE];
	int fd = open_named(settle, named, ret_path);
	const char *wrong;
	ssize_t got;

	*ret_secret = NULL;
	if (fd < 0)
		return fd == -ENOMEM ? -ENOMEM : 0;
	got = read(fd, text, SECRET_FILE_MAX);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	wrong = got < 0 ? "cannot be read" : judge_secret(row, text, (size_t)got);
	if (wrong)
		mistakes_add(settle->mistakes, named->node->setting, named->name, "%s %s",
		    mistakes_quote(*ret_path, quoted), wrong);
	else
		*ret_secret = settings_strdup(settle->scratch, text);
	explicit_bzero(text, sizeof(text));
	return wrong || *ret_secret ? 0 : -ENOMEM;
}

/* ---- the credentials of a device ---- */

static const struct setting_group *
group_of(const struct device_input *device)
{
	return device->is_gateway ? &schema_gateway : &schema_device;
}

static int
settle_token(struct settle *settle, struct device_input *device)
{
	const struct named file = { .node = &device->node, .name = "token_file", .file = device->token_file };
	struct credentials *credentials = &device->device.credentials;

	credentials->kind = CREDENTIALS_TOKEN;
	if (!device->token_file)
		return 0;
	if (node_is_given(group_of(device), &device->node, "token")) {
		mistakes_add(settle->mistakes, device->node.setting, "token_file", "the device has a token as well, one of the two is allowed");
		return 0;
	}
	return read_secret(settle, &file, schema_find(group_of(device), "token", 0),
	    &credentials->secret_file, &credentials->token);
}

static int
settle_basic(struct settle *settle, struct device_input *device)
{
	struct credentials_input *input = &device->credentials;
	const struct named file = { .node = &input->node, .name = "password_file", .file = input->password_file };
	struct credentials *credentials = &device->device.credentials;

	*credentials = input->credentials;
	credentials->kind = CREDENTIALS_BASIC;
	if (!node_is_given(&schema_credentials, &input->node, "client_id") && !node_is_given(&schema_credentials, &input->node, "user"))
		mistakes_add(settle->mistakes, device->node.setting, "credentials", "has neither user nor client_id, one of them is required");
	/* MQTT 3.1.1, 3.1.2.9: no password without a user name. */
	if ((node_is_given(&schema_credentials, &input->node, "password") || input->password_file) && !node_is_given(&schema_credentials, &input->node, "user"))
		mistakes_add(settle->mistakes, input->node.setting, "user", "missing, a password needs one");
	if (!input->password_file)
		return 0;
	if (node_is_given(&schema_credentials, &input->node, "password")) {
		mistakes_add(settle->mistakes, input->node.setting, "password_file", "there is a password as well, one of the two is allowed");
		return 0;
	}
	return read_secret(settle, &file, schema_find(&schema_credentials, "password", 0), &credentials->secret_file,
	    &credentials->password);
}

/* A certificate and its key. */
static int
settle_pair(struct settle *settle, const struct setting_group *group, const struct node *node, const char **cert_file, const char **key_file)
{
	int error;

	if (node_is_given(group, node, "cert_file") != node_is_given(group, node, "key_file"))
		mistakes_add(settle->mistakes, node->setting, node_is_given(group, node, "cert_file") ? "key_file" : "cert_file",
		    "missing, cert_file and key_file are required together");
	error = settle_path(settle, node, "cert_file", cert_file);
	return error ? error : settle_path(settle, node, "key_file", key_file);
}

static int
settle_certificate(struct settle *settle, struct device_input *device)
{
	struct credentials *credentials = &device->device.credentials;

	credentials->kind = CREDENTIALS_CERTIFICATE;
	if (settle->root->server.node.setting && !node_is_given(&schema_server, &settle->root->server.node, "tls"))
		mistakes_add(settle->mistakes, device->node.setting, node_is_given(group_of(device), &device->node, "cert_file") ? "cert_file" : "key_file",
		    "a certificate is shown with TLS only, server.tls is required");
	return settle_pair(settle, group_of(device), &device->node, &credentials->cert_file, &credentials->key_file);
}

/* The kinds, by the settings that belong to each. */
static const struct {
	const char *names[2];
	int (*settle)(struct settle *settle, struct device_input *device);
} kinds[] = {
	{ { "token", "token_file" }, settle_token },
	{ { "credentials", NULL }, settle_basic },
	{ { "cert_file", "key_file" }, settle_certificate },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* The first setting that is there of a kind, or NULL. */
static const char *
kind_given(const struct device_input *device, size_t kind)
{
	for (size_t i = 0; i < 2; i++)
		if (kinds[kind].names[i] && node_is_given(group_of(device), &device->node, kinds[kind].names[i]))
			return kinds[kind].names[i];
	return NULL;
}

/* A secret that stands in the configuration or in a file. */
static int
settle_either(struct settle *settle, const struct setting_group *group, const struct node *node, const char *name,
    const struct named *file, const char **path, const char **secret)
{
	if (node_is_given(group, node, name) && file->file) {
		mistakes_add(settle->mistakes, node->setting, file->name, "there is a %s as well, one of the two is allowed", name);
		return 0;
	}
	if (!node_is_given(group, node, name) && !node_is_given(group, node, file->name))
		mistakes_add(
		    settle->mistakes, node->setting, name, "missing, %s or %s is required", name, file->name);
	return file->file ? read_secret(settle, file, schema_find(group, name, 0), path, secret) : 0;
}

static int
settle_claim(struct settle *settle, struct claim_input *input)
{
	const struct named file = { .node = &input->node, .name = "secret_file", .file = input->secret_file };

	return input->node.setting ? settle_either(settle, &schema_claim, &input->node, "secret", &file,
					 &input->claim.secret_file, &input->claim.secret)
				   : 0;
}

static int
settle_provision(struct settle *settle, struct provision_input *input)
{
	struct named file = { .node = &input->node, .name = "key_file", .file = input->key_file };
	struct provision *provision = &input->provision;
	int error;

	if (!input->node.setting)
		return 0;
	error = settle_either(settle, &schema_provision, &input->node, "key", &file, &provision->secret_file, &provision->key);
	file.name = "secret_file";
	file.file = input->secret_file;
	return error ? error
		     : settle_either(settle, &schema_provision, &input->node, "secret", &file, &provision->secret_file,
			   &provision->secret);
}

/* Is the device to get its credentials from the server?
 * first  its first setting that is a credential, NULL if it has none */
static void
settle_provisioning(struct settle *settle, struct device_input *device, const char *first)
{
	bool own = device->provision.node.setting != NULL;
	const struct provision_input *input = own ? &device->provision : &settle->root->provision;
	bool certificate = device->device.credentials.kind == CREDENTIALS_CERTIFICATE;

	if (!input->node.setting || node_is_wrong(&schema_provision, &input->node, "type"))
		return;
	if (input->provision.type == PROVISION_CERTIFICATE ? certificate : !first)
		device->provision_input = input;
	else if (!first)
		mistakes_add(settle->mistakes, device->node.setting, "cert_file",
		    "missing, the device is to be provisioned with its certificate, which is required for that");
	else if (own)
		mistakes_add(settle->mistakes, device->node.setting, "provision",
		    "the device has a %s already, provision is allowed without, or with cert_file and type certificate", first);
}

static int
settle_device(struct settle *settle, struct device_input *device)
{
	const char *first = NULL;
	int error = settle_provision(settle, &device->provision);

	if (!error)
		error = settle_claim(settle, &device->claim);
	for (size_t i = 0; error == 0 && i < KINDS; i++) {
		const char *name = kind_given(device, i);

		if (name && first) {
			mistakes_add(settle->mistakes, device->node.setting, name, "the device has a %s already, one kind of credentials is allowed",
			    first);
		} else if (name) {
			first = name;
			error = kinds[i].settle(settle, device);
		}
	}
	/* By the gateway API only the gateway shows anything. */
	if (settle->root->server.server.api == API_GATEWAY && !device->is_gateway)
		return error;
	settle_provisioning(settle, device, first);
	if (!first && !device->provision.node.setting && !settle->root->provision.node.setting)
		mistakes_add(settle->mistakes, device->node.setting, "token",
		    "missing, one of token, token_file, credentials, cert_file, provision is required");
	return error;
}

/* ---- no two alike ---- */

struct shown {
	enum credentials_kind kind;
	const char *parts[2]; /* all that the server tells devices apart by */
	const struct device_input *device;
};

static struct shown
shown_by(const struct device_input *device)
{
	const struct credentials *credentials = &device->device.credentials;
	struct shown shown = { .device = device };

	if (credentials->kind == CREDENTIALS_TOKEN)
		shown.parts[0] = credentials->token;
	else if (credentials->kind == CREDENTIALS_CERTIFICATE)
		shown.parts[0] = credentials->cert_file;
	else if (credentials->kind == CREDENTIALS_BASIC) {
		shown.parts[0] = credentials->client_id;
		shown.parts[1] = credentials->user;
	}
	if (shown.parts[0] || shown.parts[1])
		shown.kind = credentials->kind;
	return shown;
}

static int
compare_credentials(const struct shown *a, const struct shown *b)
{
	int order = (int)a->kind - (int)b->kind;

	for (size_t i = 0; order == 0 && i < sizeof(a->parts) / sizeof(a->parts[0]); i++)
		order = strcmp(a->parts[i] ? a->parts[i] : "", b->parts[i] ? b->parts[i] : "");
	return order;
}

static int
compare_shown(const void *left, const void *right)
{
	const struct shown *a = left, *b = right;
	int order = compare_credentials(a, b);

	if (order == 0 && a->device->is_gateway != b->device->is_gateway)
		return a->device->is_gateway ? 1 : -1; /* it is in no list with the others */
	return order ? order : a->device < b->device ? -1 : a->device > b->device;
}

static void
report_alike(struct settle *settle, const struct shown *shown, const struct shown *first)
{
	static const char *const whats[] = { [CREDENTIALS_TOKEN] = "is the token",
		[CREDENTIALS_BASIC] = "are the credentials",
		[CREDENTIALS_CERTIFICATE] = "is the certificate" };
	char also[MISTAKES_ALSO_SIZE];
	size_t kind = (size_t)shown->kind - CREDENTIALS_TOKEN;
	const char *name = kind_given(shown->device, kind);

	mistakes_add(settle->mistakes, shown->device->node.setting, name, "%s of %s too, each must be unique",
	    whats[shown->kind],
	    mistakes_also(settle->mistakes, shown->device->node.setting, first->device->node.setting, also));
}

/* The server would keep closing the session of the one when the other connects. */
static int
settle_alike(struct settle *settle)
{
	const struct device_input *devices = settle->root->devices.items;
	size_t count = settle->root->devices.count;
	struct shown *shown = calloc(count + 1, sizeof(*shown));

	if (!shown)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		shown[i] = shown_by(&devices[i]);
	if (settle->root->gateway.device.node.setting)
		shown[count++] = shown_by(&settle->root->gateway.device);
	qsort(shown, count, sizeof(shown[0]), compare_shown);
	for (size_t i = 1, first = 0; i < count; i++) {
		if (compare_credentials(&shown[i], &shown[first]) != 0)
			first = i;
		else if (shown[i].kind != CREDENTIALS_NONE)
			report_alike(settle, &shown[i], &shown[first]);
	}
	free(shown);
	return 0;
}

static int
settle_server(struct settle *settle)
{
	struct tls_input *tls = &settle->root->server.tls;
	int error;

	tls->tls.on = tls->node.setting != NULL;
	if (!tls->tls.on)
		return 0;
	error = settle_path(settle, &tls->node, "ca_file", &tls->tls.ca_file);
	return error ? error : settle_pair(settle, &schema_tls, &tls->node, &tls->tls.cert_file, &tls->tls.key_file);
}

int
credentials_settle(
    struct root_input *root, const struct document *document, struct settings *scratch, struct mistakes *mistakes)
{
	struct settle settle = { .root = root, .document = document, .scratch = scratch, .mistakes = mistakes };
	struct device_input *devices = root->devices.items;
	int error = settle_server(&settle);

	if (!error)
		error = settle_provision(&settle, &root->provision);
	for (size_t i = 0; error == 0 && i < root->devices.count; i++)
		if (config_setting_is_group(devices[i].node.setting))
			error = settle_device(&settle, &devices[i]);
	root->gateway.device.is_gateway = true;
	if (error == 0 && root->gateway.device.node.setting)
		error = settle_device(&settle, &root->gateway.device);
	return error ? error : settle_alike(&settle);
}
