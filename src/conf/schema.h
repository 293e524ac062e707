/* The table of settings: a row for each name that gateway.conf may hold, with its kind, range, default and
 * check. The reader reads by it, its messages are printed from it, and a test holds gateway.conf(5) against
 * it.
 *
 * A group of the file is read into a struct xxx_input; a row knows where its value goes.
 */
#ifndef CONF_SCHEMA_H
#define CONF_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/settings.h"

struct config_setting_t;

/* What every input begins with: the group in the file and which of its rows were given, a bit each, and
 * rightly so. */
struct node {
	const struct config_setting_t *setting;
	uint64_t given;
	uint64_t valid;
};

/* The groups of a list, one after the other: count structs of the size that the row's group says. */
struct items {
	void *items;
	size_t count;
};

/* Texts in the inputs belong to libconfig. Members that no row fills are filled by verify.c. */
struct tls_input {
	struct node node;
	struct tls_settings tls;
};

struct server_input {
	struct node node;
	struct server_settings server;
	struct tls_input tls;
};

struct store_input {
	struct node node;
	struct store_settings store;
};

struct clock_input {
	struct node node;
	struct clock_settings clock;
};

/* Which byte of a number comes first. */
enum byte_order { BYTES_BIG, BYTES_LITTLE };

struct framing_input {
	struct node node;
	struct framing framing;
	struct items ends; /* struct bytes */
	enum byte_order length_order;
};

struct checksum_input {
	struct node node;
	struct checksum checksum;
	enum byte_order order;
};

/* Where something is in a frame, as a point or an address has it. */
struct field_input {
	struct line_field field;
	const char *name; /* field = "..." */
	const char *pattern;
	const char *json;
	const char *obis;
	const char *assign;
	struct items no_values; /* const char * */
};

struct address_input {
	struct node node;
	struct field_input field;
};

struct script_step_input {
	struct node node;
	struct line_step step;
};

struct command_input {
	struct node node;
	struct line_command command;
};

struct bus_input {
	struct node node;
	struct bus bus;
	struct framing_input framing;
	struct checksum_input checksum;
	struct address_input address;
	struct items on_open;  /* struct script_step_input */
	struct items on_close; /* struct script_step_input */
};

struct label_input {
	struct node node;
	struct enum_label label;
};

/* Which half of a register an 8-bit type is. */
enum point_byte { BYTE_LOW, BYTE_HIGH };

struct point_input {
	struct node node;
	struct point point;
	const char *bus;		   /* name; NULL: that of the device */
	const struct bus_input *bus_input; /* what it stands for; NULL if there is no such bus */
	struct field_input line;	   /* on a bus of serial instruments */
	struct command_input command;
	struct items labels;		   /* struct label_input */
	struct items invalid;		   /* int64_t */
	enum point_byte byte;
	bool readable;
	bool right; /* nothing is wrong with it */
};

struct rpc_input {
	struct node node;
	const char *method;
	const char *point; /* key */
	enum rpc_action action;
	struct value value;
	struct items steps; /* struct step_input */
	size_t point_at;    /* in the device's points */
};

/* One value of a method that has several. */
struct step_input {
	struct node node;
	const char *point; /* key */
	struct value value;
	const char *param;
	size_t point_at; /* in the device's points */
};

/* An RPC that the server is asked for. */
struct call_input {
	struct node node;
	const char *method;
	const char *on; /* key */
	struct value value;
	int period_ms;
	int timeout_ms;
	struct items params;  /* struct call_param_input */
	struct items results; /* struct call_result_input */
	size_t on_at;	      /* in the device's points */
};

struct call_param_input {
	struct node node;
	const char *name;
	const char *point; /* key */
	struct value value;
	size_t point_at;
};

struct call_result_input {
	struct node node;
	const char *point; /* key */
	const char *field;
	struct value value;
	size_t point_at;
};

struct write_input {
	struct node node;
	const char *point; /* key */
	struct value value;
	size_t point_at; /* in the device's points */
};

struct cloud_loss_input {
	struct node node;
	int after_s;
	struct items writes; /* struct write_input */
};

struct credentials_input {
	struct node node;
	struct credentials credentials;
	const char *password_file;
};

struct provision_input {
	struct node node;
	struct provision provision;
	const char *key_file;
	const char *secret_file;
};

struct claim_input {
	struct node node;
	struct claim claim;
	const char *secret_file;
};

struct device_input {
	struct node node;
	bool is_gateway; /* it stands in the group "gateway", not in devices */
	struct device device;
	struct claim_input claim;
	struct provision_input provision;
	const struct provision_input *provision_input; /* what it is provisioned with, or NULL */
	const char *token_file;
	struct credentials_input credentials;
	const char *bus; /* name */
	const struct bus_input *bus_input;
	const char *separator; /* default of its points, as the two below */
	const char *assign;
	bool decimal_comma;
	struct items poll;	 /* struct script_step_input */
	struct items points;	 /* struct point_input */
	struct items calls;	 /* struct call_input */
	struct items rpc;	 /* struct rpc_input */
	struct items on_connect; /* struct write_input */
	struct cloud_loss_input on_cloud_loss;
};

/* The gateway as a device: what of one it has. */
struct gateway_input {
	struct device_input device;
	int period_s;
};

struct root_input {
	struct node node;
	bool example;
	struct gateway_input gateway;
	struct server_input server;
	struct store_input store;
	struct clock_input clock;
	struct provision_input provision;
	struct items buses;   /* struct bus_input */
	struct items devices; /* struct device_input */
};

enum setting_kind {
	SETTING_BOOL,	/* into a bool */
	SETTING_INT,	/* min..max, or one of choices, into an int or int64_t */
	SETTING_NUMBER, /* min..max if they differ, finite, into a double */
	SETTING_TEXT,	/* of min..max characters, into a const char * */
	SETTING_NAME,	/* one of names, its index into an enum */
	SETTING_SET,	/* a list of names, 1u << the index of each into an unsigned */
	SETTING_GROUP,	/* into its input, which is part of this one */
	SETTING_LIST,	/* of min groups or more, into struct items */
	SETTING_INTS,	/* one whole number or a list of them, into struct items of int64_t */
	SETTING_VALUE,	/* true, false, a number or a text, into a struct value */
	SETTING_BYTES,	/* a text, or "hex:" and digits, of min..max bytes, into struct bytes */
	SETTING_BYTE_LIST, /* one such or a list of them, into struct items of struct bytes */
	SETTING_TEXTS,	/* one text of min..max characters or a list of them, into struct items of const char * */
	SETTING_LABELS, /* { label = number; ... } or a list of groups, into struct items */
};

/* A value that is of the kind and in the range of its row, for the row's own check. */
union setting_value {
	int64_t integer;
	double number;
	const char *text;
};

/* Returns NULL if the value is right, or what is wrong with it and what is allowed: "is ..., ...". */
typedef const char *setting_check(union setting_value value);

/* The name of a number, counting from 0; NULL beyond the last. */
typedef const char *setting_names(int number);

struct setting_group;

struct setting_row {
	const char *name;
	const char *about; /* one line for people */
	enum setting_kind kind;
	int64_t min;
	int64_t max;
	const int *choices;	  /* SETTING_INT: all that is allowed, ended by 0 */
	setting_names *names;	  /* SETTING_NAME, SETTING_SET */
	const char *preset;	  /* the default as the file would have it; NULL: nothing, or zero */
	const char *preset_about; /* in words, where the default depends on other settings */
	const char *unit;	  /* ms, s, ... */
	const char *beyond;	  /* SETTING_INT: said of a number that is larger than max, in words; NULL: nothing more */
	size_t offset;		  /* into the input of its group */
	size_t size;
	const struct setting_group *group; /* SETTING_GROUP, SETTING_LIST, SETTING_LABELS */
	setting_check *check;
	unsigned only; /* belongs only to these variants of the group, a bit each; 0 = to all */
	bool required;
	bool secret;  /* its value is never printed */
	bool selects; /* SETTING_NAME: its value is the variant of the group */
};

struct setting_group {
	const char *name; /* for people: "bus" */
	const struct setting_row *rows;
	size_t row_count; /* up to 64, the bits of a node */
	size_t size;	  /* of its input */
};

/* The groups, each in the schema_NOUN.c of its noun. */
extern const struct setting_group schema_root; /* the file itself */
extern const struct setting_group schema_server;
extern const struct setting_group schema_tls;
extern const struct setting_group schema_store;
extern const struct setting_group schema_clock;
extern const struct setting_group schema_provision;
extern const struct setting_group schema_claim;
extern const struct setting_group schema_credentials;
extern const struct setting_group schema_gateway;
extern const struct setting_group schema_bus;
extern const struct setting_group schema_framing;
extern const struct setting_group schema_checksum;
extern const struct setting_group schema_address;
extern const struct setting_group schema_script_step;
extern const struct setting_group schema_device;
extern const struct setting_group schema_point;
extern const struct setting_group schema_label;
extern const struct setting_group schema_command;
extern const struct setting_group schema_rpc;
extern const struct setting_group schema_rpc_step;
extern const struct setting_group schema_write;
extern const struct setting_group schema_cloud_loss;
extern const struct setting_group schema_call;
extern const struct setting_group schema_call_param;
extern const struct setting_group schema_call_result;

/* All of them, in no order that matters. */
extern const struct setting_group *const schema_groups[];
extern const size_t schema_group_count;

/* The row called `name` for a variant of the group (a bit; 0 = not known), or NULL. A row of another variant
 * is found if there is none of this one. */
const struct setting_row *schema_find(const struct setting_group *group, const char *name, unsigned variant);

/* Does the row belong to that variant? */
bool schema_belongs(const struct setting_row *row, unsigned variant);

/* Where the bits of a row are in its node. */
uint64_t schema_bit(const struct setting_group *group, const struct setting_row *row);

/* The value of an enumeration's name, or -1. */
int schema_name_find(const struct setting_row *row, const char *name);

/* Characters as ThingsBoard counts them, which is in UTF-16. */
int64_t schema_characters(const char *text);

/* The name that a mistyped one was probably meant to be, or NULL. */
const char *schema_nearest(const struct setting_group *group, const char *name, unsigned variant);

/* All of these write at most `size` bytes, always terminated, and return `text`.
 * allowed  "10..60000", "rtu, tcp, rtu-over-tcp"
 * wanted   "a whole number 10..60000", "one of rtu, tcp, rtu-over-tcp"
 * manual   "Whole number 10..60000 ms; default 1000." - how gateway.conf(5) must say it
 */
#define SCHEMA_TEXT_SIZE 512
const char *schema_allowed(const struct setting_row *row, char *text, size_t size);
const char *schema_wanted(const struct setting_row *row, char *text, size_t size);
const char *schema_manual(const struct setting_row *row, char *text, size_t size);

#endif
