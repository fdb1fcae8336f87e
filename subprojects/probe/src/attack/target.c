/* SPDX-License-Identifier: BSD-2-Clause */
#include "attack/attack.h"
#include "layout.h"
#include "memory.h"
#include "vmx/vmx.h"

/* Behind those of other cases; 2 MiB for each CPU, so that it has a page table of its own. */
static const u64 WINDOW = (512ull << 30) + (8ull << 30);
static const u64 WINDOW_SIZE = 2ull << 20;
static const u64 ROM = 0xfffff000;
static const u64 ABSENT = 0x700000000;

bool attack_hidden(const struct attacker *a, u64 pa)
{
	return a->aims && pa >= a->start && pa < a->end;
}

static u64 hidden_page(const struct attacker *a)
{
	const u64 pages = (a->end - a->start) / PAGE_SIZE;

	switch (choice_below(4)) {
	case 0:
		return a->start;
	case 1:
		return a->end - PAGE_SIZE;
	default:
		return a->start + choice_below(pages) * PAGE_SIZE;
	}
}

u64 attack_target(const struct attacker *a)
{
	if (a->aims && !one_in(3))
		return hidden_page(a);
	switch (choice_below(5)) {
	case 0:
		return ABSENT;
	case 1:
		return ROM;
	case 2:
		return BIT(vmx_address_bits() - 1);
	default:
		return a->scratch;
	}
}

u64 attack_odd_bit(void)
{
	return 1ull << (one_in(4) ? choice_below(PAGE_SHIFT) : 32 + choice_below(32));
}

void attack_see(const struct attacker *a, const char *what, u64 value)
{
	if (a->compares)
		record_see(what, value);
}

void attack_see_fault(const struct attacker *a, const char *what, struct fault f)
{
	attack_see(a, what, f.raised ? (u64)f.vector << 32 | f.error : ~0ull);
}

u8 *attack_map(u64 first, u64 second, u64 flags)
{
	const u64 va = WINDOW + this_cpu()->index * WINDOW_SIZE;

	*memory_entry(va, 1) = first | flags | PTE_P;
	*memory_entry(va + PAGE_SIZE, 1) = second | flags | PTE_P;
	invlpg(va);
	invlpg(va + PAGE_SIZE);
	return (u8 *)va;
}
