/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI Specification, "PM1 Control Registers" and "Firmware ACPI Control Structure (FACS)". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/insn.h"
#include "machine.h"
#include "mm/ept01.h"
#include "mm/host_paging.h"
#include "mm/layout.h"
#include "platform/delay.h"
#include "platform/microcode.h"
#include "platform/vtd.h"
#include "smp/ap_start.h"
#include "smp/stop.h"
#include "vmx/guest_level.h"
#include "vmx/reset.h"
#include "vmx/setup.h"
#include "vmx/sleep.h"
#include "vmx/switch.h"

enum {
	CONTROL_A = 0x404,
	CONTROL_B = 0x1404,
	CONTROL_NEXT = CONTROL_A + 2,
	STATUS_A = 0x400,
	WAKING_VECTOR = 12, /* offsets in the FACS */
	FLAGS = 20,
	X_WAKING_VECTOR = 24,
	PAGE = 0x9d000,
	FACS = 0x1040,
	SLP_EN = 1 << 13,
	SLP_TYP = 5 << 10,
};

struct offered_vmx offered_vmx;

static struct acpi_info acpi;
static u8 *facs;

/* What the machine does once SLP_EN is written. */
static enum outcome { STAYS_AWAKE, COMES_BACK, LOSES_ALL } outcome;
static bool others_stop;
static u32 units; /* of DMA remapping */
static const char *unit_error;
static jmp_buf entered;

static struct {
	u32 stops, releases, prepared, mapped, withdrawn, write_backs, ap_starts, ap_releases,
		resets, delayed_us;
	u32 vector_when_asleep;
	u64 x_vector_when_asleep;
	u16 port;
	u32 value, size;
	u32 second_value; /* what went to the other control register */
	void (*wake)(struct cpu *cpu);
	struct cpu *wakes;
	struct guest_start start;
	u32 unit_starts, ap_starts_before_units;
	bool reset_machine;
} seen;

static u32 facs32(u32 at)
{
	u32 value;

	memcpy(&value, facs + at, sizeof(value));
	return value;
}

static u64 facs64(u32 at)
{
	u64 value;

	memcpy(&value, facs + at, sizeof(value));
	return value;
}

static void set_facs32(u32 at, u32 value)
{
	memcpy(facs + at, &value, sizeof(value));
}

static void set_facs64(u32 at, u64 value)
{
	memcpy(facs + at, &value, sizeof(value));
}

/* --- The machine ------------------------------------------------------------------------------ */

static void written(u16 port, u32 size, u32 value)
{
	if (port == STATUS_A) {
		/* WAK_STS of the last time, before this one. */
		assert_int_equal(value, 1 << 15);
		assert_int_equal(seen.port, 0);
		return;
	}
	if (seen.port) {
		seen.second_value = value;
		assert_int_equal(size, 2);
		return;
	}
	/* Everything that must survive is in memory by now, and no other CPU runs the guest. */
	if (value & SLP_EN || port != CONTROL_A) {
		assert_int_equal(seen.stops, 1);
		assert_int_equal(seen.prepared, 1);
		assert_int_equal(seen.write_backs, 1);
	}
	seen.vector_when_asleep = facs32(WAKING_VECTOR);
	seen.x_vector_when_asleep = facs64(X_WAKING_VECTOR);
	seen.port = port;
	seen.size = size;
	seen.value = value;
	if (outcome == LOSES_ALL)
		seen.wake(seen.wakes);
}

void outb(u16 port, u8 value)
{
	written(port, 1, value);
}

void outw(u16 port, u16 value)
{
	written(port, 2, value);
}

void outl(u16 port, u32 value)
{
	written(port, 4, value);
}

u16 inw(u16 port)
{
	if (port == CONTROL_B || port == CONTROL_NEXT)
		return SLP_TYP;
	assert_int_equal(port, STATUS_A);
	return outcome == COMES_BACK ? 1 << 15 : 0;
}

void wbinvd(void)
{
	assert_int_equal(facs32(WAKING_VECTOR), PAGE);
	seen.write_backs++;
}

void delay_us(u32 us)
{
	seen.delayed_us += us;
	assert_true(seen.delayed_us <= 5000000);
}

bool stop_others_for_now(void)
{
	seen.stops++;
	return others_stop;
}

void stop_release_others(void)
{
	seen.releases++;
}

bool ap_prepare_trampoline(paddr_t page, struct cpu *cpu, void (*entry)(struct cpu *cpu))
{
	assert_int_equal(page, PAGE);
	seen.prepared++;
	seen.wake = entry;
	seen.wakes = cpu;
	return true;
}

bool host_paging_map_trampoline(paddr_t page)
{
	assert_int_equal(page, PAGE);
	seen.mapped++;
	return true;
}

void host_paging_unmap_trampoline(void)
{
	seen.withdrawn++;
}

void ap_start_all(const struct ap_work *work, paddr_t page)
{
	assert_int_equal(page, PAGE);
	work->prepare(&machine_cpu(1)->cpu);
	seen.ap_starts++;
}

void ap_release_all(void)
{
	seen.ap_releases++;
}

u32 vtd_units_on(void)
{
	return units;
}

const char *vtd_start(void)
{
	seen.unit_starts++;
	seen.ap_starts_before_units = seen.ap_starts;
	return unit_error;
}

void cpu_forget(struct cpu *cpu)
{
	cpu->stop = STOP_NOT;
}

void cpu_load(struct cpu *cpu)
{
	machine_run_on((struct vcpu *)cpu);
}

void vcpu_forget(struct vcpu *vcpu)
{
	vcpu->level = NULL;
}

void microcode_load(void)
{
}

void ept01_mtrrs_written(const struct mtrr_state *mtrrs)
{
	assert_ptr_equal(mtrrs, &machine_cpu(0)->mtrr);
}

void vmx_setup_cpu(struct vcpu *vcpu)
{
	assert_null(vcpu->level);
}

static void reset_l1(struct vcpu *vcpu)
{
	(void)vcpu;
	seen.resets++;
}

void vmx_guest_wait_for_sipi(struct vcpu *vcpu)
{
	assert_ptr_equal(vcpu, machine_cpu(1));
}

void vmx_guest_start_state(struct vcpu *vcpu, const struct guest_start *start)
{
	assert_ptr_equal(vcpu, machine_cpu(0));
	seen.start = *start;
}

void switch_launch(const struct guest_regs *regs)
{
	(void)regs;
	longjmp(entered, 1);
}

_Noreturn void reset_machine(const char *why)
{
	(void)why;
	seen.reset_machine = true;
	longjmp(entered, 1);
}

/* --- Tests ------------------------------------------------------------------------------------ */

static struct cpu *list[2];
struct cpu **cpus = list;
u32 cpu_count = 2;

static int setup(void **state)
{
	static const struct vmx_capabilities none;

	(void)state;
	memset(&seen, 0, sizeof(seen));
	machine_memory_init(4, 16);
	machine_vmx_init(2, &none);
	machine_run_on(machine_cpu(0));
	list[0] = &machine_cpu(0)->cpu;
	list[1] = &machine_cpu(1)->cpu;
	offered_vmx.reset = reset_l1;
	others_stop = true;
	units = 0;
	unit_error = NULL;
	outcome = COMES_BACK;
	machine_maps_guest = true;
	facs = machine_memory.guest + FACS;
	memcpy(facs, "FACS", 4);
	set_facs32(FLAGS, 3);
	acpi = (struct acpi_info){
		.pm1_control = {CONTROL_A},
		.pm1_status = {STATUS_A},
		.s5_type = ACPI_NO_SLEEP_TYPE,
		.facs = FACS,
		.facs_length = 64,
	};
	return 0;
}

static void init(void)
{
	sleep_init(&acpi, PAGE);
	/* So that there is memory for it; but CPUs are still halted in what the page holds now. */
	assert_int_equal(seen.mapped, 1);
	assert_int_equal(seen.prepared, 0);
	assert_int_equal(seen.withdrawn, 1);
	seen.mapped = seen.withdrawn = 0;
}

static bool bit(const u8 *bitmaps, u32 port)
{
	return bitmaps[port / 8] >> port % 8 & 1;
}

static void test_ports(void **state)
{
	paddr_t bitmap[2];
	const u8 *bits;
	u32 set = 0;

	(void)state;
	acpi.pm1_control[1] = 0x8404;
	init();
	assert_true(sleep_io_bitmaps(bitmap));
	assert_int_equal(bitmap[1], bitmap[0] + PAGE_SIZE);
	bits = phys_to_virt(bitmap[0]);
	/* The byte with SLP_EN, of each register, and nothing else. */
	assert_true(bit(bits, CONTROL_A + 1) && bit(bits, 0x8405));
	for (u32 port = 0; port < 0x10000; port++)
		set += bit(bits, port);
	assert_int_equal(set, 2);
	/* Firmware must not be asked to wake the system in 64-bit mode. */
	assert_int_equal(facs32(FLAGS), 1);
}

static void test_what_is_no_sleep(void **state)
{
	(void)state;
	init();
	assert_false(sleep_by_write(CONTROL_A, 2, SLP_TYP));
	assert_false(sleep_by_write(CONTROL_A, 1, 0xff));
	assert_false(sleep_by_write(CONTROL_A + 1, 1, 0xdf));
	assert_false(sleep_by_write(CONTROL_A - 4, 4, ~0u));
	assert_false(sleep_by_write(CONTROL_A + 2, 4, ~0u));
	assert_false(sleep_by_write(CONTROL_B, 2, SLP_EN));
	assert_int_equal(seen.stops, 0);
}

/* Any access that reaches the byte with SLP_EN. */
static void test_ways_to_sleep(void **state)
{
	static const struct {
		u16 port;
		u32 size, value;
	} ways[] = {
		{CONTROL_A, 2, SLP_EN},
		{CONTROL_A, 4, SLP_EN | SLP_TYP},
		{CONTROL_A + 1, 1, SLP_EN >> 8},
		{CONTROL_A - 1, 4, SLP_EN << 8},
		{CONTROL_A - 2, 4, (u32)SLP_EN << 16},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		setup(state);
		init();
		set_facs32(WAKING_VECTOR, 0x9a123);
		assert_true(sleep_by_write(ways[i].port, ways[i].size, ways[i].value));
		assert_int_equal(seen.port, ways[i].port);
		assert_int_equal(seen.size, ways[i].size);
		assert_int_equal(seen.value, ways[i].value);
		assert_int_equal(seen.second_value, 0);
	}
}

/* S1, or a machine that does not sleep after all: as if nothing had been. */
static void test_back_at_once(void **state)
{
	for (outcome = STAYS_AWAKE; outcome <= COMES_BACK; outcome++) {
		const enum outcome wanted = outcome;

		setup(state);
		outcome = wanted;
		init();
		set_facs32(WAKING_VECTOR, 0x9a123);
		set_facs64(X_WAKING_VECTOR, 0x1234567);
		assert_true(sleep_by_write(CONTROL_A, 2, SLP_EN | SLP_TYP));
		assert_int_equal(seen.vector_when_asleep, PAGE);
		assert_int_equal(seen.x_vector_when_asleep, 0);
		assert_int_equal(facs32(WAKING_VECTOR), 0x9a123);
		assert_int_equal(facs64(X_WAKING_VECTOR), 0x1234567);
		assert_int_equal(seen.withdrawn, 1);
		assert_int_equal(seen.releases, 1);
		assert_int_equal(seen.ap_starts, 0);
		outcome = wanted;
	}
}

static void test_two_registers(void **state)
{
	static const struct {
		u16 control_b;
		u32 size, second_value;
	} ways[] = {
		{CONTROL_B, 2, SLP_EN | SLP_TYP},
		/* Side by side: the guest's write reaches one of them, or both. */
		{CONTROL_NEXT, 2, SLP_EN | SLP_TYP},
		{CONTROL_NEXT, 4, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		setup(state);
		acpi.pm1_control[1] = ways[i].control_b;
		init();
		assert_true(sleep_by_write(CONTROL_A, ways[i].size, SLP_EN | SLP_TYP));
		assert_int_equal(seen.second_value, ways[i].second_value);
	}
}

static void test_refused(void **state)
{
	(void)state;
	init();
	others_stop = false;
	set_facs32(WAKING_VECTOR, 0x9a123);
	assert_true(sleep_by_write(CONTROL_A, 2, SLP_EN));
	assert_int_equal(seen.port, 0);
	assert_int_equal(facs32(WAKING_VECTOR), 0x9a123);
}

static void lose_all(void)
{
	outcome = LOSES_ALL;
	if (!setjmp(entered)) {
		sleep_by_write(CONTROL_A, 2, SLP_EN | SLP_TYP);
		fail();
	}
}

/* "the physical address 12345h: the firmware must jump to real mode address 1234h:0005h" */
static void test_wake_in_real_mode(void **state)
{
	(void)state;
	init();
	set_facs32(WAKING_VECTOR, 0x12345);
	machine_cpu(0)->level = (const struct guest_level *)&outcome;
	lose_all();
	assert_ptr_equal(seen.wakes, &machine_cpu(0)->cpu);
	assert_false(seen.start.protected_mode);
	assert_int_equal(seen.start.cs, 0x1234);
	assert_int_equal(seen.start.eip, 5);
	assert_int_equal(facs32(WAKING_VECTOR), 0x12345);
	/* Both CPUs, in VMX operation anew; the next sleep may come. */
	assert_int_equal(seen.resets, 2);
	assert_int_equal(seen.ap_starts, 1);
	assert_int_equal(seen.ap_releases, 1);
	assert_int_equal(seen.releases, 1);
}

/* Before anything of the guest's runs; a machine whose devices are not kept from Umbra does not go
 * on.
 */
static void test_units_start_again(void **state)
{
	(void)state;
	init();
	set_facs32(WAKING_VECTOR, 0x12345);
	lose_all();
	assert_int_equal(seen.unit_starts, 0);
	memset(&seen, 0, sizeof(seen));
	units = 2;
	lose_all();
	assert_int_equal(seen.unit_starts, 1);
	assert_int_equal(seen.ap_starts_before_units, 0);
	assert_int_equal(seen.start.cs, 0x1234);
	memset(&seen, 0, sizeof(seen));
	unit_error = "a unit does not start";
	lose_all();
	assert_true(seen.reset_machine);
}

static void test_wake_in_protected_mode(void **state)
{
	(void)state;
	init();
	set_facs32(WAKING_VECTOR, 0x12345);
	set_facs64(X_WAKING_VECTOR, 0x7654321);
	lose_all();
	assert_true(seen.start.protected_mode);
	assert_int_equal(seen.start.eip, 0x7654321);
	assert_int_equal(facs64(X_WAKING_VECTOR), 0x7654321);
}

/* A FACS of ACPI 1.0 ends before the second vector: what lies behind is no vector. */
static void test_short_facs(void **state)
{
	(void)state;
	acpi.facs_length = 24;
	init();
	set_facs32(WAKING_VECTOR, 0x12345);
	set_facs64(X_WAKING_VECTOR, 0x7654321);
	lose_all();
	assert_false(seen.start.protected_mode);
	assert_int_equal(seen.x_vector_when_asleep, 0x7654321);
}

static void test_no_vector(void **state)
{
	(void)state;
	init();
	lose_all();
	assert_true(seen.reset_machine);
}

/* Without ports there is nothing to watch. The first of the tests. */
static void test_nothing_to_watch(void **state)
{
	paddr_t bitmap[2];

	(void)state;
	acpi.pm1_control[0] = 0;
	sleep_init(&acpi, PAGE);
	assert_false(sleep_io_bitmaps(bitmap));
	assert_false(sleep_by_write(CONTROL_A, 2, SLP_EN));
}

/* Where Umbra could not be woken first the machine stays awake. */
static void test_no_way_to_wake(void **state)
{
	static const struct {
		paddr_t page, facs;
	} ways[] = {{0, FACS}, {PAGE, 0}, {PAGE, 4 * GIB}};
	paddr_t bitmap[2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		setup(NULL);
		acpi.facs = ways[i].facs;
		sleep_init(&acpi, ways[i].page);
		assert_true(sleep_io_bitmaps(bitmap));
		assert_true(bit(phys_to_virt(bitmap[0]), CONTROL_A + 1));
		assert_false(sleep_by_write(CONTROL_A, 2, SLP_TYP));
		assert_true(sleep_by_write(CONTROL_A, 2, SLP_EN | SLP_TYP));
		/* S5, soft off, is none to wake up from; the caller writes it. */
		acpi.s5_type = 5;
		assert_false(sleep_by_write(CONTROL_A, 2, SLP_EN | SLP_TYP));
		assert_false(sleep_by_write(CONTROL_A + 1, 1, (SLP_EN | SLP_TYP) >> 8));
		assert_true(sleep_by_write(CONTROL_A, 2, SLP_EN | 4 << 10));
		assert_int_equal(seen.port, 0);
		assert_int_equal(seen.stops, 0);
		assert_int_equal(facs32(FLAGS), 3);
	}
}

/* "Sleep Control Register": SLP_TYPx in bits 4:2, SLP_EN in bit 5; no vector is told there. */
static void test_hardware_reduced(void **state)
{
	enum { SLEEP_CONTROL = 0x3c0 };
	paddr_t bitmap[2];

	(void)state;
	acpi = (struct acpi_info){.sleep_control = SLEEP_CONTROL, .s5_type = 5};
	sleep_init(&acpi, PAGE);
	assert_true(sleep_io_bitmaps(bitmap));
	assert_true(bit(phys_to_virt(bitmap[0]), SLEEP_CONTROL));
	assert_true(sleep_by_write(SLEEP_CONTROL, 1, 1 << 5 | 3 << 2));
	assert_false(sleep_by_write(SLEEP_CONTROL, 1, 1 << 5 | 5 << 2));
	assert_false(sleep_by_write(SLEEP_CONTROL, 1, 5 << 2));
	assert_int_equal(seen.port, 0);
	assert_int_equal(seen.stops, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_nothing_to_watch, setup),
		cmocka_unit_test_setup(test_ports, setup),
		cmocka_unit_test_setup(test_no_way_to_wake, setup),
		cmocka_unit_test_setup(test_hardware_reduced, setup),
		cmocka_unit_test_setup(test_what_is_no_sleep, setup),
		cmocka_unit_test(test_ways_to_sleep),
		cmocka_unit_test(test_back_at_once),
		cmocka_unit_test_setup(test_two_registers, setup),
		cmocka_unit_test_setup(test_refused, setup),
		cmocka_unit_test_setup(test_wake_in_real_mode, setup),
		cmocka_unit_test_setup(test_units_start_again, setup),
		cmocka_unit_test_setup(test_wake_in_protected_mode, setup),
		cmocka_unit_test_setup(test_short_facs, setup),
		cmocka_unit_test_setup(test_no_vector, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
