/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/control_regs.h"

#include <x86/cr.h>
#include <x86/msr.h>

#include "lib/insn.h"
#include "mm/guest_memory.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/guest_level.h"
#include "vmx/instruction.h"
#include "vmx/task_rules.h"
#include "vmx/vmcs.h"

/* IA32_VMX_CR4_FIXED1 is the set of CR4 bits the CPU has. */
u64 cr4_supported(const struct vmx_capabilities *vmx)
{
	const u64 hidden = CR4_SMXE | CR4_FRED | (offered_vmx.offered ? 0 : CR4_VMXE);

	return vmx->cr4_fixed1 & ~hidden;
}

void guest_set_cr0_shadow(struct vcpu *vcpu, u64 value)
{
	if (value != vcpu->cr0_shadow) {
		vmwriten(VMCS_CR0_READ_SHADOW, value);
		vcpu->cr0_shadow = value;
	}
}

void guest_set_cr0(struct vcpu *vcpu, u64 value)
{
	vmwriten(VMCS_GUEST_CR0, cr0_hardware_value(&vcpu->vmx, value));
	guest_set_cr0_shadow(vcpu, value);
}

void guest_set_cr4(struct vcpu *vcpu, u64 value)
{
	vmwriten(VMCS_GUEST_CR4, cr4_hardware_value(&vcpu->vmx, value));
	if (value != vcpu->cr4_shadow) {
		vmwriten(VMCS_CR4_READ_SHADOW, value);
		vcpu->cr4_shadow = value;
	}
}

static u64 merge_shadow(u64 hardware, u64 mask, u64 shadow)
{
	return (hardware & ~mask) | (shadow & mask);
}

u64 guest_cr0(void)
{
	return merge_shadow(vmreadn(VMCS_GUEST_CR0), vmreadn(VMCS_CR0_GUEST_HOST_MASK),
			    vmreadn(VMCS_CR0_READ_SHADOW));
}

u64 guest_cr4(void)
{
	return merge_shadow(vmreadn(VMCS_GUEST_CR4), vmreadn(VMCS_CR4_GUEST_HOST_MASK),
			    vmreadn(VMCS_CR4_READ_SHADOW));
}

static struct cr_state read_state(void)
{
	return (struct cr_state){
		.cr0 = guest_cr0(),
		.cr3 = vmreadn(VMCS_GUEST_CR3),
		.cr4 = guest_cr4(),
		.efer = vmread64(VMCS_GUEST_EFER),
		.cs_long = vmread32(VMCS_GUEST_CS_ACCESS_RIGHTS) & AR_L,
		.tr_16bit = !task_is_32bit(vmread32(VMCS_GUEST_TR_ACCESS_RIGHTS)),
	};
}

/* SDM "PDPTE Registers": all four are checked before any is used. */
bool guest_load_pdptes(const struct vcpu *vcpu, u64 cr3)
{
	static const enum vmcs64 fields[4] = {VMCS_GUEST_PDPTE0, VMCS_GUEST_PDPTE1,
					      VMCS_GUEST_PDPTE2, VMCS_GUEST_PDPTE3};
	u64 pdpte[4];

	guest_memory_read(cr3 & BITS(31, 5), pdpte, sizeof(pdpte));
	for (size_t i = 0; i < ARRAY_SIZE(pdpte); i++) {
		if (!pdpte_valid(pdpte[i], vcpu->maxphyaddr))
			return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(pdpte); i++)
		vmwrite64(fields[i], pdpte[i]);
	return true;
}

/* The TLB effects of a change of CR0 or CR4 that the CPU would have had by itself. */
static void flush_translations(void)
{
	invvpid(INVVPID_SINGLE_CONTEXT, vmread16(VMCS_VPID), 0);
}

/* EFER.LMA follows CR0.PG while LME is set. */
static void switch_long_mode(bool on)
{
	u64 efer = vmread64(VMCS_GUEST_EFER);

	if (on) {
		vmwrite64(VMCS_GUEST_EFER, efer | EFER_LMA);
		vmcs_set32(VMCS_ENTRY_CONTROLS, (u32)ENTRY_IA32E_GUEST);
	} else {
		vmwrite64(VMCS_GUEST_EFER, efer & ~EFER_LMA);
		vmcs_clear32(VMCS_ENTRY_CONTROLS, (u32)ENTRY_IA32E_GUEST);
	}
}

static void write_guest_cr0(struct vcpu *vcpu, u64 value)
{
	const struct cr_state state = read_state();
	/* Undefined bits are ignored and ET reads as 1, but the upper half faults. */
	const u64 cr0 = (value & (CR0_DEFINED | BITS(63, 32))) | CR0_ET;

	if (!cr0_write_valid(&state, cr0) || (vcpu->cr0_fixed & ~cr0) ||
	    (cr0_write_loads_pdptes(&state, cr0) && !guest_load_pdptes(vcpu, state.cr3))) {
		event_inject_gp0();
		return;
	}
	if (((state.cr0 ^ cr0) & CR0_PG) && (state.efer & EFER_LME))
		switch_long_mode(cr0 & CR0_PG);
	/* Neither exits nor entries load CD and NW: the live register is the guest's (SDM "Loading
	 * Guest Control Registers, Debug Registers, and MSRs"). */
	if ((state.cr0 ^ cr0) & (CR0_CD | CR0_NW))
		write_cr0((read_cr0() & ~(CR0_CD | CR0_NW)) | (cr0 & (CR0_CD | CR0_NW)));
	guest_set_cr0(vcpu, cr0);
	if ((state.cr0 ^ cr0) & (CR0_PG | CR0_WP))
		flush_translations();
	instruction_done();
}

static void write_guest_cr4(struct vcpu *vcpu, u64 value)
{
	const struct cr_state state = read_state();

	if (!cr4_write_valid(&state, value, cr4_supported(&vcpu->vmx)) ||
	    (vcpu->cr4_fixed & ~value) ||
	    (cr4_write_loads_pdptes(&state, value) && !guest_load_pdptes(vcpu, state.cr3))) {
		event_inject_gp0();
		return;
	}
	guest_set_cr4(vcpu, value);
	flush_translations();
	instruction_done();
}

void cr_access_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u64 qualification = vmreadn(VMCS_EXIT_QUALIFICATION);
	const u64 cr = qualification & CR_ACCESS_NUMBER;
	const u64 type = (qualification & CR_ACCESS_TYPE) >> 4;
	const enum gpr gpr = (qualification >> 8) & 15;

	/* CLTS and LMSW change no bit that Umbra owns, and the other registers none at all. */
	if (type != CR_ACCESS_MOV_TO || (cr != 0 && cr != 4)) {
		exit_unexpected(vcpu);
		return;
	}
	u64 value = gpr == GPR_RSP ? vmreadn(VMCS_GUEST_RSP) : regs->gpr[gpr];

	/* Outside 64-bit mode the operand is 32 bits wide. */
	if (!instruction_in_64bit_mode())
		value &= BITS(31, 0);
	if (cr == 0)
		write_guest_cr0(vcpu, value);
	else
		write_guest_cr4(vcpu, value);
}
