/* SPDX-License-Identifier: BSD-2-Clause */
/* Stopping all CPUs but one, whatever the others do meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/insn.h"
#include "machine.h"
#include "platform/delay.h"
#include "platform/lapic.h"
#include "smp/stop.h"

enum { CPUS = 3, WAIT_MAX_US = 100000 };

static struct cpu *all[CPUS];
struct cpu **cpus = all;
u32 cpu_count;

static bool cpu_ready;
static u32 nmis, inits, delayed_us;
static jmp_buf halted;

bool this_cpu_ready(void)
{
	return cpu_ready;
}

void lapic_nmi_others(void)
{
	/* What an NMI makes a CPU look at must be there before it comes. */
	for (u32 i = 1; i < cpu_count; i++)
		assert_true(all[i]->stop);
	nmis++;
}

void lapic_send_nmi(u32 apic_id)
{
	(void)apic_id;
	nmis++;
}

void lapic_init_others(void)
{
	assert_true(nmis);
	inits++;
}

void delay_us(u32 us)
{
	assert_true(us > 0 && us <= 50000);
	delayed_us += us;
	/* One of them answers at once, the other, which waits for a start-up IPI, never. */
	all[1]->stopped = true;
	assert_true(delayed_us <= WAIT_MAX_US);
}

_Noreturn void cpu_halt_forever(void)
{
	longjmp(halted, 1);
}

static int setup(void **state)
{
	static const struct vmx_capabilities none;

	(void)state;
	machine_memory_init(4, 4);
	machine_vmx_init(CPUS, &none);
	for (u32 i = 0; i < CPUS; i++) {
		all[i] = &machine_cpu(i)->cpu;
		all[i]->vmx_on = true;
	}
	cpu_count = CPUS;
	cpu_ready = true;
	nmis = inits = delayed_us = 0;
	machine_run_on(machine_cpu(0));
	return 0;
}

/* The tests are one story, in the order of main(): the first to stop the others stays the one. */
static void test_early(void **state)
{
	(void)state;
	cpu_ready = false;
	stop_others();
	assert_int_equal(nmis, 0);
	for (u32 i = 0; i < CPUS; i++)
		assert_false(all[i]->stop);
}

static void test_first(void **state)
{
	(void)state;
	stop_others();
	assert_int_equal(nmis, 1);
	/* For a CPU whose NMIs are a guest's guest's. */
	assert_int_equal(inits, 1);
	assert_true(delayed_us >= 1000);
	assert_false(all[0]->stop);
	assert_true(all[1]->stop && all[2]->stop);
	/* A panic on the way of a reset. */
	stop_others();
	assert_int_equal(nmis, 1);
}

/* Another CPU that comes to the same: it stops instead, and says so. */
static void test_second(void **state)
{
	(void)state;
	machine_run_on(machine_cpu(1));
	if (!setjmp(halted)) {
		stop_others();
		fail();
	}
	assert_true(all[1]->stopped);
	assert_int_equal(nmis + inits, 0);
	assert_false(all[0]->stop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_early, setup),
		cmocka_unit_test_setup(test_first, setup),
		cmocka_unit_test_setup(test_second, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
