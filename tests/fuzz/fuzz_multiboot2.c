/* SPDX-License-Identifier: BSD-2-Clause */
/* Whatever the loader hands over: no byte outside it is read, and what is accepted is sane. */
#include <stdlib.h>
#include <string.h>

#include "boot/mb2_relay.h"
#include "boot/multiboot2.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check(const struct mb2_info *info, const u8 *mbi, size_t size)
{
	u64 end = 0;

	require(strlen(info->cmdline) < sizeof(info->cmdline));
	require(strlen(info->loader) < sizeof(info->loader));
	require(info->module_count <= MB2_MAX_MODULES);
	for (u32 i = 0; i < info->module_count; i++) {
		const struct mb2_module *m = &info->module[i];

		require(m->memory.size <= UINT32_MAX);
		require((const u8 *)m->string > mbi && (const u8 *)m->string < mbi + size);
		require(strlen(m->string) == m->length);
	}
	require(info->memmap.count <= MEMMAP_MAX);
	for (u32 i = 0; i < info->memmap.count; i++) {
		const struct memmap_entry *e = &info->memmap.e[i];

		require(e->size > 0 && e->start >= end && e->start + e->size > e->start);
		require(e->type >= MEMMAP_USABLE && e->type <= MEMMAP_BAD && !e->reserved);
		end = e->start + e->size;
	}
	require(info->rsdp_len == 0 || info->rsdp_len == 20 || info->rsdp_len == 36);
	if (info->has_fb) {
		const struct framebuffer *fb = &info->fb;

		require(fb->width > 0 && fb->height > 0 && fb->bpp > 0);
		require((u64)fb->width * fb->bpp <= (u64)fb->pitch * 8);
		require(fb->addr + (u64)fb->pitch * fb->height > fb->addr);
		if (fb->type == FRAMEBUFFER_RGB)
			require(fb->red_pos + fb->red_size <= 32 &&
				fb->green_pos + fb->green_size <= 32 &&
				fb->blue_pos + fb->blue_size <= 32);
	}
	if (info->efi_map.descriptors) {
		const u8 *map = info->efi_map.descriptors;

		require(map > mbi && map <= mbi + size &&
			info->efi_map.size <= (size_t)(mbi + size - map));
		require(info->efi_map.size % info->efi_map.stride == 0);
	}
}

static void put32(u8 *at, u32 value)
{
	memcpy(at, &value, sizeof(value));
}

/*
 * Tags from the input with sizes and an end tag that are mostly right: each is a type, the
 * payload's length, a byte added to the size it states, and the payload. Returns the size.
 */
static size_t assemble(u8 *mbi, const u8 *data, size_t size)
{
	size_t at = 8;

	while (size >= 3) {
		size_t n = data[1] < size - 3 ? data[1] : size - 3;

		put32(mbi + at, data[0] % 32);
		put32(mbi + at + 4, (u32)(8 + n) + (data[2] > 0xf0 ? data[2] : 0));
		memcpy(mbi + at + 8, data + 3, n);
		at = ALIGN_UP(at + 8 + n, (size_t)8);
		data += 3 + n;
		size -= 3 + n;
	}
	put32(mbi + at, 0);
	put32(mbi + at + 4, 8);
	at += 8;
	put32(mbi, (u32)at);
	return at;
}

/* Information that is accepted is so with maps added, too, and says the same else. */
static void relay(const struct mb2_info *info, const u8 *mbi, size_t size)
{
	static const struct memmap map = {1, {{MIB, MIB, MEMMAP_USABLE, 0}}};
	static const u8 descriptors[48];
	static const struct efi_map_view efi = {descriptors, sizeof(descriptors), 48, 1};
	static struct mb2_info again;
	const size_t room = size + 256;
	u8 *out = malloc(room);
	const size_t used = mb2_relay(mbi, &map, &efi, out, room);

	require(used <= room);
	if (info->memmap.count < MEMMAP_MAX)
		require(!mb2_parse(out, used, &again));
	require(again.module_count == info->module_count || info->memmap.count == MEMMAP_MAX);
	free(out);
}

static void parse(const u8 *mbi, size_t size)
{
	static struct mb2_info info;
	const char *error = mb2_parse(mbi, size, &info);

	require(!error || error[0] != '\0');
	if (!error) {
		check(&info, mbi, size);
		relay(&info, mbi, size);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	/* Worst case: every record empty, three bytes that become eight. */
	u8 *scratch = calloc(1, 16 + size * 8);
	/* Of the exact size: aligned as GRUB aligns it, and watched by the sanitizer. */
	u8 *mbi;

	if (size > 0 && data[0] % 8 != 0)
		size = assemble(scratch, data + 1, size - 1);
	else
		memcpy(scratch, data, size);
	mbi = malloc(size ? size : 1);
	memcpy(mbi, scratch, size);
	parse(mbi, size);
	free(mbi);
	free(scratch);
	return 0;
}
