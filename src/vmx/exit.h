/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM-exit handlers, one for each reason Umbra can see. A handler leaves the VMCS ready for the next
 * entry; the guest's general registers are `regs`. Which there are says exit_table.h.
 */
#pragma once

#include "vmx/exit_table.h"
#include "vmx/vcpu.h"

typedef void exit_handler(struct vcpu *vcpu, struct guest_regs *regs);

#define X(reason, handler, file) exit_handler handler;
VMX_EXITS(X)
#undef X

/* vmcall.c: `claim` sees each VMCALL of L1 first. True: it was its own, and is done. */
void vmcall_set_claim(bool (*claim)(struct guest_regs *regs));

/* ept_exit.c: a violation of ept01, of L2's too when it runs on that; and the answer to a write to
 * Umbra's memory, for L2 too. */
void ept_violation(struct vcpu *vcpu, u64 qualification);
void ept_refuse_hidden_write(struct vcpu *vcpu, paddr_t gpa, u64 qualification);

/* From switch.S. */
void exit_handle(struct guest_regs *regs);
void exit_entry_failed(struct guest_regs *regs);

/* "CPUID", "EPT violation", …; never NULL. */
const char *exit_reason_name(u32 reason);

/* Whether x86/vmx.h names this reason. */
bool exit_reason_is_known(u32 reason);

/*
 * An exit that Umbra has not asked for, as of an instruction newer than Umbra: counted, and #UD to
 * the guest, which has such an instruction no more than CPUID offers it.
 */
void exit_unexpected(struct vcpu *vcpu);
