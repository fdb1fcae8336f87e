/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Umbra tells the guest about itself: umbra/interface.h is the guest's side of it. A VMCALL is
 * answered for who has the token, with the option hv-leaves, and for anyone with the option stats,
 * which is for tests. Else nothing in the guest shows that there is an interface.
 */
#pragma once

#include "mm/memmap.h"
#include "vmx/vcpu.h"

struct interface_options {
	bool leaves; /* CPUID and the token */
	bool stats;
	const char *text; /* all options as they were given; NULL: none */
};

/*
 * Once, on the boot processor and before cpuid_setup(): makes the token. Without RDRAND there is
 * none, since the time is no secret, and no leaves either; says so.
 */
void interface_set_options(const struct interface_options *options);

/* Once, at the end of boot: what is constant from then on. */
void interface_begin(struct range home, u64 entry_tsc);

bool interface_has_leaves(void);

/* False: there is no token, as there are no leaves. */
bool interface_token(u64 *token);

/* False: not for Umbra, or not from someone who may ask. */
bool interface_vmcall(struct guest_regs *regs);
