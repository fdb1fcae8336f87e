/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "RDMSR", "WRMSR" and the architectural MSRs. */
#include "features.h"
#include "layout.h"
#include "memory.h"
#include "mtrr.h"
#include "probe.h"

static void check_unchanged(struct run *t, u32 msr, u64 bad)
{
	u64 before, after;
	struct fault f;

	CHECK_OK(t, try_rdmsr(msr, &before));
	f = try_wrmsr(msr, bad);
	CHECK(t, f.raised && f.vector == VECTOR_GP && f.error == 0, "WRMSR %x with %lx: %s", msr,
	      bad, f.raised ? vector_name(f.vector) : "no fault");
	CHECK_OK(t, try_rdmsr(msr, &after));
	CHECK(t, after == before, "MSR %x was %lx, is %lx", msr, before, after);
	if (!f.raised)
		try_wrmsr(msr, before);
}

/* A write that is allowed reads back. */
static void check_sticks(struct run *t, u32 msr, u64 value)
{
	u64 before, after;

	CHECK_OK(t, try_rdmsr(msr, &before));
	CHECK_OK(t, try_wrmsr(msr, value));
	CHECK_OK(t, try_rdmsr(msr, &after));
	CHECK(t, after == value, "MSR %x: wrote %lx, reads %lx", msr, value, after);
	try_wrmsr(msr, before);
}

/* On both sides of what a VMX MSR bitmap covers, and where the SDM promises never to put one. */
PROBE_CASE(msr_unknown, "msr.unknown", CASE_EACH_CPU)
{
	static const u32 unknown[] = {0x2000,     0xdeadbeef, 0xbfffffff, 0xc0002000,
				      0xffffffff, 0x7fffffff, 0xc0001fff};
	u64 value;

	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
		CHECK(t, try_rdmsr(unknown[i], &value).vector == VECTOR_GP, "RDMSR %x: no #GP",
		      unknown[i]);
		CHECK(t, try_wrmsr(unknown[i], 0).vector == VECTOR_GP, "WRMSR %x: no #GP",
		      unknown[i]);
	}
}

/* RDMSR: "On processors that support the Intel 64 architecture, the high-order 32 bits are cleared"
 */
PROBE_CASE(msr_upper, "msr.rdmsr_upper_halves_zero", CASE_EACH_CPU)
{
	static const u32 msrs[] = {MSR_IA32_TSC, MSR_IA32_APIC_BASE, MSR_IA32_PAT,
				   MSR_IA32_MTRR_DEF_TYPE};

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		u64 rax = ~0ull, rdx = ~0ull, rcx = 0xffffffff00000000 | msrs[i];

		asm volatile("rdmsr" : "+a"(rax), "+d"(rdx) : "c"(rcx));
		CHECK(t, !(rax >> 32 | rdx >> 32), "MSR %x: RAX %lx RDX %lx", msrs[i], rax, rdx);
	}
}

PROBE_CASE(msr_efer, "msr.efer", CASE_EACH_CPU)
{
	u64 efer = rdmsr(MSR_IA32_EFER);

	CHECK_EQ(t, efer & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA);
	for (unsigned bit = 1; bit < 8; bit++)
		check_unchanged(t, MSR_IA32_EFER, efer | BIT(bit));
	check_unchanged(t, MSR_IA32_EFER, efer | BIT(9));
	check_unchanged(t, MSR_IA32_EFER, efer | BIT(32));
	check_unchanged(t, MSR_IA32_EFER, efer | BIT(63));
	/* LME cannot change while paging is on. */
	check_unchanged(t, MSR_IA32_EFER, efer & ~(EFER_LME | EFER_LMA));
	check_unchanged(t, MSR_IA32_EFER, efer & ~EFER_LME);
	check_sticks(t, MSR_IA32_EFER, efer ^ EFER_SCE);
	if (has(FEATURE_NX))
		check_sticks(t, MSR_IA32_EFER, efer ^ EFER_NXE);
	else
		check_unchanged(t, MSR_IA32_EFER, efer | EFER_NXE);
}

/* Without NXE bit 63 of an entry is reserved; with it, the page holds no code. */
PROBE_CASE(msr_efer_nx, "msr.efer.nxe_acts", CASE_EACH_CPU)
{
	u8 *page = memory_pages(1);
	u64 va = WINDOW_BASE;
	u64 efer = rdmsr(MSR_IA32_EFER);
	struct fault f;
	u64 value = 0;

	SKIP_UNLESS(t, has(FEATURE_NX), "no execute-disable");
	page[0] = 0xc3;
	memory_map(va, (u64)page, PAGE_SIZE, PAGE_SIZE, PTE_P | PTE_W | BIT(63));
	CHECK_FAULT(t, TRY("mov (%1), %0", : "+r"(value) : "r"(va) : "memory"), VECTOR_PF, 9);
	wrmsr(MSR_IA32_EFER, efer | EFER_NXE);
	invlpg(va);
	CHECK_OK(t, TRY("mov (%1), %0", : "+r"(value) : "r"(va) : "memory"));
	f = try_call((void (*)(void))va);
	CHECK_FAULT(t, f, VECTOR_PF, 0x11);
	CHECK_EQ(t, f.cr2, va);
	memory_map(va, (u64)page, PAGE_SIZE, PAGE_SIZE, PTE_P | PTE_W);
	CHECK_OK(t, try_call((void (*)(void))va));
	wrmsr(MSR_IA32_EFER, efer);
}

PROBE_CASE(msr_apic_base, "msr.apic_base", CASE_EACH_CPU)
{
	u64 base = rdmsr(MSR_IA32_APIC_BASE);

	CHECK(t, base & APIC_BASE_ENABLE, "the local APIC is disabled");
	CHECK(t, !!(base & APIC_BASE_BSP) == !this_cpu()->index, "BSP flag is wrong: %lx", base);
	CHECK_OK(t, try_wrmsr(MSR_IA32_APIC_BASE, base));
	CHECK_EQ(t, rdmsr(MSR_IA32_APIC_BASE), base);
	check_unchanged(t, MSR_IA32_APIC_BASE, base | BIT(0));
	check_unchanged(t, MSR_IA32_APIC_BASE, base | BIT(9));
	check_unchanged(t, MSR_IA32_APIC_BASE, base | BIT(63));
	/* SDM "x2APIC State Transitions": EXTD without EN. */
	check_unchanged(t, MSR_IA32_APIC_BASE, (base & ~APIC_BASE_ENABLE) | APIC_BASE_EXTD);
	/* Back from x2APIC to xAPIC needs the disabled state between. */
	if (base & APIC_BASE_EXTD)
		check_unchanged(t, MSR_IA32_APIC_BASE, base & ~APIC_BASE_EXTD);
}

PROBE_CASE(msr_canonical, "msr.non_canonical_addresses", CASE_EACH_CPU)
{
	const u32 msrs[] = {MSR_IA32_FS_BASE,     MSR_IA32_GS_BASE, MSR_IA32_KERNEL_GS_BASE,
			    MSR_IA32_LSTAR,       MSR_IA32_CSTAR,   MSR_IA32_SYSENTER_ESP,
			    MSR_IA32_SYSENTER_EIP};

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		check_unchanged(t, msrs[i], first_non_canonical());
		check_unchanged(t, msrs[i], ~first_non_canonical());
	}
}

/* What a kernel writes once and needs kept. GS_BASE is this kernel's own. */
PROBE_CASE(msr_stick, "msr.writes_stick", CASE_EACH_CPU)
{
	const u32 msrs[] = {MSR_IA32_FS_BASE, MSR_IA32_KERNEL_GS_BASE, MSR_IA32_LSTAR,
			    MSR_IA32_CSTAR,   MSR_IA32_SYSENTER_ESP,   MSR_IA32_SYSENTER_EIP};

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		check_sticks(t, msrs[i], 0x123456789abc);
		check_sticks(t, msrs[i], first_non_canonical() - 1);
		check_sticks(t, msrs[i], -first_non_canonical());
	}
	check_sticks(t, MSR_IA32_STAR, 0x0023001000000000);
	check_sticks(t, MSR_IA32_SYSENTER_CS, 0x10);
	if (has(FEATURE_RDTSCP))
		check_sticks(t, MSR_IA32_TSC_AUX, 0x89abcdef);
}

PROBE_CASE(msr_pat, "msr.pat", CASE_EACH_CPU)
{
	u64 pat;

	SKIP_UNLESS(t, has(FEATURE_PAT), "no PAT");
	pat = rdmsr(MSR_IA32_PAT);
	for (unsigned entry = 0; entry < 8; entry++) {
		u64 others = pat & ~(0xffull << entry * 8);

		/* SDM "Memory Types That Can Be Encoded With PAT": 2, 3 and 8 up are reserved. */
		check_unchanged(t, MSR_IA32_PAT, others | 2ull << entry * 8);
		check_unchanged(t, MSR_IA32_PAT, others | 3ull << entry * 8);
		check_unchanged(t, MSR_IA32_PAT, others | 8ull << entry * 8);
		check_unchanged(t, MSR_IA32_PAT, others | 0x80ull << entry * 8);
	}
	check_sticks(t, MSR_IA32_PAT, 0x0007040600070406);
	check_sticks(t, MSR_IA32_PAT, 0x0105040600070406);
}

PROBE_CASE(msr_mtrr_same, "msr.mtrr.same_value", CASE_EACH_CPU)
{
	u32 msrs[MTRR_MSRS];
	unsigned n;

	SKIP_UNLESS(t, has(FEATURE_MTRR), "no MTRRs");
	n = mtrr_list(msrs);
	for (unsigned i = 0; i < n; i++) {
		u64 before, after;

		CHECK(t, !try_rdmsr(msrs[i], &before).raised, "RDMSR %x faults", msrs[i]);
		CHECK(t, !try_wrmsr(msrs[i], before).raised, "WRMSR %x faults", msrs[i]);
		CHECK(t, !try_rdmsr(msrs[i], &after).raised, "RDMSR %x faults", msrs[i]);
		CHECK(t, before == after, "MSR %x was %lx, is %lx", msrs[i], before, after);
	}
}

PROBE_CASE(msr_mtrr_bad, "msr.mtrr.bad_values", CASE_EACH_CPU)
{
	u64 cap, def, base, fixed;
	u32 last;

	SKIP_UNLESS(t, has(FEATURE_MTRR), "no MTRRs");
	cap = rdmsr(MSR_IA32_MTRRCAP);
	def = rdmsr(MSR_IA32_MTRR_DEF_TYPE);
	check_unchanged(t, MSR_IA32_MTRRCAP, cap);
	/* SDM "IA32_MTRR_DEF_TYPE MSR": types 2, 3 and from 7 up are reserved, so are bits 9:8. */
	check_unchanged(t, MSR_IA32_MTRR_DEF_TYPE, (def & ~0xffull) | 2);
	check_unchanged(t, MSR_IA32_MTRR_DEF_TYPE, (def & ~0xffull) | 3);
	check_unchanged(t, MSR_IA32_MTRR_DEF_TYPE, (def & ~0xffull) | 7);
	check_unchanged(t, MSR_IA32_MTRR_DEF_TYPE, def | BIT(8));
	check_unchanged(t, MSR_IA32_MTRR_DEF_TYPE, def | BIT(12));
	check_unchanged(t, MSR_IA32_MTRR_DEF_TYPE, def | BIT(63));
	if (cap & 0xff) {
		base = rdmsr(MSR_IA32_MTRR_PHYSBASE0);
		check_unchanged(t, MSR_IA32_MTRR_PHYSBASE0, (base & ~0xffull) | 2);
		check_unchanged(t, MSR_IA32_MTRR_PHYSBASE0, (base & ~0xffull) | 7);
		check_unchanged(t, MSR_IA32_MTRR_PHYSBASE0, base | BIT(8));
		check_unchanged(t, MSR_IA32_MTRR_PHYSBASE0, base | BIT(63));
		check_unchanged(t, MSR_IA32_MTRR_PHYSBASE0 + 1,
				rdmsr(MSR_IA32_MTRR_PHYSBASE0 + 1) | 1);
	}
	last = (u32)(MSR_IA32_MTRR_PHYSBASE0 + 2 * (cap & 0xff));
	CHECK(t, try_rdmsr(last, &base).vector == VECTOR_GP, "MTRR %u exists", (u32)(cap & 0xff));
	if (cap & BIT(8)) {
		fixed = rdmsr(MSR_IA32_MTRR_FIX64K_00000);
		check_unchanged(t, MSR_IA32_MTRR_FIX64K_00000, (fixed & ~0xffull) | 2);
		check_unchanged(t, MSR_IA32_MTRR_FIX64K_00000,
				(fixed & ~BITS(63, 56)) | 7ull << 56);
	}
}

/*
 * SDM "Microcode Update Loader": data that is no update for this processor is not loaded, and the
 * signature stays as it was.
 */
PROBE_CASE(msr_microcode, "msr.microcode_write_harmless", CASE_EACH_CPU)
{
	u8 *nothing = memory_pages(1);
	u64 before, after;

	if (try_rdmsr(MSR_IA32_BIOS_SIGN_ID, &before).raised) {
		run_skip(t, "no IA32_BIOS_SIGN_ID");
		return;
	}
	CHECK_OK(t, try_wrmsr(MSR_IA32_BIOS_UPDT_TRIG, (u64)nothing + 48));
	CHECK_OK(t, try_rdmsr(MSR_IA32_BIOS_SIGN_ID, &after));
	CHECK_EQ(t, after, before);
}

/* The BIOS, or who hides VMX, has locked it; then nothing changes it. */
PROBE_CASE(msr_feature_control, "msr.feature_control", CASE_EACH_CPU)
{
	u64 value;

	if (try_rdmsr(MSR_IA32_FEATURE_CONTROL, &value).raised) {
		CHECK(t, !has(FEATURE_VMX), "IA32_FEATURE_CONTROL is missing, VMX is there");
		return;
	}
	if (!(value & 1)) {
		CHECK(t, has(FEATURE_VMX), "IA32_FEATURE_CONTROL is unlocked, VMX is hidden");
		run_skip(t, "the firmware left it unlocked");
		return;
	}
	CHECK(t, has(FEATURE_VMX) || !(value & 6), "VMX is hidden but enabled: %lx", value);
	check_unchanged(t, MSR_IA32_FEATURE_CONTROL, value);
	check_unchanged(t, MSR_IA32_FEATURE_CONTROL, 0);
	check_unchanged(t, MSR_IA32_FEATURE_CONTROL, value ^ 4);
}

/* SDM volume 1, "Enabling the XSAVE Feature Set…": IA32_XSS bit 8 is Intel PT's, or reserved. */
PROBE_CASE(msr_xss_pt, "msr.xss_without_pt", CASE_EACH_CPU)
{
	u64 before, after;

	if (!has(FEATURE_XSAVE) || !has(FEATURE_XSAVES) || has(FEATURE_PT)) {
		run_skip(t, "no XSAVES, or Intel PT");
		return;
	}
	CHECK_OK(t, try_rdmsr(MSR_IA32_XSS, &before));
	CHECK_GP(t, try_wrmsr(MSR_IA32_XSS, before | BIT(8)));
	CHECK_GP(t, try_wrmsr(MSR_IA32_XSS, BIT(8)));
	CHECK_OK(t, try_rdmsr(MSR_IA32_XSS, &after));
	CHECK_EQ(t, after, before);
}

PROBE_CASE(msr_tsc, "msr.tsc", CASE_EACH_CPU)
{
	u64 a = rdtsc(), b = rdmsr(MSR_IA32_TSC), c = rdtsc();
	u64 adjust, far;

	CHECK(t, a <= b && b <= c, "RDTSC %lx, RDMSR %lx, RDTSC %lx", a, b, c);
	if (try_rdmsr(MSR_IA32_TSC_ADJUST, &adjust).raised)
		return;
	/* SDM "IA32_TSC_ADJUST Register Support": what is added to it is added to the TSC. */
	far = 1ull << 40;
	wrmsr(MSR_IA32_TSC_ADJUST, adjust + far);
	b = rdtsc();
	wrmsr(MSR_IA32_TSC_ADJUST, adjust);
	CHECK(t, b - c >= far && b - c < 2 * far, "TSC %lx, adjusted by %lx is %lx", c, far, b);
	c = rdtsc();
	CHECK(t, c - a < far, "the TSC stayed adjusted: %lx", c);
}

static void user_rdmsr(void *unused)
{
	(void)unused;
	rdmsr(MSR_IA32_TSC);
}

static void user_wrmsr(void *unused)
{
	(void)unused;
	wrmsr(0xdeadbeef, 0);
}

PROBE_CASE(msr_user, "msr.user_mode", CASE_EACH_CPU)
{
	CHECK_GP(t, user_call(user_rdmsr, NULL, 0));
	CHECK_GP(t, user_call(user_wrmsr, NULL, 0));
}
