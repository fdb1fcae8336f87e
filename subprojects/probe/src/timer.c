/* SPDX-License-Identifier: BSD-2-Clause */
#include "timer.h"

#include "insn.h"

enum {
	PIT_CHANNEL2 = 0x42,
	PIT_COMMAND = 0x43,
	PIT_GATE = 0x61,
	PIT_GATE_ON = 1,
	PIT_SPEAKER = 2,
	PIT_OUT2 = 0x20,
	/* Channel 2, low and high byte, mode 0: OUT rises when the count ends. */
	PIT_ONE_SHOT = 0xb0,
	PIT_HZ = 1193182,
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

	outb(PIT_GATE, (u8)((inb(PIT_GATE) & ~PIT_SPEAKER) | PIT_GATE_ON));
	outb(PIT_COMMAND, PIT_ONE_SHOT);
	outb(PIT_CHANNEL2, (u8)count);
	outb(PIT_CHANNEL2, (u8)(count >> 8));
	start = rdtsc();
	for (i = 0; i < PATIENCE && !(inb(PIT_GATE) & PIT_OUT2); i++)
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
