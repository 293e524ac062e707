# Fuzz targets: tests/fuzz/fuzz_X.c defines LLVMFuzzerTestOneInput(). Built with libFuzzer by --enable-fuzzer; otherwise linked
# with replay.c, which runs the seeds in tests/fuzz/seeds/X, and those run in "make check".
include tests/fuzz/model.mk
include tests/fuzz/conf.mk
include tests/fuzz/field.mk
