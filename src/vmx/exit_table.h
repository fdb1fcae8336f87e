/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every VM exit of L1 that Umbra handles: X(reason, handler, the file it is in). One without a row
 * is one that Umbra has not asked for. Reasons are numbered and named in x86/vmx.h.
 */
#pragma once

#define VMX_EXITS(X)                                              \
	X(EXCEPTION_NMI, exception_nmi_exit, "event.c")           \
	X(TRIPLE_FAULT, triple_fault_exit, "exit.c")              \
	X(INIT, init_exit, "init_sipi.c")                         \
	X(SIPI, sipi_exit, "init_sipi.c")                         \
	X(NMI_WINDOW, nmi_window_exit, "event.c")                 \
	X(TASK_SWITCH, task_switch_exit, "task_switch.c")         \
	X(CPUID, cpuid_exit, "cpuid.c")                           \
	X(GETSEC, undefined_instruction_exit, "exit.c")           \
	X(INVD, invd_exit, "exit.c")                              \
	X(VMCALL, vmcall_exit, "vmcall.c")                        \
	X(VMCLEAR, vmx_instruction_exit, "exit.c")                \
	X(VMLAUNCH, vmx_instruction_exit, "exit.c")               \
	X(VMPTRLD, vmx_instruction_exit, "exit.c")                \
	X(VMPTRST, vmx_instruction_exit, "exit.c")                \
	X(VMREAD, vmx_instruction_exit, "exit.c")                 \
	X(VMRESUME, vmx_instruction_exit, "exit.c")               \
	X(VMWRITE, vmx_instruction_exit, "exit.c")                \
	X(VMXOFF, vmx_instruction_exit, "exit.c")                 \
	X(VMXON, vmx_instruction_exit, "exit.c")                  \
	X(INVEPT, vmx_instruction_exit, "exit.c")                 \
	X(INVVPID, vmx_instruction_exit, "exit.c")                \
	X(CR_ACCESS, cr_access_exit, "control_regs.c")            \
	X(IO_INSTRUCTION, io_exit, "io_exit.c")                   \
	X(RDMSR, rdmsr_exit, "msr.c")                             \
	X(WRMSR, wrmsr_exit, "msr.c")                             \
	X(EPT_VIOLATION, ept_violation_exit, "ept_exit.c")        \
	X(PREEMPTION_TIMER, preemption_timer_exit, "init_sipi.c") \
	X(EPT_MISCONFIG, ept_misconfig_exit, "ept_exit.c")        \
	X(XSETBV, xsetbv_exit, "exit.c")                          \
	X(SEAMCALL, undefined_instruction_exit, "exit.c")         \
	X(TDCALL, undefined_instruction_exit, "exit.c")           \
	X(RDMSRLIST, rdmsrlist_exit, "rdmsrlist.c")               \
	X(WRMSRLIST, wrmsrlist_exit, "rdmsrlist.c")               \
	X(URDMSR, undefined_instruction_exit, "exit.c")           \
	X(UWRMSR, undefined_instruction_exit, "exit.c")           \
	X(RDMSR_IMM, rdmsr_imm_exit, "exit.c")                    \
	X(WRMSRNS_IMM, wrmsrns_imm_exit, "exit.c")
