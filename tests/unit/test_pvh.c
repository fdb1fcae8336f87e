/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "says.h"

#include "boot/pvh.h"

#include "elf_builder.h"

/* Text, data with bss, and notes at 0x800; the way Linux looks. */
static u8 *kernel(bool is_64bit)
{
	u8 *f = build_elf(is_64bit, 0x1000000);
	build_segment(f, BUILT_LOAD, 0x1000, 0x81000000, 0x1000000, 0x1000, 0x1000, 0x200000);
	build_segment(f, BUILT_LOAD, 0x2000, 0x82000000, 0x2000000, 0x800, 0x5000, 0x200000);
	size_t end = build_note(f, 0x800, "Linux", 0x100, 0, 4, 4);
	end = build_note(f, end, "Xen", 17, 0x55, 8, 4);
	end = build_note(f, end, "xen", 18, 0x55, 8, 4);
	end = build_note(f, end, "Xen", 18, 0x1000abc, is_64bit ? 8 : 4, 4);
	build_segment(f, BUILT_NOTE, 0x800, 0, 0, end - 0x800, 0, 4);
	return f;
}

static void good(void **state)
{
	for (int is_64bit = 0; is_64bit < 2; is_64bit++) {
		u8 *f = kernel(is_64bit);
		struct elf_kernel p;
		(void)state;
		assert_says(pvh_parse(f, BUILT_SIZE, &p), NULL);
		assert_int_equal(p.entry, 0x1000abc);
		assert_int_equal(p.elf.is_64bit, is_64bit);
		assert_int_equal(p.elf.entry, 0x1000000);
		assert_int_equal(p.elf.count, 2);
		assert_int_equal(p.elf.lowest, 0x1000000);
		assert_int_equal(p.elf.highest, 0x2005000);
		assert_int_equal(p.elf.segment[0].paddr, 0x1000000);
		assert_int_equal(p.elf.segment[0].vaddr, 0x81000000);
		assert_int_equal(p.elf.segment[0].offset, 0x1000);
		assert_int_equal(p.elf.segment[0].filesz, 0x1000);
		assert_int_equal(p.elf.segment[1].paddr, 0x2000000);
		assert_int_equal(p.elf.segment[1].filesz, 0x800);
		assert_int_equal(p.elf.segment[1].memsz, 0x5000);
		free(f);
	}
}

static void assert_bad_elf(const u8 *f, size_t size, const char *status)
{
	struct elf_kernel p;
	assert_says(pvh_parse(f, size, &p), status);
}

static void not_elf(void **state)
{
	(void)state;
	for (int is_64bit = 0; is_64bit < 2; is_64bit++) {
		u8 *f = kernel(is_64bit);
		for (size_t size = 0; size < 0x100; size++) {
			u8 *cut = malloc(size ? size : 1);
			memcpy(cut, f, size);
			assert_bad_elf(cut, size,
				       size < 24 ? "not an ELF file" : "ELF file is truncated");
			free(cut);
		}
		assert_bad_elf(f, 0x27ff, "ELF file is truncated");
		struct elf_kernel p;
		assert_says(pvh_parse(f, 0x2800, &p), NULL);
		f[1] = 'e';
		assert_bad_elf(f, BUILT_SIZE, "not an ELF file");
		free(f);
	}
}

static void wrong_machine(void **state)
{
	(void)state;
	static const struct {
		size_t offset;
		u8 value;
	} cases[] = {{4, 0}, {4, 3}, {5, 2}, {16, 1}, {16, 4}, {18, 183}, {18, 3}};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u8 *f = kernel(true);
		f[cases[i].offset] = cases[i].value;
		assert_bad_elf(f, BUILT_SIZE, "ELF file is not an x86 executable");
		free(f);
	}
	/* 32-bit file, 64-bit machine: usual for multiboot kernels. */
	u8 *f = kernel(false);
	struct elf_kernel p;
	f[18] = 62;
	assert_says(pvh_parse(f, BUILT_SIZE, &p), NULL);
	free(f);
}

static void bad_segments(void **state)
{
	(void)state;
	static const struct {
		u64 offset, paddr, filesz, memsz;
		const char *status;
	} cases[] = {
		{0x1000, 0x3000000, 0x2000, 0x2000, NULL},
		{0x1000, 0x3000000, 0x2001, 0x2001, "ELF file is truncated"},
		{0x3000, 0x3000000, 0, 0x1000, NULL},
		{0x3001, 0x3000000, 0, 0x1000, "ELF file is truncated"},
		{~0ull, 0x3000000, 1, 0x1000, "ELF file is truncated"},
		{0x1000, 0x3000000, ~0ull, ~0ull, "invalid ELF program header"},
		{0x1000, 0x3000000, 2, 1, "invalid ELF program header"},
		{0x1000, 0x3000000, 2, 0, "invalid ELF program header"},
		{0x1000, 0x1000000, 0, 0, NULL},
		{0x1000, ~0ull, 2, 2, "invalid ELF program header"},
		{0x1000, 0x1000fff, 1, 1, "invalid ELF program header"},
		{0x1000, 0x1001000, 1, 1, NULL},
		{0x1000, 0xfff000, 0x1000, 0x1001, "invalid ELF program header"},
		{0x1000, 0xfff000, 0x1000, 0x1000, NULL},
		{0x1000, 0x800000, 1, 0x4000000, "invalid ELF program header"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u8 *f = kernel(true);
		struct elf_kernel p;
		build_segment(f, BUILT_LOAD, cases[i].offset, 0, cases[i].paddr, cases[i].filesz,
			      cases[i].memsz, 0);
		if (cases[i].status == NULL)
			assert_says(pvh_parse(f, BUILT_SIZE, &p), NULL);
		else
			assert_bad_elf(f, BUILT_SIZE, cases[i].status);
		free(f);
	}
}

static void bad_program_headers(void **state)
{
	(void)state;
	u8 *f = kernel(true);
	built_put(f, 54, 55, 2);
	assert_bad_elf(f, BUILT_SIZE, "invalid ELF program header");
	built_put(f, 54, 56, 2);
	built_put(f, 32, ~0ull, 8);
	assert_bad_elf(f, BUILT_SIZE, "ELF file is truncated");
	built_put(f, 32, BUILT_SIZE - 3 * 56 + 1, 8);
	assert_bad_elf(f, BUILT_SIZE, "ELF file is truncated");
	built_put(f, 32, BUILT_PHDRS, 8);
	built_put(f, 56, 0xffff, 2);
	assert_bad_elf(f, BUILT_SIZE, "ELF file is truncated");
	built_put(f, 56, 0, 2);
	assert_bad_elf(f, BUILT_SIZE, "ELF file has nothing to load");
	free(f);

	f = kernel(false);
	built_put(f, 42, 31, 2);
	assert_bad_elf(f, BUILT_SIZE, "invalid ELF program header");
	free(f);

	/* Sixteen segments are fine, one more is not. */
	f = build_elf(true, 0);
	struct elf_kernel p;
	for (u64 i = 0; i < 16; i++)
		build_segment(f, BUILT_LOAD, 0x1000, 0, i << 20, 1, 1, 0);
	assert_says(pvh_parse(f, BUILT_SIZE, &p), "ELF kernel without a PVH entry note");
	assert_int_equal(p.elf.count, 16);
	build_segment(f, BUILT_LOAD, 0x1000, 0, 16 << 20, 1, 1, 0);
	assert_bad_elf(f, BUILT_SIZE, "ELF file has too many segments");
	free(f);
}

/* One segment, and the given note section in the last bytes of the file. */
static const char *parse_notes(u8 *f, size_t at, u64 size, u32 align, struct elf_kernel *p)
{
	build_segment(f, BUILT_LOAD, 0x1000, 0, 0x100000, 0x1000, 0x2000, 0);
	build_segment(f, BUILT_NOTE, at, 0, 0, size, 0, align);
	return pvh_parse(f, BUILT_SIZE, p);
}

static void notes(void **state)
{
	(void)state;
	struct elf_kernel p;
	static const struct {
		const char *name;
		u32 type;
		u64 value;
		u32 size;
		const char *status;
	} cases[] = {
		{"Xen", 18, 0x100000, 4, NULL},
		{"Xen", 18, 0x100000, 8, NULL},
		{"Xen", 18, 0x101fff, 8, NULL},
		{"Xen", 18, 0x102000, 8, "PVH entry is outside of the kernel"},
		{"Xen", 18, 0xfffff, 8, "PVH entry is outside of the kernel"},
		{"Xen", 18, 0x100100000, 8, "PVH entry is outside of the kernel"},
		{"Xen", 18, 0x100000, 2, "ELF kernel without a PVH entry note"},
		{"Xen", 18, 0x100000, 0, "ELF kernel without a PVH entry note"},
		{"Xen", 19, 0x100000, 8, "ELF kernel without a PVH entry note"},
		{"Xe", 18, 0x100000, 8, "ELF kernel without a PVH entry note"},
		{"Xenon", 18, 0x100000, 8, "ELF kernel without a PVH entry note"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (u32 align = 4; align <= 8; align += 4) {
			u8 *f = build_elf(true, 0);
			size_t end = build_note(f, 0x800, "GNU", 3, 0, 5, align);
			end = build_note(f, end, cases[i].name, cases[i].type, cases[i].value,
					 cases[i].size, align);
			assert_says(parse_notes(f, 0x800, end - 0x800, align, &p), cases[i].status);
			if (cases[i].status == NULL)
				assert_int_equal(p.entry, cases[i].value);
			free(f);
		}
	}
}

static void malformed_notes(void **state)
{
	(void)state;
	struct elf_kernel p;
	/* Cut anywhere: the last note ends at the end of the file. */
	for (u64 size = 0; size < 24; size++) {
		u8 *f = build_elf(true, 0);
		build_note(f, BUILT_SIZE - 24, "Xen", 18, 0x100000, 8, 4);
		assert_says(parse_notes(f, BUILT_SIZE - 24, size, 4, &p),
			    "ELF kernel without a PVH entry note");
		free(f);
	}
	for (int field = 0; field < 2; field++) {
		static const u32 sizes[] = {13, 0xfffffff0, 0xffffffff};
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			u8 *f = build_elf(true, 0);
			build_note(f, BUILT_SIZE - 24, "Xen", 18, 0x100000, 8, 4);
			built_put(f, (size_t)(BUILT_SIZE - 24 + 4 * field), sizes[i], 4);
			assert_says(parse_notes(f, BUILT_SIZE - 24, 24, 4, &p),
				    "ELF kernel without a PVH entry note");
			free(f);
		}
	}
	u8 *f = build_elf(true, 0);
	assert_says(parse_notes(f, BUILT_SIZE - 24, 25, 4, &p), "ELF file is truncated");
	free(f);
	/* A second note section is looked at when the first is broken. */
	f = build_elf(true, 0);
	memset(f + 0x900, 0xff, 12);
	build_segment(f, BUILT_NOTE, 0x900, 0, 0, 12, 0, 4);
	build_note(f, 0x800, "Xen", 18, 0x100000, 4, 4);
	assert_says(parse_notes(f, 0x800, 20, 4, &p), NULL);
	free(f);
}

static u64 get(const void *data, size_t offset, size_t size)
{
	u64 value = 0;
	memcpy(&value, (const u8 *)data + offset, size);
	return value;
}

static void start_info(void **state)
{
	(void)state;
	struct memmap map = {0};
	struct pvh_handover h = {.cmdline = 0x9c100,
				 .initrd = 0x12345000,
				 .initrd_size = 0x100000001,
				 .rsdp = 0xf5a40,
				 .map = &map};
	assert_true(memmap_add(&map, 0, 0x9fc00, MEMMAP_USABLE));
	assert_true(memmap_add(&map, MIB, GIB, MEMMAP_ACPI_NVS));
	assert_true(memmap_add(&map, 2 * GIB, GIB, 99));
	size_t size = pvh_start_info_size(&h);
	assert_int_equal(size, 56 + 32 + 3 * 24);
	u8 *b = malloc(size);
	memset(b, 0xcc, size);
	pvh_fill_start_info((struct hvm_start_info *)(void *)b, 0x90000, &h);
	assert_int_equal(get(b, 0, 4), 0x336ec578);
	assert_int_equal(get(b, 4, 4), 1);
	assert_int_equal(get(b, 8, 4), 0);
	assert_int_equal(get(b, 12, 4), 1);
	assert_int_equal(get(b, 16, 8), 0x90000 + 56);
	assert_int_equal(get(b, 24, 8), 0x9c100);
	assert_int_equal(get(b, 32, 8), 0xf5a40);
	assert_int_equal(get(b, 40, 8), 0x90000 + 56 + 32);
	assert_int_equal(get(b, 48, 4), 3);
	assert_int_equal(get(b, 52, 4), 0);
	assert_int_equal(get(b, 56, 8), 0x12345000);
	assert_int_equal(get(b, 64, 8), 0x100000001);
	assert_int_equal(get(b, 72, 8), 0);
	assert_int_equal(get(b, 80, 8), 0);
	static const u32 types[] = {1, 4, 2};
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(get(b, 88 + 24 * i, 8), map.e[i].start);
		assert_int_equal(get(b, 96 + 24 * i, 8), map.e[i].size);
		assert_int_equal(get(b, 104 + 24 * i, 4), types[i]);
		assert_int_equal(get(b, 108 + 24 * i, 4), 0);
	}
	free(b);

	h.initrd_size = 0;
	size = pvh_start_info_size(&h);
	assert_int_equal(size, 56 + 3 * 24);
	b = malloc(size);
	pvh_fill_start_info((struct hvm_start_info *)(void *)b, 0x90000, &h);
	assert_int_equal(get(b, 12, 4), 0);
	assert_int_equal(get(b, 16, 8), 0);
	assert_int_equal(get(b, 40, 8), 0x90000 + 56);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(not_elf),
		cmocka_unit_test(wrong_machine),
		cmocka_unit_test(bad_segments),
		cmocka_unit_test(bad_program_headers),
		cmocka_unit_test(notes),
		cmocka_unit_test(malformed_notes),
		cmocka_unit_test(start_info),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
