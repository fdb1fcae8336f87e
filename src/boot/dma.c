/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/dma.h"

#include <x86/msr.h>

#include "lib/insn.h"
#include "lib/log.h"
#include "mm/dma_map.h"
#include "mm/ept01.h"
#include "mm/host_paging.h"
#include "mm/layout.h"
#include "mm/phys_width.h"
#include "platform/dmar.h"
#include "platform/vtd.h"
#include "smp/panic.h"

/* Interrupts without remapping reach no higher id ("Interrupt Requests in Compatibility Format").
 */
enum { MAX_PLAIN_APIC_ID = 254 };

enum { CHECKSUM = 9 }; /* its offset in an ACPI table */

_Static_assert(DMAR_MAX_UNITS <= EPT01_DEVICES, "all units can be hidden");

static struct {
	struct dmar_info dmar;
	enum dma_mode mode;
	bool on;             /* decided on */
	volatile u8 *hidden; /* the ACPI table, where its name is not its own */
} dma;

static bool is_below_4g(paddr_t start, u64 size)
{
	return start < 4 * GIB && size <= 4 * GIB - start;
}

/* A CPU that the guest can reach only by remapped interrupts. */
static const char *needs_interrupt_remapping(const struct acpi_info *acpi)
{
	u64 value;

	/* Without remapping on this platform there is none to lose. */
	if (!(dma.dmar.flags & DMAR_INTR_REMAP))
		return NULL;
	for (u32 i = 0; i < acpi->cpu_count; i++) {
		if (acpi->apic_id[i] > MAX_PLAIN_APIC_ID)
			return "the guest needs interrupt remapping for APIC ids above 254";
	}
	if (rdmsr_safe(MSR_IA32_ARCH_CAPABILITIES, &value) &&
	    (value & ARCH_CAP_XAPIC_DISABLE_STATUS) &&
	    rdmsr_safe(MSR_IA32_XAPIC_DISABLE_STATUS, &value) && (value & LEGACY_XAPIC_DISABLED))
		return "the guest needs interrupt remapping: x2APIC mode is locked";
	return NULL;
}

static const char *read_table(const struct acpi_info *acpi)
{
	const char *error;

	if (!acpi->dmar)
		return "the firmware describes no remapping units; is VT-d on in its setup?";
	error = dmar_parse(phys_to_virt(acpi->dmar), acpi->dmar_length, &dma.dmar);
	if (!error && !dma.dmar.unit_count)
		error = "the DMAR lists no unit";
	return error;
}

/* Umbra reads registers as the MTRRs have them. */
static bool is_uncached(const struct mtrr_state *mtrrs, const struct range *r)
{
	bool uniform;

	return mtrr_type_of_range(mtrrs, r->start, r->size, &uniform) == MEMTYPE_UC && uniform;
}

static const char *add_units(unsigned int width, paddr_t top)
{
	const char *error = NULL;
	struct mtrr_state mtrrs;

	ept01_read_mtrrs(&mtrrs);
	vtd_init();
	for (u32 i = 0; i < dma.dmar.unit_count && !error; i++) {
		const struct range *unit = &dma.dmar.unit[i];

		if (!is_below_4g(unit->start, unit->size) &&
		    !host_paging_map(unit->start, unit->size))
			return "out of memory for a unit's registers";
		if (!is_uncached(&mtrrs, unit))
			return "a unit's registers are no device memory by the MTRRs";
		error = vtd_add(phys_to_virt(unit->start), unit->size, width, top);
	}
	return error;
}

static unsigned int map_width(void)
{
	const unsigned int width = phys_width_memory();

	return width < dma.dmar.address_width ? width : dma.dmar.address_width;
}

/*
 * The table stays, under a name that no system knows; the checksum is adjusted. False: it is in a
 * ROM.
 */
static bool hide_table(const struct acpi_info *acpi)
{
	volatile u8 *table = phys_to_virt(acpi->dmar);

	table[0] = 'X';
	table[CHECKSUM] = (u8)(table[CHECKSUM] + 'D' - 'X');
	dma.hidden = table;
	return table[0] == 'X';
}

/* NULL, or why devices stay as they are. */
static const char *obstacle(const struct acpi_info *acpi, const struct memmap *map,
			    bool firmware_runs)
{
	const char *error = read_table(acpi);

	if (!error)
		error = needs_interrupt_remapping(acpi);
	if (!error)
		error = add_units(map_width(), memmap_top(map));
	if (!error && firmware_runs && vtd_firmware_uses())
		error = "the firmware uses the units itself until a system has started; "
			"turn off its own DMA protection";
	if (!error && !hide_table(acpi))
		error = "the table of units cannot be hidden";
	return error;
}

static void check_reserved(struct range hidden)
{
	for (u32 i = 0; i < dma.dmar.reserved_count; i++) {
		if (ranges_overlap(dma.dmar.reserved[i], hidden))
			fail("the firmware gives a device memory at %#lx that its memory map calls "
			     "free; update the firmware, or start Umbra with dma=pass",
			     dma.dmar.reserved[i].start);
	}
}

static void make_map(const struct memmap *map, const struct range *hidden, u32 count)
{
	bool made = dma_map_init(map_width(), memmap_top(map), vtd_has_1g_pages());

	for (u32 i = 0; i < count; i++)
		made = made && dma_map_hide(hidden[i].start, hidden[i].size);
	/* Or a device could reach a unit's registers by peer-to-peer writes. */
	for (u32 i = 0; i < dma.dmar.unit_count; i++)
		made = made && dma_map_hide(dma.dmar.unit[i].start, dma.dmar.unit[i].size);
	if (!made || !vtd_make_tables())
		fail("out of memory for the devices' page tables");
}

u64 dma_memory_wanted(const struct options *options, const struct acpi_info *acpi,
		      const struct memmap *map)
{
	if (options->dma == DMA_PASS || read_table(acpi))
		return 0;
	/* ept01's tables for each unit's registers, and a page that they all show. */
	return PAGE_SIZE * (dma_map_pages(map_width(), memmap_top(map), 2 + dma.dmar.unit_count) +
			    2 * dma.dmar.unit_count + 1);
}

void dma_prepare(const struct options *options, const struct acpi_info *acpi,
		 const struct memmap *map, struct range home, paddr_t low_page, bool firmware_runs)
{
	const struct range hidden[] = {home, {low_page, PAGE_SIZE}};
	const u32 count = low_page ? 2 : 1;
	const char *error;

	dma.mode = options->dma;
	dma.on = false;
	if (dma.mode == DMA_PASS)
		return;
	error = obstacle(acpi, map, firmware_runs);
	if (error && dma.mode == DMA_PROTECT)
		fail("dma=protect: %s", error);
	if (error) {
		log_warn("no DMA protection: %s", error);
		return;
	}
	for (u32 i = 0; i < count; i++)
		check_reserved(hidden[i]);
	make_map(map, hidden, count);
	dma.on = true;
}

void dma_hide_registers(void)
{
	for (u32 i = 0; dma.on && i < dma.dmar.unit_count; i++) {
		if (!ept01_hide_registers(dma.dmar.unit[i].start, dma.dmar.unit[i].size))
			fail("out of memory for the guest's page tables");
	}
}

void dma_start(void)
{
	const char *error;

	if (!dma.on)
		return;
	error = vtd_start();
	if (!error) {
		log_info("DMA protection: %u units", vtd_units_on());
		return;
	}
	vtd_stop();
	if (dma.mode == DMA_PROTECT)
		fail("dma=protect: %s", error);
	log_warn("no DMA protection: %s", error);
}

void dma_give_back(void)
{
	if (dma.on)
		vtd_stop();
	dma.on = false;
	if (!dma.hidden)
		return;
	dma.hidden[0] = 'D';
	dma.hidden[CHECKSUM] = (u8)(dma.hidden[CHECKSUM] + 'X' - 'D');
	dma.hidden = NULL;
}
