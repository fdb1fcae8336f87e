/* SPDX-License-Identifier: BSD-2-Clause */
/* What Umbra starts as its guest under the firmware: which program, loaded and with what. */
#pragma once

#include "boot/efi.h"
#include "boot/efi_config.h"
#include "boot/multiboot2.h"

/* What efi_entry.S does once Umbra's part is done. */
struct efi_plan {
	u64 bridge;      /* CR3 to virtualise this CPU with; 0: Umbra stays out */
	efi_handle next; /* to start; NULL: nothing */
	struct efi_boot_services *services;
	efi_handle leave;         /* whose Exit() it is in the end; NULL: return */
	efi_handle initrd_handle; /* NULL: it has none */
	struct efi_load_file *initrd;
	u64 information; /* not 0: go to boot_entry32 with this information */
	/* With bridge 0: Umbra's memory, for the firmware to have again. Umbra runs in it until
	 * then. */
	struct {
		paddr_t start;
		u64 pages; /* 0: none */
	} give_back[2];
};
_Static_assert(sizeof(struct efi_plan) == 88, "see efi_entry.S");

/* The program's name for messages; empty until it is chosen. */
extern char efi_next_name[EFI_CONFIG_VALUE];

/*
 * By umbra.conf on the device, or the boot entry after Umbra's. Sets `next` and the initrd.
 * `load_base`: where efi_entry.S runs.
 */
void efi_next_configured(const struct efi_config *config, efi_handle device, paddr_t load_base,
			 struct efi_plan *plan);

/* The first of a boot loader's modules is the program, the others are initrds. */
void efi_next_module(const struct mb2_info *info, paddr_t load_base, struct efi_plan *plan);
