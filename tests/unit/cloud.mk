# Unit tests of src/cloud.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_tb_json
TESTS += tests/unit/test_tb_json

tests_unit_test_tb_json_SOURCES = tests/unit/test_tb_json.c
tests_unit_test_tb_json_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_tb_json_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=strdup
tests_unit_test_tb_json_LDADD = libcloud.a libmodel.a libbase.a $(CMOCKA_LIBS) $(JSON_LIBS) -lm
endif
