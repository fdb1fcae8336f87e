/* SPDX-License-Identifier: BSD-2-Clause */
/* Multiboot2 Specification, "Boot information format". */
#include "boot/mb2_relay.h"

#include "lib/string.h"

enum {
	TAG_END = 0,
	TAG_MMAP = 6,
	TAG_EFI_MMAP = 17,
	TAG_EFI_BOOT_SERVICES = 18,
	TAG_EFI64_IMAGE_HANDLE = 20,
	TAG_ALIGN = 8,
};

struct tag {
	u32 type, size;
};

struct mmap_entry {
	u64 base, length;
	u32 type, reserved;
};

struct writer {
	u8 *out;
	size_t capacity;
	size_t used;
};

static void put(struct writer *w, const void *data, size_t size)
{
	if (w->used + size <= w->capacity)
		memcpy(w->out + w->used, data, size);
	w->used += size;
}

static void align(struct writer *w)
{
	static const u8 zeroes[TAG_ALIGN];

	put(w, zeroes, ALIGN_UP(w->used, (size_t)TAG_ALIGN) - w->used);
}

static void copy_tags(struct writer *w, const u8 *info)
{
	size_t at = TAG_ALIGN;

	for (;;) {
		const struct tag *tag = (const void *)(info + at);

		if (tag->type == TAG_END)
			return;
		if (tag->type != TAG_EFI_BOOT_SERVICES && tag->type != TAG_EFI64_IMAGE_HANDLE) {
			put(w, tag, tag->size);
			align(w);
		}
		at += ALIGN_UP((size_t)tag->size, (size_t)TAG_ALIGN);
	}
}

static void put_map(struct writer *w, const struct memmap *map)
{
	const u32 header[] = {TAG_MMAP, (u32)(16 + map->count * sizeof(struct mmap_entry)),
			      sizeof(struct mmap_entry), 0};

	put(w, header, sizeof(header));
	for (u32 i = 0; i < map->count; i++) {
		const struct mmap_entry entry = {map->e[i].start, map->e[i].size, map->e[i].type,
						 0};

		put(w, &entry, sizeof(entry));
	}
	align(w);
}

size_t mb2_relay(const void *info, const struct memmap *map, const struct efi_map_view *efi,
		 void *out, size_t capacity)
{
	const u32 efi_header[] = {TAG_EFI_MMAP, 16 + efi->size, efi->stride, efi->version};
	const struct tag end = {TAG_END, sizeof(end)};
	struct writer w = {.out = out, .capacity = capacity};
	u32 head[2] = {0, 0};

	put(&w, head, sizeof(head));
	copy_tags(&w, info);
	put_map(&w, map);
	put(&w, efi_header, sizeof(efi_header));
	put(&w, efi->descriptors, efi->size);
	align(&w);
	put(&w, &end, sizeof(end));
	head[0] = (u32)w.used;
	if (capacity >= sizeof(head))
		memcpy(out, head, sizeof(head));
	return w.used;
}
