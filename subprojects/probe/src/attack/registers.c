/* SPDX-License-Identifier: BSD-2-Clause */
/* MSRs, control and debug registers, CPUID: tried with any value, and put back. */
#include "attack/attack.h"
#include "features.h"
#include "layout.h"

/* This kernel stands on them: GS base, time, its local APIC, its memory types' default. */
static bool is_needed(u32 msr)
{
	switch (msr) {
	case MSR_IA32_TSC:
	case MSR_IA32_APIC_BASE:
	case MSR_IA32_TSC_ADJUST:
	case MSR_IA32_TSC_DEADLINE:
	case MSR_IA32_GS_BASE:
	case MSR_IA32_SMBASE:
	case MSR_IA32_MTRRCAP: /* read-only; Bochs 3.1 ends itself at a write */
		return true;
	default:
		/* Writes to the local APIC's registers are commands, not values. */
		return msr >= MSR_X2APIC_BASE && msr < MSR_X2APIC_BASE + 0x100;
	}
}

/* Registers that hold addresses, make the CPU write memory, or that a hypervisor keeps. */
static const u32 msrs[] = {
	MSR_IA32_FEATURE_CONTROL,
	MSR_IA32_BIOS_UPDT_TRIG,
	MSR_IA32_PAT,
	MSR_IA32_MISC_ENABLE,
	MSR_IA32_DEBUGCTL,
	MSR_IA32_SYSENTER_CS,
	MSR_IA32_SYSENTER_ESP,
	MSR_IA32_SYSENTER_EIP,
	MSR_IA32_EFER,
	MSR_IA32_STAR,
	MSR_IA32_LSTAR,
	MSR_IA32_FMASK,
	MSR_IA32_FS_BASE,
	MSR_IA32_KERNEL_GS_BASE,
	MSR_IA32_XSS,
	0x8b,  /* microcode revision */
	0x9b,  /* IA32_SMM_MONITOR_CTL */
	0xc1,  /* IA32_PMC0 */
	0xfe,  /* IA32_MTRRCAP */
	0x122, /* IA32_TSX_CTRL */
	0x17a, /* IA32_MCG_STATUS */
	0x1d9, /* IA32_DEBUGCTL once more: bits for branch traces */
	0x1f2, /* IA32_SMRR_PHYSBASE */
	0x200, /* the first variable MTRR, base and mask */
	0x201,
	0x24f, /* no MTRR */
	0x250, /* IA32_MTRR_FIX64K_00000 */
	0x2ff, /* IA32_MTRR_DEF_TYPE */
	0x38f, /* IA32_PERF_GLOBAL_CTRL */
	0x3f1, /* IA32_PEBS_ENABLE */
	0x3f4, /* IA32_PEBS_BASE */
	0x480, /* IA32_VMX_BASIC and what follows */
	0x48c,
	0x491,
	0x560, /* IA32_RTIT_OUTPUT_BASE */
	0x570, /* IA32_RTIT_CTL */
	0x600, /* IA32_DS_AREA */
	0x6a0, /* IA32_U_CET */
	0x6a2, /* IA32_S_CET */
	0x6e1, /* IA32_PKRS */
	0x981, /* IA32_TME_CAPABILITY, _ACTIVATE */
	0x982,
	0x14ce, /* IA32_LBR_CTL */
	0x17d0, /* IA32_HW_FEEDBACK_PTR, _CONFIG */
	0x17d1,
	0x40000000,
	0xc0000103, /* IA32_TSC_AUX */
};

static u32 choose_msr(void)
{
	switch (choice_below(6)) {
	case 0:
		return (u32)choice_below(0x2000);
	case 1:
		return (u32)(0xc0000000 + choice_below(0x2000));
	case 2:
		return (u32)choice();
	default:
		return CHOICE_OF(msrs);
	}
}

/* What a hypervisor may keep to itself, so that two machines differ. */
static bool is_alike(u32 msr)
{
	return msr >= 0xc0000080 && msr < 0xc0000104;
}

static u64 choose_value(const struct attacker *a, u64 old)
{
	switch (choice_below(4)) {
	case 0:
		return attack_target(a) | choice_below(PAGE_SIZE);
	case 1:
		return choice();
	default:
		return choice_near(old, 64);
	}
}

/* By a list of one, or by the older instruction. */
static struct fault read_by(bool list, u32 msr, u64 *value)
{
	u64 number = msr, which = 1;

	return list ? try_rdmsrlist(&number, value, &which) : try_rdmsr(msr, value);
}

static struct fault write_by(bool list, u32 msr, u64 value)
{
	u64 number = msr, which = 1;

	return list ? try_wrmsrlist(&number, &value, &which) : try_wrmsr(msr, value);
}

void attack_msr(struct attacker *a)
{
	const u32 msr = choose_msr();
	const bool list = one_in(3) && has(FEATURE_MSRLIST);
	u64 old = 0, now = 0, value;
	struct fault f = read_by(list, msr, &old);

	if (is_alike(msr))
		attack_see_fault(a, "RDMSR", f);
	if (is_needed(msr))
		return;
	value = choose_value(a, old);
	f = write_by(list, msr, value);
	if (is_alike(msr))
		attack_see_fault(a, "WRMSR", f);
	if (f.raised)
		return;
	try_rdmsr(msr, &now);
	if (is_alike(msr))
		attack_see(a, "MSR", now);
	try_wrmsr(msr, old);
}

static void attack_cr4(struct attacker *a)
{
	/*
	 * Pages of this kernel are user pages in the lower half, and it is in VMX operation or not.
	 */
	const u64 never = CR4_SMEP | CR4_SMAP | CR4_LASS | CR4_VMXE | CR4_SMXE;
	const u64 old = read_cr4(), value = choice_near(old, 32) & ~never;
	struct fault f = try_write_cr4(value | (old & CR4_VMXE));

	if (!f.raised)
		f = try_write_cr4(old);
	attack_see_fault(a, "CR4", f);
}

static void attack_cr0(struct attacker *a)
{
	const u64 old = read_cr0();
	struct fault f = try_write_cr0(choice_near(old, 64));

	if (!f.raised)
		write_cr0(old);
	attack_see_fault(a, "CR0", f);
	if (one_in(2)) {
		asm volatile("lmsw %w0" : : "r"((u16)choice()) : "memory");
		attack_see(a, "LMSW", read_cr0());
		write_cr0(old);
	}
	asm volatile("clts" : : : "memory");
}

/* With the tables that are in use, and any other bit: another table would end this kernel. */
static void attack_cr3(struct attacker *a)
{
	const u64 old = read_cr3();
	const u64 value = old | choice_below(PAGE_SIZE) |
			  1ull << (vmx_address_bits() + choice_below(64 - vmx_address_bits()));
	struct fault f = try_write_cr3(one_in(2) ? value : old | choice_below(PAGE_SIZE));

	if (!f.raised)
		write_cr3(old);
	attack_see_fault(a, "CR3", f);
}

static void attack_xcr0(struct attacker *a)
{
	const u64 cr4 = read_cr4();
	struct fault f;
	u64 old;

	if (!has(FEATURE_XSAVE))
		return;
	write_cr4(cr4 | CR4_OSXSAVE);
	old = xgetbv(0);
	f = try_xsetbv(one_in(4) ? (u32)choice_below(4) : 0, choice_near(old, 64));
	xsetbv(0, old);
	write_cr4(cr4);
	/* Components that a hypervisor hides: not alike. */
	if (f.raised)
		STEP_CHECK(a, f.vector == VECTOR_GP, "XSETBV: %s", vector_name(f.vector));
}

static void attack_debug(struct attacker *a)
{
	const u64 value = choice_near(0x400, 32) & ~BIT(13);
	/* Not among what this kernel runs or touches. */
	const u64 breakpoint = BIT(46) | choice_below(PAGE_SIZE);
	struct fault f;

	write_dr0(breakpoint);
	write_dr3(breakpoint);
	f = TRY("mov %0, %%dr7", : : "r"(one_in(4) ? choice() | BIT(40) : value) : "memory");
	attack_see_fault(a, "DR7", f);
	attack_see(a, "DR7", read_dr7());
	write_dr7(0x400);
	f = TRY("mov %0, %%dr6", : : "r"(choice_near(0xffff0ff0, 64)) : "memory");
	attack_see_fault(a, "DR6", f);
	write_dr6(0xffff0ff0);
}

static void attack_cr8(struct attacker *a)
{
	struct fault f = try_write_cr8(choice_near(0, one_in(2) ? 4 : 64));

	attack_see_fault(a, "CR8", f);
	attack_see(a, "CR8", read_cr8());
	write_cr8(0);
}

void attack_control_register(struct attacker *a)
{
	static void (*const ways[])(struct attacker * a) = {
		attack_cr0, attack_cr3, attack_cr4, attack_cr8, attack_xcr0, attack_debug,
	};

	CHOICE_OF(ways)(a);
}

void attack_identify(struct attacker *a)
{
	static const u32 ranges[] = {0, 0, 0x20, 0x40000000, 0x80000000, 0x80000000};
	const u32 leaf = one_in(8) ? (u32)choice() : CHOICE_OF(ranges) + (u32)choice_below(0x24);
	struct cpuid r = cpuid(leaf, (u32)choice_below(one_in(4) ? 1ull << 32 : 8));

	(void)r;
	/* The same CPU as a moment ago. */
	r = cpuid(0x80000008, 0);
	attack_see(a, "CPUID", r.eax);
	asm volatile("wbinvd" : : : "memory");
}
