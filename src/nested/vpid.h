/* SPDX-License-Identifier: BSD-2-Clause */
/* VPIDs of L2, from those L1 gave it. */
#pragma once

#include <x86/types.h>
#include <x86/vmx.h>

struct vcpu;

enum { VPID02_COUNT = 64, VPID02_NONE = 2, VPID02_FIRST = 3 };

/*
 * For each entry: the VPID for L2's use of vpid12 on this CPU, 0 meaning that L1 uses none. Flushes
 * what an L2 without VPIDs must not find.
 */
u16 vpid02_get(struct vcpu *vcpu, u16 vpid12);

/* INVVPID: what this CPU has tagged for one vpid12, or for all. */
void vpid02_flush(struct vcpu *vcpu, u16 vpid12, enum invvpid_type type, u64 linear);
void vpid02_flush_all(struct vcpu *vcpu);
