/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where in memory a kernel, its initrds and the data that goes with them end up, and in which
 * order to move them there from where the boot loader left them.
 */
#pragma once

#include <x86/types.h>

#include "mm/memmap.h"

enum {
	PLACEMENT_SEGMENTS_MAX = 16,
	PLACEMENT_MODULES_MAX = 16,
	/* Each piece may be staged once before its move; each may need its end zeroed. */
	PLACEMENT_STEPS_MAX = 3 * (PLACEMENT_SEGMENTS_MAX + PLACEMENT_MODULES_MAX),
};

/* A part of the kernel: `filesz` bytes at `source`, zeroes up to `memsz`. */
struct placement_segment {
	paddr_t source;
	u64 filesz;
	u64 offset; /* from the kernel's base */
	u64 memsz;
};

struct placement_request {
	const struct memmap *map; /* Umbra's own memory is not usable in it */

	paddr_t kernel_base; /* preferred; the only one unless relocatable */
	u64 kernel_size;     /* the kernel's whole area */
	u64 kernel_align;    /* of a relocatable kernel's base: a power of two */
	bool relocatable;    /* to kernel_base or higher */
	u32 segment_count;
	struct placement_segment segment[PLACEMENT_SEGMENTS_MAX]; /* all inside the area */

	u32 module_count;
	struct range module[PLACEMENT_MODULES_MAX]; /* where the boot loader left them */
	u32 module_align;   /* 4 for initrds to be concatenated, 4096 for separate modules */
	paddr_t module_max; /* highest address of a module's last byte */

	u64 data_size; /* boot_params and the like, page-aligned, below 640 KiB if possible */
};

/* Copy `size` bytes from src to dst as memmove() does, or zero them. */
struct placement_step {
	bool zero;
	paddr_t dst;
	paddr_t src;
	u64 size;
};

struct placement_plan {
	paddr_t kernel_base;
	paddr_t data;
	paddr_t module[PLACEMENT_MODULES_MAX]; /* in the order of the request */
	/* From the first module to the end of the last one, with zeroes between: one initrd. */
	paddr_t modules_start;
	u64 modules_size;
	u32 step_count;
	struct placement_step step[PLACEMENT_STEPS_MAX];
};

/*
 * Everything is placed below 4 GiB, in usable RAM. The boot data overlaps neither a source nor a
 * destination nor a stage, and can be written before or after the steps. Sources are usable RAM
 * too and may overlap destinations, but once the steps have run only destinations hold anything:
 * what is needed from a source (a setup header) must be read before.
 *
 * NULL, or why it does not fit, for people; *plan is not to be used then.
 */
const char *placement_plan(const struct placement_request *request, struct placement_plan *plan);

/* Runs the steps, in order, on memory that `to_virt` gives access to. */
void placement_run(const struct placement_plan *plan, void *(*to_virt)(paddr_t));
