# The real program against real parts: tests/system/NNN-name, each a Python program over harness.py.
SYSTEM_TESTS = \
	tests/system/010-check \
	tests/system/100-telemetry \
	tests/system/110-rtu \
	tests/system/120-polling \
	tests/system/200-cloud \
	tests/system/210-delivery \
	tests/system/300-rpc \
	tests/system/310-shared \
	tests/system/400-faults \
	tests/system/500-service \
	tests/system/600-interop \
	tests/system/700-install
EXTRA_DIST += $(SYSTEM_TESTS) tests/system/harness.py
TESTS += $(SYSTEM_TESTS)
