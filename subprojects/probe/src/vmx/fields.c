/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/fields.h"

/* "This field exists only on processors that support the 1-setting of …": any of the bits. */
#define IF_ANY(name, ctl, bits)                          \
	static bool name(void)                           \
	{                                                \
		return (vmx_ctl_may(ctl) & (bits)) != 0; \
	}

#define IF_EITHER(name, ctl, bits, ctl2, bits2)                                                \
	static bool name(void)                                                                 \
	{                                                                                      \
		return (vmx_ctl_may(ctl) & (bits)) != 0 || (vmx_ctl_may(ctl2) & (bits2)) != 0; \
	}

/* Controls that these tests do not know how to find: no CPU they are for has them. */
static bool never(void)
{
	return false;
}

/* VM function 0, EPTP switching. */
static bool eptp_list(void)
{
	return vmx_has(CTL_CPU2, CPU2_VM_FUNCTIONS) && rdmsr(MSR_IA32_VMX_VMFUNC) & BIT(0);
}

/* "Tertiary Processor-Based VM-Execution Controls": all 64 bits may be 0, so a mask of what may
 * be 1. */
#define IF_TERTIARY(name, bit)                                             \
	static bool name(void)                                             \
	{                                                                  \
		return vmx_has(CTL_CPU, CPU_TERTIARY_CONTROLS) &&          \
		       (rdmsr(MSR_IA32_VMX_PROCBASED_CTLS3) & (bit)) != 0; \
	}

IF_TERTIARY(hlat, CPU3_HLAT)
IF_TERTIARY(ipi, CPU3_IPI_VIRTUALIZATION)
IF_TERTIARY(spec_ctrl, CPU3_VIRTUALIZE_SPEC_CTRL)
IF_ANY(secondary, CTL_CPU, CPU_SECONDARY_CONTROLS)
IF_ANY(tertiary, CTL_CPU, CPU_TERTIARY_CONTROLS)
IF_ANY(msr_bitmap, CTL_CPU, CPU_USE_MSR_BITMAPS)
IF_ANY(tpr, CTL_CPU, CPU_TPR_SHADOW)
IF_ANY(posted, CTL_PIN, PIN_POSTED_INTR)
IF_ANY(preemption, CTL_PIN, PIN_PREEMPTION_TIMER)
IF_ANY(vpid, CTL_CPU2, CPU2_VPID)
IF_ANY(ve, CTL_CPU2, CPU2_EPT_VIOLATION_VE)
IF_ANY(vid, CTL_CPU2, CPU2_VIRTUAL_INTR_DELIVERY)
IF_ANY(pml, CTL_CPU2, CPU2_PML)
IF_ANY(apic_access, CTL_CPU2, CPU2_VIRTUAL_APIC_ACCESSES)
IF_ANY(vmfunc, CTL_CPU2, CPU2_VM_FUNCTIONS)
IF_ANY(ept, CTL_CPU2, CPU2_EPT)
IF_ANY(shadow, CTL_CPU2, CPU2_VMCS_SHADOWING)
IF_ANY(xsaves, CTL_CPU2, CPU2_XSAVES)
IF_ANY(encls, CTL_CPU2, CPU2_ENCLS_EXITING)
IF_ANY(enclv, CTL_CPU2, CPU2_ENCLV_EXITING)
IF_ANY(spp, CTL_CPU2, CPU2_SUB_PAGE_WRITE)
IF_ANY(tsc_scaling, CTL_CPU2, CPU2_TSC_SCALING)
IF_ANY(pasid, CTL_CPU2, CPU2_PASID_TRANSLATION)
IF_ANY(pconfig, CTL_CPU2, CPU2_PCONFIG)
IF_ANY(ple, CTL_CPU2, CPU2_PAUSE_LOOP_EXITING)
IF_ANY(timeout, CTL_CPU2, CPU2_INSTRUCTION_TIMEOUT)
IF_ANY(exit2, CTL_EXIT, EXIT_SECONDARY_CONTROLS)
IF_ANY(host_pat, CTL_EXIT, EXIT_LOAD_PAT)
IF_ANY(host_efer, CTL_EXIT, EXIT_LOAD_EFER)
IF_ANY(host_perf, CTL_EXIT, EXIT_LOAD_PERF_GLOBAL_CTRL)
IF_ANY(host_pkrs, CTL_EXIT, EXIT_LOAD_PKRS)
IF_ANY(host_cet, CTL_EXIT, EXIT_LOAD_CET)
IF_ANY(guest_cet, CTL_ENTRY, ENTRY_LOAD_CET)
IF_ANY(guest_pkrs, CTL_ENTRY, ENTRY_LOAD_PKRS)
IF_EITHER(guest_pat, CTL_ENTRY, ENTRY_LOAD_PAT, CTL_EXIT, EXIT_SAVE_PAT)
IF_EITHER(guest_efer, CTL_ENTRY, ENTRY_LOAD_EFER, CTL_EXIT, EXIT_SAVE_EFER)
IF_EITHER(guest_perf, CTL_ENTRY, ENTRY_LOAD_PERF_GLOBAL_CTRL, CTL_EXIT, EXIT_SAVE_PERF_GLOBAL_CTRL)
IF_EITHER(bndcfgs, CTL_ENTRY, ENTRY_LOAD_BNDCFGS, CTL_EXIT, EXIT_CLEAR_BNDCFGS)
IF_EITHER(rtit, CTL_ENTRY, ENTRY_LOAD_RTIT_CTL, CTL_EXIT, EXIT_CLEAR_RTIT_CTL)
IF_EITHER(lbr, CTL_ENTRY, ENTRY_LOAD_LBR_CTL, CTL_EXIT, EXIT_CLEAR_LBR_CTL)
IF_EITHER(uinv, CTL_ENTRY, ENTRY_LOAD_UINV, CTL_EXIT, EXIT_CLEAR_UINV)

#define F(field, condition)                     \
	{                                       \
		VMCS_##field, #field, condition \
	}

const struct vmcs_field vmcs_fields[] = {
	F(VPID, vpid),
	F(POSTED_INTR_NOTIFICATION_VECTOR, posted),
	F(EPTP_INDEX, ve),
	F(HLAT_PREFIX_SIZE, hlat),
	F(LAST_PID_POINTER_INDEX, ipi),
	F(GUEST_ES_SELECTOR, NULL),
	F(GUEST_CS_SELECTOR, NULL),
	F(GUEST_SS_SELECTOR, NULL),
	F(GUEST_DS_SELECTOR, NULL),
	F(GUEST_FS_SELECTOR, NULL),
	F(GUEST_GS_SELECTOR, NULL),
	F(GUEST_LDTR_SELECTOR, NULL),
	F(GUEST_TR_SELECTOR, NULL),
	F(GUEST_INTERRUPT_STATUS, vid),
	F(PML_INDEX, pml),
	F(GUEST_UINV, uinv),
	F(HOST_ES_SELECTOR, NULL),
	F(HOST_CS_SELECTOR, NULL),
	F(HOST_SS_SELECTOR, NULL),
	F(HOST_DS_SELECTOR, NULL),
	F(HOST_FS_SELECTOR, NULL),
	F(HOST_GS_SELECTOR, NULL),
	F(HOST_TR_SELECTOR, NULL),
	F(IO_BITMAP_A, NULL),
	F(IO_BITMAP_B, NULL),
	F(MSR_BITMAP, msr_bitmap),
	F(VM_EXIT_MSR_STORE_ADDR, NULL),
	F(VM_EXIT_MSR_LOAD_ADDR, NULL),
	F(VM_ENTRY_MSR_LOAD_ADDR, NULL),
	F(EXECUTIVE_VMCS_POINTER, NULL),
	F(PML_ADDRESS, pml),
	F(TSC_OFFSET, NULL),
	F(VIRTUAL_APIC_ADDR, tpr),
	F(APIC_ACCESS_ADDR, apic_access),
	F(POSTED_INTR_DESC_ADDR, posted),
	F(VM_FUNCTION_CONTROLS, vmfunc),
	F(EPT_POINTER, ept),
	F(EOI_EXIT_BITMAP0, vid),
	F(EOI_EXIT_BITMAP1, vid),
	F(EOI_EXIT_BITMAP2, vid),
	F(EOI_EXIT_BITMAP3, vid),
	F(EPTP_LIST_ADDR, eptp_list),
	F(VMREAD_BITMAP, shadow),
	F(VMWRITE_BITMAP, shadow),
	F(VE_INFO_ADDR, ve),
	F(XSS_EXITING_BITMAP, xsaves),
	F(ENCLS_EXITING_BITMAP, encls),
	F(SPP_TABLE_POINTER, spp),
	F(TSC_MULTIPLIER, tsc_scaling),
	F(TERTIARY_CONTROLS, tertiary),
	F(ENCLV_EXITING_BITMAP, enclv),
	F(LOW_PASID_DIRECTORY, pasid),
	F(HIGH_PASID_DIRECTORY, pasid),
	F(SHARED_EPT_POINTER, never),
	F(PCONFIG_EXITING_BITMAP, pconfig),
	F(HLAT_POINTER, hlat),
	F(PID_POINTER_TABLE, ipi),
	F(SECONDARY_EXIT_CONTROLS, exit2),
	F(SPEC_CTRL_MASK, spec_ctrl),
	F(SPEC_CTRL_SHADOW, spec_ctrl),
	F(GUEST_PHYSICAL_ADDRESS, ept),
	F(VMCS_LINK_POINTER, NULL),
	F(GUEST_DEBUGCTL, NULL),
	F(GUEST_PAT, guest_pat),
	F(GUEST_EFER, guest_efer),
	F(GUEST_PERF_GLOBAL_CTRL, guest_perf),
	F(GUEST_PDPTE0, ept),
	F(GUEST_PDPTE1, ept),
	F(GUEST_PDPTE2, ept),
	F(GUEST_PDPTE3, ept),
	F(GUEST_BNDCFGS, bndcfgs),
	F(GUEST_RTIT_CTL, rtit),
	F(GUEST_LBR_CTL, lbr),
	F(GUEST_PKRS, guest_pkrs),
	F(HOST_PAT, host_pat),
	F(HOST_EFER, host_efer),
	F(HOST_PERF_GLOBAL_CTRL, host_perf),
	F(HOST_PKRS, host_pkrs),
	F(PIN_CONTROLS, NULL),
	F(PRIMARY_CONTROLS, NULL),
	F(EXCEPTION_BITMAP, NULL),
	F(PF_ERROR_CODE_MASK, NULL),
	F(PF_ERROR_CODE_MATCH, NULL),
	F(CR3_TARGET_COUNT, NULL),
	F(EXIT_CONTROLS, NULL),
	F(VM_EXIT_MSR_STORE_COUNT, NULL),
	F(VM_EXIT_MSR_LOAD_COUNT, NULL),
	F(ENTRY_CONTROLS, NULL),
	F(VM_ENTRY_MSR_LOAD_COUNT, NULL),
	F(VM_ENTRY_INTR_INFO, NULL),
	F(VM_ENTRY_EXCEPTION_ERROR_CODE, NULL),
	F(VM_ENTRY_INSTRUCTION_LENGTH, NULL),
	F(TPR_THRESHOLD, tpr),
	F(SECONDARY_CONTROLS, secondary),
	F(PLE_GAP, ple),
	F(PLE_WINDOW, ple),
	F(INSTRUCTION_TIMEOUT, timeout),
	F(VM_INSTRUCTION_ERROR, NULL),
	F(EXIT_REASON, NULL),
	F(VM_EXIT_INTR_INFO, NULL),
	F(VM_EXIT_INTR_ERROR_CODE, NULL),
	F(IDT_VECTORING_INFO, NULL),
	F(IDT_VECTORING_ERROR_CODE, NULL),
	F(VM_EXIT_INSTRUCTION_LENGTH, NULL),
	F(VM_EXIT_INSTRUCTION_INFO, NULL),
	F(GUEST_ES_LIMIT, NULL),
	F(GUEST_CS_LIMIT, NULL),
	F(GUEST_SS_LIMIT, NULL),
	F(GUEST_DS_LIMIT, NULL),
	F(GUEST_FS_LIMIT, NULL),
	F(GUEST_GS_LIMIT, NULL),
	F(GUEST_LDTR_LIMIT, NULL),
	F(GUEST_TR_LIMIT, NULL),
	F(GUEST_GDTR_LIMIT, NULL),
	F(GUEST_IDTR_LIMIT, NULL),
	F(GUEST_ES_ACCESS_RIGHTS, NULL),
	F(GUEST_CS_ACCESS_RIGHTS, NULL),
	F(GUEST_SS_ACCESS_RIGHTS, NULL),
	F(GUEST_DS_ACCESS_RIGHTS, NULL),
	F(GUEST_FS_ACCESS_RIGHTS, NULL),
	F(GUEST_GS_ACCESS_RIGHTS, NULL),
	F(GUEST_LDTR_ACCESS_RIGHTS, NULL),
	F(GUEST_TR_ACCESS_RIGHTS, NULL),
	F(GUEST_INTERRUPTIBILITY, NULL),
	F(GUEST_ACTIVITY_STATE, NULL),
	F(GUEST_SMBASE, NULL),
	F(GUEST_SYSENTER_CS, NULL),
	F(PREEMPTION_TIMER_VALUE, preemption),
	F(HOST_SYSENTER_CS, NULL),
	F(CR0_GUEST_HOST_MASK, NULL),
	F(CR4_GUEST_HOST_MASK, NULL),
	F(CR0_READ_SHADOW, NULL),
	F(CR4_READ_SHADOW, NULL),
	F(CR3_TARGET_VALUE0, NULL),
	F(CR3_TARGET_VALUE1, NULL),
	F(CR3_TARGET_VALUE2, NULL),
	F(CR3_TARGET_VALUE3, NULL),
	F(EXIT_QUALIFICATION, NULL),
	F(IO_RCX, NULL),
	F(IO_RSI, NULL),
	F(IO_RDI, NULL),
	F(IO_RIP, NULL),
	F(GUEST_LINEAR_ADDRESS, NULL),
	F(GUEST_CR0, NULL),
	F(GUEST_CR3, NULL),
	F(GUEST_CR4, NULL),
	F(GUEST_ES_BASE, NULL),
	F(GUEST_CS_BASE, NULL),
	F(GUEST_SS_BASE, NULL),
	F(GUEST_DS_BASE, NULL),
	F(GUEST_FS_BASE, NULL),
	F(GUEST_GS_BASE, NULL),
	F(GUEST_LDTR_BASE, NULL),
	F(GUEST_TR_BASE, NULL),
	F(GUEST_GDTR_BASE, NULL),
	F(GUEST_IDTR_BASE, NULL),
	F(GUEST_DR7, NULL),
	F(GUEST_RSP, NULL),
	F(GUEST_RIP, NULL),
	F(GUEST_RFLAGS, NULL),
	F(GUEST_PENDING_DEBUG, NULL),
	F(GUEST_SYSENTER_ESP, NULL),
	F(GUEST_SYSENTER_EIP, NULL),
	F(GUEST_S_CET, guest_cet),
	F(GUEST_SSP, guest_cet),
	F(GUEST_INTERRUPT_SSP_TABLE, guest_cet),
	F(HOST_CR0, NULL),
	F(HOST_CR3, NULL),
	F(HOST_CR4, NULL),
	F(HOST_FS_BASE, NULL),
	F(HOST_GS_BASE, NULL),
	F(HOST_TR_BASE, NULL),
	F(HOST_GDTR_BASE, NULL),
	F(HOST_IDTR_BASE, NULL),
	F(HOST_SYSENTER_ESP, NULL),
	F(HOST_SYSENTER_EIP, NULL),
	F(HOST_RSP, NULL),
	F(HOST_RIP, NULL),
	F(HOST_S_CET, host_cet),
	F(HOST_SSP, host_cet),
	F(HOST_INTERRUPT_SSP_TABLE, host_cet),
};

#undef F

const unsigned vmcs_field_count = ARRAY_SIZE(vmcs_fields);

u64 field_mask(u32 encoding)
{
	/* Processors may drop the reserved bits of access rights. */
	if (encoding >= VMCS_GUEST_ES_ACCESS_RIGHTS && encoding <= VMCS_GUEST_TR_ACCESS_RIGHTS)
		return AR_UNUSABLE | BITS(15, 12) | BITS(7, 0);
	switch (field_width(encoding)) {
	case VMCS_WIDTH_16:
		return BITS(15, 0);
	case VMCS_WIDTH_32:
		return BITS(31, 0);
	default:
		return ~0ull;
	}
}

u64 field_pattern(u32 encoding, u64 salt)
{
	u64 x = (encoding + 1) * 0x9e3779b97f4a7c15 + salt * 0xc2b2ae3d27d4eb4f;

	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9;
	x ^= x >> 32;
	return x & field_mask(encoding);
}
