/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "says.h"

#include "boot/mb2_kernel.h"

#include "elf_builder.h"

enum { HEADER_AT = 0x800 };

static void put_header(u8 *f, size_t at, u32 architecture, u32 length)
{
	const u32 checksum = 0u - 0xe85250d6u - architecture - length;

	built_put(f, at, 0xe85250d6, 4);
	built_put(f, at + 4, architecture, 4);
	built_put(f, at + 8, length, 4);
	built_put(f, at + 12, checksum, 4);
}

static size_t put_tag(u8 *f, size_t at, u16 type, u16 flags, const u32 *words, u32 count)
{
	built_put(f, at, type, 2);
	built_put(f, at + 2, flags, 2);
	built_put(f, at + 4, 8 + 4 * count, 4);
	for (u32 i = 0; i < count; i++)
		built_put(f, at + 8 + 4 * i, words[i], 4);
	return ALIGN_UP(at + 8 + 4 * count, (size_t)8);
}

/* A 64-bit ELF in the higher half, with one tag before the end tag. */
static u8 *kernel(u16 type, u16 flags, const u32 *words, u32 count)
{
	u8 *f = build_elf(true, 0xffffffff80000010);
	build_segment(f, BUILT_LOAD, 0x1000, 0xffffffff80000000, 0x100000, 0x1000, 0x2000, 0);
	size_t at = put_tag(f, HEADER_AT + 16, type, flags, words, count);
	at = put_tag(f, at, 0, 0, NULL, 0);
	put_header(f, HEADER_AT, 0, (u32)(at - HEADER_AT));
	return f;
}

static void expect(u8 *f, const char *status)
{
	struct elf_kernel k;
	assert_says(mb2_kernel_parse(f, BUILT_SIZE, &k), status);
	free(f);
}

static void entry_points(void **state)
{
	(void)state;
	struct elf_kernel k;
	static const u32 entry = 0x100020, outside = 0x102000;
	/* Console flags, which ask for nothing: e_entry goes through its segment. */
	static const u32 console = 3;
	u8 *f = kernel(4, 0, &console, 1);
	assert_says(mb2_kernel_parse(f, BUILT_SIZE, &k), NULL);
	assert_int_equal(k.entry, 0x100010);
	assert_false(k.align_modules);
	assert_int_equal(k.elf.count, 1);
	/* A physical e_entry. */
	built_put(f, 24, 0x101fff, 8);
	assert_says(mb2_kernel_parse(f, BUILT_SIZE, &k), NULL);
	assert_int_equal(k.entry, 0x101fff);
	built_put(f, 24, 0x102000, 8);
	assert_says(mb2_kernel_parse(f, BUILT_SIZE, &k),
		    "multiboot2 entry is outside of the kernel");
	built_put(f, 24, 0x100100000, 8);
	expect(f, "multiboot2 entry is outside of the kernel");

	f = kernel(3, 0, &entry, 1);
	assert_says(mb2_kernel_parse(f, BUILT_SIZE, &k), NULL);
	assert_int_equal(k.entry, 0x100020);
	free(f);
	expect(kernel(3, 0, &outside, 1), "multiboot2 entry is outside of the kernel");
	expect(kernel(3, 0, NULL, 0), "invalid multiboot2 header");
	f = kernel(6, 0, NULL, 0);
	assert_says(mb2_kernel_parse(f, BUILT_SIZE, &k), NULL);
	assert_true(k.align_modules);
	free(f);
}

static void demands(void **state)
{
	(void)state;
	static const u32 all[] = {1, 2, 3, 4, 6, 14, 15};
	static const u32 framebuffer[] = {1024, 768, 32, 0};
	expect(kernel(1, 0, all, ARRAY_SIZE(all)), NULL);
	for (u32 type = 0; type < 30; type++) {
		bool offered = false;
		for (size_t i = 0; i < ARRAY_SIZE(all); i++)
			offered = offered || all[i] == type;
		const u32 words[] = {6, type};
		expect(kernel(1, 0, words, 2),
		       offered ? NULL : "multiboot2 header requires what Umbra does not offer");
		expect(kernel(1, 1, words, 2), NULL);
	}
	expect(kernel(5, 0, framebuffer, 4),
	       "multiboot2 header requires what Umbra does not offer");
	expect(kernel(5, 1, framebuffer, 4), NULL);
	expect(kernel(2, 0, framebuffer, 4),
	       "multiboot2 header requires what Umbra does not offer");
	expect(kernel(7, 0, NULL, 0), "multiboot2 header requires what Umbra does not offer");
	expect(kernel(8, 0, framebuffer, 1), NULL);
	expect(kernel(9, 0, framebuffer, 1), NULL);
	expect(kernel(10, 0, framebuffer, 4), NULL);
	expect(kernel(11, 0, NULL, 0), "multiboot2 header requires what Umbra does not offer");
	expect(kernel(11, 1, NULL, 0), NULL);
}

static void where_the_header_is(void **state)
{
	(void)state;
	struct elf_kernel k;
	enum { LARGE = 40000 };
	u8 *f = malloc(LARGE);
	for (int i = 0; i < 6; i++) {
		/* Its last byte must be in the first 32 KiB, and it is 8-aligned. */
		static const struct {
			size_t at;
			const char *status;
		} cases[] = {
			{32768 - 24, NULL},
			{32768 - 16, "no multiboot2 header"},
			{32768, "no multiboot2 header"},
			{HEADER_AT + 4, "no multiboot2 header"},
			{HEADER_AT + 8, NULL},
			{HEADER_AT + 1, "no multiboot2 header"},
		};
		u8 *elf = build_elf(false, 0x100000);
		build_segment(elf, BUILT_LOAD, 0x1000, 0x100000, 0x100000, 0x100, 0x100, 0);
		memset(f, 0, LARGE);
		memcpy(f, elf, BUILT_SIZE);
		free(elf);
		put_tag(f, cases[i].at + 16, 0, 0, NULL, 0);
		put_header(f, cases[i].at, 0, 24);
		assert_says(mb2_kernel_parse(f, LARGE, &k), cases[i].status);
	}
	free(f);
	/* A magic number without its checksum is no header; the real one may follow. */
	f = kernel(6, 0, NULL, 0);
	built_put(f, HEADER_AT - 64, 0xe85250d6, 4);
	expect(f, NULL);
	f = kernel(6, 0, NULL, 0);
	f[HEADER_AT + 12]++;
	expect(f, "no multiboot2 header");
	assert_says(mb2_kernel_parse("", 0, &k), "no multiboot2 header");
}

static void malformed(void **state)
{
	(void)state;
	struct elf_kernel k;
	u8 *f = kernel(6, 0, NULL, 0);
	put_header(f, HEADER_AT, 4, 32); /* MIPS */
	assert_says(mb2_kernel_parse(f, BUILT_SIZE, &k), "invalid multiboot2 header");
	for (u32 length = 0; length < 32; length++) {
		put_header(f, HEADER_AT, 0, length); /* the end tag is cut off */
		assert_says(mb2_kernel_parse(f, BUILT_SIZE, &k), "invalid multiboot2 header");
	}
	put_header(f, HEADER_AT, 0, BUILT_SIZE);
	assert_says(mb2_kernel_parse(f, BUILT_SIZE, &k), "no multiboot2 header");
	put_header(f, HEADER_AT, 0, 32);
	assert_says(mb2_kernel_parse(f, BUILT_SIZE, &k), NULL);
	static const u32 sizes[] = {0, 7, 25, 0x1000, 0xfffffff9, 0xffffffff};
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		built_put(f, HEADER_AT + 20, sizes[i], 4);
		assert_says(mb2_kernel_parse(f, BUILT_SIZE, &k), "invalid multiboot2 header");
	}
	built_put(f, HEADER_AT + 20, 8, 4);
	f[0] = 0;
	assert_says(mb2_kernel_parse(f, BUILT_SIZE, &k), "not an ELF file");
	free(f);
}

static u64 get(const u8 *data, size_t offset, size_t size)
{
	u64 value = 0;
	memcpy(&value, data + offset, size);
	return value;
}

/* Where the n-th tag of a type is; 0 if there is none. */
static size_t find_tag(const u8 *info, u32 type, unsigned int n)
{
	for (size_t at = 8; at < get(info, 0, 4); at += ALIGN_UP(get(info, at + 4, 4), 8)) {
		assert_int_equal(at % 8, 0);
		assert_true(get(info, at + 4, 4) >= 8);
		if (get(info, at, 4) == type && !n--)
			return at;
	}
	return 0;
}

static struct mb2_info info;

/* Multiboot2 Specification, "Framebuffer info"; colours from 32 on, as GRUB has them. */
static void screen(void **state)
{
	(void)state;
	info = (struct mb2_info){.module_count = 1, .module = {{.string = ""}}};
	static u8 b[512];

	assert_true(mb2_kernel_fill_info(b, sizeof(b), &info, NULL) <= sizeof(b));
	assert_int_equal(find_tag(b, 8, 0), 0);
	info.has_fb = true;
	info.fb = (struct framebuffer){
		.addr = 0x380fe0000000,
		.pitch = 7680,
		.width = 1900,
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
	assert_true(mb2_kernel_fill_info(b, sizeof(b), &info, NULL) <= sizeof(b));
	size_t at = find_tag(b, 8, 0);
	assert_int_equal(get(b, at + 4, 4), 38);
	assert_int_equal(get(b, at + 8, 8), 0x380fe0000000);
	assert_int_equal(get(b, at + 16, 4), 7680);
	assert_int_equal(get(b, at + 20, 4), 1900);
	assert_int_equal(get(b, at + 24, 4), 1080);
	assert_int_equal(get(b, at + 28, 1), 32);
	assert_int_equal(get(b, at + 29, 1), 1);
	assert_memory_equal(b + at + 32, "\x10\x08\x08\x07\x01\x06", 6);
	/* Text has no colours to be told. */
	info.fb = (struct framebuffer){
		.addr = 0xb8000, .pitch = 160, .width = 80, .height = 25, .bpp = 16, .type = 2};
	assert_true(mb2_kernel_fill_info(b, sizeof(b), &info, NULL) <= sizeof(b));
	at = find_tag(b, 8, 0);
	assert_int_equal(get(b, at + 4, 4), 32);
	assert_int_equal(get(b, at + 8, 8), 0xb8000);
	assert_int_equal(get(b, at + 29, 1), 2);
	/* Colours from a palette, which is not known. */
	info.fb.type = FRAMEBUFFER_INDEXED;
	assert_true(mb2_kernel_fill_info(b, sizeof(b), &info, NULL) <= sizeof(b));
	assert_int_equal(find_tag(b, 8, 0), 0);
}

static void information(void **state)
{
	(void)state;
	static const paddr_t modules[] = {0x1000000, 0x2000000};
	info = (struct mb2_info){
		.loader = "GRUB 2.06-13+deb12u1",
		.module_count = 3,
		.module = {{.string = "root=/dev/x quiet"},
			   {.memory = {0x7000, 0x123}, .string = "initrd one"},
			   {.memory = {0x9000, 0x1000}, .string = ""}},
		.rsdp = "RSD PTR and what follows",
		.rsdp_len = 36,
	};
	assert_true(memmap_add(&info.memmap, 0, 0x9fc00, MEMMAP_USABLE));
	assert_true(memmap_add(&info.memmap, 0x9fc00, 0x400, MEMMAP_RESERVED));
	assert_true(memmap_add(&info.memmap, MIB, 511 * MIB, MEMMAP_USABLE));
	assert_true(memmap_add(&info.memmap, 513 * MIB, MIB, 1234));
	size_t size = mb2_kernel_fill_info(NULL, 0, &info, modules);
	u8 *b = malloc(size);
	memset(b, 0xcc, size);
	assert_int_equal(mb2_kernel_fill_info(b, size - 1, &info, modules), size);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(b[i], 0xcc);
	assert_int_equal(mb2_kernel_fill_info(b, size, &info, modules), size);
	assert_int_equal(get(b, 0, 4), size);
	assert_int_equal(get(b, 4, 4), 0);
	assert_int_equal(size % 8, 0);
	/* The end tag is the last. */
	assert_int_equal(get(b, size - 8, 4), 0);
	assert_int_equal(get(b, size - 4, 4), 8);
	assert_int_equal(find_tag(b, 0, 0), size - 8);

	size_t at = find_tag(b, 1, 0);
	assert_int_equal(get(b, at + 4, 4), 8 + 18);
	assert_string_equal((char *)b + at + 8, "root=/dev/x quiet");
	at = find_tag(b, 2, 0);
	assert_string_equal((char *)b + at + 8, "GRUB 2.06-13+deb12u1");
	at = find_tag(b, 3, 0);
	assert_int_equal(get(b, at + 4, 4), 16 + 11);
	assert_int_equal(get(b, at + 8, 4), 0x1000000);
	assert_int_equal(get(b, at + 12, 4), 0x1000123);
	assert_string_equal((char *)b + at + 16, "initrd one");
	at = find_tag(b, 3, 1);
	assert_int_equal(get(b, at + 4, 4), 17);
	assert_int_equal(get(b, at + 12, 4), 0x2001000);
	assert_int_equal(find_tag(b, 3, 2), 0);
	at = find_tag(b, 4, 0);
	assert_int_equal(get(b, at + 4, 4), 16);
	assert_int_equal(get(b, at + 8, 4), 639);
	assert_int_equal(get(b, at + 12, 4), 511 * 1024);
	at = find_tag(b, 6, 0);
	assert_int_equal(get(b, at + 4, 4), 16 + 4 * 24);
	assert_int_equal(get(b, at + 8, 4), 24);
	assert_int_equal(get(b, at + 12, 4), 0);
	static const u32 types[] = {1, 2, 1, 2};
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(get(b, at + 16 + 24 * i, 8), info.memmap.e[i].start);
		assert_int_equal(get(b, at + 24 + 24 * i, 8), info.memmap.e[i].size);
		assert_int_equal(get(b, at + 32 + 24 * i, 4), types[i]);
		assert_int_equal(get(b, at + 36 + 24 * i, 4), 0);
	}
	at = find_tag(b, 15, 0);
	assert_int_equal(get(b, at + 4, 4), 8 + 36);
	assert_memory_equal(b + at + 8, info.rsdp, 36);
	assert_int_equal(find_tag(b, 14, 0), 0);

	info.rsdp_len = 20;
	assert_true(mb2_kernel_fill_info(b, size, &info, modules) <= size);
	at = find_tag(b, 14, 0);
	assert_int_equal(get(b, at + 4, 4), 28);
	assert_int_equal(find_tag(b, 15, 0), 0);
	info.rsdp_len = 0;
	info.module_count = 1;
	info.loader[0] = 0; /* as the loader before Umbra gave none */
	assert_true(mb2_kernel_fill_info(b, size, &info, modules) < size);
	assert_int_equal(find_tag(b, 14, 0), 0);
	assert_int_equal(find_tag(b, 3, 0), 0);
	assert_int_equal(find_tag(b, 2, 0), 0);
	free(b);
}

static void basic_memory_limits(void **state)
{
	(void)state;
	info = (struct mb2_info){.module_count = 1, .module = {{.string = ""}}};
	u8 b[512] __attribute__((aligned(8)));
	assert_true(mb2_kernel_fill_info(b, sizeof(b), &info, NULL) <= sizeof(b));
	size_t at = find_tag(b, 4, 0);
	assert_int_equal(get(b, at + 8, 8), 0);
	assert_true(memmap_add(&info.memmap, 0, 1ull << 45, MEMMAP_USABLE)); /* no hole at all */
	assert_true(mb2_kernel_fill_info(b, sizeof(b), &info, NULL) <= sizeof(b));
	at = find_tag(b, 4, 0);
	assert_int_equal(get(b, at + 8, 4), 640);
	assert_int_equal(get(b, at + 12, 4), 4 * 1024 * 1024 - 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entry_points),
		cmocka_unit_test(demands),
		cmocka_unit_test(where_the_header_is),
		cmocka_unit_test(malformed),
		cmocka_unit_test(screen),
		cmocka_unit_test(information),
		cmocka_unit_test(basic_memory_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
