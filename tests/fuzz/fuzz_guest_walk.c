/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The input is the paging state, an access, and page tables, in a memory so small that entries
 * point at each other. Whatever a guest does, a walk ends, and its result is sound.
 */
#include <stdlib.h>
#include <string.h>

#include <x86/cr.h>
#include <x86/msr.h>

#include "mm/guest_walk.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

struct input {
	u64 cr4, cr3, linear;
	u64 pdpte[4];
	u32 pkru;
	u8 flags, access, maxphyaddr, pad;
};

struct memory {
	u64 *words;
	size_t size; /* bytes */
	unsigned int accesses;
};

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* Memory repeats, so that every address leads somewhere, except in its last part. */
static bool read(void *ctx, paddr_t pa, void *dst, size_t size)
{
	struct memory *m = ctx;

	require(pa % size == 0 && m->accesses++ < 1000);
	if (pa % 0x10000 >= 0xf000)
		return false;
	memcpy(dst, (u8 *)m->words + pa % m->size, size);
	return true;
}

static bool exchange(void *ctx, paddr_t pa, u64 old, u64 new, size_t size)
{
	struct memory *m = ctx;
	u64 now = 0;

	require(read(ctx, pa, &now, size));
	require((old | 0x60) == (new | 0x60) && (size == 8 || new <= UINT32_MAX));
	if (now != old)
		return false;
	memcpy((u8 *)m->words + pa % m->size, &new, size);
	return true;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct guest_walk_ops ops = {.read = read, .exchange = exchange};
	struct input in;
	struct memory memory = {0};
	struct guest_walk walk;

	if (size < sizeof(in) + 64)
		return -1;
	memcpy(&in, data, sizeof(in));
	memory.size = (size - sizeof(in)) & ~(size_t)63;
	memory.words = malloc(memory.size);
	memcpy(memory.words, data + sizeof(in), memory.size);
	/* Half of the entries present and sane, or few walks would get far. */
	for (size_t i = 0; (in.access & 64) && i < memory.size / 8; i++)
		memory.words[i] = (memory.words[i] & ~BITS(62, 32)) | 1;

	struct guest_paging paging = {
		.cr0 = CR0_PE | (in.flags & 1 ? 0 : CR0_PG) | (in.flags & 2 ? CR0_WP : 0),
		.cr3 = in.cr3,
		.cr4 = in.cr4,
		.efer = (in.flags & 4 ? EFER_NXE : 0) | (in.flags & 8 ? EFER_LMA : 0),
		.pkru = in.pkru,
		.pkrs = ~in.pkru,
		.maxphyaddr = (u8)(32 + in.maxphyaddr % 21),
		.has_1g_pages = in.flags & 16,
		.has_pse36 = in.flags & 32,
	};
	memcpy(paging.pdpte, in.pdpte, sizeof(in.pdpte));
	if (paging.efer & EFER_LMA)
		paging.cr4 |= CR4_PAE;
	struct guest_access access = {
		.linear = paging.efer & EFER_LMA ? in.linear : in.linear & UINT32_MAX,
		.type = (enum guest_access_type)(in.access % 3),
		.user = in.access & 4,
		.implicit = (in.access & 12) == 8,
		.ac = in.access & 16,
	};

	switch (guest_walk(&paging, &access, &ops, &memory, &walk)) {
	case GUEST_WALK_OK:
		require(walk.page_size >= PAGE_SIZE && walk.pa < BIT(paging.maxphyaddr));
		require(walk.pa % PAGE_SIZE == access.linear % PAGE_SIZE);
		break;
	case GUEST_WALK_FAULT:
		require(!(walk.error_code & PF_RESERVED) || (walk.error_code & PF_PRESENT));
		require(!!(walk.error_code & PF_WRITE) == (access.type == GUEST_WRITE));
		require(!!(walk.error_code & PF_USER) == access.user);
		break;
	case GUEST_WALK_NON_CANONICAL:
		require(paging.efer & EFER_LMA);
		break;
	case GUEST_WALK_NO_MEMORY:
	case GUEST_WALK_RACE:
		break;
	}
	free(memory.words);
	return 0;
}
