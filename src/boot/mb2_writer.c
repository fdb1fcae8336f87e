/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/mb2_writer.h"

#include "lib/string.h"

void mb2_put(struct mb2_writer *w, const void *data, size_t size)
{
	if (w->used + size <= w->capacity)
		memcpy(w->out + w->used, data, size);
	w->used += size;
}

static void align(struct mb2_writer *w)
{
	static const u8 zeroes[TAG_ALIGN];

	mb2_put(w, zeroes, ALIGN_UP(w->used, (size_t)TAG_ALIGN) - w->used);
}

void mb2_put_tag(struct mb2_writer *w, enum mb2_tag_type type, size_t payload)
{
	const struct tag tag = {.type = type, .size = (u32)(sizeof(tag) + payload)};

	align(w);
	mb2_put(w, &tag, sizeof(tag));
}

void mb2_put_copy(struct mb2_writer *w, const struct tag *tag)
{
	align(w);
	mb2_put(w, tag, tag->size);
}

void mb2_put_map(struct mb2_writer *w, const struct memmap *map)
{
	const u32 format[2] = {sizeof(map->e[0]), 0};
	const size_t size = map->count * sizeof(map->e[0]);

	mb2_put_tag(w, TAG_MMAP, sizeof(format) + size);
	mb2_put(w, format, sizeof(format));
	mb2_put(w, map->e, size);
}
