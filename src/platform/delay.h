/* SPDX-License-Identifier: BSD-2-Clause */
/* Short busy waits while CPUs are started, and in a reset. */
#pragma once

#include "platform/acpi.h"

/*
 * Prefers the ACPI PM timer to the PIT, which some platforms switch off; and does without either
 * once they stand still, as the PM timer does in some deep sleep states and virtual machines.
 */
void delay_init(const struct acpi_info *acpi);

/* Waits at least `us` microseconds. */
void delay_us(u32 us);
