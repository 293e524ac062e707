# Fuzz targets of src/field.
FUZZ_TARGETS += tests/fuzz/fuzz_reply
EXTRA_DIST += tests/fuzz/seeds/reply
tests_fuzz_fuzz_reply_SOURCES = tests/fuzz/fuzz_reply.c
tests_fuzz_fuzz_reply_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_reply_LDADD = $(FUZZ_MAIN) libfield.a libmodel.a libbase.a $(MODBUS_LIBS) $(SERIALPORT_LIBS) -lm
