/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/mb2_kernel.h"

#include "boot/mb2_writer.h"
#include "lib/string.h"

const char mb2_kernel_no_header[] = "no multiboot2 header";

/* Multiboot2 Specification, "OS image format". */
enum {
	SEARCH_SIZE = 32768,
	ALIGNMENT = 8,
	ARCHITECTURE_I386 = 0,
	TAG_OPTIONAL = 1,
};

static const u32 HEADER_MAGIC = 0xe85250d6;

enum header_tag_type {
	HEADER_END = 0,
	HEADER_INFORMATION_REQUEST = 1,
	HEADER_ENTRY = 3,
	HEADER_CONSOLE = 4,
	HEADER_MODULE_ALIGN = 6,
	HEADER_EFI32_ENTRY = 8,
	HEADER_EFI64_ENTRY = 9,
	HEADER_RELOCATABLE = 10,
};

struct header {
	u32 magic, architecture, length, checksum;
};

struct header_tag {
	u16 type, flags;
	u32 size;
};

static u32 load32(const u8 *at)
{
	u32 value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static bool find_header(const u8 *image, size_t size, struct header *h, size_t *offset)
{
	size_t end = size < SEARCH_SIZE ? size : SEARCH_SIZE;

	for (size_t at = 0; at + sizeof(*h) <= end; at += ALIGNMENT) {
		memcpy(h, image + at, sizeof(*h));
		if (h->magic == HEADER_MAGIC &&
		    h->magic + h->architecture + h->length + h->checksum == 0) {
			*offset = at;
			/* "contained completely within the first 32768 bytes" */
			return h->length <= end - at;
		}
	}
	return false;
}

static bool offered(u32 type)
{
	static const u32 types = 1u << TAG_CMDLINE | 1u << TAG_LOADER | 1u << TAG_MODULE |
				 1u << TAG_BASIC_MEMORY | 1u << TAG_MMAP | 1u << TAG_RSDP_OLD |
				 1u << TAG_RSDP_NEW;

	return type < 32 && (types & 1u << type);
}

struct wishes {
	bool has_entry, align_modules;
	u32 entry;
};

static const char *read_tag(const u8 *at, const struct header_tag *tag, struct wishes *wishes)
{
	const bool optional = tag->flags & TAG_OPTIONAL;

	switch (tag->type) {
	case HEADER_INFORMATION_REQUEST:
		for (u32 i = sizeof(*tag); i + 4 <= tag->size; i += 4) {
			if (!optional && !offered(load32(at + i)))
				return "multiboot2 header requires what Umbra does not offer";
		}
		return NULL;
	case HEADER_ENTRY:
		if (tag->size < sizeof(*tag) + 4)
			return "invalid multiboot2 header";
		wishes->has_entry = true;
		wishes->entry = load32(at + sizeof(*tag));
		return NULL;
	case HEADER_MODULE_ALIGN:
		wishes->align_modules = true;
		return NULL;
	case HEADER_CONSOLE:     /* there is a text console, or what GRUB left */
	case HEADER_EFI32_ENTRY: /* count only for a loader that keeps boot services */
	case HEADER_EFI64_ENTRY:
	case HEADER_RELOCATABLE: /* permits what need not be done */
		return NULL;
	default:
		/* An address tag without ELF, a frame buffer, boot services, or not yet known. */
		return optional ? NULL : "multiboot2 header requires what Umbra does not offer";
	}
}

static const char *read_tags(const u8 *header, u32 length, struct wishes *wishes)
{
	u32 at = sizeof(struct header);

	while (length - at >= sizeof(struct header_tag)) {
		struct header_tag tag;
		memcpy(&tag, header + at, sizeof(tag));
		if (tag.size < sizeof(tag) || tag.size > length - at)
			return "invalid multiboot2 header";
		if (tag.type == HEADER_END)
			return NULL;
		const char *error = read_tag(header + at, &tag, wishes);
		if (error)
			return error;
		u32 step = ALIGN_UP(tag.size, (u32)ALIGNMENT);
		if (step > length - at)
			return "invalid multiboot2 header";
		at += step;
	}
	return "invalid multiboot2 header";
}

/* e_entry is virtual; GRUB, too, takes it through the segment that contains it. */
static u64 physical_entry(const struct elf_kernel *kernel)
{
	const struct elf_image *elf = &kernel->elf;

	for (u32 i = 0; i < elf->count; i++) {
		const struct elf_segment *s = &elf->segment[i];
		if (elf->entry - s->vaddr < s->memsz)
			return elf->entry - s->vaddr + s->paddr;
	}
	return elf->entry;
}

const char *mb2_kernel_parse(const void *image, size_t size, struct elf_kernel *out)
{
	const u8 *bytes = image;
	struct header h;
	struct wishes wishes = {0};
	size_t offset;
	const char *error;

	if (!find_header(bytes, size, &h, &offset))
		return mb2_kernel_no_header;
	if (h.architecture != ARCHITECTURE_I386 || h.length < sizeof(h))
		return "invalid multiboot2 header";
	error = read_tags(bytes + offset, h.length, &wishes);
	if (error)
		return error;

	error = elf_parse(image, size, &out->elf);
	if (error)
		return error;
	u64 entry = wishes.has_entry ? wishes.entry : physical_entry(out);
	if (entry > UINT32_MAX || !elf_contains(&out->elf, entry))
		return "multiboot2 entry is outside of the kernel";
	out->entry = (u32)entry;
	out->align_modules = wishes.align_modules;
	return NULL;
}

static void put_text(struct mb2_writer *w, enum mb2_tag_type type, const char *text)
{
	mb2_put_tag(w, type, strlen(text) + 1);
	mb2_put(w, text, strlen(text) + 1);
}

static void put_module(struct mb2_writer *w, const struct mb2_module *module, paddr_t start)
{
	const u32 bounds[2] = {(u32)start, (u32)(start + module->memory.size)};

	mb2_put_tag(w, TAG_MODULE, sizeof(bounds) + strlen(module->string) + 1);
	mb2_put(w, bounds, sizeof(bounds));
	mb2_put(w, module->string, strlen(module->string) + 1);
}

/* KiB from 0 and from 1 MiB on to the first hole. */
static void put_basic_memory(struct mb2_writer *w, const struct memmap *map)
{
	u64 lower = 0, upper = 0;

	for (u32 i = 0; i < map->count; i++) {
		const struct memmap_entry *e = &map->e[i];
		if (e->type != MEMMAP_USABLE)
			continue;
		if (e->start == 0)
			lower = e->size;
		if (e->start <= MIB && MIB - e->start < e->size)
			upper = e->size - (MIB - e->start);
	}
	lower = lower < 640 * KIB ? lower : 640 * KIB;
	upper = upper < 4 * GIB - MIB ? upper : 4 * GIB - MIB;
	const u32 kib[2] = {(u32)(lower / KIB), (u32)(upper / KIB)};
	mb2_put_tag(w, TAG_BASIC_MEMORY, sizeof(kib));
	mb2_put(w, kib, sizeof(kib));
}

static void put_framebuffer(struct mb2_writer *w, const struct framebuffer *fb)
{
	const struct mb2_framebuffer tag = {
		.addr = fb->addr,
		.pitch = fb->pitch,
		.width = fb->width,
		.height = fb->height,
		.bpp = fb->bpp,
		.type = fb->type,
	};
	const struct mb2_framebuffer_rgb rgb = {
		fb->red_pos,    fb->red_size, fb->green_pos,
		fb->green_size, fb->blue_pos, fb->blue_size,
	};
	const size_t head = offsetof(struct mb2_framebuffer, addr);
	const size_t colours = fb->type == FRAMEBUFFER_RGB ? sizeof(rgb) : 0;

	mb2_put_tag(w, TAG_FRAMEBUFFER, sizeof(tag) - head + colours);
	mb2_put(w, &tag.addr, sizeof(tag) - head);
	mb2_put(w, &rgb, colours);
}

static void put_all(struct mb2_writer *w, const struct mb2_info *info, const paddr_t *module,
		    u32 total)
{
	const u32 start[2] = {total, 0};

	mb2_put(w, start, sizeof(start));
	put_text(w, TAG_CMDLINE, info->module[0].string);
	/* Kernels go by it: only GRUB 2 leaves the file's name out of the command line. */
	if (info->loader[0])
		put_text(w, TAG_LOADER, info->loader);
	for (u32 i = 1; i < info->module_count; i++)
		put_module(w, &info->module[i], module[i - 1]);
	put_basic_memory(w, &info->memmap);
	mb2_put_map(w, &info->memmap);
	/* Without its palette nobody can draw on an indexed one. */
	if (info->has_fb && info->fb.type != FRAMEBUFFER_INDEXED)
		put_framebuffer(w, &info->fb);
	if (info->rsdp_len) {
		mb2_put_tag(w, info->rsdp_len == sizeof(info->rsdp) ? TAG_RSDP_NEW : TAG_RSDP_OLD,
			    info->rsdp_len);
		mb2_put(w, info->rsdp, info->rsdp_len);
	}
	mb2_put_tag(w, TAG_END, 0);
}

size_t mb2_kernel_fill_info(void *buffer, size_t size, const struct mb2_info *info,
			    const paddr_t *module)
{
	struct mb2_writer measure = {0};
	struct mb2_writer writer = {.out = buffer, .capacity = size};

	put_all(&measure, info, module, 0);
	if (measure.used <= size)
		put_all(&writer, info, module, (u32)measure.used);
	return measure.used;
}
