/* SPDX-License-Identifier: BSD-2-Clause */
/* Extended page tables (SDM "The Extended Page Table Mechanism (EPT)"). */
#pragma once

#include <x86/memtype.h>
#include <x86/types.h>

/* Bits of an EPT paging-structure entry of any level. */
enum ept_entry : u64 {
	EPT_READ = BIT(0),
	EPT_WRITE = BIT(1),
	EPT_EXEC = BIT(2), /* with mode-based execute control: supervisor-mode addresses only */
	EPT_RWX = BITS(2, 0),
	EPT_MEMTYPE = BITS(5, 3), /* leaf only */
	EPT_IGNORE_PAT = BIT(6),  /* leaf only */
	EPT_LARGE = BIT(7),       /* maps a 1 GiB or 2 MiB page */
	EPT_ACCESSED = BIT(8),
	EPT_DIRTY = BIT(9),      /* leaf only */
	EPT_USER_EXEC = BIT(10), /* with mode-based execute control only */
	EPT_ADDR = BITS(51, 12), /* bits at and above MAXPHYADDR are reserved */
	EPT_VERIFY_GUEST_PAGING = BIT(57),
	EPT_PAGING_WRITE = BIT(58),
	EPT_SHADOW_STACK = BIT(60),
	EPT_SUBPAGE_WRITE = BIT(61),
	EPT_SUPPRESS_VE = BIT(63),
};

enum {
	EPT_MEMTYPE_SHIFT = 3,
	EPT_ENTRIES = 512,
	EPT_LEVELS = 4,
	EPT_MAX_WIDTH = 48, /* guest-physical bits a 4-level walk translates */
};

/* EPT pointer (SDM "Extended-Page-Table Pointer (EPTP)"). */
enum ept_pointer : u64 {
	EPTP_MEMTYPE = BITS(2, 0), /* UC or WB */
	EPTP_WALK_4 = 3ull << 3,   /* page-walk length minus one */
	EPTP_WALK = BITS(5, 3),
	EPTP_AD = BIT(6),
	EPTP_SHADOW_STACK = BIT(7),
	EPTP_RESERVED_LOW = BITS(11, 8),
	EPTP_ADDR = BITS(51, 12),
};

/* Exit qualification of an EPT violation (SDM "Exit Qualification for EPT Violations"). */
enum ept_violation : u64 {
	EPT_VIOLATION_READ = BIT(0),
	EPT_VIOLATION_WRITE = BIT(1),
	EPT_VIOLATION_FETCH = BIT(2),
	EPT_VIOLATION_WAS_READABLE = BIT(3),
	EPT_VIOLATION_WAS_WRITABLE = BIT(4),
	EPT_VIOLATION_WAS_EXECUTABLE = BIT(5),
	EPT_VIOLATION_WAS_USER_EXECUTABLE = BIT(6),
	EPT_VIOLATION_LINEAR_VALID = BIT(7),
	EPT_VIOLATION_TRANSLATED = BIT(8), /* clear: the access was to a guest paging structure */
	EPT_VIOLATION_USER = BIT(9),
	EPT_VIOLATION_LINEAR_WRITABLE = BIT(10),
	EPT_VIOLATION_LINEAR_NX = BIT(11),
	EPT_VIOLATION_NMI_UNBLOCK = BIT(12),
	EPT_VIOLATION_SHADOW_STACK = BIT(13),
	EPT_VIOLATION_SHADOW_STACK_PAGE = BIT(14), /* with EPTP_SHADOW_STACK */
};

static inline u64 ept_memtype_bits(enum memtype type)
{
	return (u64)type << EPT_MEMTYPE_SHIFT;
}

static inline enum memtype ept_entry_memtype(u64 entry)
{
	return (enum memtype)((entry & EPT_MEMTYPE) >> EPT_MEMTYPE_SHIFT);
}

static inline bool ept_is_present(u64 entry)
{
	return entry & EPT_RWX;
}

/* Whether a present entry of this level maps a page, and no table. */
static inline bool ept_is_leaf(u64 entry, unsigned int level)
{
	return level == 1 || (entry & EPT_LARGE);
}

/* The entry for `gpa` in a table of this level. */
static inline unsigned int ept_index(u64 gpa, unsigned int level)
{
	return (unsigned int)(gpa >> (PAGE_SHIFT + 9 * (level - 1))) & (EPT_ENTRIES - 1);
}

/* Bytes one entry of `level` covers: 1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB, 4 = 512 GiB. */
static inline u64 ept_level_size(unsigned int level)
{
	return PAGE_SIZE << (9 * (level - 1));
}
