/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest: what the modules are, where they go, and how the boot processor begins. */
#pragma once

#include "boot/cmdline.h"
#include "boot/multiboot2.h"
#include "vmx/setup.h"

/*
 * Checks the modules before anything is touched: the first must be a bzImage, a PVH or multiboot2
 * ELF kernel, or a boot sector. Stops with a message that says what to do otherwise.
 */
void guest_check_modules(const struct mb2_info *info);

/*
 * Puts kernel, initrds and boot data in place; info->memmap has Umbra's home reserved, and `room`
 * what firmware uses, too. With no home only `room` is used. Stops with a message when they do not
 * fit.
 */
void guest_load(struct mb2_info *info, const struct memmap *room, const struct options *options,
		struct range home, struct guest_start *start);

/* Whether what guest_check_modules() has found can be started without Umbra, in protected mode. */
bool guest_can_start_bare(void);

/* The memory for bare_start() in what guest_load() has laid out. */
paddr_t guest_bare_stub(const struct guest_start *start);
