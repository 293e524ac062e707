#include <config.h>

#include "cli/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"

static void
read_status(struct health_process *ret)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];

	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		uint64_t number;

		if (sscanf(line, "VmRSS: %" SCNu64, &number) == 1)
			ret->rss_bytes = number * 1024;
		else if (sscanf(line, "Threads: %" SCNu64, &number) == 1)
			ret->threads = number;
	}
	fclose(file);
}

static uint64_t
count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (!folder)
		return 0;
	for (const struct dirent *entry; (entry = readdir(folder));)
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count - 1; /* the folder's own */
}

static double
seconds(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

void
process_look(struct health_process *ret, int64_t started_mono_us)
{
	struct rlimit limit;
	struct rusage usage;

	*ret = (struct health_process){
		.version = PACKAGE_VERSION,
		.uptime_s = (clock_mono_us() - started_mono_us) / 1000000,
		.descriptors = count_descriptors(),
		.log_level = log_level_name(log_get_level()),
	};
	read_status(ret);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		ret->descriptors_max = limit.rlim_cur;
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		ret->cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
}
