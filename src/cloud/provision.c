#include <config.h>

#include "cloud/provision.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "cloud/tb_provision.h"

#define ANSWER_MS   30000 /* an answer that takes longer will not come */
#define REQUEST_MAX 65000
#define PEM_MAX	    16384
#define TRIES_MAX   10 /* a device that is refused waits up to so many of the longest pauses */

enum state {
	STATE_WAITING, /* until `due` */
	STATE_ASKED,   /* the request is out */
	STATE_KEEPING, /* the answer is being written */
	STATE_DONE,
	STATE_LOST, /* what was kept cannot be read */
};

/* A device that is provisioned, or was. */
struct item {
	struct provisioner *provisioner;
	const struct device *device;
	enum state state;
	int64_t due_mono_ms;
	unsigned tries;	      /* that were refused, in a row */
	const char *said;     /* why the last was */
	struct credentials credentials; /* own texts, but for a certificate's */
	char *path;
};

struct provisioner {
	const struct settings *settings;
	struct keeper *keeper;
	void (*ready)(void *ctx, size_t device);
	void *ctx;
	struct item *items;
	size_t item_count;
	struct mqtt_session *session; /* NULL if nobody needed one */
	bool up;
	struct item *asked; /* the one whose answer is awaited, on the disk or from the server */
	sd_event_source *timer;
	bool unkept_said;
};

static const struct credentials guest = { .kind = CREDENTIALS_TOKEN, .token = TB_PROVISION_USER };

static void serve(struct provisioner *provisioner);

/* ---- what is kept ---- */

static void
use(struct item *item, struct credentials *credentials)
{
	item->credentials = *credentials;
	if (credentials->kind == CREDENTIALS_CERTIFICATE)
		item->credentials = item->device->credentials;
	item->state = STATE_DONE;
}

static void
load(struct item *item)
{
	char *text = item->path ? keeper_read(item->path) : NULL;
	struct credentials credentials;
	int error = errno;

	if (!text && (!item->path || error == ENOENT || error == ENOTDIR))
		return;
	if (text && tb_provision_answer(item->device->provision->type, text, strlen(text), &credentials) ==
			TB_PROVISION_SUCCESS) {
		use(item, &credentials);
	} else {
		item->state = STATE_LOST;
		log_error("device %s: its credentials in %s cannot be used (%s): it stays off line; remove the file and restart to have it "
			  "provisioned again",
		    item->device->name, item->path, text ? "they are damaged, or of another type" : strerror(error));
	}
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static void
on_kept(void *ctx, int error)
{
	struct item *item = ctx;
	struct provisioner *provisioner = item->provisioner;

	if (error < 0)
		log_error("device %s: was provisioned, but %s cannot be written (%s): its credentials will be lost with a restart",
		    item->device->name, item->path, strerror(-error));
	else
		log_notice("device %s: provisioned, its credentials are kept in %s", item->device->name, item->path);
	item->state = STATE_DONE;
	provisioner->asked = NULL;
	provisioner->ready(provisioner->ctx, item->device->index);
	serve(provisioner);
}

static void
keep_answer(struct item *item, struct credentials *credentials)
{
	char text[REQUEST_MAX];
	int error = tb_provision_print(credentials, text, sizeof(text));

	use(item, credentials);
	item->state = STATE_KEEPING;
	if (error > 0)
		error = keeper_write(item->provisioner->keeper, item->path, text, on_kept, item);
	explicit_bzero(text, sizeof(text));
	if (error < 0)
		on_kept(item, error);
}

/* ---- asking ---- */

/* Say it when it is new; try it again, ever later. */
static void
refused(struct item *item, const char *why)
{
	struct provisioner *provisioner = item->provisioner;
	int64_t longest = provisioner->settings->server.reconnect_max_ms;

	if (item->tries < TRIES_MAX)
		item->tries++;
	if (item->said != why)
		log_warning("device %s: not provisioned: %s", item->device->name, why);
	item->said = why;
	item->state = STATE_WAITING;
	item->due_mono_ms = clock_mono_ms() + longest * item->tries + random_jitter(longest) / 2;
	provisioner->asked = NULL;
}

/* What the key does not open for one device it opens for none. */
static void
refused_key(struct item *item)
{
	static const char why[] = "the server does not know the key and secret of provision, or provisioning is off in the device profile";
	struct provisioner *provisioner = item->provisioner;
	const struct provision *provision = item->device->provision;

	for (size_t i = 0; i < provisioner->item_count; i++) {
		struct item *other = &provisioner->items[i];
		const struct provision *of = other->device->provision;

		if (other != item && other->state == STATE_WAITING && strcmp(of->key, provision->key) == 0 &&
		    strcmp(of->secret, provision->secret) == 0)
			refused(other, why);
	}
	refused(item, why);
}

/* Texts that nobody can guess. */
static int
make_secret(char *text, size_t length)
{
	static const char letters[] = "0123456789abcdefghijklmnopqrstuv";
	unsigned char bytes[64];

	if (getrandom(bytes, length, GRND_NONBLOCK) != (ssize_t)length)
		return -EAGAIN;
	for (size_t i = 0; i < length; i++)
		text[i] = letters[bytes[i] % 32];
	text[length] = '\0';
	return 0;
}

/* The first certificate of the file. Returns 0 or negative errno. */
static int
read_pem(const char *path, char *pem)
{
	static const char end[] = "-----END CERTIFICATE-----\n";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got = fd < 0 ? -1 : read(fd, pem, PEM_MAX);
	int error = got < 0 ? -errno : 0;
	char *begin, *found;

	if (fd >= 0)
		close(fd);
	if (error < 0)
		return error;
	pem[got] = '\0';
	begin = strstr(pem, "-----BEGIN CERTIFICATE-----");
	found = begin ? strstr(begin, end) : NULL;
	if (!found)
		return -EBADMSG;
	found[sizeof(end) - 1] = '\0';
	memmove(pem, begin, strlen(begin) + 1);
	return 0;
}

/* Returns NULL, or why nothing could be asked. */
static const char *
make_request(const struct item *item, char *text, size_t size)
{
	const struct provision *provision = item->device->provision;
	char client_id[33], user[33], password[49], pem[PEM_MAX + 1];
	struct credentials offered = { .client_id = client_id, .user = user, .password = password };
	int length;

	if (provision->type == PROVISION_BASIC &&
	    (make_secret(client_id, 20) < 0 || make_secret(user, 20) < 0 || make_secret(password, 32) < 0))
		return "the system has no random numbers yet";
	if (provision->type == PROVISION_CERTIFICATE && read_pem(item->device->credentials.cert_file, pem) < 0)
		return "there is no certificate in its cert_file";
	length = tb_provision_request(provision, item->device->name, &offered,
	    provision->type == PROVISION_CERTIFICATE ? pem : NULL, text, size);
	explicit_bzero(password, sizeof(password));
	return length < 0 ? "the request is too long" : NULL;
}

static void
ask(struct item *item)
{
	struct provisioner *provisioner = item->provisioner;
	char text[REQUEST_MAX];
	const char *why = make_request(item, text, sizeof(text));
	int id;

	if (why) {
		refused(item, why);
		return;
	}
	id = mqtt_publish(provisioner->session, TB_PROVISION_REQUEST, text, strlen(text));
	explicit_bzero(text, sizeof(text));
	if (id == -ENOTCONN)
		return; /* the session ends, and comes again */
	if (id < 0) {
		refused(item, "the request cannot be sent");
		return;
	}
	item->state = STATE_ASKED;
	item->due_mono_ms = clock_mono_ms() + ANSWER_MS;
	provisioner->asked = item;
}

/* ---- whose turn it is ---- */

static struct item *
first_due(struct provisioner *provisioner)
{
	struct item *first = NULL;

	for (size_t i = 0; i < provisioner->item_count; i++) {
		struct item *item = &provisioner->items[i];

		if ((item->state == STATE_WAITING || item->state == STATE_ASKED) &&
		    (!first || item->due_mono_ms < first->due_mono_ms))
			first = item;
	}
	return first;
}

/* Credentials that cannot be kept are not asked for: the server gives them once. */
static bool
can_keep(struct provisioner *provisioner)
{
	int error = keeper_probe(provisioner->keeper);

	if (error < 0 && !provisioner->unkept_said)
		log_error("provision: nothing is asked for, since credentials could not be kept in %s: %s",
		    provisioner->settings->store.dir ? provisioner->settings->store.dir : "store.dir", strerror(-error));
	provisioner->unkept_said = error < 0;
	return error == 0;
}

static void
arm(struct provisioner *provisioner, int64_t due_mono_ms)
{
	sd_event_source_set_time(provisioner->timer, (uint64_t)(due_mono_ms > 0 ? due_mono_ms : 0) * 1000);
	sd_event_source_set_enabled(provisioner->timer, SD_EVENT_ONESHOT);
}

/* Ask for the next device if it is time, and keep the session only for that. */
static void
serve(struct provisioner *provisioner)
{
	struct item *item = provisioner->asked ? provisioner->asked : first_due(provisioner);
	int64_t now = clock_mono_ms();
	bool wanted;

	if (!item) {
		mqtt_session_hold(provisioner->session, true);
		return;
	}
	if (item->state == STATE_WAITING && item->due_mono_ms <= now && !can_keep(provisioner))
		item->due_mono_ms = now + provisioner->settings->server.reconnect_max_ms;
	wanted = item->state != STATE_WAITING || item->due_mono_ms <= now;
	mqtt_session_hold(provisioner->session, !wanted);
	if (wanted && item->state == STATE_WAITING && provisioner->up)
		ask(item);
	item = provisioner->asked ? provisioner->asked : first_due(provisioner);
	if (item && item->state != STATE_KEEPING && item->due_mono_ms > now)
		arm(provisioner, item->due_mono_ms);
}

static int
on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct provisioner *provisioner = userdata;

	(void)source, (void)usec;
	if (provisioner->asked && provisioner->asked->state == STATE_ASKED &&
	    provisioner->asked->due_mono_ms <= clock_mono_ms()) {
		refused(provisioner->asked, "the server does not answer");
		mqtt_session_restart(provisioner->session, "no answer to a provisioning request");
	}
	serve(provisioner);
	return 0;
}

/* ---- what the session says ---- */

static void
on_up(void *owner)
{
	static const char *const filters[] = { TB_PROVISION_RESPONSE };
	struct provisioner *provisioner = owner;

	provisioner->up = true;
	mqtt_subscribe(provisioner->session, filters, 1);
	serve(provisioner);
}

static void
on_down(void *owner)
{
	struct provisioner *provisioner = owner;

	provisioner->up = false;
	/* ThingsBoard closes on a request that it cannot read, and on a limit. */
	if (provisioner->asked && provisioner->asked->state == STATE_ASKED)
		refused(provisioner->asked, "the server closed the connection in place of an answer");
	serve(provisioner);
}

static void
on_refused(void *owner, int id, int reason)
{
	struct provisioner *provisioner = owner;

	(void)id, (void)reason;
	if (provisioner->asked && provisioner->asked->state == STATE_ASKED)
		refused(provisioner->asked, "the server refuses the request: does it know provisioning?");
	serve(provisioner);
}

static void
on_message(void *owner, const char *topic, const void *payload, size_t length)
{
	struct provisioner *provisioner = owner;
	struct item *item = provisioner->asked;
	struct credentials credentials;

	if (!item || item->state != STATE_ASKED || strcmp(topic, TB_PROVISION_RESPONSE) != 0)
		return;
	switch (tb_provision_answer(item->device->provision->type, payload, length, &credentials)) {
	case TB_PROVISION_SUCCESS:
		keep_answer(item, &credentials);
		break;
	case TB_PROVISION_NOT_FOUND:
		refused_key(item);
		break;
	case TB_PROVISION_FAILURE:
		refused(item, "the server has a device of that name that has credentials already, or expects none of that name: if its credentials "
			      "were lost here, copy them from there into gateway.conf, or delete it there");
		break;
	case TB_PROVISION_NONSENSE:
		refused(item, "the server gave an answer that cannot be used");
		break;
	}
	serve(provisioner);
}

static void
ignore_id(void *owner, int id)
{
	(void)owner, (void)id;
}

static void
ignore_grant(void *owner, int id, bool granted)
{
	(void)owner, (void)id, (void)granted; /* the answer comes to who asked, subscribed or not */
}

static const struct mqtt_events events = {
	.up = on_up,
	.down = on_down,
	.acked = ignore_id,
	.refused = on_refused,
	.subscribed = ignore_grant,
	.message = on_message,
};

/* ---- the module ---- */

static int
add_items(struct provisioner *provisioner)
{
	const struct settings *settings = provisioner->settings;

	provisioner->items = calloc(settings->device_count + 1, sizeof(provisioner->items[0]));
	if (!provisioner->items)
		return -ENOMEM;
	for (size_t i = 0; i < settings->device_count; i++) {
		struct item *item = &provisioner->items[provisioner->item_count];

		if (!settings->devices[i].provision)
			continue;
		item->provisioner = provisioner;
		item->device = &settings->devices[i];
		item->path = keeper_path(provisioner->keeper, "credentials", item->device->name);
		provisioner->item_count++;
		load(item);
	}
	return 0;
}

int
provisioner_start(struct provisioner *provisioner, struct mqtt *mqtt)
{
	if (!provisioner->session && !provisioner->asked && !first_due(provisioner))
		return 0;
	if (!provisioner->session)
		provisioner->session = mqtt_guest_new(mqtt, "provision", &guest, &events, provisioner);
	if (!provisioner->session)
		return -errno;
	serve(provisioner);
	return 0;
}

static void
forget(struct item *item)
{
	if (item->credentials.kind != CREDENTIALS_CERTIFICATE)
		tb_provision_done(&item->credentials);
}

/* What is being written is written to its end by the keeper; what is asked for is answered over the same session only. */
static void
adopt_item(struct item *item, struct item *from, bool session)
{
	if (from->state == STATE_DONE || from->state == STATE_KEEPING) {
		forget(item);
		use(item, &from->credentials);
		from->credentials = (struct credentials){ .kind = CREDENTIALS_NONE };
	} else if (item->state == STATE_WAITING && (session || from->state != STATE_ASKED)) {
		item->state = from->state;
		item->due_mono_ms = from->due_mono_ms;
		item->tries = from->tries;
		item->said = from->said;
		if (from->state == STATE_ASKED)
			item->provisioner->asked = item;
	}
}

void
provisioner_adopt(struct provisioner *provisioner, struct provisioner *from, bool session)
{
	for (size_t i = 0; i < provisioner->item_count; i++)
		for (size_t j = 0; j < from->item_count; j++) {
			struct item *item = &provisioner->items[i], *other = &from->items[j];

			if (strcmp(item->device->name, other->device->name) == 0 &&
			    item->device->provision->type == other->device->provision->type)
				adopt_item(item, other, session);
		}
	if (!session || !from->session)
		return;
	provisioner->session = from->session;
	provisioner->up = from->up;
	mqtt_session_give(provisioner->session, &guest, provisioner);
	from->session = NULL;
}

struct provisioner *
provisioner_new(const struct settings *settings, struct keeper *keeper, sd_event *loop,
    void (*ready)(void *ctx, size_t device), void *ctx)
{
	struct provisioner *provisioner = calloc(1, sizeof(*provisioner));
	int error;

	if (!provisioner)
		return NULL;
	provisioner->settings = settings;
	provisioner->keeper = keeper;
	provisioner->ready = ready;
	provisioner->ctx = ctx;
	error = sd_event_add_time(loop, &provisioner->timer, CLOCK_MONOTONIC, 0, 100000, on_timer, provisioner);
	if (error >= 0)
		error = sd_event_source_set_enabled(provisioner->timer, SD_EVENT_OFF);
	if (error >= 0)
		error = add_items(provisioner);
	if (error < 0) {
		provisioner_free(provisioner);
		errno = -error;
		return NULL;
	}
	return provisioner;
}

void
provisioner_free(struct provisioner *provisioner)
{
	if (!provisioner)
		return;
	mqtt_session_free(provisioner->session);
	keeper_forget(provisioner->keeper, provisioner->items, provisioner->items + provisioner->item_count);
	for (size_t i = 0; i < provisioner->item_count; i++) {
		forget(&provisioner->items[i]);
		free(provisioner->items[i].path);
	}
	sd_event_source_disable_unref(provisioner->timer);
	free(provisioner->items);
	free(provisioner);
}

const struct credentials *
provisioner_credentials(const struct provisioner *provisioner, size_t device)
{
	const struct device *of = &provisioner->settings->devices[device];

	if (!of->provision)
		return &of->credentials;
	for (size_t i = 0; i < provisioner->item_count; i++)
		if (provisioner->items[i].device == of)
			return provisioner->items[i].state == STATE_DONE ? &provisioner->items[i].credentials : NULL;
	return NULL;
}
