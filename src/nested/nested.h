/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nested VMX: the VMX that the guest sees. boot switches it on; from then on it works by what it
 * tells vmx (vmx/guest_level.h), so that a build without it leaves its files out.
 */
#pragma once

#include "vmx/vcpu.h"

/* Pages each CPU needs for nested VMX, without the pool that all share for ept02 tables. */
u64 nested_pages_per_cpu(void);

/* How many of that pool's pages nested VMX cannot do without. */
u64 nested_pages_shared(void);

/*
 * Once, on the boot processor, after vmx_read_boot_cpu() and before vmx_setup_shared(): the guest
 * is offered VMX, and uses VMCS shadowing if all CPUs have it and `shadow` allows it. `untested`:
 * what is offered although no machine was at hand to try it, a bit for each of enum untested
 * (nested/untested.h).
 */
void nested_init_shared(bool shadow, u32 untested);

/*
 * After vmx_setup_cpu(), on that CPU, one CPU at a time: makes its state, and takes from what L1 is
 * offered whatever this CPU lacks. Stops with a message when memory is short.
 */
void nested_init_cpu(struct vcpu *vcpu);
