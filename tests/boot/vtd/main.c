/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Umbra's very sources for VT-d on a machine without VT-x: a kernel of its own sets up the units as
 * Umbra does, then has QEMU's edu device write to
 * memory that is Umbra's, and to other memory.
 */
#include <qemu/edu.h>
#include <x86/paging.h>
#include <x86/types.h>
#include <x86/vtd.h>

#include "boot/multiboot2.h"
#include "lib/insn.h"
#include "lib/log.h"
#include "lib/mmio.h"
#include "lib/string.h"
#include "mm/dma_map.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "platform/acpi.h"
#include "platform/console.h"
#include "platform/delay.h"
#include "platform/dmar.h"
#include "platform/vtd.h"

enum {
	PCI_ADDRESS = 0xcf8,
	PCI_DATA = 0xcfc,
	TABLES = 768 * PAGE_SIZE,
};

/* As if Umbra lived there; the rest is anyone's. */
static const paddr_t HOME = 64 * MIB;
static const u64 HOME_SIZE = 4 * MIB;
static const paddr_t ELSEWHERE = 96 * MIB;

static struct {
	_Alignas(8) u8 information[MB2_INFORMATION_MAX];
	struct mb2_info mb2;
	struct acpi_info acpi;
	struct dmar_info dmar;
	u8 *edu;
	u32 checks, failures;
} test;

/* start.S */
extern u64 boot_pml4[512];
void probe_main(u32 kind, u32 info);
void ap_main(void *cpu);

void ap_main(void *cpu)
{
	(void)cpu;
}

static void check(bool good, const char *what)
{
	test.checks++;
	test.failures += !good;
	log_info("%s: %s", good ? "ok" : "FAILED", what);
}

static _Noreturn void give_up(const char *why)
{
	log_info("FAILED: %s", why);
	cpu_halt_forever();
}

/* --- The device ------------------------------------------------------------------------------- */

static u32 pci_read(u32 device, u32 offset)
{
	outl(PCI_ADDRESS, BIT(31) | device << 11 | offset);
	return inl(PCI_DATA);
}

static void pci_write(u32 device, u32 offset, u32 value)
{
	outl(PCI_ADDRESS, BIT(31) | device << 11 | offset);
	outl(PCI_DATA, value);
}

static u8 *find_edu(void)
{
	for (u32 device = 0; device < 32; device++) {
		if (pci_read(device, 0) != EDU_ID)
			continue;
		pci_write(device, PCI_COMMAND,
			  pci_read(device, PCI_COMMAND) | PCI_MEMORY_AND_MASTER);
		return phys_to_virt(pci_read(device, PCI_BAR0) & ~15u);
	}
	give_up("no edu device");
}

static void wait_a_little(void)
{
	delay_us(1000);
}

static void transfer(u64 source, u64 destination, u64 size, u32 direction)
{
	edu_transfer(test.edu, source, destination, size, direction, wait_a_little);
}

static void device_writes(paddr_t to, u64 size)
{
	transfer(EDU_BUFFER, to, size, EDU_TO_MEMORY);
}

static void device_reads(paddr_t from, u64 size)
{
	transfer(from, EDU_BUFFER, size, 0);
}

/* --- Memory ----------------------------------------------------------------------------------- */

static void fill(paddr_t at, u64 size, u8 with)
{
	memset(phys_to_virt(at), with, size);
}

static bool is_filled(paddr_t at, u64 size, u8 with)
{
	const volatile u8 *bytes = phys_to_virt(at);

	for (u64 i = 0; i < size; i++) {
		if (bytes[i] != with)
			return false;
	}
	return true;
}

/* What the device holds is `with`, all of it. */
static void load_device(u8 with)
{
	fill(ELSEWHERE, EDU_CHUNK, with);
	device_reads(ELSEWHERE, EDU_CHUNK);
}

/* --- As Umbra does ---------------------------------------------------------------------------- */

static const void *map_table(void *ctx, paddr_t pa, size_t size)
{
	(void)ctx;
	return pa < 4 * GIB && size <= 4 * GIB - pa ? phys_to_virt(pa) : NULL;
}

static void read_tables(u32 information)
{
	const u32 *size = (const void *)(u64)information;
	const char *error;

	memcpy(test.information, size, *size);
	error = mb2_parse(test.information, *size, &test.mb2);
	if (!error)
		error = acpi_parse(test.mb2.rsdp, test.mb2.rsdp_len, map_table, NULL, &test.acpi);
	if (!error && !test.acpi.dmar)
		error = "no DMAR";
	if (!error)
		error = dmar_parse(phys_to_virt(test.acpi.dmar), test.acpi.dmar_length, &test.dmar);
	if (error)
		give_up(error);
	delay_init(&test.acpi);
}

static void set_up_units(void)
{
	const paddr_t top = memmap_top(&test.mb2.memmap);
	bool made;

	vtd_init();
	for (u32 i = 0; i < test.dmar.unit_count; i++) {
		const struct range *unit = &test.dmar.unit[i];
		const char *error = vtd_add(phys_to_virt(unit->start), unit->size,
					    test.dmar.address_width, top);

		if (error)
			give_up(error);
	}
	log_info("%u units, %u address bits, %s 1 GiB pages", test.dmar.unit_count,
		 test.dmar.address_width, vtd_has_1g_pages() ? "with" : "without");
	made = dma_map_init(test.dmar.address_width, top, vtd_has_1g_pages()) &&
	       dma_map_hide(HOME, HOME_SIZE);
	for (u32 i = 0; i < test.dmar.unit_count; i++)
		made = made && dma_map_hide(test.dmar.unit[i].start, test.dmar.unit[i].size);
	if (!made || !vtd_make_tables())
		give_up("memory is short");
}

static void start_units(void)
{
	const char *error = vtd_start();

	if (error)
		give_up(error);
}

/* --- Tests ------------------------------------------------------------------------------------ */

static void test_unprotected(void)
{
	fill(HOME, EDU_CHUNK, 0xaa);
	load_device(0x55);
	device_writes(HOME, EDU_CHUNK);
	check(is_filled(HOME, EDU_CHUNK, 0x55), "without a map the device writes to it");
	fill(HOME, EDU_CHUNK, 0xaa);
}

/* Whatever `round` says it is after. */
static void test_protected(const char *round)
{
	const paddr_t at[] = {HOME, HOME + HOME_SIZE / 2, HOME + HOME_SIZE - EDU_CHUNK};
	const paddr_t beside[] = {HOME - EDU_CHUNK, HOME + HOME_SIZE};
	u64 faults = vtd_faults();

	log_info("%s", round);
	load_device(0x55);
	for (u32 i = 0; i < ARRAY_SIZE(at); i++) {
		fill(at[i], EDU_CHUNK, 0xaa);
		device_writes(at[i], EDU_CHUNK);
		check(is_filled(at[i], EDU_CHUNK, 0xaa), "hidden memory is unchanged");
		check(vtd_faults() > faults, "the fault is recorded");
		faults = vtd_faults();
	}
	for (u32 i = 0; i < ARRAY_SIZE(beside); i++) {
		fill(beside[i], EDU_CHUNK, 0xaa);
		device_writes(beside[i], EDU_CHUNK);
		check(is_filled(beside[i], EDU_CHUNK, 0x55), "memory beside it is written");
	}
	check(vtd_faults() == faults, "without a fault");

	/* What the device cannot read it does not get. */
	device_reads(HOME, EDU_CHUNK);
	check(vtd_faults() > faults, "a read of it is a fault");
	device_writes(ELSEWHERE, EDU_CHUNK);
	check(!is_filled(ELSEWHERE, EDU_CHUNK, 0xaa), "and gives nothing of it");
	faults = vtd_faults();

	for (u32 i = 0; i < test.dmar.unit_count; i++) {
		u8 *registers = phys_to_virt(test.dmar.unit[i].start);
		const u64 root = mmio_read64(registers + VTD_RTADDR);

		load_device(0);
		device_writes(test.dmar.unit[i].start + VTD_RTADDR, sizeof(u64));
		check(mmio_read64(registers + VTD_RTADDR) == root && vtd_faults() > faults,
		      "a unit's registers are out of reach");
	}
}

/* As firmware may leave them: the queue on, and one wait done ("Invalidation Wait Descriptor"). */
static void leave_units_as_firmware(void)
{
	enum { IQA = 0x90, WAIT = 5, STATUS_WRITE = 1 << 5 };
	const paddr_t queue = HOME + HOME_SIZE;
	u64 *descriptor = phys_to_virt(queue);

	for (u32 i = 0; i < test.dmar.unit_count; i++) {
		u8 *registers = phys_to_virt(test.dmar.unit[i].start);
		const u32 on = mmio_read32(registers + VTD_GSTS) & ~(u32)VTD_ONE_SHOT;

		descriptor[0] = WAIT | STATUS_WRITE | 1ull << 32;
		descriptor[1] = ELSEWHERE;
		mmio_write64(registers + VTD_IQT, 0);
		mmio_write64(registers + IQA, queue);
		mmio_write32(registers + VTD_GCMD, on | VTD_QIE);
		mmio_write64(registers + VTD_IQT, 16);
		check(mmio_read64(registers + VTD_IQH) == 16, "the queue is on");
	}
}

void probe_main(u32 kind, u32 info)
{
	(void)kind;
	/* The direct map is what is mapped below, for Umbra's sources. */
	boot_pml4[DIRECT_BASE >> 39 & 511] = boot_pml4[0];
	console_init_serial(0x3f8, 115200);
	log_set_console(console_write);
	read_tables(info);
	test.edu = find_edu();
	pages_init(HOME + PAGE_SIZE * 16, TABLES);
	set_up_units();
	test_unprotected();
	check(!vtd_firmware_uses(), "nobody uses a unit");
	start_units();
	check(vtd_firmware_uses(), "a unit is on");
	test_protected("set up");
	start_units();
	test_protected("set up once more, as after S3");
	leave_units_as_firmware();
	start_units();
	test_protected("taken over");
	vtd_stop();
	test_unprotected();
	log_info("%u checks, %u failed", test.checks, test.failures);
	cpu_halt_forever();
}
