/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/mb2_relay.h"

#include "boot/mb2_writer.h"
#include "lib/string.h"

static void copy_tags(struct mb2_writer *w, const u8 *info)
{
	size_t at = TAG_ALIGN;

	for (;;) {
		const struct tag *tag = (const void *)(info + at);

		if (tag->type == TAG_END)
			return;
		if (tag->type != TAG_EFI_BS && tag->type != TAG_EFI64_IMAGE)
			mb2_put_copy(w, tag);
		at += ALIGN_UP((size_t)tag->size, (size_t)TAG_ALIGN);
	}
}

size_t mb2_relay(const void *info, const struct memmap *map, const struct efi_map_view *efi,
		 void *out, size_t capacity)
{
	const u32 format[2] = {efi->stride, efi->version};
	struct mb2_writer w = {.out = out, .capacity = capacity};
	u32 head[2] = {0, 0};

	mb2_put(&w, head, sizeof(head));
	copy_tags(&w, info);
	mb2_put_map(&w, map);
	mb2_put_tag(&w, TAG_EFI_MMAP, sizeof(format) + efi->size);
	mb2_put(&w, format, sizeof(format));
	mb2_put(&w, efi->descriptors, efi->size);
	mb2_put_tag(&w, TAG_END, 0);
	head[0] = (u32)w.used;
	if (capacity >= sizeof(head))
		memcpy(out, head, sizeof(head));
	return w.used;
}
