/* SPDX-License-Identifier: BSD-2-Clause */
/* The loadable parts of a kernel in ELF (System V ABI "Object Files", "Program Loading"). */
#pragma once

#include <x86/types.h>

enum { ELF_SEGMENTS_MAX = 16, ELF_NOTES_MAX = 8 };

struct elf_segment {
	paddr_t paddr;
	u64 vaddr;
	u64 offset; /* in the file */
	u64 filesz;
	u64 memsz; /* at least filesz; the rest is to be zeroed */
};

struct elf_notes {
	u64 offset; /* in the file */
	u64 size;
	u32 align; /* 4 or 8: what names and descriptors are padded to */
};

struct elf_image {
	u64 entry; /* e_entry: virtual */
	bool is_64bit;
	u32 count;
	u32 note_count;  /* PT_NOTE segments beyond ELF_NOTES_MAX are left out */
	paddr_t lowest;  /* of all segments */
	paddr_t highest; /* first address after them */
	struct elf_segment segment[ELF_SEGMENTS_MAX];
	struct elf_notes notes[ELF_NOTES_MAX];
};

/* What the protocols by which such a kernel may be started tell besides. */
struct elf_kernel {
	u32 entry;          /* physical; in a segment */
	bool align_modules; /* to pages */
	struct elf_image elf;
};

/* What elf_parse() says of a file of another kind. */
extern const char elf_not_elf[];

/*
 * Reads the ELF32 or ELF64 file of `size` bytes at `image`, which is untrusted. NULL, or what is
 * wrong, for people. With NULL every segment lies in the file, does not wrap and overlaps no other
 * in memory; *out is written in that case only.
 */
const char *elf_parse(const void *image, size_t size, struct elf_image *out);

/* Whether [address, address + 1) is in memory that a segment takes. */
bool elf_contains(const struct elf_image *elf, paddr_t address);
