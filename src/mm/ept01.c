/* SPDX-License-Identifier: BSD-2-Clause */
#include "mm/ept01.h"

#include <x86/msr.h>
#include <x86/vmx.h>

#include "lib/insn.h"
#include "lib/spinlock.h"
#include "lib/string.h"
#include "mm/ept.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "mm/phys_width.h"

/* Tables kept on a CPU without 1 GiB pages: each maps one more GiB of MMIO. */
enum { FILL_PAGES = 72 };

static struct {
	struct spinlock lock;    /* for writers; CPUs walk the tables without it */
	struct mtrr_state mtrrs; /* what the types were made from */
	struct ept ept;
	/* Umbra's memory, its page below 1 MiB, registers. */
	struct range hidden[2 + EPT01_DEVICES];
	u32 hidden_count;
	struct range shown; /* between the first two */
	void *ones;
	void *sink; /* what takes writes to hidden registers */
} ept01;

void ept01_read_mtrrs(struct mtrr_state *out)
{
	*out = (struct mtrr_state){.maxphyaddr = phys_width_memory()};
	if (!(cpuid(1, 0).edx & CPUID_1_EDX_MTRR)) {
		/* Everything WB, as PAT and page tables will have it. */
		out->def_type = (u64)MTRR_DEF_ENABLE | (u64)MEMTYPE_WB;
		return;
	}
	out->cap = rdmsr(MSR_IA32_MTRRCAP);
	out->count = (u8)(out->cap & MTRR_CAP_VCNT);
	if (out->count > MTRR_VAR_MAX)
		out->count = MTRR_VAR_MAX;
	for (u32 msr = MSR_IA32_MTRR_PHYSBASE0; msr <= MSR_IA32_MTRR_DEF_TYPE; msr++) {
		u64 *reg = mtrr_register(out, msr);

		if (reg)
			*reg = rdmsr(msr);
	}
}

/* A table for each hidden 2 MiB, when pages there become pages of ones; and for both ends. */
u64 ept01_kept_pages(u64 size, u64 ept_cap)
{
	return size / (2 * MIB) + 2 + (ept_cap & EPT_CAP_1G ? 0 : FILL_PAGES);
}

bool ept01_init(const struct memmap *map, u64 ept_cap, paddr_t home, u64 size)
{
	ept01_read_mtrrs(&ept01.mtrrs);
	ept01.ept = (struct ept){
		.mtrrs = &ept01.mtrrs,
		.has_1g = ept_cap & EPT_CAP_1G,
		.has_2m = ept_cap & EPT_CAP_2M,
	};
	ept01.hidden[0] = (struct range){home, size};
	ept01.hidden_count = 1;
	ept01.sink = NULL;
	ept01.shown = (struct range){0, home};
	ept01.ones = pages_alloc(1);
	if (!ept01.ones || !ept_map_identity(&ept01.ept, ept01.mtrrs.maxphyaddr, memmap_top(map)) ||
	    !ept_hide(&ept01.ept, home, size))
		return false;
	memset(ept01.ones, 0xff, PAGE_SIZE);
	pages_keep(ept01_kept_pages(size, ept_cap));
	return true;
}

u64 ept01_eptp(void)
{
	return ept_eptp(&ept01.ept);
}

u64 ept01_page_size(paddr_t gpa)
{
	struct ept_walk walk;

	return ept_walk(&ept01.ept, gpa, &walk) ? walk.size : 0;
}

bool ept01_hide_page(paddr_t page)
{
	ept01.hidden[ept01.hidden_count++] = (struct range){page, PAGE_SIZE};
	ept01.shown = (struct range){page + PAGE_SIZE, ept01.hidden[0].start - page - PAGE_SIZE};
	return ept_hide(&ept01.ept, page, PAGE_SIZE);
}

bool ept01_hide_registers(paddr_t start, u64 size)
{
	if (!ept01.sink) {
		ept01.sink = pages_alloc(1);
		if (!ept01.sink)
			return false;
		memset(ept01.sink, 0xff, PAGE_SIZE);
	}
	if (ept01.hidden_count == ARRAY_SIZE(ept01.hidden))
		return false;
	const struct range registers = {start, size};

	ept01.hidden[ept01.hidden_count++] = registers;
	if (ranges_overlap(ept01.shown, registers))
		ept01.shown.size = 0;
	for (paddr_t page = start; page < start + size && page < ept01.ept.limit;
	     page += PAGE_SIZE) {
		if (!ept_set_4k(&ept01.ept, page, virt_to_phys(ept01.sink), EPT_READ | EPT_WRITE,
				MEMTYPE_WB))
			return false;
	}
	return true;
}

/* A key of memory encryption makes an address one beyond the end, whatever page it means. */
bool ept01_is_hidden(paddr_t start, u64 size)
{
	/* Where nearly all addresses of the guest's are: asked often. */
	if (start - ept01.shown.start < ept01.shown.size &&
	    size <= ept01.shown.size - (start - ept01.shown.start))
		return false;
	if (start >= ept01.ept.limit || size > ept01.ept.limit - start)
		return true;
	for (u32 i = 0; i < ept01.hidden_count; i++) {
		if (ranges_overlap(ept01.hidden[i], (struct range){start, size}))
			return true;
	}
	return false;
}

/*
 * The SDM has an OS change MTRRs on all CPUs, each with CR0.CD set and the MTRRs disabled meanwhile
 * ("MTRR Considerations in MP Systems"). CR0.CD works on the guest directly, so nothing is due
 * until a CPU enables its MTRRs again: the first one changes the types for all, and every one drops
 * its own cached translations, at the very point where its own MTRRs would begin to count.
 */
void ept01_mtrrs_written(const struct mtrr_state *mtrrs)
{
	if (!(mtrrs->def_type & MTRR_DEF_ENABLE))
		return;
	spin_lock(&ept01.lock);
	if (memcmp(mtrrs, &ept01.mtrrs, sizeof(*mtrrs)) != 0) {
		ept01.mtrrs = *mtrrs;
		ept_update_types(&ept01.ept);
	}
	spin_unlock(&ept01.lock);
	invept(INVEPT_SINGLE_CONTEXT, ept01_eptp());
}

bool ept01_is_write_back(paddr_t start, u64 size)
{
	bool uniform;

	spin_lock(&ept01.lock);
	const enum memtype type = mtrr_type_of_range(&ept01.mtrrs, start, size, &uniform);

	spin_unlock(&ept01.lock);
	return uniform && type == MEMTYPE_WB;
}

bool ept01_fill(paddr_t gpa)
{
	spin_lock(&ept01.lock);
	bool mapped = ept_fill(&ept01.ept, gpa);

	spin_unlock(&ept01.lock);
	return mapped;
}

paddr_t ept01_ones(void)
{
	return virt_to_phys(ept01.ones);
}

bool ept01_show_ones(paddr_t gpa)
{
	spin_lock(&ept01.lock);
	bool shown = ept_set_4k(&ept01.ept, ALIGN_DOWN(gpa, PAGE_SIZE), virt_to_phys(ept01.ones),
				EPT_READ | EPT_EXEC, MEMTYPE_WB);

	spin_unlock(&ept01.lock);
	/* Absent before: other CPUs cache nothing of it (SDM "Information That May Be Cached"). */
	invept(INVEPT_SINGLE_CONTEXT, ept01_eptp());
	return shown;
}
