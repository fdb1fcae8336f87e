/* SPDX-License-Identifier: BSD-2-Clause */
/* The ways to reset the machine, in their order. ACPI "Reset Register", PCI's port CF9H. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Before cmocka, which has a macro of a name in it. */
#include "smp/panic.h"

#include <cmocka.h>

#include "lib/insn.h"
#include "lib/log.h"
#include "machine.h"
#include "platform/delay.h"
#include "smp/stop.h"
#include "vmx/reset.h"

enum { EVENTS = 16, STOP = 0x10000, DELAY = 0x20000 };

/* What was done: a port and what was written to it, or one of the above. */
struct event {
	u32 what;
	u32 value;
};

static struct event events[EVENTS];
static u32 count;
static jmp_buf halted;

static void note(u32 what, u32 value)
{
	assert_true(count < EVENTS);
	events[count++] = (struct event){what, value};
}

void outb(u16 port, u8 value)
{
	note(port, value);
}

void outl(u16 port, u32 value)
{
	note(port, value);
}

void stop_others(void)
{
	note(STOP, 0);
}

void delay_us(u32 us)
{
	assert_true(us > 0);
	note(DELAY, 0);
}

void log_seize(void)
{
}

void panic_show_guest(void)
{
}

_Noreturn void cpu_halt_forever(void)
{
	longjmp(halted, 1);
}

/* What always follows: CF9H hard, then go; then the keyboard controller. */
static const struct event rest[] = {
	{0xcf9, 2}, {0xcf9, 6}, {DELAY, 0}, {0x64, 0xfe}, {DELAY, 0},
};

static void reset_and_compare(const struct acpi_info *acpi, const struct event *first, u32 n)
{
	static const struct vmx_capabilities none;

	machine_memory_init(4, 4);
	machine_vmx_init(1, &none);
	machine_run_on(machine_cpu(0));
	machine_cpu(0)->cpu.vmx_on = true;
	count = 0;
	reset_init(acpi);
	if (!setjmp(halted))
		reset_machine("a test");
	assert_int_equal(count, 1 + n + ARRAY_SIZE(rest));
	/*
	 * Before anything else no other CPU may run the guest; and this one stays in VMX operation,
	 * where SDM "Restrictions on VMX Operation" blocks an INIT of theirs.
	 */
	assert_int_equal(events[0].what, STOP);
	assert_true(machine_cpu(0)->cpu.vmx_on);
	assert_memory_equal(events + 1, first, n * sizeof(*first));
	assert_memory_equal(events + 1 + n, rest, sizeof(rest));
}

static void test_without_acpi(void **state)
{
	const struct acpi_info info = {.reset = {.valid = false, .addr = 0xcf9, .value = 1}};

	(void)state;
	reset_and_compare(NULL, NULL, 0);
	reset_and_compare(&info, NULL, 0);
}

static void test_port(void **state)
{
	const struct acpi_info info = {
		.reset = {.valid = true, .space = ACPI_SPACE_IO, .addr = 0x1234, .value = 0x56}};
	const struct event first[] = {{0x1234, 0x56}, {DELAY, 0}};

	(void)state;
	reset_and_compare(&info, first, ARRAY_SIZE(first));
}

/* Device 3, function 2, register 45H: the address port takes whole words, the data port the byte.
 */
static void test_pci(void **state)
{
	const struct acpi_info info = {.reset = {.valid = true,
						 .space = ACPI_SPACE_PCI,
						 .addr = 3ull << 32 | 2 << 16 | 0x45,
						 .value = 0x78}};
	const struct event first[] = {
		{0xcf8, 0x80000000 | 3 << 11 | 2 << 8 | 0x44}, {0xcfd, 0x78}, {DELAY, 0}};

	(void)state;
	reset_and_compare(&info, first, ARRAY_SIZE(first));
}

/* Memory that Umbra does not map: it is not touched. */
static void test_unreachable(void **state)
{
	const struct acpi_info memory = {
		.reset = {.valid = true, .space = ACPI_SPACE_MEMORY, .addr = 4 * GIB, .value = 1}};
	const struct event first[] = {{DELAY, 0}};

	(void)state;
	reset_and_compare(&memory, first, ARRAY_SIZE(first));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_acpi),
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_pci),
		cmocka_unit_test(test_unreachable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
