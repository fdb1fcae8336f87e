/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM-exit handlers, one for each reason Umbra can see. A handler leaves the VMCS ready for the next
 * entry; the guest's general registers are `regs`. The table is in exit.c.
 */
#pragma once

#include "vmx/vcpu.h"

typedef void exit_handler(struct vcpu *vcpu, struct guest_regs *regs);

exit_handler cpuid_exit;            /* cpuid.c */
exit_handler cr_access_exit;        /* control_regs.c */
exit_handler ept_misconfig_exit;    /* ept_exit.c */
exit_handler ept_violation_exit;    /* ept_exit.c */
exit_handler exception_nmi_exit;    /* event.c */
exit_handler getsec_exit;           /* exit.c */
exit_handler init_exit;             /* init_sipi.c */
exit_handler invd_exit;             /* exit.c */
exit_handler io_exit;               /* io_exit.c */
exit_handler nmi_window_exit;       /* event.c */
exit_handler preemption_timer_exit; /* init_sipi.c */
exit_handler rdmsr_exit;            /* msr.c */
exit_handler rdmsr_imm_exit;        /* exit.c */
exit_handler sipi_exit;             /* init_sipi.c */
exit_handler task_switch_exit;      /* task_switch.c */
exit_handler triple_fault_exit;     /* exit.c */
exit_handler vmcall_exit;           /* vmcall.c */
exit_handler vmx_instruction_exit;  /* exit.c */
exit_handler wrmsr_exit;            /* msr.c */
exit_handler wrmsrns_imm_exit;      /* exit.c */
exit_handler xsetbv_exit;           /* exit.c */

/* vmcall.c: who is asked first about each VMCALL of L1; true: it was meant for him and is done. */
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

/* Whether that list has the reason. */
bool exit_reason_is_known(u32 reason);

/*
 * An exit that Umbra has not asked for, as of an instruction newer than Umbra: counted, and #UD to
 * the guest, which has such an instruction no more than CPUID offers it.
 */
void exit_unexpected(struct vcpu *vcpu);
