/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/delay.h"

#include <x86/pc.h>

#include "lib/insn.h"

enum {
	PM_TIMER_HZ = 3579545, /* ACPI "Power Management Timer" */
	PM_TIMER_MASK = 0xffffff,
	/*
	 * So many reads with the same result, and the timer stands still: a read takes a tick or
	 * more on a machine, and in the quickest emulator a hundredth.
	 */
	STILL_LIMIT = 2000,
	/* A timer that runs but gets nowhere: seconds on any machine. */
	READS_MAX = 4000000,
	/* What all timers can count: the PIT has 16 bits. */
	PIECE_US = 50000,
	/* Without any timer: a read of this port goes over a slow bus and takes about 1 us. */
	READS_PER_US = 2,
};

static u16 pm_timer_port;

void delay_init(const struct acpi_info *acpi)
{
	pm_timer_port = acpi->pm_timer_port;
}

/* Whether a timer still runs, by what was read of it. */
struct watch {
	u32 last;
	u32 still;
	u32 reads;
};

static bool is_running(struct watch *watch, u32 now)
{
	watch->still = now == watch->last ? watch->still + 1 : 0;
	watch->last = now;
	return watch->still < STILL_LIMIT && ++watch->reads < READS_MAX;
}

/* False: the timer does not run. */
static bool delay_pm_timer(u32 ticks)
{
	const u32 start = inl(pm_timer_port);
	struct watch watch = {.last = start};
	u32 now = start;

	while (((now - start) & PM_TIMER_MASK) < ticks) {
		cpu_pause();
		now = inl(pm_timer_port);
		if (!is_running(&watch, now))
			return false;
	}
	return true;
}

static bool delay_pit(u32 ticks)
{
	const u8 control = (u8)(inb(SYSTEM_CONTROL_B) & ~SPEAKER);
	struct watch watch = {0};
	bool running = true;

	outb(SYSTEM_CONTROL_B, (u8)(control & ~GATE_CHANNEL2));
	outb(PIT_COMMAND, PIT_CHANNEL2_ONE_SHOT);
	outb(PIT_CHANNEL2, (u8)ticks);
	outb(PIT_CHANNEL2, (u8)(ticks >> 8));
	outb(SYSTEM_CONTROL_B, (u8)(control | GATE_CHANNEL2));
	while (running && !(inb(SYSTEM_CONTROL_B) & OUT_CHANNEL2)) {
		u32 now;

		cpu_pause();
		outb(PIT_COMMAND, PIT_LATCH_CHANNEL2);
		now = inb(PIT_CHANNEL2);
		now |= (u32)inb(PIT_CHANNEL2) << 8;
		running = is_running(&watch, now);
	}
	outb(SYSTEM_CONTROL_B, control);
	return running;
}

/* A timer that stands still costs milliseconds, once, and then the next best serves. */
static void delay_piece(u32 us)
{
	static bool pit_stands_still;

	if (pm_timer_port) {
		if (delay_pm_timer((u32)((u64)us * PM_TIMER_HZ / 1000000 + 1)))
			return;
		pm_timer_port = 0;
	}
	if (!pit_stands_still) {
		if (delay_pit((u32)((u64)us * PIT_HZ / 1000000 + 1)))
			return;
		pit_stands_still = true;
	}
	for (u32 i = 0; i < us * READS_PER_US; i++)
		inb(SYSTEM_CONTROL_B);
}

void delay_us(u32 us)
{
	for (; us > PIECE_US; us -= PIECE_US)
		delay_piece(PIECE_US);
	delay_piece(us);
}
