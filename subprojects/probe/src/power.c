/* SPDX-License-Identifier: BSD-2-Clause */
#include "power.h"

#include <x86/pc.h>

#include "acpi.h"
#include "console.h"
#include "insn.h"
#include "timer.h"

enum {
	BOCHS_SHUTDOWN = 0x8900,
	PM1_SLP_TYP_SHIFT = 10,
	PM1_SLP_EN = 1 << 13,
	RESET_WAIT_US = 100000,
};

_Noreturn void power_halt(void)
{
	for (;;)
		asm volatile("cli; hlt" : : : "memory");
}

_Noreturn void panic(const char *format, ...)
{
	va_list args;

	print("Bail out! ");
	va_start(args, format);
	vprint(format, args);
	va_end(args);
	print("\nPROBE-END panic\n");
	power_halt();
}

_Noreturn void triple_fault(void)
{
	struct table_pointer none = {0, 0};

	asm volatile("lidt %0; ud2" : : "m"(none));
	power_halt();
}

_Noreturn void power_reboot(void)
{
	outb(RESET_CONTROL_PORT, RESET_CONTROL_GO);
	timer_wait(RESET_WAIT_US);
	outb(KEYBOARD_COMMAND_PORT, KEYBOARD_PULSE_RESET);
	timer_wait(RESET_WAIT_US);
	triple_fault();
}

void power_sleep(const struct acpi_sleep *how)
{
	outw(how->pm1a, (u16)(how->type_a << PM1_SLP_TYP_SHIFT | PM1_SLP_EN));
	if (how->pm1b)
		outw(how->pm1b, (u16)(how->type_b << PM1_SLP_TYP_SHIFT | PM1_SLP_EN));
	timer_wait(RESET_WAIT_US);
}

_Noreturn void power_off(void)
{
	struct acpi_sleep s5;

	if (acpi_sleep("_S5_", &s5))
		power_sleep(&s5);
	for (const char *p = "Shutdown"; *p; p++)
		outb(BOCHS_SHUTDOWN, (u8)*p);
	power_halt();
}
