/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translating a linear address by the guest's own page tables, as its processor would (SDM
 * "Paging"): all four paging modes, access rights, protection keys, accessed and dirty flags.
 */
#pragma once

#include <x86/types.h>

/* Of a #PF (SDM "Page-Fault Exceptions"). */
enum page_fault_error : u32 {
	PF_PRESENT = 1u << 0,
	PF_WRITE = 1u << 1,
	PF_USER = 1u << 2,
	PF_RESERVED = 1u << 3,
	PF_FETCH = 1u << 4,
	PF_KEY = 1u << 5,
};

/* The state that decides about a translation. */
struct guest_paging {
	u64 cr0, cr3, cr4, efer;
	u64 pdpte[4]; /* the PDPTE registers; used with PAE paging only */
	u32 pkru, pkrs;
	u8 maxphyaddr;
	bool has_1g_pages; /* CPUID.80000001H:EDX.Page1GB */
	bool has_pse36;    /* CPUID.1:EDX.PSE-36 */
};

enum guest_access_type { GUEST_READ, GUEST_WRITE, GUEST_FETCH };

struct guest_access {
	u64 linear; /* upper half 0 outside of 64-bit mode */
	enum guest_access_type type;
	bool user;     /* CPL 3, and not an implicit supervisor access */
	bool implicit; /* supervisor access to a system structure: GDT, LDT, IDT, TSS */
	bool ac;       /* RFLAGS.AC */
};

/* How to reach guest-physical memory. Entries are naturally aligned and in one page. */
struct guest_walk_ops {
	/* False: there is no memory, or none that the guest may touch. */
	bool (*read)(void *ctx, paddr_t pa, void *dst, size_t size);
	/*
	 * Atomically replaces the entry of `size` (4 or 8) bytes if it still is `old`; returns
	 * whether it was. NULL: accessed and dirty flags stay as they are.
	 */
	bool (*exchange)(void *ctx, paddr_t pa, u64 old, u64 new, size_t size);
};

enum guest_walk_status {
	GUEST_WALK_OK,
	GUEST_WALK_FAULT,         /* #PF with error_code */
	GUEST_WALK_NON_CANONICAL, /* #GP(0), or #SS(0) for a stack access */
	GUEST_WALK_NO_MEMORY,     /* a table lies where `read` fails; its address is in pa */
	GUEST_WALK_RACE, /* tables change as fast as they are read: retry the instruction */
};

enum { GUEST_WALK_LEVELS = 5 };

/* An entry on the way. */
struct guest_walk_step {
	paddr_t pa;
	u64 entry; /* with GUEST_WALK_OK as it is now, with its flags */
};

struct guest_walk {
	paddr_t pa;     /* of the accessed byte, with GUEST_WALK_OK */
	u64 page_size;  /* bytes that this translation covers, with GUEST_WALK_OK */
	u32 error_code; /* with GUEST_WALK_FAULT */
	/* Rights by all entries together, with GUEST_WALK_OK; without paging all are true. */
	bool user, writable, executable;
	/* With GUEST_WALK_OK: the entries that were read, all of them, from the root on. */
	u32 steps;
	struct guest_walk_step step[GUEST_WALK_LEVELS];
};

/*
 * Translates one access within a page. Accessed and dirty flags are set only if it is allowed. An
 * access that crosses a page needs a call for each.
 */
enum guest_walk_status guest_walk(const struct guest_paging *paging,
				  const struct guest_access *access,
				  const struct guest_walk_ops *ops, void *ctx,
				  struct guest_walk *out);
