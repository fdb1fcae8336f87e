/* SPDX-License-Identifier: BSD-2-Clause */
/* INIT and start-up IPIs between the guest's CPUs, delivered by the hardware as VM exits. */
#include "lib/insn.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/setup.h"
#include "vmx/vmcs.h"

/* SDM "Processor State After Reset": EDX holds the processor signature, the others are 0. */
static void do_init(struct vcpu *vcpu, struct guest_regs *regs)
{
	*regs = (struct guest_regs){.rdx = cpuid(1, 0).eax};
	vmx_guest_init_state(vcpu, ACTIVITY_ACTIVE);
	invvpid(INVVPID_SINGLE_CONTEXT, vmread16(VMCS_VPID), 0);
}

/*
 * Whether a CPU that waits for a SIPI keeps an INIT, and makes an exit of it after the SIPI, the
 * SDM does not say ("Other Causes of VM Exits": it is blocked). Outside VMX operation it changes
 * nothing, and one SIPI after it starts the CPU. So the first entry after a SIPI exits before any
 * instruction, by the preemption timer; INIT, which comes before the timer, is an old one then.
 */
static void begin_start(struct vcpu *vcpu)
{
	if (!vmx_can_set(vcpu->vmx.pin, PIN_PREEMPTION_TIMER))
		return;
	vcpu->starting = true;
	vmwrite32(VMCS_PREEMPTION_TIMER_VALUE, 0);
	vmwrite32(VMCS_PIN_CONTROLS, vcpu->pin_controls | (u32)PIN_PREEMPTION_TIMER);
}

static void end_start(struct vcpu *vcpu)
{
	vcpu->starting = false;
	vmwrite32(VMCS_PIN_CONTROLS, vcpu->pin_controls);
}

void preemption_timer_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)regs;
	end_start(vcpu);
}

/*
 * A SIPI that comes before the CPU is in the wait-for-SIPI state is lost, and some systems send
 * only one, right behind the INIT. So only what the entry needs is done now, the rest of INIT by
 * the SIPI.
 */
static void wait_for_sipi(struct vcpu *vcpu)
{
	vmwrite32(VMCS_VM_ENTRY_INTR_INFO, 0);
	vmwrite32(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmwrite32(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_WAIT_SIPI);
	vcpu->cpu.waits_for_sipi = true;
}

/*
 * An application processor waits for a SIPI; the boot processor goes back to the firmware (SDM
 * "MP Initialization Protocol Algorithm for MP Systems").
 */
void init_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	/* SDM "Restrictions on VMX Operation": blocked until VMXOFF or the next VM entry. */
	if (vcpu->init_blocked) {
		vcpu->init_held = true;
		return;
	}
	if (vcpu->starting) {
		end_start(vcpu);
		return;
	}
	event_forget(vcpu);
	if (!vcpu->is_bsp) {
		wait_for_sipi(vcpu);
		return;
	}
	do_init(vcpu, regs);
}

/* The vector says where the CPU begins, in real mode and otherwise in the state of an INIT. */
void sipi_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u64 vector = vmreadn(VMCS_EXIT_QUALIFICATION) & 0xff;

	vcpu->cpu.waits_for_sipi = false;
	do_init(vcpu, regs);
	vmwrite16(VMCS_GUEST_CS_SELECTOR, (u16)(vector << 8));
	vmwriten(VMCS_GUEST_CS_BASE, vector << 12);
	vmwriten(VMCS_GUEST_RIP, 0);
	begin_start(vcpu);
}
