/* SPDX-License-Identifier: BSD-2-Clause */
/* The input is a bzImage; what passes must be loadable, and its header must fit boot_params. */
#include <stdlib.h>
#include <string.h>

#include "boot/linux.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

enum { HEADER = 0x1f1, HEADER_END = 0x26c };

static void require(bool condition)
{
	if (!condition)
		abort();
}

/*
 * Two bytes of size, then the file from the setup header on; the rest is zeroes. An odd size keeps
 * what the first checks ask for, or few inputs would ever get past these.
 */
static u8 *make_image(const u8 *data, size_t size, size_t *image_size)
{
	static const u8 sure[] = {0x55, 0xaa, 0xeb, 0x6a, 'H', 'd', 'r', 'S'};
	u8 *image;
	u16 total = 0;

	memcpy(&total, data, size < sizeof(total) ? size : sizeof(total));
	data += sizeof(total);
	size = size < sizeof(total) ? 0 : size - sizeof(total);
	*image_size = total;
	image = calloc(1, total ? total : 1u);
	if (total > HEADER)
		memcpy(image + HEADER, data, size < total - HEADER ? size : total - HEADER);
	if (total > HEADER_END && (total & 1)) {
		memcpy(image + 0x1fe, sure, sizeof(sure));
		memset(image + 0x1f6, 0, 2);
		image[0x207] = 2;
		image[0x211] |= 1;
	}
	return image;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct memmap map = {.count = 1, .e[0] = {.size = MIB, .type = MEMMAP_USABLE}};
	const struct linux_handover handover = {.map = &map, .initrd_size = size, .initrd = MIB};
	struct boot_params *params;
	struct linux_image found;
	size_t image_size;
	u8 *image = make_image(data, size, &image_size);

	if (!linux_parse(image, image_size, &found)) {
		require(found.code_offset <= image_size &&
			found.code_size <= image_size - found.code_offset);
		require(found.code_size && found.init_size >= found.code_size);
		require(found.pref_address + found.init_size <= 4 * GIB);
		require(!found.relocatable ||
			(found.kernel_alignment &&
			 !(found.kernel_alignment & (found.kernel_alignment - 1))));
		params = malloc(sizeof(*params));
		linux_fill_boot_params(params, image, &found, &handover);
		require(params->e820_entries == 1 && params->e820_table[0].size == MIB);
		require(params->hdr.ramdisk_size == (u32)size && params->hdr.setup_data == 0);
		free(params);
	}
	free(image);
	return 0;
}
