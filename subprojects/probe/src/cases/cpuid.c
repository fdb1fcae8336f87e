/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "CPUID—CPU Identification". */
#include "apic.h"
#include "features.h"
#include "layout.h"
#include "probe.h"

enum {
	EXTENDED = 0x80000000u,
	LEAF_CACHE = 4,
	LEAF_TOPOLOGY = 0xb,
	LEAF_XSTATE = 0xd,
	LEAF_TOPOLOGY2 = 0x1f,
	XSAVE_LEGACY_AND_HEADER = 576,
};

static void check_zero_extended(struct run *t, u32 leaf)
{
	u64 rax = 0xaaaaaaaa00000000 | leaf, rbx = ~0ull, rcx = 0xbbbbbbbb00000000, rdx = ~0ull;

	asm volatile("cpuid" : "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx));
	CHECK(t, !(rax >> 32 | rbx >> 32 | rcx >> 32 | rdx >> 32),
	      "leaf %x: RAX %lx RBX %lx RCX %lx RDX %lx", leaf, rax, rbx, rcx, rdx);
}

/* "On Intel 64 processors, CPUID clears the high 32 bits of the RAX/RBX/RCX/RDX registers." */
PROBE_CASE(cpuid_upper, "cpuid.upper_halves_zero", CASE_EACH_CPU)
{
	static const u32 leaves[] = {0,   1,          2,        4,          7,         0xb,
				     0xd, 0x40000000, EXTENDED, 0x80000008, 0xfffffffe};

	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++)
		check_zero_extended(t, leaves[i]);
}

PROBE_CASE(cpuid_osxsave, "cpuid.leaf1.osxsave", CASE_EACH_CPU)
{
	SKIP_UNLESS(t, has(FEATURE_XSAVE), "no XSAVE");
	CHECK_EQ(t, has(FEATURE_OSXSAVE), false);
	write_cr4(BASE_CR4 | CR4_OSXSAVE);
	CHECK_EQ(t, has(FEATURE_OSXSAVE), true);
	write_cr4(BASE_CR4);
	CHECK_EQ(t, has(FEATURE_OSXSAVE), false);
}

PROBE_CASE(cpuid_ospke, "cpuid.leaf7.ospke", CASE_EACH_CPU)
{
	SKIP_UNLESS(t, has(FEATURE_PKU), "no protection keys");
	CHECK_EQ(t, has(FEATURE_OSPKE), false);
	write_cr4(BASE_CR4 | CR4_PKE);
	CHECK_EQ(t, has(FEATURE_OSPKE), true);
	write_cr4(BASE_CR4);
	CHECK_EQ(t, has(FEATURE_OSPKE), false);
}

PROBE_CASE(cpuid_apic_id, "cpuid.apic_id", CASE_EACH_CPU)
{
	CHECK_EQ(t, apic_id(), this_cpu()->apic_id);
	CHECK_EQ(t, cpuid(1, 0).ebx >> 24, apic_id() & 0xff);
	if (cpuid(0, 0).eax >= LEAF_TOPOLOGY && cpuid(LEAF_TOPOLOGY, 0).ebx) {
		CHECK_EQ(t, cpuid(LEAF_TOPOLOGY, 0).edx, apic_id());
		CHECK_EQ(t, cpuid(LEAF_TOPOLOGY, 1).edx, apic_id());
		/* ECX[7:0] gives the subleaf back, also where there is no such level. */
		CHECK_EQ(t, cpuid(LEAF_TOPOLOGY, 5).ecx & 0xff, 5);
	}
}

PROBE_CASE(cpuid_max_leaf, "cpuid.beyond_maximum", CASE_EACH_CPU)
{
	struct cpuid max = cpuid(0, 0);
	struct cpuid highest = cpuid(max.eax, 0);
	struct cpuid beyond = cpuid(max.eax + 1, 0);

	CHECK(t, max.eax >= 1, "maximum basic leaf is %x", max.eax);
	CHECK(t, cpuid(EXTENDED, 0).eax >= 0x80000008, "maximum extended leaf is %x",
	      cpuid(EXTENDED, 0).eax);
	/* "…the data for the highest basic information leaf is returned." */
	CHECK_EQ(t, beyond.eax, highest.eax);
	CHECK_EQ(t, beyond.ebx, highest.ebx);
	CHECK_EQ(t, beyond.ecx, highest.ecx);
	CHECK_EQ(t, beyond.edx, highest.edx);
}

/* In 64-bit mode with SYSCALL and long mode there, as this very code shows. */
PROBE_CASE(cpuid_long_mode, "cpuid.ext1.long_mode", CASE_EACH_CPU)
{
	CHECK(t, cpuid(0x80000001, 0).edx & BIT(29), "no long mode");
	CHECK(t, cpuid(0x80000001, 0).edx & BIT(11), "no SYSCALL in 64-bit mode");
}

/* "EBX: maximum size required by enabled features in XCR0"; 13.5.1 of the SDM's volume 1. */
PROBE_CASE(cpuid_xsave_size, "cpuid.leafd.size_follows_xcr0", CASE_EACH_CPU)
{
	u64 supported;
	struct cpuid avx;

	SKIP_UNLESS(t, has(FEATURE_XSAVE), "no XSAVE");
	write_cr4(BASE_CR4 | CR4_OSXSAVE);
	supported = cpuid(LEAF_XSTATE, 0).eax;
	xsetbv(0, 1);
	CHECK_EQ(t, cpuid(LEAF_XSTATE, 0).ebx, XSAVE_LEGACY_AND_HEADER);
	xsetbv(0, 3);
	CHECK_EQ(t, cpuid(LEAF_XSTATE, 0).ebx, XSAVE_LEGACY_AND_HEADER);
	if (supported & BIT(2)) {
		avx = cpuid(LEAF_XSTATE, 2);
		xsetbv(0, 7);
		CHECK_EQ(t, cpuid(LEAF_XSTATE, 0).ebx, avx.ebx + avx.eax);
	}
	CHECK(t, cpuid(LEAF_XSTATE, 0).ecx >= cpuid(LEAF_XSTATE, 0).ebx,
	      "size for all features is less than for the enabled ones");
	xsetbv(0, 1);
}

struct leaf_copy {
	u32 leaf, subleaf;
	struct cpuid r;
	unsigned different;
};

static bool same(struct cpuid a, struct cpuid b)
{
	return a.eax == b.eax && a.ebx == b.ebx && a.ecx == b.ecx && a.edx == b.edx;
}

static struct cpuid without_apic_id(u32 leaf, u32 subleaf)
{
	struct cpuid r = cpuid(leaf, subleaf);

	if (leaf == 1)
		r.ebx &= 0x00ffffff;
	if (leaf == LEAF_TOPOLOGY || leaf == LEAF_TOPOLOGY2)
		r.edx = 0;
	return r;
}

static void compare_leaf(void *arg)
{
	struct leaf_copy *l = arg;

	if (!same(without_apic_id(l->leaf, l->subleaf), l->r))
		l->different++;
}

static void check_leaf(struct run *t, u32 leaf, u32 subleaf)
{
	struct leaf_copy l = {leaf, subleaf, without_apic_id(leaf, subleaf), 0};

	for (unsigned i = 0; i < smp_count(); i++)
		smp_run_on(smp_cpu(i), compare_leaf, &l);
	CHECK(t, !l.different, "leaf %x.%x differs on %u CPUs", leaf, subleaf, l.different);
}

PROBE_CASE(cpuid_same, "cpuid.same_on_all_cpus", CASE_ONCE)
{
	u32 max = cpuid(0, 0).eax, max_ext = cpuid(EXTENDED, 0).eax;

	for (u32 leaf = 0; leaf <= max; leaf++)
		check_leaf(t, leaf, 0);
	for (u32 leaf = EXTENDED; leaf <= max_ext; leaf++)
		check_leaf(t, leaf, 0);
	for (u32 subleaf = 1; subleaf < 4; subleaf++) {
		check_leaf(t, LEAF_CACHE, subleaf);
		check_leaf(t, LEAF_XSTATE, subleaf);
	}
}
