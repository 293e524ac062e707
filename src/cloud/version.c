#include "cloud/version.h"

#include <mosquitto.h>

#include "base/log.h"

#define DOUBT	   2  /* closes without CONNACK in a row that make us try the other version, */
#define DOUBT_LONG 20 /* or so many if the version has been seen to work */

static const char *
version_name(int number)
{
	return number == MQTT_PROTOCOL_V5 ? "5" : "3.1.1";
}

void
version_init(struct version *version, const struct server_settings *server)
{
	*version = (struct version){ .server = server, .number = MQTT_PROTOCOL_V5, .said = MQTT_PROTOCOL_V5 };
}

static void
version_change(struct version *version)
{
	version->number = version->number == MQTT_PROTOCOL_V5 ? MQTT_PROTOCOL_V311 : MQTT_PROTOCOL_V5;
	version->proven = false;
	version->mute_closes = 0;
	log_debug("server %s:%d: trying MQTT %s", version->server->host, version->server->port,
	    version_name(version->number));
}

/* Told when it has worked: while a server is away both are tried in turn. */
void
version_works(struct version *version, int tried)
{
	if (tried != version->number)
		return;
	version->proven = true;
	if (tried == version->said)
		return;
	version->said = tried;
	log_info("server %s:%d: speaks MQTT %s", version->server->host, version->server->port,
	    version_name(tried));
}

void
version_answered(struct version *version)
{
	version->mute_closes = 0;
}

bool
version_refused(struct version *version, int tried)
{
	if (tried == version->number)
		version_change(version);
	return tried == MQTT_PROTOCOL_V5 && tried != version->number;
}

/* Some servers close the connection instead of saying that they do not know the version; so does a proxy
 * before a server that is down, which is why a version that has worked is given up much later. */
void
version_closed(struct version *version, int tried)
{
	if (tried != version->number)
		return;
	if (++version->mute_closes >= (version->proven ? DOUBT_LONG : DOUBT))
		version_change(version);
}
