/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include <sanitizer/asan_interface.h>

#include "machine.h"
#include "mm/ept01.h"
#include "mm/guest_memory.h"
#include "mm/layout.h"
#include "mm/pages.h"

struct machine_memory machine_memory;

/* The page allocator: a state for each page of Umbra's, so that misuse shows. */
static bool *page_used;
static u64 pages_allowed;
static u64 lowest_free; /* no free page is below it */

u64 rng_next(struct rng *rng)
{
	if (rng->data) {
		const size_t n = rng->left < sizeof(u64) ? rng->left : sizeof(u64);
		u64 value = 0;

		memcpy(&value, rng->data, n);
		rng->data += n;
		rng->left -= n;
		return value;
	}
	/* xorshift64* */
	rng->state ^= rng->state >> 12;
	rng->state ^= rng->state << 25;
	rng->state ^= rng->state >> 27;
	return rng->state * 0x2545f4914f6cdd1d;
}

u64 rng_below(struct rng *rng, u64 limit)
{
	if (rng->data) {
		u64 value = 0;

		/* As few bytes as do, so that inputs are short. */
		for (u64 range = limit; range > 1 && rng->left; range = (range + 255) / 256) {
			value = value << 8 | *rng->data++;
			rng->left--;
		}
		return value % limit;
	}
	return (rng_next(rng) >> 16) % limit;
}

void machine_memory_init(u64 guest_pages, u64 own_pages)
{
	if (machine_memory.own)
		ASAN_UNPOISON_MEMORY_REGION(machine_memory.own, machine_memory.own_size);
	free(machine_memory.guest);
	free(machine_memory.own);
	free(page_used);
	machine_memory = (struct machine_memory){
		.guest = aligned_alloc(PAGE_SIZE, guest_pages * PAGE_SIZE),
		.guest_size = guest_pages * PAGE_SIZE,
		.own = aligned_alloc(PAGE_SIZE, own_pages * PAGE_SIZE),
		.own_size = own_pages * PAGE_SIZE,
		.holes = {{MACHINE_OWN, own_pages * PAGE_SIZE}},
		.ept01_largest_page = GIB,
	};
	page_used = calloc(own_pages, sizeof(*page_used));
	REQUIRE(machine_memory.guest && machine_memory.own && page_used);
	machine_memory_reset();
}

void machine_memory_reset(void)
{
	pages_allowed = ~0ull;
	lowest_free = 0;
	memset(page_used, 0, machine_memory.own_size / PAGE_SIZE * sizeof(*page_used));
	memset(machine_memory.guest, 0, machine_memory.guest_size);
	ASAN_POISON_MEMORY_REGION(machine_memory.own, machine_memory.own_size);
}

void machine_limit_pages(u64 count)
{
	pages_allowed = count;
}

void *pages_alloc(u64 count)
{
	const u64 total = machine_memory.own_size / PAGE_SIZE;

	while (lowest_free < total && page_used[lowest_free])
		lowest_free++;
	for (u64 first = lowest_free; pages_allowed && first + count <= total; first++) {
		u8 *start = machine_memory.own + first * PAGE_SIZE;
		u64 n = 0;

		while (n < count && !page_used[first + n])
			n++;
		if (n < count)
			continue;
		memset(page_used + first, true, count);
		ASAN_UNPOISON_MEMORY_REGION(start, count * PAGE_SIZE);
		memset(start, 0, count * PAGE_SIZE);
		pages_allowed -= pages_allowed != ~0ull;
		return start;
	}
	return NULL;
}

void pages_free(void *page)
{
	const u64 n = (virt_to_phys(page) - MACHINE_OWN) / PAGE_SIZE;

	REQUIRE(virt_to_phys(page) % PAGE_SIZE == 0 && page_used[n]);
	page_used[n] = false;
	if (n < lowest_free)
		lowest_free = n;
	ASAN_POISON_MEMORY_REGION(page, PAGE_SIZE);
}

u64 pages_left(void)
{
	u64 left = 0;

	for (u64 i = 0; i < machine_memory.own_size / PAGE_SIZE; i++)
		left += !page_used[i];
	return left;
}

/* ASan watches over unused pages here. */
void pages_fill_unused(void)
{
}

u64 pages_spoiled(u64 *count)
{
	*count = pages_left();
	return 0;
}

bool machine_maps_guest;

/* The guest's pages of which Umbra knows that they are in its map: it has asked. */
static u8 known_as_mapped[1 << 16];

void *phys_to_virt(paddr_t pa)
{
	if (pa < machine_memory.guest_size &&
	    (machine_maps_guest || known_as_mapped[pa / PAGE_SIZE % ARRAY_SIZE(known_as_mapped)]))
		return machine_memory.guest + pa;
	if (pa - MACHINE_OWN >= machine_memory.own_size)
		MACHINE_FAIL("%#llx is not Umbra's memory", (unsigned long long)pa);
	return machine_memory.own + (pa - MACHINE_OWN);
}

paddr_t virt_to_phys(const void *va)
{
	const u64 offset = (u64)((const u8 *)va - machine_memory.own);

	if (offset >= machine_memory.own_size)
		MACHINE_FAIL("a pointer outside of Umbra's memory");
	return MACHINE_OWN + offset;
}

bool ept01_is_hidden(paddr_t start, u64 size)
{
	if (start >> MACHINE_MAXPHYADDR || (start + size - 1) >> MACHINE_MAXPHYADDR)
		return true;
	for (size_t i = 0; i < MACHINE_HOLES; i++) {
		const struct hole *hole = &machine_memory.holes[i];

		if (start < hole->start + hole->size && start + size > hole->start)
			return true;
	}
	return false;
}

u64 ept01_page_size(paddr_t gpa)
{
	if (gpa >> MACHINE_MAXPHYADDR)
		return 0;
	for (u64 size = machine_memory.ept01_largest_page; size >= PAGE_SIZE; size >>= 9) {
		if (!ept01_is_hidden(ALIGN_DOWN(gpa, size), size))
			return size;
	}
	return 0;
}

/* An address that nothing reads. */
paddr_t ept01_ones(void)
{
	return MACHINE_OWN;
}

u64 ept01_eptp(void)
{
	return 0x123401e;
}

/* A byte of guest memory, or NULL where there is none. */
static u8 *guest_byte(paddr_t gpa)
{
	return gpa < machine_memory.guest_size && !ept01_is_hidden(gpa, 1)
		       ? machine_memory.guest + gpa
		       : NULL;
}

/* Page by page: that is how finely holes are made. */
static size_t chunk_of(paddr_t gpa, size_t left)
{
	const size_t in_page = PAGE_SIZE - (gpa & (PAGE_SIZE - 1));

	return left < in_page ? left : in_page;
}

void guest_memory_read(paddr_t gpa, void *dst, size_t size)
{
	u8 *to = dst;

	for (size_t n; size; gpa += n, to += n, size -= n) {
		const u8 *from = guest_byte(gpa);

		n = chunk_of(gpa, size);
		if (from)
			memcpy(to, from, n);
		else
			memset(to, 0xff, n);
	}
}

u64 guest_memory_read_word(paddr_t gpa)
{
	u64 word;

	guest_memory_read(gpa, &word, sizeof(word));
	return word;
}

void guest_memory_read_words(paddr_t gpa, const u16 *index, u32 count, u64 *words)
{
	for (u32 i = 0; i < count; i++)
		guest_memory_read(gpa + index[i] * sizeof(u64), &words[i], sizeof(u64));
}

void guest_memory_write(paddr_t gpa, const void *src, size_t size)
{
	const u8 *from = src;

	for (size_t n; size; gpa += n, from += n, size -= n) {
		u8 *to = guest_byte(gpa);

		n = chunk_of(gpa, size);
		if (to)
			memcpy(to, from, n);
	}
}

void (*machine_before_exchange)(u8 *at);

bool guest_memory_exchange(paddr_t gpa, u64 old, u64 new, size_t size)
{
	u8 *at = guest_byte(gpa);
	u64 found = 0;

	REQUIRE(gpa % size == 0);
	if (!at)
		return old == ~0ull >> (64 - 8 * size);
	if (machine_before_exchange)
		machine_before_exchange(at);
	memcpy(&found, at, size);
	if (found != old)
		return false;
	memcpy(at, &new, size);
	return true;
}

bool guest_memory_is_mapped(paddr_t gpa, size_t size)
{
	const bool mapped = guest_byte(gpa) && guest_byte(gpa + size - 1);

	known_as_mapped[gpa / PAGE_SIZE % ARRAY_SIZE(known_as_mapped)] |= mapped;
	return mapped;
}
