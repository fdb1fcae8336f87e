/* SPDX-License-Identifier: BSD-2-Clause */
/* A CPU that runs already becomes a guest where it stands. */
#pragma once

#include <x86/vmcs.h>

#include "lib/insn.h"
#include "vmx/segment.h"
#include "vmx/vcpu.h"

/*
 * What a CPU does at this moment under an operating system or firmware in 64-bit mode, to let it go
 * on as a guest. Read before anything of it is changed but what its owner fills in.
 */
struct running_state {
	struct vcpu *vcpu; /* the owner's */
	u64 rip, rsp, cr3; /* the owner's */
	u64 cr0, cr4, efer, dr7, pat, debugctl;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	struct table_pointer gdt, idt;
	u16 selector[SEG_COUNT];
	struct segment_descriptor segment[SEG_COUNT];
};

/* Reads this CPU's, whose GDT must be readable where it says. */
void running_state_read(struct running_state *out);

/* The guest goes on from there, with interrupts off and general registers that are 0. */
void vmx_guest_running_state(struct vcpu *vcpu, const struct running_state *state);
