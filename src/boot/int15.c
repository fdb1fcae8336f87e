/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/int15.h"

enum {
	SMAP = 0x534d4150,
	ATTRIBUTE_ENABLED = 1, /* ACPI 3.0: clear means "ignore this entry" */
	CALL_E820 = 0xe820,
	CALL_E801 = 0xe801,
	CALL_EXTENDED_MEMORY = 0x88,
	ERROR_UNSUPPORTED = 0x86,
};

static u32 with_low16(u32 reg, u32 low)
{
	return (reg & 0xffff0000) | (low & 0xffff);
}

static u32 with_ah(u32 reg, u32 ah)
{
	return (reg & 0xffff00ff) | ah << 8;
}

static void fail(struct int15_regs *regs)
{
	regs->carry = true;
	regs->eax = with_ah(regs->eax, ERROR_UNSUPPORTED);
}

static struct int15_answer query_map(const struct memmap *map, struct int15_regs *regs)
{
	struct int15_answer answer = {.handled = true};

	if (regs->edx != SMAP || regs->ecx < MEMMAP_E820_SIZE || regs->ebx >= map->count) {
		fail(regs);
		return answer;
	}

	answer.entry = map->e[regs->ebx];
	answer.entry.reserved = ATTRIBUTE_ENABLED;
	answer.size = regs->ecx < sizeof(answer.entry) ? MEMMAP_E820_SIZE : sizeof(answer.entry);
	regs->eax = SMAP;
	regs->ebx = regs->ebx + 1 < map->count ? regs->ebx + 1 : 0;
	regs->ecx = answer.size;
	regs->carry = false;
	return answer;
}

/* Usable bytes from `start` on without a hole, cut at `end`. */
static u64 contiguous(const struct memmap *map, paddr_t start, paddr_t end)
{
	for (u32 i = 0; i < map->count; i++) {
		const struct memmap_entry *e = &map->e[i];
		if (e->type != MEMMAP_USABLE || e->start > start || start - e->start >= e->size)
			continue;
		u64 size = e->size - (start - e->start);
		return size < end - start ? size : end - start;
	}
	return 0;
}

struct int15_answer int15_call(const struct memmap *map, struct int15_regs *regs)
{
	static const paddr_t isa_end = 0x1000000, limit_4g = 0x100000000;
	struct int15_answer answer = {.handled = true};
	u64 below_16m, above_16m, kib;

	if ((regs->eax & 0xffff) == CALL_E820)
		return query_map(map, regs);

	if ((regs->eax & 0xffff) == CALL_E801) {
		/* KiB from 1 to 16 MiB, and 64 KiB blocks from there on; in two pairs alike. */
		below_16m = contiguous(map, MIB, isa_end) / KIB;
		above_16m = contiguous(map, isa_end, limit_4g) / (64 * KIB);
		if (below_16m < 15 * KIB)
			above_16m = 0;
		regs->eax = with_low16(regs->eax, (u32)below_16m);
		regs->ecx = with_low16(regs->ecx, (u32)below_16m);
		regs->ebx = with_low16(regs->ebx, (u32)above_16m);
		regs->edx = with_low16(regs->edx, (u32)above_16m);
		regs->carry = false;
		return answer;
	}

	if ((regs->eax >> 8 & 0xff) == CALL_EXTENDED_MEMORY) {
		kib = contiguous(map, MIB, limit_4g) / KIB;
		regs->eax = with_low16(regs->eax, kib < UINT16_MAX ? (u32)kib : UINT16_MAX);
		regs->carry = false;
		return answer;
	}

	answer.handled = false;
	return answer;
}
