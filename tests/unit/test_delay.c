/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Short delays with whichever timer runs: ACPI "Power Management Timer", and channel 2 of an 8254
 * in mode 0. Each access to a port takes a microsecond of the simulated time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/insn.h"
#include "machine.h"
#include "platform/delay.h"

enum { PM_TIMER = 0x608, SECOND = 1000000 };

static u64 now_us;
static bool pm_runs, pit_runs;
static u32 pm_offset, pm_reads;

/* Channel 2. */
static struct {
	u32 count;
	u64 started;
	u16 latch;
	u8 bytes_written, bytes_read;
	bool gate;
} pit;

static u32 pit_elapsed(void)
{
	return pit.gate && pit_runs ? (u32)((now_us - pit.started) * 1193182 / 1000000) : 0;
}

u32 inl(u16 port)
{
	assert_int_equal(port, PM_TIMER);
	now_us++;
	pm_reads++;
	return (u32)((pm_runs ? now_us * 3579545 / 1000000 : 0) + pm_offset) & 0xffffff;
}

u8 inb(u16 port)
{
	now_us++;
	if (port == 0x42)
		return (u8)(pit.latch >> 8 * (pit.bytes_read++ & 1));
	assert_int_equal(port, 0x61);
	return (u8)((pit.gate ? 1 : 0) | (pit_elapsed() >= pit.count ? 0x20 : 0));
}

void outb(u16 port, u8 value)
{
	now_us++;
	switch (port) {
	case 0x42:
		pit.count = pit.bytes_written++ & 1 ? pit.count | (u32)value << 8 : value;
		pit.started = now_us;
		break;
	case 0x43:
		if (value == 0x80) {
			pit.latch = (u16)(pit.count - pit_elapsed());
			pit.bytes_read = 0;
			break;
		}
		assert_int_equal(value, 0xb0);
		pit.bytes_written = 0;
		break;
	case 0x61:
		assert_int_equal(value & 2, 0);
		if (!pit.gate && (value & 1))
			pit.started = now_us;
		pit.gate = value & 1;
		break;
	default:
		fail();
	}
}

static void check(u32 us, u64 at_most)
{
	const u64 start = now_us;

	delay_us(us);
	assert_true(now_us - start >= us);
	assert_true(now_us - start <= at_most);
}

/* One story: the timers stop one after the other, and what has stopped is not asked again. */
static void test_timers(void **state)
{
	const struct acpi_info acpi = {.pm_timer_port = PM_TIMER};

	(void)state;
	delay_init(&acpi);
	pm_runs = pit_runs = true;
	check(20, 30);
	check(50000, 51000);
	check(10 * SECOND, 10 * SECOND + 50000);
	/* The counter has 24 bits. */
	pm_offset = (u32)(0xffff00 - now_us * 3579545 / 1000000) & 0xffffff;
	check(1000, 1100);
	assert_int_equal(pit.count, 0);

	pm_runs = false;
	check(1000, 20000);
	pm_reads = 0;
	check(50000, 51000);
	check(20, 60);
	/* Longer than the PIT's 16 bits can count. */
	check(54926, 56000);
	check(10 * SECOND, 10 * SECOND + 50000);
	assert_int_equal(pm_reads, 0);

	pit_runs = false;
	check(1000, 40000);
	check(20, 1000);
	check(50000, 500000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
