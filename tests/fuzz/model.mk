# Fuzz targets of src/model, and of the payloads in src/cloud.
FUZZ_TARGETS += tests/fuzz/fuzz_codec
EXTRA_DIST += tests/fuzz/seeds/codec
tests_fuzz_fuzz_codec_SOURCES = tests/fuzz/fuzz_codec.c
tests_fuzz_fuzz_codec_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_codec_LDADD = $(FUZZ_MAIN) libmodel.a libbase.a -lm

FUZZ_TARGETS += tests/fuzz/fuzz_downlink
EXTRA_DIST += tests/fuzz/seeds/downlink
tests_fuzz_fuzz_downlink_SOURCES = tests/fuzz/fuzz_downlink.c
tests_fuzz_fuzz_downlink_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_downlink_LDADD = $(FUZZ_MAIN) libcloud.a libmodel.a libbase.a $(JSON_LIBS) -lm

FUZZ_TARGETS += tests/fuzz/fuzz_rpc
EXTRA_DIST += tests/fuzz/seeds/rpc
tests_fuzz_fuzz_rpc_SOURCES = tests/fuzz/fuzz_rpc.c
tests_fuzz_fuzz_rpc_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_rpc_LDADD = $(FUZZ_MAIN) libcloud.a libmodel.a libbase.a $(JSON_LIBS) -lm

FUZZ_TARGETS += tests/fuzz/fuzz_provision
EXTRA_DIST += tests/fuzz/seeds/provision
tests_fuzz_fuzz_provision_SOURCES = tests/fuzz/fuzz_provision.c
tests_fuzz_fuzz_provision_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_provision_LDADD = $(FUZZ_MAIN) libcloud.a libmodel.a libbase.a $(JSON_LIBS) -lm
