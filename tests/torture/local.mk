# Fault injection, see docs/testing.md. Its length, its faults and its size are parameters:
#     make torture SECONDS=300 SEED=7 DEVICES=20
#     make soak HOURS=1 DEVICES=200
EXTRA_DIST += \
	tests/torture/checker.py \
	tests/torture/derived.py \
	tests/torture/faults.py \
	tests/torture/scale.py \
	tests/torture/soak.py \
	tests/torture/torture.py \
	tests/torture/world.py

# Preloaded into the daemon; see tests/system/local.mk.
check_DATA += tests/torture/diskfault.so
EXTRA_DIST += tests/torture/diskfault.c
CLEANFILES += tests/torture/diskfault.so
tests/torture/diskfault.so: tests/torture/diskfault.c
	@$(MKDIR_P) tests/torture
	$(AM_V_CCLD)$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -O1 -fPIC -shared -o $@ $(srcdir)/tests/torture/diskfault.c

TESTS += tests/torture/checker_test.py
EXTRA_DIST += tests/torture/checker_test.py

torture: all $(check_PROGRAMS) $(check_DATA)
	seconds='$(SECONDS)'; seed='$(SEED)'; devices='$(DEVICES)'; api='$(API)'; BUILD='$(abs_builddir)' \
	    $(top_srcdir)/tests/torture/torture.py --seconds $${seconds:-60} $${seed:+--seed $$seed} --devices $${devices:-20} \
	    $${api:+--api $$api}

soak: all $(check_PROGRAMS) $(check_DATA)
	hours='$(HOURS)'; devices='$(DEVICES)'; BUILD='$(abs_builddir)' \
	    $(top_srcdir)/tests/torture/soak.py --hours $${hours:-1} --devices $${devices:-200}

.PHONY: torture soak
