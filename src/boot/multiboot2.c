/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/multiboot2.h"

#include "boot/mb2_format.h"
#include "lib/string.h"

enum { RSDP_OLD_LEN = 20, RSDP_NEW_LEN = 36 };

/* UEFI Specification, EFI_MEMORY_DESCRIPTOR; firmware may append to it. */
enum { EFI_DESC_MIN = 40 };

struct info_header {
	u32 total_size;
	u32 reserved;
};

struct tag_module {
	struct tag tag;
	u32 start;
	u32 end;
	char string[];
};
_Static_assert(sizeof(struct tag_module) == 16, "module tag");

struct tag_mmap {
	struct tag tag;
	u32 entry_size;
	u32 entry_version;
};
_Static_assert(sizeof(struct tag_mmap) == 16, "memory map tag");

struct tag_efi_mmap {
	struct tag tag;
	u32 desc_size;
	u32 desc_version;
};
_Static_assert(sizeof(struct tag_efi_mmap) == 16, "EFI memory map tag");

static bool is_terminated(const char *s, size_t size)
{
	return strnlen(s, size) < size;
}

static const char *parse_cmdline(const struct tag *tag, struct mb2_info *out)
{
	const char *s = (const char *)(tag + 1);

	if (!is_terminated(s, tag->size - sizeof(*tag)))
		return "the command line is not terminated";
	out->cmdline_truncated =
		str_copy(out->cmdline, sizeof(out->cmdline), s) >= sizeof(out->cmdline);
	return NULL;
}

static const char *parse_loader(const struct tag *tag, struct mb2_info *out)
{
	const char *s = (const char *)(tag + 1);

	if (!is_terminated(s, tag->size - sizeof(*tag)))
		return "the boot loader's name is not terminated";
	str_copy(out->loader, sizeof(out->loader), s);
	return NULL;
}

static const char *parse_module(const struct tag *tag, struct mb2_info *out)
{
	const struct tag_module *m = (const void *)tag;

	if (!is_terminated(m->string, tag->size - sizeof(*m)))
		return "a module's string is not terminated";
	if (m->end < m->start)
		return "a module ends before it starts";
	if (out->module_count == MB2_MAX_MODULES)
		return "there are more than 16 modules";
	out->module[out->module_count++] = (struct mb2_module){
		.memory = {m->start, m->end - m->start},
		.string = m->string,
		.length = (u32)strlen(m->string),
	};
	return NULL;
}

static const char *parse_mmap(const struct tag *tag, struct mb2_info *out)
{
	const struct tag_mmap *m = (const void *)tag;
	const u8 *entries = (const u8 *)(m + 1);
	u32 bytes = tag->size - (u32)sizeof(*m);

	if (m->entry_size < sizeof(struct memmap_entry) || m->entry_size % TAG_ALIGN != 0)
		return "the memory map's entry size is impossible";
	if (bytes % m->entry_size != 0)
		return "the memory map ends inside an entry";
	for (u32 at = 0; at < bytes; at += m->entry_size) {
		const struct memmap_entry *e = (const void *)(entries + at);

		if (!memmap_add(&out->memmap, e->start, e->size, e->type))
			return "the memory map has too many ranges";
	}
	return NULL;
}

static bool color_fits(u8 pos, u8 size, u8 bpp)
{
	return size > 0 && pos + size <= bpp;
}

static const char *parse_framebuffer(const struct tag *tag, struct mb2_info *out)
{
	const struct mb2_framebuffer *f = (const void *)tag;
	struct framebuffer fb = {
		.addr = f->addr,
		.pitch = f->pitch,
		.width = f->width,
		.height = f->height,
		.bpp = f->bpp,
		.type = f->type,
	};

	if (fb.width == 0 || fb.height == 0)
		return "the framebuffer has no pixels";
	if (fb.bpp == 0 || fb.bpp > 32)
		return "the framebuffer's colour depth is impossible";
	if (((u64)fb.width * fb.bpp + 7) / 8 > fb.pitch)
		return "the framebuffer's pitch is shorter than its lines";
	if ((u64)fb.pitch * fb.height > UINT64_MAX - fb.addr)
		return "the framebuffer runs past the end of the address space";
	if (fb.type == FRAMEBUFFER_RGB) {
		const struct mb2_framebuffer_rgb *rgb = (const void *)(f + 1);

		if (tag->size < sizeof(*f) + sizeof(*rgb))
			return "a tag is too small for its type";
		if (!color_fits(rgb->red_pos, rgb->red_size, fb.bpp) ||
		    !color_fits(rgb->green_pos, rgb->green_size, fb.bpp) ||
		    !color_fits(rgb->blue_pos, rgb->blue_size, fb.bpp))
			return "the framebuffer's colours do not fit its pixels";
		fb.red_pos = rgb->red_pos;
		fb.red_size = rgb->red_size;
		fb.green_pos = rgb->green_pos;
		fb.green_size = rgb->green_size;
		fb.blue_pos = rgb->blue_pos;
		fb.blue_size = rgb->blue_size;
	}
	out->fb = fb;
	out->has_fb = true;
	return NULL;
}

/* A pointer to the system table, of 32 or 64 bits, or the image's handle, of 64. */
static const char *parse_efi(const struct tag *tag, struct mb2_info *out)
{
	u64 value = 0;

	memcpy(&value, tag + 1, tag->type == TAG_EFI32 ? sizeof(u32) : sizeof(u64));
	if (tag->type == TAG_EFI64_IMAGE) {
		out->efi_image = value;
		return NULL;
	}
	out->efi_system_table = value;
	out->efi_64bit = tag->type == TAG_EFI64;
	return NULL;
}

static const char *parse_rsdp_old(const struct tag *tag, struct mb2_info *out)
{
	/* A new RSDP contains the old one, and the XSDT besides. */
	if (out->rsdp_len < RSDP_NEW_LEN) {
		memcpy(out->rsdp, tag + 1, RSDP_OLD_LEN);
		out->rsdp_len = RSDP_OLD_LEN;
	}
	return NULL;
}

static const char *parse_rsdp_new(const struct tag *tag, struct mb2_info *out)
{
	memcpy(out->rsdp, tag + 1, RSDP_NEW_LEN);
	out->rsdp_len = RSDP_NEW_LEN;
	return NULL;
}

static const char *parse_efi_mmap(const struct tag *tag, struct mb2_info *out)
{
	const struct tag_efi_mmap *m = (const void *)tag;
	u32 bytes = tag->size - (u32)sizeof(*m);

	if (m->desc_size < EFI_DESC_MIN || m->desc_size % TAG_ALIGN != 0)
		return "the EFI memory map's descriptor size is impossible";
	if (bytes % m->desc_size != 0)
		return "the EFI memory map ends inside a descriptor";
	out->efi_map = (struct efi_map_view){m + 1, bytes, m->desc_size, m->desc_version};
	return NULL;
}

static const char *parse_efi_bs(const struct tag *tag, struct mb2_info *out)
{
	(void)tag;
	out->boot_services_running = true;
	return NULL;
}

/* A handler sees only tags of at least min_size bytes. */
static const struct {
	u32 type;
	u32 min_size;
	const char *(*parse)(const struct tag *tag, struct mb2_info *out);
} handlers[] = {
	{TAG_CMDLINE, sizeof(struct tag), parse_cmdline},
	{TAG_LOADER, sizeof(struct tag), parse_loader},
	{TAG_MODULE, sizeof(struct tag_module), parse_module},
	{TAG_MMAP, sizeof(struct tag_mmap), parse_mmap},
	{TAG_FRAMEBUFFER, sizeof(struct mb2_framebuffer), parse_framebuffer},
	{TAG_EFI32, sizeof(struct tag) + sizeof(u32), parse_efi},
	{TAG_EFI64, sizeof(struct tag) + sizeof(u64), parse_efi},
	{TAG_RSDP_OLD, sizeof(struct tag) + RSDP_OLD_LEN, parse_rsdp_old},
	{TAG_RSDP_NEW, sizeof(struct tag) + RSDP_NEW_LEN, parse_rsdp_new},
	{TAG_EFI_MMAP, sizeof(struct tag_efi_mmap), parse_efi_mmap},
	{TAG_EFI_BS, sizeof(struct tag), parse_efi_bs},
	{TAG_EFI64_IMAGE, sizeof(struct tag) + sizeof(u64), parse_efi},
};

static const char *parse_tag(const struct tag *tag, struct mb2_info *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		if (handlers[i].type != tag->type)
			continue;
		if (tag->size < handlers[i].min_size)
			return "a tag is too small for its type";
		return handlers[i].parse(tag, out);
	}
	return NULL;
}

const char *mb2_parse(const void *mbi, size_t limit, struct mb2_info *out)
{
	const struct info_header *header = mbi;
	const u8 *base = mbi;
	u64 total;

	memset(out, 0, sizeof(*out));
	if ((uintptr_t)mbi % TAG_ALIGN != 0)
		return "boot information is not 8-byte aligned";
	if (limit < sizeof(*header))
		return "boot information is too short for its header";
	total = header->total_size;
	if (total < sizeof(*header) || total > limit)
		return "boot information's total size is impossible";

	for (u64 at = sizeof(*header); at < total;) {
		const struct tag *tag = (const void *)(base + at);
		const char *error;

		if (total - at < sizeof(*tag))
			return "boot information ends inside a tag's header";
		if (tag->size < sizeof(*tag))
			return "a tag is smaller than its own header";
		if (tag->size > total - at)
			return "a tag runs past the end of the boot information";
		if (tag->type == TAG_END) {
			if (tag->size != sizeof(*tag))
				return "the end tag has a wrong size";
			/* With boot services running the loader leaves it to whoever ends them. */
			return out->memmap.count || out->boot_services_running
				       ? NULL
				       : "the boot loader gave no memory map";
		}
		error = parse_tag(tag, out);
		if (error)
			return error;
		at += ALIGN_UP((u64)tag->size, TAG_ALIGN);
	}
	return "boot information has no end tag";
}
