/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every VMCS field L1 can have, in one table. VMREAD and VMWRITE emulation, the copies between
 * vmcs12 and vmcs02 and the documentation come from it.
 *
 *   X(name, width, class, policy, needs, invalidates)
 *     name    as in x86/vmcs.h, without VMCS_
 *     width   16, 32, 64 or N (natural)
 *     class   CONTROL, READ_ONLY, GUEST or HOST, as encoded
 *     policy  how vmcs02 gets or gives it: enum field_policy
 *     needs   the control that makes it exist, as in nested/controls.h, or NOTHING
 *     invalidates  what a VMWRITE of L1's makes Umbra do anew: enum field_invalidates
 */
#pragma once

#include <x86/types.h>
#include <x86/vmcs.h>

#include "nested/controls.h"

enum field_policy {
	/* Guest state, and what the CPU changes like it while the guest runs: copied to vmcs02 at
	   entry and back at a reflected exit. */
	POLICY_GUEST,
	POLICY_COPY,    /* a control that vmcs02 takes as it is */
	POLICY_CHECKED, /* the same, but after a check of Umbra's: L1's VMWRITE is never shadowed */
	POLICY_ADDRESS, /* a physical address: taken if it is not Umbra's */
	POLICY_MERGE,   /* vmcs02's value is computed */
	POLICY_EXIT,    /* exit information: copied from vmcs02 at a reflected exit */
	POLICY_SOFT,    /* Umbra's to interpret; vmcs02 has its own */
};

/* What L1's VMWRITE makes Umbra do once more at the next entry. */
enum field_invalidates {
	INVALIDATES_NOTHING,
	INVALIDATES_CHECKS,   /* the checks on controls, host state, and what depends on them */
	INVALIDATES_CONTROLS, /* these, and the controls of vmcs02 */
};

/* Segment registers have the same four fields each. */
#define VMCS12_SEGMENT(X, seg)                                             \
	X(GUEST_##seg##_SELECTOR, 16, GUEST, GUEST, NOTHING, NOTHING)      \
	X(GUEST_##seg##_LIMIT, 32, GUEST, GUEST, NOTHING, NOTHING)         \
	X(GUEST_##seg##_ACCESS_RIGHTS, 32, GUEST, GUEST, NOTHING, NOTHING) \
	X(GUEST_##seg##_BASE, N, GUEST, GUEST, NOTHING, NOTHING)

#define VMCS12_FIELDS(X)                                                                  \
	/* Guest state */                                                                 \
	X(GUEST_RIP, N, GUEST, GUEST, NOTHING, NOTHING)                                   \
	X(GUEST_RSP, N, GUEST, GUEST, NOTHING, NOTHING)                                   \
	X(GUEST_RFLAGS, N, GUEST, GUEST, NOTHING, NOTHING)                                \
	X(GUEST_CR0, N, GUEST, GUEST, NOTHING, CHECKS)                                    \
	X(GUEST_CR3, N, GUEST, GUEST, NOTHING, NOTHING)                                   \
	X(GUEST_CR4, N, GUEST, GUEST, NOTHING, CHECKS)                                    \
	X(GUEST_INTERRUPTIBILITY, 32, GUEST, GUEST, NOTHING, NOTHING)                     \
	X(GUEST_ACTIVITY_STATE, 32, GUEST, GUEST, NOTHING, NOTHING)                       \
	X(GUEST_PENDING_DEBUG, N, GUEST, GUEST, NOTHING, NOTHING)                         \
	X(GUEST_DR7, N, GUEST, MERGE, NOTHING, NOTHING)                                   \
	X(GUEST_DEBUGCTL, 64, GUEST, MERGE, NOTHING, NOTHING)                             \
	X(GUEST_PAT, 64, GUEST, MERGE, NOTHING, NOTHING)                                  \
	X(GUEST_EFER, 64, GUEST, MERGE, NOTHING, NOTHING)                                 \
	X(GUEST_BNDCFGS, 64, GUEST, MERGE, ENTRY_LOAD_BNDCFGS, NOTHING)                   \
	X(GUEST_S_CET, N, GUEST, MERGE, ENTRY_LOAD_CET, NOTHING)                          \
	X(GUEST_SSP, N, GUEST, MERGE, ENTRY_LOAD_CET, NOTHING)                            \
	X(GUEST_INTERRUPT_SSP_TABLE, N, GUEST, MERGE, ENTRY_LOAD_CET, NOTHING)            \
	X(GUEST_PKRS, 64, GUEST, MERGE, ENTRY_LOAD_PKRS, NOTHING)                         \
	X(GUEST_UINV, 16, GUEST, MERGE, ENTRY_LOAD_UINV, NOTHING)                         \
	X(GUEST_LBR_CTL, 64, GUEST, MERGE, ENTRY_LOAD_LBR_CTL, NOTHING)                   \
	X(GUEST_PERF_GLOBAL_CTRL, 64, GUEST, SOFT, ENTRY_LOAD_PERF_GLOBAL_CTRL, NOTHING)  \
	X(VMCS_LINK_POINTER, 64, GUEST, SOFT, NOTHING, CHECKS)                            \
	VMCS12_SEGMENT(X, ES)                                                             \
	VMCS12_SEGMENT(X, CS)                                                             \
	VMCS12_SEGMENT(X, SS)                                                             \
	VMCS12_SEGMENT(X, DS)                                                             \
	VMCS12_SEGMENT(X, FS)                                                             \
	VMCS12_SEGMENT(X, GS)                                                             \
	VMCS12_SEGMENT(X, LDTR)                                                           \
	VMCS12_SEGMENT(X, TR)                                                             \
	X(GUEST_GDTR_BASE, N, GUEST, GUEST, NOTHING, NOTHING)                             \
	X(GUEST_GDTR_LIMIT, 32, GUEST, GUEST, NOTHING, NOTHING)                           \
	X(GUEST_IDTR_BASE, N, GUEST, GUEST, NOTHING, NOTHING)                             \
	X(GUEST_IDTR_LIMIT, 32, GUEST, GUEST, NOTHING, NOTHING)                           \
	X(GUEST_SYSENTER_CS, 32, GUEST, GUEST, NOTHING, NOTHING)                          \
	X(GUEST_SYSENTER_ESP, N, GUEST, GUEST, NOTHING, NOTHING)                          \
	X(GUEST_SYSENTER_EIP, N, GUEST, GUEST, NOTHING, NOTHING)                          \
	X(GUEST_SMBASE, 32, GUEST, SOFT, NOTHING, NOTHING)                                \
	X(GUEST_PDPTE0, 64, GUEST, GUEST, CPU2_EPT, NOTHING)                              \
	X(GUEST_PDPTE1, 64, GUEST, GUEST, CPU2_EPT, NOTHING)                              \
	X(GUEST_PDPTE2, 64, GUEST, GUEST, CPU2_EPT, NOTHING)                              \
	X(GUEST_PDPTE3, 64, GUEST, GUEST, CPU2_EPT, NOTHING)                              \
	X(GUEST_INTERRUPT_STATUS, 16, GUEST, GUEST, CPU2_VIRTUAL_INTR_DELIVERY, NOTHING)  \
	X(PML_INDEX, 16, GUEST, GUEST, CPU2_PML, NOTHING)                                 \
	X(PREEMPTION_TIMER_VALUE, 32, GUEST, GUEST, PIN_PREEMPTION_TIMER, NOTHING)        \
	/* Controls */                                                                    \
	X(PIN_CONTROLS, 32, CONTROL, MERGE, NOTHING, CONTROLS)                            \
	X(PRIMARY_CONTROLS, 32, CONTROL, MERGE, NOTHING, CONTROLS)                        \
	X(SECONDARY_CONTROLS, 32, CONTROL, MERGE, NOTHING, CONTROLS)                      \
	X(TERTIARY_CONTROLS, 64, CONTROL, MERGE, CPU_TERTIARY_CONTROLS, CONTROLS)         \
	X(EXIT_CONTROLS, 32, CONTROL, MERGE, NOTHING, CONTROLS)                           \
	X(SECONDARY_EXIT_CONTROLS, 64, CONTROL, MERGE, EXIT_SECONDARY_CONTROLS, CONTROLS) \
	X(ENTRY_CONTROLS, 32, CONTROL, MERGE, NOTHING, CONTROLS)                          \
	X(EXCEPTION_BITMAP, 32, CONTROL, COPY, NOTHING, CHECKS)                           \
	X(PF_ERROR_CODE_MASK, 32, CONTROL, COPY, NOTHING, CHECKS)                         \
	X(PF_ERROR_CODE_MATCH, 32, CONTROL, COPY, NOTHING, CHECKS)                        \
	X(CR0_GUEST_HOST_MASK, N, CONTROL, COPY, NOTHING, CHECKS)                         \
	X(CR4_GUEST_HOST_MASK, N, CONTROL, COPY, NOTHING, CHECKS)                         \
	X(CR0_READ_SHADOW, N, CONTROL, COPY, NOTHING, CHECKS)                             \
	X(CR4_READ_SHADOW, N, CONTROL, COPY, NOTHING, CHECKS)                             \
	X(CR3_TARGET_COUNT, 32, CONTROL, CHECKED, NOTHING, CHECKS)                        \
	X(CR3_TARGET_VALUE0, N, CONTROL, COPY, CR3_TARGET0, CHECKS)                       \
	X(CR3_TARGET_VALUE1, N, CONTROL, COPY, CR3_TARGET1, CHECKS)                       \
	X(CR3_TARGET_VALUE2, N, CONTROL, COPY, CR3_TARGET2, CHECKS)                       \
	X(CR3_TARGET_VALUE3, N, CONTROL, COPY, CR3_TARGET3, CHECKS)                       \
	X(IO_BITMAP_A, 64, CONTROL, MERGE, NOTHING, CHECKS)                               \
	X(IO_BITMAP_B, 64, CONTROL, MERGE, NOTHING, CHECKS)                               \
	X(MSR_BITMAP, 64, CONTROL, MERGE, CPU_USE_MSR_BITMAPS, CHECKS)                    \
	X(TSC_OFFSET, 64, CONTROL, COPY, NOTHING, CHECKS)                                 \
	X(TSC_MULTIPLIER, 64, CONTROL, COPY, CPU2_TSC_SCALING, CHECKS)                    \
	X(VIRTUAL_APIC_ADDR, 64, CONTROL, ADDRESS, CPU_TPR_SHADOW, CHECKS)                \
	X(TPR_THRESHOLD, 32, CONTROL, COPY, CPU_TPR_SHADOW, CHECKS)                       \
	X(APIC_ACCESS_ADDR, 64, CONTROL, ADDRESS, CPU2_VIRTUAL_APIC_ACCESSES, CHECKS)     \
	X(POSTED_INTR_DESC_ADDR, 64, CONTROL, ADDRESS, PIN_POSTED_INTR, CHECKS)           \
	X(POSTED_INTR_NOTIFICATION_VECTOR, 16, CONTROL, CHECKED, PIN_POSTED_INTR, CHECKS) \
	X(EOI_EXIT_BITMAP0, 64, CONTROL, COPY, CPU2_VIRTUAL_INTR_DELIVERY, CHECKS)        \
	X(EOI_EXIT_BITMAP1, 64, CONTROL, COPY, CPU2_VIRTUAL_INTR_DELIVERY, CHECKS)        \
	X(EOI_EXIT_BITMAP2, 64, CONTROL, COPY, CPU2_VIRTUAL_INTR_DELIVERY, CHECKS)        \
	X(EOI_EXIT_BITMAP3, 64, CONTROL, COPY, CPU2_VIRTUAL_INTR_DELIVERY, CHECKS)        \
	X(EPT_POINTER, 64, CONTROL, MERGE, CPU2_EPT, CHECKS)                              \
	X(VPID, 16, CONTROL, MERGE, CPU2_VPID, CHECKS)                                    \
	X(XSS_EXITING_BITMAP, 64, CONTROL, COPY, CPU2_XSAVES, CHECKS)                     \
	X(PML_ADDRESS, 64, CONTROL, SOFT, CPU2_PML, CHECKS)                               \
	X(VM_FUNCTION_CONTROLS, 64, CONTROL, SOFT, CPU2_VM_FUNCTIONS, CHECKS)             \
	X(EPTP_LIST_ADDR, 64, CONTROL, SOFT, CPU2_VM_FUNCTIONS, CHECKS)                   \
	X(VE_INFO_ADDR, 64, CONTROL, SOFT, CPU2_EPT_VIOLATION_VE, CHECKS)                 \
	X(EPTP_INDEX, 16, CONTROL, SOFT, CPU2_EPT_VIOLATION_VE, CHECKS)                   \
	X(VMREAD_BITMAP, 64, CONTROL, SOFT, CPU2_VMCS_SHADOWING, CHECKS)                  \
	X(VMWRITE_BITMAP, 64, CONTROL, SOFT, CPU2_VMCS_SHADOWING, CHECKS)                 \
	X(PLE_GAP, 32, CONTROL, COPY, CPU2_PAUSE_LOOP_EXITING, CHECKS)                    \
	X(PLE_WINDOW, 32, CONTROL, COPY, CPU2_PAUSE_LOOP_EXITING, CHECKS)                 \
	X(INSTRUCTION_TIMEOUT, 32, CONTROL, COPY, CPU2_INSTRUCTION_TIMEOUT, CHECKS)       \
	X(SPEC_CTRL_MASK, 64, CONTROL, COPY, CPU3_VIRTUALIZE_SPEC_CTRL, CHECKS)           \
	X(SPEC_CTRL_SHADOW, 64, CONTROL, GUEST, CPU3_VIRTUALIZE_SPEC_CTRL, CHECKS)        \
	X(EXECUTIVE_VMCS_POINTER, 64, CONTROL, SOFT, NOTHING, CHECKS)                     \
	X(VM_EXIT_MSR_STORE_COUNT, 32, CONTROL, SOFT, NOTHING, CONTROLS)                  \
	X(VM_EXIT_MSR_STORE_ADDR, 64, CONTROL, SOFT, NOTHING, CHECKS)                     \
	X(VM_EXIT_MSR_LOAD_COUNT, 32, CONTROL, SOFT, NOTHING, CONTROLS)                   \
	X(VM_EXIT_MSR_LOAD_ADDR, 64, CONTROL, SOFT, NOTHING, CHECKS)                      \
	X(VM_ENTRY_MSR_LOAD_COUNT, 32, CONTROL, SOFT, NOTHING, CONTROLS)                  \
	X(VM_ENTRY_MSR_LOAD_ADDR, 64, CONTROL, SOFT, NOTHING, CHECKS)                     \
	X(VM_ENTRY_INTR_INFO, 32, CONTROL, COPY, NOTHING, CHECKS)                         \
	X(VM_ENTRY_EXCEPTION_ERROR_CODE, 32, CONTROL, COPY, NOTHING, CHECKS)              \
	X(VM_ENTRY_INSTRUCTION_LENGTH, 32, CONTROL, COPY, NOTHING, CHECKS)                \
	/* Exit information */                                                            \
	X(EXIT_REASON, 32, READ_ONLY, EXIT, NOTHING, NOTHING)                             \
	X(EXIT_QUALIFICATION, N, READ_ONLY, EXIT, NOTHING, NOTHING)                       \
	X(VM_EXIT_INTR_INFO, 32, READ_ONLY, EXIT, NOTHING, NOTHING)                       \
	X(VM_EXIT_INTR_ERROR_CODE, 32, READ_ONLY, EXIT, NOTHING, NOTHING)                 \
	X(IDT_VECTORING_INFO, 32, READ_ONLY, EXIT, NOTHING, NOTHING)                      \
	X(IDT_VECTORING_ERROR_CODE, 32, READ_ONLY, EXIT, NOTHING, NOTHING)                \
	X(VM_EXIT_INSTRUCTION_LENGTH, 32, READ_ONLY, EXIT, NOTHING, NOTHING)              \
	X(VM_EXIT_INSTRUCTION_INFO, 32, READ_ONLY, EXIT, NOTHING, NOTHING)                \
	X(GUEST_LINEAR_ADDRESS, N, READ_ONLY, EXIT, NOTHING, NOTHING)                     \
	X(GUEST_PHYSICAL_ADDRESS, 64, READ_ONLY, EXIT, CPU2_EPT, NOTHING)                 \
	X(MSR_DATA, 64, READ_ONLY, EXIT, CPU3_MSR_LIST, NOTHING)                          \
	X(IO_RCX, N, READ_ONLY, EXIT, NOTHING, NOTHING)                                   \
	X(IO_RSI, N, READ_ONLY, EXIT, NOTHING, NOTHING)                                   \
	X(IO_RDI, N, READ_ONLY, EXIT, NOTHING, NOTHING)                                   \
	X(IO_RIP, N, READ_ONLY, EXIT, NOTHING, NOTHING)                                   \
	X(VM_INSTRUCTION_ERROR, 32, READ_ONLY, SOFT, NOTHING, NOTHING)                    \
	/* L1's own state, loaded at a reflected exit */                                  \
	X(HOST_RIP, N, HOST, SOFT, NOTHING, CHECKS)                                       \
	X(HOST_RSP, N, HOST, SOFT, NOTHING, NOTHING)                                      \
	X(HOST_CR0, N, HOST, SOFT, NOTHING, CHECKS)                                       \
	X(HOST_CR3, N, HOST, SOFT, NOTHING, CHECKS)                                       \
	X(HOST_CR4, N, HOST, SOFT, NOTHING, CHECKS)                                       \
	X(HOST_ES_SELECTOR, 16, HOST, SOFT, NOTHING, CHECKS)                              \
	X(HOST_CS_SELECTOR, 16, HOST, SOFT, NOTHING, CHECKS)                              \
	X(HOST_SS_SELECTOR, 16, HOST, SOFT, NOTHING, CHECKS)                              \
	X(HOST_DS_SELECTOR, 16, HOST, SOFT, NOTHING, CHECKS)                              \
	X(HOST_FS_SELECTOR, 16, HOST, SOFT, NOTHING, CHECKS)                              \
	X(HOST_GS_SELECTOR, 16, HOST, SOFT, NOTHING, CHECKS)                              \
	X(HOST_TR_SELECTOR, 16, HOST, SOFT, NOTHING, CHECKS)                              \
	X(HOST_FS_BASE, N, HOST, SOFT, NOTHING, CHECKS)                                   \
	X(HOST_GS_BASE, N, HOST, SOFT, NOTHING, CHECKS)                                   \
	X(HOST_TR_BASE, N, HOST, SOFT, NOTHING, CHECKS)                                   \
	X(HOST_GDTR_BASE, N, HOST, SOFT, NOTHING, CHECKS)                                 \
	X(HOST_IDTR_BASE, N, HOST, SOFT, NOTHING, CHECKS)                                 \
	X(HOST_SYSENTER_CS, 32, HOST, SOFT, NOTHING, CHECKS)                              \
	X(HOST_SYSENTER_ESP, N, HOST, SOFT, NOTHING, CHECKS)                              \
	X(HOST_SYSENTER_EIP, N, HOST, SOFT, NOTHING, CHECKS)                              \
	X(HOST_PAT, 64, HOST, SOFT, NOTHING, CHECKS)                                      \
	X(HOST_EFER, 64, HOST, SOFT, NOTHING, CHECKS)                                     \
	X(HOST_PERF_GLOBAL_CTRL, 64, HOST, SOFT, ENTRY_LOAD_PERF_GLOBAL_CTRL, CHECKS)     \
	X(HOST_S_CET, N, HOST, SOFT, ENTRY_LOAD_CET, CHECKS)                              \
	X(HOST_SSP, N, HOST, SOFT, ENTRY_LOAD_CET, CHECKS)                                \
	X(HOST_INTERRUPT_SSP_TABLE, N, HOST, SOFT, ENTRY_LOAD_CET, CHECKS)                \
	X(HOST_PKRS, 64, HOST, SOFT, ENTRY_LOAD_PKRS, CHECKS)

/* Indexes into struct vmcs12. */
enum vmcs12_field {
#define X(name, width, class, policy, needs, invalidates) F_##name,
	VMCS12_FIELDS(X)
#undef X
		F_COUNT
};

struct field_info {
	u64 mask; /* what it holds of a value */
	u32 encoding;
	const char *name;
	u8 width;       /* enum vmcs_width */
	u8 type;        /* enum vmcs_type */
	u8 policy;      /* enum field_policy */
	u8 needs;       /* enum field_needs */
	u8 invalidates; /* enum field_invalidates */
};

extern const struct field_info field_info[F_COUNT];

/* The field an encoding names (its high half too), or -1. Bits 31:15 and 12 must be 0. */
int field_index(u32 encoding);

/* The part of `value` that a field of this width holds. */
static inline u64 field_truncate(enum vmcs12_field field, u64 value)
{
	return value & field_info[field].mask;
}

/* A set of fields. */
struct field_set {
	u64 bits[(F_COUNT + 63) / 64];
};

static inline void field_set_add(struct field_set *set, enum vmcs12_field f)
{
	set->bits[f / 64] |= 1ull << (f % 64);
}

static inline void field_set_remove(struct field_set *set, enum vmcs12_field f)
{
	set->bits[f / 64] &= ~(1ull << (f % 64));
}

static inline void field_set_unite(struct field_set *set, const struct field_set *other)
{
	for (u32 i = 0; i < ARRAY_SIZE(set->bits); i++)
		set->bits[i] |= other->bits[i];
}

static inline void field_set_subtract(struct field_set *set, const struct field_set *other)
{
	for (u32 i = 0; i < ARRAY_SIZE(set->bits); i++)
		set->bits[i] &= ~other->bits[i];
}

static inline bool field_set_is_empty(const struct field_set *set)
{
	u64 all = 0;

	for (u32 i = 0; i < ARRAY_SIZE(set->bits); i++)
		all |= set->bits[i];
	return !all;
}

/* A word of the set is read once: fields may be removed from it within the loop. */
#define FOR_EACH_FIELD(f, set)                                                                   \
	for (u32 word_ = 0; word_ < ARRAY_SIZE((set)->bits); word_++)                            \
		for (u64 rest_ = (set)->bits[word_]; rest_; rest_ &= rest_ - 1)                  \
			for (u32 f = word_ * 64 + (u32)__builtin_ctzll(rest_), once_ = 1; once_; \
			     once_ = 0)

static inline bool field_set_has(const struct field_set *set, enum vmcs12_field f)
{
	return set->bits[f / 64] >> (f % 64) & 1;
}
