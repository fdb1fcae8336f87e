/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM appendix "VMX Capability Reporting Facility". */
#include "features.h"
#include "vmx/fields.h"
#include "vmx/vmx.h"

PROBE_CASE(cap_show, "vmx.cap.show", CASE_ONCE | CASE_EXPLICIT)
{
	SKIP_UNLESS(t, vmx_available(), "no VMX");
	for (u32 msr = MSR_IA32_VMX_BASIC; msr <= MSR_IA32_VMX_EXIT_CTLS2; msr++) {
		u64 value;

		if (!try_rdmsr(msr, &value).raised)
			print("# MSR %x %lx\n", msr, value);
	}
	print("# FEATURE_CONTROL %lx\n", rdmsr(MSR_IA32_FEATURE_CONTROL));
}

PROBE_CASE(cap_basic, "vmx.cap.basic", CASE_EACH_CPU)
{
	u64 basic, type;

	SKIP_UNLESS(t, vmx_available(), "no VMX");
	basic = rdmsr(MSR_IA32_VMX_BASIC);
	CHECK_EQ(t, basic & BIT(31), 0);
	CHECK(t, (basic & VMX_BASIC_REGION_SIZE) >> 32, "the region has no bytes");
	CHECK(t, (basic & VMX_BASIC_REGION_SIZE) >> 32 <= PAGE_SIZE, "more than 4096 bytes");
	/* "always 0 for processors that support Intel 64 architecture" */
	CHECK_EQ(t, basic & VMX_BASIC_32BIT_ADDR, 0);
	type = (basic & VMX_BASIC_MEMTYPE) >> 50;
	CHECK(t, type == 0 || type == 6, "memory type %lu", type);
	CHECK_EQ(t, basic & BITS(47, 45), 0);
}

/* SDM "Default Settings of Bits in VMX controls": must be 1 unless TRUE says otherwise. */
static const u32 default1[CTL_COUNT] = {
	[CTL_PIN] = 0x16,
	[CTL_CPU] = 0x0401e172,
	[CTL_EXIT] = 0x36dff,
	[CTL_ENTRY] = 0x11ff,
};

PROBE_CASE(cap_controls, "vmx.cap.controls", CASE_EACH_CPU)
{
	static const struct {
		u32 old, exact;
	} pairs[CTL_COUNT] = {
		[CTL_PIN] = {MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS},
		[CTL_CPU] = {MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS},
		[CTL_EXIT] = {MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS},
		[CTL_ENTRY] = {MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS},
	};
	bool has_true;

	SKIP_UNLESS(t, vmx_available(), "no VMX");
	has_true = rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_TRUE_CTLS;
	for (enum vmx_ctl ctl = 0; ctl < CTL_COUNT; ctl++) {
		u32 must = vmx_ctl_must(ctl), may = vmx_ctl_may(ctl);
		u64 old, exact;

		CHECK(t, !(must & ~may), "control %d: %x must be 1 and 0", ctl, must & ~may);
		if (!pairs[ctl].old)
			continue;
		old = rdmsr(pairs[ctl].old);
		CHECK(t, ((u32)old & default1[ctl]) == default1[ctl],
		      "control %d: %lx lacks default1 bits %x", ctl, old, default1[ctl]);
		CHECK(t, !((u32)old & ~(old >> 32)), "control %d: %lx contradicts itself", ctl,
		      old);
		if (!has_true) {
			CHECK_GP(t, try_rdmsr(pairs[ctl].exact, &exact));
			continue;
		}
		exact = rdmsr(pairs[ctl].exact);
		CHECK(t, exact >> 32 == old >> 32, "control %d: %lx and %lx allow other bits", ctl,
		      exact, old);
		CHECK(t, !((u32)exact & ~(u32)old), "control %d: TRUE %lx is stricter than %lx",
		      ctl, exact, old);
		CHECK(t, !(((u32)old ^ (u32)exact) & ~default1[ctl]),
		      "control %d: TRUE %lx frees others than default1 bits of %lx", ctl, exact,
		      old);
	}
	/* "Bits 31:0 … are always 0." */
	if (vmx_has(CTL_CPU, CPU_SECONDARY_CONTROLS))
		CHECK_EQ(t, (u32)rdmsr(MSR_IA32_VMX_PROCBASED_CTLS2), 0);
}

/* A control whose entry check demands another one cannot be there without it. */
PROBE_CASE(cap_dependencies, "vmx.cap.dependencies", CASE_EACH_CPU)
{
	static const struct {
		enum vmx_ctl ctl;
		u32 bit;
		enum vmx_ctl on;
		u32 needs;
	} rules[] = {
		{CTL_PIN, PIN_VIRTUAL_NMIS, CTL_PIN, PIN_NMI_EXITING},
		{CTL_CPU, CPU_NMI_WINDOW_EXITING, CTL_PIN, PIN_VIRTUAL_NMIS},
		{CTL_CPU2, CPU2_VIRTUAL_X2APIC, CTL_CPU, CPU_TPR_SHADOW},
		{CTL_CPU2, CPU2_APIC_REGISTER_VIRT, CTL_CPU, CPU_TPR_SHADOW},
		{CTL_CPU2, CPU2_VIRTUAL_INTR_DELIVERY, CTL_CPU, CPU_TPR_SHADOW},
		{CTL_CPU2, CPU2_VIRTUAL_INTR_DELIVERY, CTL_PIN, PIN_EXT_INTR_EXITING},
		{CTL_PIN, PIN_POSTED_INTR, CTL_CPU2, CPU2_VIRTUAL_INTR_DELIVERY},
		{CTL_PIN, PIN_POSTED_INTR, CTL_EXIT, EXIT_ACK_INTR},
		{CTL_CPU2, CPU2_UNRESTRICTED_GUEST, CTL_CPU2, CPU2_EPT},
		{CTL_CPU2, CPU2_PML, CTL_CPU2, CPU2_EPT},
		{CTL_CPU2, CPU2_MBEC, CTL_CPU2, CPU2_EPT},
		{CTL_CPU2, CPU2_SUB_PAGE_WRITE, CTL_CPU2, CPU2_EPT},
		{CTL_EXIT, EXIT_SAVE_PREEMPTION_TIMER, CTL_PIN, PIN_PREEMPTION_TIMER},
		{CTL_CPU, CPU_INTR_WINDOW_EXITING, CTL_PIN, PIN_EXT_INTR_EXITING},
		{CTL_CPU3, CPU3_HLAT, CTL_CPU2, CPU2_EPT},
		{CTL_CPU3, CPU3_EPT_PAGING_WRITE, CTL_CPU2, CPU2_EPT},
		{CTL_CPU3, CPU3_GUEST_PAGING_VERIFICATION, CTL_CPU2, CPU2_EPT},
		{CTL_CPU3, CPU3_IPI_VIRTUALIZATION, CTL_CPU, CPU_TPR_SHADOW},
	};

	SKIP_UNLESS(t, vmx_available(), "no VMX");
	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
		if (vmx_has(rules[i].ctl, rules[i].bit))
			CHECK(t, vmx_has(rules[i].on, rules[i].needs),
			      "control %d has %x without %x of control %d", rules[i].ctl,
			      rules[i].bit, rules[i].needs, rules[i].on);
	if (vmx_has(CTL_CPU2, CPU2_PML))
		CHECK(t, vmx_ept_vpid_cap() & EPT_CAP_AD, "PML without A/D flags");
	if (vmx_has(CTL_CPU2, CPU2_EPT))
		CHECK(t, vmx_ept_vpid_cap() & (EPT_CAP_WALK_4 | EPT_CAP_WALK_5), "no page walk");
	/* Unrestricted guests need IA-32e mode saved: "if … unrestricted guest, bit 5 is 1". */
	if (vmx_has(CTL_CPU2, CPU2_UNRESTRICTED_GUEST))
		CHECK(t, rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_SAVE_LMA, "MISC bit 5 is 0");
}

PROBE_CASE(cap_fixed, "vmx.cap.fixed_bits", CASE_EACH_CPU)
{
	u64 must0, must4, may0, may4;

	SKIP_UNLESS(t, vmx_available(), "no VMX");
	must0 = rdmsr(MSR_IA32_VMX_CR0_FIXED0);
	must4 = rdmsr(MSR_IA32_VMX_CR4_FIXED0);
	may0 = rdmsr(MSR_IA32_VMX_CR0_FIXED1);
	may4 = rdmsr(MSR_IA32_VMX_CR4_FIXED1);
	CHECK_EQ(t, must0 & ~may0, 0);
	CHECK_EQ(t, must4 & ~may4, 0);
	/* "Restrictions on VMX Operation": PE, NE and PG; CR4.VMXE. */
	CHECK_EQ(t, must0 & (CR0_PE | CR0_NE | CR0_PG), CR0_PE | CR0_NE | CR0_PG);
	CHECK_EQ(t, must4 & CR4_VMXE, CR4_VMXE);
	CHECK_EQ(t, may4 >> 32 & ~(CR4_FRED >> 32), 0);
}

PROBE_CASE(cap_existence, "vmx.cap.optional_msrs", CASE_EACH_CPU)
{
	u64 value;

	SKIP_UNLESS(t, vmx_available(), "no VMX");
#define EXISTS_IF(condition, msr)                            \
	do {                                                 \
		if (condition)                               \
			CHECK_OK(t, try_rdmsr(msr, &value)); \
		else                                         \
			CHECK_GP(t, try_rdmsr(msr, &value)); \
	} while (0)
	EXISTS_IF(vmx_has(CTL_CPU, CPU_SECONDARY_CONTROLS), MSR_IA32_VMX_PROCBASED_CTLS2);
	EXISTS_IF(vmx_ctl_may(CTL_CPU2) & (CPU2_EPT | CPU2_VPID), MSR_IA32_VMX_EPT_VPID_CAP);
	EXISTS_IF(vmx_has(CTL_CPU2, CPU2_VM_FUNCTIONS), MSR_IA32_VMX_VMFUNC);
	EXISTS_IF(vmx_has(CTL_CPU, CPU_TERTIARY_CONTROLS), MSR_IA32_VMX_PROCBASED_CTLS3);
	EXISTS_IF(vmx_has(CTL_EXIT, EXIT_SECONDARY_CONTROLS), MSR_IA32_VMX_EXIT_CTLS2);
}

PROBE_CASE(cap_readonly, "vmx.cap.read_only", CASE_EACH_CPU)
{
	SKIP_UNLESS(t, vmx_available(), "no VMX");
	for (u32 msr = MSR_IA32_VMX_BASIC; msr <= MSR_IA32_VMX_EXIT_CTLS2; msr++) {
		u64 value = 0;

		try_rdmsr(msr, &value);
		CHECK(t, try_wrmsr(msr, value).vector == VECTOR_GP, "WRMSR %x does not fault", msr);
	}
}

/* "The highest index value used for any VMCS encoding", which the CPU need not support. */
PROBE_CASE(cap_enum, "vmx.cap.vmcs_enum", CASE_ONCE)
{
	enum { INDEXES = 128 };
	u64 highest, found = 0, value;
	u64 vmcs;

	if (!vmx_prepare(t) || !vmx_on(t))
		return;
	vmcs = (u64)vmx_pages(1);
	vmx_prepare_region((void *)vmcs);
	CHECK_VM(t, try_vmclear(vmcs), VM_OK);
	CHECK_VM(t, try_vmptrld(vmcs), VM_OK);
	highest = rdmsr(MSR_IA32_VMX_VMCS_ENUM);
	CHECK_EQ(t, highest & ~BITS(9, 1), 0);
	highest >>= 1;
	for (u32 kind = 0; kind < 16; kind++)
		for (u32 index = 0; index < INDEXES; index++) {
			u32 field = (kind >> 2) << 13 | (kind & 3) << 10 | index << 1;

			if (try_vmread(field, &value) == VM_OK && index > found)
				found = index;
		}
	CHECK(t, found <= highest, "index %lx is in use, the highest is %lx", found, highest);
}

/* Software may expect all logical processors to have the same. */
static void compare_msrs(void *arg)
{
	struct run *t = arg;
	static u64 first[MSR_IA32_VMX_EXIT_CTLS2 - MSR_IA32_VMX_BASIC + 1];

	for (u32 i = 0; i < ARRAY_SIZE(first); i++) {
		u64 value = ~0ull;

		try_rdmsr(MSR_IA32_VMX_BASIC + i, &value);
		if (this_cpu()->index == 0)
			first[i] = value;
		else
			CHECK(t, first[i] == value, "MSR %x: %lx on CPU 0, %lx here",
			      MSR_IA32_VMX_BASIC + i, first[i], value);
	}
}

PROBE_CASE(cap_same, "vmx.cap.same_everywhere", CASE_EACH_CPU)
{
	SKIP_UNLESS(t, vmx_available(), "no VMX");
	compare_msrs(t);
}
