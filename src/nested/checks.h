/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The checks a VM entry makes before it touches guest state. SDM "Checks on VMX Controls and
 * Host-State Area". Pure. Guest state is left to the hardware, which checks it in vmcs02, but for
 * the few checks that it would not fail the same way.
 */
#pragma once

#include "nested/caps.h"
#include "nested/vmcs12.h"

struct check_context {
	const struct nested_caps *caps;
	u64 perf_global_ctrl; /* the bits that IA32_PERF_GLOBAL_CTRL has on this CPU */
	bool l1_in_ia32e;     /* EFER.LMA of L1 at the entry */
	/* Event injection, TPR threshold and guest state: vmcs02 alone has them, for the hardware.
	 */
	bool shadowed;
};

/* NULL, or the check that failed, in the SDM's words for the log. VM-instruction error 7 … */
const char *check_controls(const struct vmcs12 *v, const struct check_context *ctx);

/* … and error 8. */
const char *check_host_state(const struct vmcs12 *v, const struct check_context *ctx);

/* The few checks on guest state that vmcs02 would not fail the same way; exit reason 33. */
const char *check_guest_state(const struct vmcs12 *v, u64 guest_cr4, u64 perf_global_ctrl,
			      const struct nested_caps *caps);

/*
 * The link pointer, `header` being the first word there and `current` the VMCS that is entered;
 * exit reason 33 with qualification 4.
 */
const char *check_link_pointer(const struct vmcs12 *v, const struct nested_caps *caps,
			       paddr_t current, u32 header);

/* Whether a VM entry takes this EPTP. */
bool check_eptp(u64 eptp, const struct nested_caps *caps);
