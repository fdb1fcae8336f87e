/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/pvh.h"

#include "lib/string.h"

enum {
	START_MAGIC = 0x336ec578,
	START_VERSION = 1, /* the first with a memory map */
	NOTE_PHYS32_ENTRY = 18,
};

struct note {
	u32 namesz;
	u32 descsz;
	u32 type;
};

/* System V ABI "Note Section": header, name and descriptor, the latter two padded. */
static bool find_entry(const u8 *notes, u64 size, u32 align, u64 *entry)
{
	static const char owner[] = "Xen";
	u64 at = 0;

	while (size - at >= sizeof(struct note)) {
		struct note n;
		memcpy(&n, notes + at, sizeof(n));
		u64 name = at + sizeof(n);
		u64 desc = ALIGN_UP(name + n.namesz, align);
		u64 end = desc + n.descsz;
		if (end > size)
			return false;
		if (n.type == NOTE_PHYS32_ENTRY && n.namesz == sizeof(owner) &&
		    memcmp(notes + name, owner, sizeof(owner)) == 0 &&
		    (n.descsz == 4 || n.descsz == 8)) {
			*entry = 0;
			memcpy(entry, notes + desc, n.descsz);
			return true;
		}
		at = ALIGN_UP(end, align);
		if (at > size)
			return false;
	}
	return false;
}

const char *pvh_parse(const void *image, size_t size, struct elf_kernel *out)
{
	const u8 *bytes = image;
	const char *error;

	error = elf_parse(image, size, &out->elf);
	if (error)
		return error;

	const struct elf_image *elf = &out->elf;
	for (u32 i = 0; i < elf->note_count; i++) {
		const struct elf_notes *notes = &elf->notes[i];
		u64 entry;
		if (!find_entry(bytes + notes->offset, notes->size, notes->align, &entry))
			continue;
		if (entry > UINT32_MAX || !elf_contains(elf, entry))
			return "PVH entry is outside of the kernel";
		out->entry = (u32)entry;
		out->align_modules = false;
		return NULL;
	}
	return "ELF kernel without a PVH entry note";
}

size_t pvh_start_info_size(const struct pvh_handover *handover)
{
	return sizeof(struct hvm_start_info) +
	       (handover->initrd_size ? sizeof(struct hvm_modlist_entry) : 0) +
	       handover->map->count * sizeof(handover->map->e[0]);
}

void pvh_fill_start_info(struct hvm_start_info *info, paddr_t address,
			 const struct pvh_handover *handover)
{
	const struct memmap *map = handover->map;
	u8 *at = (u8 *)(info + 1);

	*info = (struct hvm_start_info){
		.magic = START_MAGIC,
		.version = START_VERSION,
		.cmdline_paddr = handover->cmdline,
		.rsdp_paddr = handover->rsdp,
		.memmap_entries = map->count,
	};
	if (handover->initrd_size) {
		const struct hvm_modlist_entry module = {.paddr = handover->initrd,
							 .size = handover->initrd_size};
		info->nr_modules = 1;
		info->modlist_paddr = address + (u64)(at - (u8 *)info);
		memcpy(at, &module, sizeof(module));
		at += sizeof(module);
	}
	info->memmap_paddr = address + (u64)(at - (u8 *)info);
	memcpy(at, map->e, map->count * sizeof(map->e[0]));
}
