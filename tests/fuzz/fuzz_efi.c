/* SPDX-License-Identifier: BSD-2-Clause */
/* What Umbra reads of the EFI system partition, of the firmware's variables and of programs. */
#include <stdlib.h>
#include <string.h>

#include "boot/efi_boot_option.h"
#include "boot/efi_config.h"
#include "boot/efi_map.h"
#include "boot/pe.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void config(const u8 *data, size_t size)
{
	struct efi_config config;
	u32 line;
	const char *error = efi_config_parse((const char *)data, size, &config, &line);

	require(line >= 1 && line <= size + 1);
	require(!error || error[0]);
	require(strlen(config.options) < EFI_CONFIG_VALUE);
	require(strlen(config.start) < EFI_CONFIG_VALUE);
	require(strlen(config.arguments) < EFI_CONFIG_VALUE);
	require(strlen(config.initrd) < EFI_CONFIG_VALUE);
	require(strlen(config.microcode) < EFI_CONFIG_VALUE);
}

static void boot_option(const u8 *data, size_t size)
{
	struct efi_boot_option option;
	u16 next;

	if (efi_boot_option_parse(data, size, &option)) {
		require(option.path >= data && option.path + option.path_size <= data + size);
		require(option.data + option.data_size == data + size);
		require(strlen(option.description) < sizeof(option.description));
		efi_path_is_short(option.path, option.path_size);
		efi_path_has_partition(option.data, option.data_size, option.path,
				       option.path_size);
	}
	efi_boot_order_next(data, size, 0, &next);
}

static void memory_map(const u8 *data, size_t size)
{
	static struct memmap map;

	if (size < 1)
		return;
	/* At least 40 and a multiple of 8, as the firmware's. */
	efi_map_read(&(struct efi_map_view){data + 1, (u32)size - 1, 40 + (data[0] & 7u) * 8, 1},
		     &map);
	for (u32 i = 1; i < map.count; i++)
		require(map.e[i - 1].start + map.e[i - 1].size <= map.e[i].start);
}

/*
 * Three bytes are a descriptor of a few pages. In place, with room for what a range may add in
 * each; afterwards nothing else is left of the range, and no page is lost.
 */
static void reserve(const u8 *data, size_t size)
{
	enum { STRIDE = 48, START = 5, PAGES = 3 };
	const size_t count = size / 3 < 64 ? size / 3 : 64;
	static u8 map[3 * 64 * STRIDE];
	u64 pages_before = 0, pages_after = 0;
	size_t now;

	memset(map, 0, sizeof(map));
	for (size_t i = 0; i < count; i++) {
		const u32 type = data[3 * i] % 16;
		const u64 start = data[3 * i + 1] % 16 * PAGE_SIZE, pages = data[3 * i + 2] % 8;

		memcpy(map + i * STRIDE, &type, sizeof(type));
		memcpy(map + i * STRIDE + 8, &start, sizeof(start));
		memcpy(map + i * STRIDE + 24, &pages, sizeof(pages));
		pages_before += pages;
	}
	now = efi_map_reserve(map, count * STRIDE, sizeof(map), STRIDE, START * PAGE_SIZE,
			      PAGES * PAGE_SIZE);
	require(now >= count * STRIDE && now <= sizeof(map) && now % STRIDE == 0);
	for (size_t at = 0; at < now; at += STRIDE) {
		u64 start, pages;
		u32 type;

		memcpy(&type, map + at, sizeof(type));
		memcpy(&start, map + at + 8, sizeof(start));
		memcpy(&pages, map + at + 24, sizeof(pages));
		pages_after += pages;
		start /= PAGE_SIZE;
		require(type == 0 || pages == 0 || start >= START + PAGES ||
			start + pages <= START);
	}
	require(pages_after == pages_before);
}

static void program(const u8 *data, size_t size)
{
	struct pe_info info;

	if (pe_is_efi_program(data, size, &info))
		require(size >= 64 && data[0] == 'M' && data[1] == 'Z');
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	/* Exactly as much as there is, for the address sanitizer. */
	u8 *copy = malloc(size ? size : 1);

	memcpy(copy, data, size);
	config(copy, size);
	boot_option(copy, size);
	memory_map(copy, size);
	reserve(copy, size);
	program(copy, size);
	free(copy);
	return 0;
}
