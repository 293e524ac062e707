# Unit tests of src/model.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_codec tests/unit/test_gauges tests/unit/test_settings tests/unit/test_value
TESTS += tests/unit/test_codec tests/unit/test_gauges tests/unit/test_settings tests/unit/test_value

tests_unit_test_codec_SOURCES = tests/unit/test_codec.c
tests_unit_test_codec_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_codec_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc
tests_unit_test_codec_LDADD = libmodel.a libbase.a $(CMOCKA_LIBS) -lm

tests_unit_test_gauges_SOURCES = tests/unit/test_gauges.c
tests_unit_test_gauges_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_gauges_LDADD = libmodel.a libbase.a $(CMOCKA_LIBS) -lm

tests_unit_test_settings_SOURCES = tests/unit/test_settings.c
tests_unit_test_settings_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_settings_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=calloc
tests_unit_test_settings_LDADD = libmodel.a libbase.a $(CMOCKA_LIBS) -lm

tests_unit_test_value_SOURCES = tests/unit/test_value.c
tests_unit_test_value_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_value_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=strdup
tests_unit_test_value_LDADD = libmodel.a libbase.a $(CMOCKA_LIBS) -lm
endif
