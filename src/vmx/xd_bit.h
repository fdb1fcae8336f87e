/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "XD bit disable", IA32_MISC_ENABLE[34]. The CPU's stays clear, since Umbra's own page tables use
 * the XD bit and exits load EFER.NXE; the guest's is kept per CPU. While it is set the guest has no
 * XD bit: CPUID does not show it and EFER.NXE is reserved, so that bit 63 of page-table entries is,
 * too (SDM "IA32_MISC_ENABLE", "Execute-Disable Bit Capability").
 */
#pragma once

#include "vmx/vcpu.h"

/* Once, on the boot processor; stops with a message when memory is short. */
void xd_bit_init(void);

/* False: #GP(0). L2 cannot change the bit for L1. */
bool xd_bit_write(struct vcpu *vcpu, bool disabled);

/* WRMSR to IA32_EFER, which exits only while the bit is set. False: #GP(0). */
bool xd_bit_efer_write(u64 value);
