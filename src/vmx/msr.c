/* SPDX-License-Identifier: BSD-2-Clause */
/* The policy of msr_table.c at work: the MSR bitmap, RDMSR and WRMSR, and what lists may load. */
#include "vmx/msr.h"

#include <umbra/interface.h>

#include <x86/msr.h>

#include "lib/insn.h"
#include "lib/string.h"
#include "mm/ept01.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "smp/panic.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/guest_level.h"
#include "vmx/instruction.h"
#include "vmx/interface.h"
#include "vmx/vmcs.h"
#include "vmx/xd_bit.h"

enum { INDEXED_MSRS = 0x2000 };

/* Constant once all CPUs are set up: they share it, and a VMCS may cache it. */
static u64 *bitmap;

/* The row of each MSR of the first range, and the first row behind it. */
static u8 row_of[INDEXED_MSRS];
static u32 rows_behind;

static const struct msr_policy *find(u32 msr)
{
	if (msr < INDEXED_MSRS)
		return &msr_table[row_of[index_masked(msr, INDEXED_MSRS)]];
	for (u32 i = rows_behind; i < msr_table_rows; i++) {
		if (msr >= msr_table[i].first && msr <= msr_table[i].last)
			return &msr_table[i];
	}
	return &msr_table[msr_table_rows];
}

/* The same for most MSRs that exit, whose row holds on every CPU. NULL: not one of those. */
static inline const struct msr_policy *find_at_once(u32 msr)
{
	const struct msr_policy *row = &msr_table[row_of[index_masked(msr, INDEXED_MSRS)]];

	return msr < INDEXED_MSRS && row->condition == MSR_ALWAYS ? row : NULL;
}

static void index_table(void)
{
	memset(row_of, (int)msr_table_rows, sizeof(row_of));
	for (u32 i = 0; i < msr_table_rows; i++) {
		const struct msr_policy *row = &msr_table[i];

		if (row->first >= INDEXED_MSRS)
			continue;
		for (u32 msr = row->first; msr <= row->last; msr += msr_stride(row))
			row_of[msr] = (u8)i;
		rows_behind = i + 1;
	}
}

/* Whether a row's read and write hold on this CPU. */
static bool applies(const struct vcpu *vcpu, const struct msr_policy *row)
{
	switch (row->condition) {
	case MSR_IF_PT_HIDDEN:
		return vcpu->cpuid_hidden.leaf14;
	case MSR_IF_LBR_RUNS_ON:
		return !vmx_can_set(vcpu->vmx.entry, ENTRY_LOAD_LBR_CTL) ||
		       !vmx_can_set(vcpu->vmx.exit, EXIT_CLEAR_LBR_CTL);
	case MSR_IF_HYPERVISOR_HIDDEN:
		return !vcpu->cpuid_hidden.options.hypervisor;
	case MSR_IF_L1D_FLUSHED:
		return vcpu->speculation.flush_l1d;
	default:
		return true;
	}
}

/* The current VMCS has it while the guest is out: set_controls() and merge_controls() see to it. */
static bool is_held(const struct vcpu *vcpu, const struct msr_policy *row)
{
	return row->field && vmx_can_set(vcpu->vmx.entry, row->control);
}

void msr_init_shared(void)
{
	bitmap = pages_alloc(1);
	if (!bitmap)
		fail("out of memory for the MSR bitmap");
	index_table();
	xd_bit_init();
}

paddr_t msr_bitmap_address(void)
{
	return virt_to_phys(bitmap);
}

u64 msr_bitmap_word(u32 index)
{
	return bitmap[index];
}

static void intercept_row(const struct msr_policy *row)
{
	for (u32 msr = row->first; msr <= row->last; msr += msr_stride(row)) {
		if (row->read != MSR_READ_CPU)
			msr_bitmap_set(bitmap, msr, false);
		if (row->write != MSR_WRITE_CPU)
			msr_bitmap_set(bitmap, msr, true);
	}
}

/* The XSAVE components whose registers the guest may load by XRSTORS. */
static u64 xss_bits(const struct vcpu *vcpu)
{
	const struct msr_policy *lbr = find(MSR_IA32_LBR_CTL);

	return cpuid_xss_mask(vcpu) & ~(applies(vcpu, lbr) ? XSS_LBR : 0);
}

/*
 * What firmware, or who had the CPU before, may have left running on it. Of a range that the CPU
 * does not have, not even the first one can be read.
 */
static void clear_row(const struct msr_policy *row)
{
	u64 value;

	for (u32 msr = row->first; msr <= row->last; msr += msr_stride(row)) {
		if (!rdmsr_safe(msr, &value))
			return;
		if (value)
			wrmsr_safe(msr, 0);
	}
}

void msr_init_cpu(struct vcpu *vcpu)
{
	u64 xss;

	vcpu->is_bsp = rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_BSP;
	ept01_read_mtrrs(&vcpu->mtrr);
	msr_bits_read(&vcpu->msr_bits);
	for (u32 i = 0; i < msr_table_rows; i++) {
		if (applies(vcpu, &msr_table[i]))
			intercept_row(&msr_table[i]);
		if (msr_table[i].clear)
			clear_row(&msr_table[i]);
	}
	if (rdmsr_safe(MSR_IA32_XSS, &xss) && (xss & ~xss_bits(vcpu)))
		wrmsr_safe(MSR_IA32_XSS, xss & xss_bits(vcpu));
}

/* Locked by firmware, without SMX, and without VMX where the guest is not to see it. */
static u64 feature_control(const struct vcpu *vcpu)
{
	const u64 vmx = offered_vmx.offered ? FEATURE_CONTROL_VMX_OUTSIDE_SMX : 0;

	return vmx |
	       (vcpu->vmx.feature_control &
		~(FEATURE_CONTROL_VMX_INSIDE_SMX | FEATURE_CONTROL_VMX_OUTSIDE_SMX |
		  FEATURE_CONTROL_SENTER)) |
	       FEATURE_CONTROL_LOCK;
}

/* VMX's capabilities, and Umbra's own. */
static bool read_offered(u32 msr, u64 *value)
{
	const u32 index = msr - MSR_IA32_VMX_BASIC;

	if (msr == UMBRA_MSR_TOKEN)
		return interface_token(value);
	if (index >= ARRAY_SIZE(offered_vmx.msr))
		return false;
	*value = offered_vmx.msr[index];
	return offered_vmx.msrs >> index & 1;
}

static bool read_mtrr(struct vcpu *vcpu, u32 msr, u64 *value)
{
	const u64 *mtrr = mtrr_register(&vcpu->mtrr, msr);

	if (mtrr)
		*value = *mtrr;
	return mtrr;
}

static bool read_cpu_with(u32 msr, u64 set, u64 clear, u64 *value)
{
	if (!rdmsr_safe(msr, value))
		return false;
	*value = (*value | set) & ~clear;
	return true;
}

/*
 * SDM "User Interrupts": UINV is in bits 39:32. An exit clears it in the CPU, after having saved it
 * in the VMCS; the size of the UITT, below it, stays.
 */
enum { UINV_SHIFT = 32 };

static bool read_uintr_misc(u64 *value)
{
	if (!rdmsr_safe(MSR_IA32_UINTR_MISC, value))
		return false;
	*value = (u32)*value | (u64)vmread16(VMCS_GUEST_UINV) << UINV_SHIFT;
	return true;
}

static bool write_uintr_misc(u64 value)
{
	if (!wrmsr_safe(MSR_IA32_UINTR_MISC, (u32)value))
		return false;
	vmwrite16(VMCS_GUEST_UINV, (u16)(value >> UINV_SHIFT));
	return true;
}

/* MSRs that are the CPU's: RDMSR itself tells whether there is one, in any range. */
__attribute__((noinline)) static bool read_shared(const struct vcpu *vcpu, u32 msr, u64 *value)
{
	const struct msr_policy *row = find(msr);

	if (!is_held(vcpu, row))
		return rdmsr_safe(msr, value);
	if (row->value == MSR_VALUE_UINTR_MISC)
		return read_uintr_misc(value);
	*value = vmcs_read(row->field);
	return true;
}

/* Inlined twice: into rdmsr_exit(), to keep that short, and into msr_guest_read(). */
__attribute__((always_inline)) static inline bool read_as(u8 how, struct vcpu *vcpu, u32 msr,
							  u64 *value)
{
	switch (how) {
	case MSR_READ_NEVER:
		return false;
	case MSR_READ_FEATURE_CONTROL:
		*value = feature_control(vcpu);
		return true;
	case MSR_READ_CORE_CAPABILITIES:
		return read_cpu_with(msr, 0, CORE_CAPABILITIES_RAR | CORE_CAPABILITIES_INTEGRITY,
				     value);
	case MSR_READ_ARCH_CAPABILITIES:
		return read_cpu_with(msr, ARCH_CAP_SKIP_L1DFL_VMENTRY, 0, value);
	case MSR_READ_MISC_ENABLE:
		return read_cpu_with(msr,
				     MISC_ENABLE_PEBS_UNAVAILABLE |
					     (vcpu->xd_disabled ? MISC_ENABLE_XD_DISABLE : 0),
				     0, value);
	case MSR_READ_MTRR:
		return read_mtrr(vcpu, msr, value);
	case MSR_READ_OFFERED:
		return read_offered(msr, value);
	default:
		return read_shared(vcpu, msr, value);
	}
}

bool msr_guest_read(struct vcpu *vcpu, u32 msr, u64 *value)
{
	const struct msr_policy *row = find(msr);

	return read_as(applies(vcpu, row) ? row->read : MSR_READ_CPU, vcpu, msr, value);
}

__attribute__((noinline)) static bool write_mtrr(struct vcpu *vcpu, u32 msr, u64 value)
{
	u64 *mtrr = mtrr_register(&vcpu->mtrr, msr);

	if (!mtrr || !mtrr_wrmsr_valid(&vcpu->mtrr, msr, value))
		return false;
	*mtrr = value;
	ept01_mtrrs_written(&vcpu->mtrr);
	return true;
}

static bool write_apic_base(u64 value)
{
	return !ept01_is_hidden(value & APIC_BASE_ADDR, PAGE_SIZE) &&
	       wrmsr_safe(MSR_IA32_APIC_BASE, value);
}

/* "PEBS unavailable" is read-only; "XD bit disable" is kept for the guest. */
static bool write_misc_enable(struct vcpu *vcpu, u64 value)
{
	const u64 own = MISC_ENABLE_PEBS_UNAVAILABLE | MISC_ENABLE_XD_DISABLE;
	const bool xd_disabled = value & MISC_ENABLE_XD_DISABLE;
	u64 hardware;

	/* #GP leaves all bits as they were. */
	if (!xd_bit_may_be(vcpu, xd_disabled) || !rdmsr_safe(MSR_IA32_MISC_ENABLE, &hardware) ||
	    !wrmsr_safe(MSR_IA32_MISC_ENABLE, (value & ~own) | (hardware & own)))
		return false;
	xd_bit_write(vcpu, xd_disabled);
	return true;
}

__attribute__((noinline)) static bool write_shared(const struct vcpu *vcpu, u32 msr, u64 value)
{
	const struct msr_policy *row = find(msr);

	if (msr == MSR_IA32_EFER && vcpu->xd_disabled)
		return guest_write_efer(value, EFER_SCE | EFER_LME | EFER_LMA);
	if (!is_held(vcpu, row))
		return wrmsr_safe(msr, value);
	if (!msr_value_valid(&vcpu->msr_bits, (enum msr_value)row->value, value))
		return false;
	if (row->value == MSR_VALUE_UINTR_MISC)
		return write_uintr_misc(value);
	vmcs_write(row->field, value);
	return true;
}

__attribute__((always_inline)) static inline bool write_as(u8 how, struct vcpu *vcpu, u32 msr,
							   u64 value)
{
	switch (how) {
	case MSR_WRITE_NEVER:
		return false;
	case MSR_WRITE_IGNORED:
		return true;
	case MSR_WRITE_ZERO:
		return !value && wrmsr_safe(msr, value);
	case MSR_WRITE_LOW_HALF:
		return !(value >> 32) && wrmsr_safe(msr, value);
	case MSR_WRITE_APIC_BASE:
		return write_apic_base(value);
	case MSR_WRITE_MISC_ENABLE:
		return write_misc_enable(vcpu, value);
	case MSR_WRITE_MTRR:
		return write_mtrr(vcpu, msr, value);
	case MSR_WRITE_XSS:
		return !(value & ~xss_bits(vcpu)) && wrmsr_safe(msr, value);
	default:
		return write_shared(vcpu, msr, value);
	}
}

bool msr_guest_write(struct vcpu *vcpu, u32 msr, u64 value)
{
	const struct msr_policy *row = find(msr);

	return write_as(applies(vcpu, row) ? row->write : MSR_WRITE_CPU, vcpu, msr, value);
}

void rdmsr_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u32 msr = (u32)regs->rcx;
	const struct msr_policy *row = find_at_once(msr);
	u64 value;

	if (!(row ? read_as(row->read, vcpu, msr, &value) : msr_guest_read(vcpu, msr, &value))) {
		event_inject_gp0();
		return;
	}
	regs->rax = (u32)value;
	regs->rdx = value >> 32;
	instruction_done();
}

void wrmsr_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u32 msr = (u32)regs->rcx;
	const u64 value = (regs->rdx << 32) | (u32)regs->rax;
	const struct msr_policy *row = find_at_once(msr);

	if (row ? write_as(row->write, vcpu, msr, value) : msr_guest_write(vcpu, msr, value))
		instruction_done();
	else
		event_inject_gp0();
}

u32 msr_list_rules(u32 msr)
{
	return find(msr)->list;
}

bool msr_list_may_load(const struct vcpu *vcpu, u32 msr, u64 value)
{
	const struct msr_policy *row = find(msr);
	u64 hardware;

	if (row->list & MSR_LIST_NO_LOAD)
		return false;
	switch (applies(vcpu, row) ? row->write : MSR_WRITE_CPU) {
	case MSR_WRITE_CPU:
		return true;
	case MSR_WRITE_ZERO:
		return !value;
	case MSR_WRITE_LOW_HALF:
		return !(value >> 32);
	case MSR_WRITE_XSS:
		return !(value & ~xss_bits(vcpu));
	case MSR_WRITE_APIC_BASE:
	case MSR_WRITE_MISC_ENABLE:
	case MSR_WRITE_MTRR:
		return rdmsr_safe(msr, &hardware) && hardware == value;
	default:
		return false;
	}
}
