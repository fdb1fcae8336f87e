/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/home.h"

#include "mm/ept01.h"
#include "mm/host_paging.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "mm/phys_width.h"
#include "platform/console.h"
#include "smp/panic.h"

/* entry.S */
void boot_switch_home(void *home, const void *image, size_t size, u64 cr3);

/*
 * Pages for Umbra's own tables and ept01. A GiB may need a table of 2 MiB entries in either, and
 * with 1 GiB pages every 512 GiB of the address space need a table of those. Where a range of the
 * memory map begins off 2 MiB there is a table of small pages; the constant covers splits for
 * memory types.
 */
static u64 table_pages(const struct memmap *map)
{
	const unsigned int width = phys_width_memory() < 48 ? phys_width_memory() : 48;
	const u64 gigabytes = memmap_top(map) / GIB + 4;

	return 160 + map->count + 2 * gigabytes + (width > 39 ? BIT(width - 39) : 1);
}

u64 home_size(const struct memmap *map, u64 wanted, u64 ept_cap)
{
	const u64 size = image_size() + wanted + table_pages(map) * PAGE_SIZE;

	/* Kept pages grow with the size, which they are part of: twice the size is a safe bound. */
	return size + ept01_kept_pages(2 * size, ept_cap) * PAGE_SIZE;
}

paddr_t home_move_to(const struct memmap *map, struct range home, paddr_t (*root)(paddr_t cr3))
{
	const struct range screen = console_screen_memory();
	paddr_t cr3;

	pages_init(home.start + image_size(), home.size - image_size());
	cr3 = host_paging_init(map, home.start, home.size);
	/* Higher than 4 GiB it may be no part of the map. */
	if (cr3 && screen.size && !host_paging_map(screen.start, screen.size))
		cr3 = 0;
	if (cr3 && root)
		cr3 = root(cr3);
	if (!cr3)
		fail("the memory map has too many pieces for Umbra's page tables");
	boot_switch_home(phys_to_virt(home.start), image_start, image_size(), cr3);
	return cr3;
}

struct range home_move_in(struct memmap *map, struct memmap *room, u64 wanted, u64 ept_cap,
			  const struct range *avoid, size_t n_avoid)
{
	struct range home = {.size = home_size(map, wanted, ept_cap)};

	if (!memmap_find_top(room, home.size, PAGE_SIZE, 4 * GIB, avoid, n_avoid, &home.start) &&
	    !memmap_find_top(map, home.size, PAGE_SIZE, 4 * GIB, avoid, n_avoid, &home.start))
		fail("no %lu KiB of free memory in one piece below 4 GiB: more memory is needed",
		     (home.size / KIB));
	if (!memmap_reserve(map, home.start, home.size))
		fail("the memory map has too many pieces");
	/* If the table is full now, so much less of it is known to be free. */
	memmap_reserve(room, home.start, home.size);
	home_move_to(map, home, NULL);
	return home;
}
