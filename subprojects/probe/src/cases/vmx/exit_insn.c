/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Instructions That Cause VM Exits Unconditionally", "… Conditionally": those without tables.
 */
#include "exits.h"
#include "features.h"

L2_CODE(insn_cpuid, "cpuid");
L2_CODE(insn_invd, "invd");
L2_CODE(insn_vmcall, "");
L2_CODE(insn_getsec, "getsec");
L2_CODE(insn_xsetbv, "xsetbv");
L2_CODE(insn_rsm, "rsm");
L2_CODE(insn_hlt, "hlt");
L2_CODE(insn_invlpg, "invlpg 0x12345(%rdi)");
L2_CODE(insn_rdpmc, "rdpmc");
L2_CODE(insn_rdtsc, "rdtsc");
L2_CODE(insn_rdtscp, "rdtscp");
L2_CODE(insn_mwait, "mwait");
L2_CODE(insn_monitor, "monitor");
L2_CODE(insn_pause, "pause");
L2_CODE(insn_wbinvd, "wbinvd");
L2_CODE(insn_rdrand, "rdrand %r9d");
L2_CODE(insn_rdseed, "rdseed %r10");
L2_CODE(insn_invpcid, "invpcid 8(%rbx,%rcx,4), %r9");
L2_CODE(insn_ud2, "ud2");
L2_CODE(insn_nop, "nop");

PROBE_CASE(exit_always, "vmx.exit.unconditional", CASE_EACH_CPU)
{
	static const struct insn_exit rows[] = {
		{insn_cpuid, REASON_CPUID, 0, 2, 0, 0},
		{insn_vmcall, REASON_VMCALL, 0, 3, 0, 0},
		{insn_invd, REASON_INVD, 0, 2, 0, 0},
	};
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		check_insn_exit(t, __LINE__, l2, &rows[i]);
	/* SDM "Relative Priority of Faults and VM Exits": privilege first, for those that have it.
	 */
	l2_goto_user(l2, insn_cpuid);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_CPUID);
	l2_goto_user(l2, insn_vmcall);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_USER_FAULT(t, l2, insn_invd, VECTOR_GP);
	CHECK_USER_FAULT(t, l2, insn_rsm, VECTOR_UD);
	CHECK_USER_FAULT(t, l2, insn_ud2, VECTOR_UD);
	/* Not in SMM; SMX is not enabled. */
	L2_EXITS(t, l2, insn_rsm, REASON_EXCEPTION_NMI, 0);
	CHECK_EXCEPTION(t, l2, VECTOR_UD, 0, 0);
	L2_EXITS(t, l2, insn_getsec, REASON_EXCEPTION_NMI, 0);
	CHECK_EXCEPTION(t, l2, VECTOR_UD, 0, 0);
}

/* All general registers arrive, and go back. */
PROBE_CASE(exit_registers, "vmx.exit.registers", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 *regs, rsp;

	if (!l2)
		return;
	l2_goto(l2, insn_cpuid);
	regs = &l2->regs.rax;
	for (unsigned i = 0; i < 16; i++)
		regs[i] = 0x1111111111111111 * i + 7;
	rsp = vmread(VMCS_GUEST_RSP);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | VM_STATUS_FLAGS | RFLAGS_DF);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_CPUID, 0);
	for (unsigned i = 0; i < 16; i++)
		if (i != 4)
			CHECK(t, regs[i] == 0x1111111111111111 * i + 7, "register %u: %lx", i,
			      regs[i]);
	CHECK_EQ(t, l2->exit.rsp, rsp);
	CHECK_EQ(t, l2->exit.rflags, RFLAGS_FIXED | VM_STATUS_FLAGS | RFLAGS_DF);
	l2_skip(l2);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_VMCALL, 0);
	for (unsigned i = 0; i < 16; i++)
		if (i != 4)
			CHECK(t, regs[i] == 0x1111111111111111 * i + 7, "register %u: %lx", i,
			      regs[i]);
	CHECK_EQ(t, l2->exit.rflags, RFLAGS_FIXED | VM_STATUS_FLAGS | RFLAGS_DF);
}

PROBE_CASE(exit_xsetbv, "vmx.exit.xsetbv", CASE_EACH_CPU)
{
	static const struct insn_exit row = {insn_xsetbv, REASON_XSETBV, 0, 3, 0, 0};
	struct l2 *l2;

	SKIP_UNLESS(t, has(FEATURE_XSAVE), "no XSAVE");
	l2 = l2_begin(t);
	if (!l2)
		return;
	/* CR4.OSXSAVE is 0. */
	L2_EXITS(t, l2, insn_xsetbv, REASON_EXCEPTION_NMI, 0);
	CHECK_EXCEPTION(t, l2, VECTOR_UD, 0, 0);
	vmcs_set_bits(VMCS_GUEST_CR4, CR4_OSXSAVE);
	check_insn_exit(t, __LINE__, l2, &row);
	/* Bad operands are the hypervisor's to judge. */
	l2_goto(l2, insn_xsetbv);
	l2->regs.rcx = 77;
	l2->regs.rax = 0;
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_XSETBV, 0);
}

struct conditional {
	struct insn_exit exit;
	enum vmx_ctl ctl;
	u64 bits;
	bool runs; /* without the control it can be executed here */
	u8 user;   /* the fault at CPL 3 although the control is set; 0: it exits */
};

static const struct conditional conditionals[] = {
	{{insn_hlt, REASON_HLT, 0, 1, 0, 0}, CTL_CPU, CPU_HLT_EXITING, false, VECTOR_GP},
	{{insn_invlpg, REASON_INVLPG, 0x12345, 7, 0, 0},
	 CTL_CPU,
	 CPU_INVLPG_EXITING,
	 true,
	 VECTOR_GP},
	{{insn_rdtsc, REASON_RDTSC, 0, 2, 0, 0}, CTL_CPU, CPU_RDTSC_EXITING, true, 0},
	{{insn_rdpmc, REASON_RDPMC, 0, 2, 0, 0}, CTL_CPU, CPU_RDPMC_EXITING, false, VECTOR_GP},
	{{insn_pause, REASON_PAUSE, 0, 2, 0, 0}, CTL_CPU, CPU_PAUSE_EXITING, true, 0},
	{{insn_wbinvd, REASON_WBINVD, 0, 2, 0, 0}, CTL_CPU2, CPU2_WBINVD_EXITING, true, VECTOR_GP},
};

PROBE_CASE(exit_conditional, "vmx.exit.conditional", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(conditionals); i++) {
		const struct conditional *c = &conditionals[i];

		if (!l2_enable(c->ctl, c->bits))
			continue;
		check_insn_exit(t, __LINE__, l2, &c->exit);
		l2_goto_user(l2, c->exit.code);
		l2_run(l2);
		if (c->user)
			CHECK_EXCEPTION(t, l2, c->user, 0, 0);
		else
			CHECK_EXIT(t, l2, c->exit.reason);
		if (c->runs && l2_disable(c->ctl, c->bits))
			CHECK_NO_EXIT(t, l2, c->exit.code);
	}
}

/* "RDTSCP: … enable RDTSCP … and RDTSC exiting": without the first it is #UD, exits or not. */
PROBE_CASE(exit_rdtscp, "vmx.exit.rdtscp", CASE_EACH_CPU)
{
	static const struct insn_exit row = {insn_rdtscp, REASON_RDTSCP, 0, 3, 0, 0};
	struct l2 *l2;

	SKIP_UNLESS(t, has(FEATURE_RDTSCP), "no RDTSCP");
	l2 = l2_begin(t);
	if (!l2)
		return;
	L2_NEED(t, CTL_CPU2, CPU2_RDTSCP);
	L2_NEED(t, CTL_CPU, CPU_RDTSC_EXITING);
	check_insn_exit(t, __LINE__, l2, &row);
	l2_disable(CTL_CPU2, CPU2_RDTSCP);
	L2_EXITS(t, l2, insn_rdtscp, REASON_EXCEPTION_NMI, 0);
	CHECK_EXCEPTION(t, l2, VECTOR_UD, 0, 0);
	l2_disable(CTL_CPU, CPU_RDTSC_EXITING);
	L2_EXITS(t, l2, insn_rdtscp, REASON_EXCEPTION_NMI, 0);
	CHECK_EXCEPTION(t, l2, VECTOR_UD, 0, 0);
	l2_enable(CTL_CPU2, CPU2_RDTSCP);
	CHECK_NO_EXIT(t, l2, insn_rdtscp);
}

PROBE_CASE(exit_invpcid, "vmx.exit.invpcid", CASE_EACH_CPU)
{
	static const struct insn_exit row = {
		insn_invpcid,
		REASON_INVPCID,
		8,
		8,
		INFO_MEMORY | INFO_REG2_MASK,
		INFO_SCALE_4 | INFO_ADDRESS_64 | INFO_SEGMENT(SEG_DS) | INFO_INDEX(1) |
			INFO_BASE(3) | INFO_REG2(9),
	};
	struct l2 *l2;

	SKIP_UNLESS(t, has(FEATURE_INVPCID), "no INVPCID");
	l2 = l2_begin(t);
	if (!l2)
		return;
	L2_EXITS(t, l2, insn_invpcid, REASON_EXCEPTION_NMI, 0);
	CHECK_EXCEPTION(t, l2, VECTOR_UD, 0, 0);
	L2_NEED(t, CTL_CPU2, CPU2_INVPCID);
	L2_NEED(t, CTL_CPU, CPU_INVLPG_EXITING);
	check_insn_exit(t, __LINE__, l2, &row);
	l2_disable(CTL_CPU, CPU_INVLPG_EXITING);
	l2_goto(l2, insn_invpcid);
	l2->regs.rbx = (u64)l2->stack_top - 128;
	l2->regs.r9 = 2;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
}

/*
 * SDM "Relative Priority of Faults and VM Exits": "Certain exceptions have priority over VM exits.
 * These include … faults based on privilege level". Bochs 2.7 exits.
 */
PROBE_CASE(exit_priority, "vmx.exit.privilege_before_exit", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	if (has(FEATURE_XSAVE)) {
		vmcs_set_bits(VMCS_GUEST_CR4, CR4_OSXSAVE);
		CHECK_USER_FAULT(t, l2, insn_xsetbv, VECTOR_GP);
	}
	if (has(FEATURE_INVPCID) && l2_enable(CTL_CPU2, CPU2_INVPCID) &&
	    l2_enable(CTL_CPU, CPU_INVLPG_EXITING))
		CHECK_USER_FAULT(t, l2, insn_invpcid, VECTOR_GP);
}

PROBE_CASE(exit_monitor, "vmx.exit.monitor_mwait", CASE_EACH_CPU)
{
	struct l2 *l2;

	SKIP_UNLESS(t, cpuid(1, 0).ecx & BIT(3), "no MONITOR");
	l2 = l2_begin(t);
	if (!l2)
		return;
	L2_NEED(t, CTL_CPU, CPU_MONITOR_EXITING | CPU_MWAIT_EXITING);
	L2_EXITS(t, l2, insn_monitor, REASON_MONITOR, 0);
	CHECK_EQ(t, l2->exit.length, 3);
	l2_goto(l2, insn_mwait);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_MWAIT);
	CHECK_EQ(t, l2->exit.length, 3);
	/* Bit 0 is 1 if the monitor was armed: it was not. */
	CHECK_EQ(t, l2->exit.qualification & ~1ull, 0);
	CHECK_USER_FAULT(t, l2, insn_monitor, VECTOR_UD);
	CHECK_USER_FAULT(t, l2, insn_mwait, VECTOR_UD);
	l2_disable(CTL_CPU, CPU_MONITOR_EXITING);
	l2_goto(l2, insn_monitor);
	l2->regs.rax = (u64)l2->stack_top - 128;
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
}

PROBE_CASE(exit_random, "vmx.exit.rdrand_rdseed", CASE_EACH_CPU)
{
	static const struct insn_exit rdrand = {
		insn_rdrand,      REASON_RDRAND, 0, 4, (u32)(BITS(6, 3) | BITS(12, 11)),
		9 << 3 | 1 << 11,
	};
	static const struct insn_exit rdseed = {
		insn_rdseed,       REASON_RDSEED, 0, 4, (u32)(BITS(6, 3) | BITS(12, 11)),
		10 << 3 | 2 << 11,
	};
	struct l2 *l2 = l2_begin(t);
	bool any = false;

	if (!l2)
		return;
	if (cpuid(1, 0).ecx & BIT(30) && l2_enable(CTL_CPU2, CPU2_RDRAND_EXITING)) {
		any = true;
		check_insn_exit(t, __LINE__, l2, &rdrand);
		l2_disable(CTL_CPU2, CPU2_RDRAND_EXITING);
		CHECK_NO_EXIT(t, l2, insn_rdrand);
	}
	if (cpuid(7, 0).ebx & BIT(18) && l2_enable(CTL_CPU2, CPU2_RDSEED_EXITING)) {
		any = true;
		check_insn_exit(t, __LINE__, l2, &rdseed);
		l2_disable(CTL_CPU2, CPU2_RDSEED_EXITING);
		CHECK_NO_EXIT(t, l2, insn_rdseed);
	}
	SKIP_UNLESS(t, any, "no RDRAND or RDSEED exiting");
}

/* SDM "Instruction … Relative Priority": instruction exits do not disturb what is pending. */
PROBE_CASE(exit_interrupt_shadow, "vmx.exit.shadow_after_skip", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	/* The exit is a fault's place in time: the shadow of an STI before it is still there. */
	l2_goto(l2, insn_cpuid);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_CPUID);
	CHECK_EQ(t, l2->exit.interruptibility, INTERRUPTIBILITY_STI);
	/* An instruction that completes ends it. */
	l2_goto(l2, insn_nop);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	CHECK_EQ(t, l2->exit.interruptibility, 0);
}
