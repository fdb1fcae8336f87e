/* SPDX-License-Identifier: BSD-2-Clause */
/* The loadable parts of a kernel in ELF (System V ABI "Object Files", "Program Loading"). */
#pragma once

#include <x86/types.h>

enum { ELF_SEGMENTS_MAX = 16, ELF_NOTES_MAX = 8 };

enum elf_status {
	ELF_OK,
	ELF_NOT_ELF,
	ELF_WRONG_MACHINE, /* not a little-endian x86 or x86-64 executable */
	ELF_BAD_HEADER,    /* a size or an address overflows, or segments overlap */
	ELF_TRUNCATED,     /* the file ends before a header or segment does */
	ELF_TOO_MANY,      /* more than ELF_SEGMENTS_MAX segments */
	ELF_NOTHING,       /* nothing to load */
};

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

/*
 * Reads the ELF32 or ELF64 file of `size` bytes at `image`, which is untrusted. With ELF_OK every
 * segment lies in the file, does not wrap and overlaps no other in memory. *out is written in
 * that case only.
 */
enum elf_status elf_parse(const void *image, size_t size, struct elf_image *out);

/* One line for the log, without a full stop. */
const char *elf_status_text(enum elf_status status);

/* Whether [address, address + 1) is in memory that a segment takes. */
bool elf_contains(const struct elf_image *elf, paddr_t address);
