/* SPDX-License-Identifier: BSD-2-Clause */
/* Multiboot2 Specification, "Boot information format": what went in comes out, and both maps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "boot/mb2_relay.h"
#include "boot/multiboot2.h"

/* As a boot loader gives it that keeps the boot services: there is no memory map. */
static const struct {
	u32 total, reserved;
	u32 cmdline[2];
	char text[8];
	u32 boot_services[2];
	u32 image[2];
	u64 image_handle;
	u32 system[2];
	u64 system_table;
	u32 module[6];
	u32 end[2];
} given = {
	.total = sizeof(given),
	.cmdline = {1, 14},
	.text = "stats",
	.boot_services = {18, 8},
	.image = {20, 16},
	.image_handle = 0x11223344,
	.system = {12, 16},
	.system_table = 0x17f5ec018,
	.module = {3, 17, 0x100000, 0x200000}, /* its string is empty */
	.end = {0, 8},
};

static const struct memmap map = {2, {{0, 0x9f000, 1, 0}, {0x100000, 0x700000, 2, 0}}};
static _Alignas(8) u8 descriptors[96] = {7, 1, 2, 3};
static const struct efi_map_view efi = {descriptors, sizeof(descriptors), 48, 1};
static _Alignas(8) u8 out[1024];
static struct mb2_info info;

static void test_relay(void **state)
{
	const size_t size = mb2_relay(&given, &map, &efi, out, sizeof(out));
	u32 total;

	(void)state;
	memcpy(&total, out, sizeof(total));
	assert_int_equal(total, size);
	assert_int_equal(size % 8, 0);
	assert_null(mb2_parse(out, size, &info));
	assert_string_equal(info.cmdline, "stats");
	assert_int_equal(info.module_count, 1);
	assert_int_equal(info.module[0].memory.start, 0x100000);
	assert_int_equal(info.module[0].memory.size, 0x100000);
	assert_int_equal(info.efi_system_table, 0x17f5ec018);
	/* The services are over, and so is what belonged to them. */
	assert_false(info.boot_services_running);
	assert_int_equal(info.efi_image, 0);
	assert_int_equal(info.memmap.count, 2);
	assert_int_equal(info.memmap.e[1].start, 0x100000);
	assert_int_equal(info.memmap.e[1].size, 0x700000);
	assert_int_equal(info.memmap.e[1].type, 2);
	assert_int_equal(info.efi_map.size, sizeof(descriptors));
	assert_int_equal(info.efi_map.stride, 48);
	assert_int_equal(info.efi_map.version, 1);
	assert_memory_equal(info.efi_map.descriptors, descriptors, sizeof(descriptors));
}

static void test_no_room(void **state)
{
	const size_t whole = mb2_relay(&given, &map, &efi, out, sizeof(out));

	(void)state;
	for (size_t capacity = 0; capacity < whole; capacity++) {
		memset(out, 0xee, sizeof(out));
		assert_int_equal(mb2_relay(&given, &map, &efi, out, capacity), whole);
		for (size_t i = capacity; i < sizeof(out); i++)
			assert_int_equal(out[i], 0xee);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relay),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
