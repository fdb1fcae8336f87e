/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every VMCS field L1 can have, in one table. Accessors, VMREAD and VMWRITE emulation, the copies
 * between vmcs12 and vmcs02 and the documentation come from it.
 *
 *   X(name, width, class, policy, needs)
 *     name    as in x86/vmcs.h, without VMCS_
 *     width   16, 32, 64 or N (natural)
 *     class   CONTROL, READ_ONLY, GUEST or HOST, as encoded
 *     policy  how vmcs02 gets or gives it: enum field_policy
 *     needs   the capability that makes it exist: enum field_needs
 */
#pragma once

#include <x86/types.h>
#include <x86/vmcs.h>

enum field_policy {
	POLICY_GUEST,   /* guest state: copied to vmcs02 at entry and back at a reflected exit */
	POLICY_COPY,    /* a control that vmcs02 takes as it is */
	POLICY_ADDRESS, /* a physical address: taken if it is not Umbra's */
	POLICY_MERGE,   /* vmcs02's value is computed */
	POLICY_EXIT,    /* exit information: copied from vmcs02 at a reflected exit */
	POLICY_SOFT,    /* Umbra's to interpret; vmcs02 has its own */
};

enum field_needs {
	NEEDS_NOTHING,
	NEEDS_VPID,
	NEEDS_POSTED_INTR,
	NEEDS_VIRTUAL_INTR,
	NEEDS_TPR_SHADOW,
	NEEDS_APIC_ACCESS,
	NEEDS_EPT,
	NEEDS_MSR_BITMAP,
	NEEDS_XSAVES,
	NEEDS_TSC_SCALING,
	NEEDS_PLE,
	NEEDS_PREEMPTION_TIMER,
	NEEDS_BNDCFGS,
	NEEDS_SHADOWING,
	NEEDS_PML,
	NEEDS_VM_FUNCTIONS,
	NEEDS_EPT_VIOLATION_VE,
	NEEDS_CET,
	NEEDS_PKRS,
	NEEDS_LBR,
	NEEDS_PERF_GLOBAL_CTRL,
	NEEDS_CR3_TARGET0,
	NEEDS_CR3_TARGET1,
	NEEDS_CR3_TARGET2,
	NEEDS_CR3_TARGET3,
	NEEDS_COUNT,
};

/* Segment registers have the same four fields each. */
#define VMCS12_SEGMENT(X, seg)                                    \
	X(GUEST_##seg##_SELECTOR, 16, GUEST, GUEST, NOTHING)      \
	X(GUEST_##seg##_LIMIT, 32, GUEST, GUEST, NOTHING)         \
	X(GUEST_##seg##_ACCESS_RIGHTS, 32, GUEST, GUEST, NOTHING) \
	X(GUEST_##seg##_BASE, N, GUEST, GUEST, NOTHING)

#define VMCS12_FIELDS(X)                                                   \
	/* Guest state */                                                  \
	X(GUEST_RIP, N, GUEST, GUEST, NOTHING)                             \
	X(GUEST_RSP, N, GUEST, GUEST, NOTHING)                             \
	X(GUEST_RFLAGS, N, GUEST, GUEST, NOTHING)                          \
	X(GUEST_CR0, N, GUEST, GUEST, NOTHING)                             \
	X(GUEST_CR3, N, GUEST, GUEST, NOTHING)                             \
	X(GUEST_CR4, N, GUEST, GUEST, NOTHING)                             \
	X(GUEST_INTERRUPTIBILITY, 32, GUEST, GUEST, NOTHING)               \
	X(GUEST_ACTIVITY_STATE, 32, GUEST, GUEST, NOTHING)                 \
	X(GUEST_PENDING_DEBUG, N, GUEST, GUEST, NOTHING)                   \
	X(GUEST_DR7, N, GUEST, MERGE, NOTHING)                             \
	X(GUEST_DEBUGCTL, 64, GUEST, MERGE, NOTHING)                       \
	X(GUEST_PAT, 64, GUEST, MERGE, NOTHING)                            \
	X(GUEST_EFER, 64, GUEST, MERGE, NOTHING)                           \
	X(GUEST_BNDCFGS, 64, GUEST, MERGE, BNDCFGS)                        \
	X(GUEST_S_CET, N, GUEST, MERGE, CET)                               \
	X(GUEST_SSP, N, GUEST, MERGE, CET)                                 \
	X(GUEST_INTERRUPT_SSP_TABLE, N, GUEST, MERGE, CET)                 \
	X(GUEST_PKRS, 64, GUEST, MERGE, PKRS)                              \
	X(GUEST_LBR_CTL, 64, GUEST, MERGE, LBR)                            \
	X(GUEST_PERF_GLOBAL_CTRL, 64, GUEST, SOFT, PERF_GLOBAL_CTRL)       \
	X(VMCS_LINK_POINTER, 64, GUEST, SOFT, NOTHING)                     \
	VMCS12_SEGMENT(X, ES)                                              \
	VMCS12_SEGMENT(X, CS)                                              \
	VMCS12_SEGMENT(X, SS)                                              \
	VMCS12_SEGMENT(X, DS)                                              \
	VMCS12_SEGMENT(X, FS)                                              \
	VMCS12_SEGMENT(X, GS)                                              \
	VMCS12_SEGMENT(X, LDTR)                                            \
	VMCS12_SEGMENT(X, TR)                                              \
	X(GUEST_GDTR_BASE, N, GUEST, GUEST, NOTHING)                       \
	X(GUEST_GDTR_LIMIT, 32, GUEST, GUEST, NOTHING)                     \
	X(GUEST_IDTR_BASE, N, GUEST, GUEST, NOTHING)                       \
	X(GUEST_IDTR_LIMIT, 32, GUEST, GUEST, NOTHING)                     \
	X(GUEST_SYSENTER_CS, 32, GUEST, GUEST, NOTHING)                    \
	X(GUEST_SYSENTER_ESP, N, GUEST, GUEST, NOTHING)                    \
	X(GUEST_SYSENTER_EIP, N, GUEST, GUEST, NOTHING)                    \
	X(GUEST_SMBASE, 32, GUEST, SOFT, NOTHING)                          \
	X(GUEST_PDPTE0, 64, GUEST, GUEST, EPT)                             \
	X(GUEST_PDPTE1, 64, GUEST, GUEST, EPT)                             \
	X(GUEST_PDPTE2, 64, GUEST, GUEST, EPT)                             \
	X(GUEST_PDPTE3, 64, GUEST, GUEST, EPT)                             \
	X(GUEST_INTERRUPT_STATUS, 16, GUEST, GUEST, VIRTUAL_INTR)          \
	X(PML_INDEX, 16, GUEST, GUEST, PML)                                \
	X(PREEMPTION_TIMER_VALUE, 32, GUEST, GUEST, PREEMPTION_TIMER)      \
	/* Controls */                                                     \
	X(PIN_CONTROLS, 32, CONTROL, MERGE, NOTHING)                       \
	X(PRIMARY_CONTROLS, 32, CONTROL, MERGE, NOTHING)                   \
	X(SECONDARY_CONTROLS, 32, CONTROL, MERGE, NOTHING)                 \
	X(EXIT_CONTROLS, 32, CONTROL, MERGE, NOTHING)                      \
	X(ENTRY_CONTROLS, 32, CONTROL, MERGE, NOTHING)                     \
	X(EXCEPTION_BITMAP, 32, CONTROL, COPY, NOTHING)                    \
	X(PF_ERROR_CODE_MASK, 32, CONTROL, COPY, NOTHING)                  \
	X(PF_ERROR_CODE_MATCH, 32, CONTROL, COPY, NOTHING)                 \
	X(CR0_GUEST_HOST_MASK, N, CONTROL, COPY, NOTHING)                  \
	X(CR4_GUEST_HOST_MASK, N, CONTROL, COPY, NOTHING)                  \
	X(CR0_READ_SHADOW, N, CONTROL, COPY, NOTHING)                      \
	X(CR4_READ_SHADOW, N, CONTROL, COPY, NOTHING)                      \
	X(CR3_TARGET_COUNT, 32, CONTROL, COPY, NOTHING)                    \
	X(CR3_TARGET_VALUE0, N, CONTROL, COPY, NOTHING)                    \
	X(CR3_TARGET_VALUE1, N, CONTROL, COPY, NOTHING)                    \
	X(CR3_TARGET_VALUE2, N, CONTROL, COPY, NOTHING)                    \
	X(CR3_TARGET_VALUE3, N, CONTROL, COPY, NOTHING)                    \
	X(IO_BITMAP_A, 64, CONTROL, ADDRESS, NOTHING)                      \
	X(IO_BITMAP_B, 64, CONTROL, ADDRESS, NOTHING)                      \
	X(MSR_BITMAP, 64, CONTROL, MERGE, MSR_BITMAP)                      \
	X(TSC_OFFSET, 64, CONTROL, COPY, NOTHING)                          \
	X(TSC_MULTIPLIER, 64, CONTROL, COPY, TSC_SCALING)                  \
	X(VIRTUAL_APIC_ADDR, 64, CONTROL, ADDRESS, TPR_SHADOW)             \
	X(TPR_THRESHOLD, 32, CONTROL, COPY, TPR_SHADOW)                    \
	X(APIC_ACCESS_ADDR, 64, CONTROL, ADDRESS, APIC_ACCESS)             \
	X(POSTED_INTR_DESC_ADDR, 64, CONTROL, ADDRESS, POSTED_INTR)        \
	X(POSTED_INTR_NOTIFICATION_VECTOR, 16, CONTROL, COPY, POSTED_INTR) \
	X(EOI_EXIT_BITMAP0, 64, CONTROL, COPY, VIRTUAL_INTR)               \
	X(EOI_EXIT_BITMAP1, 64, CONTROL, COPY, VIRTUAL_INTR)               \
	X(EOI_EXIT_BITMAP2, 64, CONTROL, COPY, VIRTUAL_INTR)               \
	X(EOI_EXIT_BITMAP3, 64, CONTROL, COPY, VIRTUAL_INTR)               \
	X(EPT_POINTER, 64, CONTROL, MERGE, EPT)                            \
	X(VPID, 16, CONTROL, MERGE, VPID)                                  \
	X(XSS_EXITING_BITMAP, 64, CONTROL, COPY, XSAVES)                   \
	X(PML_ADDRESS, 64, CONTROL, SOFT, PML)                             \
	X(VM_FUNCTION_CONTROLS, 64, CONTROL, SOFT, VM_FUNCTIONS)           \
	X(EPTP_LIST_ADDR, 64, CONTROL, SOFT, VM_FUNCTIONS)                 \
	X(VE_INFO_ADDR, 64, CONTROL, SOFT, EPT_VIOLATION_VE)               \
	X(EPTP_INDEX, 16, CONTROL, SOFT, EPT_VIOLATION_VE)                 \
	X(VMREAD_BITMAP, 64, CONTROL, SOFT, SHADOWING)                     \
	X(VMWRITE_BITMAP, 64, CONTROL, SOFT, SHADOWING)                    \
	X(PLE_GAP, 32, CONTROL, COPY, PLE)                                 \
	X(PLE_WINDOW, 32, CONTROL, COPY, PLE)                              \
	X(EXECUTIVE_VMCS_POINTER, 64, CONTROL, SOFT, NOTHING)              \
	X(VM_EXIT_MSR_STORE_COUNT, 32, CONTROL, SOFT, NOTHING)             \
	X(VM_EXIT_MSR_STORE_ADDR, 64, CONTROL, SOFT, NOTHING)              \
	X(VM_EXIT_MSR_LOAD_COUNT, 32, CONTROL, SOFT, NOTHING)              \
	X(VM_EXIT_MSR_LOAD_ADDR, 64, CONTROL, SOFT, NOTHING)               \
	X(VM_ENTRY_MSR_LOAD_COUNT, 32, CONTROL, SOFT, NOTHING)             \
	X(VM_ENTRY_MSR_LOAD_ADDR, 64, CONTROL, SOFT, NOTHING)              \
	X(VM_ENTRY_INTR_INFO, 32, CONTROL, COPY, NOTHING)                  \
	X(VM_ENTRY_EXCEPTION_ERROR_CODE, 32, CONTROL, COPY, NOTHING)       \
	X(VM_ENTRY_INSTRUCTION_LENGTH, 32, CONTROL, COPY, NOTHING)         \
	/* Exit information */                                             \
	X(EXIT_REASON, 32, READ_ONLY, EXIT, NOTHING)                       \
	X(EXIT_QUALIFICATION, N, READ_ONLY, EXIT, NOTHING)                 \
	X(VM_EXIT_INTR_INFO, 32, READ_ONLY, EXIT, NOTHING)                 \
	X(VM_EXIT_INTR_ERROR_CODE, 32, READ_ONLY, EXIT, NOTHING)           \
	X(IDT_VECTORING_INFO, 32, READ_ONLY, EXIT, NOTHING)                \
	X(IDT_VECTORING_ERROR_CODE, 32, READ_ONLY, EXIT, NOTHING)          \
	X(VM_EXIT_INSTRUCTION_LENGTH, 32, READ_ONLY, EXIT, NOTHING)        \
	X(VM_EXIT_INSTRUCTION_INFO, 32, READ_ONLY, EXIT, NOTHING)          \
	X(GUEST_LINEAR_ADDRESS, N, READ_ONLY, EXIT, NOTHING)               \
	X(GUEST_PHYSICAL_ADDRESS, 64, READ_ONLY, EXIT, EPT)                \
	X(IO_RCX, N, READ_ONLY, EXIT, NOTHING)                             \
	X(IO_RSI, N, READ_ONLY, EXIT, NOTHING)                             \
	X(IO_RDI, N, READ_ONLY, EXIT, NOTHING)                             \
	X(IO_RIP, N, READ_ONLY, EXIT, NOTHING)                             \
	X(VM_INSTRUCTION_ERROR, 32, READ_ONLY, SOFT, NOTHING)              \
	/* L1's own state, loaded at a reflected exit */                   \
	X(HOST_RIP, N, HOST, SOFT, NOTHING)                                \
	X(HOST_RSP, N, HOST, SOFT, NOTHING)                                \
	X(HOST_CR0, N, HOST, SOFT, NOTHING)                                \
	X(HOST_CR3, N, HOST, SOFT, NOTHING)                                \
	X(HOST_CR4, N, HOST, SOFT, NOTHING)                                \
	X(HOST_ES_SELECTOR, 16, HOST, SOFT, NOTHING)                       \
	X(HOST_CS_SELECTOR, 16, HOST, SOFT, NOTHING)                       \
	X(HOST_SS_SELECTOR, 16, HOST, SOFT, NOTHING)                       \
	X(HOST_DS_SELECTOR, 16, HOST, SOFT, NOTHING)                       \
	X(HOST_FS_SELECTOR, 16, HOST, SOFT, NOTHING)                       \
	X(HOST_GS_SELECTOR, 16, HOST, SOFT, NOTHING)                       \
	X(HOST_TR_SELECTOR, 16, HOST, SOFT, NOTHING)                       \
	X(HOST_FS_BASE, N, HOST, SOFT, NOTHING)                            \
	X(HOST_GS_BASE, N, HOST, SOFT, NOTHING)                            \
	X(HOST_TR_BASE, N, HOST, SOFT, NOTHING)                            \
	X(HOST_GDTR_BASE, N, HOST, SOFT, NOTHING)                          \
	X(HOST_IDTR_BASE, N, HOST, SOFT, NOTHING)                          \
	X(HOST_SYSENTER_CS, 32, HOST, SOFT, NOTHING)                       \
	X(HOST_SYSENTER_ESP, N, HOST, SOFT, NOTHING)                       \
	X(HOST_SYSENTER_EIP, N, HOST, SOFT, NOTHING)                       \
	X(HOST_PAT, 64, HOST, SOFT, NOTHING)                               \
	X(HOST_EFER, 64, HOST, SOFT, NOTHING)                              \
	X(HOST_PERF_GLOBAL_CTRL, 64, HOST, SOFT, PERF_GLOBAL_CTRL)         \
	X(HOST_S_CET, N, HOST, SOFT, CET)                                  \
	X(HOST_SSP, N, HOST, SOFT, CET)                                    \
	X(HOST_INTERRUPT_SSP_TABLE, N, HOST, SOFT, CET)                    \
	X(HOST_PKRS, 64, HOST, SOFT, PKRS)

/* Indexes into struct vmcs12. */
enum vmcs12_field {
#define X(name, width, class, policy, needs) F_##name,
	VMCS12_FIELDS(X)
#undef X
		F_COUNT
};

struct field_info {
	u32 encoding;
	const char *name;
	u8 width; /* enum vmcs_width */
	u8 type;  /* enum vmcs_type */
	u8 policy;
	u8 needs;
};

extern const struct field_info field_info[F_COUNT];

/* The field an encoding names (its high half too), or -1. Bits 31:15 and 12 must be 0. */
int field_index(u32 encoding);

/* The part of `value` that a field of this width holds. */
u64 field_truncate(enum vmcs12_field field, u64 value);
