/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/msr.h"

#include <x86/msr.h>

#include "lib/insn.h"
#include "mm/ept01.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "smp/panic.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/guest_level.h"
#include "vmx/instruction.h"
#include "vmx/vmcs.h"

/* SDM "MSR-Bitmap Address": four bitmaps of 1 KiB, for reads and writes of the two MSR ranges. */
struct msr_bitmap {
	u8 read_low[1024];
	u8 read_high[1024];
	u8 write_low[1024];
	u8 write_high[1024];
};
_Static_assert(sizeof(struct msr_bitmap) == PAGE_SIZE, "MSR bitmap layout");

/* Intel PT's MSRs: control, status and output, and the address filters. */
enum {
	MSR_RTIT_FIRST = 0x560,
	MSR_RTIT_LAST = 0x572,
	MSR_RTIT_ADDR_FIRST = 0x580,
	MSR_RTIT_ADDR_LAST = 0x587,
};

/* Constant once msr_bitmap_init() has run: all CPUs use it, and a VMCS may cache it. */
static struct msr_bitmap *bitmap;

static void intercept(u8 *low_range, u32 first, u32 last)
{
	for (u32 msr = first; msr <= last; msr++)
		low_range[msr / 8] |= (u8)(1u << (msr % 8));
}

/* The guest's MTRRs are its own; the CPU's stay as firmware set them, for Umbra. */
static void intercept_mtrrs(u8 *low_range)
{
	intercept(low_range, MSR_IA32_MTRR_PHYSBASE0,
		  MSR_IA32_MTRR_PHYSBASE0 + 2 * MTRR_VAR_MAX - 1);
	intercept(low_range, MSR_IA32_MTRR_FIX64K_00000, MSR_IA32_MTRR_FIX64K_00000);
	intercept(low_range, MSR_IA32_MTRR_FIX16K_80000, MSR_IA32_MTRR_FIX16K_A0000);
	intercept(low_range, MSR_IA32_MTRR_FIX4K_C0000, MSR_IA32_MTRR_FIX4K_F8000);
	intercept(low_range, MSR_IA32_MTRR_DEF_TYPE, MSR_IA32_MTRR_DEF_TYPE);
}

static bool pt_hidden(const struct vcpu *vcpu)
{
	return vcpu->cpuid_hidden.leaf14;
}

void msr_bitmap_init(void)
{
	bitmap = pages_alloc(1);
	if (!bitmap)
		fail("out of memory for the MSR bitmap");
	intercept(bitmap->read_low, MSR_IA32_FEATURE_CONTROL, MSR_IA32_FEATURE_CONTROL);
	intercept(bitmap->write_low, MSR_IA32_FEATURE_CONTROL, MSR_IA32_FEATURE_CONTROL);
	intercept(bitmap->read_low, MSR_IA32_VMX_BASIC, MSR_IA32_VMX_EXIT_CTLS2);
	intercept(bitmap->write_low, MSR_IA32_VMX_BASIC, MSR_IA32_VMX_EXIT_CTLS2);
	intercept(bitmap->write_low, MSR_IA32_BIOS_UPDT_TRIG, MSR_IA32_BIOS_UPDT_TRIG);
	intercept(bitmap->write_low, MSR_IA32_APIC_BASE, MSR_IA32_APIC_BASE);
	/*
	 * PEBS writes records to a linear address, which counters overflowing in root mode would
	 * look up in Umbra's page tables. The XD bit is Umbra's too.
	 */
	intercept(bitmap->read_low, MSR_IA32_MISC_ENABLE, MSR_IA32_MISC_ENABLE);
	intercept(bitmap->write_low, MSR_IA32_MISC_ENABLE, MSR_IA32_MISC_ENABLE);
	intercept(bitmap->write_low, MSR_IA32_PEBS_ENABLE, MSR_IA32_PEBS_ENABLE);
	intercept_mtrrs(bitmap->read_low);
	intercept_mtrrs(bitmap->write_low);
	if (pt_hidden(this_vcpu())) {
		intercept(bitmap->read_low, MSR_RTIT_FIRST, MSR_RTIT_LAST);
		intercept(bitmap->write_low, MSR_RTIT_FIRST, MSR_RTIT_LAST);
		intercept(bitmap->read_low, MSR_RTIT_ADDR_FIRST, MSR_RTIT_ADDR_LAST);
		intercept(bitmap->write_low, MSR_RTIT_ADDR_FIRST, MSR_RTIT_ADDR_LAST);
	}
}

paddr_t msr_bitmap_address(void)
{
	return virt_to_phys(bitmap);
}

void msr_init_cpu(struct vcpu *vcpu)
{
	vcpu->is_bsp = rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_BSP;
	ept01_read_mtrrs(&vcpu->mtrr);
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

static bool is_vmx_msr(u32 msr)
{
	return msr >= MSR_IA32_VMX_BASIC && msr <= MSR_IA32_VMX_EXIT_CTLS2;
}

static bool read_vmx_msr(u32 msr, u64 *value)
{
	const u32 index = msr - MSR_IA32_VMX_BASIC;

	*value = offered_vmx.msr[index];
	return offered_vmx.msrs >> index & 1;
}

static bool is_pt_msr(u32 msr)
{
	return (msr >= MSR_RTIT_FIRST && msr <= MSR_RTIT_LAST) ||
	       (msr >= MSR_RTIT_ADDR_FIRST && msr <= MSR_RTIT_ADDR_LAST);
}

/* False: #GP(0). MSRs outside the bitmap's ranges come here too and mostly do not exist. */
static bool read(struct vcpu *vcpu, u32 msr, u64 *value)
{
	const u64 *mtrr = mtrr_may_be(msr) ? mtrr_register(&vcpu->mtrr, msr) : NULL;

	if (mtrr) {
		*value = *mtrr;
		return true;
	}
	if (msr == MSR_IA32_FEATURE_CONTROL) {
		*value = feature_control(vcpu);
		return true;
	}
	if (is_vmx_msr(msr))
		return read_vmx_msr(msr, value);
	if (is_pt_msr(msr) && pt_hidden(vcpu))
		return false;
	if (!rdmsr_safe(msr, value))
		return false;
	if (msr == MSR_IA32_MISC_ENABLE)
		*value |= MISC_ENABLE_PEBS_UNAVAILABLE;
	return true;
}

static bool mtrr_write(struct vcpu *vcpu, u32 msr, u64 *mtrr, u64 value)
{
	if (!mtrr_wrmsr_valid(&vcpu->mtrr, msr, value))
		return false;
	*mtrr = value;
	ept01_mtrrs_written(&vcpu->mtrr);
	return true;
}

/* A local APIC moved onto Umbra's memory would swallow Umbra's own accesses on this CPU. */
static bool apic_base_write(u64 value)
{
	return !ept01_is_hidden(value & APIC_BASE_ADDR, PAGE_SIZE) &&
	       wrmsr_safe(MSR_IA32_APIC_BASE, value);
}

/* "PEBS unavailable" is read-only; without the XD bit the next exit could not load EFER. */
static bool misc_enable_write(u64 value)
{
	u64 hardware;

	if ((value & MISC_ENABLE_XD_DISABLE) || !rdmsr_safe(MSR_IA32_MISC_ENABLE, &hardware))
		return false;
	return wrmsr_safe(MSR_IA32_MISC_ENABLE, (value & ~MISC_ENABLE_PEBS_UNAVAILABLE) |
							(hardware & MISC_ENABLE_PEBS_UNAVAILABLE));
}

static bool write(struct vcpu *vcpu, u32 msr, u64 value)
{
	u64 *mtrr = mtrr_may_be(msr) ? mtrr_register(&vcpu->mtrr, msr) : NULL;

	if (mtrr)
		return mtrr_write(vcpu, msr, mtrr, value);
	switch (msr) {
	case MSR_IA32_FEATURE_CONTROL: /* locked */
		return false;
	case MSR_IA32_BIOS_UPDT_TRIG:
		/*
		 * The operand is a guest-linear address, and loading microcode under a running
		 * hypervisor may take features away from it. The CPU ignores an update it does not
		 * like (SDM "Microcode Update Loader"), and so does this one.
		 */
		vcpu->microcode_refused++;
		return true;
	case MSR_IA32_APIC_BASE:
		return apic_base_write(value);
	case MSR_IA32_MISC_ENABLE:
		return misc_enable_write(value);
	case MSR_IA32_PEBS_ENABLE:
		return value == 0 && wrmsr_safe(msr, 0);
	default:
		break;
	}
	if (is_vmx_msr(msr) || (is_pt_msr(msr) && pt_hidden(vcpu)))
		return false;
	return wrmsr_safe(msr, value);
}

void rdmsr_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	u64 value;

	if (!read(vcpu, (u32)regs->rcx, &value)) {
		event_inject_gp0();
		return;
	}
	regs->rax = (u32)value;
	regs->rdx = value >> 32;
	instruction_done();
}

void wrmsr_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	if (write(vcpu, (u32)regs->rcx, (regs->rdx << 32) | (u32)regs->rax))
		instruction_done();
	else
		event_inject_gp0();
}

u64 msr_bitmap_word(u32 index)
{
	return ((const u64 *)bitmap)[index];
}

bool msr_list_may_load(u32 msr, u64 value)
{
	const u8 *range = msr >> 13 ? bitmap->write_high : bitmap->write_low;
	const u32 in_range = msr & 0x1fff;
	u64 hardware;

	/* The hardware refuses what neither range has. */
	if (msr >> 13 != 0 && msr >> 13 != 0xc0000000 >> 13)
		return true;
	if (!(range[in_range / 8] >> (in_range % 8) & 1))
		return true;
	return rdmsr_safe(msr, &hardware) && hardware == value;
}

/*
 * MSRs that the current VMCS holds while the guest is out, some of them where the CPU has controls
 * for it: set_controls() and merge_controls() set those.
 */
static u32 vmcs_field_of(const struct vcpu *vcpu, u32 msr)
{
	const vmx_control_cap entry = vcpu->vmx.entry;

	switch (msr) {
	case MSR_IA32_BNDCFGS:
		return vmx_can_set(entry, ENTRY_LOAD_BNDCFGS) ? VMCS_GUEST_BNDCFGS : 0;
	case MSR_IA32_S_CET:
		return vmx_can_set(entry, ENTRY_LOAD_CET) ? VMCS_GUEST_S_CET : 0;
	case MSR_IA32_INTERRUPT_SSP_TABLE:
		return vmx_can_set(entry, ENTRY_LOAD_CET) ? VMCS_GUEST_INTERRUPT_SSP_TABLE : 0;
	case MSR_IA32_PKRS:
		return vmx_can_set(entry, ENTRY_LOAD_PKRS) ? VMCS_GUEST_PKRS : 0;
	case MSR_IA32_LBR_CTL:
		return vmx_can_set(entry, ENTRY_LOAD_LBR_CTL) ? VMCS_GUEST_LBR_CTL : 0;
	case MSR_IA32_EFER:
		return VMCS_GUEST_EFER;
	case MSR_IA32_PAT:
		return VMCS_GUEST_PAT;
	case MSR_IA32_DEBUGCTL:
		return VMCS_GUEST_DEBUGCTL;
	case MSR_IA32_SYSENTER_CS:
		return VMCS_GUEST_SYSENTER_CS;
	case MSR_IA32_SYSENTER_ESP:
		return VMCS_GUEST_SYSENTER_ESP;
	case MSR_IA32_SYSENTER_EIP:
		return VMCS_GUEST_SYSENTER_EIP;
	case MSR_IA32_FS_BASE:
		return VMCS_GUEST_FS_BASE;
	case MSR_IA32_GS_BASE:
		return VMCS_GUEST_GS_BASE;
	default:
		return 0;
	}
}

bool msr_guest_read(struct vcpu *vcpu, u32 msr, u64 *value)
{
	const u32 field = vmcs_field_of(vcpu, msr);

	if (!field)
		return read(vcpu, msr, value);
	*value = vmcs_read(field);
	return true;
}

bool msr_guest_write(struct vcpu *vcpu, u32 msr, u64 value)
{
	const u32 field = vmcs_field_of(vcpu, msr);
	u64 own;

	if (!field)
		return write(vcpu, msr, value);
	/* Tried out, it would have branches clear the guest's bound registers. */
	if (msr == MSR_IA32_BNDCFGS) {
		if ((value & BITS(11, 2)) || (u64)((i64)(value << 16) >> 16) != value)
			return false;
		vmcs_write(field, value);
		return true;
	}
	/* Let the hardware judge the value, in the register that the exit has emptied for Umbra. */
	if (!rdmsr_safe(msr, &own) || !wrmsr_safe(msr, value))
		return false;
	wrmsr(msr, own);
	vmcs_write(field, value);
	return true;
}
