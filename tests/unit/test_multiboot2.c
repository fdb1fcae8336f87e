/* SPDX-License-Identifier: BSD-2-Clause */
/* Boot information built byte by byte as the Multiboot2 Specification lays it out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "says.h"

#include "boot/multiboot2.h"

static struct {
	_Alignas(8) u8 bytes[16384];
	u32 size;
} b;

static struct mb2_info info;

static void put(const void *data, size_t n)
{
	assert_true(b.size + n <= sizeof(b.bytes));
	memcpy(b.bytes + b.size, data, n);
	b.size += (u32)n;
}

static void put8(u8 v)
{
	put(&v, sizeof(v));
}

static void put16(u16 v)
{
	put(&v, sizeof(v));
}

static void put32(u32 v)
{
	put(&v, sizeof(v));
}

static void put64(u64 v)
{
	put(&v, sizeof(v));
}

static void poke32(u32 at, u32 v)
{
	memcpy(b.bytes + at, &v, sizeof(v));
}

static void begin(void)
{
	memset(&b, 0, sizeof(b));
	put32(0);
	put32(0);
}

static u32 tag_start;

static void tag(u32 type)
{
	/* Padding is not zero: nobody promises that. */
	while (b.size % 8 != 0)
		put8(0xa5);
	tag_start = b.size;
	put32(type);
	put32(0);
}

static void tag_done(void)
{
	poke32(tag_start + 4, b.size - tag_start);
}

static void string_tag(u32 type, const char *s)
{
	tag(type);
	put(s, strlen(s) + 1);
	tag_done();
}

static void mmap_entry(u64 base, u64 length, u32 type)
{
	put64(base);
	put64(length);
	put32(type);
	put32(0);
}

static void small_mmap(void)
{
	tag(6);
	put32(24);
	put32(0);
	mmap_entry(0, 0x9fc00, 1);
	mmap_entry(0x9fc00, 0x400, 2);
	mmap_entry(0x100000, 0x1ff00000, 1);
	tag_done();
}

static void module(u32 start, u32 end, const char *s)
{
	tag(3);
	put32(start);
	put32(end);
	put(s, strlen(s) + 1);
	tag_done();
}

static void framebuffer(u64 addr, u32 pitch, u32 width, u32 height, u8 bpp, u8 type)
{
	tag(8);
	put64(addr);
	put32(pitch);
	put32(width);
	put32(height);
	put8(bpp);
	put8(type);
	put16(0);
}

static void rgb(u8 r, u8 rs, u8 g, u8 gs, u8 bl, u8 bs)
{
	const u8 v[] = {r, rs, g, gs, bl, bs};

	put(v, sizeof(v));
}

static void end(void)
{
	tag(0);
	tag_done();
	poke32(0, b.size);
}

/* Parse a copy that ends where the memory does, so that the sanitizer sees a byte too many. */
static u8 *exact;

static const char *parse_limit(size_t limit)
{
	free(exact);
	exact = malloc(limit ? limit : 1);
	memcpy(exact, b.bytes, limit);
	memset(&info, 0xcc, sizeof(info));
	return mb2_parse(exact, limit, &info);
}

static const char *parse(void)
{
	return parse_limit(b.size);
}

static int drop_exact(void **state)
{
	(void)state;
	free(exact);
	exact = NULL;
	return 0;
}

static void test_grub_like(void **state)
{
	u8 rsdp[36];

	(void)state;
	for (u32 i = 0; i < sizeof(rsdp); i++)
		rsdp[i] = (u8)(i + 1);
	begin();
	string_tag(1, "serial=com1 verbose");
	string_tag(2, "GRUB 2.06");
	module(0x200000, 0xa00000, "console=ttyS0 quiet");
	module(0xa00000, 0xa00000, "");
	tag(4);
	put32(639);
	put32(0x1ff00);
	tag_done();
	small_mmap();
	framebuffer(0xfd000000, 4096, 1024, 768, 32, 1);
	rgb(16, 8, 8, 8, 0, 8);
	tag_done();
	tag(14);
	put(rsdp, 20);
	tag_done();
	tag(21);
	put32(0x400000);
	tag_done();
	tag(0x7777);
	put8(1);
	tag_done();
	end();
	assert_says(parse(), NULL);

	assert_string_equal(info.cmdline, "serial=com1 verbose");
	assert_false(info.cmdline_truncated);
	assert_string_equal(info.loader, "GRUB 2.06");
	assert_int_equal(info.module_count, 2);
	assert_int_equal(info.module[0].memory.start, 0x200000);
	assert_int_equal(info.module[0].memory.size, 0x800000);
	assert_string_equal(info.module[0].string, "console=ttyS0 quiet");
	assert_int_equal(info.module[0].length, 19);
	assert_int_equal(info.module[1].length, 0);
	assert_int_equal(info.memmap.count, 3);
	assert_int_equal(memmap_top(&info.memmap), 0x20000000);
	assert_int_equal(info.memmap.e[1].type, MEMMAP_RESERVED);
	assert_true(info.has_fb);
	assert_int_equal(info.fb.addr, 0xfd000000);
	assert_int_equal(info.fb.pitch, 4096);
	assert_int_equal(info.fb.width, 1024);
	assert_int_equal(info.fb.height, 768);
	assert_int_equal(info.fb.bpp, 32);
	assert_int_equal(info.fb.type, FRAMEBUFFER_RGB);
	assert_int_equal(info.fb.red_pos, 16);
	assert_int_equal(info.fb.green_pos, 8);
	assert_int_equal(info.fb.blue_pos, 0);
	assert_int_equal(info.fb.blue_size, 8);
	assert_int_equal(info.rsdp_len, 20);
	assert_memory_equal(info.rsdp, rsdp, 20);
	assert_int_equal(info.efi_system_table, 0);
	assert_null(info.efi_map.descriptors);
	assert_false(info.boot_services_running);
}

static void test_efi(void **state)
{
	u8 desc[96];

	(void)state;
	memset(desc, 0x42, sizeof(desc));
	begin();
	small_mmap();
	tag(12);
	put64(0x17f5ec018);
	tag_done();
	tag(17);
	put32(48);
	put32(1);
	put(desc, sizeof(desc));
	tag_done();
	end();
	assert_says(parse(), NULL);
	assert_int_equal(info.efi_system_table, 0x17f5ec018);
	assert_true(info.efi_64bit);
	assert_int_equal(info.efi_map.size, 96);
	assert_int_equal(info.efi_map.stride, 48);
	assert_int_equal(info.efi_map.version, 1);
	assert_memory_equal(info.efi_map.descriptors, desc, sizeof(desc));
	assert_false(info.has_fb);

	begin();
	tag(11);
	put32(0x7f5ec018);
	tag_done();
	tag(18);
	tag_done();
	tag(20);
	put64(0x1f0e5a098);
	tag_done();
	end();
	assert_says(parse(), NULL);
	assert_int_equal(info.efi_system_table, 0x7f5ec018);
	assert_int_equal(info.efi_image, 0x1f0e5a098);
	assert_false(info.efi_64bit);
	assert_true(info.boot_services_running);
}

static void test_new_rsdp_preferred(void **state)
{
	u8 old[20], new[40];

	(void)state;
	memset(old, 0x11, sizeof(old));
	memset(new, 0x22, sizeof(new));
	for (int new_first = 0; new_first < 2; new_first++) {
		begin();
		small_mmap();
		tag(new_first ? 15 : 14);
		put(new_first ? new : old, new_first ? sizeof(new) : sizeof(old));
		tag_done();
		tag(new_first ? 14 : 15);
		put(new_first ? old : new, new_first ? sizeof(old) : sizeof(new));
		tag_done();
		end();
		assert_says(parse(), NULL);
		assert_int_equal(info.rsdp_len, 36);
		assert_memory_equal(info.rsdp, new, 36);
	}
}

static void test_long_strings(void **state)
{
	static char s[3000];

	(void)state;
	for (size_t length = 2046; length <= 2049; length++) {
		memset(s, 'x', length);
		s[length] = '\0';
		begin();
		small_mmap();
		string_tag(1, s);
		string_tag(2, s);
		end();
		assert_says(parse(), NULL);
		assert_int_equal(info.cmdline_truncated, length > 2047);
		assert_int_equal(strlen(info.cmdline), length > 2047 ? 2047 : length);
		assert_int_equal(strlen(info.loader), 63);
	}
}

static void test_header(void **state)
{
	(void)state;
	begin();
	small_mmap();
	end();
	for (size_t limit = 0; limit < 8; limit++)
		assert_says(parse_limit(limit), "boot information is too short for its header");
	for (size_t limit = 8; limit < b.size; limit++)
		assert_says(parse_limit(limit), "boot information's total size is impossible");
	assert_says(parse(), NULL);
	for (u32 size = 0; size < 8; size++) {
		poke32(0, size);
		assert_says(parse(), "boot information's total size is impossible");
	}
	poke32(0, b.size + 1);
	assert_says(parse(), "boot information's total size is impossible");
	poke32(0, 0xffffffff);
	assert_says(parse(), "boot information's total size is impossible");
	poke32(0, b.size);
	for (size_t off = 1; off < 8; off++)
		assert_says(mb2_parse(b.bytes + off, b.size, &info),
			    "boot information is not 8-byte aligned");
}

static void test_tag_walk(void **state)
{
	u32 map_end;

	(void)state;
	begin();
	small_mmap();
	map_end = b.size;
	/* Ends exactly behind a tag, or inside the next tag's header. */
	poke32(0, map_end);
	assert_says(parse(), "boot information has no end tag");
	end();
	for (u32 more = 1; more < 8; more++) {
		poke32(0, map_end + more);
		assert_says(parse(), "boot information ends inside a tag's header");
	}
	poke32(0, 8);
	assert_says(parse(), "boot information has no end tag");

	poke32(0, b.size);
	poke32(map_end + 4, 16);
	assert_says(parse(), "a tag runs past the end of the boot information");
	for (u32 size = 0; size < 8; size++) {
		poke32(map_end + 4, size);
		assert_says(parse(), "a tag is smaller than its own header");
	}
	/* An end tag with a payload. */
	put64(0);
	poke32(0, b.size);
	poke32(map_end + 4, 16);
	assert_says(parse(), "the end tag has a wrong size");

	/* Sizes that would wrap 32 bits when they are added or rounded up. */
	poke32(12, 0xffffffff);
	assert_says(parse(), "a tag runs past the end of the boot information");
	poke32(12, 0xfffffff9);
	assert_says(parse(), "a tag runs past the end of the boot information");

	/* The last tag's padding is cut off. */
	begin();
	small_mmap();
	string_tag(1, "1234");
	poke32(0, b.size);
	assert_says(parse(), "boot information has no end tag");

	/* What follows the end tag is not looked at. */
	begin();
	small_mmap();
	end();
	tag(3);
	poke32(0, b.size);
	assert_says(parse(), NULL);
}

static void test_tags_too_small_for_their_type(void **state)
{
	/* Smallest size of each type by the specification. */
	static const struct {
		u32 type, size;
	} types[] = {{3, 17},  {6, 16},  {8, 32},  {11, 12}, {12, 16},
		     {14, 28}, {15, 44}, {17, 16}, {20, 16}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		for (u32 size = 8; size < types[i].size; size++) {
			const char *status;

			begin();
			tag(types[i].type);
			while (b.size < tag_start + size)
				put8(0);
			tag_done();
			end();
			status = parse();
			/* A module with room for all but its string's terminator. */
			if (types[i].type == 3 && size == 16)
				assert_says(status, "a module's string is not terminated");
			else
				assert_says(status, "a tag is too small for its type");
		}
	}
}

static void test_unterminated(void **state)
{
	(void)state;
	for (u32 n = 0; n < 9; n++) {
		begin();
		small_mmap();
		tag(1);
		put("abcdefghi", n);
		tag_done();
		end();
		assert_says(parse(), "the command line is not terminated");
		begin();
		small_mmap();
		tag(2);
		put("abcdefghi", n);
		tag_done();
		end();
		assert_says(parse(), "the boot loader's name is not terminated");
		begin();
		small_mmap();
		tag(3);
		put32(0);
		put32(0);
		put("abcdefghi", n);
		tag_done();
		end();
		assert_says(parse(), "a module's string is not terminated");
	}
}

static void test_modules(void **state)
{
	(void)state;
	begin();
	small_mmap();
	module(0x2000, 0x1fff, "x");
	end();
	assert_says(parse(), "a module ends before it starts");

	begin();
	small_mmap();
	for (u32 i = 0; i < 16; i++)
		module(i * 0x1000, i * 0x1000 + 1, "m");
	end();
	assert_says(parse(), NULL);
	assert_int_equal(info.module_count, 16);
	assert_int_equal(info.module[15].memory.start, 0xf000);
	assert_int_equal(info.module[15].memory.size, 1);
	b.size -= 8;
	module(0x100000, 0x100001, "one too many");
	end();
	assert_says(parse(), "there are more than 16 modules");
}

static void test_mmap(void **state)
{
	static const u32 bad_sizes[] = {0, 8, 16, 20, 23, 25, 28, 31, 0xffffffff};

	(void)state;
	begin();
	end();
	assert_says(parse(), "the boot loader gave no memory map");

	for (size_t i = 0; i < ARRAY_SIZE(bad_sizes); i++) {
		begin();
		small_mmap();
		poke32(tag_start + 8, bad_sizes[i]);
		end();
		assert_says(parse(), "the memory map's entry size is impossible");
	}
	/* A future, longer entry: 32 bytes. */
	begin();
	tag(6);
	put32(32);
	put32(1);
	mmap_entry(0x1000, 0x2000, 1);
	put64(0xdeadbeef);
	mmap_entry(0x8000, 0x1000, 4);
	put64(0xdeadbeef);
	tag_done();
	end();
	assert_says(parse(), NULL);
	assert_int_equal(info.memmap.count, 2);
	assert_int_equal(info.memmap.e[1].start, 0x8000);

	for (u32 extra = 8; extra < 24; extra += 8) {
		begin();
		small_mmap();
		for (u32 i = 0; i < extra; i += 8)
			put64(0);
		tag_done();
		end();
		assert_says(parse(), "the memory map ends inside an entry");
	}

	for (u32 n = 256; n <= 257; n++) {
		begin();
		tag(6);
		put32(24);
		put32(0);
		for (u32 i = 0; i < n; i++)
			mmap_entry(i * 0x10000ull, 0x1000, 1);
		tag_done();
		end();
		assert_says(parse(), n == 256 ? NULL : "the memory map has too many ranges");
	}
	/* Entries that overlap, wrap or are empty are the memory map's business. */
	begin();
	tag(6);
	put32(24);
	put32(0);
	mmap_entry(0, 0x10000, 1);
	mmap_entry(0x5000, 0, 1);
	mmap_entry(UINT64_MAX - 0xfff, 0x2000, 2);
	mmap_entry(0x8000, 0x1000, 2);
	tag_done();
	end();
	assert_says(parse(), NULL);
	assert_int_equal(info.memmap.count, 4);
	assert_int_equal(info.memmap.e[0].size, 0x8000);
}

static const char *fb_status(u64 addr, u32 pitch, u32 width, u32 height, u8 bpp, u8 type)
{
	begin();
	small_mmap();
	framebuffer(addr, pitch, width, height, bpp, type);
	if (type == 1)
		rgb(0, 1, 0, 1, 0, 1);
	tag_done();
	end();
	return parse();
}

static void test_framebuffer(void **state)
{
	(void)state;
	assert_says(fb_status(0xb8000, 160, 80, 25, 16, 2), NULL);
	assert_int_equal(info.fb.type, FRAMEBUFFER_TEXT);
	assert_says(fb_status(0xa0000, 320, 320, 200, 8, 0), NULL);
	assert_says(fb_status(0xe0000000, 3072, 1024, 768, 24, 1), NULL);
	assert_says(fb_status(0xe0000000, 2048, 1024, 768, 15, 1), NULL);

	assert_says(fb_status(0xe0000000, 4096, 0, 768, 32, 1), "the framebuffer has no pixels");
	assert_says(fb_status(0xe0000000, 4096, 1024, 0, 32, 1), "the framebuffer has no pixels");
	assert_says(fb_status(0xe0000000, 4096, 1024, 768, 0, 1),
		    "the framebuffer's colour depth is impossible");
	assert_says(fb_status(0xe0000000, 8192, 1024, 768, 33, 1),
		    "the framebuffer's colour depth is impossible");
	assert_says(fb_status(0xe0000000, 4095, 1024, 768, 32, 1),
		    "the framebuffer's pitch is shorter than its lines");
	assert_says(fb_status(0xe0000000, 0, 1, 1, 1, 1),
		    "the framebuffer's pitch is shorter than its lines");
	/* width * bpp / 8 is 0 in 32 bits. */
	assert_says(fb_status(0xe0000000, 4096, 0x40000000, 1, 32, 1),
		    "the framebuffer's pitch is shorter than its lines");
	assert_says(fb_status(UINT64_MAX - 4095, 4096, 1024, 1, 32, 1),
		    "the framebuffer runs past the end of the address space");
	assert_says(fb_status(UINT64_MAX - 4096, 4096, 1024, 1, 32, 1), NULL);
	assert_says(fb_status(0xffffffff00000000, 0xffffffff, 1, 0xffffffff, 32, 0),
		    "the framebuffer runs past the end of the address space");
}

static void test_framebuffer_colors(void **state)
{
	static const struct {
		u8 v[6];
		const char *status;
	} cases[] = {
		{{11, 5, 5, 6, 0, 5}, NULL},
		{{12, 5, 5, 6, 0, 5}, "the framebuffer's colours do not fit its pixels"},
		{{11, 5, 16, 1, 0, 5}, "the framebuffer's colours do not fit its pixels"},
		{{11, 5, 5, 6, 200, 200}, "the framebuffer's colours do not fit its pixels"},
		{{11, 0, 5, 6, 0, 5}, "the framebuffer's colours do not fit its pixels"},
		{{0, 5, 5, 6, 255, 1}, "the framebuffer's colours do not fit its pixels"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin();
		small_mmap();
		framebuffer(0xe0000000, 2048, 1024, 768, 16, 1);
		put(cases[i].v, 6);
		tag_done();
		end();
		assert_says(parse(), cases[i].status);
	}
	for (u32 n = 0; n < 6; n++) {
		begin();
		small_mmap();
		framebuffer(0xe0000000, 2048, 1024, 768, 16, 1);
		put(cases[0].v, n);
		tag_done();
		end();
		assert_says(parse(), "a tag is too small for its type");
	}
}

static const char *efi_mmap_status(u32 desc_size, u32 bytes)
{
	begin();
	small_mmap();
	tag(17);
	put32(desc_size);
	put32(1);
	for (u32 i = 0; i < bytes; i++)
		put8(0);
	tag_done();
	end();
	return parse();
}

static void test_efi_mmap(void **state)
{
	(void)state;
	assert_says(efi_mmap_status(40, 40), NULL);
	assert_says(efi_mmap_status(48, 0), NULL);
	assert_says(efi_mmap_status(0, 48), "the EFI memory map's descriptor size is impossible");
	assert_says(efi_mmap_status(32, 64), "the EFI memory map's descriptor size is impossible");
	assert_says(efi_mmap_status(44, 44), "the EFI memory map's descriptor size is impossible");
	assert_says(efi_mmap_status(48, 56), "the EFI memory map ends inside a descriptor");
	assert_says(efi_mmap_status(0xfffffff8, 48), "the EFI memory map ends inside a descriptor");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grub_like),
		cmocka_unit_test(test_efi),
		cmocka_unit_test(test_new_rsdp_preferred),
		cmocka_unit_test(test_long_strings),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_tag_walk),
		cmocka_unit_test(test_tags_too_small_for_their_type),
		cmocka_unit_test(test_unterminated),
		cmocka_unit_test(test_modules),
		cmocka_unit_test(test_mmap),
		cmocka_unit_test(test_framebuffer),
		cmocka_unit_test(test_framebuffer_colors),
		cmocka_unit_test(test_efi_mmap),
	};

	return cmocka_run_group_tests(tests, NULL, drop_exact);
}
