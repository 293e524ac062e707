/* ThingsBoard's device API: an MQTT session for each device. The cloud's thread. */
#ifndef CLOUD_DEVICE_API_H
#define CLOUD_DEVICE_API_H

#include "cloud/mqtt.h"
#include "cloud/session.h"

/* A session with these credentials, which must outlive it; `name` is for the log. Returns NULL with errno set. */
struct session *device_api_new(
    struct mqtt *mqtt, const char *name, const struct credentials *credentials, void *owner);

/* The session, which is one of these, is somebody else's from now on, and the credentials, which are the same, are elsewhere. */
void device_api_give(struct session *session, const struct credentials *credentials, void *owner);

#endif
