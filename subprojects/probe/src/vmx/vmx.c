/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/vmx.h"

#include "acpi.h"
#include "features.h"
#include "layout.h"
#include "memory.h"
#include "string.h"

/* What each CPU keeps from one case to the next. */
struct vmx_cpu {
	u8 *arena;
	size_t used;
	void *region;
	char name[24];
};

static struct vmx_cpu vmx_cpus[ACPI_MAX_CPUS];

static struct vmx_cpu *mine(void)
{
	return &vmx_cpus[this_cpu()->index];
}

bool vmx_available(void)
{
	u64 control;

	if (!has(FEATURE_VMX))
		return false;
	control = rdmsr(MSR_IA32_FEATURE_CONTROL);
	return !(control & FEATURE_CONTROL_LOCK) || control & FEATURE_CONTROL_VMX_OUTSIDE_SMX;
}

u32 vmx_ctl_msr(enum vmx_ctl ctl)
{
	static const u32 old[CTL_COUNT] = {
		[CTL_PIN] = MSR_IA32_VMX_PINBASED_CTLS,
		[CTL_CPU] = MSR_IA32_VMX_PROCBASED_CTLS,
		[CTL_CPU2] = MSR_IA32_VMX_PROCBASED_CTLS2,
		[CTL_EXIT] = MSR_IA32_VMX_EXIT_CTLS,
		[CTL_ENTRY] = MSR_IA32_VMX_ENTRY_CTLS,
		[CTL_CPU3] = MSR_IA32_VMX_PROCBASED_CTLS3,
		[CTL_EXIT2] = MSR_IA32_VMX_EXIT_CTLS2,
	};
	static const u32 exact[CTL_COUNT] = {
		[CTL_PIN] = MSR_IA32_VMX_TRUE_PINBASED_CTLS,
		[CTL_CPU] = MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
		[CTL_CPU2] = MSR_IA32_VMX_PROCBASED_CTLS2,
		[CTL_EXIT] = MSR_IA32_VMX_TRUE_EXIT_CTLS,
		[CTL_ENTRY] = MSR_IA32_VMX_TRUE_ENTRY_CTLS,
		[CTL_CPU3] = MSR_IA32_VMX_PROCBASED_CTLS3,
		[CTL_EXIT2] = MSR_IA32_VMX_EXIT_CTLS2,
	};

	return rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_TRUE_CTLS ? exact[ctl] : old[ctl];
}

u32 vmx_ctl_field(enum vmx_ctl ctl)
{
	static const u32 fields[CTL_COUNT] = {
		[CTL_PIN] = VMCS_PIN_CONTROLS,
		[CTL_CPU] = VMCS_PRIMARY_CONTROLS,
		[CTL_CPU2] = VMCS_SECONDARY_CONTROLS,
		[CTL_EXIT] = VMCS_EXIT_CONTROLS,
		[CTL_ENTRY] = VMCS_ENTRY_CONTROLS,
		[CTL_CPU3] = VMCS_TERTIARY_CONTROLS,
		[CTL_EXIT2] = VMCS_SECONDARY_EXIT_CONTROLS,
	};

	return fields[ctl];
}

bool vmx_ctl_exists(enum vmx_ctl ctl)
{
	switch (ctl) {
	case CTL_CPU2:
		return rdmsr(MSR_IA32_VMX_PROCBASED_CTLS) >> 32 & CPU_SECONDARY_CONTROLS;
	case CTL_CPU3:
		return rdmsr(MSR_IA32_VMX_PROCBASED_CTLS) >> 32 & CPU_TERTIARY_CONTROLS;
	case CTL_EXIT2:
		return rdmsr(MSR_IA32_VMX_EXIT_CTLS) >> 32 & EXIT_SECONDARY_CONTROLS;
	default:
		return true;
	}
}

/* "Tertiary Processor-Based VM-Execution Controls": the MSR says what may be 1, in 64 bits. */
static bool has_only_may(enum vmx_ctl ctl)
{
	return ctl == CTL_CPU3 || ctl == CTL_EXIT2;
}

u32 vmx_ctl_must(enum vmx_ctl ctl)
{
	return !vmx_ctl_exists(ctl) || has_only_may(ctl) ? 0 : (u32)rdmsr(vmx_ctl_msr(ctl));
}

u32 vmx_ctl_may(enum vmx_ctl ctl)
{
	if (!vmx_ctl_exists(ctl))
		return 0;
	return (u32)(rdmsr(vmx_ctl_msr(ctl)) >> (has_only_may(ctl) ? 0 : 32));
}

u64 vmx_ept_vpid_cap(void)
{
	if (!(vmx_ctl_may(CTL_CPU2) & (CPU2_EPT | CPU2_VPID)))
		return 0;
	return rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
}

unsigned vmx_address_bits(void)
{
	return cpuid(0x80000008, 0).eax & 0xff;
}

void vmx_prepare_region(void *page)
{
	*(u32 *)page = (u32)(rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION);
}

void *vmx_pages(size_t n)
{
	struct vmx_cpu *v = mine();
	u8 *p = v->arena + v->used * PAGE_SIZE;

	if (v->used + n > VMX_ARENA_PAGES) {
		print("# arena of %u pages is used up\n", VMX_ARENA_PAGES);
		asm volatile("ud2");
	}
	v->used += n;
	return memset(p, 0, n * PAGE_SIZE);
}

u64 vmx_region(void)
{
	return (u64)mine()->region;
}

bool vmx_prepare(struct run *t)
{
	struct vmx_cpu *v = mine();

	if (!vmx_available()) {
		run_skip(t, "no VMX");
		return false;
	}
	if (!v->arena) {
		v->arena = memory_pages(VMX_ARENA_PAGES);
		v->region = memory_pages(1);
	}
	v->used = 0;
	memset(v->region, 0, PAGE_SIZE);
	vmx_prepare_region(v->region);
	if (!(rdmsr(MSR_IA32_FEATURE_CONTROL) & FEATURE_CONTROL_LOCK))
		wrmsr(MSR_IA32_FEATURE_CONTROL,
		      FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_OUTSIDE_SMX);
	write_cr0(BASE_CR0 | rdmsr(MSR_IA32_VMX_CR0_FIXED0));
	write_cr4(BASE_CR4 | CR4_VMXE | rdmsr(MSR_IA32_VMX_CR4_FIXED0));
	return true;
}

bool vmx_on(struct run *t)
{
	u64 region = vmx_region();
	u64 outcome = try_vmxon(&region);

	check_vm(t, __LINE__, "VMXON", outcome, VM_OK);
	return outcome == VM_OK;
}

void vmx_cleanup(void)
{
	if (read_cr4() & CR4_VMXE)
		try_vmxoff();
}

u64 vm_outcome(u64 rflags)
{
	struct fault f = trap_taken();
	u64 number = 0;

	if (f.raised)
		return VM_FAULTED(f.vector, f.error);
	switch (rflags & VM_STATUS_FLAGS) {
	case 0:
		return VM_OK;
	case RFLAGS_CF:
		return VM_FAIL_INVALID;
	case RFLAGS_ZF:
		asm volatile("vmread %1, %0" : "+r"(number) : "r"((u64)VMCS_VM_INSTRUCTION_ERROR));
		return VM_FAIL(number);
	default:
		return VM_BAD_FLAGS | (rflags & VM_STATUS_FLAGS);
	}
}

const char *vm_outcome_name(u64 outcome)
{
	static const char hex[] = "0123456789abcdef";
	char *s = mine()->name;
	size_t n;

	if (outcome == VM_OK)
		return "VMsucceed";
	if (outcome == VM_FAIL_INVALID)
		return "VMfailInvalid";
	if (outcome & 0x4000) {
		memcpy(s, vector_name((u8)outcome), 4);
		s[3] = '(';
		for (n = 0; n < 8; n++)
			s[4 + n] = hex[outcome >> (60 - 4 * n) & 0xf];
		memcpy(s + 12, ")", 2);
		return s;
	}
	memcpy(s, outcome & 0x2000 ? "VMfailValid" : "flags", 12);
	n = strlen(s);
	s[n++] = '(';
	for (unsigned shift = 12; shift;) {
		shift -= 4;
		s[n++] = hex[outcome >> shift & 0xf];
	}
	memcpy(s + n, ")", 2);
	return s;
}

u64 vmread(u64 field)
{
	u64 value = 0;
	u64 outcome = try_vmread(field, &value);

	if (outcome != VM_OK) {
		print("# VMREAD of %lx: %s\n", field, vm_outcome_name(outcome));
		asm volatile("ud2");
	}
	return value;
}

void vmwrite(u64 field, u64 value)
{
	u64 outcome = try_vmwrite(field, value);

	if (outcome != VM_OK) {
		print("# VMWRITE of %lx: %s\n", field, vm_outcome_name(outcome));
		asm volatile("ud2");
	}
}

void vmwrite_segment(enum segment segment, u16 selector, u64 base, u32 limit, u32 rights)
{
	vmwrite(VMCS_GUEST_ES_SELECTOR + 2u * segment, selector);
	vmwrite(VMCS_GUEST_ES_BASE + 2u * segment, base);
	vmwrite(VMCS_GUEST_ES_LIMIT + 2u * segment, limit);
	vmwrite(VMCS_GUEST_ES_ACCESS_RIGHTS + 2u * segment, rights);
}

void check_vm(struct run *t, int line, const char *what, u64 got, u64 want)
{
	transcript(t, line, what, got);
	if (got == want)
		return;
	run_fail(t, line, "%s: %s", what, vm_outcome_name(got));
	print("#   expected %s\n", vm_outcome_name(want));
}
