/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/int15.h"

static const u32 SMAP = 0x534d4150; /* 'SMAP' */

static struct memmap machine(void)
{
	struct memmap map = {0};
	assert_true(memmap_add(&map, 0, 0x9fc00, MEMMAP_USABLE));
	assert_true(memmap_add(&map, 0xf0000, 0x10000, MEMMAP_RESERVED));
	assert_true(memmap_add(&map, MIB, 511 * MIB, MEMMAP_USABLE));
	assert_true(memmap_add(&map, 512 * MIB, MIB, MEMMAP_ACPI_RECLAIM));
	assert_true(memmap_add(&map, 513 * MIB, MIB, MEMMAP_ACPI_NVS));
	assert_true(memmap_add(&map, 514 * MIB, MIB, 0x1234));
	assert_true(memmap_add(&map, 4 * GIB, GIB, MEMMAP_USABLE));
	return map;
}

static void whole_map(void **state)
{
	(void)state;
	static const struct memmap_entry expected[] = {
		{0, 0x9fc00, 1, 1},     {0xf0000, 0x10000, 2, 1}, {MIB, 511 * MIB, 1, 1},
		{512 * MIB, MIB, 3, 1}, {513 * MIB, MIB, 4, 1},   {514 * MIB, MIB, 2, 1},
		{4 * GIB, GIB, 1, 1},
	};
	struct memmap map = machine();
	static const u32 room[] = {20, 21, 23, 24, 25, 0x10000, 0xffffffff};
	for (size_t r = 0; r < ARRAY_SIZE(room); r++) {
		u32 next = 0;
		for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
			struct int15_regs regs = {.eax = 0xabcde820,
						  .ebx = next,
						  .ecx = room[r],
						  .edx = SMAP,
						  .carry = true};
			struct int15_answer a = int15_call(&map, &regs);
			assert_true(a.handled);
			assert_false(regs.carry);
			assert_int_equal(regs.eax, SMAP);
			assert_int_equal(regs.ecx, room[r] < 24 ? 20 : 24);
			assert_int_equal(a.size, regs.ecx);
			assert_memory_equal(&a.entry, &expected[i], sizeof(a.entry));
			next = regs.ebx;
			assert_int_equal(next == 0, i + 1 == ARRAY_SIZE(expected));
		}
	}
}

static void assert_refused(const struct memmap *map, struct int15_regs regs)
{
	struct int15_regs after = regs;
	struct int15_answer a = int15_call(map, &after);
	assert_true(a.handled);
	assert_int_equal(a.size, 0);
	assert_true(after.carry);
	assert_int_equal(after.eax >> 8 & 0xff, 0x86);
	assert_int_equal(after.eax & 0xffff00ff, regs.eax & 0xffff00ff);
	assert_int_equal(after.ebx, regs.ebx);
	assert_int_equal(after.ecx, regs.ecx);
	assert_int_equal(after.edx, regs.edx);
}

static void bad_e820(void **state)
{
	(void)state;
	struct memmap map = machine();
	assert_refused(&map, (struct int15_regs){0xe820, 0, 24, 0x50414d53, false});
	assert_refused(&map, (struct int15_regs){0xe820, 0, 19, SMAP, false});
	assert_refused(&map, (struct int15_regs){0xe820, 0, 0, SMAP, false});
	assert_refused(&map, (struct int15_regs){0xe820, 7, 24, SMAP, false});
	assert_refused(&map, (struct int15_regs){0xe820, 0xffffffff, 24, SMAP, false});
	map.count = 0;
	assert_refused(&map, (struct int15_regs){0xe820, 0, 24, SMAP, false});
}

static void e801(void **state)
{
	(void)state;
	struct memmap map = machine();
	struct int15_regs regs = {0x1111e801, 0x22220000, 0x33330000, 0x44440000, true};
	assert_true(int15_call(&map, &regs).handled);
	assert_false(regs.carry);
	assert_int_equal(regs.eax, 0x11113c00);
	assert_int_equal(regs.ecx, 0x33333c00);
	assert_int_equal(regs.ebx, 0x22220000 + (512 - 16) * 16);
	assert_int_equal(regs.edx, 0x44440000 + (512 - 16) * 16);

	/* A hole below 16 MiB: what is above it is not reported. */
	assert_true(memmap_reserve(&map, 15 * MIB, MIB));
	regs.eax = 0xe801;
	assert_true(int15_call(&map, &regs).handled);
	assert_int_equal(regs.eax, 14 * 1024);
	assert_int_equal(regs.ebx & 0xffff, 0);

	map = (struct memmap){0};
	assert_true(memmap_add(&map, 0, 4 * GIB, MEMMAP_USABLE));
	regs.eax = 0xe801;
	assert_true(int15_call(&map, &regs).handled);
	assert_int_equal(regs.eax, 0x3c00);
	assert_int_equal(regs.ebx & 0xffff, 0xff00);

	map.count = 0;
	regs.eax = 0xe801;
	assert_true(int15_call(&map, &regs).handled);
	assert_int_equal(regs.eax, 0);
	assert_int_equal(regs.ebx & 0xffff, 0);
}

static void extended_memory(void **state)
{
	(void)state;
	struct memmap map = machine();
	struct int15_regs regs = {0x77778842, 1, 2, 3, true};
	assert_true(int15_call(&map, &regs).handled);
	assert_false(regs.carry);
	assert_int_equal(regs.eax, 0x7777ffff);
	assert_int_equal(regs.ebx, 1);
	assert_int_equal(regs.ecx, 2);
	assert_int_equal(regs.edx, 3);
	assert_true(memmap_reserve(&map, 9 * MIB + 512, 1));
	regs.eax = 0x8800;
	assert_true(int15_call(&map, &regs).handled);
	assert_int_equal(regs.eax, 8 * 1024);
	assert_true(memmap_reserve(&map, MIB, 1));
	regs.eax = 0x88ff;
	assert_true(int15_call(&map, &regs).handled);
	assert_int_equal(regs.eax, 0);
}

static void others_are_the_bios_business(void **state)
{
	(void)state;
	struct memmap map = machine();
	static const u32 eax[] = {0, 0x2400, 0xe821, 0x8780, 0x8900, 0xe881, 0x0088, 0xe82000};
	for (size_t i = 0; i < ARRAY_SIZE(eax); i++) {
		struct int15_regs regs = {eax[i], 5, 24, SMAP, true};
		struct int15_answer a = int15_call(&map, &regs);
		assert_false(a.handled);
		assert_int_equal(a.size, 0);
		assert_int_equal(regs.eax, eax[i]);
		assert_int_equal(regs.ebx, 5);
		assert_true(regs.carry);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_map),
		cmocka_unit_test(bad_e820),
		cmocka_unit_test(e801),
		cmocka_unit_test(extended_memory),
		cmocka_unit_test(others_are_the_bios_business),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
