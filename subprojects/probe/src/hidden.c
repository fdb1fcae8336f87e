/* SPDX-License-Identifier: BSD-2-Clause */
#include "hidden.h"

#include "boot_info.h"
#include "string.h"

enum { OPTION_SIZE = 64 };

static bool reads_ones(u64 page)
{
	return *(volatile u64 *)page == ~0ull;
}

static bool ends_ram(u64 address)
{
	for (unsigned i = 0; i < boot_info.map_entries; i++) {
		const struct memory_range *r = &boot_info.map[i];

		if (r->type == E820_RAM && r->base + r->length == address)
			return true;
	}
	return false;
}

static bool range_by_map(u64 *start, u64 *end)
{
	const u64 first = 1ull << 20, limit = 1ull << 32;

	for (unsigned i = 0; i < boot_info.map_entries; i++) {
		const struct memory_range *r = &boot_info.map[i];

		if (r->type == E820_RAM || r->base < first || r->base >= limit ||
		    r->base % PAGE_SIZE || !ends_ram(r->base) || !reads_ones(r->base))
			continue;
		*start = *end = r->base;
		while (*end + PAGE_SIZE <= r->base + r->length && *end < limit && reads_ones(*end))
			*end += PAGE_SIZE;
		return true;
	}
	return false;
}

bool hidden_range_given(u64 *start, u64 *end)
{
	char text[OPTION_SIZE];

	if (!cmdline_value("hidden", text, sizeof(text)))
		return false;
	if (memcmp(text, "map", 4) == 0)
		return range_by_map(start, end);
	return cmdline_range("hidden", start, end);
}

bool hidden_range(struct run *t, u64 *start, u64 *end)
{
	char text[OPTION_SIZE];

	if (!cmdline_value("hidden", text, sizeof(text))) {
		run_skip(t, "no hidden= on the command line");
		return false;
	}
	if (hidden_range_given(start, end))
		return true;
	run_fail(t, __LINE__, "hidden=%s is no range of pages", text);
	return false;
}
