/* SPDX-License-Identifier: BSD-2-Clause */
#include <x86/ept.h>

#include "lib/log.h"
#include "lib/panic.h"
#include "mm/ept01.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/vmcs.h"

/*
 * Umbra's memory is no memory to the guest. A write is #GP(0); the first read or fetch of a page
 * puts ones there, so that later ones need no exit, and fetched ones are #UD. Everything else that
 * is absent was left out of ept01 until needed.
 */
void ept_violation_exit(struct cpu *cpu, struct guest_regs *regs)
{
	const u64 qualification = vmreadn(VMCS_EXIT_QUALIFICATION);
	const paddr_t gpa = vmread64(VMCS_GUEST_PHYSICAL_ADDRESS);

	(void)regs;
	if (!ept01_is_hidden(gpa, 1)) {
		if (!ept01_fill(gpa))
			panic("EPT violation at %#llx, qualification %#llx",
			      (unsigned long long)gpa, (unsigned long long)qualification);
		event_redeliver(qualification & EPT_VIOLATION_NMI_UNBLOCK);
		return;
	}
	if (!(qualification & EPT_VIOLATION_WRITE)) {
		if (cpu->hidden_reads++ == 0)
			log_warn("CPU %u: the guest read Umbra's memory at %#llx", cpu->index,
				 (unsigned long long)gpa);
		if (!ept01_show_ones(gpa))
			panic("out of memory to show the guest a page of ones");
		event_redeliver(qualification & EPT_VIOLATION_NMI_UNBLOCK);
		return;
	}
	if (cpu->hidden_writes++ == 0)
		log_warn("CPU %u: the guest wrote to Umbra's memory at %#llx", cpu->index,
			 (unsigned long long)gpa);
	/* Pushes onto a stack there while an event is delivered come here too. */
	event_inject_gp0_combined(qualification & EPT_VIOLATION_NMI_UNBLOCK);
}
