#include "model/exception.h"

#include <stddef.h>

static const char *const names[] = {
	[1] = "illegal function",
	[2] = "illegal data address",
	[3] = "illegal data value",
	[4] = "server device failure",
	[5] = "acknowledge: still working on it",
	[6] = "server device busy",
	[7] = "negative acknowledge",
	[8] = "memory parity error",
	[10] = "gateway path unavailable",
	[11] = "gateway target device failed to respond",
};

const char *
exception_name(int code)
{
	if (code < 0 || (size_t)code >= sizeof(names) / sizeof(names[0]) || !names[code])
		return "unknown exception";
	return names[code];
}

bool
exception_is_passing(int code)
{
	return code == 5 || code == 6 || code == 10 || code == 11;
}
