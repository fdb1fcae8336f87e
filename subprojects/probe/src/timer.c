/* SPDX-License-Identifier: BSD-2-Clause */
#include "timer.h"

#include <x86/pc.h>

#include "insn.h"

enum {
	MEASURE_US = 10000,
	PATIENCE = 10000000,
	ASSUMED_TICKS_PER_US = 1000,
};

static u64 ticks_per_us = ASSUMED_TICKS_PER_US;

void timer_init(void)
{
	u64 count = (u64)PIT_HZ * MEASURE_US / 1000000;
	u64 start, spent;
	u32 i;

	outb(SYSTEM_CONTROL_B, (u8)((inb(SYSTEM_CONTROL_B) & ~SPEAKER) | GATE_CHANNEL2));
	outb(PIT_COMMAND, PIT_CHANNEL2_ONE_SHOT);
	outb(PIT_CHANNEL2, (u8)count);
	outb(PIT_CHANNEL2, (u8)(count >> 8));
	start = rdtsc();
	for (i = 0; i < PATIENCE && !(inb(SYSTEM_CONTROL_B) & OUT_CHANNEL2); i++)
		cpu_pause();
	spent = rdtsc() - start;
	if (i && i < PATIENCE && spent / MEASURE_US)
		ticks_per_us = spent / MEASURE_US;
}

u64 timer_ticks_per_us(void)
{
	return ticks_per_us;
}

u64 timer_deadline(u64 us)
{
	return rdtsc() + us * ticks_per_us;
}

void timer_wait(u64 us)
{
	for (u64 end = timer_deadline(us); rdtsc() < end;)
		cpu_pause();
}
