/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Guest-State Area". */
#include "vmx/running_state.h"

#include <x86/cr.h>
#include <x86/msr.h>

#include "lib/insn.h"
#include "vmx/control_regs.h"
#include "vmx/setup.h"
#include "vmx/vmcs.h"

enum { TSS_LIMIT = 0x67 };

static void read_segment(struct running_state *out, enum segment seg, u16 selector)
{
	const u8 *descriptor = (const u8 *)out->gdt.base + (selector & ~7u);
	u64 raw, high = 0;

	out->selector[seg] = selector;
	out->segment[seg] = (struct segment_descriptor){.access_rights = AR_UNUSABLE};
	if (selector_is_null(selector) || selector_in_ldt(selector) ||
	    !selector_in_limit(selector, out->gdt.limit))
		return;
	__builtin_memcpy(&raw, descriptor, sizeof(raw));
	if (seg == SEG_LDTR || seg == SEG_TR)
		__builtin_memcpy(&high, descriptor + 8, sizeof(u32));
	out->segment[seg] = segment_decode(raw);
	out->segment[seg].base |= high << 32;
}

void running_state_read(struct running_state *out)
{
	sgdt(&out->gdt);
	sidt(&out->idt);
	out->cr0 = read_cr0();
	out->cr4 = read_cr4();
	out->dr7 = read_dr7();
	out->efer = rdmsr(MSR_IA32_EFER);
	out->pat = rdmsr(MSR_IA32_PAT);
	out->debugctl = rdmsr(MSR_IA32_DEBUGCTL);
	out->sysenter_cs = rdmsr(MSR_IA32_SYSENTER_CS);
	out->sysenter_esp = rdmsr(MSR_IA32_SYSENTER_ESP);
	out->sysenter_eip = rdmsr(MSR_IA32_SYSENTER_EIP);
	read_segment(out, SEG_ES, read_es());
	read_segment(out, SEG_CS, read_cs());
	read_segment(out, SEG_SS, read_ss());
	read_segment(out, SEG_DS, read_ds());
	read_segment(out, SEG_FS, read_fs());
	read_segment(out, SEG_GS, read_gs());
	read_segment(out, SEG_LDTR, read_ldtr());
	read_segment(out, SEG_TR, read_tr());
	out->segment[SEG_FS].base = rdmsr(MSR_IA32_FS_BASE);
	out->segment[SEG_GS].base = rdmsr(MSR_IA32_GS_BASE);
	/* Firmware may have none, but a guest must: SDM "Checks on Guest Segment Registers", TR. */
	if (out->segment[SEG_TR].access_rights & AR_UNUSABLE)
		out->segment[SEG_TR] = (struct segment_descriptor){.limit = TSS_LIMIT};
	out->segment[SEG_TR].access_rights = AR_TSS_BUSY;
}

void vmx_guest_running_state(struct vcpu *vcpu, const struct running_state *state)
{
	vmx_guest_wait_for_sipi(vcpu); /* all that is not set below */
	vmwrite32(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	vmcs_set32(VMCS_ENTRY_CONTROLS, (u32)ENTRY_IA32E_GUEST);
	for (u32 seg = 0; seg < SEG_COUNT; seg++)
		vmcs_write_segment(seg, state->selector[seg], state->segment[seg]);
	vmwriten(VMCS_GUEST_GDTR_BASE, state->gdt.base);
	vmwrite32(VMCS_GUEST_GDTR_LIMIT, state->gdt.limit);
	vmwriten(VMCS_GUEST_IDTR_BASE, state->idt.base);
	vmwrite32(VMCS_GUEST_IDTR_LIMIT, state->idt.limit);
	guest_set_cr0(vcpu, state->cr0);
	vmwriten(VMCS_GUEST_CR3, state->cr3);
	guest_set_cr4(vcpu, state->cr4);
	vmwriten(VMCS_GUEST_DR7, state->dr7);
	vmwrite64(VMCS_GUEST_EFER, state->efer);
	vmwrite64(VMCS_GUEST_PAT, state->pat);
	vmwrite64(VMCS_GUEST_DEBUGCTL, state->debugctl);
	vmwrite32(VMCS_GUEST_SYSENTER_CS, (u32)state->sysenter_cs);
	vmwriten(VMCS_GUEST_SYSENTER_ESP, state->sysenter_esp);
	vmwriten(VMCS_GUEST_SYSENTER_EIP, state->sysenter_eip);
	vmwriten(VMCS_GUEST_RIP, state->rip);
	vmwriten(VMCS_GUEST_RSP, state->rsp);
}
