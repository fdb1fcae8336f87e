/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The linear memory of the guest whose VMCS is current, by its own paging, for instructions and
 * switches that Umbra executes on its behalf.
 */
#pragma once

#include <x86/cr.h>
#include <x86/types.h>

#include "mm/guest_walk.h"

/* Whose access it is. */
enum guest_linear_as {
	GUEST_LINEAR_DATA,   /* an operand, with the rights of the current CPL */
	GUEST_LINEAR_STACK,  /* the same, but #SS instead of #GP for a non-canonical address */
	GUEST_LINEAR_SYSTEM, /* implicit supervisor access: GDT, LDT, IDT, TSS */
};

/* What an access on the guest's behalf came to instead. */
struct guest_fault {
	bool retry; /* no fault: the tables change as they are read, so let the guest try again */
	u8 vector;  /* enum vector */
	u32 error_code;
	u64 cr2; /* with VECTOR_PF */
};

/*
 * The CPU's last translation for a read, or for a write, if that was a supervisor-mode access in
 * IA-32e mode without protection keys or RFLAGS.AC in it: what such a one depends on, and the
 * entries that the walk read. It holds as long as all of these are the same, so nothing needs to be
 * invalidated.
 */
struct guest_translation {
	u64 page; /* linear address */
	u64 cr0, cr3, cr4, efer;
	/* Those beyond what the walk read are like the first. */
	struct {
		const volatile u64 *at;
		u64 entry;
	} step[GUEST_WALK_LEVELS];
	void *memory; /* Umbra's pointer to the page */
};

/* How memory is reached: the page tables, and what they lead to. */
struct guest_linear_via {
	enum guest_linear_as as;
	const struct guest_walk_ops *ops;
	/* Turns *pa from guest-physical to physical. False: out of reach. NULL: both are the same.
	 */
	bool (*reach)(void *ctx, const struct guest_walk *walk, enum guest_access_type type,
		      paddr_t *pa);
	void *ctx;
	u64 *linear; /* NULL, or what gets the address that is being translated */
};

/*
 * SDM "Linear-Address Masking": in 64-bit mode the bits that a pointer to data has to spare become
 * copies of the highest one that is left. Bit 63 stays as it is and tells a user's pointer from a
 * supervisor's.
 */
static inline u64 guest_linear_masked(u64 linear, u64 cr3, u64 cr4)
{
	unsigned int spare;

	if (linear & BIT(63)) {
		if (!(cr4 & CR4_LAM_SUP))
			return linear;
		spare = cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;
	} else {
		if (!(cr3 & (CR3_LAM_U57 | CR3_LAM_U48)))
			return linear;
		spare = cr3 & CR3_LAM_U57 ? 64 - 57 : 64 - 48;
	}
	return ((u64)((i64)(linear << spare) >> spare) & ~BIT(63)) | (linear & BIT(63));
}

/* Once, before any guest runs. */
void guest_linear_init(void);

/*
 * Copy up to a page, which may cross into the next one; outside of IA-32e mode addresses wrap at
 * 4 GiB. Accessed and dirty flags are set. False: `fault` says why, and nothing was written.
 */
bool guest_linear_read(u64 linear, void *dst, size_t size, enum guest_linear_as as,
		       struct guest_fault *fault);
bool guest_linear_write(u64 linear, const void *src, size_t size, enum guest_linear_as as,
			struct guest_fault *fault);

/* The same by way of `via`. A retry is also what its `read` or `reach` leave when they fail. */
bool guest_linear_read_via(u64 linear, void *dst, size_t size, const struct guest_linear_via *via,
			   struct guest_fault *fault);
bool guest_linear_write_via(u64 linear, const void *src, size_t size,
			    const struct guest_linear_via *via, struct guest_fault *fault);

/*
 * Atomically replaces a byte. If it is not `old` any more, the fault asks for a retry.
 */
bool guest_linear_exchange(u64 linear, u8 old, u8 new, enum guest_linear_as as,
			   struct guest_fault *fault);

/* The checks of an access without the access. */
bool guest_linear_probe(u64 linear, size_t size, enum guest_access_type type,
			enum guest_linear_as as, struct guest_fault *fault);

/*
 * Whether the guest's paging makes it a user-mode address (SDM "Determination of Access Rights"),
 * whatever may be done there; no flag is set. False: it does not map it, or a table is out of
 * reach.
 */
bool guest_linear_mode(u64 linear, const struct guest_walk_ops *ops, void *ctx, bool *user);

/*
 * Makes the next entry deliver the fault, combined with an event whose delivery the exit
 * interrupted; or, with `retry`, has the guest do the same again.
 */
void guest_fault_inject(const struct guest_fault *fault);
