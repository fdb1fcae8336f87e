/* SPDX-License-Identifier: BSD-2-Clause */
#include "mm/pages.h"

#include "lib/spinlock.h"
#include "lib/string.h"
#include "mm/layout.h"

/* Runs are only ever taken at boot, so a cursor and a list of single pages are enough. */
static struct {
	struct spinlock lock;
	paddr_t next;
	paddr_t end;
	void **free;
	u64 freed;
	u64 kept; /* of what is left */
} pages;

void pages_init(paddr_t start, u64 size)
{
	pages.next = start;
	pages.end = start + size;
}

u64 pages_left(void)
{
	return (pages.end - pages.next) / PAGE_SIZE + pages.freed;
}

static void *alloc(u64 count, bool kept)
{
	void *p = NULL;

	spin_lock(&pages.lock);
	if (kept && pages.kept && pages_left() == pages.kept)
		pages.kept--;
	if (pages_left() < pages.kept + count) {
		/* None for this caller. */
	} else if (count == 1 && pages.free) {
		p = pages.free;
		pages.free = *pages.free;
		pages.freed--;
	} else if (count <= (pages.end - pages.next) / PAGE_SIZE) {
		p = phys_to_virt(pages.next);
		pages.next += count * PAGE_SIZE;
	}
	spin_unlock(&pages.lock);
	if (p)
		memset(p, 0, count * PAGE_SIZE);
	return p;
}

void *pages_alloc(u64 count)
{
	return alloc(count, false);
}

void *pages_alloc_kept(void)
{
	return alloc(1, true);
}

void pages_keep(u64 count)
{
	pages.kept = count;
}

void pages_free(void *page)
{
	spin_lock(&pages.lock);
	*(void **)page = pages.free;
	pages.free = page;
	pages.freed++;
	spin_unlock(&pages.lock);
}

/* Differs from word to word, so that a page copied onto another shows, too. */
static u64 pattern_at(paddr_t pa)
{
	return ~(pa * 0x9e3779b97f4a7c15);
}

void pages_fill_unused(void)
{
	spin_lock(&pages.lock);
	for (paddr_t pa = pages.next; pa < pages.end; pa += sizeof(u64))
		*(u64 *)phys_to_virt(pa) = pattern_at(pa);
	spin_unlock(&pages.lock);
}

u64 pages_spoiled(u64 *count)
{
	u64 spoiled = 0;

	spin_lock(&pages.lock);
	for (paddr_t pa = pages.next; pa < pages.end; pa += sizeof(u64))
		spoiled += *(volatile u64 *)phys_to_virt(pa) != pattern_at(pa);
	*count = (pages.end - pages.next) / PAGE_SIZE;
	spin_unlock(&pages.lock);
	return spoiled;
}
