/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A CPU's nested VMX, as data: what L1 has switched on, the VMCSs it uses, and the map L2 runs on.
 * Only its own CPU uses it, but for ept02.waits_next.
 */
#pragma once

#include "nested/caps.h"
#include "nested/ept02.h"
#include "nested/l2_event.h"
#include "nested/msr_bitmap.h"
#include "nested/msr_list.h"
#include "nested/switched.h"
#include "nested/vmcs12.h"
#include "nested/vpid.h"
#include "vmx/vcpu.h"

/* VMCSs that a CPU caches: the first number always, up to the second if there is memory. */
enum { VMCS12_CACHE_MIN = 8, VMCS12_CACHE_MAX = 64 };

static const paddr_t NO_VMCS = ~0ull;

/*
 * A cached vmcs12 and the vmcs02 made of it. L1's page is out of date while its VMCS is here, as it
 * may be on hardware; write-back happens at VMCLEAR, VMXOFF and eviction.
 */
struct nested_vmcs {
	/* What is known of the VMCS, up to `gpa`: nothing when it has just been loaded. */
	bool checked;         /* controls and host state, since the last change of either … */
	bool checked_ia32e;   /* … by an L1 with this EFER.LMA */
	bool vmcs02_prepared; /* its constant fields are set */
	bool vmcs02_launched;
	bool controls_merged; /* vmcs02 has them, and what follows `gpa` is made of them */
	u16 vpid02;
	u64 efer02, eptp02; /* what vmcs02 has of these, once prepared */
	u32 entry_msrs; /* how many MSRs the next entry loads from the CPU's copy of L1's list */
	u32 exit_msrs;  /* and how many the hardware stores at each exit */
	struct field_set stale; /* vmcs02 has a newer value than vmcs12; shadowed fields always */

	paddr_t gpa; /* of L1's VMCS region, or NO_VMCS */
	struct switched_plan plan;
	u64 ept12_control; /* EPT12_MODE_BASED or 0 */
	bool keep_timer;   /* L1 has not asked for the preemption timer's value to be saved … */
	u32 timer;         /* … so this one stays: the last entry's */
	u64 l1_perf_global_ctrl; /* at the entry, where that loads another */
	struct field_set dirty;  /* L1's value has not reached vmcs02 */
	u64 last_use;
	struct vmcs12 *vmcs12; /* in the same page, at its start */
	struct msr_bitmap02 msr_bitmap;
	paddr_t vmcs02;
};

struct nested {
	/* What L1 has done, up to `cache`: a RESET clears it as one. */
	bool vmx_on;
	paddr_t vmxon_region;        /* while vmx_on */
	struct nested_vmcs *current; /* NULL: the current-VMCS pointer is invalid */
	enum asked_exit
		asked_exit; /* what vmcs02 has beside L1's controls, for an event that waits */
	bool undo;          /* nested_undo() has something to take back at the exit to L1 */
	bool unblocked_to_inject; /* ASKED_NMI_WINDOW: L2's NMI blocking was lifted to inject */
	u32 timer;                /* asked by the timer: the value it had before */
	u32 l1_interruptibility;  /* at its last VMLAUNCH or VMRESUME */
	u64 clock;
	u16 vpid12[VPID02_COUNT]; /* by vpid02 - VPID02_FIRST; 0: free */
	/* The EPT violation that L1 is handling; its next entry probably repeats the access. */
	struct {
		paddr_t gpa;
		u64 eptp12; /* as ept12.h names it, or 0: there is none */
	} violation;
	/* L1's fields for event injection, kept when Umbra injects into L2 itself. */
	struct {
		bool kept;
		u32 info;
		u32 error_code;
		u32 length;
	} entry_event;

	/* What Umbra keeps it in: the memory survives a RESET; reset() empties each. */
	struct nested_vmcs *cache[VMCS12_CACHE_MAX];
	u32 cached;                 /* how many there are */
	u64 evicted;                /* how often one made room for another */
	u8 guess[VMCS12_CACHE_MAX]; /* by address: where in the cache a VMCS probably is */
	struct switched_set switched;
	struct ept02 ept02;
	u8 *io_bitmaps;               /* two pages, for the vmcs02 that L2 runs on */
	struct msr_entry *entry_msrs; /* MSR_LIST_MAX of them: a copy for the hardware to load */
	struct msr_entry *exit_msrs;  /* as many, which it stores */
};

/* L1's current VMCS, or the one that runs L2. */
static inline const struct vmcs12 *current12(const struct vcpu *vcpu)
{
	return vcpu->nested->current->vmcs12;
}

/* Whether L1 has given L2 an EPT. */
static inline bool nested_l2_uses_ept(const struct vmcs12 *v)
{
	return secondary_of(v) & CPU2_EPT;
}

/* Its name, as in ept12.h, once vmcs02 has the controls. */
static inline u64 nested_eptp12(const struct nested_vmcs *vmcs)
{
	return vmcs->vmcs12->f[F_EPT_POINTER] | vmcs->ept12_control;
}

extern struct nested_caps nested_caps;

/* L2 runs from now on, or L1. */
void nested_set_l2(struct vcpu *vcpu, bool runs);

/* For L1's VMXON and VMXOFF. */
void nested_set_vmx_operation(struct vcpu *vcpu, bool on);
