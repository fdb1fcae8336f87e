/* SPDX-License-Identifier: BSD-2-Clause */
/* Into VMX operation, and a vmcs01 for every CPU. */
#pragma once

#include <x86/vmcs.h>

#include "vmx/vcpu.h"

/*
 * What nested VMX has to know before it can say what the guest is offered: the boot processor's
 * capabilities and MTRRs.
 */
void vmx_read_boot_cpu(void);

/* What all CPUs share; once, on the boot processor, after ept01_init() and when offered_vmx is set.
 */
void vmx_setup_shared(void);

/*
 * Enters VMX operation on this CPU and makes its vmcs01 current and complete but for the guest's
 * register state. Stops with a message if the CPU lacks something.
 */
void vmx_setup_cpu(struct vcpu *vcpu);

/*
 * The host state of the current VMCS: exits arrive at `rip`, in Umbra's tables and segments, on
 * this CPU's stack.
 */
void vmx_set_host_state(const struct vcpu *vcpu, u64 rip);

/* Reads the capabilities and stops with one line per missing thing. Before anything is touched. */
void vmx_require(struct vmx_capabilities *caps, u32 apic_id);

/*
 * Guest state after INIT (SDM "Processor State After Reset", the INIT column), in the given
 * activity state.
 */
void vmx_guest_init_state(struct vcpu *vcpu, enum activity_state activity);

/* An application processor's first state: after RESET, waiting for the guest's SIPI. */
void vmx_guest_wait_for_sipi(struct vcpu *vcpu);

enum {
	GUEST_SELECTOR_CODE = 0x10,
	GUEST_SELECTOR_DATA = 0x18,
};

/* How the boot processor's guest begins, at boot and after a sleep. */
struct guest_start {
	bool protected_mode; /* flat 32-bit without paging, selectors as above; else real mode */
	u32 eip;             /* protected mode: linear; real mode: IP */
	u16 cs;              /* real mode */
	u32 gdt_base;        /* protected mode: physical, of a GDT that matches the selectors */
	u16 gdt_limit;
	struct guest_regs regs; /* rsp_unused holds SP in real mode */
};

/* At boot and at each waking, on the boot processor; vmcs01 is current, L1 has not run yet. */
void vmx_guest_start_state(struct vcpu *vcpu, const struct guest_start *start);
