/* SPDX-License-Identifier: BSD-2-Clause */
#include "nested/checks.h"

#include <x86/cr.h>
#include <x86/ept.h>
#include <x86/memtype.h>
#include <x86/msr.h>
#include <x86/vmx.h>

#include "vmx/event.h"
#include "vmx/msr_bits.h"

/* Each check names itself when it fails. */
#define CHECK(condition)                   \
	do {                               \
		if (!(condition))          \
			return #condition; \
	} while (0)

/* Bits that must be 1, and all that may be. */
static bool fixed(u64 fixed0, u64 fixed1, u64 value)
{
	return !(fixed0 & ~value) && !(value & ~fixed1);
}

static bool allowed(vmx_control_cap cap, u64 value)
{
	return fixed((u32)cap, cap >> 32, value);
}

/* A physical address with this alignment (a power of two) that the CPU can form. */
static bool address(const struct check_context *ctx, u64 value, u64 alignment)
{
	return !(value & (alignment - 1)) && !(value >> ctx->caps->maxphyaddr);
}

/* SDM "Linear-Address Masking": with LAM, which CR4.LAM_SUP comes with, CR3 has its enable bits. */
static bool cr3(const struct check_context *ctx, u64 value)
{
	const u64 lam = ctx->caps->cr4_fixed1 & CR4_LAM_SUP ? CR3_LAM_U57 | CR3_LAM_U48 : 0;

	return !((value & ~lam) >> ctx->caps->maxphyaddr);
}

static bool canonical(u64 value, bool la57)
{
	return linear_is_canonical(value, la57 ? 57 : 48);
}

/* SDM "VM-Execution Control Fields", the part on interrupts and the APIC. */
static const char *check_apic(const struct vmcs12 *v, const struct check_context *ctx)
{
	const u64 pin = v->f[F_PIN_CONTROLS];
	const u64 primary = v->f[F_PRIMARY_CONTROLS];
	const u64 secondary = secondary_of(v);

	if (primary & CPU_TPR_SHADOW) {
		CHECK(address(ctx, v->f[F_VIRTUAL_APIC_ADDR], PAGE_SIZE));
		/* Shadowed, the value here is out of date; the hardware checks vmcs02's. */
		if (!(secondary & CPU2_VIRTUAL_INTR_DELIVERY) && !ctx->shadowed)
			CHECK(!(v->f[F_TPR_THRESHOLD] & BITS(31, 4)));
	} else {
		CHECK(!(secondary & (CPU2_VIRTUAL_X2APIC | CPU2_APIC_REGISTER_VIRT |
				     CPU2_VIRTUAL_INTR_DELIVERY)));
	}
	CHECK((pin & PIN_NMI_EXITING) || !(pin & PIN_VIRTUAL_NMIS));
	CHECK((pin & PIN_VIRTUAL_NMIS) || !(primary & CPU_NMI_WINDOW_EXITING));
	if (secondary & CPU2_VIRTUAL_APIC_ACCESSES) {
		CHECK(address(ctx, v->f[F_APIC_ACCESS_ADDR], PAGE_SIZE));
		CHECK(!(secondary & CPU2_VIRTUAL_X2APIC));
	}
	if (secondary & CPU2_VIRTUAL_INTR_DELIVERY)
		CHECK(pin & PIN_EXT_INTR_EXITING);
	if (pin & PIN_POSTED_INTR) {
		CHECK(secondary & CPU2_VIRTUAL_INTR_DELIVERY);
		CHECK(v->f[F_EXIT_CONTROLS] & EXIT_ACK_INTR);
		CHECK(v->f[F_POSTED_INTR_NOTIFICATION_VECTOR] <= 255);
		CHECK(address(ctx, v->f[F_POSTED_INTR_DESC_ADDR], 64));
	}
	return NULL;
}

bool check_eptp(u64 eptp, const struct nested_caps *caps)
{
	const u64 type = eptp & EPTP_MEMTYPE;

	if (type != MEMTYPE_WB && type != MEMTYPE_UC)
		return false;
	if (!(caps->ept_vpid & (type == MEMTYPE_WB ? EPT_CAP_WB : EPT_CAP_UC)))
		return false;
	if ((eptp & EPTP_WALK) != EPTP_WALK_4)
		return false;
	if ((eptp & EPTP_AD) && !(caps->ept_vpid & EPT_CAP_AD))
		return false;
	if ((eptp & EPTP_SHADOW_STACK) && !(caps->ept_vpid & EPT_CAP_SHADOW_STACK))
		return false;
	return !(eptp & EPTP_RESERVED_LOW) && !(eptp >> caps->maxphyaddr);
}

static const char *check_execution_controls(const struct vmcs12 *v, const struct check_context *ctx)
{
	const u64 primary = v->f[F_PRIMARY_CONTROLS];
	const u64 secondary = secondary_of(v);

	CHECK(allowed(ctx->caps->pin, v->f[F_PIN_CONTROLS]));
	CHECK(allowed(ctx->caps->primary, primary));
	if (primary & CPU_SECONDARY_CONTROLS)
		CHECK(allowed(ctx->caps->secondary, v->f[F_SECONDARY_CONTROLS]));
	if (primary & CPU_TERTIARY_CONTROLS)
		CHECK(allowed(ctx->caps->tertiary, v->f[F_TERTIARY_CONTROLS]));
	CHECK(v->f[F_CR3_TARGET_COUNT] <= (ctx->caps->misc & VMX_MISC_CR3_TARGETS) >> 16);
	if (primary & CPU_USE_IO_BITMAPS) {
		CHECK(address(ctx, v->f[F_IO_BITMAP_A], PAGE_SIZE));
		CHECK(address(ctx, v->f[F_IO_BITMAP_B], PAGE_SIZE));
	}
	if (primary & CPU_USE_MSR_BITMAPS)
		CHECK(address(ctx, v->f[F_MSR_BITMAP], PAGE_SIZE));
	const char *failed = check_apic(v, ctx);

	if (failed)
		return failed;
	if (secondary & CPU2_VPID)
		CHECK(v->f[F_VPID] != 0);
	if (secondary & CPU2_EPT)
		CHECK(check_eptp(v->f[F_EPT_POINTER], ctx->caps));
	CHECK((secondary & CPU2_EPT) || !(secondary & (CPU2_UNRESTRICTED_GUEST | CPU2_MBEC)));
	if (secondary & CPU2_PML) {
		CHECK(secondary & CPU2_EPT);
		CHECK(address(ctx, v->f[F_PML_ADDRESS], PAGE_SIZE));
	}
	if (secondary & CPU2_VM_FUNCTIONS) {
		CHECK(!(v->f[F_VM_FUNCTION_CONTROLS] & ~ctx->caps->vmfunc));
		if (v->f[F_VM_FUNCTION_CONTROLS] & VMFUNC_EPTP_SWITCHING) {
			CHECK(secondary & CPU2_EPT);
			CHECK(address(ctx, v->f[F_EPTP_LIST_ADDR], PAGE_SIZE));
		}
	}
	if (secondary & CPU2_VMCS_SHADOWING) {
		CHECK(address(ctx, v->f[F_VMREAD_BITMAP], PAGE_SIZE));
		CHECK(address(ctx, v->f[F_VMWRITE_BITMAP], PAGE_SIZE));
	}
	if (secondary & CPU2_EPT_VIOLATION_VE)
		CHECK(address(ctx, v->f[F_VE_INFO_ADDR], PAGE_SIZE));
	return NULL;
}

/* SDM "VM-Exit Control Fields": a list of 16-byte entries that the CPU can address. */
static bool msr_list(const struct check_context *ctx, u64 list, u64 count)
{
	return count == 0 ||
	       (address(ctx, list, 16) && !((list + count * 16 - 1) >> ctx->caps->maxphyaddr));
}

static const char *check_exit_controls(const struct vmcs12 *v, const struct check_context *ctx)
{
	const u64 exit = v->f[F_EXIT_CONTROLS];

	CHECK(allowed(ctx->caps->exit, exit));
	if (exit & EXIT_SECONDARY_CONTROLS)
		CHECK(allowed(ctx->caps->exit2, v->f[F_SECONDARY_EXIT_CONTROLS]));
	CHECK((v->f[F_PIN_CONTROLS] & PIN_PREEMPTION_TIMER) ||
	      !(exit & EXIT_SAVE_PREEMPTION_TIMER));
	CHECK(msr_list(ctx, v->f[F_VM_EXIT_MSR_STORE_ADDR], v->f[F_VM_EXIT_MSR_STORE_COUNT]));
	CHECK(msr_list(ctx, v->f[F_VM_EXIT_MSR_LOAD_ADDR], v->f[F_VM_EXIT_MSR_LOAD_COUNT]));
	return NULL;
}

static bool has_error_code(const struct nested_caps *caps, u32 vector)
{
	return vector_has_error_code(vector) &&
	       (vector != VECTOR_CP || (caps->cr4_fixed1 & CR4_CET));
}

/* SDM "VM-Entry Control Fields", the bullet on event injection. */
static const char *check_injection(const struct vmcs12 *v, const struct check_context *ctx)
{
	const u64 info = v->f[F_VM_ENTRY_INTR_INFO];
	const u32 type = info & INTR_INFO_TYPE;
	const u32 vector = info & INTR_INFO_VECTOR;
	const u64 length = v->f[F_VM_ENTRY_INSTRUCTION_LENGTH];
	const bool protected_mode =
		!(secondary_of(v) & CPU2_UNRESTRICTED_GUEST) || (v->f[F_GUEST_CR0] & CR0_PE);

	if (!(info & INTR_INFO_VALID))
		return NULL;
	CHECK(type != (1u << 8));
	CHECK(type != INTR_TYPE_OTHER || vmx_can_set(ctx->caps->primary, CPU_MONITOR_TRAP_FLAG));
	CHECK(type != INTR_TYPE_NMI || vector == VECTOR_NMI);
	CHECK(type != INTR_TYPE_HW_EXCEPTION || vector <= 31);
	CHECK(type != INTR_TYPE_OTHER || vector == 0);
	if (!protected_mode || type != INTR_TYPE_HW_EXCEPTION)
		CHECK(!(info & INTR_INFO_ERROR_CODE));
	else if (!(ctx->caps->basic & VMX_BASIC_ANY_ERROR_CODE))
		CHECK(!!(info & INTR_INFO_ERROR_CODE) == has_error_code(ctx->caps, vector));
	CHECK(!(info & (BITS(30, 12))));
	if (info & INTR_INFO_ERROR_CODE)
		CHECK(!(v->f[F_VM_ENTRY_EXCEPTION_ERROR_CODE] & BITS(31, 16)));
	if (event_is_software((u32)info)) {
		CHECK(length <= 15);
		CHECK(length != 0 || (ctx->caps->misc & VMX_MISC_ZERO_LEN_INJECT));
	}
	return NULL;
}

const char *check_controls(const struct vmcs12 *v, const struct check_context *ctx)
{
	const char *failed = check_execution_controls(v, ctx);

	if (!failed)
		failed = check_exit_controls(v, ctx);
	if (failed)
		return failed;
	CHECK(allowed(ctx->caps->entry, v->f[F_ENTRY_CONTROLS]));
	CHECK(msr_list(ctx, v->f[F_VM_ENTRY_MSR_LOAD_ADDR], v->f[F_VM_ENTRY_MSR_LOAD_COUNT]));
	return ctx->shadowed ? NULL : check_injection(v, ctx);
}

const char *check_host_state(const struct vmcs12 *v, const struct check_context *ctx)
{
	static const enum vmcs12_field selectors[] = {
		F_HOST_ES_SELECTOR, F_HOST_CS_SELECTOR, F_HOST_SS_SELECTOR, F_HOST_DS_SELECTOR,
		F_HOST_FS_SELECTOR, F_HOST_GS_SELECTOR, F_HOST_TR_SELECTOR};
	static const enum vmcs12_field bases[] = {
		F_HOST_FS_BASE,   F_HOST_GS_BASE,      F_HOST_TR_BASE,     F_HOST_GDTR_BASE,
		F_HOST_IDTR_BASE, F_HOST_SYSENTER_ESP, F_HOST_SYSENTER_EIP};
	const u64 exit = v->f[F_EXIT_CONTROLS];
	const bool host_64bit = exit & EXIT_HOST_64BIT;
	/* The width the CPU supports counts for bases, the one in use after the exit for RIP. */
	const bool has_la57 = ctx->caps->cr4_fixed1 & CR4_LA57;
	const bool uses_la57 = v->f[F_HOST_CR4] & CR4_LA57;

	CHECK(fixed(ctx->caps->cr0_fixed0, ctx->caps->cr0_fixed1, v->f[F_HOST_CR0]));
	CHECK(fixed(ctx->caps->cr4_fixed0, ctx->caps->cr4_fixed1, v->f[F_HOST_CR4]));
	CHECK(!(v->f[F_HOST_CR4] & CR4_CET) || (v->f[F_HOST_CR0] & CR0_WP));
	CHECK(cr3(ctx, v->f[F_HOST_CR3]));
	if (exit & EXIT_LOAD_PAT)
		CHECK(pat_is_valid(v->f[F_HOST_PAT]));
	if (exit & EXIT_LOAD_EFER) {
		const u64 efer = v->f[F_HOST_EFER];

		CHECK(!(efer & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)));
		CHECK(!!(efer & EFER_LMA) == host_64bit);
		CHECK(!!(efer & EFER_LME) == host_64bit);
	}
	if (exit & EXIT_LOAD_PERF_GLOBAL_CTRL)
		CHECK(!(v->f[F_HOST_PERF_GLOBAL_CTRL] & ~ctx->perf_global_ctrl));
	if (exit & EXIT_LOAD_CET) {
		CHECK(canonical(v->f[F_HOST_S_CET], has_la57));
		CHECK(!(v->f[F_HOST_S_CET] & BITS(9, 6)));
		CHECK((v->f[F_HOST_S_CET] & BITS(11, 10)) != BITS(11, 10));
		CHECK(canonical(v->f[F_HOST_SSP], has_la57));
		CHECK(!(v->f[F_HOST_SSP] & 3));
		CHECK(canonical(v->f[F_HOST_INTERRUPT_SSP_TABLE], has_la57));
	}
	if (exit & EXIT_LOAD_PKRS)
		CHECK(!(v->f[F_HOST_PKRS] >> 32));
	for (size_t i = 0; i < ARRAY_SIZE(selectors); i++)
		CHECK(!(v->f[selectors[i]] & 7));
	CHECK(v->f[F_HOST_CS_SELECTOR] != 0);
	CHECK(v->f[F_HOST_TR_SELECTOR] != 0);
	CHECK(v->f[F_HOST_SS_SELECTOR] != 0 || host_64bit);
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
		CHECK(canonical(v->f[bases[i]], has_la57));
	/* SDM "Checks Related to Address-Space Size". */
	CHECK(host_64bit == ctx->l1_in_ia32e);
	CHECK(host_64bit || !(v->f[F_ENTRY_CONTROLS] & ENTRY_IA32E_GUEST));
	if (host_64bit) {
		CHECK(v->f[F_HOST_CR4] & CR4_PAE);
		CHECK(canonical(v->f[F_HOST_RIP], uses_la57));
	} else {
		CHECK(!(v->f[F_HOST_CR4] & CR4_PCIDE));
		CHECK(!(v->f[F_HOST_RIP] >> 32));
		if (exit & EXIT_LOAD_CET) {
			CHECK(!(v->f[F_HOST_S_CET] >> 32));
			CHECK(!(v->f[F_HOST_SSP] >> 32));
		}
	}
	return NULL;
}

/* What the hardware cannot check: an MSR that Umbra loads, CR4 bits that are hidden from L1. */
const char *check_guest_state(const struct vmcs12 *v, u64 guest_cr4, u64 perf_global_ctrl,
			      const struct nested_caps *caps)
{
	CHECK(!(guest_cr4 & ~caps->cr4_fixed1));
	if (v->f[F_ENTRY_CONTROLS] & ENTRY_LOAD_PERF_GLOBAL_CTRL)
		CHECK(!(v->f[F_GUEST_PERF_GLOBAL_CTRL] & ~perf_global_ctrl));
	return NULL;
}

/* SDM "Checks on Guest Non-Register State". */
const char *check_link_pointer(const struct vmcs12 *v, const struct nested_caps *caps,
			       paddr_t current, u32 header)
{
	const struct check_context ctx = {.caps = caps};
	const u64 link = v->f[F_VMCS_LINK_POINTER];
	const bool shadowing = secondary_of(v) & CPU2_VMCS_SHADOWING;

	if (link == ~0ull)
		return NULL;
	CHECK(address(&ctx, link, PAGE_SIZE));
	CHECK((header & ~VMCS_SHADOW_INDICATOR) == (caps->basic & VMX_BASIC_REVISION));
	CHECK(!!(header & VMCS_SHADOW_INDICATOR) == shadowing);
	CHECK(link != current);
	return NULL;
}
