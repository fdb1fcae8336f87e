/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC, in whichever mode it is. */
#pragma once

#include <x86/apic.h>
#include <x86/types.h>

/* Masks the PICs. Once, before any CPU takes interrupts. */
void pic_mask(void);

/* Enables this CPU's local APIC, in x2APIC mode if asked and available. */
void apic_init_cpu(bool want_x2apic);

/* This CPU's is in x2APIC mode. */
bool apic_is_x2apic(void);

u32 apic_id(void);
void apic_eoi(void);
u32 apic_read(u32 offset);
void apic_write(u32 offset, u32 value);

/* Sends mode|vector to one CPU; returns when the APIC has taken it. Usable in an NMI handler. */
void apic_send(u32 apic_id, u32 command);

/* Sends mode|vector|shorthand. */
void apic_send_shorthand(u32 command);
