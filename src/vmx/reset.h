/* SPDX-License-Identifier: BSD-2-Clause */
/* Restarting the machine: the guest's CPU is in shutdown, or the guest cannot go on. */
#pragma once

#include "platform/acpi.h"

/* Tells how this platform is reset (kept); without it only the usual ports are tried. */
void reset_init(const struct acpi_info *info);

/* Says why on the console, then resets: ACPI reset register, port cf9, keyboard controller. */
_Noreturn void reset_machine(const char *why);
