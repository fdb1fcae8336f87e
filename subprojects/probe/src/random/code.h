/* SPDX-License-Identifier: BSD-2-Clause */
/* Random instructions for L2. */
#pragma once

#include "vmx/l2.h"

/* Writes a few into code, and VMCALL behind them. */
void code_write(u8 *code);

/* Values for the registers: small numbers, MSRs, addresses in the world, anything. */
void code_choose_registers(struct l2_regs *regs);
