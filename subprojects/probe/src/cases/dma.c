/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device that writes wherever it is told to (QEMU's edu), aimed at a
 * hypervisor's memory, on QEMU's machine with a DMA remapping unit. Umbra says by `stats` whether
 * its memory is as it was.
 */
#include <qemu/edu.h>
#include <x86/insn.h>

#include "acpi.h"
#include "hidden.h"
#include "layout.h"
#include "memory.h"
#include "probe.h"
#include "string.h"
#include "timer.h"
#include "umbra.h"

enum {
	PCI_ADDRESS = 0xcf8,
	PCI_DATA = 0xcfc,
	TARGETS = 8,
	GLOBAL_COMMAND = 0x18, /* VT-d, "Global Command Register" */
};

static const u64 UNIT = 0xfed90000; /* where QEMU has it */

static struct umbra_answer ask(u64 function)
{
	return umbra_ask(0, function, 0, 0);
}

static u32 pci_read(u32 device, u32 offset)
{
	outl(PCI_ADDRESS, 1u << 31 | device << 11 | offset);
	return inl(PCI_DATA);
}

/* Its registers; 0: no such device. */
static u64 find_edu(void)
{
	for (u32 device = 0; device < 32; device++) {
		if (pci_read(device, 0) != EDU_ID)
			continue;
		const u32 command = pci_read(device, PCI_COMMAND) | PCI_MEMORY_AND_MASTER;

		outl(PCI_DATA, command);
		return pci_read(device, PCI_BAR0) & ~15u;
	}
	return 0;
}

static void wait_a_little(void)
{
	timer_wait(1000);
}

static void transfer(u64 edu, u64 source, u64 destination, u32 direction)
{
	edu_transfer((volatile u8 *)edu, source, destination, EDU_CHUNK, direction, wait_a_little);
}

static bool is_filled(const volatile u8 *bytes, u8 with)
{
	for (unsigned i = 0; i < EDU_CHUNK; i++) {
		if (bytes[i] != with)
			return false;
	}
	return true;
}

/* So that the attempts below count: what is refused there works here. */
PROBE_CASE(dma_other, "dma.other_memory", CASE_EXPLICIT)
{
	const u64 edu = find_edu();
	u8 *from = memory_pages(1), *to = memory_pages(1);

	SKIP_UNLESS(t, edu, "no edu device");
	memset(from, 0x5a, EDU_CHUNK);
	transfer(edu, (u64)from, EDU_BUFFER, 0);
	transfer(edu, EDU_BUFFER, (u64)to, EDU_TO_MEMORY);
	CHECK(t, is_filled(to, 0x5a), "DMA does not arrive");
}

PROBE_CASE(dma_units, "dma.units_are_hidden", CASE_EXPLICIT)
{
	SKIP_UNLESS(t, find_edu(), "no edu device");
	CHECK(t, !acpi_has_table("DMAR"), "there is a DMAR");
	for (u64 at = UNIT; at < UNIT + PAGE_SIZE && !t->failures; at += sizeof(u64))
		CHECK(t, *(volatile u64 *)at == ~0ull, "%lx is no ones", at);
	/* Translation off, if it were a unit. */
	CHECK_OK(t, TRY("movl $0, (%0)", : : "r"(UNIT + GLOBAL_COMMAND) : "memory"));
}

PROBE_CASE(dma_hidden, "dma.hidden_memory", CASE_EXPLICIT)
{
	const u64 edu = find_edu();
	u8 *from = memory_pages(1), *to = memory_pages(1);
	u64 start, end;

	SKIP_UNLESS(t, edu, "no edu device");
	if (!hidden_range(t, &start, &end))
		return;
	const struct umbra_answer integrity = ask(UMBRA_ASK_INTEGRITY), dma = ask(UMBRA_ASK_DMA);
	struct umbra_answer now;

	CHECK(t, integrity.known && integrity.result[1] && !integrity.result[2], "nobody to ask");
	CHECK(t, dma.result[0] - 1 < 64, "%lu units", dma.result[0]);
	memset(from, 0x5a, EDU_CHUNK);
	transfer(edu, (u64)from, EDU_BUFFER, 0);
	for (u64 i = 0; i < TARGETS; i++) {
		const u64 at = start + (end - start) / PAGE_SIZE * i / TARGETS * PAGE_SIZE;

		transfer(edu, EDU_BUFFER, at, EDU_TO_MEMORY);
		now = ask(UMBRA_ASK_DMA);
		CHECK(t, now.result[1] > dma.result[1] + i, "DMA to %lx: %lu faults", at,
		      now.result[1] - dma.result[1]);
	}
	transfer(edu, EDU_BUFFER, end - EDU_CHUNK, EDU_TO_MEMORY);
	now = ask(UMBRA_ASK_INTEGRITY);
	CHECK_EQ(t, now.result[0], integrity.result[0]);
	CHECK_EQ(t, now.result[2], 0);

	/* What the device could not read it cannot tell. */
	memset(to, 0, EDU_CHUNK);
	transfer(edu, start, EDU_BUFFER, 0);
	transfer(edu, EDU_BUFFER, (u64)to, EDU_TO_MEMORY);
	CHECK(t, is_filled(to, 0x5a) || is_filled(to, 0), "Umbra's memory was read");
}
