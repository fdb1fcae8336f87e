/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/l2.h"

#include <x86/ept.h>

#include "layout.h"
#include "string.h"
#include "vmx/enter.h"

enum {
	IDT_PAGES = 1,
	STACK_PAGES = 2,
	GATE_TYPE = 0xee, /* interrupt gate, DPL 3, so that CPL 3 may INT n */
	AR_DPL3 = 0x60,
};

_Static_assert(VMCS_HOST_RSP == ENTER_HOST_RSP, "enter.S writes it");

extern const u8 l2_exited[], l2_gates[];

static void write_controls(void)
{
	static const u32 wanted[CTL_COUNT] = {
		[CTL_PIN] = PIN_EXT_INTR_EXITING | PIN_NMI_EXITING,
		[CTL_CPU] = CPU_HLT_EXITING,
		[CTL_EXIT] = EXIT_HOST_64BIT | EXIT_SAVE_EFER | EXIT_LOAD_EFER,
		[CTL_ENTRY] = ENTRY_IA32E_GUEST | ENTRY_LOAD_EFER,
	};

	for (enum vmx_ctl ctl = 0; ctl < CTL_COUNT; ctl++) {
		u32 may = vmx_ctl_may(ctl);

		if (vmx_ctl_exists(ctl))
			vmwrite(vmx_ctl_field(ctl), (wanted[ctl] & may) | vmx_ctl_must(ctl));
	}
	vmwrite(VMCS_EXCEPTION_BITMAP, 0xffffffff);
	vmwrite(VMCS_PF_ERROR_CODE_MASK, 0);
	vmwrite(VMCS_PF_ERROR_CODE_MATCH, 0);
	vmwrite(VMCS_CR3_TARGET_COUNT, 0);
	vmwrite(VMCS_VM_EXIT_MSR_STORE_COUNT, 0);
	vmwrite(VMCS_VM_EXIT_MSR_LOAD_COUNT, 0);
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmwrite(VMCS_CR0_GUEST_HOST_MASK, 0);
	vmwrite(VMCS_CR4_GUEST_HOST_MASK, 0);
	vmwrite(VMCS_CR0_READ_SHADOW, 0);
	vmwrite(VMCS_CR4_READ_SHADOW, 0);
	vmwrite(VMCS_TSC_OFFSET, 0);
	l2_inject(0, 0, 0);
}

static void write_host(void)
{
	struct cpu *cpu = this_cpu();
	struct table_pointer idtr;

	asm volatile("sidt %0" : "=m"(idtr));
	vmwrite(VMCS_HOST_CR0, read_cr0());
	vmwrite(VMCS_HOST_CR3, read_cr3());
	vmwrite(VMCS_HOST_CR4, read_cr4());
	vmwrite(VMCS_HOST_CS_SELECTOR, SEL_CODE64);
	vmwrite(VMCS_HOST_SS_SELECTOR, SEL_DATA);
	vmwrite(VMCS_HOST_DS_SELECTOR, SEL_DATA);
	vmwrite(VMCS_HOST_ES_SELECTOR, SEL_DATA);
	vmwrite(VMCS_HOST_FS_SELECTOR, 0);
	vmwrite(VMCS_HOST_GS_SELECTOR, 0);
	vmwrite(VMCS_HOST_TR_SELECTOR, SEL_TSS64);
	vmwrite(VMCS_HOST_FS_BASE, 0);
	vmwrite(VMCS_HOST_GS_BASE, (u64)cpu);
	vmwrite(VMCS_HOST_TR_BASE, (u64)&cpu->tss);
	vmwrite(VMCS_HOST_GDTR_BASE, (u64)cpu->gdt);
	vmwrite(VMCS_HOST_IDTR_BASE, idtr.base);
	vmwrite(VMCS_HOST_SYSENTER_CS, 0);
	vmwrite(VMCS_HOST_SYSENTER_ESP, 0);
	vmwrite(VMCS_HOST_SYSENTER_EIP, 0);
	vmwrite(VMCS_HOST_RIP, (u64)l2_exited);
	if (vmx_has(CTL_EXIT, EXIT_LOAD_EFER))
		vmwrite(VMCS_HOST_EFER, rdmsr(MSR_IA32_EFER));
	if (vmx_has(CTL_EXIT, EXIT_LOAD_PAT))
		vmwrite(VMCS_HOST_PAT, rdmsr(MSR_IA32_PAT));
}

static void fill_idt(u64 *idt)
{
	for (unsigned i = 0; i < 256; i++) {
		u64 entry = (u64)l2_gates + (u64)i * L2_GATE_SIZE;

		idt[2 * i] = (entry & 0xffff) | (u64)SEL_CODE64 << 16 | (u64)GATE_TYPE << 40 |
			     (entry >> 16 & 0xffff) << 48;
		idt[2 * i + 1] = entry >> 32;
	}
}

static void write_guest(void)
{
	struct cpu *cpu = this_cpu();
	u64 *idt = vmx_pages(IDT_PAGES);

	fill_idt(idt);
	vmwrite(VMCS_GUEST_CR0, read_cr0());
	vmwrite(VMCS_GUEST_CR3, read_cr3());
	vmwrite(VMCS_GUEST_CR4, read_cr4());
	vmwrite(VMCS_GUEST_DR7, DR7_INIT);
	vmwrite_segment(SEG_ES, SEL_DATA, 0, 0xffffffff, AR_DATA32);
	vmwrite_segment(SEG_CS, SEL_CODE64, 0, 0xffffffff, AR_CODE64);
	vmwrite_segment(SEG_SS, SEL_DATA, 0, 0xffffffff, AR_DATA32);
	vmwrite_segment(SEG_DS, SEL_DATA, 0, 0xffffffff, AR_DATA32);
	vmwrite_segment(SEG_FS, 0, 0, 0xffff, (u32)AR_UNUSABLE);
	vmwrite_segment(SEG_GS, 0, (u64)cpu, 0xffff, (u32)AR_UNUSABLE);
	vmwrite_segment(SEG_LDTR, 0, 0, 0xffff, (u32)AR_UNUSABLE);
	vmwrite_segment(SEG_TR, SEL_TSS64, (u64)&cpu->tss, sizeof(cpu->tss) - 1, AR_TSS_BUSY);
	vmwrite(VMCS_GUEST_GDTR_BASE, (u64)cpu->gdt);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, sizeof(cpu->gdt) - 1);
	vmwrite(VMCS_GUEST_IDTR_BASE, (u64)idt);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, PAGE_SIZE - 1);
	vmwrite(VMCS_GUEST_SYSENTER_CS, 0);
	vmwrite(VMCS_GUEST_SYSENTER_ESP, 0);
	vmwrite(VMCS_GUEST_SYSENTER_EIP, 0);
	vmwrite(VMCS_GUEST_DEBUGCTL, 0);
	vmwrite(VMCS_VMCS_LINK_POINTER, ~0ull);
	if (vmx_has(CTL_ENTRY, ENTRY_LOAD_EFER))
		vmwrite(VMCS_GUEST_EFER, rdmsr(MSR_IA32_EFER));
	if (vmx_has(CTL_ENTRY, ENTRY_LOAD_PAT))
		vmwrite(VMCS_GUEST_PAT, rdmsr(MSR_IA32_PAT));
}

void l2_write_defaults(struct l2 *l2)
{
	write_controls();
	write_host();
	write_guest();
	l2_goto(l2, l2_gates);
}

void l2_new_vmcs(struct l2 *l2)
{
	void *page = vmx_pages(1);

	if (l2->vmcs)
		check_vm(l2->t, __LINE__, "VMCLEAR", try_vmclear(l2->vmcs), VM_OK);
	vmx_prepare_region(page);
	l2->vmcs = (u64)page;
	l2->launched = false;
	check_vm(l2->t, __LINE__, "VMCLEAR", try_vmclear(l2->vmcs), VM_OK);
	check_vm(l2->t, __LINE__, "VMPTRLD", try_vmptrld(l2->vmcs), VM_OK);
	l2_write_defaults(l2);
}

struct l2 *l2_begin(struct run *t)
{
	struct l2 *l2;

	if (!vmx_prepare(t) || !vmx_on(t))
		return NULL;
	l2 = vmx_pages(1);
	l2->t = t;
	l2->stack_top = (u8 *)vmx_pages(STACK_PAGES) + STACK_PAGES * PAGE_SIZE;
	l2_new_vmcs(l2);
	return l2;
}

bool l2_enable(enum vmx_ctl ctl, u64 bits)
{
	if (!vmx_has(ctl, bits))
		return false;
	if (ctl == CTL_CPU2)
		vmcs_set_bits(VMCS_PRIMARY_CONTROLS, CPU_SECONDARY_CONTROLS);
	if (ctl == CTL_CPU3)
		vmcs_set_bits(VMCS_PRIMARY_CONTROLS, CPU_TERTIARY_CONTROLS);
	if (ctl == CTL_EXIT2)
		vmcs_set_bits(VMCS_EXIT_CONTROLS, EXIT_SECONDARY_CONTROLS);
	vmcs_set_bits(vmx_ctl_field(ctl), bits);
	return true;
}

bool l2_disable(enum vmx_ctl ctl, u64 bits)
{
	if (vmx_ctl_must(ctl) & bits)
		return false;
	vmcs_clear_bits(vmx_ctl_field(ctl), bits);
	return true;
}

static void go(struct l2 *l2, const void *code, u32 dpl)
{
	memset(&l2->regs, 0, sizeof(l2->regs));
	l2->start = (u64)code;
	vmwrite(VMCS_GUEST_RIP, (u64)code);
	vmwrite(VMCS_GUEST_RSP, (u64)l2->stack_top - 64);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
	vmwrite(VMCS_VM_ENTRY_INTR_INFO, 0);
	vmwrite_segment(SEG_CS, dpl ? SEL_UCODE64 : SEL_CODE64, 0, 0xffffffff, AR_CODE64 | dpl);
	vmwrite_segment(SEG_SS, dpl ? SEL_UDATA : SEL_DATA, 0, 0xffffffff, AR_DATA32 | dpl);
}

void l2_goto(struct l2 *l2, const void *code)
{
	go(l2, code, 0);
}

void l2_goto_user(struct l2 *l2, const void *code)
{
	go(l2, code, AR_DPL3);
}

static void record(struct l2 *l2)
{
	l2->exit = (struct l2_exit){
		.reason = (u32)vmread(VMCS_EXIT_REASON),
		.qualification = vmread(VMCS_EXIT_QUALIFICATION),
		.intr_info = (u32)vmread(VMCS_VM_EXIT_INTR_INFO),
		.intr_error = (u32)vmread(VMCS_VM_EXIT_INTR_ERROR_CODE),
		.idt_info = (u32)vmread(VMCS_IDT_VECTORING_INFO),
		.idt_error = (u32)vmread(VMCS_IDT_VECTORING_ERROR_CODE),
		.length = (u32)vmread(VMCS_VM_EXIT_INSTRUCTION_LENGTH),
		.info = (u32)vmread(VMCS_VM_EXIT_INSTRUCTION_INFO),
		.linear = vmread(VMCS_GUEST_LINEAR_ADDRESS),
		.rip = vmread(VMCS_GUEST_RIP),
		.rsp = vmread(VMCS_GUEST_RSP),
		.rflags = vmread(VMCS_GUEST_RFLAGS),
		.interruptibility = (u32)vmread(VMCS_GUEST_INTERRUPTIBILITY),
		.activity = (u32)vmread(VMCS_GUEST_ACTIVITY_STATE),
	};
	if (vmx_has(CTL_CPU2, CPU2_EPT))
		l2->exit.physical = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
}

u64 l2_qualification(const struct l2_exit *exit)
{
	const u64 taken_for_another =
		EPT_VIOLATION_SHADOW_STACK | EPT_VIOLATION_WAS_USER_EXECUTABLE;

	if (exit->reason != REASON_EPT_VIOLATION || (exit->qualification & EPT_VIOLATION_FETCH) ||
	    !vmx_has(CTL_CPU2, CPU2_MBEC) || !(vmread(VMCS_SECONDARY_CONTROLS) & CPU2_MBEC))
		return exit->qualification;
	return exit->qualification & ~taken_for_another;
}

/*
 * What the SDM defines of an exit; with a register operand Bochs 2.7 leaves no sense in one field,
 * and vmx.exit.fault_rf says what it does to RF.
 */
static void transcribe(struct l2 *l2)
{
	const struct l2_exit *e = &l2->exit;

	transcript(l2->t, 0, "exit", e->reason);
	if (e->reason != REASON_VMREAD && e->reason != REASON_VMWRITE &&
	    e->reason != REASON_LDTR_TR)
		transcript(l2->t, 0, " qualification", l2_qualification(e));
	if (e->intr_info & INTR_INFO_VALID)
		transcript(l2->t, 0, " interruption", e->intr_info);
	if (e->idt_info & INTR_INFO_VALID)
		transcript(l2->t, 0, " vectoring", e->idt_info);
	transcript(l2->t, 0, " rip offset", e->rip - l2->start);
	transcript(l2->t, 0, " rflags",
		   e->reason == REASON_EXCEPTION_NMI ? e->rflags & ~RFLAGS_RF : e->rflags);
	transcript(l2->t, 0, " interruptibility", e->interruptibility);
}

u64 l2_run(struct l2 *l2)
{
	u64 flags;

	trap_arm();
	flags = l2_enter(&l2->regs, l2->launched ? L2_RESUME : L2_LAUNCH);
	if (flags != ENTER_EXITED) {
		l2->entry = vm_outcome(flags);
		if (!l2->quiet)
			transcript(l2->t, 0, "entry", l2->entry);
		return l2->entry;
	}
	l2->entry = VM_OK;
	record(l2);
	if (!(l2->exit.reason & EXIT_REASON_ENTRY_FAIL))
		l2->launched = true;
	if (!l2->quiet)
		transcribe(l2);
	return VM_OK;
}

void l2_skip(struct l2 *l2)
{
	vmwrite(VMCS_GUEST_RIP, l2->exit.rip + l2->exit.length);
}

void l2_inject(u32 intr_info, u32 error, u32 length)
{
	vmwrite(VMCS_VM_ENTRY_INTR_INFO, intr_info);
	vmwrite(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, error);
	vmwrite(VMCS_VM_ENTRY_INSTRUCTION_LENGTH, length);
}

int l2_delivered(const struct l2 *l2)
{
	u64 offset = l2->exit.rip - (u64)l2_gates;

	if (l2->entry != VM_OK || l2->exit.reason != REASON_VMCALL ||
	    offset >= 256 * L2_GATE_SIZE || offset % L2_GATE_SIZE == 0)
		return -1;
	return (int)(offset / L2_GATE_SIZE);
}

const u64 *l2_frame(const struct l2 *l2)
{
	return (const u64 *)l2->exit.rsp + 1;
}

void check_exit(struct run *t, int line, const struct l2 *l2, u32 reason)
{
	const struct l2_exit *e = &l2->exit;

	if (l2->entry != VM_OK) {
		run_fail(t, line, "entry: %s, expected exit %u", vm_outcome_name(l2->entry),
			 reason);
		return;
	}
	if (e->reason != reason)
		run_fail(t, line,
			 "exit %x qualification %lx interrupt %x(%x) at RIP %lx (start + %lx), "
			 "expected exit %x",
			 e->reason, e->qualification, e->intr_info, e->intr_error, e->rip,
			 e->rip - l2->start, reason);
}

void check_exit_qual(struct run *t, int line, const struct l2 *l2, u32 reason, u64 qualification)
{
	check_exit(t, line, l2, reason);
	if (l2->entry == VM_OK && l2->exit.reason == reason &&
	    l2->exit.qualification != qualification)
		run_fail(t, line, "exit %x: qualification %lx, expected %lx", reason,
			 l2->exit.qualification, qualification);
}
