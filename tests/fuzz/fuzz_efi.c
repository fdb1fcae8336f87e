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
	efi_map_read(data + 1, size - 1, 40 + (data[0] & 7u) * 8, &map);
	for (u32 i = 1; i < map.count; i++)
		require(map.e[i - 1].start + map.e[i - 1].size <= map.e[i].start);
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
	program(copy, size);
	free(copy);
	return 0;
}
