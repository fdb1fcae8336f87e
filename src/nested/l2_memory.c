/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits of L2 for its memory, and the same accesses made by Umbra for L2. */
#include <x86/cr.h>
#include <x86/ept.h>

#include "lib/insn.h"
#include "mm/ept01.h"
#include "mm/guest_memory.h"
#include "nested/checks.h"
#include "nested/l2_event.h"
#include "nested/l2_exit.h"
#include "nested/l2_memory.h"
#include "nested/leave.h"
#include "nested/state.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/guest_linear.h"
#include "vmx/instruction.h"
#include "vmx/vmcs.h"

static void reflect_ept_exit(struct vcpu *vcpu, u32 reason, u64 qualification,
			     const struct ept02_fault *fault)
{
	struct nested_vmcs *vmcs = vcpu->nested->current;

	nested_record_exit(vcpu);
	nested_set_exit_field(vmcs, F_EXIT_REASON, reason);
	nested_set_exit_field(vmcs, F_EXIT_QUALIFICATION, qualification);
	if (fault->by_umbra) {
		nested_set_exit_field(vmcs, F_GUEST_PHYSICAL_ADDRESS, fault->gpa);
		nested_set_exit_field(vmcs, F_GUEST_LINEAR_ADDRESS, fault->linear);
	}
	nested_leave(vcpu);
}

/* SDM "Page-Modification Logging". The index is in vmcs02, a guest-state field. */
static bool logs_modifications(const struct vmcs12 *v)
{
	return v->f[F_SECONDARY_CONTROLS] & CPU2_PML;
}

static void log_modification(const struct vmcs12 *v, paddr_t gpa)
{
	const u16 index = vmread16(VMCS_PML_INDEX);
	const u64 entry = ALIGN_DOWN(gpa, PAGE_SIZE);

	guest_memory_write(v->f[F_PML_ADDRESS] + index * sizeof(u64), &entry, sizeof(entry));
	vmwrite16(VMCS_PML_INDEX, (u16)(index - 1));
}

void l2_memory_set_map(struct vcpu *vcpu)
{
	struct nested_vmcs *vmcs = vcpu->nested->current;
	const u64 eptp02 = nested_l2_uses_ept(vmcs->vmcs12) ? ept02_eptp(vcpu, nested_eptp12(vmcs))
							    : ept01_eptp();

	if (eptp02 == vmcs->eptp02)
		return;
	vmwrite64(VMCS_EPT_POINTER, eptp02);
	vmcs->eptp02 = eptp02;
}

/* An entry of L2's page tables, as its walk has just read it; ctx is the fault. */
static bool read_entry(void *ctx, paddr_t gpa, void *dst, size_t size)
{
	const struct ept02_fault *fault = ctx;
	struct ept12_walk *walk = &this_vcpu()->nested->ept02.walk;

	ept12_walk(fault->eptp12, gpa, walk);
	if (!(walk->rights & EPT_READ))
		return false;
	guest_memory_read(walk->gpa1, dst, size);
	return true;
}

/*
 * SDM "EPT Violations": two rights hang on whether L2's address is a user-mode one. A CPU without
 * advanced information does not say. False: L2's paging does not say either, for it or ept12
 * changes meanwhile; L2 has to try again.
 */
__attribute__((noinline)) static bool find_mode(struct ept02_fault *fault)
{
	static const struct guest_walk_ops ops = {.read = read_entry};
	bool user = false;

	if (!(fault->access & (EPT_VIOLATION_FETCH | EPT_VIOLATION_SHADOW_STACK)))
		return true;
	if (!guest_linear_mode(vmreadn(VMCS_GUEST_LINEAR_ADDRESS), &ops, fault, &user))
		return false;
	fault->access =
		(fault->access & ~(u64)EPT_VIOLATION_USER) | (user ? (u64)EPT_VIOLATION_USER : 0);
	return true;
}

enum ept02_result nested_ept_fault(struct vcpu *vcpu, struct ept02_fault *fault)
{
	const struct vmcs12 *v = current12(vcpu);
	enum ept02_result result;

	fault->eptp12 = nested_eptp12(vcpu->nested->current);
	if (__builtin_expect(fault->eptp12 & EPT12_MORE_RIGHTS, 0) && !fault->by_umbra &&
	    !(nested_caps.ept_vpid & EPT_CAP_ADV_VIOLATION) && !find_mode(fault)) {
		/* Without ept02's old mappings L2's retry walks ept12 as it is now. */
		ept02_drop(vcpu, fault->eptp12);
		l2_memory_set_map(vcpu);
		return EPT02_AGAIN;
	}
	fault->log_full =
		logs_modifications(v) && vmread16(VMCS_PML_INDEX) >= PAGE_SIZE / sizeof(u64);
	result = ept02_fault(vcpu, fault);
	if (fault->dirtied && logs_modifications(v))
		log_modification(v, fault->gpa);
	return result;
}

/* SDM "Convertible EPT Violations" and "Virtualization-Exception Information". */
static bool take_virtualization_exception(const struct vmcs12 *v, const struct ept02_fault *fault,
					  u64 qualification)
{
	const struct {
		u32 reason;
		u32 busy;
		u64 qualification, linear, gpa;
		u16 eptp_index;
	} __attribute__((packed)) info = {
		.reason = REASON_EPT_VIOLATION,
		.busy = ~0u,
		.qualification = qualification,
		.linear = fault->by_umbra ? fault->linear : vmreadn(VMCS_GUEST_LINEAR_ADDRESS),
		.gpa = fault->gpa,
		.eptp_index = (u16)v->f[F_EPTP_INDEX],
	};
	u32 busy;

	if (!(v->f[F_SECONDARY_CONTROLS] & CPU2_EPT_VIOLATION_VE) ||
	    (fault->entry & EPT_SUPPRESS_VE) || !(vmreadn(VMCS_GUEST_CR0) & CR0_PE) ||
	    (vmread32(VMCS_IDT_VECTORING_INFO) & INTR_INFO_VALID))
		return false;
	guest_memory_read(v->f[F_VE_INFO_ADDR] + sizeof(info.reason), &busy, sizeof(busy));
	if (busy)
		return false;
	guest_memory_write(v->f[F_VE_INFO_ADDR], &info, sizeof(info));
	event_inject_exception(VECTOR_VE, 0);
	return true;
}

/*
 * Qualification bits besides read, write and execute, for an ept12 that has such rights. Where the
 * walk ended before a page they are undefined; then they are those of the last entry.
 */
static u64 more_rights(const struct ept02_fault *fault)
{
	return (fault->rights & EPT_USER_EXEC ? (u64)EPT_VIOLATION_WAS_USER_EXECUTABLE : 0) |
	       ((fault->eptp12 & EPTP_SHADOW_STACK) && (fault->entry & EPT_SHADOW_STACK)
			? (u64)EPT_VIOLATION_SHADOW_STACK_PAGE
			: 0);
}

/* L1's view of a violation: what L2 wanted is the hardware's word, what was allowed is ept12's. */
static void violation_for_l1(struct vcpu *vcpu, const struct ept02_fault *fault, u64 qualification)
{
	const u64 by_ept12 = EPT_VIOLATION_WAS_READABLE | EPT_VIOLATION_WAS_WRITABLE |
			     EPT_VIOLATION_WAS_EXECUTABLE | EPT_VIOLATION_WAS_USER_EXECUTABLE |
			     EPT_VIOLATION_SHADOW_STACK_PAGE;

	qualification = (qualification & ~by_ept12) | (fault->rights & EPT_RWX) << 3;
	if (__builtin_expect(fault->eptp12 & EPT12_MORE_RIGHTS, 0))
		qualification |= more_rights(fault);
	if (take_virtualization_exception(current12(vcpu), fault, qualification))
		return;
	vcpu->nested->violation.gpa = fault->gpa;
	vcpu->nested->violation.eptp12 = fault->eptp12;
	reflect_ept_exit(vcpu, REASON_EPT_VIOLATION, qualification, fault);
}

void nested_ept_fault_done(struct vcpu *vcpu, const struct ept02_fault *fault,
			   enum ept02_result result, u64 qualification)
{
	/* SDM "Saving RIP, RSP, RFLAGS, and SSP": such an exit saves RF as 1; the CPU saw to it. */
	if (fault->by_umbra)
		instruction_set_resume_flag();
	switch (result) {
	case EPT02_NO_MEMORY:
		vcpu->nested->undo = true;
		ept02_start_over(vcpu);
		l2_memory_set_map(vcpu);
		event_redeliver(qualification & EPT_VIOLATION_NMI_UNBLOCK);
		break;
	case EPT02_VIOLATION:
		violation_for_l1(vcpu, fault, qualification);
		break;
	case EPT02_MISCONFIG:
		reflect_ept_exit(vcpu, REASON_EPT_MISCONFIG, 0, fault);
		break;
	case EPT02_LOG_FULL:
		/* SDM "Exit Qualification for Page-Modification Log-Full Events". */
		reflect_ept_exit(vcpu, REASON_PML_FULL, qualification & EPT_VIOLATION_NMI_UNBLOCK,
				 fault);
		break;
	case EPT02_HIDDEN_WRITE:
		/* What L1 gets there. */
		ept_refuse_hidden_write(vcpu, fault->gpa, qualification);
		break;
	case EPT02_MAPPED:
	case EPT02_AGAIN:
	default:
		event_redeliver(qualification & EPT_VIOLATION_NMI_UNBLOCK);
		break;
	}
}

/* Without EPT of its own L2 runs on ept01, so this is an exit of ept01's. */
bool l2_ept_violation(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u64 qualification = ept_qualification();
	struct ept02_fault fault = {
		.gpa = vmread64(VMCS_GUEST_PHYSICAL_ADDRESS),
		.access = qualification,
	};

	(void)regs;
	if (!nested_l2_uses_ept(current12(vcpu))) {
		ept_violation(vcpu, qualification);
		return true;
	}
	nested_ept_fault_done(vcpu, &fault, nested_ept_fault(vcpu, &fault), qualification);
	return true;
}

/*
 * ept02 has no malformed entries of Umbra's making: what the CPU dislikes there it would dislike in
 * ept12, so L1 is told. Without EPT for L2 it is ept01's.
 */
bool l2_ept_misconfiguration(struct vcpu *vcpu, struct guest_regs *regs)
{
	if (nested_l2_uses_ept(current12(vcpu)))
		return false;
	ept_misconfig_exit(vcpu, regs);
	return true;
}

/* SDM "EPTP Switching". vmcs02 enables VM functions and none of them, so that all exit. */
bool l2_vmfunc(struct vcpu *vcpu, struct guest_regs *regs)
{
	enum { EPTP_SWITCHING = 0, EPTP_LIST_LENGTH = 512 };
	struct vmcs12 *v = vcpu->nested->current->vmcs12;
	const u32 index = (u32)regs->rcx;
	u64 eptp;

	if ((u32)regs->rax != EPTP_SWITCHING ||
	    !(v->f[F_VM_FUNCTION_CONTROLS] & BIT(EPTP_SWITCHING)) || index >= EPTP_LIST_LENGTH)
		return false;
	guest_memory_read(v->f[F_EPTP_LIST_ADDR] +
				  index_masked(index, EPTP_LIST_LENGTH) * sizeof(eptp),
			  &eptp, sizeof(eptp));
	if (!check_eptp(eptp, &nested_caps))
		return false;
	v->f[F_EPT_POINTER] = eptp;
	if (v->f[F_SECONDARY_CONTROLS] & CPU2_EPT_VIOLATION_VE)
		v->f[F_EPTP_INDEX] = index;
	l2_memory_set_map(vcpu);
	instruction_done();
	l2_instruction_executed(vcpu);
	return true;
}
