/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The input spoils a good ELF kernel: a byte of options, two for the size of the file, and then
 * any number of 16-bit offsets, each with a 16-bit value to write there.
 */
#include <stdlib.h>
#include <string.h>

#include "boot/mb2_kernel.h"
#include "boot/pvh.h"

#include "../unit/elf_builder.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

enum { NOTES = 0x800, MB2 = 0x900, SPOILED = 0xa00 };

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void mend_checksum(u8 *f)
{
	u32 words[3];

	memcpy(words, f + MB2, sizeof(words));
	built_put(f, MB2 + 12, ~((u64)words[0] + words[1] + words[2]) + 1, 4);
}

/* A kernel for both protocols: two segments, notes at 0x800, a multiboot2 header at 0x900. */
static u8 *make_kernel(bool is_64bit)
{
	u8 *f = build_elf(is_64bit, 0x1000000);

	memset(f + NOTES, 0, SPOILED - NOTES);
	build_segment(f, BUILT_LOAD, 0x1000, 0x81000000, 0x1000000, 0x1000, 0x1000, 0x200000);
	build_segment(f, BUILT_LOAD, 0x2000, 0x82000000, 0x2000000, 0x800, 0x5000, 0x200000);
	size_t end = build_note(f, NOTES, "Linux", 0x100, 0, 4, 4);
	end = build_note(f, end, "Xen", 18, 0x1000000, is_64bit ? 8 : 4, 4);
	build_segment(f, BUILT_NOTE, NOTES, 0, 0, end - NOTES, 0, 4);
	built_put(f, MB2, 0xe85250d6, 4);
	built_put(f, MB2 + 8, 40, 4);
	built_put(f, MB2 + 16, 1, 2);
	built_put(f, MB2 + 20, 12, 4);
	built_put(f, MB2 + 24, 6, 4);
	built_put(f, MB2 + 36, 8, 4);
	mend_checksum(f);
	return f;
}

static void check_segments(const struct elf_image *elf, size_t size)
{
	require(elf->count > 0 && elf->count <= ELF_SEGMENTS_MAX);
	for (u32 i = 0; i < elf->count; i++) {
		const struct elf_segment *s = &elf->segment[i];
		require(s->offset <= size && s->filesz <= size - s->offset);
		require(s->memsz && s->filesz <= s->memsz && s->paddr + s->memsz > s->paddr);
		require(s->paddr >= elf->lowest && s->paddr + s->memsz <= elf->highest);
		for (u32 j = 0; j < i; j++) {
			const struct elf_segment *t = &elf->segment[j];
			require(s->paddr + s->memsz <= t->paddr || t->paddr + t->memsz <= s->paddr);
		}
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static u8 *kernel[2]; /* built once */
	struct elf_kernel pvh;
	struct elf_kernel mb2;
	u16 words[2];

	if (size < 3)
		return -1;
	bool is_64bit = data[0] & 1;
	if (!kernel[is_64bit])
		kernel[is_64bit] = make_kernel(is_64bit);
	memcpy(words, data + 1, sizeof(words[0]));
	size_t image_size = data[0] & 4 ? words[0] % BUILT_SIZE : BUILT_SIZE;
	u8 *image = malloc(image_size ? image_size : 1);
	memcpy(image, kernel[is_64bit], image_size);
	for (size_t i = 3; i + sizeof(words) <= size; i += sizeof(words)) {
		memcpy(words, data + i, sizeof(words));
		size_t at = words[0] % SPOILED;
		if (at + sizeof(words[1]) <= image_size)
			memcpy(image + at, &words[1], sizeof(words[1]));
	}
	if ((data[0] & 2) && image_size >= MB2 + 16)
		mend_checksum(image);

	if (!pvh_parse(image, image_size, &pvh)) {
		require(elf_contains(&pvh.elf, pvh.entry));
		check_segments(&pvh.elf, image_size);
	}
	if (!mb2_kernel_parse(image, image_size, &mb2)) {
		require(elf_contains(&mb2.elf, mb2.entry));
		check_segments(&mb2.elf, image_size);
	}
	free(image);
	return 0;
}
