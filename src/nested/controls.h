/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every VM-execution, VM-exit and VM-entry control, in one table: what L1 is offered, what becomes
 * of it in vmcs02, and what the documentation says come from it.
 *
 *   X(word, name, text, vmcs02, why)
 *     word    the control field: PIN, PRIMARY, SECONDARY, TERTIARY, EXIT, EXIT2 or ENTRY
 *     name    the bit, as in x86/vmx.h
 *     text    the SDM's name
 *     vmcs02  what it comes to there: enum control_policy
 *     why     L1 is not offered it, if so; of an untested one, the word of `nested.untested=` that
 *             offers it (nested/untested.h)
 */
#pragma once

#include <x86/vmx.h>

#include "vmx/capabilities.h"

enum control_policy {
	CONTROL_TAKEN,    /* vmcs02 has what L1 has */
	CONTROL_UMBRAS,   /* vmcs02 has it whenever Umbra needs it; Umbra does what L1 asked for */
	CONTROL_EMULATED, /* never in vmcs02: Umbra does it */
	CONTROL_ABSENT,   /* L1 is not offered it */
	CONTROL_UNTESTED, /* taken, if it is asked for: no machine that has it was at hand */
};

#define VMX_CONTROLS(X)                                                                         \
	X(PIN, PIN_EXT_INTR_EXITING, "external-interrupt exiting", TAKEN, "")                   \
	X(PIN, PIN_NMI_EXITING, "NMI exiting", TAKEN, "")                                       \
	X(PIN, PIN_VIRTUAL_NMIS, "virtual NMIs", TAKEN, "")                                     \
	X(PIN, PIN_PREEMPTION_TIMER, "activate VMX-preemption timer", TAKEN, "")                \
	X(PIN, PIN_POSTED_INTR, "process posted interrupts", TAKEN, "")                         \
	X(PRIMARY, CPU_INTR_WINDOW_EXITING, "interrupt-window exiting", TAKEN, "")              \
	X(PRIMARY, CPU_TSC_OFFSETTING, "use TSC offsetting", TAKEN, "")                         \
	X(PRIMARY, CPU_HLT_EXITING, "HLT exiting", TAKEN, "")                                   \
	X(PRIMARY, CPU_INVLPG_EXITING, "INVLPG exiting", TAKEN, "")                             \
	X(PRIMARY, CPU_MWAIT_EXITING, "MWAIT exiting", TAKEN, "")                               \
	X(PRIMARY, CPU_RDPMC_EXITING, "RDPMC exiting", TAKEN, "")                               \
	X(PRIMARY, CPU_RDTSC_EXITING, "RDTSC exiting", TAKEN, "")                               \
	X(PRIMARY, CPU_CR3_LOAD_EXITING, "CR3-load exiting", TAKEN, "")                         \
	X(PRIMARY, CPU_CR3_STORE_EXITING, "CR3-store exiting", TAKEN, "")                       \
	X(PRIMARY, CPU_TERTIARY_CONTROLS, "activate tertiary controls", TAKEN, "")              \
	X(PRIMARY, CPU_CR8_LOAD_EXITING, "CR8-load exiting", TAKEN, "")                         \
	X(PRIMARY, CPU_CR8_STORE_EXITING, "CR8-store exiting", TAKEN, "")                       \
	X(PRIMARY, CPU_TPR_SHADOW, "use TPR shadow", TAKEN, "")                                 \
	X(PRIMARY, CPU_NMI_WINDOW_EXITING, "NMI-window exiting", TAKEN, "")                     \
	X(PRIMARY, CPU_MOV_DR_EXITING, "MOV-DR exiting", TAKEN, "")                             \
	X(PRIMARY, CPU_UNCOND_IO_EXITING, "unconditional I/O exiting", TAKEN, "")               \
	X(PRIMARY, CPU_USE_IO_BITMAPS, "use I/O bitmaps", TAKEN, "")                            \
	X(PRIMARY, CPU_MONITOR_TRAP_FLAG, "monitor trap flag", TAKEN, "")                       \
	X(PRIMARY, CPU_USE_MSR_BITMAPS, "use MSR bitmaps", TAKEN, "")                           \
	X(PRIMARY, CPU_MONITOR_EXITING, "MONITOR exiting", TAKEN, "")                           \
	X(PRIMARY, CPU_PAUSE_EXITING, "PAUSE exiting", TAKEN, "")                               \
	X(PRIMARY, CPU_SECONDARY_CONTROLS, "activate secondary controls", TAKEN, "")            \
	X(SECONDARY, CPU2_VIRTUAL_APIC_ACCESSES, "virtualize APIC accesses", TAKEN, "")         \
	X(SECONDARY, CPU2_EPT, "enable EPT", UMBRAS, "")                                        \
	X(SECONDARY, CPU2_DESCRIPTOR_TABLE_EXITING, "descriptor-table exiting", TAKEN, "")      \
	X(SECONDARY, CPU2_RDTSCP, "enable RDTSCP", TAKEN, "")                                   \
	X(SECONDARY, CPU2_VIRTUAL_X2APIC, "virtualize x2APIC mode", TAKEN, "")                  \
	X(SECONDARY, CPU2_VPID, "enable VPID", UMBRAS, "")                                      \
	X(SECONDARY, CPU2_WBINVD_EXITING, "WBINVD exiting", TAKEN, "")                          \
	X(SECONDARY, CPU2_UNRESTRICTED_GUEST, "unrestricted guest", TAKEN, "")                  \
	X(SECONDARY, CPU2_APIC_REGISTER_VIRT, "APIC-register virtualization", TAKEN, "")        \
	X(SECONDARY, CPU2_VIRTUAL_INTR_DELIVERY, "virtual-interrupt delivery", TAKEN, "")       \
	X(SECONDARY, CPU2_PAUSE_LOOP_EXITING, "PAUSE-loop exiting", TAKEN, "")                  \
	X(SECONDARY, CPU2_RDRAND_EXITING, "RDRAND exiting", TAKEN, "")                          \
	X(SECONDARY, CPU2_INVPCID, "enable INVPCID", TAKEN, "")                                 \
	X(SECONDARY, CPU2_VM_FUNCTIONS, "enable VM functions", TAKEN, "")                       \
	X(SECONDARY, CPU2_VMCS_SHADOWING, "VMCS shadowing", EMULATED, "")                       \
	X(SECONDARY, CPU2_ENCLS_EXITING, "enable ENCLS exiting", ABSENT,                        \
	  "no machine with SGX was at hand")                                                    \
	X(SECONDARY, CPU2_RDSEED_EXITING, "RDSEED exiting", TAKEN, "")                          \
	X(SECONDARY, CPU2_PML, "enable PML", EMULATED, "")                                      \
	X(SECONDARY, CPU2_EPT_VIOLATION_VE, "EPT-violation #VE", EMULATED, "")                  \
	X(SECONDARY, CPU2_CONCEAL_PT, "conceal VMX from PT", ABSENT,                            \
	  "Intel PT is hidden while nested VMX is on")                                          \
	X(SECONDARY, CPU2_XSAVES, "enable XSAVES/XRSTORS", TAKEN, "")                           \
	X(SECONDARY, CPU2_PASID_TRANSLATION, "PASID translation", ABSENT, "no emulator has it") \
	X(SECONDARY, CPU2_MBEC, "mode-based execute control for EPT", TAKEN, "")                \
	X(SECONDARY, CPU2_SUB_PAGE_WRITE, "sub-page write permissions for EPT", ABSENT,         \
	  "a second shadow table, for what no nested hypervisor is known to use")               \
	X(SECONDARY, CPU2_PT_GUEST_PHYSICAL, "Intel PT uses guest physical addresses", ABSENT,  \
	  "Intel PT is hidden while nested VMX is on")                                          \
	X(SECONDARY, CPU2_TSC_SCALING, "use TSC scaling", TAKEN, "")                            \
	X(SECONDARY, CPU2_USER_WAIT_PAUSE, "enable user wait and pause", TAKEN, "")             \
	X(SECONDARY, CPU2_PCONFIG, "enable PCONFIG", ABSENT,                                    \
	  "it keys the machine's memory encryption")                                            \
	X(SECONDARY, CPU2_ENCLV_EXITING, "enable ENCLV exiting", ABSENT,                        \
	  "no machine with SGX was at hand")                                                    \
	X(SECONDARY, CPU2_BUS_LOCK_EXITING, "VMM bus-lock detection", UNTESTED, "bus-lock")     \
	X(SECONDARY, CPU2_INSTRUCTION_TIMEOUT, "instruction timeout", UNTESTED,                 \
	  "instruction-timeout")                                                                \
	X(TERTIARY, CPU3_LOADIWKEY_EXITING, "LOADIWKEY exiting", UNTESTED, "loadiwkey")         \
	X(TERTIARY, CPU3_HLAT, "enable HLAT", ABSENT,                                           \
	  "operands of VMX instructions would have to be found by its page tables")             \
	X(TERTIARY, CPU3_EPT_PAGING_WRITE, "EPT paging-write control", ABSENT,                  \
	  "ept02 would have to keep another right per page")                                    \
	X(TERTIARY, CPU3_GUEST_PAGING_VERIFICATION, "guest-paging verification", ABSENT,        \
	  "ept02 would have to keep another right per page")                                    \
	X(TERTIARY, CPU3_IPI_VIRTUALIZATION, "IPI virtualization", ABSENT,                      \
	  "the table of physical addresses would have to be made anew for the CPU")             \
	X(TERTIARY, CPU3_SEAM_GPA_WIDTH, "SEAM guest-physical address width", ABSENT,           \
	  "of SEAM alone")                                                                      \
	X(TERTIARY, CPU3_MSR_LIST, "enable MSR-list instructions", TAKEN, "")                   \
	X(TERTIARY, CPU3_VIRTUALIZE_SPEC_CTRL, "virtualize IA32_SPEC_CTRL", TAKEN, "")          \
	X(EXIT, EXIT_SAVE_DEBUG_CONTROLS, "save debug controls", UMBRAS, "")                    \
	X(EXIT, EXIT_HOST_64BIT, "host address-space size", UMBRAS, "")                         \
	X(EXIT, EXIT_LOAD_PERF_GLOBAL_CTRL, "load IA32_PERF_GLOBAL_CTRL", EMULATED, "")         \
	X(EXIT, EXIT_ACK_INTR, "acknowledge interrupt on exit", TAKEN, "")                      \
	X(EXIT, EXIT_SAVE_PAT, "save IA32_PAT", UMBRAS, "")                                     \
	X(EXIT, EXIT_LOAD_PAT, "load IA32_PAT", UMBRAS, "")                                     \
	X(EXIT, EXIT_SAVE_EFER, "save IA32_EFER", UMBRAS, "")                                   \
	X(EXIT, EXIT_LOAD_EFER, "load IA32_EFER", UMBRAS, "")                                   \
	X(EXIT, EXIT_SAVE_PREEMPTION_TIMER, "save VMX-preemption timer value", UMBRAS, "")      \
	X(EXIT, EXIT_CLEAR_BNDCFGS, "clear IA32_BNDCFGS", UMBRAS, "")                           \
	X(EXIT, EXIT_CONCEAL_PT, "conceal VMX from PT", ABSENT,                                 \
	  "Intel PT is hidden while nested VMX is on")                                          \
	X(EXIT, EXIT_CLEAR_RTIT_CTL, "clear IA32_RTIT_CTL", ABSENT,                             \
	  "Intel PT is hidden while nested VMX is on")                                          \
	X(EXIT, EXIT_CLEAR_LBR_CTL, "clear IA32_LBR_CTL", UMBRAS, "")                           \
	X(EXIT, EXIT_CLEAR_UINV, "clear UINV", UMBRAS, "")                                      \
	X(EXIT, EXIT_LOAD_CET, "load CET state", UMBRAS, "")                                    \
	X(EXIT, EXIT_LOAD_PKRS, "load PKRS", UMBRAS, "")                                        \
	X(EXIT, EXIT_SAVE_PERF_GLOBAL_CTRL, "save IA32_PERF_GLOBAL_CTRL", EMULATED, "")         \
	X(EXIT, EXIT_SECONDARY_CONTROLS, "activate secondary controls", TAKEN, "")              \
	X(EXIT2, EXIT2_BUSY_SHADOW_STACK, "prematurely busy shadow stack", UNTESTED,            \
	  "busy-shadow-stack")                                                                  \
	X(ENTRY, ENTRY_LOAD_DEBUG_CONTROLS, "load debug controls", UMBRAS, "")                  \
	X(ENTRY, ENTRY_IA32E_GUEST, "IA-32e mode guest", TAKEN, "")                             \
	X(ENTRY, ENTRY_SMM, "entry to SMM", ABSENT, "Umbra is no SMM monitor")                  \
	X(ENTRY, ENTRY_DEACTIVATE_DUAL_SMM, "deactivate dual-monitor treatment", ABSENT,        \
	  "Umbra is no SMM monitor")                                                            \
	X(ENTRY, ENTRY_LOAD_PERF_GLOBAL_CTRL, "load IA32_PERF_GLOBAL_CTRL", EMULATED, "")       \
	X(ENTRY, ENTRY_LOAD_PAT, "load IA32_PAT", UMBRAS, "")                                   \
	X(ENTRY, ENTRY_LOAD_EFER, "load IA32_EFER", UMBRAS, "")                                 \
	X(ENTRY, ENTRY_LOAD_BNDCFGS, "load IA32_BNDCFGS", UMBRAS, "")                           \
	X(ENTRY, ENTRY_CONCEAL_PT, "conceal VMX from PT", ABSENT,                               \
	  "Intel PT is hidden while nested VMX is on")                                          \
	X(ENTRY, ENTRY_LOAD_RTIT_CTL, "load IA32_RTIT_CTL", ABSENT,                             \
	  "Intel PT is hidden while nested VMX is on")                                          \
	X(ENTRY, ENTRY_LOAD_UINV, "load UINV", UMBRAS, "")                                      \
	X(ENTRY, ENTRY_LOAD_CET, "load CET state", UMBRAS, "")                                  \
	X(ENTRY, ENTRY_LOAD_LBR_CTL, "load guest IA32_LBR_CTL", UMBRAS, "")                     \
	X(ENTRY, ENTRY_LOAD_PKRS, "load PKRS", UMBRAS, "")

/* Numbers of the table's rows; what a VMCS field needs to exist is one of these, or the rest. */
enum field_needs {
#define X(word, name, text, vmcs02, why) NEEDS_##name,
	VMX_CONTROLS(X)
#undef X
		CONTROL_COUNT,
	NEEDS_NOTHING = CONTROL_COUNT,
	NEEDS_CR3_TARGET0, /* of the CR3-target values that IA32_VMX_MISC counts */
	NEEDS_CR3_TARGET1,
	NEEDS_CR3_TARGET2,
	NEEDS_CR3_TARGET3,
	NEEDS_COUNT,
};

struct control_info {
	u64 bit;
	const char *text;
	const char *why;
	u8 word;   /* enum control_word */
	u8 policy; /* enum control_policy */
};

extern const struct control_info control_info[CONTROL_COUNT];

/* Those with this policy in one word, a bit for each. */
u64 controls_with(enum control_word word, enum control_policy policy);

/* Those in one word that `asked`, a bit for each of enum untested, offers. */
u64 controls_untested(enum control_word word, u32 asked);
