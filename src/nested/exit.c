/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits of L2: one table says who handles each. */
#include <x86/cr.h>
#include <x86/ept.h>
#include <x86/msr.h>

#include "lib/insn.h"
#include "lib/panic.h"
#include "mm/ept01.h"
#include "mm/guest_memory.h"
#include "nested/nested.h"
#include "nested/state.h"
#include "vmx/event.h"
#include "vmx/msr.h"
#include "vmx/vmcs.h"

/* Does what Umbra has to do about an exit; false: it is L1's. */
typedef bool l2_exit_handler(struct cpu *cpu, struct guest_regs *regs);

static const struct vmcs12 *current12(const struct cpu *cpu)
{
	return cpu->nested->current->vmcs12;
}

/* L1 sees no exit that its bitmap did not ask for. */
static bool msr_exit_is_l1s(struct cpu *cpu, u32 msr, bool write)
{
	const struct vmcs12 *v = current12(cpu);
	const u32 in_range = msr & 0x1fff;
	u32 offset = write ? 2048 : 0;
	u8 bits;

	if (!(v->f[F_PRIMARY_CONTROLS] & CPU_USE_MSR_BITMAPS))
		return true;
	if (msr >> 13 == 0xc0000000 >> 13)
		offset += 1024;
	else if (msr >> 13 != 0)
		return true;
	guest_memory_read(v->f[F_MSR_BITMAP] + offset + in_range / 8, &bits, sizeof(bits));
	return bits >> (in_range % 8) & 1;
}

static bool l2_rdmsr(struct cpu *cpu, struct guest_regs *regs)
{
	if (msr_exit_is_l1s(cpu, (u32)regs->rcx, false))
		return false;
	rdmsr_exit(cpu, regs);
	return true;
}

static bool l2_wrmsr(struct cpu *cpu, struct guest_regs *regs)
{
	if (msr_exit_is_l1s(cpu, (u32)regs->rcx, true))
		return false;
	wrmsr_exit(cpu, regs);
	return true;
}

static bool uses_ept(const struct vmcs12 *v)
{
	return (v->f[F_PRIMARY_CONTROLS] & CPU_SECONDARY_CONTROLS) &&
	       (v->f[F_SECONDARY_CONTROLS] & CPU2_EPT);
}

/* L1's view of a violation: what L2 wanted is the hardware's word, what was allowed is ept12's. */
static void reflect_violation(struct cpu *cpu, u64 qualification, u64 rights)
{
	const u64 by_ept12 = EPT_VIOLATION_WAS_READABLE | EPT_VIOLATION_WAS_WRITABLE |
			     EPT_VIOLATION_WAS_EXECUTABLE | EPT_VIOLATION_WAS_USER_EXECUTABLE;

	nested_record_exit(cpu);
	nested_set_exit_field(cpu->nested->current, F_EXIT_QUALIFICATION,
			      (qualification & ~by_ept12) | (rights & EPT_RWX) << 3);
	nested_leave(cpu);
}

static void reflect_misconfiguration(struct cpu *cpu)
{
	nested_record_exit(cpu);
	nested_set_exit_field(cpu->nested->current, F_EXIT_REASON, REASON_EPT_MISCONFIG);
	nested_set_exit_field(cpu->nested->current, F_EXIT_QUALIFICATION, 0);
	nested_leave(cpu);
}

/* Without EPT of its own L2 runs on ept01, so this is an exit of ept01's. */
static bool l2_ept_violation(struct cpu *cpu, struct guest_regs *regs)
{
	const u64 qualification = vmreadn(VMCS_EXIT_QUALIFICATION);
	const paddr_t gpa = vmread64(VMCS_GUEST_PHYSICAL_ADDRESS);
	const struct vmcs12 *v = current12(cpu);
	u64 rights;

	if (!uses_ept(v)) {
		ept_violation_exit(cpu, regs);
		return true;
	}
	switch (ept02_fault(cpu, v->f[F_EPT_POINTER], gpa, qualification, &rights)) {
	case EPT02_MAPPED:
		event_redeliver(qualification & EPT_VIOLATION_NMI_UNBLOCK);
		return true;
	case EPT02_VIOLATION:
		reflect_violation(cpu, qualification, rights);
		return true;
	case EPT02_MISCONFIG:
		reflect_misconfiguration(cpu);
		return true;
	case EPT02_NO_MEMORY:
		/* Start over with one empty root: that much there always is. */
		ept02_drop_all(cpu);
		vmwrite64(VMCS_EPT_POINTER, ept02_eptp(cpu, v->f[F_EPT_POINTER]));
		event_redeliver(qualification & EPT_VIOLATION_NMI_UNBLOCK);
		return true;
	case EPT02_HIDDEN:
	default:
		/* No memory there: as if ept12 did not map it. */
		reflect_violation(cpu, qualification, 0);
		return true;
	}
}

/* ept02 never holds a malformed entry; in ept01 none can be either. */
static bool l2_ept_misconfiguration(struct cpu *cpu, struct guest_regs *regs)
{
	(void)cpu;
	(void)regs;
	panic("EPT misconfiguration at %#llx while L2 runs",
	      (unsigned long long)vmread64(VMCS_GUEST_PHYSICAL_ADDRESS));
}

static bool l2_exception_nmi(struct cpu *cpu, struct guest_regs *regs)
{
	(void)cpu;
	(void)regs;
	if ((vmread32(VMCS_VM_EXIT_INTR_INFO) & INTR_INFO_TYPE) == INTR_TYPE_NMI) {
		if (panic_in_progress())
			cpu_halt_forever();
		unblock_nmis();
	}
	return false;
}

/* Everything without an entry here is L1's: vmcs02's controls are L1's. */
static l2_exit_handler *const handlers[REASON_COUNT] = {
	[REASON_EXCEPTION_NMI] = l2_exception_nmi,
	[REASON_RDMSR] = l2_rdmsr,
	[REASON_WRMSR] = l2_wrmsr,
	[REASON_EPT_VIOLATION] = l2_ept_violation,
	[REASON_EPT_MISCONFIG] = l2_ept_misconfiguration,
};

void nested_exit_handle(struct guest_regs *regs)
{
	struct cpu *cpu = this_cpu();
	const u32 reason = vmread32(VMCS_EXIT_REASON);

	cpu->regs = regs;
	cpu->exit_reason = reason;
	if (reason & EXIT_REASON_ENTRY_FAIL) {
		nested_entry_failed(cpu, reason & EXIT_REASON_BASIC,
				    vmreadn(VMCS_EXIT_QUALIFICATION));
		return;
	}
	/* Flags beside the reason, as of an exit from an enclave, are L1's to see. */
	const u32 basic = reason & EXIT_REASON_BASIC;

	cpu->nested->current->vmcs02_launched = true;
	if (basic < REASON_COUNT) {
		if (UMBRA_STATISTICS)
			cpu->l2_exits[basic]++;
		if (handlers[basic] && handlers[basic](cpu, regs)) {
			/* Still L2, perhaps: an NMI that could not be given to it before may now.
			 */
			if (cpu->nmi_latched && cpu->nested->in_l2)
				nested_nmi(cpu);
			return;
		}
	}
	nested_reflect(cpu);
}

bool nested_in_l2(const struct cpu *cpu)
{
	return cpu->nested && cpu->nested->in_l2;
}

bool nested_current_is_launched(const struct cpu *cpu)
{
	if (!cpu->nested || !cpu->nested->vmx_on)
		return false;
	return !cpu->nested->in_l2 || cpu->nested->current->vmcs02_launched;
}

bool nested_nmi(struct cpu *cpu)
{
	const u32 blocking = INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS | INTERRUPTIBILITY_NMI;
	const u32 nmi = (u32)INTR_INFO_VALID | INTR_TYPE_NMI | VECTOR_NMI;

	if (current12(cpu)->f[F_PIN_CONTROLS] & PIN_NMI_EXITING) {
		cpu->nmi_latched = false;
		nested_reflect_event(cpu, REASON_EXCEPTION_NMI, 0, nmi);
		return true;
	}
	/* L2's to take by its own IDT, as soon as an exit finds nothing in the way. */
	if ((vmread32(VMCS_VM_ENTRY_INTR_INFO) & INTR_INFO_VALID) ||
	    (vmread32(VMCS_GUEST_INTERRUPTIBILITY) & blocking) ||
	    vmread32(VMCS_GUEST_ACTIVITY_STATE) > ACTIVITY_HLT)
		return false;
	vmwrite32(VMCS_VM_ENTRY_INTR_INFO, nmi);
	cpu->nmi_latched = false;
	return true;
}

bool nested_take_machine_check(struct cpu *cpu)
{
	if (!(vmread32(VMCS_EXCEPTION_BITMAP) & (1u << VECTOR_MC)))
		return false;
	nested_reflect_event(cpu, REASON_EXCEPTION_NMI, 0,
			     (u32)INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VECTOR_MC);
	return true;
}

bool nested_hold_init(struct cpu *cpu)
{
	if (!cpu->nested || !cpu->nested->vmx_on)
		return false;
	cpu->nested->init_held = true;
	return true;
}
