/* SPDX-License-Identifier: BSD-2-Clause */
/* MSRs the guest does not reach directly: hidden ones, and those whose writes Umbra must see. */
#pragma once

#include "vmx/vcpu.h"

/* Builds the MSR bitmap that all CPUs share; stops with a message when memory is short. */
void msr_bitmap_init(void);
paddr_t msr_bitmap_address(void);

/* A 64-bit word of it, by its index in the page: Umbra's share of a bitmap of L1's. */
u64 msr_bitmap_word(u32 index);

/*
 * Whether the hardware may load this from an MSR list of L1's: not what Umbra keeps for itself,
 * unless it changes nothing.
 */
bool msr_list_may_load(u32 msr, u64 value);

/* RDMSR and WRMSR as the guest of the current VMCS would see them; false: #GP(0). */
bool msr_guest_read(struct vcpu *vcpu, u32 msr, u64 *value);
bool msr_guest_write(struct vcpu *vcpu, u32 msr, u64 value);

/* Takes over this CPU's MTRRs as the guest's first view of them. */
void msr_init_cpu(struct vcpu *vcpu);
