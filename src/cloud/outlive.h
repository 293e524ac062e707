/* Call what may have an assertion fail that ends the process, where an error would do. libmosquitto 2.0 does that on a property of
 * MQTT 5 that it does not know, in whatever packet of the server: it logs that for no client (property_mosq.c, logging_mosq.c; mended
 * in 2.1). No server may end the process. Any thread.
 */
#ifndef CLOUD_OUTLIVE_H
#define CLOUD_OUTLIVE_H

/* Returns what call() does, or `otherwise` if that assertion failed in it; any other ends the process as ever. */
int outlive(int (*call)(void *ctx), void *ctx, int otherwise);

#endif
