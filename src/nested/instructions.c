/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMX instructions that L1 executes. SDM "VMX Instruction Reference", section by section. */
#include <x86/cr.h>
#include <x86/msr.h>
#include <x86/paging.h>

#include "mm/guest_memory.h"
#include "nested/checks.h"
#include "nested/enter.h"
#include "nested/instructions.h"
#include "nested/operand_access.h"
#include "nested/shadow.h"
#include "nested/state.h"
#include "nested/vmcs12_cache.h"
#include "nested/vpid.h"
#include "vmx/control_regs.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/instruction.h"
#include "vmx/vmcs.h"

void nested_finish_failed(struct vcpu *vcpu, int outcome)
{
	const struct nested_vmcs *current = vcpu->nested->current;

	/* Without a current VMCS a VMfail has no place for its error. */
	if (outcome == VM_FAIL_INVALID || !current) {
		nested_finish_with(RFLAGS_CF);
		return;
	}
	current->vmcs12->f[F_VM_INSTRUCTION_ERROR] = (u64)outcome;
	nested_finish_with(RFLAGS_ZF);
}

/* A physical address for a VMCS or VMXON region. */
static bool region_valid(u64 address)
{
	return !(address & (PAGE_SIZE - 1)) && !(address >> nested_caps.maxphyaddr);
}

static int vmxon_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	struct nested *nested = vcpu->nested;
	u64 region;
	u32 revision;

	if (!(vmreadn(VMCS_CR4_READ_SHADOW) & CR4_VMXE)) {
		event_inject_ud();
		return VM_DONE;
	}
	if (nested->vmx_on) {
		if (instruction_cpl() == 0)
			return VMERR_VMXON_IN_ROOT;
		event_inject_gp0();
		return VM_DONE;
	}
	const u64 cr0 = guest_cr0();

	if (instruction_cpl() > 0 || (nested_caps.cr0_fixed0 & ~cr0) ||
	    (nested_caps.cr4_fixed0 & ~vmreadn(VMCS_GUEST_CR4))) {
		event_inject_gp0();
		return VM_DONE;
	}
	if (!operand_read(regs, &region, sizeof(region)))
		return VM_DONE;
	if (!region_valid(region))
		return VM_FAIL_INVALID;
	guest_memory_read(region, &revision, sizeof(revision));
	if (revision != VMCS12_REVISION)
		return VM_FAIL_INVALID;
	nested_set_vmx_operation(vcpu, true);
	nested->vmxon_region = region;
	shadow_start();
	/* SDM "Restrictions on VMX Operation": PE and PG are fixed now too. */
	guest_set_cr0_shadow(vcpu, cr0);
	vmwriten(VMCS_CR0_GUEST_HOST_MASK, vmreadn(VMCS_CR0_GUEST_HOST_MASK) | CR0_PE | CR0_PG);
	return VM_SUCCEED;
}

static int vmxoff_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	struct nested *nested = vcpu->nested;

	/* Software should have cleared every VMCS; Umbra loses none for it. */
	for (u32 i = 0; i < nested->cached; i++) {
		if (nested->cache[i]->gpa != NO_VMCS)
			vmcs12_evict(vcpu, nested->cache[i]);
	}
	vmcs12_trim(nested);
	ept02_drop_all(vcpu);
	shadow_stop();
	nested_set_vmx_operation(vcpu, false);
	vmwriten(VMCS_CR0_GUEST_HOST_MASK, vmreadn(VMCS_CR0_GUEST_HOST_MASK) & ~(CR0_PE | CR0_PG));
	nested_finish(vcpu, VM_SUCCEED);
	/* SDM "Restrictions on VMX Operation": the INIT was only blocked. */
	if (vcpu->init_held) {
		vcpu->init_held = false;
		init_exit(vcpu, regs);
	}
	return VM_DONE;
}

static int vmclear_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	struct nested_vmcs *vmcs;
	paddr_t region;

	if (!operand_read(regs, &region, sizeof(region)))
		return VM_DONE;
	if (!region_valid(region))
		return VMERR_VMCLEAR_INVALID_ADDRESS;
	if (region == vcpu->nested->vmxon_region)
		return VMERR_VMCLEAR_VMXON_POINTER;
	vmcs = vmcs12_find(vcpu->nested, region);
	if (vmcs) {
		vmcs->vmcs12->launched = false;
		vmcs12_evict(vcpu, vmcs);
	} else {
		const u32 launched = false;

		guest_memory_write(region + offsetof(struct vmcs12, launched), &launched,
				   sizeof(launched));
	}
	return VM_SUCCEED;
}

static int make_current(struct nested *nested, struct nested_vmcs *vmcs)
{
	vmcs->last_use = ++nested->clock;
	nested->current = vmcs;
	shadow_link(vmcs);
	return VM_SUCCEED;
}

/* VMPTRLD of one that is not cached. */
__attribute__((noinline)) static int load_region(struct vcpu *vcpu, paddr_t region)
{
	/* Only with VMCS shadowing is it part of the header. */
	const u32 indicator =
		vmx_can_set(nested_caps.secondary, CPU2_VMCS_SHADOWING) ? VMCS_SHADOW_INDICATOR : 0;
	u32 revision;

	if (!region_valid(region))
		return VMERR_VMPTRLD_INVALID_ADDRESS;
	if (region == vcpu->nested->vmxon_region)
		return VMERR_VMPTRLD_VMXON_POINTER;
	guest_memory_read(region, &revision, sizeof(revision));
	if ((revision & ~indicator) != VMCS12_REVISION)
		return VMERR_VMPTRLD_WRONG_REVISION;
	return make_current(vcpu->nested, vmcs12_load(vcpu, region));
}

/* What is cached has passed the checks when it was loaded. */
__attribute__((noinline)) static int vmptrld_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	struct nested_vmcs *vmcs;
	paddr_t region;

	if (!operand_read(regs, &region, sizeof(region)))
		return VM_DONE;
	vmcs = vmcs12_find(vcpu->nested, region);
	return vmcs ? make_current(vcpu->nested, vmcs) : load_region(vcpu, region);
}

static int vmptrst_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	const paddr_t region = vcpu->nested->current ? vcpu->nested->current->gpa : NO_VMCS;

	return operand_write(regs, &region, sizeof(region)) ? VM_SUCCEED : VM_DONE;
}

/*
 * SDM "INVEPT" and "INVVPID": the type of invalidation and its descriptor of 16 bytes. `cap` is for
 * the instruction, and one of `type_caps`, with 0 for none, for each type.
 */
__attribute__((always_inline)) static inline int read_invalidation(struct guest_regs *regs, u64 cap,
								   const u64 type_caps[4],
								   u64 *type, void *descriptor)
{
	const struct operand operand = operand_of_exit(regs);

	if (!(nested_caps.ept_vpid & cap)) {
		event_inject_ud();
		return VM_DONE;
	}
	*type = operand_register(regs, &operand, operand.reg2);
	if (*type >= 4 || !(nested_caps.ept_vpid & type_caps[*type]))
		return VMERR_INVALID_INVEPT_INVVPID;
	return operand_read(regs, descriptor, 16) ? VM_SUCCEED : VM_DONE;
}

static int invept_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	static const u64 caps[4] = {[INVEPT_SINGLE_CONTEXT] = EPT_CAP_INVEPT_SINGLE,
				    [INVEPT_ALL_CONTEXT] = EPT_CAP_INVEPT_ALL};
	struct invept_descriptor descriptor;
	u64 type;
	const int outcome = read_invalidation(regs, EPT_CAP_INVEPT, caps, &type, &descriptor);

	if (outcome != VM_SUCCEED)
		return outcome;
	if (type == INVEPT_ALL_CONTEXT) {
		ept02_drop_all(vcpu);
		return VM_SUCCEED;
	}
	if (!check_eptp(descriptor.eptp, &nested_caps))
		return VMERR_INVALID_INVEPT_INVVPID;
	ept02_drop(vcpu, descriptor.eptp);
	return VM_SUCCEED;
}

static int invvpid_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	static const u64 caps[4] = {[INVVPID_ADDRESS] = VPID_CAP_ADDRESS,
				    [INVVPID_SINGLE_CONTEXT] = VPID_CAP_SINGLE,
				    [INVVPID_ALL_CONTEXT] = VPID_CAP_ALL,
				    [INVVPID_SINGLE_RETAIN_GLOBALS] = VPID_CAP_SINGLE_GLOBALS};
	struct invvpid_descriptor descriptor;
	u64 type;
	const int outcome = read_invalidation(regs, VPID_CAP_INVVPID, caps, &type, &descriptor);

	if (outcome != VM_SUCCEED)
		return outcome;
	if (descriptor.vpid >> 16 || (type != INVVPID_ALL_CONTEXT && !descriptor.vpid) ||
	    (type == INVVPID_ADDRESS &&
	     !linear_is_canonical(descriptor.linear, nested_caps.cr4_fixed1 & CR4_LA57 ? 57 : 48)))
		return VMERR_INVALID_INVEPT_INVVPID;
	if (type == INVVPID_ALL_CONTEXT)
		vpid02_flush_all(vcpu);
	else
		vpid02_flush(vcpu, (u16)descriptor.vpid, (enum invvpid_type)type,
			     descriptor.linear);
	return VM_SUCCEED;
}

static int launch_instruction(struct vcpu *vcpu, struct guest_regs *regs, u32 reason)
{
	const struct nested_vmcs *vmcs = vcpu->nested->current;
	const bool launch = reason == REASON_VMLAUNCH;

	vcpu->nested->l1_interruptibility = vmread32(VMCS_GUEST_INTERRUPTIBILITY);
	/* SDM "Basic VM-Entry Checks". */
	if (!vmcs || (vmcs->vmcs12->revision & VMCS_SHADOW_INDICATOR))
		return VM_FAIL_INVALID;
	if (vcpu->nested->l1_interruptibility & INTERRUPTIBILITY_MOV_SS)
		return VMERR_ENTRY_MOV_SS;
	if (launch && vmcs->vmcs12->launched)
		return VMERR_VMLAUNCH_NOT_CLEAR;
	if (!launch && !vmcs->vmcs12->launched)
		return VMERR_VMRESUME_NOT_LAUNCHED;
	return nested_enter(vcpu, regs);
}

/* SDM "VMCALL": of all these only VMCALL exits before the checks on the mode. */
static bool vmcall_is_undefined(void)
{
	return (vmreadn(VMCS_GUEST_RFLAGS) & RFLAGS_VM) ||
	       ((vmread64(VMCS_GUEST_EFER) & EFER_LMA) && !instruction_in_64bit_mode());
}

/* Those that guests seldom wait for. */
__attribute__((noinline)) static int execute_rare(struct vcpu *vcpu, struct guest_regs *regs,
						  u32 reason)
{
	switch (reason) {
	case REASON_VMCLEAR:
		return vmclear_instruction(vcpu, regs);
	case REASON_VMPTRST:
		return vmptrst_instruction(vcpu, regs);
	case REASON_INVEPT:
		return invept_instruction(vcpu, regs);
	case REASON_INVVPID:
		return invvpid_instruction(vcpu, regs);
	case REASON_VMXON:
		return vmxon_instruction(vcpu, regs);
	case REASON_VMXOFF:
		return vmxoff_instruction(vcpu, regs);
	case REASON_VMCALL: /* no dual-monitor treatment of SMIs */
		return VMERR_VMCALL_IN_ROOT;
	default:
		event_inject_ud();
		return VM_DONE;
	}
}

/* Direct calls, for an indirect one is slow (docs/speculation.md). */
static inline int execute(struct vcpu *vcpu, struct guest_regs *regs, u32 reason)
{
	switch (__builtin_expect(reason, REASON_VMRESUME)) {
	case REASON_VMRESUME:
	case REASON_VMLAUNCH:
		return launch_instruction(vcpu, regs, reason);
	case REASON_VMPTRLD:
		return vmptrld_instruction(vcpu, regs);
	default:
		return execute_rare(vcpu, regs, reason);
	}
}

/* SDM "VMX Instruction Reference": the checks before the operand. Others came before the exit. */
static bool may_execute(const struct vcpu *vcpu, u32 reason)
{
	/* VMXON has its own order of checks. */
	if (reason == REASON_VMXON)
		return true;
	if (!vcpu->nested->vmx_on || (reason == REASON_VMCALL && vmcall_is_undefined()))
		event_inject_ud();
	else if (instruction_cpl() > 0)
		event_inject_gp0();
	else
		return true;
	return false;
}

void nested_instruction_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u32 reason = vcpu->exit_reason;

	if (!may_execute(vcpu, reason))
		return;
	switch (__builtin_expect(reason, REASON_VMRESUME)) {
	/* These two end by themselves, the sooner. */
	case REASON_VMREAD:
		nested_vmread(vcpu, regs);
		return;
	case REASON_VMWRITE:
		nested_vmwrite(vcpu, regs);
		return;
	default:
		nested_finish(vcpu, execute(vcpu, regs, reason));
		return;
	}
}
