/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPU's VMX capabilities, read in Linux. */
#pragma once

#include "vmx/capabilities.h"

/*
 * The CPU's own, by Umbra if that has been opened (umbra.h); `umbra` says so. NULL, or why they are
 * not known, with advice.
 */
const char *cpu_capabilities(bool umbra, struct vmx_capabilities *out);

/* What the CPU has as this system sees it, which under Umbra is what Umbra offers. */
const char *cpu_capabilities_seen(struct vmx_capabilities *out);

/* Width of physical addresses. */
unsigned int cpu_maxphyaddr(void);
