/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether DMA protection is possible, and what is hidden then: docs/dma.md has the reasons. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#undef fail /* cmocka's; here it is Umbra's */

#include <x86/msr.h>

#include "boot/dma.h"
#include "lib/insn.h"
#include "lib/log.h"
#include "mm/dma_map.h"
#include "mm/ept01.h"
#include "mm/host_paging.h"
#include "mm/layout.h"
#include "mm/phys_width.h"
#include "platform/vtd.h"
#include "smp/panic.h"

enum { DMAR = 0x7ff0000, LENGTH = 48 + 16 + 24, LOW_PAGE = 0x9d000 };

static const struct range HOME = {0x7000000, 4 * MIB};
static const u64 TOP = 2 * GIB;

static u8 table[LENGTH];
static struct acpi_info acpi;
static struct memmap map;
static struct options options;
static bool in_use, memory_short, x2apic_locked;
static const char *add_error, *start_error;
static struct mtrr_state mtrrs;

static struct {
	char said[200], failed[200];
	struct range from_devices[8], from_guest;
	u32 hidden, added, starts, stops;
	paddr_t mapped;
} seen;
static jmp_buf stopped;

void *phys_to_virt(paddr_t pa)
{
	return pa == DMAR ? table : (void *)pa;
}

bool rdmsr_safe(u32 msr, u64 *value)
{
	*value = x2apic_locked ? (msr == 0x10a ? BIT(21) : 1) : 0;
	return msr == 0x10a || (msr == 0xbd && x2apic_locked);
}

void ept01_read_mtrrs(struct mtrr_state *out)
{
	*out = mtrrs;
}

bool ept01_hide_registers(paddr_t start, u64 size)
{
	seen.from_guest = (struct range){start, size};
	return true;
}

bool host_paging_map(paddr_t start, u64 size)
{
	assert_int_equal(size, PAGE_SIZE);
	seen.mapped = start;
	return true;
}

u8 phys_width_memory(void)
{
	return 39;
}

u64 dma_map_pages(unsigned int width, paddr_t top_of_ram, u64 holes)
{
	assert_int_equal(width, 39);
	assert_int_equal(top_of_ram, TOP);
	assert_int_equal(holes, 3);
	return 100;
}

bool dma_map_init(unsigned int width, paddr_t top_of_ram, bool has_1g)
{
	assert_int_equal(width, 39);
	assert_int_equal(top_of_ram, TOP);
	assert_true(has_1g);
	return !memory_short;
}

bool dma_map_hide(paddr_t start, u64 size)
{
	seen.from_devices[seen.hidden++] = (struct range){start, size};
	return true;
}

void vtd_init(void)
{
	seen.added = 0;
}

const char *vtd_add(void *registers, u64 size, unsigned int width, paddr_t top)
{
	assert_non_null(registers);
	assert_int_equal(size, PAGE_SIZE);
	assert_int_equal(width, 39);
	assert_int_equal(top, TOP);
	seen.added++;
	return add_error;
}

bool vtd_firmware_uses(void)
{
	return in_use;
}

bool vtd_has_1g_pages(void)
{
	return true;
}

bool vtd_make_tables(void)
{
	return true;
}

const char *vtd_start(void)
{
	seen.starts++;
	return start_error;
}

void vtd_stop(void)
{
	seen.stops++;
}

u32 vtd_units_on(void)
{
	return 1;
}

void log_line(enum log_level level, const char *format, ...)
{
	va_list args;

	(void)level;
	va_start(args, format);
	vsnprintf(seen.said, sizeof(seen.said), format, args);
	va_end(args);
}

_Noreturn void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(seen.failed, sizeof(seen.failed), format, args);
	va_end(args);
	longjmp(stopped, 1);
}

static void put(u32 at, u64 value, size_t size)
{
	memcpy(table + at, &value, size);
}

static void seal(void)
{
	u8 sum = 0;

	table[9] = 0;
	for (size_t i = 0; i < LENGTH; i++)
		sum = (u8)(sum + table[i]);
	table[9] = (u8)-sum;
}

/* One unit, memory reserved for one device, interrupts can be remapped. */
static int setup(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	memset(table, 0, sizeof(table));
	memcpy(table, "DMAR", 4);
	table[36] = 45;
	table[37] = 1;
	put(50, 16, 2);
	put(56, 0xfed90000, 8);
	put(64, 1, 2);
	put(66, 24, 2);
	put(72, 0x7c00000, 8);
	put(80, 0x7cfffff, 8);
	seal();
	acpi = (struct acpi_info){.dmar = DMAR, .dmar_length = LENGTH, .cpu_count = 2};
	acpi.apic_id[1] = 254;
	map = (struct memmap){.count = 1, .e = {{0, TOP, MEMMAP_USABLE, 0}}};
	options = (struct options){.dma = DMA_AUTO};
	in_use = memory_short = x2apic_locked = false;
	add_error = start_error = NULL;
	/* All memory is write-back, and from 3 to 4 GiB uncached. */
	mtrrs = (struct mtrr_state){.def_type = BIT(11) | 6, .count = 1, .maxphyaddr = 39};
	mtrrs.var_base[0] = 3 * GIB;
	mtrrs.var_mask[0] = (BIT(39) - GIB) | BIT(11);
	return 0;
}

static void prepare(bool firmware_runs)
{
	if (setjmp(stopped))
		return;
	dma_prepare(&options, &acpi, &map, HOME, LOW_PAGE, firmware_runs);
	dma_hide_registers();
	dma_start();
}

static bool table_is_hidden(void)
{
	u8 sum = 0;

	for (size_t i = 0; i < LENGTH; i++)
		sum = (u8)(sum + table[i]);
	assert_int_equal(sum, 0);
	return memcmp(table, "DMAR", 4) != 0;
}

static bool is_hidden_from_devices(paddr_t start, u64 size)
{
	for (u32 i = 0; i < seen.hidden; i++) {
		if (seen.from_devices[i].start == start && seen.from_devices[i].size == size)
			return true;
	}
	return false;
}

static void assert_protected(void)
{
	assert_string_equal(seen.failed, "");
	assert_string_equal(seen.said, "DMA protection: 1 units");
	assert_int_equal(seen.starts, 1);
	assert_int_equal(seen.stops, 0);
	assert_true(is_hidden_from_devices(HOME.start, HOME.size));
	assert_true(is_hidden_from_devices(LOW_PAGE, PAGE_SIZE));
	assert_true(is_hidden_from_devices(0xfed90000, PAGE_SIZE));
	assert_int_equal(seen.hidden, 3);
	assert_int_equal(seen.from_guest.start, 0xfed90000);
	assert_int_equal(seen.from_guest.size, PAGE_SIZE);
	assert_true(table_is_hidden());
}

/* With this machine, auto goes on without and touches nothing; protect stops. */
static void assert_obstacle(const char *why, bool firmware_runs)
{
	char line[200];

	options.dma = DMA_AUTO;
	memset(&seen, 0, sizeof(seen));
	prepare(firmware_runs);
	snprintf(line, sizeof(line), "warning: no DMA protection: %s", why);
	assert_string_equal(seen.failed, "");
	assert_string_equal(seen.said, line);
	assert_int_equal(seen.starts + seen.from_guest.size, 0);
	assert_false(memcmp(table, "DMAR", 4));
	options.dma = DMA_PROTECT;
	prepare(firmware_runs);
	snprintf(line, sizeof(line), "dma=protect: %s", why);
	assert_string_equal(seen.failed, line);
	assert_int_equal(seen.starts, 0);
}

static void protects(void **state)
{
	for (u32 i = 0; i < 2; i++) {
		setup(state);
		options.dma = i ? DMA_PROTECT : DMA_AUTO;
		assert_int_equal(dma_memory_wanted(&options, &acpi, &map), 103 * PAGE_SIZE);
		prepare(false);
		assert_protected();
		/* Under EFI, too, as long as nobody else drives the units. */
		setup(state);
		prepare(true);
		assert_protected();
	}
	/* Firmware has left them on, and is gone. */
	setup(state);
	in_use = true;
	prepare(false);
	assert_protected();
}

/* A system without Umbra finds the machine as it was. */
static void gives_back(void **state)
{
	u8 before[LENGTH];

	dma_give_back();
	setup(state);
	memcpy(before, table, LENGTH);
	dma_give_back();
	assert_int_equal(seen.stops, 0);
	assert_memory_equal(table, before, LENGTH);
	prepare(false);
	assert_protected();
	dma_give_back();
	assert_int_equal(seen.stops, 1);
	assert_memory_equal(table, before, LENGTH);
	dma_give_back();
	assert_int_equal(seen.stops, 1);
	assert_memory_equal(table, before, LENGTH);
}

static void passes(void **state)
{
	(void)state;
	options.dma = DMA_PASS;
	assert_int_equal(dma_memory_wanted(&options, &acpi, &map), 0);
	prepare(false);
	assert_string_equal(seen.said, "");
	assert_string_equal(seen.failed, "");
	assert_int_equal(seen.added + seen.hidden + seen.starts, 0);
	assert_false(table_is_hidden());
}

static void obstacles(void **state)
{
	acpi.dmar = 0;
	assert_int_equal(dma_memory_wanted(&options, &acpi, &map), 0);
	assert_obstacle("the firmware describes no remapping units; is VT-d on in its setup?",
			false);
	setup(state);
	acpi.dmar_length = 48;
	assert_obstacle("the DMAR lists no unit", false);
	setup(state);
	acpi.apic_id[1] = 255;
	assert_obstacle("the guest needs interrupt remapping for APIC ids above 254", false);
	setup(state);
	x2apic_locked = true;
	assert_obstacle("the guest needs interrupt remapping: x2APIC mode is locked", false);
	setup(state);
	add_error = "it will not do";
	assert_obstacle("it will not do", false);
	setup(state);
	in_use = true;
	assert_obstacle("the firmware uses the units itself until a system has started; turn off "
			"its own DMA protection",
			true);
	setup(state);
	put(56, 0x80000000, 8);
	seal();
	assert_obstacle("a unit's registers are no device memory by the MTRRs", false);
}

/* Where interrupts cannot be remapped, the guest does not lose that. */
static void no_remapping_to_lose(void **state)
{
	(void)state;
	table[37] = 0;
	seal();
	x2apic_locked = true;
	acpi.apic_id[1] = 300;
	prepare(false);
	assert_protected();
}

static void reserved_memory(void **state)
{
	static const struct {
		paddr_t first, last;
		bool meets;
	} rows[] = {
		{0x6000000, 0x6ffffff, false}, {0x6000000, 0x7000000, true},
		{0x7100000, 0x7100fff, true},  {0x73fffff, 0x7ffffff, true},
		{0x7400000, 0x7ffffff, false}, {0x9d000, 0x9dfff, true},
		{0x9e000, 0x9ffff, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		setup(state);
		put(72, rows[i].first, 8);
		put(80, rows[i].last, 8);
		seal();
		prepare(false);
		assert_int_equal(seen.starts, !rows[i].meets);
		assert_int_equal(seen.failed[0] != '\0', rows[i].meets);
	}
}

static void units_that_fail(void **state)
{
	start_error = "a unit does not start";
	prepare(false);
	assert_string_equal(seen.said, "warning: no DMA protection: a unit does not start");
	assert_int_equal(seen.stops, 1);
	assert_string_equal(seen.failed, "");
	setup(state);
	start_error = "a unit does not start";
	options.dma = DMA_PROTECT;
	prepare(false);
	assert_string_equal(seen.failed, "dma=protect: a unit does not start");
	setup(state);
	memory_short = true;
	prepare(false);
	assert_string_equal(seen.failed, "out of memory for the devices' page tables");
}

static void registers_above_4_gib(void **state)
{
	(void)state;
	put(56, 0x20fffff000, 8);
	seal();
	mtrrs.def_type = BIT(11);
	prepare(false);
	assert_int_equal(seen.mapped, 0x20fffff000);
	assert_int_equal(seen.starts, 1);
	assert_int_equal(seen.from_guest.start, 0x20fffff000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(protects, setup),
		cmocka_unit_test_setup(gives_back, setup),
		cmocka_unit_test_setup(passes, setup),
		cmocka_unit_test_setup(obstacles, setup),
		cmocka_unit_test_setup(no_remapping_to_lose, setup),
		cmocka_unit_test_setup(reserved_memory, setup),
		cmocka_unit_test_setup(units_that_fail, setup),
		cmocka_unit_test_setup(registers_above_4_gib, setup),
	};

	return cmocka_run_group_tests_name("dma", tests, NULL, NULL);
}
