# What the descriptions in conf/instruments.d make of what instruments say.
EXTRA_DIST += tests/instruments
TESTS += tests/instruments/check.sh
