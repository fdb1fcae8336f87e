/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/elf.h"

#include "lib/string.h"

const char elf_not_elf[] = "not an ELF file";

enum {
	CLASS_32 = 1,
	CLASS_64 = 2,
	DATA_LITTLE = 1,
	MACHINE_386 = 3,
	MACHINE_X86_64 = 62,
	TYPE_EXEC = 2,
	TYPE_DYN = 3,
	PT_LOAD = 1,
	PT_NOTE = 4,
};

struct elf_ident {
	u8 magic[4];
	u8 class;
	u8 data;
	u8 version;
	u8 pad[9];
	u16 type;
	u16 machine;
	u32 version_again;
};

struct elf64_header {
	struct elf_ident ident;
	u64 entry;
	u64 phoff;
	u64 shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf64_header) == 64, "Elf64_Ehdr");

struct elf32_header {
	struct elf_ident ident;
	u32 entry;
	u32 phoff;
	u32 shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf32_header) == 52, "Elf32_Ehdr");

struct elf64_segment {
	u32 type, flags;
	u64 offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct elf64_segment) == 56, "Elf64_Phdr");

struct elf32_segment {
	u32 type, offset, vaddr, paddr, filesz, memsz, flags, align;
};
_Static_assert(sizeof(struct elf32_segment) == 32, "Elf32_Phdr");

/* Where the program headers are, whatever the class. */
struct headers {
	u64 offset;
	u32 size, count;
};

static bool in_file(u64 offset, u64 size, size_t file)
{
	return offset <= file && size <= file - offset;
}

static const char *read_header(const u8 *image, size_t size, struct elf_image *elf,
			       struct headers *ph)
{
	static const u8 magic[4] = {0x7f, 'E', 'L', 'F'};
	struct elf_ident ident;

	if (size < sizeof(ident))
		return elf_not_elf;
	memcpy(&ident, image, sizeof(ident));
	if (memcmp(ident.magic, magic, sizeof(magic)) != 0)
		return elf_not_elf;
	if (ident.data != DATA_LITTLE || (ident.type != TYPE_EXEC && ident.type != TYPE_DYN))
		return "ELF file is not an x86 executable";

	/* Multiboot kernels that start in 32-bit code and go on in 64-bit are often a mix. */
	elf->is_64bit = ident.class == CLASS_64;
	if (!(ident.machine == MACHINE_X86_64 &&
	      (ident.class == CLASS_64 || ident.class == CLASS_32)) &&
	    !(ident.machine == MACHINE_386 && ident.class == CLASS_32))
		return "ELF file is not an x86 executable";
	if (size < (elf->is_64bit ? sizeof(struct elf64_header) : sizeof(struct elf32_header)))
		return "ELF file is truncated";
	if (elf->is_64bit) {
		struct elf64_header h;
		memcpy(&h, image, sizeof(h));
		elf->entry = h.entry;
		*ph = (struct headers){.offset = h.phoff, .size = h.phentsize, .count = h.phnum};
	} else {
		struct elf32_header h;
		memcpy(&h, image, sizeof(h));
		elf->entry = h.entry;
		*ph = (struct headers){.offset = h.phoff, .size = h.phentsize, .count = h.phnum};
	}
	if (ph->size <
	    (elf->is_64bit ? sizeof(struct elf64_segment) : sizeof(struct elf32_segment)))
		return "invalid ELF program header";
	return NULL;
}

static struct elf64_segment read_segment(const u8 *at, bool is_64bit)
{
	struct elf64_segment s;
	struct elf32_segment narrow;

	if (is_64bit) {
		memcpy(&s, at, sizeof(s));
		return s;
	}
	memcpy(&narrow, at, sizeof(narrow));
	return (struct elf64_segment){
		.type = narrow.type,
		.flags = narrow.flags,
		.offset = narrow.offset,
		.vaddr = narrow.vaddr,
		.paddr = narrow.paddr,
		.filesz = narrow.filesz,
		.memsz = narrow.memsz,
		.align = narrow.align,
	};
}

static const char *add_load(struct elf_image *elf, const struct elf64_segment *s, size_t size)
{
	if (!s->memsz)
		return s->filesz ? "invalid ELF program header" : NULL;
	if (s->filesz > s->memsz || s->paddr + s->memsz < s->paddr)
		return "invalid ELF program header";
	if (!in_file(s->offset, s->filesz, size))
		return "ELF file is truncated";
	if (elf->count == ELF_SEGMENTS_MAX)
		return "ELF file has too many segments";
	for (u32 i = 0; i < elf->count; i++) {
		const struct elf_segment *other = &elf->segment[i];
		if (s->paddr < other->paddr + other->memsz && other->paddr < s->paddr + s->memsz)
			return "invalid ELF program header";
	}
	if (!elf->count || s->paddr < elf->lowest)
		elf->lowest = s->paddr;
	if (s->paddr + s->memsz > elf->highest)
		elf->highest = s->paddr + s->memsz;
	elf->segment[elf->count++] = (struct elf_segment){.paddr = s->paddr,
							  .vaddr = s->vaddr,
							  .offset = s->offset,
							  .filesz = s->filesz,
							  .memsz = s->memsz};
	return NULL;
}

const char *elf_parse(const void *image, size_t size, struct elf_image *out)
{
	const u8 *bytes = image;
	struct elf_image elf = {0};
	struct headers ph;
	const char *error = read_header(bytes, size, &elf, &ph);

	if (error)
		return error;
	if (!in_file(ph.offset, (u64)ph.size * ph.count, size))
		return "ELF file is truncated";
	for (u32 i = 0; i < ph.count; i++) {
		struct elf64_segment s =
			read_segment(bytes + ph.offset + (size_t)i * ph.size, elf.is_64bit);
		if (s.type == PT_LOAD) {
			error = add_load(&elf, &s, size);
			if (error)
				return error;
		} else if (s.type == PT_NOTE && elf.note_count < ELF_NOTES_MAX) {
			if (!in_file(s.offset, s.filesz, size))
				return "ELF file is truncated";
			elf.notes[elf.note_count++] =
				(struct elf_notes){.offset = s.offset,
						   .size = s.filesz,
						   .align = s.align == 8 ? 8 : 4};
		}
	}
	if (!elf.count)
		return "ELF file has nothing to load";
	*out = elf;
	return NULL;
}

bool elf_contains(const struct elf_image *elf, paddr_t address)
{
	for (u32 i = 0; i < elf->count; i++) {
		if (address - elf->segment[i].paddr < elf->segment[i].memsz)
			return true;
	}
	return false;
}
