/* SPDX-License-Identifier: BSD-2-Clause */
/* What the loader said, copied out of its structures. */
#pragma once

#include <screen/framebuffer.h>

enum {
	MEMORY_MAP_ENTRIES = 64,
	CMDLINE_SIZE = 1024,
	LOADER_SIZE = 64,
	/* ACPI specification, "System Address Map Interfaces". */
	E820_RAM = 1,
};

struct memory_range {
	u64 base, length;
	u32 type;
};

struct boot_info {
	u32 kind; /* BOOT_KIND_* */
	struct memory_range map[MEMORY_MAP_ENTRIES];
	unsigned map_entries;
	paddr_t rsdp; /* 0: not told */
	/* Where the loader's own structures and modules lie; type unused. */
	struct memory_range taken[MEMORY_MAP_ENTRIES];
	unsigned taken_entries;
	bool has_fb, efi; /* told by multiboot2 alone */
	struct framebuffer fb;
	char cmdline[CMDLINE_SIZE];
	char loader[LOADER_SIZE]; /* its name, by multiboot2 */
};

/* Reads the structure at info; kind says which protocol. Panics if it is not one. */
void boot_info_read(struct boot_info *b, u32 kind, paddr_t info);

/* True if all of [base, base + length) is usable RAM by the map. */
bool boot_info_is_ram(const struct boot_info *b, u64 base, u64 length);

/* Is any of it where the loader, or boot_info_take(), has put something? */
bool boot_info_is_taken(const struct boot_info *b, u64 base, u64 length);

/* Memory that nothing shall be put into. */
void boot_info_take(struct boot_info *b, u64 base, u64 length);

/* Filled by main. */
extern struct boot_info boot_info;
