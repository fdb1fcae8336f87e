/* SPDX-License-Identifier: BSD-2-Clause */
/* A boot sector as the guest: real mode at 0:7C00, with the BIOS still in place. */
#pragma once

#include "boot/multiboot2.h"
#include "vmx/setup.h"

/* Whether an image is a boot sector: whole sectors with the signature 55 AA in the first. */
bool chainload_is_boot_sector(const void *image, size_t size);

/*
 * Copies it to 7C00, hooks INT 15h so that the guest's memory map lacks Umbra, and describes the
 * start. `map` has Umbra's home reserved already; the hook's own kilobyte is reserved in it too.
 * Stops with a message when there is no room for the hook.
 */
void chainload(const void *image, size_t size, struct memmap *map, u8 drive,
	       struct guest_start *start);

/* Answers the hook's VMCALL. False: this VMCALL is none of it, and nothing was done. */
bool int15_hook_vmcall(struct guest_regs *regs);

/* The map that the hook serves, and the physical address of its VMCALL; 0 without a hook. */
const struct memmap *chainload_memmap(void);
paddr_t chainload_vmcall_address(void);
