#include "model/sample.h"

const char *
quality_name(enum quality quality)
{
	static const char *const names[QUALITIES] = { [QUALITY_GOOD] = "good",
		[QUALITY_NO_VALUE] = "no value",
		[QUALITY_REFUSED] = "refused",
		[QUALITY_STALE] = "stale",
		[QUALITY_OFFLINE] = "offline",
		[QUALITY_UNKNOWN] = "unknown" };

	return names[quality];
}
