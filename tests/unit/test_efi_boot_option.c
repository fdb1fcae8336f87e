/* SPDX-License-Identifier: BSD-2-Clause */
/* UEFI Specification, "Load Options", "Hard Drive Media Device Path". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boot/efi_boot_option.h"

/* An end node. */
#define END 0x7f, 0xff, 4, 0
/* Media path, hard drive: partition 1, start, size, signature `s` and zeroes, GPT, GUID. */
#define HARD_DRIVE(s)                                                                              \
	4, 1, 42, 0, 1, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, s, 0, 0, 0, 0, 0, \
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2
/* Media path, file name: "\a". */
#define FILE_A 4, 4, 10, 0, '\\', 0, 'a', 0, 0, 0
/* Hardware path, PCI. */
#define PCI 1, 1, 6, 0, 1, 2

static void test_option(void **state)
{
	static const u8 variable[] = {1, 0, 0, 0,      14,  0,   'D', 0,  0xe4,
				      0, 0, 0, FILE_A, END, 'x', 'y', 'z'};
	struct efi_boot_option option;

	(void)state;
	assert_true(efi_boot_option_parse(variable, sizeof(variable), &option));
	assert_true(option.active);
	assert_string_equal(option.description, "D?");
	assert_int_equal(option.path_size, 14);
	assert_int_equal(option.path[0], 4);
	assert_int_equal(option.data_size, 3);
	assert_memory_equal(option.data, "xyz", 3);
	/* Without data it still is one; anything shorter is damaged. */
	assert_true(efi_boot_option_parse(variable, sizeof(variable) - 3, &option));
	assert_int_equal(option.data_size, 0);
	for (size_t size = 0; size < sizeof(variable) - 3; size++)
		assert_false(efi_boot_option_parse(variable, size, &option));
}

/* "Load Options", attributes: the boot manager passes over what is inactive or no boot entry. */
static void test_active(void **state)
{
	u8 variable[] = {0, 0, 0, 0, 4, 0, 'D', 0, 0, 0, END};
	static const struct {
		u8 low, high;
		bool active;
	} cases[] = {{1, 0, true}, {0, 0, false}, {9, 0, true}, {1, 1, false}, {1, 0x1f, false}};
	struct efi_boot_option option;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		variable[0] = cases[i].low;
		variable[1] = cases[i].high;
		assert_true(efi_boot_option_parse(variable, sizeof(variable), &option));
		assert_int_equal(option.active, cases[i].active);
	}
}

static void test_long_description(void **state)
{
	u8 variable[6 + 400 + 2 + 4] = {0, 0, 0, 0, 4, 0};
	struct efi_boot_option option;

	(void)state;
	for (size_t i = 6; i < 406; i += 2)
		variable[i] = 'w';
	memcpy(variable + 408, (const u8[]){END}, 4);
	assert_true(efi_boot_option_parse(variable, sizeof(variable), &option));
	assert_false(option.active);
	assert_int_equal(strlen(option.description), sizeof(option.description) - 1);
}

static void test_order(void **state)
{
	static const u8 order[] = {3, 0, 0, 0, 0x0b, 0x1a};
	u16 next;

	(void)state;
	assert_true(efi_boot_order_next(order, sizeof(order), 3, &next));
	assert_int_equal(next, 0);
	assert_true(efi_boot_order_next(order, sizeof(order), 0, &next));
	assert_int_equal(next, 0x1a0b);
	assert_false(efi_boot_order_next(order, sizeof(order), 0x1a0b, &next));
	/* Started by hand: the first one. */
	assert_true(efi_boot_order_next(order, sizeof(order), 77, &next));
	assert_int_equal(next, 3);
	assert_false(efi_boot_order_next(order, 0, 77, &next));
}

static void test_name(void **state)
{
	char name[9];

	(void)state;
	efi_boot_option_name(0x1a0b, name);
	assert_string_equal(name, "Boot1A0B");
	efi_boot_option_name(0, name);
	assert_string_equal(name, "Boot0000");
}

static void test_short_paths(void **state)
{
	static const u8 short_path[] = {HARD_DRIVE(9), FILE_A, END};
	static const u8 whole[] = {PCI, HARD_DRIVE(9), END};
	static const u8 other[] = {PCI, HARD_DRIVE(8), END};
	static const u8 endless[] = {1, 1, 0, 0, END};

	(void)state;
	assert_true(efi_path_is_short(short_path, sizeof(short_path)));
	assert_false(efi_path_is_short(whole, sizeof(whole)));
	assert_false(efi_path_is_short(short_path, 41));
	assert_true(efi_path_has_partition(whole, sizeof(whole), short_path, sizeof(short_path)));
	assert_false(efi_path_has_partition(other, sizeof(other), short_path, sizeof(short_path)));
	assert_false(
		efi_path_has_partition(endless, sizeof(endless), short_path, sizeof(short_path)));
	for (size_t size = 0; size < 6 + 42; size++)
		assert_false(efi_path_has_partition(whole, size, short_path, sizeof(short_path)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_option),
		cmocka_unit_test(test_active),
		cmocka_unit_test(test_long_description),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_short_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
