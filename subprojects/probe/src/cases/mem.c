/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory a hypervisor has hidden, told by hidden=0xSTART-0xEND: reads give all ones, writes and
 * locked accesses #GP(0), and no byte of it can be run.
 */
#include "boot_info.h"
#include "hidden.h"
#include "layout.h"
#include "memory.h"
#include "probe.h"

enum {
	/* Of a large range; a small one is looked at page by page. */
	SAMPLED_PAGES = 512,
	TEXT_HITS = 4,
};

extern const u32 own_header[];

static const u64 LARGE = 2ull << 20;
/* Two windows, so that a case's mappings do not meet another's. */
static const u64 SMALL_WINDOW = (512ull << 30) + (1ull << 30);
static const u64 LARGE_WINDOW = (512ull << 30) + (2ull << 30);

static volatile u8 *map_small(u64 pa)
{
	memory_map(SMALL_WINDOW, pa, PAGE_SIZE, PAGE_SIZE, PTE_P | PTE_W | PTE_U);
	return (volatile u8 *)SMALL_WINDOW;
}

static volatile u8 *map_large(u64 pa)
{
	memory_map(LARGE_WINDOW, ALIGN_DOWN(pa, LARGE), LARGE, LARGE, PTE_P | PTE_W | PTE_U);
	return (volatile u8 *)(LARGE_WINDOW + pa % LARGE);
}

static u64 step_of(u64 start, u64 end)
{
	u64 pages = (end - start) / PAGE_SIZE;

	return (pages > SAMPLED_PAGES ? pages / SAMPLED_PAGES : 1) * PAGE_SIZE;
}

static struct fault try_read(volatile u8 *p, u64 *value)
{
	return TRY("mov (%1), %0", : "+r"(*value) : "r"(p) : "memory");
}

static void check_reads(struct run *t, volatile u8 *(*map)(u64 pa), u64 pa)
{
	static const u64 offsets[] = {0, 8, 0x7f8, 0xff8};
	volatile u8 *page = map(pa);

	for (unsigned i = 0; i < ARRAY_SIZE(offsets); i++) {
		u64 value = 0;
		struct fault f = try_read(page + offsets[i], &value);

		CHECK(t, !f.raised && value == ~0ull, "%lx: %lx, %s", pa + offsets[i], value,
		      f.raised ? vector_name(f.vector) : "no fault");
	}
}

PROBE_CASE(mem_read, "mem.hidden.reads_all_ones", CASE_EACH_CPU)
{
	u64 start, end;

	if (!hidden_range(t, &start, &end))
		return;
	for (u64 pa = start; pa < end && t->failures < TEXT_HITS; pa += step_of(start, end)) {
		check_reads(t, map_small, pa);
		check_reads(t, map_large, pa);
	}
	check_reads(t, map_small, end - PAGE_SIZE);
}

/* Every width, and a string instruction that crosses pages. */
PROBE_CASE(mem_widths, "mem.hidden.read_widths", CASE_EACH_CPU)
{
	u64 start, end, value = 0, copied = 0;
	volatile u8 *p;
	static u64 copy[16];
	void *to = copy;
	volatile u8 *from;
	struct fault f;

	if (!hidden_range(t, &start, &end))
		return;
	p = map_small(start);
	CHECK_OK(t, TRY("movzbl (%1), %k0", : "+r"(value) : "r"(p)));
	CHECK_EQ(t, value, 0xff);
	CHECK_OK(t, TRY("movzwl (%1), %k0", : "+r"(value) : "r"(p)));
	CHECK_EQ(t, value, 0xffff);
	value = 0;
	CHECK_OK(t, TRY("mov (%1), %k0", : "+r"(value) : "r"(p)));
	CHECK_EQ(t, value, 0xffffffff);
	CHECK_OK(t, TRY("movslq (%1), %0", : "+r"(value) : "r"(p)));
	CHECK_EQ(t, value, ~0ull);
	from = map_large(start);
	copied = sizeof(copy);
	f = TRY("rep movsb", : "+D"(to), "+S"(from), "+c"(copied) : : "memory");
	CHECK_OK(t, f);
	for (unsigned i = 0; i < ARRAY_SIZE(copy); i++)
		CHECK_EQ(t, copy[i], ~0ull);
}

PROBE_CASE(mem_write, "mem.hidden.writes_fault", CASE_EACH_CPU)
{
	u64 start, end, value = 0;

	if (!hidden_range(t, &start, &end))
		return;
	for (u64 pa = start; pa < end && t->failures < TEXT_HITS; pa += step_of(start, end)) {
		volatile u8 *p = map_small(pa);

		CHECK_GP(t, TRY("movb $0, (%0)", : : "r"(p) : "memory"));
		CHECK_GP(t, TRY("movq $0, 8(%0)", : : "r"(p) : "memory"));
		CHECK_OK(t, try_read(p, &value));
		CHECK_EQ(t, value, ~0ull);
	}
}

PROBE_CASE(mem_rmw, "mem.hidden.locked_rmw_faults", CASE_EACH_CPU)
{
	u64 start, end, value = 0, sum = 1;
	volatile u8 *p;

	if (!hidden_range(t, &start, &end))
		return;
	p = map_small(start);
	CHECK_GP(t, TRY("lock incl (%0)", : : "r"(p) : "memory", "cc"));
	CHECK_GP(t, TRY("xchg %0, (%1)", : "+r"(value) : "r"(p) : "memory"));
	CHECK_GP(t, TRY("lock xadd %0, (%1)", : "+r"(sum) : "r"(p) : "memory", "cc"));
	CHECK_GP(t, TRY("lock cmpxchg %1, (%2)",
			: "+a"(value)
			: "r"(sum), "r"(p)
			: "memory", "cc"));
	CHECK_OK(t, try_read(p, &value));
	CHECK_EQ(t, value, ~0ull);
}

/* What a fetch finds is FF FF, which is no instruction; nothing of the hypervisor's runs. */
PROBE_CASE(mem_fetch, "mem.hidden.fetch_is_ud", CASE_EACH_CPU)
{
	u64 start, end;

	if (!hidden_range(t, &start, &end))
		return;
	for (u64 pa = start; pa < end && t->failures < TEXT_HITS; pa += 16 * PAGE_SIZE) {
		volatile u8 *p = map_small(pa);
		struct fault f = try_call((void (*)(void))(u64)p);

		CHECK_UD(t, f);
		CHECK_EQ(t, f.rip, (u64)p);
	}
}

/* A page directory's entry that names hidden memory as a page table: a fault, and no hang. */
PROBE_CASE(mem_page_table, "mem.hidden.page_table_there", CASE_EACH_CPU)
{
	u64 start, end, value = 0;
	u64 va = WINDOW_BASE + (4ull << 30);
	u64 *entry;
	struct fault f;

	if (!hidden_range(t, &start, &end))
		return;
	entry = memory_entry(va, 2);
	*entry = start | PTE_P | PTE_W | PTE_U;
	invlpg(va);
	f = try_read((volatile u8 *)va, &value);
	*entry = 0;
	invlpg(va);
	CHECK(t, f.raised, "the read gave %lx", value);
	CHECK(t, f.vector == VECTOR_PF || f.vector == VECTOR_GP, "%s(%x)", vector_name(f.vector),
	      f.error);
}

PROBE_CASE(mem_scan, "mem.hidden.not_in_memory_map", CASE_ONCE)
{
	u64 start, end;

	if (!hidden_range(t, &start, &end))
		return;
	for (unsigned i = 0; i < boot_info.map_entries; i++) {
		const struct memory_range *r = &boot_info.map[i];

		CHECK(t, r->type != E820_RAM || r->base >= end || r->base + r->length <= start,
		      "usable RAM %lx-%lx overlaps the hidden range", r->base, r->base + r->length);
	}
}

/*
 * A hypervisor that has moved to its hidden home leaves no copy of itself where a boot loader put
 * it: no other Multiboot2 header (magic, architecture, length, checksum) is in the memory from
 * which relocatable images are placed.
 */
PROBE_CASE(mem_copy, "mem.hidden.no_copy_of_image", CASE_ONCE)
{
	const u32 magic = 0xe85250d6;
	const u64 first = 2ull << 20, last = 16ull << 20;
	u64 start, end;

	if (!hidden_range(t, &start, &end))
		return;
	for (u64 pa = first; pa < last; pa += 8) {
		const volatile u32 *p = (const volatile u32 *)pa;

		if (p[0] != magic || p[0] + p[1] + p[2] + p[3] || p[2] == own_header[2])
			continue;
		CHECK(t, false, "a Multiboot2 header of %u bytes is at %lx", p[2], pa);
	}
}
