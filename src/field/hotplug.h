/* When is it worth trying again to open what is not there? The directory of a path, and those of the links that it leads
 * through, are watched for names that appear or become accessible, so that nobody has to look each second for an adapter that
 * was unplugged. Any thread.
 */
#ifndef FIELD_HOTPLUG_H
#define FIELD_HOTPLUG_H

/* Watch for `path`; call it before the attempt to open, so that nothing is missed in between. A directory that is not there
 * itself is waited for in the one above it: /dev/serial/by-id comes and goes with its last adapter.
 * Returns a descriptor, readable when something changed: close it, try, and watch anew. Negative errno if the system
 * cannot watch. */
int hotplug_watch(const char *path);

#endif
