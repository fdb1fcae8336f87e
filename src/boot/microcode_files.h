/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the microcode comes from that Umbra loads: files that the boot loader has brought. */
#pragma once

#include "boot/multiboot2.h"
#include "platform/microcode.h"

/* The string of a module that is for Umbra alone: updates as Intel publishes them. */
#define MICROCODE_MODULE "umbra.microcode"

/*
 * Each puts into *newest what is newer for this CPU in a file of updates, or in an initrd that
 * begins with an archive of them, as distributions make it. Damage is reported with the name.
 */
void microcode_look_in(const char *name, const void *file, size_t size,
		       struct microcode_update *newest);
void microcode_look_in_initrd(const void *initrd, size_t size, struct microcode_update *newest);

/*
 * The newest update for this CPU in the modules behind the kernel; none is looked for unless
 * `wanted`. Umbra's own module is taken off the list in any case.
 */
struct microcode_update microcode_choose(struct mb2_info *info, bool wanted);
