/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "MTRR Considerations in MP Systems": all CPUs change an MTRR together. */
#include "mtrr.h"

#include "features.h"
#include "layout.h"
#include "memory.h"
#include "probe.h"

enum {
	TYPE_WT = 4,
	CHECK_WORDS = 512,
};

static const u64 DEF_TYPE_ENABLE = BIT(11);
static const u64 MASK_VALID = BIT(11);
static const u64 RANGE = 2ull << 20;

unsigned mtrr_list(u32 msrs[MTRR_MSRS])
{
	static const u32 fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
				    0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
	u64 cap = rdmsr(MSR_IA32_MTRRCAP);
	unsigned n = 0;

	msrs[n++] = MSR_IA32_MTRR_DEF_TYPE;
	if (cap & BIT(8))
		for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
			msrs[n++] = fixed[i];
	for (u32 i = 0; i < 2 * (cap & 0xff); i++)
		msrs[n++] = MSR_IA32_MTRR_PHYSBASE0 + i;
	return n;
}

struct change {
	struct barrier meet;
	u32 msr; /* PHYSBASE of the pair */
	u64 base, mask;
	u32 wrong; /* CPUs on which it did not read back */
};

static void flush_tlb(void)
{
	write_cr3(read_cr3());
}

/* The SDM's fourteen steps. */
static void change_mtrr(void *arg)
{
	struct change *c = arg;
	u64 def = rdmsr(MSR_IA32_MTRR_DEF_TYPE);
	u64 cr4 = read_cr4();

	barrier_wait(&c->meet, smp_count());
	write_cr0((BASE_CR0 | CR0_CD) & ~CR0_NW);
	wbinvd();
	write_cr4(cr4 & ~CR4_PGE);
	flush_tlb();
	wrmsr(MSR_IA32_MTRR_DEF_TYPE, def & ~DEF_TYPE_ENABLE);
	wrmsr(c->msr, c->base);
	wrmsr(c->msr + 1, c->mask);
	wrmsr(MSR_IA32_MTRR_DEF_TYPE, def);
	flush_tlb();
	wbinvd();
	write_cr0(BASE_CR0);
	write_cr4(cr4);
	if (rdmsr(c->msr) != c->base || rdmsr(c->msr + 1) != c->mask ||
	    rdmsr(MSR_IA32_MTRR_DEF_TYPE) != def)
		__atomic_add_fetch(&c->wrong, 1, __ATOMIC_RELAXED);
	barrier_wait(&c->meet, smp_count());
}

static u32 free_pair(void)
{
	u32 n = rdmsr(MSR_IA32_MTRRCAP) & 0xff;

	for (u32 i = 0; i < n; i++)
		if (!(rdmsr(MSR_IA32_MTRR_PHYSBASE0 + 2 * i + 1) & MASK_VALID))
			return MSR_IA32_MTRR_PHYSBASE0 + 2 * i;
	return 0;
}

PROBE_CASE(mtrr_change, "mtrr.change_on_all_cpus", CASE_ONCE)
{
	u64 memory = ALIGN_UP((u64)memory_pages(2 * RANGE / PAGE_SIZE), RANGE);
	volatile u64 *words = (volatile u64 *)memory;
	u64 width = cpuid(0x80000008, 0).eax & 0xff;
	struct change restore = {0}, c = {0};
	unsigned bad = 0;

	SKIP_UNLESS(t, has(FEATURE_MTRR), "no MTRRs");
	c.msr = free_pair();
	SKIP_UNLESS(t, c.msr, "no free variable MTRR");
	for (u64 i = 0; i < CHECK_WORDS; i++)
		words[i] = i * 0x9e3779b97f4a7c15;

	restore.msr = c.msr;
	restore.base = rdmsr(c.msr);
	restore.mask = rdmsr(c.msr + 1);
	c.base = memory | TYPE_WT;
	c.mask = (BITS(width - 1, 0) & ~(RANGE - 1)) | MASK_VALID;
	CHECK(t, smp_run_all(change_mtrr, &c), "a CPU failed");
	CHECK_EQ(t, c.wrong, 0);
	for (u64 i = 0; i < CHECK_WORDS; i++) {
		bad += words[i] != i * 0x9e3779b97f4a7c15;
		words[i] = ~words[i];
	}
	CHECK(t, smp_run_all(change_mtrr, &restore), "a CPU failed");
	CHECK_EQ(t, restore.wrong, 0);
	for (u64 i = 0; i < CHECK_WORDS; i++)
		bad += words[i] != ~(i * 0x9e3779b97f4a7c15);
	CHECK(t, !bad, "%u words changed", bad);
}

/* The types must agree on all CPUs before anyone touches them. */
static void compare_mtrrs(void *arg)
{
	struct change *c = arg;
	u32 msrs[MTRR_MSRS];
	unsigned n = mtrr_list(msrs);
	u64 sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum = sum * 31 + rdmsr(msrs[i]);
	if (!c->base)
		c->base = sum;
	c->wrong += c->base != sum;
}

PROBE_CASE(mtrr_same, "mtrr.same_on_all_cpus", CASE_ONCE)
{
	struct change c = {0};

	SKIP_UNLESS(t, has(FEATURE_MTRR), "no MTRRs");
	for (unsigned i = 0; i < smp_count(); i++)
		CHECK(t, smp_run_on(smp_cpu(i), compare_mtrrs, &c), "CPU %u failed", i);
	CHECK_EQ(t, c.wrong, 0);
}
