/* TLS towards one server: the contexts that connections are made with, and in words what is wrong when a handshake fails.
 *
 * TLS 1.2 at least. The certificate of the server must lead to a CA that is trusted and must carry the name, or the address,
 * that the configuration gives as host; there is no way around that. Files are read again when they have changed, at the next
 * connection. All of it is OpenSSL's. Owned by the cloud's thread.
 */
#ifndef CLOUD_TLS_H
#define CLOUD_TLS_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "model/settings.h"

struct tls;

/* Reads nothing yet. Returns NULL without memory. */
struct tls *tls_new(const struct server_settings *server);
void tls_free(struct tls *tls);

/* The settings are others, in which the server is the same. */
void tls_rebind(struct tls *tls, const struct server_settings *server);

/* The context for a connection, which is the caller's to SSL_CTX_free(). One context serves all connections that show no
 * certificate of their own. Returns NULL with why, which lives as long as `tls`.
 * cert_file, key_file  PEM, to be shown to the server; NULL: what the configuration says for all, if it does */
SSL_CTX *tls_context(struct tls *tls, const char *cert_file, const char *key_file, const char **ret_why);

/* Why a handshake failed. */
struct tls_trouble {
	const char *why;	    /* in words; lives as long as `tls`; the same words are the same pointer */
	int64_t valid_from_unix_ms; /* a certificate is not valid before; else 0 */
};

/* To be called before what may be part of a handshake, and after it: what was found out in between, or NULL. */
void tls_begin(struct tls *tls);
const struct tls_trouble *tls_trouble(const struct tls *tls);

/* Did a handshake come to its end since tls_begin()? Then the server is who it should be; before that nothing secret is sent. */
bool tls_is_done(const struct tls *tls);

#endif
