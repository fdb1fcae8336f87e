/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot_info.h"

#include "layout.h"
#include "power.h"
#include "string.h"

/* Multiboot2 specification, "Boot information format". */
struct mb2_tag {
	u32 type, size;
};

enum mb2_type {
	MB2_END = 0,
	MB2_CMDLINE = 1,
	MB2_LOADER = 2,
	MB2_MODULE = 3,
	MB2_MMAP = 6,
	MB2_FRAMEBUFFER = 8,
	MB2_EFI32 = 11,
	MB2_EFI64 = 12,
	MB2_ACPI_OLD = 14,
	MB2_ACPI_NEW = 15,
};

struct mb2_mmap {
	struct mb2_tag tag;
	u32 entry_size, entry_version;
	u8 entries[];
};

struct mb2_mmap_entry {
	u64 base, length;
	u32 type, reserved;
};

/* Xen public/arch-x86/hvm/start_info.h, as the PVH boot protocol documents it. */
struct hvm_start_info {
	u32 magic, version, flags, nr_modules;
	u64 modlist, cmdline, rsdp;
	u64 memmap;
	u32 memmap_entries, reserved;
};
_Static_assert(sizeof(struct hvm_start_info) == 56, "PVH start info, version 1");

struct hvm_module {
	u64 base, size, cmdline, reserved;
};

struct hvm_memmap_entry {
	u64 base, size;
	u32 type, reserved;
};

enum {
	HVM_MAGIC = 0x336ec578,
	PAGE_ZERO_RAM = 0xa0000,
};

static const void *at(u64 address)
{
	return (const void *)address;
}

static void add_range(struct boot_info *b, u64 base, u64 length, u32 type)
{
	if (b->map_entries < MEMORY_MAP_ENTRIES)
		b->map[b->map_entries++] = (struct memory_range){base, length, type};
}

void boot_info_take(struct boot_info *b, u64 base, u64 length)
{
	if (b->taken_entries < MEMORY_MAP_ENTRIES)
		b->taken[b->taken_entries++] = (struct memory_range){base, length, 0};
}

static void copy_text(char *to, size_t size, const char *from)
{
	size_t n = strlen(from);

	if (n >= size)
		n = size - 1;
	memcpy(to, from, n);
	to[n] = '\0';
}

static void copy_cmdline(struct boot_info *b, const char *from)
{
	copy_text(b->cmdline, sizeof(b->cmdline), from);
}

static void read_mb2_mmap(struct boot_info *b, const struct mb2_mmap *m)
{
	const u8 *end = (const u8 *)m + m->tag.size;

	for (const u8 *p = m->entries; p + m->entry_size <= end; p += m->entry_size) {
		struct mb2_mmap_entry e;

		memcpy(&e, p, sizeof(e));
		add_range(b, e.base, e.length, e.type);
	}
}

static void read_framebuffer(struct boot_info *b, const struct mb2_framebuffer *f)
{
	b->has_fb = true;
	b->fb = (struct framebuffer){
		.addr = f->addr,
		.pitch = f->pitch,
		.width = f->width,
		.height = f->height,
		.bpp = f->bpp,
		.type = f->type,
	};
	if (f->type == FRAMEBUFFER_RGB) {
		struct mb2_framebuffer_rgb rgb;

		memcpy(&rgb, f + 1, sizeof(rgb));
		b->fb.red_pos = rgb.red_pos;
		b->fb.red_size = rgb.red_size;
		b->fb.green_pos = rgb.green_pos;
		b->fb.green_size = rgb.green_size;
		b->fb.blue_pos = rgb.blue_pos;
		b->fb.blue_size = rgb.blue_size;
	}
}

static void read_multiboot2(struct boot_info *b, paddr_t info)
{
	u32 total = *(const u32 *)at(info);

	boot_info_take(b, info, total);
	for (u64 p = info + 8; p < info + total;) {
		const struct mb2_tag *tag = at(p);

		switch ((enum mb2_type)tag->type) {
		case MB2_END:
			return;
		case MB2_CMDLINE:
			copy_cmdline(b, at(p + sizeof(*tag)));
			break;
		case MB2_LOADER:
			copy_text(b->loader, sizeof(b->loader), at(p + sizeof(*tag)));
			break;
		case MB2_MODULE:
			boot_info_take(b, ((const u32 *)at(p))[2],
				       ((const u32 *)at(p))[3] - ((const u32 *)at(p))[2]);
			break;
		case MB2_MMAP:
			read_mb2_mmap(b, at(p));
			break;
		case MB2_FRAMEBUFFER:
			read_framebuffer(b, at(p));
			break;
		case MB2_EFI32:
		case MB2_EFI64:
			b->efi = true;
			break;
		case MB2_ACPI_OLD:
		case MB2_ACPI_NEW:
			/* The tag holds a copy of the RSDP. */
			b->rsdp = p + sizeof(*tag);
			break;
		}
		p += ALIGN_UP((u64)tag->size, 8);
	}
}

static void read_pvh(struct boot_info *b, paddr_t info)
{
	const struct hvm_start_info *s = at(info);
	const struct hvm_module *modules;

	if (s->magic != HVM_MAGIC)
		panic("PVH start info at %lx has magic %x", info, s->magic);
	boot_info_take(b, info, sizeof(*s));
	if (s->cmdline) {
		copy_cmdline(b, at(s->cmdline));
		boot_info_take(b, s->cmdline, CMDLINE_SIZE);
	}
	b->rsdp = s->rsdp;
	modules = at(s->modlist);
	for (u32 i = 0; i < s->nr_modules; i++)
		boot_info_take(b, modules[i].base, modules[i].size);
	if (s->version >= 1) {
		const struct hvm_memmap_entry *e = at(s->memmap);

		for (u32 i = 0; i < s->memmap_entries; i++)
			add_range(b, e[i].base, e[i].size, e[i].type);
		boot_info_take(b, s->memmap, s->memmap_entries * sizeof(*e));
	}
}

void boot_info_read(struct boot_info *b, u32 kind, paddr_t info)
{
	b->kind = kind;
	if (kind == BOOT_KIND_MULTIBOOT2)
		read_multiboot2(b, info);
	else
		read_pvh(b, info);
	if (!b->map_entries) {
		/* Not told: what any machine that got this far has. */
		add_range(b, 0, PAGE_ZERO_RAM, E820_RAM);
		add_range(b, MIB, 63 * MIB, E820_RAM);
	}
}

bool boot_info_is_ram(const struct boot_info *b, u64 base, u64 length)
{
	for (unsigned i = 0; i < b->map_entries; i++) {
		const struct memory_range *r = &b->map[i];

		if (r->type == E820_RAM && base >= r->base && base + length <= r->base + r->length)
			return true;
	}
	return false;
}

bool boot_info_is_taken(const struct boot_info *b, u64 base, u64 length)
{
	for (unsigned i = 0; i < b->taken_entries; i++) {
		const struct memory_range *r = &b->taken[i];

		if (base < r->base + r->length && base + length > r->base)
			return true;
	}
	return false;
}
