/* SPDX-License-Identifier: BSD-2-Clause */
/* INIT and start-up IPIs between the guest's CPUs, delivered by the hardware as VM exits. */
#include "lib/insn.h"
#include "vmx/exit.h"
#include "vmx/setup.h"
#include "vmx/vmcs.h"

/* SDM "Processor State After Reset": EDX holds the processor signature, the others are 0. */
static void set_init_registers(struct guest_regs *regs)
{
	*regs = (struct guest_regs){.rdx = cpuid(1, 0).eax};
}

/*
 * An application processor waits for a SIPI; the boot processor goes back to the firmware (SDM
 * "MP Initialization Protocol Algorithm for MP Systems").
 */
void init_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	/* SDM "Restrictions on VMX Operation": blocked until VMXOFF. */
	if (vcpu->init_blocked) {
		vcpu->init_held = true;
		return;
	}
	set_init_registers(regs);
	vmx_guest_init_state(vcpu, vcpu->is_bsp ? ACTIVITY_ACTIVE : ACTIVITY_WAIT_SIPI);
	invvpid(INVVPID_SINGLE_CONTEXT, vmread16(VMCS_VPID), 0);
}

/* The CPU is in the state INIT left; the vector says where it begins, in real mode. */
void sipi_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u64 vector = vmreadn(VMCS_EXIT_QUALIFICATION) & 0xff;

	set_init_registers(regs);
	vmx_guest_init_state(vcpu, ACTIVITY_ACTIVE);
	vmwrite16(VMCS_GUEST_CS_SELECTOR, (u16)(vector << 8));
	vmwriten(VMCS_GUEST_CS_BASE, vector << 12);
	vmwriten(VMCS_GUEST_RIP, 0);
}
