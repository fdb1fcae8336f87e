/* SPDX-License-Identifier: BSD-2-Clause */
#include "mm/memmap.h"

#include "lib/string.h"

/* Ends are exclusive, so the very last byte of the space is given up to keep them representable. */
static paddr_t end_of(paddr_t start, u64 size)
{
	return size > UINT64_MAX - start ? UINT64_MAX : start + size;
}

static paddr_t entry_end(const struct memmap_entry *e)
{
	return end_of(e->start, e->size);
}

/* How much a type restricts the use of memory. */
static const u8 restriction[] = {
	[MEMMAP_USABLE] = 0, [MEMMAP_ACPI_RECLAIM] = 1, [MEMMAP_ACPI_NVS] = 2,
	[MEMMAP_BAD] = 3,    [MEMMAP_RESERVED] = 4,
};

/* Index of the first entry that ends above pa. */
static u32 first_above(const struct memmap *map, paddr_t pa)
{
	u32 low = 0, high = map->count;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (entry_end(&map->e[middle]) > pa)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Makes [start, end) of this type whatever it was. False: the table is full. */
static bool overwrite(struct memmap *map, paddr_t start, paddr_t end, u32 type)
{
	struct memmap_entry *e = map->e;
	struct memmap_entry piece[3];
	u32 n = 0;
	u32 first = first_above(map, start);
	u32 last;

	if (first > 0 && entry_end(&e[first - 1]) == start && e[first - 1].type == type)
		start = e[--first].start;
	for (last = first; last < map->count && e[last].start < end; last++)
		;
	if (last < map->count && e[last].start == end && e[last].type == type)
		end = entry_end(&e[last++]);

	if (first < last && e[first].start < start) {
		piece[n++] = (struct memmap_entry){
			.start = e[first].start,
			.size = start - e[first].start,
			.type = e[first].type,
		};
	}
	piece[n++] = (struct memmap_entry){.start = start, .size = end - start, .type = type};
	if (first < last && entry_end(&e[last - 1]) > end) {
		piece[n++] = (struct memmap_entry){
			.start = end,
			.size = entry_end(&e[last - 1]) - end,
			.type = e[last - 1].type,
		};
	}

	if (map->count - (last - first) + n > MEMMAP_MAX)
		return false;
	memmove(&e[first + n], &e[last], (map->count - last) * sizeof(e[0]));
	memcpy(&e[first], piece, n * sizeof(e[0]));
	map->count = map->count - (last - first) + n;
	return true;
}

bool memmap_add(struct memmap *map, paddr_t start, u64 size, u32 type)
{
	paddr_t end = end_of(start, size);

	if (type < MEMMAP_USABLE || type > MEMMAP_BAD)
		type = MEMMAP_RESERVED;
	while (start < end) {
		paddr_t stop = end, resume = end;

		/* The part before the next entry that the new range must yield to. */
		for (u32 i = first_above(map, start); i < map->count; i++) {
			const struct memmap_entry *e = &map->e[i];

			if (e->start >= end)
				break;
			if (restriction[e->type] >= restriction[type]) {
				stop = e->start;
				resume = entry_end(e);
				break;
			}
		}
		if (start < stop && !overwrite(map, start, stop, type))
			return false;
		start = resume;
	}
	return true;
}

bool memmap_reserve(struct memmap *map, paddr_t start, u64 size)
{
	return memmap_add(map, start, size, MEMMAP_RESERVED);
}

/* The first range of `avoid` that shares a byte with [start, end); NULL when there is none. */
static const struct range *conflict(const struct range *avoid, size_t n, paddr_t start, paddr_t end)
{
	for (size_t i = 0; i < n; i++) {
		if (avoid[i].size > 0 && avoid[i].start < end &&
		    start < end_of(avoid[i].start, avoid[i].size))
			return &avoid[i];
	}
	return NULL;
}

bool memmap_find_top(const struct memmap *map, u64 size, u64 align, paddr_t limit,
		     const struct range *avoid, size_t n_avoid, paddr_t *out)
{
	if (size == 0 || !is_power_of_two(align))
		return false;
	for (u32 i = map->count; i-- > 0;) {
		const struct memmap_entry *e = &map->e[i];
		paddr_t high = entry_end(e) < limit ? entry_end(e) : limit;

		if (e->type != MEMMAP_USABLE)
			continue;
		while (high >= e->start && high - e->start >= size) {
			paddr_t at = ALIGN_DOWN(high - size, align);
			const struct range *hit;

			if (at < e->start)
				break;
			hit = conflict(avoid, n_avoid, at, at + size);
			if (!hit) {
				*out = at;
				return true;
			}
			high = hit->start;
		}
	}
	return false;
}

bool memmap_find_bottom(const struct memmap *map, u64 size, u64 align, paddr_t min,
			const struct range *avoid, size_t n_avoid, paddr_t *out)
{
	if (size == 0 || !is_power_of_two(align))
		return false;
	for (u32 i = 0; i < map->count; i++) {
		const struct memmap_entry *e = &map->e[i];
		paddr_t low = e->start > min ? e->start : min;

		if (e->type != MEMMAP_USABLE)
			continue;
		while (low < entry_end(e)) {
			paddr_t at = ALIGN_UP(low, align);
			const struct range *hit;

			/* Below low means that rounding up wrapped. */
			if (at < low || at >= entry_end(e) || entry_end(e) - at < size)
				break;
			hit = conflict(avoid, n_avoid, at, at + size);
			if (!hit) {
				*out = at;
				return true;
			}
			low = end_of(hit->start, hit->size);
		}
	}
	return false;
}

bool memmap_is_usable(const struct memmap *map, paddr_t start, u64 size)
{
	u32 i = first_above(map, start);
	const struct memmap_entry *e = &map->e[i];

	/* Neighbours of one type are joined, so a usable range lies in a single entry. */
	return size > 0 && i < map->count && e->type == MEMMAP_USABLE && e->start <= start &&
	       size <= entry_end(e) - start;
}

u64 memmap_usable_bytes(const struct memmap *map)
{
	u64 sum = 0;

	for (u32 i = 0; i < map->count; i++) {
		if (map->e[i].type == MEMMAP_USABLE)
			sum += map->e[i].size;
	}
	return sum;
}

paddr_t memmap_top(const struct memmap *map)
{
	for (u32 i = map->count; i-- > 0;) {
		if (map->e[i].type == MEMMAP_USABLE)
			return entry_end(&map->e[i]);
	}
	return 0;
}
