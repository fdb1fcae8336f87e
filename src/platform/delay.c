/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/delay.h"

#include "lib/insn.h"

enum {
	PM_TIMER_HZ = 3579545, /* ACPI "Power Management Timer" */
	PM_TIMER_MASK = 0xffffff,
	PIT_HZ = 1193182,
	PIT_CHANNEL2 = 0x42,
	PIT_COMMAND = 0x43,
	PIT_CHANNEL2_ONE_SHOT = 0xb0, /* both bytes, mode 0 */
	SYSTEM_CONTROL_B = 0x61,
	GATE_CHANNEL2 = 0x01,
	SPEAKER = 0x02,
	OUT_CHANNEL2 = 0x20,
	/* A timer that stands still must not hang the boot; this is seconds on any CPU. */
	SPIN_LIMIT = 100000000,
};

static u16 pm_timer_port;

void delay_init(const struct acpi_info *acpi)
{
	pm_timer_port = acpi->pm_timer_port;
}

static void delay_pm_timer(u32 ticks)
{
	const u32 start = inl(pm_timer_port);

	for (u32 i = 0; i < SPIN_LIMIT && ((inl(pm_timer_port) - start) & PM_TIMER_MASK) < ticks;
	     i++)
		cpu_pause();
}

static void delay_pit(u32 ticks)
{
	const u8 control = (u8)(inb(SYSTEM_CONTROL_B) & ~SPEAKER);

	outb(SYSTEM_CONTROL_B, (u8)(control & ~GATE_CHANNEL2));
	outb(PIT_COMMAND, PIT_CHANNEL2_ONE_SHOT);
	outb(PIT_CHANNEL2, (u8)ticks);
	outb(PIT_CHANNEL2, (u8)(ticks >> 8));
	outb(SYSTEM_CONTROL_B, (u8)(control | GATE_CHANNEL2));
	for (u32 i = 0; i < SPIN_LIMIT && !(inb(SYSTEM_CONTROL_B) & OUT_CHANNEL2); i++)
		cpu_pause();
	outb(SYSTEM_CONTROL_B, control);
}

void delay_us(u32 us)
{
	if (pm_timer_port)
		delay_pm_timer((u32)((u64)us * PM_TIMER_HZ / 1000000 + 1));
	else
		delay_pit((u32)((u64)us * PIT_HZ / 1000000 + 1));
}
