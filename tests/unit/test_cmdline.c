/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/cmdline.h"
#include "nested/untested.h"

static struct options o;
static char complaint[256];

static void accept(const char *line)
{
	assert_int_equal(cmdline_parse(line, &o, complaint, sizeof(complaint)), 0);
	assert_string_equal(complaint, "");
}

static void expect_defaults(void)
{
	assert_int_equal(o.serial_port, 0x3f8);
	assert_int_equal(o.serial_baud, 115200);
	assert_int_equal(o.log_level, LOG_LEVEL_INFO);
	assert_false(o.verbose);
	assert_true(o.microcode);
	assert_false(o.stats);
	assert_false(o.cpuid_all);
	assert_false(o.hypervisor_pass);
	assert_false(o.refuse_boot);
	assert_false(o.efi_end);
	assert_int_equal(o.drive, 0x80);
	assert_int_equal(o.wait, 0);
	assert_true(o.nested);
	assert_true(o.nested_shadow);
	assert_int_equal(o.nested_pool, 2048);
}

static void refuse(const char *line, const char *text)
{
	assert_int_equal(cmdline_parse(line, &o, complaint, sizeof(complaint)), 1);
	assert_string_equal(complaint, text);
	expect_defaults();
}

static void test_defaults(void **state)
{
	(void)state;
	memset(&o, 0xff, sizeof(o));
	accept("");
	expect_defaults();
	accept("  \t\r\n ");
	expect_defaults();
}

static void test_serial(void **state)
{
	static const struct {
		const char *line;
		u16 port;
		u32 baud;
	} cases[] = {
		{"serial=com1", 0x3f8, 115200},      {"serial=com2", 0x2f8, 115200},
		{"serial=com3", 0x3e8, 115200},      {"serial=com4", 0x2e8, 115200},
		{"serial=0x3F8", 0x3f8, 115200},     {"serial=0xe010,9600", 0xe010, 9600},
		{"serial=57360", 57360, 115200},     {"serial=0xfff8", 0xfff8, 115200},
		{"serial=com2,38400", 0x2f8, 38400}, {"serial=com1,2", 0x3f8, 2},
		{"serial=none", 0, 115200},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		accept(cases[i].line);
		assert_int_equal(o.serial_port, cases[i].port);
		assert_int_equal(o.serial_baud, cases[i].baud);
	}
}

static void test_switches_and_choices(void **state)
{
	(void)state;
	accept("loglevel=error");
	assert_int_equal(o.log_level, LOG_LEVEL_ERROR);
	accept("loglevel=warn");
	assert_int_equal(o.log_level, LOG_LEVEL_WARN);
	accept("loglevel=debug");
	assert_int_equal(o.log_level, LOG_LEVEL_DEBUG);
	accept("verbose");
	assert_true(o.verbose);
	accept("verbose=on");
	assert_true(o.verbose);
	accept("nested=off");
	assert_false(o.nested);
	assert_true(o.nested_shadow);
	accept("microcode=off");
	assert_false(o.microcode);
	accept("microcode");
	assert_true(o.microcode);
	accept("stats");
	assert_true(o.stats);
	accept("stats=off");
	assert_false(o.stats);
	accept("cpuid=all");
	assert_true(o.cpuid_all);
	accept("cpuid=all cpuid=known");
	assert_false(o.cpuid_all);
	accept("efi=end");
	assert_true(o.efi_end);
	accept("efi=end efi=keep");
	assert_false(o.efi_end);
	accept("hypervisor=pass");
	assert_true(o.hypervisor_pass);
	accept("hypervisor=pass hypervisor=hide");
	assert_false(o.hypervisor_pass);
	accept("on-refuse=boot");
	assert_true(o.refuse_boot);
	accept("on-refuse=boot on-refuse=halt");
	assert_false(o.refuse_boot);
	assert_int_equal(o.dma, DMA_AUTO);
	accept("dma=pass");
	assert_int_equal(o.dma, DMA_PASS);
	accept("dma=pass dma=protect");
	assert_int_equal(o.dma, DMA_PROTECT);
	accept("dma=protect dma=auto");
	assert_int_equal(o.dma, DMA_AUTO);
	assert_int_equal(o.mitigations, MITIGATIONS_AUTO);
	accept("mitigations=off");
	assert_int_equal(o.mitigations, MITIGATIONS_OFF);
	accept("mitigations=off mitigations=force");
	assert_int_equal(o.mitigations, MITIGATIONS_FORCE);
	accept("mitigations=force mitigations=auto");
	assert_int_equal(o.mitigations, MITIGATIONS_AUTO);
	accept("nested.pool=0");
	assert_int_equal(o.nested_pool, 0);
	accept("nested.pool=0x100000");
	assert_int_equal(o.nested_pool, 0x100000);
	assert_int_equal(o.nested_untested, 0);
	accept("nested.untested=bus-lock");
	assert_int_equal(o.nested_untested, 1 << UNTESTED_BUS_LOCK);
	accept("nested.untested=loadiwkey,bus-lock");
	assert_int_equal(o.nested_untested, 1 << UNTESTED_BUS_LOCK | 1 << UNTESTED_LOADIWKEY);
	accept("nested.untested=all");
	assert_int_equal(o.nested_untested, (1 << UNTESTED_COUNT) - 1);
	accept("nested.untested=all nested.untested=none");
	assert_int_equal(o.nested_untested, 0);
	accept("nested.shadow=off");
	assert_false(o.nested_shadow);
	assert_true(o.nested);
	accept("nested=off nested");
	assert_true(o.nested);
	accept("wait=3600");
	assert_int_equal(o.wait, 3600);
	accept("drive=0x81");
	assert_int_equal(o.drive, 0x81);
	accept("drive=0");
	assert_int_equal(o.drive, 0);
	accept("drive=0xaF");
	assert_int_equal(o.drive, 0xaf);
	accept("drive=0XfA");
	assert_int_equal(o.drive, 0xfa);
	/* Not octal, and not hexadecimal either. */
	accept("drive=010");
	assert_int_equal(o.drive, 10);
	accept("drive=255");
	assert_int_equal(o.drive, 255);
}

static void test_several(void **state)
{
	(void)state;
	accept("\tserial=com2,9600   loglevel=debug verbose\tdrive=0xe0 nested=off drive=0x00 ");
	assert_int_equal(o.serial_port, 0x2f8);
	assert_int_equal(o.serial_baud, 9600);
	assert_int_equal(o.log_level, LOG_LEVEL_DEBUG);
	assert_true(o.verbose);
	assert_int_equal(o.drive, 0);
	assert_false(o.nested);
}

static void test_unknown(void **state)
{
	static const char *const names[] = {"quiet",  "nest", "nestedx",       "nested.",
					    "Serial", "=on",  "root=/dev/sda1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char text[64] = "unknown option '";

		strcat(text, names[i]);
		strcat(text, "'");
		refuse(names[i], text);
	}
}

static void test_bad_values(void **state)
{
	static const char *const words[] = {
		"serial",
		"serial=",
		"serial=com5",
		"serial=com",
		"serial=COM1",
		"serial=0",
		"serial=0x",
		"serial=0xfff9",
		"serial=0x3g8",
		"serial=-1",
		"serial=com1,",
		"serial=com1,0",
		"serial=com1,1",
		"serial=com1,115201",
		"serial=com1,7000",
		"serial=com1,9600,8n1",
		"serial=,9600",
		"serial=none,9600",
		"dma",
		"dma=on",
		"mitigations",
		"mitigations=on",
		"mitigations=forced",
		"serial=com1,0x",
		"serial=18446744073709552632",
		"loglevel",
		"loglevel=",
		"loglevel=loud",
		"loglevel=debugx",
		"loglevel=debu",
		"drive",
		"drive=",
		"wait=3601",
		"wait=-1",
		"wait=",
		"drive=0x100",
		"drive=c:",
		"drive=4294967296",
		"drive=80h",
		"drive=0x8@",
		"drive=0x8:",
		"drive=0x8`",
		"drive=0x8G",
		"nested=",
		"nested.pool=1048577",
		"nested.pool=2M",
		"nested.untested",
		"nested.untested=",
		"nested.untested=on",
		"nested.untested=all,bus-lock",
		"nested.untested=bus-lock,",
		"nested.untested=,bus-lock",
		"nested.untested=bus-lock,fred",
		"nested=1",
		"nested=ON",
		"nested=on,off",
		"nested.shadow=maybe",
		"verbose=yes",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		char text[64] = "bad value in '";

		strcat(text, words[i]);
		strcat(text, "'");
		refuse(words[i], text);
	}
}

static void test_complaints_do_not_stop(void **state)
{
	(void)state;
	assert_int_equal(
		cmdline_parse("foo nested=off drive=x verbose", &o, complaint, sizeof(complaint)),
		2);
	assert_string_equal(complaint, "unknown option 'foo'; bad value in 'drive=x'");
	assert_false(o.nested);
	assert_true(o.verbose);
	assert_int_equal(o.drive, 0x80);
	/* A bad second one leaves the good first one. */
	assert_int_equal(cmdline_parse("drive=1 drive=x", &o, complaint, sizeof(complaint)), 1);
	assert_int_equal(o.drive, 1);
}

static void test_complaint_is_printable(void **state)
{
	(void)state;
	refuse("a\x1b[2J~\x7f\x80", "unknown option 'a?[2J~?\?'");
}

static void test_complaint_is_cut(void **state)
{
	static const char whole[] = "unknown option 'foo'; unknown option 'bar'";

	(void)state;
	for (size_t size = 1; size <= sizeof(whole); size++) {
		char *buf = malloc(size);

		assert_int_equal(cmdline_parse("foo bar", &o, buf, size), 2);
		assert_int_equal(strlen(buf), size - 1);
		assert_memory_equal(buf, whole, size - 1);
		free(buf);
	}
	assert_int_equal(cmdline_parse("foo bar verbose", &o, NULL, 0), 2);
	assert_true(o.verbose);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_serial),
		cmocka_unit_test(test_switches_and_choices),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_complaints_do_not_stop),
		cmocka_unit_test(test_complaint_is_printable),
		cmocka_unit_test(test_complaint_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
