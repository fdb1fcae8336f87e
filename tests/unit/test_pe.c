/* SPDX-License-Identifier: BSD-2-Clause */
/* Microsoft, "PE Format": offsets of the headers, counted by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boot/pe.h"

enum { PE_AT = 0x40, OPTIONAL = PE_AT + 24, END = OPTIONAL + 70 };

static u8 file[256];
static struct pe_info info;

static void poke16(size_t at, u16 value)
{
	memcpy(file + at, &value, sizeof(value));
}

static int make(void **state)
{
	(void)state;
	memset(file, 0, sizeof(file));
	memcpy(file, "MZ", 2);
	file[0x3c] = PE_AT;
	memcpy(file + PE_AT, "PE\0\0", 4);
	poke16(PE_AT + 4, 0x8664); /* Machine: x64 */
	poke16(OPTIONAL, 0x20b);   /* Magic: PE32+ */
	poke16(OPTIONAL + 44, 3);  /* MajorImageVersion */
	poke16(OPTIONAL + 68, 10); /* Subsystem: EFI application */
	return 0;
}

static void test_efi_program(void **state)
{
	(void)state;
	assert_true(pe_is_efi_program(file, sizeof(file), &info));
	assert_int_equal(info.version, 3);
	/* Headers may end with the file, and not before. */
	assert_true(pe_is_efi_program(file, END, &info));
	for (size_t size = 0; size < END; size++)
		assert_false(pe_is_efi_program(file, size, &info));
}

static void test_others(void **state)
{
	static const struct {
		size_t at;
		u16 value;
	} wrong[] = {
		{0, 0x5a4e},         /* no DOS header */
		{0x3e, 0xffff},      /* PE header far outside */
		{PE_AT, 0},          /* no signature */
		{PE_AT + 2, 1},      /* half of one */
		{PE_AT + 4, 0xaa64}, /* ARM64 */
		{PE_AT + 4, 0x014c}, /* i386 */
		{OPTIONAL, 0x10b},   /* PE32 */
		{OPTIONAL + 68, 2},  /* Windows GUI */
		{OPTIONAL + 68, 11}, /* EFI boot service driver: it does not boot anything */
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		make(state);
		poke16(wrong[i].at, wrong[i].value);
		assert_false(pe_is_efi_program(file, sizeof(file), &info));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_efi_program, make),
		cmocka_unit_test_setup(test_others, make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
