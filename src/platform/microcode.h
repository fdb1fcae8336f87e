/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Microcode: the update that Umbra loads into each CPU before it enters VMX operation, since the
 * guest cannot any more. SDM volume 3, "Microcode Update Facilities".
 */
#pragma once

#include <x86/types.h>

/* What decides whether an update is for a CPU, and new to it. */
struct microcode_cpu {
	u32 signature; /* CPUID.1:EAX */
	u32 platform;  /* 1 << IA32_PLATFORM_ID[52:50], to test against an update's flags */
	u32 revision;  /* loaded now */
};

struct microcode_update {
	const u8 *data; /* the header and what follows it */
	u32 size;       /* 0: there is none */
	u32 revision;
};

/* CPUID, IA32_PLATFORM_ID and IA32_BIOS_SIGN_ID of the CPU this runs on. */
struct microcode_cpu microcode_this_cpu(void);

/*
 * The newest update for this CPU, newer than what it has, in `size` bytes at `file`: updates one
 * after the other, as Intel publishes them. *out points into them. NULL, or what is wrong with the
 * first damaged one, for people; sound ones beside it count all the same.
 */
const char *microcode_find(const void *file, size_t size, const struct microcode_cpu *cpu,
			   struct microcode_update *out);

/* Pages for microcode_keep(). */
u64 microcode_pages(const struct microcode_update *update);

/*
 * Copies the update into Umbra's memory, for every CPU to load. Once, on the boot processor; false:
 * out of memory.
 */
bool microcode_keep(const struct microcode_update *update);

/*
 * Loads what was kept into this CPU, if it is for it and newer. To be called before VMX operation,
 * and on one thread of a core at a time. Says what came of it.
 */
void microcode_load(void);

/* The revision that the boot processor has got; in bits 63:32 the one before. 0: none was loaded.
 */
u64 microcode_revisions(void);
