/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC, for starting CPUs and for stopping them in a panic. It is the guest's otherwise:
 * nothing of it is intercepted. Both modes, whichever IA32_APIC_BASE says at the time.
 */
#pragma once

#include <x86/apic.h>
#include <x86/types.h>

/* This CPU's APIC id: 8 bits in xAPIC mode, 32 in x2APIC mode. */
u32 lapic_id(void);

/* False: the APIC is in xAPIC mode, which cannot address this id. */
bool lapic_can_reach(u32 apic_id);

/*
 * Sends APIC_INIT, APIC_NMI, or APIC_STARTUP with the number of the page that a CPU begins at: to
 * one CPU that can be reached, or to every CPU but this one. To none if the guest has made its APIC
 * unusable.
 */
void lapic_send(u32 apic_id, u32 command);
void lapic_send_others(u32 command);
