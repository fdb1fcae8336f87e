/* SPDX-License-Identifier: BSD-2-Clause */
/* The few ACPI tables a test kernel needs. */
#pragma once

#include <x86/types.h>

enum { ACPI_MAX_CPUS = 256 };

struct acpi_cpus {
	u32 apic_id[ACPI_MAX_CPUS];
	unsigned count;
	unsigned to_come; /* not enabled, but the system may enable them when they are added */
};

/* How to enter a sleeping state through the PM1 control registers. */
struct acpi_sleep {
	u16 pm1a, pm1b; /* I/O ports; pm1b may be 0 */
	u16 pm1a_status;
	u8 type_a, type_b;
};

/* Finds the root table; rsdp is the loader's word for it, or 0 to look in the BIOS area. */
bool acpi_init(paddr_t rsdp);

/* Whether the root table lists one. */
bool acpi_has_table(const char *signature);

/* The enabled processors of the MADT, in its order. False if there is no MADT. */
bool acpi_cpus(struct acpi_cpus *out);

/* state: "_S5_" and so on. False if the FADT or that is missing. */
bool acpi_sleep(const char *state, struct acpi_sleep *out);

/* Where S3 ends, in real mode. False if there is no FACS. */
bool acpi_set_waking_vector(u32 vector);
