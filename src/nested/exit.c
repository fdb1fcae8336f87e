/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits of L2: one table says who handles each. */
#include <x86/cr.h>
#include <x86/ept.h>
#include <x86/msr.h>

#include "lib/insn.h"
#include "lib/panic.h"
#include "mm/ept01.h"
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
static enum msr_exit_owner msr_exit_owner(struct cpu *cpu, u32 msr, bool write)
{
	const struct vmcs12 *v = current12(cpu);

	if (!(v->f[F_PRIMARY_CONTROLS] & CPU_USE_MSR_BITMAPS))
		return MSR_EXIT_L1;
	return msr_bitmap02_exit(&cpu->nested->current->msr_bitmap, v->f[F_MSR_BITMAP], msr, write);
}

/*
 * SDM "Monitor Trap Flag": the exit is due on the boundary after the instruction, which the next
 * entry is past already. An injected fault has its boundary by the entry.
 */
static void after_instruction(struct cpu *cpu)
{
	if (cpu->nested->in_l2 && (current12(cpu)->f[F_PRIMARY_CONTROLS] & CPU_MONITOR_TRAP_FLAG) &&
	    !(vmread32(VMCS_VM_ENTRY_INTR_INFO) & INTR_INFO_VALID))
		nested_reflect_event(cpu, REASON_MONITOR_TRAP_FLAG, 0, 0);
}

static bool l2_rdmsr(struct cpu *cpu, struct guest_regs *regs)
{
	const enum msr_exit_owner owner = msr_exit_owner(cpu, (u32)regs->rcx, false);

	if (owner == MSR_EXIT_UMBRA) {
		rdmsr_exit(cpu, regs);
		after_instruction(cpu);
	}
	return owner != MSR_EXIT_L1;
}

static bool l2_wrmsr(struct cpu *cpu, struct guest_regs *regs)
{
	const enum msr_exit_owner owner = msr_exit_owner(cpu, (u32)regs->rcx, true);

	if (owner == MSR_EXIT_UMBRA) {
		wrmsr_exit(cpu, regs);
		after_instruction(cpu);
	}
	return owner != MSR_EXIT_L1;
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
	const u64 qualification = ept_qualification();
	const paddr_t gpa = vmread64(VMCS_GUEST_PHYSICAL_ADDRESS);
	const struct vmcs12 *v = current12(cpu);
	const bool nmi_unblocked = qualification & EPT_VIOLATION_NMI_UNBLOCK;
	u64 rights;

	(void)regs;
	if (!uses_ept(v)) {
		ept_violation(cpu, qualification);
		return true;
	}
	switch (ept02_fault(cpu, v->f[F_EPT_POINTER], gpa, qualification, &rights)) {
	case EPT02_MAPPED:
		event_redeliver(nmi_unblocked);
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
		cpu->nested->current->eptp02 = ept02_eptp(cpu, v->f[F_EPT_POINTER]);
		vmwrite64(VMCS_EPT_POINTER, cpu->nested->current->eptp02);
		event_redeliver(nmi_unblocked);
		return true;
	case EPT02_HIDDEN_WRITE:
	default:
		/* What L1 gets there. */
		ept_refuse_hidden_write(cpu, gpa, qualification);
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
	msr_list_entered(cpu->nested->current);
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
