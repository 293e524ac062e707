# The real program against real parts: tests/system/NNN-name, each a Python program over harness.py.
SYSTEM_TESTS = \
	tests/system/010-check \
	tests/system/020-readme \
	tests/system/100-telemetry \
	tests/system/105-types \
	tests/system/106-plan \
	tests/system/110-rtu \
	tests/system/120-polling \
	tests/system/130-bad-registers \
	tests/system/140-overload \
	tests/system/130-reports \
	tests/system/200-cloud \
	tests/system/205-connect \
	tests/system/210-delivery \
	tests/system/215-limits \
	tests/system/216-poison \
	tests/system/217-offline \
	tests/system/220-store \
	tests/system/230-time \
	tests/system/240-isolation \
	tests/system/260-gateway-api \
	tests/system/250-tls \
	tests/system/255-credentials \
	tests/system/260-provision \
	tests/system/270-claim \
	tests/system/300-rpc \
	tests/system/305-methods \
	tests/system/310-shared \
	tests/system/315-calls \
	tests/system/317-device-api \
	tests/system/318-bounds \
	tests/system/320-write-latency \
	tests/system/330-writing \
	tests/system/340-instruments \
	tests/system/341-talk \
	tests/system/342-line-faults \
	tests/system/345-descriptions \
	tests/system/400-faults \
	tests/system/410-line \
	tests/system/415-advice \
	tests/system/420-transcript \
	tests/system/500-service \
	tests/system/505-stop \
	tests/system/525-status \
	tests/system/530-watchdog \
	tests/system/540-gateway \
	tests/system/510-example \
	tests/system/520-reload \
	tests/system/600-interop \
	tests/system/700-install \
	tests/system/900-torture
EXTRA_DIST += $(SYSTEM_TESTS) tests/system/harness.py tests/system/pki.py tests/golden
TESTS += $(SYSTEM_TESTS)

# Preloaded into the daemon by 230-time, 240-isolation, 505-stop and 530-watchdog. They are no part of the program, and the
# sanitizers have no business in them.
PRELOADED = tests/system/clockshift.so tests/system/hangdisk.so tests/system/hangdns.so tests/system/hangsend.so
check_DATA += $(PRELOADED)
EXTRA_DIST += tests/system/clockshift.c tests/system/hangdisk.c tests/system/hangdns.c tests/system/hangsend.c
CLEANFILES += $(PRELOADED)
PRELOADED_LINK = $(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -O1 -fPIC -shared -o $@

tests/system/clockshift.so: tests/system/clockshift.c
	$(AM_V_GEN)$(MKDIR_P) tests/system && $(PRELOADED_LINK) $(srcdir)/tests/system/clockshift.c
tests/system/hangdisk.so: tests/system/hangdisk.c
	$(AM_V_GEN)$(MKDIR_P) tests/system && $(PRELOADED_LINK) $(srcdir)/tests/system/hangdisk.c
tests/system/hangsend.so: tests/system/hangsend.c
	$(AM_V_GEN)$(MKDIR_P) tests/system && $(PRELOADED_LINK) $(srcdir)/tests/system/hangsend.c
tests/system/hangdns.so: tests/system/hangdns.c
	$(AM_V_GEN)$(MKDIR_P) tests/system && $(PRELOADED_LINK) $(srcdir)/tests/system/hangdns.c
