#include "conf/schema_rows.h"

static const char *
provision_name(int number)
{
	static const char *const names[] = {
		[PROVISION_TOKEN] = "token", [PROVISION_BASIC] = "basic", [PROVISION_CERTIFICATE] = "certificate"
	};

	return number < (int)COUNT(names) ? names[number] : NULL;
}

static const struct setting_row provision_rows[] = {
	{ .name = "key",
	    .about = "the provision key of a device profile in ThingsBoard; secret",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = SECRET_CHARACTERS,
	    .secret = true,
	    .preset_about = "none, and required unless there is a key_file",
	    .check = schema_check_no_blanks,
	    INTO(struct provision_input, provision.key) },
	{ .name = "key_file",
	    .about = "the file that the key is in, and nothing else",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .check = schema_check_file,
	    INTO(struct provision_input, key_file) },
	{ .name = "secret",
	    .about = "the provision secret of that profile; secret",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = SECRET_CHARACTERS,
	    .secret = true,
	    .preset_about = "none, and required unless there is a secret_file",
	    .check = schema_check_no_blanks,
	    INTO(struct provision_input, provision.secret) },
	{ .name = "secret_file",
	    .about = "the file that the secret is in, and nothing else",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .check = schema_check_file,
	    INTO(struct provision_input, secret_file) },
	{ .name = "type",
	    .about = "what the device is to have",
	    .kind = SETTING_NAME,
	    .names = provision_name,
	    .preset = "token",
	    INTO(struct provision_input, provision.type) },
};

const struct setting_group schema_provision = { .name = "provision",
	.rows = provision_rows,
	.row_count = COUNT(provision_rows),
	.size = sizeof(struct provision_input) };

static const struct setting_row claim_rows[] = {
	{ .name = "secret",
	    .about = "what a customer must know to claim the device; secret",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = SECRET_CHARACTERS,
	    .secret = true,
	    .preset_about = "none, and required unless there is a secret_file",
	    .check = schema_check_printable,
	    INTO(struct claim_input, claim.secret) },
	{ .name = "secret_file",
	    .about = "the file that the secret is in, and nothing else",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .check = schema_check_file,
	    INTO(struct claim_input, secret_file) },
	{ .name = "duration_ms",
	    .about = "how long it can be claimed, from when the server was told",
	    .kind = SETTING_INT,
	    .min = 0,
	    .max = INT32_MAX,
	    .preset = "0",
	    .preset_about = "0, as long as the server allows",
	    .unit = "ms",
	    INTO(struct claim_input, claim.duration_ms) },
};

const struct setting_group schema_claim = {
	.name = "claim", .rows = claim_rows, .row_count = COUNT(claim_rows), .size = sizeof(struct claim_input)
};

static const struct setting_row credentials_rows[] = {
	{ .name = "client_id",
	    .about = "the MQTT client id",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = SECRET_CHARACTERS,
	    .preset_about = "a random one",
	    .check = schema_check_printable,
	    INTO(struct credentials_input, credentials.client_id) },
	{ .name = "user",
	    .about = "the user name",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = SECRET_CHARACTERS,
	    .preset_about = "none, and required unless there is a client_id",
	    .check = schema_check_printable,
	    INTO(struct credentials_input, credentials.user) },
	{ .name = "password",
	    .about = "its password; secret",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = SECRET_CHARACTERS,
	    .secret = true,
	    .check = schema_check_printable,
	    INTO(struct credentials_input, credentials.password) },
	{ .name = "password_file",
	    .about = "the file that its password is in, and nothing else",
	    .kind = SETTING_TEXT,
	    .min = 1,
	    .max = PATH_CHARACTERS,
	    .check = schema_check_file,
	    INTO(struct credentials_input, password_file) },
};

const struct setting_group schema_credentials = { .name = "credentials",
	.rows = credentials_rows,
	.row_count = COUNT(credentials_rows),
	.size = sizeof(struct credentials_input) };
