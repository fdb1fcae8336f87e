/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Loading Host State": what the CPU is like after an exit. */
#include "exits.h"
#include "layout.h"
#include "string.h"

L2_CODE(host_exit, "cpuid");
L2_CODE(host_dirty, "mov %rax, %cr2\nmov %rbx, %dr0\nmov %rcx, %cr8\nstd\ncpuid");

static u32 access_rights(u32 selector)
{
	u32 rights = 0;

	asm volatile("lar %1, %0" : "+r"(rights) : "r"(selector) : "cc");
	return rights;
}

static u64 segment_limit(u32 selector)
{
	u64 limit = 0;

	asm volatile("lsl %1, %0" : "+r"(limit) : "r"((u64)selector) : "cc");
	return limit;
}

PROBE_CASE(host_registers, "vmx.hoststate.registers", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	struct table_pointer gdtr, idtr;
	u64 cr0, cr3 = read_cr3(), cr4, rflags, debugctl;
	u16 selector;

	if (!l2)
		return;
	cr0 = read_cr0();
	cr4 = read_cr4();
	l2_goto(l2, host_dirty);
	l2->regs.rax = 0x123456;
	l2->regs.rbx = 0x777;
	l2->regs.rcx = 3;
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF | VM_STATUS_FLAGS);
	vmcs_set_bits(VMCS_GUEST_CR0, CR0_TS | CR0_MP);
	vmcs_set_bits(VMCS_GUEST_CR4, CR4_PGE | CR4_DE);
	l2_run(l2);
	asm volatile("pushfq\npopq %0" : "=r"(rflags));
	CHECK_EXIT(t, l2, REASON_CPUID);
	/* Not in the VMCS: they are L2's now. */
	CHECK_EQ(t, read_cr2(), 0x123456);
	CHECK_EQ(t, read_dr0(), 0x777);
	CHECK_EQ(t, read_cr8(), 3);
	CHECK_EQ(t, l2->exit.rflags & RFLAGS_DF, RFLAGS_DF);
	/* In the VMCS. */
	CHECK_EQ(t, read_cr0(), cr0);
	CHECK_EQ(t, read_cr3(), cr3);
	CHECK_EQ(t, read_cr4(), cr4);
	CHECK_EQ(t, read_dr7(), DR7_INIT);
	CHECK_EQ(t, rflags & (RFLAGS_IF | RFLAGS_DF | RFLAGS_TF), 0);
	if (!try_rdmsr(MSR_IA32_DEBUGCTL, &debugctl).raised)
		CHECK_EQ(t, debugctl, 0);
	CHECK_EQ(t, rdmsr(MSR_IA32_EFER), EFER_LME | EFER_LMA);
	CHECK_EQ(t, rdmsr(MSR_IA32_GS_BASE), (u64)this_cpu());
	/* "The limits are FFFFH." */
	asm volatile("sgdt %0" : "=m"(gdtr));
	asm volatile("sidt %0" : "=m"(idtr));
	CHECK_EQ(t, gdtr.limit, 0xffff);
	CHECK_EQ(t, gdtr.base, (u64)this_cpu()->gdt);
	CHECK_EQ(t, idtr.limit, 0xffff);
	asm volatile("sldt %0" : "=r"(selector));
	CHECK_EQ(t, selector, 0);
	asm volatile("str %0" : "=r"(selector));
	CHECK_EQ(t, selector, SEL_TSS64);
	CHECK_EQ(t, segment_limit(SEL_TSS64), sizeof(struct tss64) - 1);
	CHECK_EQ(t, access_rights(SEL_TSS64) & 0xff00, 0x8b00);
	write_cr8(0);
	asm volatile("mov %0, %%dr0" : : "r"(0ull));
}

PROBE_CASE(host_selectors, "vmx.hoststate.selectors", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u16 ds, es, ss, fs;

	if (!l2)
		return;
	vmwrite(VMCS_HOST_DS_SELECTOR, 0);
	vmwrite(VMCS_HOST_ES_SELECTOR, SEL_CODE32);
	vmwrite(VMCS_HOST_FS_SELECTOR, SEL_DATA);
	vmwrite(VMCS_HOST_FS_BASE, 0x7654321000);
	vmwrite(VMCS_HOST_SS_SELECTOR, 0);
	L2_EXITS(t, l2, host_exit, REASON_CPUID, 0);
	asm volatile("mov %%ds, %0\nmov %%es, %1\nmov %%ss, %2\nmov %%fs, %3"
		     : "=r"(ds), "=r"(es), "=r"(ss), "=r"(fs));
	CHECK_EQ(t, ds, 0);
	CHECK_EQ(t, es, SEL_CODE32);
	CHECK_EQ(t, ss, 0);
	CHECK_EQ(t, fs, SEL_DATA);
	CHECK_EQ(t, rdmsr(MSR_IA32_FS_BASE), 0x7654321000);
	wrmsr(MSR_IA32_FS_BASE, 0);
	trap_reload(this_cpu());
}

PROBE_CASE(host_msrs, "vmx.hoststate.msrs", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 pat = rdmsr(MSR_IA32_PAT);

	if (!l2)
		return;
	vmwrite(VMCS_HOST_SYSENTER_CS, 0x1234);
	vmwrite(VMCS_HOST_SYSENTER_ESP, 0x1122334455);
	vmwrite(VMCS_HOST_SYSENTER_EIP, 0xffff888877776666);
	vmwrite(VMCS_GUEST_SYSENTER_CS, 0x4321);
	L2_EXITS(t, l2, host_exit, REASON_CPUID, 0);
	CHECK_EQ(t, rdmsr(MSR_IA32_SYSENTER_CS), 0x1234);
	CHECK_EQ(t, rdmsr(MSR_IA32_SYSENTER_ESP), 0x1122334455);
	CHECK_EQ(t, rdmsr(MSR_IA32_SYSENTER_EIP), 0xffff888877776666);
	CHECK_EQ(t, vmread(VMCS_GUEST_SYSENTER_CS), 0x4321);
	wrmsr(MSR_IA32_SYSENTER_CS, 0);
	wrmsr(MSR_IA32_SYSENTER_ESP, 0);
	wrmsr(MSR_IA32_SYSENTER_EIP, 0);

	/* EFER: loaded and saved, or as it was. */
	if (l2_enable(CTL_EXIT, EXIT_LOAD_EFER | EXIT_SAVE_EFER) &&
	    l2_enable(CTL_ENTRY, ENTRY_LOAD_EFER)) {
		vmcs_set_bits(VMCS_GUEST_EFER, EFER_SCE);
		vmcs_set_bits(VMCS_HOST_EFER, EFER_NXE);
		L2_EXITS(t, l2, host_exit, REASON_CPUID, 0);
		CHECK_EQ(t, rdmsr(MSR_IA32_EFER), EFER_LME | EFER_LMA | EFER_NXE);
		CHECK_EQ(t, vmread(VMCS_GUEST_EFER), EFER_LME | EFER_LMA | EFER_SCE);
		l2_disable(CTL_EXIT, EXIT_LOAD_EFER);
		L2_EXITS(t, l2, host_exit, REASON_CPUID, 0);
		CHECK_EQ(t, rdmsr(MSR_IA32_EFER), EFER_LME | EFER_LMA | EFER_SCE);
		l2_enable(CTL_EXIT, EXIT_LOAD_EFER);
		vmwrite(VMCS_HOST_EFER, EFER_LME | EFER_LMA);
		L2_EXITS(t, l2, host_exit, REASON_CPUID, 0);
	}
	/* PAT: the same. */
	if (l2_enable(CTL_EXIT, EXIT_LOAD_PAT | EXIT_SAVE_PAT) &&
	    l2_enable(CTL_ENTRY, ENTRY_LOAD_PAT)) {
		vmwrite(VMCS_GUEST_PAT, 0x0606060606060606);
		vmwrite(VMCS_HOST_PAT, 0x0007040600070400);
		L2_EXITS(t, l2, host_exit, REASON_CPUID, 0);
		CHECK_EQ(t, rdmsr(MSR_IA32_PAT), 0x0007040600070400);
		CHECK_EQ(t, vmread(VMCS_GUEST_PAT), 0x0606060606060606);
		l2_disable(CTL_EXIT, EXIT_LOAD_PAT);
		L2_EXITS(t, l2, host_exit, REASON_CPUID, 0);
		CHECK_EQ(t, rdmsr(MSR_IA32_PAT), 0x0606060606060606);
		/* Neither loaded nor saved: what L1 has is what L2 has, and the field stays. */
		l2_disable(CTL_EXIT, EXIT_SAVE_PAT);
		l2_disable(CTL_ENTRY, ENTRY_LOAD_PAT);
		wrmsr(MSR_IA32_PAT, pat);
		L2_EXITS(t, l2, host_exit, REASON_CPUID, 0);
		CHECK_EQ(t, rdmsr(MSR_IA32_PAT), pat);
		CHECK_EQ(t, vmread(VMCS_GUEST_PAT), 0x0606060606060606);
	}
	wrmsr(MSR_IA32_PAT, pat);
}

/* SDM "VM-Entry Failures During or After Loading Guest State": host state is loaded there too. */
PROBE_CASE(host_after_failure, "vmx.hoststate.after_failed_entry", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	struct table_pointer gdtr;

	if (!l2)
		return;
	trap_reload(this_cpu());
	l2_goto(l2, host_exit);
	vmwrite(VMCS_GUEST_RFLAGS, 0);
	vmwrite(VMCS_HOST_SYSENTER_CS, 0x99);
	l2_run(l2);
	CHECK_EXIT_QUAL(t, l2, REASON_ENTRY_FAIL_GUEST | (u32)EXIT_REASON_ENTRY_FAIL, 0);
	CHECK_EQ(t, rdmsr(MSR_IA32_SYSENTER_CS), 0x99);
	asm volatile("sgdt %0" : "=m"(gdtr));
	CHECK_EQ(t, gdtr.limit, 0xffff);
	/* And not where the entry fails before. */
	trap_reload(this_cpu());
	vmwrite(VMCS_HOST_SYSENTER_CS, 0x77);
	vmwrite(VMCS_HOST_CS_SELECTOR, 0);
	CHECK_VM(t, l2_run(l2), VM_FAIL(VMERR_ENTRY_INVALID_HOST_STATE));
	CHECK_EQ(t, rdmsr(MSR_IA32_SYSENTER_CS), 0x99);
	asm volatile("sgdt %0" : "=m"(gdtr));
	CHECK_EQ(t, gdtr.limit, sizeof(this_cpu()->gdt) - 1);
	wrmsr(MSR_IA32_SYSENTER_CS, 0);
}
