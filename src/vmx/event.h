/* SPDX-License-Identifier: BSD-2-Clause */
/* Events given to the guest at the next VM entry. SDM "Event Injection". */
#pragma once

#include <x86/cr.h>

#include "vmx/vcpu.h"

/*
 * A fault of the instruction that exited; RIP stays on it. The error code counts for vectors that
 * have one.
 */
void event_inject_exception(enum vector vector, u32 error_code);

static inline void event_inject_ud(void)
{
	event_inject_exception(VECTOR_UD, 0);
}

static inline void event_inject_gp0(void)
{
	event_inject_exception(VECTOR_GP, 0);
}

/*
 * A fault by an exit that may have hit while another event was being delivered: combined with that
 * one as SDM "Double Fault Exception" says.
 */
void event_inject_combined(enum vector vector, u32 error_code);

/*
 * A #DB that is a trap, with `cause` set in DR6; entries leave the debug registers alone, so this
 * does what delivery does to them.
 */
void event_inject_debug_trap(u64 cause);

/*
 * #GP(0) by an exit that may have hit while another event was being delivered: combined with that
 * one as SDM "Double Fault Exception" says. `nmi_unblocked` as below.
 */
void event_inject_gp0_combined(bool nmi_unblocked);

/*
 * After an exit that hit while an event was being delivered and that Umbra resolves by itself:
 * delivers it again, with its error code and instruction length; and blocks NMIs again if the exit
 * undid an IRET's unblocking. `nmi_unblocked`: bit 12 of the exit's qualification or information.
 */
void event_redeliver(bool nmi_unblocked);

/* SDM "Event Injection": of these the VMCS has an instruction length as well. */
static inline bool event_is_software(u32 info)
{
	const u32 type = info & (u32)INTR_INFO_TYPE;

	return type == INTR_TYPE_SW_INTERRUPT || type == INTR_TYPE_PRIV_SW_EXC ||
	       type == INTR_TYPE_SW_EXCEPTION;
}

/* An NMI for the guest: injected now, or as soon as nothing blocks it. */
void event_nmi(struct vcpu *vcpu);

/*
 * From switch.S: something came between the exit handler and the entry. Returns whether the current
 * VMCS has been launched before, so that VMRESUME is right for the entry, and not VMLAUNCH.
 */
bool event_deliver_late(struct guest_regs *regs);

/* A machine check made the entry fail: the guest gets it as #MC, or is reset. */
void event_machine_check(struct vcpu *vcpu);

/* Another VMCS is current now, or L2 can take events: injects what is latched, if possible. */
void event_deliver_latched(struct vcpu *vcpu);

/* INIT: forgets what is latched. vmcs01 is current. */
void event_forget(struct vcpu *vcpu);
