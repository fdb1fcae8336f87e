/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's physical memory, for Umbra: identity-mapped, so an address only needs a check.
 * Umbra's own memory, addresses without memory and those from 64 TiB on read as ones and ignore
 * writes, as an absent bus address does; nothing here faults.
 *
 * Umbra's map has what the boot loader's map of memory has. Other addresses are added when they are
 * first used, if the guest's MTRRs make them write-back: memory that was added to the machine
 * later, or that firmware keeps out of its map for the system to find. What is not write-back
 * there, MMIO beyond 4 GiB, is never touched and reads as ones; below 4 GiB everything is mapped.
 */
#pragma once

#include <x86/types.h>

/* Any size, over page boundaries, too. */
void guest_memory_read(paddr_t gpa, void *dst, size_t size);
void guest_memory_write(paddr_t gpa, const void *src, size_t size);

/* A word within a page. */
u64 guest_memory_read_word(paddr_t gpa);

/*
 * Atomically replaces `size` (1, 4 or 8) naturally aligned bytes if they equal `old`. False: they
 * do not, since somebody has changed them: where there is no memory they are ones for ever, and
 * replacing those succeeds without effect.
 */
bool guest_memory_exchange(paddr_t gpa, u64 old, u64 new, size_t size);

/* 64-bit words of the page at `gpa`, chosen by their indexes there. */
void guest_memory_read_words(paddr_t gpa, const u16 *index, u32 count, u64 *words);

/*
 * Whether the bytes, within a page, are the guest's memory and mapped. Once they are they stay, and
 * may be read in place, at phys_to_virt().
 */
bool guest_memory_is_mapped(paddr_t gpa, size_t size);
