/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC, for starting CPUs and for stopping them in a panic. It is the guest's otherwise:
 * nothing of it is intercepted. Both modes, whichever IA32_APIC_BASE says at the time.
 */
#pragma once

#include <x86/types.h>

/* This CPU's APIC id: 8 bits in xAPIC mode, 32 in x2APIC mode. */
u32 lapic_id(void);

/* False: the APIC is in xAPIC mode, which cannot address this id. */
bool lapic_can_reach(u32 apic_id);

/* To a CPU that can be reached; the vector is the page that it begins at. */
void lapic_send_init(u32 apic_id);
void lapic_send_sipi(u32 apic_id, u8 vector);

/* To none if the guest has made its APIC unusable. */
void lapic_send_nmi(u32 apic_id);

/* An NMI, INIT or SIPI to every CPU but this one; to none if the guest has made its APIC unusable.
 */
void lapic_nmi_others(void);
void lapic_init_others(void);
void lapic_sipi_others(u8 vector);
