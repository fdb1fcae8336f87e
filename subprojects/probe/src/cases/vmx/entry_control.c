/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Checks on VMX Controls". */
#include "entries.h"
#include "vmx/eptmap.h"

static const u64 BAD = VM_FAIL(VMERR_ENTRY_INVALID_CONTROL);

static u64 too_wide(void)
{
	return BIT(vmx_address_bits());
}

/* "Reserved bits … must be set properly": each bit that the capability MSRs pin. */
PROBE_CASE(entry_reserved, "vmx.entry.control_bits", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	/* How many there are is the CPU's business, or what a hypervisor does not offer. */
	l2->quiet = true;
	for (enum vmx_ctl ctl = 0; ctl < CTL_COUNT; ctl++) {
		u32 must = vmx_ctl_must(ctl), may = vmx_ctl_may(ctl);

		if (!vmx_ctl_exists(ctl) || !l2_enable(ctl, 0))
			continue;
		for (unsigned bit = 0; bit < 32; bit++)
			if ((must & BIT(bit)) || !(may & BIT(bit)))
				ENTRY_FLIP(vmx_ctl_field(ctl), BIT(bit), BAD);
	}
	/* Not activated, they are not looked at. */
	if (vmx_ctl_exists(CTL_CPU3) && l2_disable(CTL_CPU, CPU_TERTIARY_CONTROLS))
		ENTRY(VMCS_TERTIARY_CONTROLS, ~0ull, ENTERED);
	if (vmx_ctl_exists(CTL_EXIT2) && l2_disable(CTL_EXIT, EXIT_SECONDARY_CONTROLS))
		ENTRY(VMCS_SECONDARY_EXIT_CONTROLS, ~0ull, ENTERED);
	l2->quiet = false;
	ENTRY_STILL_GOOD();
}

/* An address that must be aligned and within the physical-address width. */
static void check_address(struct run *t, struct l2 *l2, u64 field, unsigned align_bits)
{
	u64 page = (u64)vmx_pages(1);
	u64 before = vmread(field);

	vmwrite(field, page);
	for (unsigned bit = 0; bit<align_bits; bit += align_bits> 4 ? 3 : 1)
		ENTRY(field, page | BIT(bit), BAD);
	ENTRY(field, page | too_wide(), BAD);
	ENTRY(field, page | BIT(63), BAD);
	ENTRY(field, page, ENTERED);
	vmwrite(field, before);
}

PROBE_CASE(entry_bitmaps, "vmx.entry.bitmap_addresses", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	if (l2_enable(CTL_CPU, CPU_USE_IO_BITMAPS)) {
		vmwrite(VMCS_IO_BITMAP_A, (u64)vmx_pages(1));
		vmwrite(VMCS_IO_BITMAP_B, (u64)vmx_pages(1));
		check_address(t, l2, VMCS_IO_BITMAP_A, 12);
		check_address(t, l2, VMCS_IO_BITMAP_B, 12);
		l2_disable(CTL_CPU, CPU_USE_IO_BITMAPS);
		ENTRY(VMCS_IO_BITMAP_A, 1, ENTERED);
	}
	if (l2_enable(CTL_CPU, CPU_USE_MSR_BITMAPS)) {
		check_address(t, l2, VMCS_MSR_BITMAP, 12);
		l2_disable(CTL_CPU, CPU_USE_MSR_BITMAPS);
		ENTRY(VMCS_MSR_BITMAP, 1, ENTERED);
	}
	if (l2_enable(CTL_CPU2, CPU2_VMCS_SHADOWING)) {
		vmwrite(VMCS_VMREAD_BITMAP, (u64)vmx_pages(1));
		vmwrite(VMCS_VMWRITE_BITMAP, (u64)vmx_pages(1));
		check_address(t, l2, VMCS_VMREAD_BITMAP, 12);
		check_address(t, l2, VMCS_VMWRITE_BITMAP, 12);
	}
}

PROBE_CASE(entry_nmi, "vmx.entry.nmi_controls", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_PIN, PIN_VIRTUAL_NMIS);
	ENTRY_STILL_GOOD();
	ENTRY_FLIP(VMCS_PIN_CONTROLS, PIN_NMI_EXITING, BAD);
	l2_disable(CTL_PIN, PIN_VIRTUAL_NMIS);
	ENTRY_FLIP(VMCS_PIN_CONTROLS, PIN_NMI_EXITING, ENTERED);
	L2_NEED(t, CTL_CPU, CPU_NMI_WINDOW_EXITING);
	ENTRY(VMCS_GUEST_RSP, 0, BAD);
}

PROBE_CASE(entry_tpr, "vmx.entry.tpr_shadow", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u8 *apic;

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU, CPU_TPR_SHADOW);
	apic = vmx_pages(1);
	vmwrite(VMCS_VIRTUAL_APIC_ADDR, (u64)apic);
	vmwrite(VMCS_TPR_THRESHOLD, 0);
	check_address(t, l2, VMCS_VIRTUAL_APIC_ADDR, 12);
	for (unsigned bit = 4; bit < 32; bit++)
		ENTRY(VMCS_TPR_THRESHOLD, BIT(bit), BAD);
	/* "… bits 3:0 of the TPR threshold … not greater than bits 7:4 of VTPR". */
	apic[0x80] = 0x50;
	ENTRY(VMCS_TPR_THRESHOLD, 5, ENTERED);
	ENTRY(VMCS_TPR_THRESHOLD, 6, BAD);
	apic[0x80] = 0x5f;
	ENTRY(VMCS_TPR_THRESHOLD, 6, BAD);
	l2_disable(CTL_CPU, CPU_TPR_SHADOW);
	ENTRY(VMCS_TPR_THRESHOLD, 0xffffffff, ENTERED);
	if (l2_enable(CTL_CPU2, CPU2_VIRTUAL_X2APIC))
		ENTRY(VMCS_GUEST_RSP, 0, BAD);
	l2_disable(CTL_CPU2, CPU2_VIRTUAL_X2APIC);
	if (l2_enable(CTL_CPU2, CPU2_APIC_REGISTER_VIRT))
		ENTRY(VMCS_GUEST_RSP, 0, BAD);
	l2_disable(CTL_CPU2, CPU2_APIC_REGISTER_VIRT);
	if (l2_enable(CTL_CPU2, CPU2_VIRTUAL_INTR_DELIVERY))
		ENTRY(VMCS_GUEST_RSP, 0, BAD);
	l2_disable(CTL_CPU2, CPU2_VIRTUAL_INTR_DELIVERY);
	ENTRY_STILL_GOOD();
}

PROBE_CASE(entry_apic, "vmx.entry.apic_virtualization", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	if (l2_enable(CTL_CPU2, CPU2_VIRTUAL_APIC_ACCESSES)) {
		check_address(t, l2, VMCS_APIC_ACCESS_ADDR, 12);
		vmwrite(VMCS_APIC_ACCESS_ADDR, (u64)vmx_pages(1));
		ENTRY_STILL_GOOD();
	}
	L2_NEED(t, CTL_CPU, CPU_TPR_SHADOW);
	vmwrite(VMCS_VIRTUAL_APIC_ADDR, (u64)vmx_pages(1));
	vmwrite(VMCS_TPR_THRESHOLD, 0);
	if (vmx_has(CTL_CPU2, CPU2_VIRTUAL_X2APIC | CPU2_VIRTUAL_APIC_ACCESSES))
		ENTRY_FLIP(VMCS_SECONDARY_CONTROLS, CPU2_VIRTUAL_X2APIC, BAD);
	if (l2_enable(CTL_CPU2, CPU2_VIRTUAL_INTR_DELIVERY)) {
		vmwrite(VMCS_GUEST_INTERRUPT_STATUS, 0);
		ENTRY_STILL_GOOD();
		ENTRY_FLIP(VMCS_PIN_CONTROLS, PIN_EXT_INTR_EXITING, BAD);
	}
	L2_NEED(t, CTL_PIN, PIN_POSTED_INTR);
	L2_NEED(t, CTL_EXIT, EXIT_ACK_INTR);
	vmwrite(VMCS_POSTED_INTR_DESC_ADDR, (u64)vmx_pages(1));
	vmwrite(VMCS_POSTED_INTR_NOTIFICATION_VECTOR, 0xe1);
	ENTRY_STILL_GOOD();
	check_address(t, l2, VMCS_POSTED_INTR_DESC_ADDR, 6);
	ENTRY(VMCS_POSTED_INTR_NOTIFICATION_VECTOR, 0x100, BAD);
	ENTRY_FLIP(VMCS_EXIT_CONTROLS, EXIT_ACK_INTR, BAD);
	ENTRY_FLIP(VMCS_SECONDARY_CONTROLS, CPU2_VIRTUAL_INTR_DELIVERY, BAD);
}

PROBE_CASE(entry_vpid, "vmx.entry.vpid", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU2, CPU2_VPID);
	vmwrite(VMCS_VPID, 1);
	ENTRY_STILL_GOOD();
	ENTRY(VMCS_VPID, 0, BAD);
	ENTRY(VMCS_VPID, 0xffff, ENTERED);
}

PROBE_CASE(entry_eptp, "vmx.entry.ept_pointer", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 cap, eptp;

	if (!l2)
		return;
	cap = vmx_ept_vpid_cap();
	if (l2_enable(CTL_CPU2, CPU2_UNRESTRICTED_GUEST))
		ENTRY(VMCS_GUEST_RSP, 0, BAD);
	l2_disable(CTL_CPU2, CPU2_UNRESTRICTED_GUEST);
	if (l2_enable(CTL_CPU2, CPU2_PML))
		ENTRY(VMCS_GUEST_RSP, 0, BAD);
	l2_disable(CTL_CPU2, CPU2_PML);
	if (l2_enable(CTL_CPU2, CPU2_MBEC))
		ENTRY(VMCS_GUEST_RSP, 0, BAD);
	l2_disable(CTL_CPU2, CPU2_MBEC);
	L2_NEED_EPT(t, l2);
	ENTRY_STILL_GOOD();
	eptp = ept_pointer(l2->ept);
	for (u64 type = 0; type < 8; type++)
		ENTRY(VMCS_EPT_POINTER, (eptp & ~7ull) | type,
		      (type == MEMTYPE_UC && cap & EPT_CAP_UC) ||
				      (type == MEMTYPE_WB && cap & EPT_CAP_WB)
			      ? ENTERED
			      : BAD);
	for (u64 length = 0; length < 8; length++)
		if (length != 3 && length != 4)
			ENTRY(VMCS_EPT_POINTER, (eptp & ~(u64)EPTP_WALK) | length << 3, BAD);
	if (!(cap & EPT_CAP_WALK_5))
		ENTRY(VMCS_EPT_POINTER, (eptp & ~(u64)EPTP_WALK) | 4 << 3, BAD);
	ENTRY(VMCS_EPT_POINTER, eptp | EPTP_AD, cap & EPT_CAP_AD ? ENTERED : BAD);
	ENTRY(VMCS_EPT_POINTER, eptp | EPTP_SHADOW_STACK,
	      cap & EPT_CAP_SHADOW_STACK ? ENTERED : BAD);
	for (unsigned bit = 8; bit < 12; bit++)
		ENTRY(VMCS_EPT_POINTER, eptp | BIT(bit), BAD);
	for (unsigned bit = vmx_address_bits(); bit < 64; bit++)
		ENTRY(VMCS_EPT_POINTER, eptp | BIT(bit), BAD);
	ENTRY_STILL_GOOD();
	if (l2_enable(CTL_CPU2, CPU2_EPT_VIOLATION_VE)) {
		check_address(t, l2, VMCS_VE_INFO_ADDR, 12);
		l2_disable(CTL_CPU2, CPU2_EPT_VIOLATION_VE);
	}
	if (l2_enable(CTL_CPU2, CPU2_PML))
		check_address(t, l2, VMCS_PML_ADDRESS, 12);
}

PROBE_CASE(entry_vmfunc, "vmx.entry.vm_functions", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 functions;

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU2, CPU2_VM_FUNCTIONS);
	functions = rdmsr(MSR_IA32_VMX_VMFUNC);
	vmwrite(VMCS_VM_FUNCTION_CONTROLS, 0);
	ENTRY_STILL_GOOD();
	for (unsigned bit = 0; bit < 64; bit++)
		if (!(functions & BIT(bit)))
			ENTRY(VMCS_VM_FUNCTION_CONTROLS, BIT(bit), BAD);
	if (!(functions & BIT(0)))
		return;
	/* EPTP switching needs EPT and an aligned list. */
	ENTRY(VMCS_VM_FUNCTION_CONTROLS, BIT(0), BAD);
	L2_NEED_EPT(t, l2);
	vmwrite(VMCS_VM_FUNCTION_CONTROLS, BIT(0));
	check_address(t, l2, VMCS_EPTP_LIST_ADDR, 12);
}

static void check_msr_area(struct run *t, struct l2 *l2, u64 count, u64 address)
{
	u64 page = (u64)vmx_pages(1);

	vmwrite(address, page);
	/* No entries: the address does not matter. */
	ENTRY(address, page | 1, ENTERED);
	ENTRY(address, page | too_wide(), ENTERED);
	/* An entry that loads and stores well. */
	((u32 *)page)[0] = MSR_IA32_KERNEL_GS_BASE;
	vmwrite(count, 1);
	for (unsigned bit = 0; bit < 4; bit++)
		ENTRY(address, page | BIT(bit), BAD);
	ENTRY(address, page | too_wide(), BAD);
	ENTRY(address, page, ENTERED);
	/* "The address of the last byte … should not set any bits beyond the … width." */
	vmwrite(count, 2);
	ENTRY(address, too_wide() - 16, BAD);
	vmwrite(count, 0);
	vmwrite(address, 0);
}

PROBE_CASE(entry_msr_areas, "vmx.entry.msr_area_addresses", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	check_msr_area(t, l2, VMCS_VM_EXIT_MSR_STORE_COUNT, VMCS_VM_EXIT_MSR_STORE_ADDR);
	check_msr_area(t, l2, VMCS_VM_EXIT_MSR_LOAD_COUNT, VMCS_VM_EXIT_MSR_LOAD_ADDR);
	check_msr_area(t, l2, VMCS_VM_ENTRY_MSR_LOAD_COUNT, VMCS_VM_ENTRY_MSR_LOAD_ADDR);
	ENTRY_STILL_GOOD();
	if (vmx_has(CTL_EXIT, EXIT_SAVE_PREEMPTION_TIMER))
		ENTRY_FLIP(VMCS_EXIT_CONTROLS, EXIT_SAVE_PREEMPTION_TIMER, BAD);
	/* "If the processor is not in SMM, … must be 0." */
	ENTRY_FLIP(VMCS_ENTRY_CONTROLS, ENTRY_DEACTIVATE_DUAL_SMM, BAD);
	ENTRY_STILL_GOOD();
}

#define EVENT(type, vector, flags) ((u32)INTR_INFO_VALID | (type) | (vector) | (u32)(flags))

static const u32 others[] = {
	EVENT(INTR_TYPE_EXTERNAL, 0x80, 0),
	EVENT(INTR_TYPE_NMI, VECTOR_NMI, 0),
	EVENT(INTR_TYPE_SW_INTERRUPT, 13, 0),
};

PROBE_CASE(entry_event, "vmx.entry.event_to_inject", CASE_EACH_CPU)
{
	static const u32 codes = (u32)(BIT(8) | BITS(14, 10) | BIT(17));
	struct l2 *l2 = l2_begin(t);
	bool any_code;

	if (!l2)
		return;
	any_code = rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_ANY_ERROR_CODE;
	l2_inject(0, 0, 1);
	/* Not valid: nothing else in it matters. */
	ENTRY(VMCS_VM_ENTRY_INTR_INFO, 0x7fffffff, ENTERED);
	ENTRY(VMCS_VM_ENTRY_INTR_INFO, EVENT(1 << 8, 32, 0), BAD);
	ENTRY(VMCS_VM_ENTRY_INTR_INFO, EVENT(INTR_TYPE_NMI, 3, 0), BAD);
	ENTRY(VMCS_VM_ENTRY_INTR_INFO, EVENT(INTR_TYPE_HW_EXCEPTION, 32, 0), BAD);
	for (unsigned bit = 12; bit < 31; bit++)
		ENTRY(VMCS_VM_ENTRY_INTR_INFO, EVENT(INTR_TYPE_HW_EXCEPTION, 6, BIT(bit)), BAD);
	/*
	 * The error code: for those exceptions that have one, and nothing else. IA32_VMX_BASIC bit
	 * 56 lifts that for hardware exceptions; Bochs 2.7 then lifts it for all types.
	 */
	for (u32 vector = 0; vector < 20 && !any_code; vector++) {
		bool code = codes & BIT(vector);

		if (vector == 9 || vector == 15)
			continue;
		ENTRY(VMCS_VM_ENTRY_INTR_INFO,
		      EVENT(INTR_TYPE_HW_EXCEPTION, vector, code ? 0 : INTR_INFO_ERROR_CODE), BAD);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(others) && !any_code; i++)
		ENTRY(VMCS_VM_ENTRY_INTR_INFO, others[i] | (u32)INTR_INFO_ERROR_CODE, BAD);
	/* Bits 31:16 of the error code. */
	vmwrite(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, BIT(31));
	ENTRY(VMCS_VM_ENTRY_INTR_INFO, EVENT(INTR_TYPE_HW_EXCEPTION, 13, INTR_INFO_ERROR_CODE),
	      BAD);
	ENTRY(VMCS_VM_ENTRY_INTR_INFO, EVENT(INTR_TYPE_HW_EXCEPTION, 6, 0), ENTERED);
	vmwrite(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, 0);
	ENTRY_STILL_GOOD();
}

PROBE_CASE(entry_code_type, "vmx.entry.error_code_of_others", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	l2_inject(0, 0, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		ENTRY(VMCS_VM_ENTRY_INTR_INFO, others[i] | (u32)INTR_INFO_ERROR_CODE, BAD);
}

/*
 * "Entry to SMM" outside SMM: Bochs 2.7 looks at the guest's state for it instead. "Type 7 (other
 * event) is reserved on logical processors that do not support the monitor trap flag; vector 0 if
 * the interruption type is other event": there Bochs 2.7 ends itself.
 */
PROBE_CASE(entry_smm, "vmx.entry.entry_to_smm", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	ENTRY_FLIP(VMCS_ENTRY_CONTROLS, ENTRY_SMM, BAD);
}

PROBE_CASE(entry_other_event, "vmx.entry.other_event", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	if (!vmx_has(CTL_CPU, CPU_MONITOR_TRAP_FLAG))
		ENTRY(VMCS_VM_ENTRY_INTR_INFO, EVENT(INTR_TYPE_OTHER, 0, 0), BAD);
	ENTRY(VMCS_VM_ENTRY_INTR_INFO, EVENT(INTR_TYPE_OTHER, 1, 0), BAD);
}

/* "If the interruption type is software interrupt, … the instruction length in the range 1-15." */
PROBE_CASE(entry_length, "vmx.entry.injected_instruction_length", CASE_EACH_CPU)
{
	static const u32 types[] = {INTR_TYPE_SW_INTERRUPT, INTR_TYPE_PRIV_SW_EXC,
				    INTR_TYPE_SW_EXCEPTION};
	struct l2 *l2 = l2_begin(t);
	bool zero;

	if (!l2)
		return;
	zero = rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_ZERO_LEN_INJECT;
	vmwrite(VMCS_EXCEPTION_BITMAP, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		u32 vector = types[i] == INTR_TYPE_PRIV_SW_EXC ? 1 : 3;

		l2_inject(EVENT(types[i], vector, 0), 0, 1);
		ENTRY(VMCS_VM_ENTRY_INSTRUCTION_LENGTH, 16, BAD);
		ENTRY(VMCS_VM_ENTRY_INSTRUCTION_LENGTH, 0xffffffff, BAD);
		if (!zero)
			ENTRY(VMCS_VM_ENTRY_INSTRUCTION_LENGTH, 0, BAD);
		ENTRY(VMCS_VM_ENTRY_INSTRUCTION_LENGTH, 15, ENTERED);
		/* "VM exits clear the valid bit", so it has gone. */
		CHECK_EQ(t, vmread(VMCS_VM_ENTRY_INTR_INFO) & INTR_INFO_VALID, 0);
	}
	l2_inject(0, 0, 0);
	ENTRY(VMCS_VM_ENTRY_INSTRUCTION_LENGTH, 99, ENTERED);
}

L2_CODE(code_vmcall, "");

/* SDM "Basic VM-Entry Checks". */
PROBE_CASE(entry_launch_state, "vmx.entry.launch_state", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	l2->launched = true;
	l2_goto(l2, code_vmcall);
	CHECK_VM(t, l2_run(l2), VM_FAIL(VMERR_VMRESUME_NOT_LAUNCHED));
	l2->launched = false;
	CHECK_VM(t, l2_run(l2), VM_OK);
	l2->launched = false;
	CHECK_VM(t, l2_run(l2), VM_FAIL(VMERR_VMLAUNCH_NOT_CLEAR));
	/* The launch state comes before the controls. */
	ENTRY(VMCS_PIN_CONTROLS, 0, VM_FAIL(VMERR_VMLAUNCH_NOT_CLEAR));
	l2->launched = true;
	CHECK_VM(t, l2_run(l2), VM_OK);
	/* VMCLEAR makes it clear; VMPTRLD keeps it. */
	CHECK_VM(t, try_vmptrld(l2->vmcs), VM_OK);
	l2_goto(l2, code_vmcall);
	CHECK_VM(t, l2_run(l2), VM_OK);
	CHECK_VM(t, try_vmclear(l2->vmcs), VM_OK);
	CHECK_VM(t, try_vmptrld(l2->vmcs), VM_OK);
	CHECK_VM(t, l2_run(l2), VM_FAIL(VMERR_VMRESUME_NOT_LAUNCHED));
	/* A failed entry does not launch. */
	l2->launched = false;
	ENTRY(VMCS_PIN_CONTROLS, 0, BAD);
	ENTRY(VMCS_GUEST_RFLAGS, 0, BAD_GUEST);
	l2->launched = true;
	CHECK_VM(t, l2_run(l2), VM_FAIL(VMERR_VMRESUME_NOT_LAUNCHED));
	l2->launched = false;
	ENTRY_STILL_GOOD();
}

/* "If there is MOV-SS blocking, … VMfailValid" with 26, whatever the launch state. */
PROBE_CASE(entry_mov_ss, "vmx.entry.mov_ss_blocking", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	CHECK_VM(t,
		 VMX_INSN("mov %[ss], %%ss\nvmlaunch",
			  : [ss] "r"((u64)0x10)
			  : "memory"),
		 VM_FAIL(VMERR_ENTRY_MOV_SS));
	CHECK_VM(t,
		 VMX_INSN("mov %[ss], %%ss\nvmresume",
			  : [ss] "r"((u64)0x10)
			  : "memory"),
		 VM_FAIL(VMERR_ENTRY_MOV_SS));
	ENTRY_STILL_GOOD();
}
