/* SPDX-License-Identifier: BSD-2-Clause */
/* docs/uefi.md, "umbra.conf". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "boot/efi_config.h"

static struct efi_config config;
static u32 line;

static const char *parse(const char *text)
{
	return efi_config_parse(text, strlen(text), &config, &line);
}

static void test_all_keys(void **state)
{
	(void)state;
	assert_null(parse("# Umbra\n"
			  "\n"
			  "options = serial=com1 stats\r\n"
			  "  start=\\EFI\\debian\\grubx64.efi   # on this partition\n"
			  "initrd = \\initrd.img\n"
			  "microcode = \\EFI\\umbra\\intel.bin\n"
			  "arguments\t=\troot=/dev/sda2 ro"));
	assert_string_equal(config.options, "serial=com1 stats");
	assert_string_equal(config.start, "\\EFI\\debian\\grubx64.efi");
	assert_string_equal(config.arguments, "root=/dev/sda2 ro");
	assert_string_equal(config.initrd, "\\initrd.img");
	assert_string_equal(config.microcode, "\\EFI\\umbra\\intel.bin");
}

static void test_nothing_given(void **state)
{
	(void)state;
	memset(&config, 'x', sizeof(config));
	assert_null(parse(""));
	assert_string_equal(config.options, "");
	assert_string_equal(config.start, "");
	assert_string_equal(config.arguments, "");
	assert_null(parse("start = a\nstart ="));
	assert_string_equal(config.start, "");
	assert_null(parse("start = a\nstart = b\n"));
	assert_string_equal(config.start, "b");
}

static void test_errors(void **state)
{
	char text[2 * EFI_CONFIG_VALUE];

	(void)state;
	assert_non_null(parse("start \\EFI"));
	assert_int_equal(line, 1);
	assert_non_null(parse("start = x\n\nstrat = y\n"));
	assert_int_equal(line, 3);
	assert_string_equal(config.start, "x");
	assert_non_null(parse("= y"));
	assert_non_null(parse("start = \xc3\xa4"));
	assert_non_null(parse("start = a\tb"));
	/* One character more than fits; and as many as fit. */
	snprintf(text, sizeof(text), "start = %0*d", EFI_CONFIG_VALUE, 0);
	assert_non_null(parse(text));
	snprintf(text, sizeof(text), "start = %0*d", EFI_CONFIG_VALUE - 1, 0);
	assert_null(parse(text));
	assert_int_equal(strlen(config.start), EFI_CONFIG_VALUE - 1);
	/* A text is as long as it is said to be, whatever is in it. */
	assert_non_null(efi_config_parse("start = a\0b", 11, &config, &line));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_keys),
		cmocka_unit_test(test_nothing_given),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
