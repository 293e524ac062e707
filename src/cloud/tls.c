#include <config.h>

#include "cloud/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define WHY_MAX	   16 /* different reasons that are kept; a server cannot make us keep more */
#define NAMES_MAX  3  /* of a certificate that are shown */
#define WHY_BYTES  512
#define NAME_BYTES 128

/* A file, or a folder, as it was when it was read. */
struct stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

struct tls {
	const struct server_settings *server;
	char *host;    /* without a dot at its end */
	bool numeric;  /* it is an address */
	SSL_CTX *base; /* trust, and the certificate for all */
	struct stamp ca, cert, key;
	struct tls_trouble trouble;
	bool done;
	char *whys[WHY_MAX];
	size_t why_count;
};

/* ---- words ---- */

/* The same words are kept once. */
static const char *
keep(struct tls *tls, const char *text)
{
	for (size_t i = 0; i < tls->why_count; i++)
		if (strcmp(tls->whys[i], text) == 0)
			return tls->whys[i];
	if (tls->why_count < WHY_MAX && (tls->whys[tls->why_count] = strdup(text)))
		return tls->whys[tls->why_count++];
	return "the server's certificate is not to be trusted";
}

static const char *__attribute__((format(printf, 2, 3)))
keep_words(struct tls *tls, const char *format, ...)
{
	char text[WHY_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return keep(tls, text);
}

/* What a certificate holds may be anything. */
static void
append_printable(char *text, size_t size, const unsigned char *bytes, int length)
{
	size_t used = strlen(text);

	for (int i = 0; i < length && i < 64 && used + 1 < size; i++)
		text[used++] = (char)(bytes[i] >= ' ' && bytes[i] < 127 ? bytes[i] : '?');
	text[used] = '\0';
}

static void
append_name(char *text, size_t size, const GENERAL_NAME *name)
{
	char address[INET6_ADDRSTRLEN];
	int type;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);

	if (type == GEN_DNS) {
		append_printable(text, size, ASN1_STRING_get0_data(value), ASN1_STRING_length(value));
	} else if (type == GEN_IPADD && (ASN1_STRING_length(value) == 4 || ASN1_STRING_length(value) == 16) &&
		   inet_ntop(ASN1_STRING_length(value) == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(value),
		       address, sizeof(address))) {
		append_printable(text, size, (const unsigned char *)address, (int)strlen(address));
	}
}

static void
common_name(const X509_NAME *name, char *text, size_t size)
{
	int at = X509_NAME_get_index_by_NID((X509_NAME *)(uintptr_t)name, NID_commonName, -1);
	const ASN1_STRING *value = at < 0 ? NULL : X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));

	text[0] = '\0';
	if (value)
		append_printable(text, size, ASN1_STRING_get0_data(value), ASN1_STRING_length(value));
	if (text[0] == '\0')
		snprintf(text, size, "no name");
}

/* "gw.example.com, 10.0.0.1": who a certificate is for. */
static void
names_of(const X509 *certificate, char *text, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	int count = names ? sk_GENERAL_NAME_num(names) : 0;

	text[0] = '\0';
	for (int i = 0, shown = 0; i < count && shown < NAMES_MAX; i++) {
		char name[NAME_BYTES] = "";

		append_name(name, sizeof(name), sk_GENERAL_NAME_value(names, i));
		if (name[0])
			snprintf(text + strlen(text), size - strlen(text), "%s%s", shown++ ? ", " : "", name);
	}
	GENERAL_NAMES_free(names);
	if (text[0] == '\0')
		common_name(X509_get_subject_name(certificate), text, size);
}

static time_t
asn1_unix(const ASN1_TIME *time)
{
	struct tm tm;

	return ASN1_TIME_to_tm(time, &tm) == 1 ? timegm(&tm) : 0;
}

static void
day_text(time_t time, char *text, size_t size)
{
	struct tm tm;

	if (!gmtime_r(&time, &tm) || strftime(text, size, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		snprintf(text, size, "some day");
}

/* The certificate of the server, or of a CA above it. */
static void
whose(X509_STORE_CTX *context, char *text, size_t size)
{
	char name[NAME_BYTES];

	if (X509_STORE_CTX_get_error_depth(context) == 0) {
		snprintf(text, size, "the server's certificate");
		return;
	}
	common_name(X509_get_subject_name(X509_STORE_CTX_get_current_cert(context)), name, sizeof(name));
	snprintf(text, size, "the certificate of the CA %s", name);
}

static void
explain_dates(struct tls *tls, X509_STORE_CTX *context, bool expired)
{
	const X509 *certificate = X509_STORE_CTX_get_current_cert(context);
	time_t time = asn1_unix(expired ? X509_get0_notAfter(certificate) : X509_get0_notBefore(certificate));
	char thing[2 * NAME_BYTES], day[32];

	whose(context, thing, sizeof(thing));
	day_text(time, day, sizeof(day));
	if (expired) {
		tls->trouble.why = keep_words(tls, "%s expired at %s: it has to be renewed there, if the clock is right here", thing, day);
		return;
	}
	tls->trouble.why = keep_words(tls, "%s is not valid before %s: is the clock set?", thing, day);
	tls->trouble.valid_from_unix_ms = (int64_t)time * 1000;
}

static void
explain_issuer(struct tls *tls, X509_STORE_CTX *context, int error)
{
	const X509 *certificate = X509_STORE_CTX_get_current_cert(context);
	const char *ca_file = tls->server->tls.ca_file;
	char name[NAME_BYTES];

	common_name(X509_get_issuer_name(certificate), name, sizeof(name));
	if (error == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT)
		tls->trouble.why = keep_words(tls,
		    "the server's certificate is signed by itself: set server.tls.ca_file to a copy of that certificate%s",
		    ca_file ? ", which the one there is not" : "");
	else if (ca_file)
		tls->trouble.why = keep_words(tls,
		    "the server's certificate is signed by the CA %s, which is not in server.tls.ca_file (%s)", name, ca_file);
	else
		tls->trouble.why = keep_words(tls,
		    "the server's certificate is signed by an unknown CA (%s): set server.tls.ca_file to its certificate", name);
}

static void
explain_name(struct tls *tls, const X509 *certificate)
{
	char names[NAMES_MAX * (NAME_BYTES + 2)];

	names_of(certificate, names, sizeof(names));
	tls->trouble.why = keep_words(tls,
	    "the server's certificate is for %s, not for %s: is server.host the name that it has there?", names, tls->host);
}

static void
explain_verification(struct tls *tls, X509_STORE_CTX *context, int error)
{
	switch (error) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		explain_name(tls, X509_STORE_CTX_get0_cert(context));
		break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		explain_dates(tls, context, error == X509_V_ERR_CERT_HAS_EXPIRED);
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		explain_issuer(tls, context, error);
		break;
	default:
		tls->trouble.why = keep_words(
		    tls, "the server's certificate is not accepted: %s", X509_verify_cert_error_string(error));
		break;
	}
}

static int
on_verify(int good, X509_STORE_CTX *context)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	if (!good && !tls->trouble.why)
		explain_verification(tls, context, X509_STORE_CTX_get_error(context));
	return good;
}

/* RFC 8446, 6.2. */
static const struct {
	int alert;
	const char *why;
} alerts[] = {
	{ SSL_AD_HANDSHAKE_FAILURE, "the server has no TLS parameters in common with us" },
	{ SSL_AD_BAD_CERTIFICATE, "the server finds the certificate of cert_file bad" },
	{ SSL_AD_UNSUPPORTED_CERTIFICATE, "the server does not take certificates of the kind of cert_file" },
	{ SSL_AD_CERTIFICATE_REVOKED, "the server says that the certificate of cert_file was revoked: it has to be renewed" },
	{ SSL_AD_CERTIFICATE_EXPIRED, "the server says that the certificate of cert_file has expired: it has to be renewed" },
	{ SSL_AD_CERTIFICATE_UNKNOWN, "the server does not accept the certificate of cert_file" },
	{ SSL_AD_UNKNOWN_CA, "the server does not know the CA that signed the certificate of cert_file" },
	{ SSL_AD_ACCESS_DENIED, "the server denies access to the certificate of cert_file" },
	{ SSL_AD_PROTOCOL_VERSION, "the server speaks no TLS from version 1.2 on at this port" },
	{ SSL_AD_INSUFFICIENT_SECURITY, "the server wants stronger encryption than we have" },
	{ SSL_AD_UNRECOGNIZED_NAME, "the server does not know itself by the name that server.host says" },
	{ SSL_AD_NO_APPLICATION_PROTOCOL, "the server speaks no MQTT at this port" },
	{ SSL_AD_CERTIFICATE_REQUIRED, "the server wants a certificate of ours: set cert_file and key_file" },
};

static void
explain_alert(struct tls *tls, int alert, bool received)
{
	for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++)
		if (alerts[i].alert == alert && (received || alert == SSL_AD_PROTOCOL_VERSION))
			tls->trouble.why = alerts[i].why;
	if (!tls->trouble.why && received)
		tls->trouble.why = keep_words(tls, "the server ends the TLS handshake: %s", SSL_alert_desc_string_long(alert));
}

/* Each handshake begins here, before anything is sent: the library has set the address as the name that it asks for. */
static void
on_info(const SSL *ssl, int where, int value)
{
	struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	bool fatal = (where & SSL_CB_ALERT) && value >> 8 == SSL3_AL_FATAL;

	/* RFC 6066, 3: an address is no name. */
	if (where & SSL_CB_HANDSHAKE_START && !SSL_is_init_finished(ssl))
		SSL_set_tlsext_host_name((SSL *)(uintptr_t)ssl, tls->numeric ? NULL : tls->host);
	if (where & SSL_CB_HANDSHAKE_DONE)
		tls->done = true;
	if (fatal && !tls->trouble.why)
		explain_alert(tls, value & 0xff, (where & SSL_CB_READ) != 0);
}

/* ---- contexts ---- */

/* Take a new stamp. Returns whether it is another one. */
static bool
has_changed(const char *path, struct stamp *stamp)
{
	struct stamp now = { .device = 0 };
	struct stat status;
	bool changed;

	if (path && stat(path, &status) == 0) {
		now.device = status.st_dev;
		now.inode = status.st_ino;
		now.size = status.st_size;
		now.changed = status.st_mtim;
	}
	changed = now.device != stamp->device || now.inode != stamp->inode || now.size != stamp->size ||
		  now.changed.tv_sec != stamp->changed.tv_sec || now.changed.tv_nsec != stamp->changed.tv_nsec;
	*stamp = now;
	return changed;
}

/* The first error is the reason, those after it only say who could not go on. */
static const char *
cannot_read(struct tls *tls, const char *what, const char *path)
{
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_SYSTEM_ERROR(code) ? strerrordesc_np(ERR_GET_REASON(code)) : ERR_reason_error_string(code);

	if (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE)
		reason = "there is none in it, as PEM";
	return keep_words(tls, "cannot take %s from %s: %s", what, path, reason ? reason : "for an unknown reason");
}

/* Returns NULL, or why not. */
static const char *
use_certificate(struct tls *tls, SSL_CTX *context, const char *cert_file, const char *key_file)
{
	int reason;

	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
		return cannot_read(tls, "a certificate", cert_file);
	if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) == 1)
		return NULL;
	reason = ERR_GET_REASON(ERR_peek_error());
	if (ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_X509 &&
	    (reason == X509_R_KEY_VALUES_MISMATCH || reason == X509_R_KEY_TYPE_MISMATCH))
		return keep_words(tls, "the key in %s is not that of the certificate in %s", key_file, cert_file);
	return cannot_read(tls, "the key of the certificate", key_file);
}

/* A context that trusts nobody yet. */
static SSL_CTX *
new_context(struct tls *tls)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	X509_VERIFY_PARAM *param;

	if (!context)
		return NULL;
	param = SSL_CTX_get0_param(context);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
	    (tls->numeric ? X509_VERIFY_PARAM_set1_ip_asc(param, tls->host)
			  : X509_VERIFY_PARAM_set1_host(param, tls->host, 0)) != 1) {
		SSL_CTX_free(context);
		return NULL;
	}
	SSL_CTX_set_app_data(context, tls);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verify);
	SSL_CTX_set_info_callback(context, on_info);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS); /* an idle session holds none */
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	return context;
}

static const char *
make_base(struct tls *tls)
{
	const struct tls_settings *settings = &tls->server->tls;
	SSL_CTX *context = new_context(tls);
	const char *why = NULL;

	if (!context)
		return "out of memory";
	ERR_clear_error();
	if (settings->ca_file && SSL_CTX_load_verify_file(context, settings->ca_file) != 1)
		why = cannot_read(tls, "CA certificates", settings->ca_file);
	else if (!settings->ca_file && SSL_CTX_set_default_verify_paths(context) != 1)
		why = "out of memory";
	if (!why && settings->cert_file)
		why = use_certificate(tls, context, settings->cert_file, settings->key_file);
	if (why)
		SSL_CTX_free(context);
	else
		tls->base = context;
	return why;
}

/* What is renewed is taken over; what cannot be read now is tried again with the next connection. */
static const char *
refresh(struct tls *tls)
{
	const struct tls_settings *settings = &tls->server->tls;
	bool changed = has_changed(settings->ca_file ? settings->ca_file : X509_get_default_cert_dir(), &tls->ca);

	changed = has_changed(settings->cert_file, &tls->cert) || changed;
	changed = has_changed(settings->key_file, &tls->key) || changed;
	if (tls->base && !changed)
		return NULL;
	SSL_CTX_free(tls->base);
	tls->base = NULL;
	return make_base(tls);
}

SSL_CTX *
tls_context(struct tls *tls, const char *cert_file, const char *key_file, const char **ret_why)
{
	SSL_CTX *context;

	*ret_why = refresh(tls);
	if (*ret_why)
		return NULL;
	if (!cert_file) {
		SSL_CTX_up_ref(tls->base);
		return tls->base;
	}
	context = new_context(tls);
	*ret_why = "out of memory";
	if (!context)
		return NULL;
	SSL_CTX_set1_cert_store(context, SSL_CTX_get_cert_store(tls->base));
	*ret_why = use_certificate(tls, context, cert_file, key_file);
	if (!*ret_why)
		return context;
	SSL_CTX_free(context);
	return NULL;
}

void
tls_begin(struct tls *tls)
{
	tls->trouble = (struct tls_trouble){ .why = NULL };
	tls->done = false;
}

const struct tls_trouble *
tls_trouble(const struct tls *tls)
{
	return tls->trouble.why ? &tls->trouble : NULL;
}

bool
tls_is_done(const struct tls *tls)
{
	return tls->done;
}

struct tls *
tls_new(const struct server_settings *server)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	unsigned char address[sizeof(struct in6_addr)];
	size_t length = strlen(server->host);

	if (!tls)
		return NULL;
	tls->server = server;
	tls->host = strndup(server->host, length > 1 && server->host[length - 1] == '.' ? length - 1 : length);
	if (!tls->host) {
		tls_free(tls);
		return NULL;
	}
	tls->numeric = inet_pton(AF_INET, tls->host, address) == 1 || inet_pton(AF_INET6, tls->host, address) == 1;
	return tls;
}

void
tls_rebind(struct tls *tls, const struct server_settings *server)
{
	tls->server = server;
}

void
tls_free(struct tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->base);
	for (size_t i = 0; i < tls->why_count; i++)
		free(tls->whys[i]);
	free(tls->host);
	free(tls);
}
