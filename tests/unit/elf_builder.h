/* SPDX-License-Identifier: BSD-2-Clause */
/* Small ELF files for tests, written by the ABI's offsets. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include <x86/types.h>

enum { BUILT_LOAD = 1, BUILT_NOTE = 4, BUILT_PHDRS = 0x100, BUILT_SIZE = 0x3000 };

static inline void built_put(u8 *file, size_t offset, u64 value, size_t size)
{
	memcpy(file + offset, &value, size);
}

/* Exactly BUILT_SIZE bytes on the heap, so that reading on is caught; program headers at 0x100. */
static inline u8 *build_elf(bool is_64bit, u64 entry)
{
	u8 *f = malloc(BUILT_SIZE);

	for (size_t i = 0; i < BUILT_SIZE; i++)
		f[i] = (u8)(i * 7);
	memset(f, 0, 0x800);
	memcpy(f, "\177ELF", 4);
	f[4] = is_64bit ? 2 : 1;
	f[5] = 1;
	f[6] = 1;
	built_put(f, 16, 2, 2);
	built_put(f, 18, is_64bit ? 62 : 3, 2);
	built_put(f, 20, 1, 4);
	built_put(f, 24, entry, is_64bit ? 8 : 4);
	built_put(f, is_64bit ? 32 : 28, BUILT_PHDRS, is_64bit ? 8 : 4);
	built_put(f, is_64bit ? 54 : 42, is_64bit ? 56 : 32, 2);
	return f;
}

static inline void build_segment(u8 *f, u32 type, u64 offset, u64 vaddr, u64 paddr, u64 filesz,
				 u64 memsz, u64 align)
{
	bool is_64bit = f[4] == 2;
	u8 *count = f + (is_64bit ? 56 : 44);
	u8 *at = f + BUILT_PHDRS + (size_t)*count * (is_64bit ? 56 : 32);

	++*count;
	built_put(at, 0, type, 4);
	if (is_64bit) {
		const u64 values[] = {offset, vaddr, paddr, filesz, memsz, align};
		memcpy(at + 8, values, sizeof(values));
	} else {
		const u32 values[] = {(u32)offset, (u32)vaddr, (u32)paddr, (u32)filesz, (u32)memsz};
		memcpy(at + 4, values, sizeof(values));
		built_put(at, 28, align, 4);
	}
}

/* Returns where the next note begins. */
static inline size_t build_note(u8 *f, size_t at, const char *name, u32 type, u64 value,
				u32 value_size, u32 align)
{
	u32 namesz = (u32)strlen(name) + 1;

	built_put(f, at, namesz, 4);
	built_put(f, at + 4, value_size, 4);
	built_put(f, at + 8, type, 4);
	memcpy(f + at + 12, name, namesz);
	size_t desc = ALIGN_UP(at + 12 + namesz, (size_t)align);
	built_put(f, desc, value, value_size < 8 ? value_size : 8);
	return ALIGN_UP(desc + value_size, (size_t)align);
}
