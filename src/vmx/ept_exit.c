/* SPDX-License-Identifier: BSD-2-Clause */
#include <x86/ept.h>

#include "lib/log.h"
#include "mm/ept01.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/vmcs.h"

/*
 * No way to map it: beyond what a 4-level EPT reaches, or no page is left for a table. Pushes onto
 * a stack there while an event is delivered come here too.
 */
static void refuse(struct vcpu *vcpu, paddr_t gpa, u64 qualification)
{
	log_debug("CPU %u: no access to %#lx, qualification %#lx", vcpu->cpu.index, gpa,
		  qualification);
	event_inject_gp0_combined(qualification & EPT_VIOLATION_NMI_UNBLOCK);
}

void ept_refuse_hidden_write(struct vcpu *vcpu, paddr_t gpa, u64 qualification)
{
	if (vcpu->hidden_writes++ == 0)
		log_warn("CPU %u: the guest wrote to Umbra's memory or beyond any, at %#lx",
			 vcpu->cpu.index, gpa);
	refuse(vcpu, gpa, qualification);
}

/*
 * Umbra's memory is no memory to the guest. A write is #GP(0); the first read or fetch of a page
 * puts ones there, so that later ones need no exit, and fetched ones are #UD. Everything else that
 * is absent was left out of ept01 until needed.
 */
void ept_violation(struct vcpu *vcpu, u64 qualification)
{
	const paddr_t gpa = vmread64(VMCS_GUEST_PHYSICAL_ADDRESS);
	const bool hidden = ept01_is_hidden(gpa, 1);

	if (hidden && (qualification & EPT_VIOLATION_WRITE)) {
		ept_refuse_hidden_write(vcpu, gpa, qualification);
		return;
	}
	if (hidden ? !ept01_show_ones(gpa) : !ept01_fill(gpa)) {
		refuse(vcpu, gpa, qualification);
		return;
	}
	if (hidden && vcpu->hidden_reads++ == 0)
		log_warn("CPU %u: the guest read Umbra's memory at %#lx", vcpu->cpu.index, gpa);
	event_redeliver(qualification & EPT_VIOLATION_NMI_UNBLOCK);
}

void ept_violation_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)regs;
	ept_violation(vcpu, vmreadn(VMCS_EXIT_QUALIFICATION));
}

/*
 * ept01 has no malformed entries. Should the CPU still take one for such, as where memory
 * encryption uses up address bits, there is no memory for the guest.
 */
void ept_misconfig_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)regs;
	refuse(vcpu, vmread64(VMCS_GUEST_PHYSICAL_ADDRESS), 0);
}
