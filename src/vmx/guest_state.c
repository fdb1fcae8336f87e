/* SPDX-License-Identifier: BSD-2-Clause */
/* The register states in which the guest begins: after INIT, and as its loader leaves it. */
#include <x86/cr.h>
#include <x86/msr.h>

#include "lib/insn.h"
#include "vmx/control_regs.h"
#include "vmx/setup.h"
#include "vmx/vmcs.h"

/* What INIT and a loader's start have in common. */
static void set_quiet_state(struct vcpu *vcpu, enum activity_state activity)
{
	vmcs_clear32(VMCS_ENTRY_CONTROLS, (u32)ENTRY_IA32E_GUEST);
	vmwrite32(VMCS_VM_ENTRY_INTR_INFO, 0);
	vmwriten(VMCS_GUEST_CR3, 0);
	guest_set_cr4(vcpu, 0);
	vmwrite64(VMCS_GUEST_EFER, 0);
	vmwriten(VMCS_GUEST_DR7, DR7_INIT);
	vmwrite64(VMCS_GUEST_DEBUGCTL, 0);
	vmwriten(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
	vmwriten(VMCS_GUEST_RSP, 0);
	vmwriten(VMCS_GUEST_PENDING_DEBUG, 0);
	vmwrite32(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmwrite32(VMCS_GUEST_ACTIVITY_STATE, activity);
	vmcs_write_segment(SEG_LDTR, 0, (struct segment_descriptor){0, 0xffff, AR_LDT});
	vmcs_write_segment(SEG_TR, 0, (struct segment_descriptor){0, 0xffff, AR_TSS_BUSY});
}

/* All but CS are alike. */
static void set_segments(u16 cs, struct segment_descriptor code, u16 selector,
			 struct segment_descriptor data)
{
	for (enum segment seg = SEG_ES; seg <= SEG_GS; seg++)
		vmcs_write_segment(seg, selector, data);
	vmcs_write_segment(SEG_CS, cs, code);
}

static void set_real_mode(u16 cs, u64 cs_base)
{
	set_segments(cs, (struct segment_descriptor){cs_base, 0xffff, AR_CODE16}, 0,
		     (struct segment_descriptor){0, 0xffff, AR_DATA16});
	vmwriten(VMCS_GUEST_GDTR_BASE, 0);
	vmwrite32(VMCS_GUEST_GDTR_LIMIT, 0xffff);
	vmwriten(VMCS_GUEST_IDTR_BASE, 0);
	vmwrite32(VMCS_GUEST_IDTR_LIMIT, 0xffff);
}

/* INIT keeps the FPU, SSE and MSR state, the TSC and CR0.CD and NW: nothing to do for those. */
void vmx_guest_init_state(struct vcpu *vcpu, enum activity_state activity)
{
	enum { INIT_CS = 0xf000, INIT_IP = 0xfff0 };
	u64 cr0 = CR0_ET | (read_cr0() & (CR0_CD | CR0_NW));

	set_quiet_state(vcpu, activity);
	set_real_mode(INIT_CS, 0xffff0000);
	guest_set_cr0(vcpu, cr0);
	vmwriten(VMCS_GUEST_RIP, INIT_IP);
	write_cr2(0);
	write_dr0(0);
	write_dr1(0);
	write_dr2(0);
	write_dr3(0);
	write_dr6(DR6_INIT);
}

/* What INIT does not touch but RESET and firmware do; before the first entry after a RESET. */
static void set_power_on_state(struct vcpu *vcpu)
{
	vmwrite64(VMCS_GUEST_PAT, PAT_RESET);
	vmwrite32(VMCS_GUEST_SYSENTER_CS, 0);
	vmwriten(VMCS_GUEST_SYSENTER_ESP, 0);
	vmwriten(VMCS_GUEST_SYSENTER_EIP, 0);
	if (vmx_can_set(vcpu->vmx.entry, ENTRY_LOAD_BNDCFGS))
		vmwrite64(VMCS_GUEST_BNDCFGS, 0);
	if (vmx_can_set(vcpu->vmx.entry, ENTRY_LOAD_RTIT_CTL))
		vmwrite64(VMCS_GUEST_RTIT_CTL, 0);
	if (vmx_can_set(vcpu->vmx.entry, ENTRY_LOAD_LBR_CTL))
		vmwrite64(VMCS_GUEST_LBR_CTL, 0);
	if (vmx_can_set(vcpu->vmx.entry, ENTRY_LOAD_PKRS))
		vmwrite64(VMCS_GUEST_PKRS, 0);
	if (vmx_can_set(vcpu->vmx.entry, ENTRY_LOAD_UINV))
		vmwrite16(VMCS_GUEST_UINV, 0);
	if (vmx_can_set(vcpu->vmx.entry, ENTRY_LOAD_CET)) {
		vmwriten(VMCS_GUEST_S_CET, 0);
		vmwriten(VMCS_GUEST_SSP, 0);
		vmwriten(VMCS_GUEST_INTERRUPT_SSP_TABLE, 0);
	}
}

void vmx_guest_wait_for_sipi(struct vcpu *vcpu)
{
	set_power_on_state(vcpu);
	vmx_guest_init_state(vcpu, ACTIVITY_WAIT_SIPI);
	vcpu->cpu.waits_for_sipi = true;
}

void vmx_guest_start_state(struct vcpu *vcpu, const struct guest_start *start)
{
	u64 cr0 = CR0_ET | (start->protected_mode ? CR0_PE : 0);

	set_power_on_state(vcpu);
	set_quiet_state(vcpu, ACTIVITY_ACTIVE);
	if (start->protected_mode) {
		set_segments(GUEST_SELECTOR_CODE, (struct segment_descriptor){0, ~0u, AR_CODE32},
			     GUEST_SELECTOR_DATA, (struct segment_descriptor){0, ~0u, AR_DATA32});
		vmwriten(VMCS_GUEST_GDTR_BASE, start->gdt_base);
		vmwrite32(VMCS_GUEST_GDTR_LIMIT, start->gdt_limit);
		vmwriten(VMCS_GUEST_IDTR_BASE, 0);
		vmwrite32(VMCS_GUEST_IDTR_LIMIT, 0);
	} else {
		/* The BIOS's interrupts go on working: its vector table is at 0. */
		set_real_mode(start->cs, (u64)start->cs << 4);
		vmwrite32(VMCS_GUEST_IDTR_LIMIT, 0x3ff);
		vmwriten(VMCS_GUEST_RSP, start->regs.rsp_unused);
	}
	guest_set_cr0(vcpu, cr0);
	vmwriten(VMCS_GUEST_RIP, start->eip);
}
