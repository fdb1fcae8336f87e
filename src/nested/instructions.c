/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMX instructions that L1 executes. SDM "VMX Instruction Reference", section by section. */
#include <x86/cr.h>
#include <x86/msr.h>

#include "lib/insn.h"
#include "lib/string.h"
#include "mm/guest_memory.h"
#include "nested/checks.h"
#include "nested/operand.h"
#include "nested/state.h"
#include "smp/panic.h"
#include "vmx/control_regs.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/guest_linear.h"
#include "vmx/instruction.h"
#include "vmx/vmcs.h"

/* SDM "Conventions": the arithmetic flags tell the outcome. */
static const u64 arithmetic_flags =
	RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF;

void nested_finish(u64 flag)
{
	vmwriten(VMCS_GUEST_RFLAGS, (vmreadn(VMCS_GUEST_RFLAGS) & ~arithmetic_flags) | flag);
	instruction_done();
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

struct operand operand_of_exit(struct guest_regs *regs)
{
	struct operand operand;

	regs->rsp_unused = vmreadn(VMCS_GUEST_RSP);
	operand = operand_decode(vmread32(VMCS_VM_EXIT_INSTRUCTION_INFO),
				 vmreadn(VMCS_EXIT_QUALIFICATION), regs);
	operand.in_64bit_mode = instruction_in_64bit_mode();
	return operand;
}

/*
 * Segments without a base, and an address that is canonical with 48 bits: so it is with 57 too, and
 * masking leaves it as it is.
 */
static bool is_plain(const struct operand *operand, u32 size)
{
	const u64 half = BIT(47), first = operand->offset + half, last = first + size - 1;

	return operand->in_64bit_mode && operand->segment < SEG_FS && (first | last) >> 48 == 0;
}

static u64 read_segment(u32 es_field, enum segment seg)
{
	return vmcs_read(vmcs_segment_field(es_field, seg));
}

/* The linear address of a memory operand; false: the fault has been injected. */
static bool operand_address(const struct operand *operand, bool write, u32 size, u64 *linear)
{
	struct operand_mode mode = {.in_64bit_mode = operand->in_64bit_mode};
	struct operand_segment segment;

	if (is_plain(operand, size)) {
		*linear = operand->offset;
		return true;
	}
	segment.base = read_segment(VMCS_GUEST_ES_BASE, operand->segment);
	if (mode.in_64bit_mode) {
		mode.cr3 = vmreadn(VMCS_GUEST_CR3);
		mode.cr4 = vmreadn(VMCS_GUEST_CR4);
	} else {
		segment.limit = (u32)read_segment(VMCS_GUEST_ES_LIMIT, operand->segment);
		segment.access_rights =
			(u32)read_segment(VMCS_GUEST_ES_ACCESS_RIGHTS, operand->segment);
	}
	switch (operand_linear(operand, &segment, &mode, write, size, linear)) {
	case OPERAND_OK:
		return true;
	case OPERAND_SS:
		event_inject_exception_error(VECTOR_SS, 0);
		return false;
	default:
		event_inject_gp0();
		return false;
	}
}

/* L2's, then, and L1 has given it memory of its own. */
static bool is_through_ept12(void)
{
	const struct vcpu *vcpu = this_vcpu();

	return vcpu->level && nested_l2_uses_ept(vcpu->nested->current->vmcs12);
}

bool operand_read(const struct operand *operand, void *dst, u32 size)
{
	struct guest_fault fault;
	u64 linear;

	if (!operand_address(operand, false, size, &linear))
		return false;
	if (is_through_ept12())
		return l2_operand_read(this_vcpu(), linear, dst, size);
	if (guest_linear_read(linear, dst, size, GUEST_LINEAR_DATA, &fault))
		return true;
	guest_fault_inject(&fault);
	return false;
}

bool operand_write(const struct operand *operand, const void *src, u32 size)
{
	struct guest_fault fault;
	u64 linear;

	if (!operand_address(operand, true, size, &linear))
		return false;
	if (is_through_ept12())
		return l2_operand_write(this_vcpu(), linear, src, size);
	if (guest_linear_write(linear, src, size, GUEST_LINEAR_DATA, &fault))
		return true;
	guest_fault_inject(&fault);
	return false;
}

static void vmxon_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	struct nested *nested = vcpu->nested;
	const struct operand operand = operand_of_exit(regs);
	u64 region;
	u32 revision;

	if (!(vmreadn(VMCS_CR4_READ_SHADOW) & CR4_VMXE)) {
		event_inject_ud();
		return;
	}
	if (nested->vmx_on) {
		if (instruction_cpl() > 0)
			event_inject_gp0();
		else
			nested_vmfail(vcpu, VMERR_VMXON_IN_ROOT);
		return;
	}
	const u64 cr0 = (vmreadn(VMCS_GUEST_CR0) & ~vmreadn(VMCS_CR0_GUEST_HOST_MASK)) |
			(vmreadn(VMCS_CR0_READ_SHADOW) & vmreadn(VMCS_CR0_GUEST_HOST_MASK));

	if (instruction_cpl() > 0 || (nested_caps.cr0_fixed0 & ~cr0) ||
	    (nested_caps.cr4_fixed0 & ~vmreadn(VMCS_GUEST_CR4))) {
		event_inject_gp0();
		return;
	}
	if (!operand_read(&operand, &region, sizeof(region)))
		return;
	if (!region_valid(region)) {
		nested_fail_invalid();
		return;
	}
	guest_memory_read(region, &revision, sizeof(revision));
	if (revision != VMCS12_REVISION) {
		nested_fail_invalid();
		return;
	}
	nested_set_vmx_operation(vcpu, true);
	nested->vmxon_region = region;
	nested->current = NULL;
	shadow_start();
	/* SDM "Restrictions on VMX Operation": PE and PG are fixed now too. */
	guest_set_cr0_shadow(vcpu, cr0);
	vmwriten(VMCS_CR0_GUEST_HOST_MASK, vmreadn(VMCS_CR0_GUEST_HOST_MASK) | CR0_PE | CR0_PG);
	nested_succeed();
}

static void vmxoff_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	struct nested *nested = vcpu->nested;

	/* Software should have cleared every VMCS; Umbra loses none for it. */
	for (u32 i = 0; i < VMCS12_CACHE_SIZE; i++) {
		if (nested->cache[i].gpa != NO_VMCS)
			vmcs12_evict(vcpu, &nested->cache[i]);
	}
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
}

static void vmclear_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	const struct operand operand = operand_of_exit(regs);
	struct nested_vmcs *vmcs;
	paddr_t region;

	if (!operand_read(&operand, &region, sizeof(region)))
		return;
	if (!region_valid(region)) {
		nested_vmfail(vcpu, VMERR_VMCLEAR_INVALID_ADDRESS);
		return;
	}
	if (region == vcpu->nested->vmxon_region) {
		nested_vmfail(vcpu, VMERR_VMCLEAR_VMXON_POINTER);
		return;
	}
	vmcs = vmcs12_find(vcpu->nested, region);
	if (vmcs) {
		vmcs->vmcs12->launched = false;
		vmcs12_evict(vcpu, vmcs);
	} else {
		const u32 launched = false;

		guest_memory_write(region + offsetof(struct vmcs12, launched), &launched,
				   sizeof(launched));
	}
	nested_succeed();
}

/* SDM "VMPTRLD": only with VMCS shadowing is it part of the header. */
static u32 shadow_indicator(void)
{
	return vmx_can_set(nested_caps.secondary, CPU2_VMCS_SHADOWING) ? VMCS_SHADOW_INDICATOR : 0;
}

static void vmptrld_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	const struct operand operand = operand_of_exit(regs);
	struct nested *nested = vcpu->nested;
	struct nested_vmcs *vmcs;
	paddr_t region;
	u32 revision;

	if (!operand_read(&operand, &region, sizeof(region)))
		return;
	if (!region_valid(region)) {
		nested_vmfail(vcpu, VMERR_VMPTRLD_INVALID_ADDRESS);
		return;
	}
	if (region == nested->vmxon_region) {
		nested_vmfail(vcpu, VMERR_VMPTRLD_VMXON_POINTER);
		return;
	}
	vmcs = vmcs12_find(nested, region);
	if (!vmcs) {
		guest_memory_read(region, &revision, sizeof(revision));
		if ((revision & ~shadow_indicator()) != VMCS12_REVISION) {
			nested_vmfail(vcpu, VMERR_VMPTRLD_WRONG_REVISION);
			return;
		}
		vmcs = vmcs12_load(vcpu, region);
	}
	vmcs->last_use = ++nested->clock;
	nested->current = vmcs;
	shadow_link(vmcs);
	nested_succeed();
}

static void vmptrst_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	const struct operand operand = operand_of_exit(regs);
	const paddr_t region = vcpu->nested->current ? vcpu->nested->current->gpa : NO_VMCS;

	if (operand_write(&operand, &region, sizeof(region)))
		nested_succeed();
}

static void invept_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	const struct operand operand = operand_of_exit(regs);
	const u64 type = operand_register(regs, &operand, operand.reg2);
	struct invept_descriptor descriptor;

	if (!(nested_caps.ept_vpid & EPT_CAP_INVEPT)) {
		event_inject_ud();
		return;
	}
	const bool supported =
		(type == INVEPT_SINGLE_CONTEXT && (nested_caps.ept_vpid & EPT_CAP_INVEPT_SINGLE)) ||
		(type == INVEPT_ALL_CONTEXT && (nested_caps.ept_vpid & EPT_CAP_INVEPT_ALL));

	if (!supported) {
		nested_vmfail(vcpu, VMERR_INVALID_INVEPT_INVVPID);
		return;
	}
	if (!operand_read(&operand, &descriptor, sizeof(descriptor)))
		return;
	if (type == INVEPT_SINGLE_CONTEXT && !check_eptp(descriptor.eptp, &nested_caps)) {
		nested_vmfail(vcpu, VMERR_INVALID_INVEPT_INVVPID);
		return;
	}
	if (type == INVEPT_SINGLE_CONTEXT)
		ept02_drop(vcpu, descriptor.eptp);
	else
		ept02_drop_all(vcpu);
	nested_succeed();
}

static bool is_canonical(u64 linear)
{
	const unsigned int unused = nested_caps.cr4_fixed1 & CR4_LA57 ? 7 : 16;

	return (u64)((i64)(linear << unused) >> unused) == linear;
}

static void invvpid_instruction(struct vcpu *vcpu, struct guest_regs *regs)
{
	static const u64 cap_of_type[] = {VPID_CAP_ADDRESS, VPID_CAP_SINGLE, VPID_CAP_ALL,
					  VPID_CAP_SINGLE_GLOBALS};
	const struct operand operand = operand_of_exit(regs);
	const u64 type = operand_register(regs, &operand, operand.reg2);
	struct invvpid_descriptor descriptor;

	if (!(nested_caps.ept_vpid & VPID_CAP_INVVPID)) {
		event_inject_ud();
		return;
	}
	if (type >= ARRAY_SIZE(cap_of_type) || !(nested_caps.ept_vpid & cap_of_type[type])) {
		nested_vmfail(vcpu, VMERR_INVALID_INVEPT_INVVPID);
		return;
	}
	if (!operand_read(&operand, &descriptor, sizeof(descriptor)))
		return;
	if (descriptor.vpid >> 16 || (type != INVVPID_ALL_CONTEXT && !descriptor.vpid) ||
	    (type == INVVPID_ADDRESS && !is_canonical(descriptor.address))) {
		nested_vmfail(vcpu, VMERR_INVALID_INVEPT_INVVPID);
		return;
	}
	if (type == INVVPID_ALL_CONTEXT)
		vpid02_flush_all(vcpu);
	else
		vpid02_flush(vcpu, (u16)descriptor.vpid, (enum invvpid_type)type,
			     descriptor.address);
	nested_succeed();
}

static void launch_instruction(struct vcpu *vcpu, struct guest_regs *regs, bool launch)
{
	const struct nested_vmcs *vmcs = vcpu->nested->current;

	vcpu->nested->l1_interruptibility = vmread32(VMCS_GUEST_INTERRUPTIBILITY);
	/* SDM "Basic VM-Entry Checks". */
	if (!vmcs || (vmcs->vmcs12->revision & VMCS_SHADOW_INDICATOR))
		nested_fail_invalid();
	else if (vcpu->nested->l1_interruptibility & INTERRUPTIBILITY_MOV_SS)
		nested_vmfail(vcpu, VMERR_ENTRY_MOV_SS);
	else if (launch && vmcs->vmcs12->launched)
		nested_vmfail(vcpu, VMERR_VMLAUNCH_NOT_CLEAR);
	else if (!launch && !vmcs->vmcs12->launched)
		nested_vmfail(vcpu, VMERR_VMRESUME_NOT_LAUNCHED);
	else
		nested_enter(vcpu, regs);
}

/* SDM "VMCALL": of all these only VMCALL exits before the checks on the mode. */
static bool vmcall_is_undefined(void)
{
	return (vmreadn(VMCS_GUEST_RFLAGS) & RFLAGS_VM) ||
	       ((vmread64(VMCS_GUEST_EFER) & EFER_LMA) && !instruction_in_64bit_mode());
}

/* The other mode checks (#UD) came before the exit; VMXON has its own order of checks. */
void nested_instruction_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u32 reason = vcpu->exit_reason;

	if (reason == REASON_VMXON) {
		vmxon_instruction(vcpu, regs);
		return;
	}
	if (!vcpu->nested->vmx_on || (reason == REASON_VMCALL && vmcall_is_undefined())) {
		event_inject_ud();
		return;
	}
	if (instruction_cpl() > 0) {
		event_inject_gp0();
		return;
	}
	if (reason == REASON_VMRESUME || reason == REASON_VMLAUNCH) {
		launch_instruction(vcpu, regs, reason == REASON_VMLAUNCH);
		return;
	}
	switch (reason) {
	case REASON_VMCALL:
		/* No dual-monitor treatment of SMIs. */
		nested_vmfail(vcpu, VMERR_VMCALL_IN_ROOT);
		break;
	case REASON_VMXOFF:
		vmxoff_instruction(vcpu, regs);
		break;
	case REASON_VMCLEAR:
		vmclear_instruction(vcpu, regs);
		break;
	case REASON_VMPTRLD:
		vmptrld_instruction(vcpu, regs);
		break;
	case REASON_VMPTRST:
		vmptrst_instruction(vcpu, regs);
		break;
	case REASON_VMREAD:
		vmread_of_l1(vcpu, regs);
		break;
	case REASON_VMWRITE:
		vmwrite_of_l1(vcpu, regs);
		break;
	case REASON_INVEPT:
		invept_instruction(vcpu, regs);
		break;
	case REASON_INVVPID:
		invvpid_instruction(vcpu, regs);
		break;
	default:
		event_inject_ud();
		break;
	}
}
