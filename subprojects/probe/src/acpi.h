/* SPDX-License-Identifier: BSD-2-Clause */
/* The few ACPI tables a test kernel needs. */
#pragma once

#include <x86/types.h>

enum { ACPI_MAX_CPUS = 256 };

struct acpi_cpus {
	u32 apic_id[ACPI_MAX_CPUS];
	unsigned count;
};

/* How to enter S5 through the PM1 control registers. */
struct acpi_poweroff {
	u16 pm1a, pm1b; /* I/O ports; pm1b may be 0 */
	u8 type_a, type_b;
};

/* Finds the root table; rsdp is the loader's word for it, or 0 to look in the BIOS area. */
bool acpi_init(paddr_t rsdp);

/* Whether the root table lists one. */
bool acpi_has_table(const char *signature);

/* The enabled processors of the MADT, in its order. False if there is no MADT. */
bool acpi_cpus(struct acpi_cpus *out);

/* False if the FADT or \_S5 is missing. */
bool acpi_poweroff(struct acpi_poweroff *out);
