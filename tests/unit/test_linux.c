/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "says.h"

#include "boot/linux.h"

enum { SECTS = 3, CODE = 1000 * 16, FILE_SIZE = (SECTS + 1) * 512 + CODE };

/* Offsets are the documentation's, not the struct's. */
static void put(u8 *image, size_t offset, u64 value, size_t size)
{
	memcpy(image + offset, &value, size);
}

static u64 get(const void *image, size_t offset, size_t size)
{
	u64 value = 0;
	memcpy(&value, (const u8 *)image + offset, size);
	return value;
}

static u8 *kernel(void)
{
	u8 *k = malloc(FILE_SIZE); /* exactly, so that reading on is caught */
	memset(k, 0, FILE_SIZE);
	k[0x1f1] = SECTS;
	put(k, 0x1f2, 1, 2);
	put(k, 0x1f4, CODE / 16, 4);
	put(k, 0x1fe, 0xaa55, 2);
	put(k, 0x200, 0x6aeb, 2); /* header to 0x26c */
	memcpy(k + 0x202, "HdrS", 4);
	put(k, 0x206, 0x020f, 2);
	k[0x210] = 0x77;
	k[0x211] = 0x01 | 0x40;
	put(k, 0x214, 0x100000, 4);
	put(k, 0x22c, 0x7fffffff, 4);
	put(k, 0x230, 0x200000, 4);
	k[0x234] = 1;
	put(k, 0x236, 0x7f & ~2, 2);
	put(k, 0x238, 2047, 4);
	put(k, 0x250, 0x1122334455667788, 8);
	put(k, 0x258, 0x1000000, 8);
	put(k, 0x260, 0x3000000, 4);
	put(k, 0x268, 0xdeadbeef, 4);
	return k;
}

static void assert_status(u8 *k, size_t size, const char *status)
{
	struct linux_image found;
	memset(&found, 0x5a, sizeof(found));
	struct linux_image before = found;
	assert_says(linux_parse(k, size, &found), status);
	if (status)
		assert_memory_equal(&found, &before, sizeof(found));
}

static void good(void **state)
{
	(void)state;
	u8 *k = kernel();
	struct linux_image l;
	assert_says(linux_parse(k, FILE_SIZE, &l), NULL);
	assert_int_equal(l.version, 0x20f);
	assert_int_equal(l.xloadflags, 0x7d);
	assert_int_equal(l.header_end, 0x26c);
	assert_int_equal(l.code_offset, 2048);
	assert_int_equal(l.code_size, CODE);
	assert_int_equal(l.pref_address, 0x1000000);
	assert_int_equal(l.init_size, 0x3000000);
	assert_int_equal(l.kernel_alignment, 0x200000);
	assert_true(l.relocatable);
	assert_int_equal(l.cmdline_size, 2047);
	assert_int_equal(l.initrd_max, 0x7fffffff);
	put(k, 0x236, 2, 2);
	assert_says(linux_parse(k, FILE_SIZE, &l), NULL);
	assert_int_equal(l.initrd_max, 0xffffffff);
	k[0x234] = 0;
	put(k, 0x230, 12345, 4); /* means nothing then */
	assert_says(linux_parse(k, FILE_SIZE, &l), NULL);
	assert_false(l.relocatable);
	free(k);
}

static void setup_sects_zero_is_four(void **state)
{
	(void)state;
	u8 *k = kernel();
	struct linux_image l;
	k[0x1f1] = 0;
	put(k, 0x1f4, CODE / 16 - 32, 4);
	assert_says(linux_parse(k, FILE_SIZE, &l), NULL);
	assert_int_equal(l.code_offset, 5 * 512);
	put(k, 0x1f4, CODE / 16 - 31, 4);
	assert_status(k, FILE_SIZE, "Linux kernel file is truncated");
	free(k);
}

static void old_protocols(void **state)
{
	(void)state;
	u8 *k = kernel();
	struct linux_image l;
	put(k, 0x206, 0x0205, 2);
	assert_status(k, FILE_SIZE, "Linux boot protocol older than 2.06");
	put(k, 0x206, 0x0206, 2);
	put(k, 0x200, 0x3aeb, 2); /* header to 0x23c: the rest is code */
	assert_says(linux_parse(k, FILE_SIZE, &l), NULL);
	assert_int_equal(l.pref_address, 0x100000);
	assert_int_equal(l.init_size, 3 * CODE);
	assert_int_equal(l.xloadflags, 0);
	put(k, 0x200, 0x39eb, 2);
	assert_status(k, FILE_SIZE, "invalid Linux setup header");
	put(k, 0x206, 0x020a, 2);
	put(k, 0x200, 0x62eb, 2);
	assert_says(linux_parse(k, FILE_SIZE, &l), NULL);
	assert_int_equal(l.init_size, 0x3000000);
	assert_int_equal(l.xloadflags, 0); /* before 2.12 */
	put(k, 0x200, 0x61eb, 2);
	assert_status(k, FILE_SIZE, "invalid Linux setup header");
	free(k);
}

static void not_kernels(void **state)
{
	(void)state;
	u8 *k = kernel();
	for (size_t size = 0; size < 0x26c; size++) {
		u8 *cut = malloc(size ? size : 1);
		memcpy(cut, k, size);
		assert_status(cut, size, "not a Linux bzImage");
		free(cut);
	}
	assert_status(k, FILE_SIZE - 1, "Linux kernel file is truncated");
	assert_status(k, 2048, "Linux kernel file is truncated");
	assert_status(k, 2047, "Linux kernel file is truncated");
	assert_status(k, 0x26c, "Linux kernel file is truncated");
	k[0x202] = 'h';
	assert_status(k, FILE_SIZE, "not a Linux bzImage");
	k[0x202] = 'H';
	k[0x1ff] = 0xab;
	assert_status(k, FILE_SIZE, "not a Linux bzImage");
	free(k);
}

static void bad_fields(void **state)
{
	(void)state;
	static const struct {
		size_t offset, size;
		u64 value;
		const char *status;
	} cases[] = {
		{0x211, 1, 0x40, "zImage that loads in low memory"},
		{0x1f4, 4, 0, "invalid Linux setup header"},
		{0x1f4, 4, CODE / 16 + 1, "Linux kernel file is truncated"},
		{0x1f4, 4, 0xffffffff, "Linux kernel file is truncated"},
		{0x1f4, 4, 0x10000000,
		 "Linux kernel file is truncated"}, /* 16 times that is 2^32 */
		{0x230, 4, 0, "invalid Linux setup header"},
		{0x230, 4, 3, "invalid Linux setup header"},
		{0x258, 8, 0x100000000, "invalid Linux setup header"},
		{0x258, 8, 0xfffffffffffffff0, "invalid Linux setup header"},
		{0x258, 8, 0xfd000001, "invalid Linux setup header"},
		{0x258, 8, 0xfd000000, NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u8 *k = kernel();
		put(k, cases[i].offset, cases[i].value, cases[i].size);
		assert_status(k, FILE_SIZE, cases[i].status);
		free(k);
	}
	/* Too little memory asked for. */
	u8 *k = kernel();
	struct linux_image l;
	put(k, 0x260, 5, 4);
	assert_says(linux_parse(k, FILE_SIZE, &l), NULL);
	assert_int_equal(l.init_size, CODE);
	/* A header to 0x301 does not reach into what follows it in boot_params. */
	put(k, 0x200, 0xffeb, 2);
	assert_says(linux_parse(k, FILE_SIZE, &l), NULL);
	assert_int_equal(l.header_end, 0x290);
	free(k);
}

static struct boot_params bp;

static void fill(struct linux_handover *h)
{
	u8 *k = kernel();
	struct linux_image l;
	assert_says(linux_parse(k, FILE_SIZE, &l), NULL);
	memset(&bp, 0xcc, sizeof(bp));
	linux_fill_boot_params(&bp, k, &l, h);
	free(k);
}

static void params_minimal(void **state)
{
	(void)state;
	struct memmap map = {0};
	struct linux_handover h = {.load_address = 0x1200000, .cmdline = 0x9d000, .map = &map};
	assert_true(memmap_add(&map, 0, 0x9fc00, MEMMAP_USABLE));
	assert_true(memmap_add(&map, 0x9fc00, 0x400, 77));
	assert_true(memmap_add(&map, MIB, GIB, MEMMAP_BAD));
	fill(&h);
	/* The header as in the file ... */
	assert_int_equal(get(&bp, 0x1f1, 1), SECTS);
	assert_int_equal(get(&bp, 0x1f2, 2), 1);
	assert_int_equal(get(&bp, 0x202, 4), 0x53726448);
	assert_int_equal(get(&bp, 0x206, 2), 0x20f);
	assert_int_equal(get(&bp, 0x258, 8), 0x1000000);
	assert_int_equal(get(&bp, 0x268, 4), 0xdeadbeef);
	assert_int_equal(get(&bp, 0x26c, 8), 0);
	/* ... but for what the loader sets. */
	assert_int_equal(get(&bp, 0x1fa, 2), 0xffff);
	assert_int_equal(get(&bp, 0x210, 1), 0xff);
	assert_int_equal(get(&bp, 0x211, 1), 0x01);
	assert_int_equal(get(&bp, 0x214, 4), 0x1200000);
	assert_int_equal(get(&bp, 0x218, 8), 0);
	assert_int_equal(get(&bp, 0x228, 4), 0x9d000);
	assert_int_equal(get(&bp, 0x250, 8), 0);
	assert_int_equal(get(&bp, 0x0c8, 4), 0);
	assert_int_equal(get(&bp, 0x070, 8), 0);
	assert_int_equal(get(&bp, 0x1ef, 1), 0); /* sentinel: else the kernel wipes fields */
	/* Text mode. */
	assert_int_equal(get(&bp, 0x01, 1), 24);
	assert_int_equal(get(&bp, 0x06, 1), 3);
	assert_int_equal(get(&bp, 0x07, 1), 80);
	assert_int_equal(get(&bp, 0x0e, 1), 25);
	assert_int_equal(get(&bp, 0x0f, 1), 1);
	assert_int_equal(get(&bp, 0x10, 2), 16);
	/* E820. */
	assert_int_equal(get(&bp, 0x1e8, 1), 3);
	assert_int_equal(get(&bp, 0x2d0, 8), 0);
	assert_int_equal(get(&bp, 0x2d8, 8), 0x9fc00);
	assert_int_equal(get(&bp, 0x2e0, 4), 1);
	assert_int_equal(get(&bp, 0x2e4, 8), 0x9fc00);
	assert_int_equal(get(&bp, 0x2f4, 4), 2); /* a type that Linux cannot know */
	assert_int_equal(get(&bp, 0x308, 4), 5);
	assert_int_equal(get(&bp, 0x1c0, 4), 0);
	assert_int_equal(linux_setup_data_size(&map), 0);
}

static void params_initrd_rsdp_efi_screen(void **state)
{
	(void)state;
	struct memmap map = {0};
	struct framebuffer fb = {
		.addr = 0x380fe0000000,
		.pitch = 7680,
		.width = 1920,
		.height = 1080,
		.bpp = 32,
		.type = FRAMEBUFFER_RGB,
		.red_pos = 16,
		.red_size = 8,
		.green_pos = 8,
		.green_size = 7,
		.blue_pos = 1,
		.blue_size = 6,
	};
	struct linux_handover h = {
		.cmdline = 0x9d000,
		.initrd = 0x123456789000,
		.initrd_size = 0x200000005,
		.map = &map,
		.rsdp = 0x8877665544332211,
		.fb = &fb,
		.efi = {.system_table = 0x1122334455,
			.memory_map = 0x66778899aa,
			.memory_map_size = 4800,
			.descriptor_size = 48,
			.descriptor_version = 1},
	};
	fill(&h);
	assert_int_equal(get(&bp, 0x218, 4), 0x56789000);
	assert_int_equal(get(&bp, 0x21c, 4), 5);
	assert_int_equal(get(&bp, 0x0c0, 4), 0x1234);
	assert_int_equal(get(&bp, 0x0c4, 4), 2);
	assert_true(get(&bp, 0x070, 8) == 0x8877665544332211);
	assert_memory_equal((u8 *)&bp + 0x1c0, "EL64", 4);
	assert_int_equal(get(&bp, 0x1c4, 4), 0x22334455);
	assert_int_equal(get(&bp, 0x1c8, 4), 48);
	assert_int_equal(get(&bp, 0x1cc, 4), 1);
	assert_int_equal(get(&bp, 0x1d0, 4), 0x778899aa);
	assert_int_equal(get(&bp, 0x1d4, 4), 4800);
	assert_int_equal(get(&bp, 0x1d8, 4), 0x11);
	assert_int_equal(get(&bp, 0x1dc, 4), 0x66);
	/* Who starts the unsigned Umbra enforces no Secure Boot: efi_secureboot_mode_disabled. */
	assert_int_equal(get(&bp, 0x1ec, 1), 2);
	assert_int_equal(get(&bp, 0x0f, 1), 0x70); /* efifb */
	assert_int_equal(get(&bp, 0x12, 2), 1920);
	assert_int_equal(get(&bp, 0x14, 2), 1080);
	assert_int_equal(get(&bp, 0x16, 2), 32);
	assert_int_equal(get(&bp, 0x18, 4), 0xe0000000);
	assert_int_equal(get(&bp, 0x1c, 4), 7680 * 1080);
	assert_int_equal(get(&bp, 0x24, 2), 7680);
	static const u8 colours[] = {8, 16, 7, 8, 6, 1, 8, 24};
	assert_memory_equal((u8 *)&bp + 0x26, colours, sizeof(colours));
	assert_int_equal(get(&bp, 0x36, 4), 2); /* 64-bit base */
	assert_int_equal(get(&bp, 0x3a, 4), 0x380f);

	h.efi.is_32bit = true;
	fb.addr = 0xe0000000;
	fill(&h);
	assert_memory_equal((u8 *)&bp + 0x1c0, "EL32", 4);
	assert_int_equal(get(&bp, 0x36, 4), 0);

	/* vesafb: the size is in 64 KiB, rounded up. */
	h.efi = (struct linux_efi){0};
	fb.bpp = 24;
	fill(&h);
	assert_int_equal(get(&bp, 0x0f, 1), 0x23);
	assert_int_equal(get(&bp, 0x1ec, 1), 0); /* no EFI: efi_secureboot_mode_unset */
	assert_int_equal(get(&bp, 0x1c, 4), (7680 * 1080 + 65535) / 65536);
	assert_int_equal(get(&bp, 0x2c, 2), 0);
}

static void params_long_map(void **state)
{
	(void)state;
	struct memmap map = {0};
	struct linux_handover h = {.map = &map, .setup_data_address = 0x98000};
	for (u32 i = 0; i < 128; i++)
		assert_true(memmap_add(&map, i * MIB, 4096, 1 + i % 2));
	assert_int_equal(linux_setup_data_size(&map), 0);
	fill(&h);
	assert_int_equal(get(&bp, 0x1e8, 1), 128);
	assert_int_equal(get(&bp, 0xcd0 - 20, 8), 127 * MIB);
	assert_int_equal(get(&bp, 0xcd0, 8), 0);
	assert_int_equal(get(&bp, 0x250, 8), 0);

	for (u32 i = 128; i < 131; i++)
		assert_true(memmap_add(&map, i * MIB, 4096, 1 + i % 2));
	size_t size = linux_setup_data_size(&map);
	assert_int_equal(size, 16 + 3 * 20);
	u8 *more = malloc(size);
	memset(more, 0xcc, size);
	h.setup_data = more;
	fill(&h);
	assert_int_equal(get(&bp, 0x1e8, 1), 128);
	assert_int_equal(get(&bp, 0x250, 8), 0x98000);
	assert_int_equal(get(more, 0, 8), 0);
	assert_int_equal(get(more, 8, 4), 1); /* SETUP_E820_EXT */
	assert_int_equal(get(more, 12, 4), 60);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(get(more, 16 + 20 * i, 8), (128 + i) * MIB);
		assert_int_equal(get(more, 24 + 20 * i, 8), 4096);
		assert_int_equal(get(more, 32 + 20 * i, 4), 1 + i % 2);
	}
	free(more);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(setup_sects_zero_is_four),
		cmocka_unit_test(old_protocols),
		cmocka_unit_test(not_kernels),
		cmocka_unit_test(bad_fields),
		cmocka_unit_test(params_minimal),
		cmocka_unit_test(params_initrd_rsdp_efi_screen),
		cmocka_unit_test(params_long_map),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
