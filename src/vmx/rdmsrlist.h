/* SPDX-License-Identifier: BSD-2-Clause */
/* One MSR of a RDMSRLIST or WRMSRLIST that exited for it, of L1 or L2. */
#pragma once

#include "vmx/vcpu.h"

/*
 * Done, and the guest is ready to go on with the rest of its list; or false: a fault has been
 * raised, or `store` has failed, which raises what follows from that by itself.
 */
bool rdmsrlist_iteration(struct vcpu *vcpu, struct guest_regs *regs,
			 bool (*store)(u64 linear, u64 value));
bool wrmsrlist_iteration(struct vcpu *vcpu, struct guest_regs *regs);
