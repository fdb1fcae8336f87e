/* SPDX-License-Identifier: BSD-2-Clause */
/* Control-register accesses that exit: those that touch a bit VMX operation fixes. */
#pragma once

#include "vmx/cr_rules.h"

/* CR4 bits a guest of this CPU can set. */
u64 cr4_supported(const struct vmx_capabilities *vmx);
