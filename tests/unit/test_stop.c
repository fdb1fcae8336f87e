/* SPDX-License-Identifier: BSD-2-Clause */
/* Stopping all CPUs but one, whatever the others do meanwhile. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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
static u32 nmis, inits, delayed_us, nmis_to[CPUS];
static bool deaf; /* no CPU stops for now */
static jmp_buf halted;

bool this_cpu_ready(void)
{
	return cpu_ready;
}

void lapic_send_others(u32 command)
{
	if (command == APIC_INIT) {
		assert_true(nmis);
		inits++;
		return;
	}
	assert_int_equal(command, APIC_NMI);
	/* What an NMI makes a CPU look at must be there before it comes. */
	for (u32 i = 1; i < cpu_count; i++)
		assert_true(all[i]->stop);
	nmis++;
}

/* Where it is in root mode the mark stays until it is about to enter the guest. */
void lapic_send(u32 apic_id, u32 command)
{
	assert_int_equal(command, APIC_NMI);
	assert_int_equal(all[apic_id]->stop, STOP_BEFORE_ENTRY);
	nmis_to[apic_id]++;
}

void delay_us(u32 us)
{
	assert_true(us > 0 && us <= 50000);
	delayed_us += us;
	if (deaf)
		return;
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
		all[i]->apic_id = i;
	}
	cpu_count = CPUS;
	cpu_ready = true;
	nmis = inits = delayed_us = 0;
	memset(nmis_to, 0, sizeof(nmis_to));
	deaf = false;
	machine_run_on(machine_cpu(0));
	return 0;
}

static void test_for_now(void **state)
{
	(void)state;
	/* The third waits for a start-up IPI: nothing is sent to it, and nothing expected. */
	all[2]->waits_for_sipi = true;
	assert_true(stop_others_for_now());
	assert_int_equal(nmis_to[1], 1);
	assert_int_equal(nmis_to[0] + nmis_to[2], 0);
	assert_int_equal(nmis + inits, 0);
	assert_int_equal(all[0]->stop, STOP_NOT);
	assert_int_equal(all[1]->stop, STOP_BEFORE_ENTRY);
	/* Started meanwhile it stops, too. */
	assert_int_equal(all[2]->stop, STOP_BEFORE_ENTRY);
	/* Only one at a time. */
	assert_false(stop_others_for_now());
	stop_release_others();
	assert_int_equal(all[1]->stop, STOP_NOT);
	assert_int_equal(all[2]->stop, STOP_NOT);
}

/* One that does not stop: all go on, and it may be tried again. */
static void test_not_now(void **state)
{
	(void)state;
	all[2]->waits_for_sipi = true;
	deaf = true;
	assert_false(stop_others_for_now());
	assert_int_equal(all[1]->stop, STOP_NOT);
	assert_true(delayed_us >= 1000);
	deaf = false;
	assert_true(stop_others_for_now());
	stop_release_others();
}

static void *release_when_stopped(void *nothing)
{
	while (!__atomic_load_n(&all[1]->stopped, __ATOMIC_ACQUIRE))
		;
	stop_release_others();
	return nothing;
}

/* It says so while it waits, and goes on when it is released. */
static void test_waiting(void **state)
{
	pthread_t other;

	(void)state;
	machine_run_on(machine_cpu(1));
	all[1]->stop = STOP_BEFORE_ENTRY;
	assert_true(stop_is_due());
	assert_false(stop_is_urgent());
	assert_int_equal(pthread_create(&other, NULL, release_when_stopped, NULL), 0);
	stop_as_asked();
	assert_int_equal(pthread_join(other, NULL), 0);
	assert_false(all[1]->stopped);
	assert_false(stop_is_due());
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
		cmocka_unit_test_setup(test_for_now, setup),
		cmocka_unit_test_setup(test_not_now, setup),
		cmocka_unit_test_setup(test_waiting, setup),
		cmocka_unit_test_setup(test_early, setup),
		cmocka_unit_test_setup(test_first, setup),
		cmocka_unit_test_setup(test_second, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
