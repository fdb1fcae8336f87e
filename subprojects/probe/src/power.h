/* SPDX-License-Identifier: BSD-2-Clause */
/* Ways to end. */
#pragma once

/* Says why, and stops this CPU. */
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

_Noreturn void power_halt(void);

/* By the reset register, the keyboard controller, and at last a triple fault. */
_Noreturn void power_reboot(void);

/* Returns if the machine stays awake. */
struct acpi_sleep;
void power_sleep(const struct acpi_sleep *how);

/* By ACPI S5, then by the port Bochs has for it; halts where neither works. */
_Noreturn void power_off(void);

/* Loads an empty IDT and faults: the processor shuts down. */
_Noreturn void triple_fault(void);
