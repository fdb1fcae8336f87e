/* SPDX-License-Identifier: BSD-2-Clause */
/* The MSR lists of L1's VM entries and VM exits. */
#pragma once

#include <x86/types.h>

struct vcpu;
struct nested_vmcs;

/* SDM "Miscellaneous Data": longer lists have no defined effect. */
enum { MSR_LIST_MAX = 512, MSR_LIST_PAGES = 2 };

struct msr_entry {
	u32 index;
	u32 reserved;
	u64 value;
};
_Static_assert(sizeof(struct msr_entry) == 16, "MSR list entry");
_Static_assert(sizeof(struct msr_entry) * MSR_LIST_MAX == MSR_LIST_PAGES * PAGE_SIZE, "list");

/* The entry's list, copied for the hardware to load. vmcs02 is current. False: it is too long. */
bool msr_list_prepare_entry(struct vcpu *vcpu, struct nested_vmcs *vmcs);

/* After an exit: the next entry is Umbra's own, and loads nothing. */
void msr_list_entered(struct nested_vmcs *vmcs);

/*
 * Has the hardware store what runs on and is in L1's exit list: time and other counters have to be
 * as of the exit. vmcs02 is current.
 */
void msr_list_prepare_exit(struct vcpu *vcpu, struct nested_vmcs *vmcs);

/* Until then it stores nothing. */
void msr_list_reset_exit(struct nested_vmcs *vmcs);

/* An exit's lists. False: some entry failed. */
bool msr_list_load(struct vcpu *vcpu, paddr_t list, u64 count);
bool msr_list_store(struct vcpu *vcpu, const struct nested_vmcs *vmcs);
