/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMX instructions that L1 executes. SDM "VMX Instruction Reference", section by section. */
#include <x86/cr.h>
#include <x86/msr.h>
#include <x86/paging.h>

#include "lib/insn.h"
#include "lib/string.h"
#include "mm/guest_memory.h"
#include "nested/checks.h"
#include "nested/enter.h"
#include "nested/instructions.h"
#include "nested/operand_access.h"
#include "nested/shadow.h"
#include "nested/state.h"
#include "nested/vmcs12_cache.h"
#include "nested/vmcs_access.h"
#include "nested/vpid.h"
#include "smp/panic.h"
#include "vmx/control_regs.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/guest_linear.h"
#include "vmx/instruction.h"
#include "vmx/vmcs.h"

/* What an instruction comes to: the number of a VMfail, or one of these. */
enum { SUCCEED = 0, FAIL_INVALID = -1, DONE = -2 /* by a fault, or its flags are set already */ };

/* SDM "Conventions": the arithmetic flags tell the outcome. */
static const u64 arithmetic_flags =
	RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF;

void nested_finish(u64 flag)
{
	const u64 rflags = vmreadn(VMCS_GUEST_RFLAGS);

	vmwriten(VMCS_GUEST_RFLAGS, (rflags & ~arithmetic_flags) | flag);
	instruction_done_with(rflags);
}

void nested_succeed(void)
{
	nested_finish(0);
}

void nested_fail_invalid(void)
{
	nested_finish(RFLAGS_CF);
}

void nested_vmfail(struct vcpu *vcpu, enum vm_instruction_error error)
{
	if (!vcpu->nested->current) {
		nested_fail_invalid();
		return;
	}
	vcpu->nested->current->vmcs12->f[F_VM_INSTRUCTION_ERROR] = error;
	nested_finish(RFLAGS_ZF);
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
		return DONE;
	}
	if (nested->vmx_on) {
		if (instruction_cpl() == 0)
			return VMERR_VMXON_IN_ROOT;
		event_inject_gp0();
		return DONE;
	}
	const u64 cr0 = guest_cr0();

	if (instruction_cpl() > 0 || (nested_caps.cr0_fixed0 & ~cr0) ||
	    (nested_caps.cr4_fixed0 & ~vmreadn(VMCS_GUEST_CR4))) {
		event_inject_gp0();
		return DONE;
	}
	if (!operand_read(regs, &region, sizeof(region)))
		return DONE;
	if (!region_valid(region))
		return FAIL_INVALID;
	guest_memory_read(region, &revision, sizeof(revision));
	if (revision != VMCS12_REVISION)
		return FAIL_INVALID;
	nested_set_vmx_operation(vcpu, true);
	nested->vmxon_region = region;
	nested->current = NULL;
	shadow_start();
	/* SDM "Restrictions on VMX Operation": PE and PG are fixed now too. */
	guest_set_cr0_shadow(vcpu, cr0);
	vmwriten(VMCS_CR0_GUEST_HOST_MASK, vmreadn(VMCS_CR0_GUEST_HOST_MASK) | CR0_PE | CR0_PG);
	return SUCCEED;
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
	nested->current = NULL;
	vmwriten(VMCS_CR0_GUEST_HOST_MASK, vmreadn(VMCS_CR0_GUEST_HOST_MASK) & ~(CR0_PE | CR0_PG));
	nested_succeed();
	/* SDM "Restrictions on VMX Operation": the INIT was only blocked. */
	if (vcpu->init_held) {
		vcpu->init_held = false;
		init_exit(vcpu, regs);
	}
	return DONE;
}

static int vmclear_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	struct nested_vmcs *vmcs;
	paddr_t region;

	if (!operand_read(regs, &region, sizeof(region)))
		return DONE;
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
	return SUCCEED;
}

/* SDM "VMPTRLD": only with VMCS shadowing is it part of the header. */
static u32 shadow_indicator(void)
{
	return vmx_can_set(nested_caps.secondary, CPU2_VMCS_SHADOWING) ? VMCS_SHADOW_INDICATOR : 0;
}

/* NULL: `error` says what VMPTRLD fails with. */
__attribute__((noinline)) static struct nested_vmcs *load_region(struct vcpu *vcpu, paddr_t region,
								 enum vm_instruction_error *error)
{
	u32 revision;

	*error = VMERR_VMPTRLD_INVALID_ADDRESS;
	if (!region_valid(region))
		return NULL;
	*error = VMERR_VMPTRLD_VMXON_POINTER;
	if (region == vcpu->nested->vmxon_region)
		return NULL;
	*error = VMERR_VMPTRLD_WRONG_REVISION;
	guest_memory_read(region, &revision, sizeof(revision));
	if ((revision & ~shadow_indicator()) != VMCS12_REVISION)
		return NULL;
	return vmcs12_load(vcpu, region);
}

/* What is cached has passed the checks when it was loaded. */
__attribute__((noinline)) static int vmptrld_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	struct nested *nested = vcpu->nested;
	enum vm_instruction_error error;
	struct nested_vmcs *vmcs;
	paddr_t region;

	if (!operand_read(regs, &region, sizeof(region)))
		return DONE;
	vmcs = vmcs12_find(nested, region);
	if (!vmcs)
		vmcs = load_region(vcpu, region, &error);
	if (!vmcs)
		return (int)error;
	vmcs->last_use = ++nested->clock;
	nested->current = vmcs;
	shadow_link(vmcs);
	return SUCCEED;
}

static int vmptrst_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	const paddr_t region = vcpu->nested->current ? vcpu->nested->current->gpa : NO_VMCS;

	return operand_write(regs, &region, sizeof(region)) ? SUCCEED : DONE;
}

static int invept_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	const struct operand operand = operand_of_exit(regs);
	const u64 type = operand_register(regs, &operand, operand.reg2);
	struct invept_descriptor descriptor;

	if (!(nested_caps.ept_vpid & EPT_CAP_INVEPT)) {
		event_inject_ud();
		return DONE;
	}
	const bool supported =
		(type == INVEPT_SINGLE_CONTEXT && (nested_caps.ept_vpid & EPT_CAP_INVEPT_SINGLE)) ||
		(type == INVEPT_ALL_CONTEXT && (nested_caps.ept_vpid & EPT_CAP_INVEPT_ALL));

	if (!supported)
		return VMERR_INVALID_INVEPT_INVVPID;
	if (!operand_read(regs, &descriptor, sizeof(descriptor)))
		return DONE;
	if (type == INVEPT_SINGLE_CONTEXT && !check_eptp(descriptor.eptp, &nested_caps))
		return VMERR_INVALID_INVEPT_INVVPID;
	if (type == INVEPT_SINGLE_CONTEXT)
		ept02_drop(vcpu, descriptor.eptp);
	else
		ept02_drop_all(vcpu);
	return SUCCEED;
}

static int invvpid_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	static const u64 cap_of_type[] = {VPID_CAP_ADDRESS, VPID_CAP_SINGLE, VPID_CAP_ALL,
					  VPID_CAP_SINGLE_GLOBALS};
	const struct operand operand = operand_of_exit(regs);
	const u64 type = operand_register(regs, &operand, operand.reg2);
	struct invvpid_descriptor descriptor;

	if (!(nested_caps.ept_vpid & VPID_CAP_INVVPID)) {
		event_inject_ud();
		return DONE;
	}
	if (type >= ARRAY_SIZE(cap_of_type) || !(nested_caps.ept_vpid & cap_of_type[type]))
		return VMERR_INVALID_INVEPT_INVVPID;
	if (!operand_read(regs, &descriptor, sizeof(descriptor)))
		return DONE;
	if (descriptor.vpid >> 16 || (type != INVVPID_ALL_CONTEXT && !descriptor.vpid) ||
	    (type == INVVPID_ADDRESS &&
	     !linear_is_canonical(descriptor.linear, nested_caps.cr4_fixed1 & CR4_LA57 ? 57 : 48)))
		return VMERR_INVALID_INVEPT_INVVPID;
	if (type == INVVPID_ALL_CONTEXT)
		vpid02_flush_all(vcpu);
	else
		vpid02_flush(vcpu, (u16)descriptor.vpid, (enum invvpid_type)type,
			     descriptor.linear);
	return SUCCEED;
}

static int launch_instruction(struct vcpu *vcpu, struct guest_regs *regs, u32 reason)
{
	const struct nested_vmcs *vmcs = vcpu->nested->current;
	const bool launch = reason == REASON_VMLAUNCH;

	vcpu->nested->l1_interruptibility = vmread32(VMCS_GUEST_INTERRUPTIBILITY);
	/* SDM "Basic VM-Entry Checks". */
	if (!vmcs || (vmcs->vmcs12->revision & VMCS_SHADOW_INDICATOR))
		return FAIL_INVALID;
	if (vcpu->nested->l1_interruptibility & INTERRUPTIBILITY_MOV_SS)
		return VMERR_ENTRY_MOV_SS;
	if (launch && vmcs->vmcs12->launched)
		return VMERR_VMLAUNCH_NOT_CLEAR;
	if (!launch && !vmcs->vmcs12->launched)
		return VMERR_VMRESUME_NOT_LAUNCHED;
	nested_enter(vcpu, regs);
	return DONE;
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
		return DONE;
	}
}

/* Direct calls, for an indirect one is slow (docs/speculation.md). */
static inline int execute(struct vcpu *vcpu, struct guest_regs *regs, u32 reason)
{
	switch (__builtin_expect(reason, REASON_VMRESUME)) {
	case REASON_VMRESUME:
	case REASON_VMLAUNCH:
		return launch_instruction(vcpu, regs, reason);
	case REASON_VMREAD:
		nested_vmread(vcpu, regs);
		return DONE;
	case REASON_VMWRITE:
		nested_vmwrite(vcpu, regs);
		return DONE;
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
	int outcome;

	if (!may_execute(vcpu, reason))
		return;
	outcome = execute(vcpu, regs, reason);
	if (__builtin_expect(outcome == SUCCEED, 1))
		nested_succeed();
	else if (outcome == FAIL_INVALID)
		nested_fail_invalid();
	else if (outcome != DONE)
		nested_vmfail(vcpu, (enum vm_instruction_error)outcome);
}
