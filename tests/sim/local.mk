# The Modbus simulator: units over TCP and RTU that misbehave by script, see README.md.
check_PROGRAMS += tests/sim/modsim
tests_sim_modsim_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_sim_modsim_CFLAGS = $(AM_CFLAGS) $(JSON_CFLAGS)
tests_sim_modsim_LDADD = libcommon.a $(JSON_LIBS) -lm
tests_sim_modsim_SOURCES = \
	tests/sim/bus.c tests/sim/bus.h \
	tests/sim/commands.c tests/sim/commands.h \
	tests/sim/fault.c tests/sim/fault.h \
	tests/sim/frame.c tests/sim/frame.h \
	tests/sim/journal.c tests/sim/journal.h \
	tests/sim/loop.c tests/sim/loop.h \
	tests/sim/main.c \
	tests/sim/registers.c tests/sim/registers.h \
	tests/sim/rtu.c tests/sim/rtu.h \
	tests/sim/sender.c tests/sim/sender.h \
	tests/sim/server.c tests/sim/server.h \
	tests/sim/tcp.c tests/sim/tcp.h

EXTRA_DIST += tests/sim/README.md

if HAVE_CMOCKA
check_PROGRAMS += tests/sim/test_server
TESTS += tests/sim/test_server
endif
tests_sim_test_server_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_sim_test_server_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_sim_test_server_LDADD = $(CMOCKA_LIBS) -lm
tests_sim_test_server_SOURCES = \
	tests/sim/fault.c tests/sim/fault.h \
	tests/sim/frame.c tests/sim/frame.h \
	tests/sim/registers.c tests/sim/registers.h \
	tests/sim/server.c tests/sim/server.h \
	tests/sim/test_server.c

# It looks for ./tests/sim/modsim, or for the binary that MODSIM names.
TESTS += tests/sim/sim_test.py
EXTRA_DIST += tests/sim/sim_test.py tests/sim/instrument.py
