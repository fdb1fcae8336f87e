/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "VMX Instruction Reference": VMXON, VMXOFF, VMCLEAR, VMPTRLD, VMPTRST and their pointers. */
#include "layout.h"
#include "vmx/vmx.h"

static u64 too_wide(u64 pa)
{
	if (rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_32BIT_ADDR)
		return pa | BIT(32);
	return vmx_address_bits() < 64 ? pa | BIT(vmx_address_bits()) : pa | 1;
}

static u64 new_vmcs(void)
{
	void *page = vmx_pages(1);

	vmx_prepare_region(page);
	return (u64)page;
}

static u64 current_vmcs(void)
{
	u64 pointer = 1;

	return try_vmptrst(&pointer) == VM_OK ? pointer : 2;
}

PROBE_CASE(insn_vmxon_pointer, "vmx.insn.vmxon_pointer", CASE_EACH_CPU)
{
	u64 good, pointer;
	u32 *region;

	if (!vmx_prepare(t))
		return;
	good = vmx_region();
	region = (u32 *)good;
	for (unsigned bit = 0; bit < PAGE_SHIFT; bit++) {
		pointer = good | BIT(bit);
		CHECK_VM(t, try_vmxon(&pointer), VM_FAIL_INVALID);
	}
	for (unsigned bit = vmx_address_bits(); bit < 64; bit++) {
		pointer = good | BIT(bit);
		CHECK_VM(t, try_vmxon(&pointer), VM_FAIL_INVALID);
	}
	*region ^= 1;
	CHECK_VM(t, try_vmxon(&good), VM_FAIL_INVALID);
	*region ^= 1 | BIT(31);
	CHECK_VM(t, try_vmxon(&good), VM_FAIL_INVALID);
	*region ^= BIT(31);
	CHECK_VM(t, try_vmxon(&good), VM_OK);
	CHECK_EQ(t, current_vmcs(), ~0ull);
	/* "VMXON executed in VMX root operation", without and with a current VMCS. */
	CHECK_VM(t, try_vmxon(&good), VM_FAIL_INVALID);
	pointer = new_vmcs();
	CHECK_VM(t, try_vmclear(pointer), VM_OK);
	CHECK_VM(t, try_vmptrld(pointer), VM_OK);
	CHECK_VM(t, try_vmxon(&good), VM_FAIL(VMERR_VMXON_IN_ROOT));
	CHECK_EQ(t, current_vmcs(), pointer);
	CHECK_VM(t, try_vmxoff(), VM_OK);
	CHECK_VM(t, try_vmxoff(), VM_UD);
	CHECK_VM(t, try_vmxon(&good), VM_OK);
	CHECK_EQ(t, current_vmcs(), ~0ull);
}

PROBE_CASE(insn_vmxon_cr, "vmx.insn.vmxon_control_registers", CASE_EACH_CPU)
{
	u64 region, cr4;

	if (!vmx_prepare(t))
		return;
	region = vmx_region();
	cr4 = read_cr4();
	if (rdmsr(MSR_IA32_VMX_CR0_FIXED0) & CR0_NE) {
		write_cr0(read_cr0() & ~CR0_NE);
		CHECK_VM(t, try_vmxon(&region), VM_GP);
		write_cr0(read_cr0() | CR0_NE);
	}
	write_cr4(cr4 & ~CR4_VMXE);
	CHECK_VM(t, try_vmxon(&region), VM_UD);
	write_cr4(cr4);
	CHECK_VM(t, try_vmxon(&region), VM_OK);
}

/* SDM "Restrictions on VMX Operation". */
PROBE_CASE(insn_fixed_bits, "vmx.insn.fixed_bits_in_operation", CASE_EACH_CPU)
{
	u64 cr0, cr4, must0, must4, may4;

	if (!vmx_prepare(t) || !vmx_on(t))
		return;
	cr0 = read_cr0();
	cr4 = read_cr4();
	must0 = rdmsr(MSR_IA32_VMX_CR0_FIXED0);
	must4 = rdmsr(MSR_IA32_VMX_CR4_FIXED0);
	may4 = rdmsr(MSR_IA32_VMX_CR4_FIXED1);
	for (unsigned bit = 0; bit < 32; bit++) {
		if (must0 & BIT(bit))
			CHECK_GP(t, try_write_cr0(cr0 & ~BIT(bit)));
		if (must4 & BIT(bit))
			CHECK_GP(t, try_write_cr4(cr4 & ~BIT(bit)));
		if (!(may4 & BIT(bit)))
			CHECK_GP(t, try_write_cr4(cr4 | BIT(bit)));
	}
	CHECK_EQ(t, read_cr0(), cr0);
	CHECK_EQ(t, read_cr4(), cr4);
	CHECK_OK(t, try_write_cr0(cr0 ^ CR0_TS));
	CHECK_EQ(t, read_cr0(), cr0 ^ CR0_TS);
	CHECK_OK(t, try_write_cr0(cr0));
	CHECK_OK(t, try_write_cr4(cr4 ^ CR4_PGE));
	CHECK_EQ(t, read_cr4(), cr4 ^ CR4_PGE);
	CHECK_OK(t, try_write_cr4(cr4));
}

/* "The feature-control MSR … if the lock bit is set, WRMSR to it causes #GP." */
PROBE_CASE(insn_feature_control, "vmx.insn.feature_control", CASE_EACH_CPU)
{
	u64 value;

	if (!vmx_prepare(t))
		return;
	value = rdmsr(MSR_IA32_FEATURE_CONTROL);
	CHECK(t, value & FEATURE_CONTROL_LOCK, "FEATURE_CONTROL %lx is unlocked", value);
	CHECK_GP(t, try_wrmsr(MSR_IA32_FEATURE_CONTROL, value));
	CHECK_GP(t, try_wrmsr(MSR_IA32_FEATURE_CONTROL, 0));
	CHECK_EQ(t, rdmsr(MSR_IA32_FEATURE_CONTROL), value);
}

PROBE_CASE(insn_vmclear, "vmx.insn.vmclear", CASE_EACH_CPU)
{
	u64 a, b;

	if (!vmx_prepare(t) || !vmx_on(t))
		return;
	a = new_vmcs();
	b = new_vmcs();
	CHECK_VM(t, try_vmclear(a + 8), VM_FAIL_INVALID);
	CHECK_VM(t, try_vmclear(vmx_region()), VM_FAIL_INVALID);
	CHECK_VM(t, try_vmclear(a), VM_OK);
	CHECK_VM(t, try_vmptrld(a), VM_OK);
	for (unsigned bit = 0; bit < PAGE_SHIFT; bit++)
		CHECK_VM(t, try_vmclear(b | BIT(bit)), VM_FAIL(VMERR_VMCLEAR_INVALID_ADDRESS));
	for (unsigned bit = vmx_address_bits(); bit < 64; bit++)
		CHECK_VM(t, try_vmclear(b | BIT(bit)), VM_FAIL(VMERR_VMCLEAR_INVALID_ADDRESS));
	CHECK_VM(t, try_vmclear(too_wide(b)), VM_FAIL(VMERR_VMCLEAR_INVALID_ADDRESS));
	CHECK_VM(t, try_vmclear(vmx_region()), VM_FAIL(VMERR_VMCLEAR_VMXON_POINTER));
	CHECK_EQ(t, current_vmcs(), a);
	/* Another than the current one. */
	CHECK_VM(t, try_vmclear(b), VM_OK);
	CHECK_EQ(t, current_vmcs(), a);
	CHECK_VM(t, try_vmclear(a), VM_OK);
	CHECK_EQ(t, current_vmcs(), ~0ull);
	CHECK_VM(t, try_vmclear(a), VM_OK);
}

PROBE_CASE(insn_vmptrld, "vmx.insn.vmptrld", CASE_EACH_CPU)
{
	u64 a, b;

	if (!vmx_prepare(t) || !vmx_on(t))
		return;
	a = new_vmcs();
	b = new_vmcs();
	CHECK_VM(t, try_vmclear(a), VM_OK);
	CHECK_VM(t, try_vmclear(b), VM_OK);
	CHECK_VM(t, try_vmptrld(a + 8), VM_FAIL_INVALID);
	CHECK_VM(t, try_vmptrld(vmx_region()), VM_FAIL_INVALID);
	CHECK_VM(t, try_vmptrld(a), VM_OK);
	CHECK_EQ(t, current_vmcs(), a);
	for (unsigned bit = 0; bit < PAGE_SHIFT; bit++)
		CHECK_VM(t, try_vmptrld(b | BIT(bit)), VM_FAIL(VMERR_VMPTRLD_INVALID_ADDRESS));
	for (unsigned bit = vmx_address_bits(); bit < 64; bit++)
		CHECK_VM(t, try_vmptrld(b | BIT(bit)), VM_FAIL(VMERR_VMPTRLD_INVALID_ADDRESS));
	CHECK_VM(t, try_vmptrld(vmx_region()), VM_FAIL(VMERR_VMPTRLD_VMXON_POINTER));
	*(u32 *)b ^= 2;
	CHECK_VM(t, try_vmptrld(b), VM_FAIL(VMERR_VMPTRLD_WRONG_REVISION));
	*(u32 *)b ^= 2;
	if (!vmx_has(CTL_CPU2, CPU2_VMCS_SHADOWING)) {
		*(u32 *)b ^= BIT(31);
		CHECK_VM(t, try_vmptrld(b), VM_FAIL(VMERR_VMPTRLD_WRONG_REVISION));
		*(u32 *)b ^= BIT(31);
	}
	CHECK_EQ(t, current_vmcs(), a);
	CHECK_VM(t, try_vmptrld(b), VM_OK);
	CHECK_EQ(t, current_vmcs(), b);
	CHECK_VM(t, try_vmptrld(b), VM_OK);
	CHECK_VM(t, try_vmptrld(a), VM_OK);
	CHECK_EQ(t, current_vmcs(), a);
}

PROBE_CASE(insn_no_current, "vmx.insn.no_current_vmcs", CASE_EACH_CPU)
{
	u64 value = 7;

	if (!vmx_prepare(t) || !vmx_on(t))
		return;
	CHECK_VM(t, try_vmread(VMCS_GUEST_RIP, &value), VM_FAIL_INVALID);
	CHECK_VM(t, try_vmread(~0ull, &value), VM_FAIL_INVALID);
	CHECK_EQ(t, value, 7);
	CHECK_VM(t, try_vmwrite(VMCS_GUEST_RIP, 0), VM_FAIL_INVALID);
	CHECK_VM(t, try_vmwrite(VMCS_EXIT_REASON, 0), VM_FAIL_INVALID);
	CHECK_VM(t, VMX_INSN("vmlaunch", : : "memory"), VM_FAIL_INVALID);
	CHECK_VM(t, VMX_INSN("vmresume", : : "memory"), VM_FAIL_INVALID);
	CHECK_VM(t, VMX_INSN("vmcall", : : "memory"), VM_FAIL_INVALID);
	if (vmx_ept_vpid_cap() & EPT_CAP_INVEPT)
		CHECK_VM(t, try_invept(0, 0, 0), VM_FAIL_INVALID);
	if (vmx_ept_vpid_cap() & VPID_CAP_INVVPID)
		CHECK_VM(t, try_invvpid(4, 1, 0), VM_FAIL_INVALID);
	/* Only SMM, or non-root operation with VM functions, knows these. */
	CHECK_VM(t, VMX_INSN("vmfunc", : "a"(0), "c"(0) : "memory"), VM_UD);
}
