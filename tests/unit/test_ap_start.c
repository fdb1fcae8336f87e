/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "MP Initialization Protocol Algorithm for MP Systems" and "MP Initialization Example". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/insn.h"
#include "lib/log.h"
#include "machine.h"
#include "mm/host_paging.h"
#include "mm/layout.h"
#include "platform/delay.h"
#include "platform/lapic.h"
#include "smp/ap_start.h"

enum {
	PAGE = 0x9d000,
	FOUR_LEVELS = 0x7654000,
	ANSWER_AT = 60,
	PARAMETERS_AT = 40,
	CPUS_MAX = 300,
};

/* In the image trampoline.S has these. */
extern const u8 trampoline_start[], roll_call_start[];
__asm__(".pushsection .rodata\n"
	".globl trampoline_start, trampoline_parameters, trampoline_end\n"
	".globl roll_call_start, roll_call_answer, roll_call_end\n"
	"trampoline_start: .fill 40, 1, 0xaa\n"
	"trampoline_parameters: .fill 24, 1, 0\n"
	"trampoline_end:\n"
	"roll_call_start: .fill 60, 1, 0xbb\n"
	"roll_call_answer: .fill 4, 1, 0\n"
	"roll_call_end:\n"
	".popsection\n");

struct cpu **cpus;
u32 cpu_count;

static u8 *page;
static struct {
	u32 inits, sipis, delayed_us, quiet_us, found;
	/* CPUs there are, and which of them have answered. */
	u32 there, answered, latency_us;
	u32 id[CPUS_MAX];
} seen;

bool host_paging_map_trampoline(paddr_t at)
{
	assert_int_equal(at, PAGE);
	return true;
}

void host_paging_unmap_trampoline(void)
{
}

paddr_t host_paging_root(void)
{
	return FOUR_LEVELS;
}

void lapic_send_others(u32 command)
{
	if (command == APIC_INIT) {
		/* The code is there before anyone can come. */
		assert_memory_equal(page, roll_call_start, ANSWER_AT);
		seen.inits++;
		return;
	}
	assert_int_equal(command, APIC_STARTUP | PAGE >> PAGE_SHIFT);
	assert_int_equal(seen.inits, 1);
	/* 10 ms after the INIT, 200 us after the first. */
	assert_true(seen.delayed_us >= (seen.sipis ? 10200 : 10000));
	seen.sipis++;
	assert_true(seen.sipis <= 2);
}

bool lapic_can_reach(u32 apic_id)
{
	return apic_id < 0xff;
}

/* The first startup gets lost. */
void lapic_send(u32 apic_id, u32 command)
{
	assert_int_equal(apic_id, 5);
	if (command == APIC_INIT) {
		seen.inits++;
		return;
	}
	assert_int_equal(command, APIC_STARTUP | PAGE >> PAGE_SHIFT);
	assert_int_equal(seen.inits, 1);
	assert_true(seen.delayed_us >= (seen.sipis ? 10200 : 10000));
	cpus[1]->ready = ++seen.sipis == 2;
}

void cpu_load(struct cpu *cpu)
{
	(void)cpu;
}

/* Each CPU waits until the answer before its own has been taken. */
void delay_us(u32 us)
{
	u32 answer;

	seen.delayed_us += us;
	seen.quiet_us += us;
	memcpy(&answer, page + ANSWER_AT, sizeof(answer));
	if (!seen.sipis || answer || seen.answered == seen.there || seen.quiet_us < seen.latency_us)
		return;
	answer = seen.answered * 3 + 1;
	seen.answered++;
	seen.quiet_us = 0;
	memcpy(page + ANSWER_AT, &answer, sizeof(answer));
}

static void found(u32 apic_id)
{
	seen.id[seen.found++] = apic_id;
}

static int set_up(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	machine_memory_init(PAGE / PAGE_SIZE + 1, 4);
	machine_maps_guest = true;
	page = machine_memory.guest + PAGE;
	return 0;
}

static void test_roll_call(void **state)
{
	static const u32 counts[] = {0, 1, 7, CPUS_MAX}, latencies[] = {0, 15000};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(latencies); j++) {
			set_up(NULL);
			seen.there = counts[i];
			seen.latency_us = latencies[j];
			ap_call_roll(PAGE, found);
			assert_int_equal(seen.inits, 1);
			assert_int_equal(seen.sipis, 2);
			assert_int_equal(seen.found, counts[i]);
			for (u32 n = 0; n < seen.found; n++)
				assert_int_equal(seen.id[n], n * 3);
		}
	}
}

static void at_entry(struct cpu *cpu)
{
	(void)cpu;
}

/*
 * The code enters long mode with CR4.LA57 clear, so that the tables are those of four levels even
 * where firmware has five, and this CPU, being its, another CR3 (SDM "Paging Modes").
 */
static void test_trampoline(void **state)
{
	struct cpu cpu;
	u64 parameters[3];

	(void)state;
	assert_true(ap_prepare_trampoline(PAGE, &cpu, at_entry));
	assert_memory_equal(page, trampoline_start, PARAMETERS_AT);
	memcpy(parameters, page + PARAMETERS_AT, sizeof(parameters));
	assert_int_equal(parameters[0], FOUR_LEVELS);
	assert_int_equal(parameters[1], (u64)&cpu);
	assert_int_equal(parameters[2], (u64)at_entry);
}

static struct {
	jmp_buf halt;
	u32 prepared, went, left;
} ap;

_Noreturn void cpu_halt_forever(void)
{
	longjmp(ap.halt, 1);
}

static void prepare(struct cpu *cpu)
{
	assert_false(cpu->ready);
	ap.prepared++;
}

static void go(void)
{
	ap.went++;
}

static void leave(void)
{
	ap.left++;
}

/* What comes to the page, as the other CPU. */
static void come(void)
{
	u64 parameters[3];

	memcpy(parameters, page + PARAMETERS_AT, sizeof(parameters));
	cpus[1]->ready = false;
	if (!setjmp(ap.halt))
		((void (*)(struct cpu *))parameters[2])(cpus[1]);
	assert_true(cpus[1]->ready);
}

static void test_start(void **state)
{
	static const struct ap_work work = {prepare, go, leave};
	static struct cpu cpu[2];
	static struct cpu *list[2] = {&cpu[0], &cpu[1]};

	(void)state;
	cpu[1].apic_id = 5;
	cpus = list;
	cpu_count = 2;
	/* Nobody answers a roll call meanwhile. */
	seen.latency_us = ~0u;
	ap_start_all(&work, PAGE);
	assert_int_equal(seen.sipis, 2);
	/* One that is released runs the guest; one that is dismissed, even late, never does. */
	ap_release_all();
	come();
	assert_int_equal(ap.prepared, 1);
	assert_int_equal(ap.went, 1);
	assert_int_equal(ap.left, 0);
	ap_dismiss_all();
	come();
	assert_int_equal(ap.prepared, 2);
	assert_int_equal(ap.went, 1);
	assert_int_equal(ap.left, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_roll_call, set_up),
		cmocka_unit_test_setup(test_trampoline, set_up),
		cmocka_unit_test_setup(test_start, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
