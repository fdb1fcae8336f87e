/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DMA protection: whether it is possible here and costs the guest nothing that it needs, and then
 * the steps to it. The guest gets neither the table of remapping units nor their registers.
 */
#pragma once

#include "boot/cmdline.h"
#include "mm/memmap.h"
#include "platform/acpi.h"

/* Bytes of Umbra's home for the map of DMA, at most. */
u64 dma_memory_wanted(const struct options *options, const struct acpi_info *acpi,
		      const struct memmap *map);

/*
 * Decides, and makes the map: to be called before ept01_init(). `home` and the page at low_page
 * (0: none) are hidden from devices. With firmware_runs, EFI boot services go on in the guest.
 * Stops with a message where Umbra is told to protect and cannot, or where firmware's own memory
 * for DMA is Umbra's.
 */
void dma_prepare(const struct options *options, const struct acpi_info *acpi,
		 const struct memmap *map, struct range home, paddr_t low_page, bool firmware_runs);

/* Hides the units' registers from the guest; after ept01_init(). */
void dma_hide_registers(void);

/* Turns protection on if it was decided on; when nothing can take Umbra back any more. */
void dma_start(void);

/* For a system without Umbra: the units are off, and their table has its name again. */
void dma_give_back(void);
