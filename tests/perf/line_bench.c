/* How well the link uses its line: exchanges on simulated serial lines at the pace of real ones against what the characters
 * alone would take, and exchanges and CPU time on Modbus TCP over loopback. Prints a table; judges nothing.
 *
 * The ideal of an exchange is the characters of the request, the unit's turnaround, the characters of the reply, and the
 * silence of t3.5 before the next request. What is lost to it are timers and wake-ups, ours and the simulator's.
 *
 *     line_bench [MODSIM [SECONDS]]
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "field/line.h"
#include "field/link_modbus.h"

#define TURNAROUND_US 5000 /* the simulator's on a line */
#define TIMEOUT_MS    1000
#define READ_CHARS    8 /* of a request to read, and of what frames a reply: MODBUS over Serial Line V1.02, 2.5.1 */
#define RTU_OVERHEAD  3

struct sim {
	pid_t pid;
	FILE *out;
	int in; /* its input stays open while it shall live */
	int tcp_port;
	char folder[64];
};

static const int bauds[] = { 9600, 19200, 115200 };
static const int lengths[] = { 1, 10, 125 };

static void
die(const char *what)
{
	fprintf(stderr, "line_bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
sim_exec(const struct sim *sim, const char *program)
{
	char links[3][80];
	char speeds[3][16];
	const char *arguments[16] = { "modsim", "--tcp", "0" };
	int count = 3;

	for (size_t i = 0; i < 3; i++) {
		snprintf(links[i], sizeof(links[i]), "%s/%d", sim->folder, bauds[i]);
		snprintf(speeds[i], sizeof(speeds[i]), "%d", bauds[i]);
		arguments[count++] = "--rtu";
		arguments[count++] = links[i];
		arguments[count++] = "--baud";
		arguments[count++] = speeds[i];
	}
	execv(program, (char *const *)(uintptr_t)arguments);
	die(program);
}

static void
sim_start(struct sim *sim, const char *program)
{
	int in[2];
	int out[2];
	char line[1024];
	const char *port;

	snprintf(sim->folder, sizeof(sim->folder), "/tmp/line-bench-XXXXXX");
	if (!mkdtemp(sim->folder) || pipe(in) != 0 || pipe(out) != 0 || (sim->pid = fork()) < 0)
		die("start");
	if (sim->pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close(in[1]);
		sim_exec(sim, program);
	}
	close(in[0]);
	close(out[1]);
	sim->in = in[1];
	sim->out = fdopen(out[0], "r");
	port = fgets(line, sizeof(line), sim->out) ? strstr(line, "\"tcp\":[") : NULL;
	if (!port)
		die("the simulator did not start");
	sim->tcp_port = atoi(port + strlen("\"tcp\":["));
}

static void
sim_stop(struct sim *sim)
{
	close(sim->in);
	waitpid(sim->pid, NULL, 0);
	fclose(sim->out);
	rmdir(sim->folder);
}

static int64_t
thread_cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
	       usage.ru_stime.tv_usec;
}

static int64_t
ideal_us(const struct bus *bus, const struct pdu_request *request)
{
	size_t chars = READ_CHARS + pdu_reply_length(request) + RTU_OVERHEAD;
	int64_t silence_us = line_silence_us(bus);

	return line_chars_us(bus, chars) + (silence_us > TURNAROUND_US ? silence_us : TURNAROUND_US) + silence_us;
}

/* Ask over and over. Prints one row. */
static void
run(const struct bus *bus, int count, int seconds)
{
	struct link *link = link_modbus_new(bus, NULL, -1);
	struct pdu_request request = pdu_read(TABLE_HOLDING, 1, 0, count);
	struct link_report report;
	uint16_t cells[MODBUS_MAX_READ_REGISTERS];
	int64_t began_us;
	int64_t cpu_us;
	int64_t took_us;
	long exchanges = 0;
	long failed = 0;

	if (!link || link->ops->open(link, -1, CLOCK_NEVER) != 0)
		die(bus->name);
	(void)link->ops->exchange(link, &request, TIMEOUT_MS, cells, &report);
	began_us = clock_mono_us();
	cpu_us = thread_cpu_us();
	do {
		failed += link->ops->exchange(link, &request, TIMEOUT_MS, cells, &report) != 0;
		exchanges++;
		took_us = clock_mono_us() - began_us;
	} while (took_us < seconds * INT64_C(1000000));
	cpu_us = thread_cpu_us() - cpu_us;
	printf("%-7s %4d registers: %8.1f exchanges/s, %6.1f us CPU each", bus->name, count,
	    (double)exchanges * 1e6 / (double)took_us, (double)cpu_us / (double)exchanges);
	if (bus->type == BUS_RTU)
		printf(", %5.1f %% of the ideal",
		    100.0 * (double)ideal_us(bus, &request) * (double)exchanges / (double)took_us);
	if (failed > 0)
		printf(", %ld failed", failed);
	putchar('\n');
	fflush(stdout);
	link->ops->free(link);
}

int
main(int argc, char **argv)
{
	const char *program = argc > 1 ? argv[1] : "tests/sim/modsim";
	int seconds = argc > 2 ? atoi(argv[2]) : 3;
	struct sim sim = { .pid = -1 };
	char path[80];
	char name[16];
	struct bus bus = {
		.name = name,
		.type = BUS_RTU,
		.port = path,
		.data_bits = 8,
		.stop_bits = 1,
		.host = "127.0.0.1",
		.connect_timeout_ms = 1000,
	};

	signal(SIGPIPE, SIG_IGN);
	sim_start(&sim, program);
	for (size_t i = 0; i < sizeof(bauds) / sizeof(bauds[0]); i++)
		for (size_t j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++) {
			bus.baud = bauds[i];
			snprintf(name, sizeof(name), "%d", bauds[i]);
			snprintf(path, sizeof(path), "%s/%d", sim.folder, bauds[i]);
			run(&bus, lengths[j], seconds);
		}
	bus.type = BUS_TCP;
	bus.tcp_port = sim.tcp_port;
	snprintf(name, sizeof(name), "tcp");
	run(&bus, 1, seconds);
	run(&bus, 125, seconds);
	sim_stop(&sim);
	return 0;
}
