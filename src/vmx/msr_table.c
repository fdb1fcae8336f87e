/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names and numbers as in SDM volume 4. Which MSRs have a row: all that hold an address which the
 * CPU itself writes to or takes memory away by, all that let something run on in root mode, all
 * that the VMCS switches, and what Umbra does not offer.
 */
#include "vmx/msr_table.h"

#include <umbra/interface.h>

#include <x86/vmcs.h>
#include <x86/vmx.h>

/* The image does without text, which is for docs/msr-policy.md. */
#ifdef UMBRA_HOSTED
#define NAME(text) , .name = (text)
#define WHY(text)  .why = (text)
#else
#define NAME(text)
#define WHY(text)
#endif
#define REASON static __attribute__((unused)) const char

#define ONE(msr, text)          .first = (msr), .last = (msr)NAME(text)
#define RANGE(from, to, text)   .first = (from), .last = (to)NAME(text)
#define EACH_FOURTH(a, b, text) .first = (a), .last = (b), .stride = 4 NAME(text)

#define NO_ACCESS           .read = MSR_READ_NEVER, .write = MSR_WRITE_NEVER
#define NO_WRITE            .write = MSR_WRITE_NEVER
#define HELD_IN(vmcs_field) .field = (vmcs_field)

REASON paravirtual[] =
	"A hypervisor below Umbra has these; they hold physical addresses that it writes "
	"to, and it knows nothing of Umbra's memory.";
REASON hidden_range[] =
	"Takes a physical range away from software: laid over Umbra's memory it would "
	"stop Umbra. Firmware locks it, or only SMM may write it.";
REASON encryption[] =
	"Switches memory encryption for the whole machine: what Umbra has in memory would "
	"become unreadable. Firmware locks it.";
REASON runs_on[] = "Counts Umbra's work as well, as it does that of SMM: no contents show, and "
		   "nothing but a counter is written.";
REASON no_pt[] = "The output goes to physical addresses and the trace runs on in root mode unless "
		 "the CPU can switch both with the guest.";
REASON no_hfi[] = "The package writes a table to the physical address given, past EPT. Hidden in "
		  "CPUID.";
REASON no_rar[] = "Other CPUs' requests are read from, and answers written to, physical addresses, "
		  "past EPT, also in root mode. Hidden in IA32_CORE_CAPABILITIES.";
REASON no_infield_test[] =
	"Tests take the address of an image and stop the core under Umbra. Hidden in "
	"IA32_CORE_CAPABILITIES.";
REASON own_mtrrs[] =
	"The CPU's stay as firmware set them, for Umbra; the guest's own act by way of "
	"EPT.";
REASON inert_cet[] = "Linear addresses that count only under CR4.CET, which is 0 in root mode.";
REASON inert_uintr[] =
	"Linear addresses that count only under CR4.UINTR, which is 0 in root mode; UINV "
	"is cleared by each exit where the CPU can.";
REASON arch_pebs[] =
	"Bit 63 makes an overflow write a record to the buffer of IA32_PEBS_BASE, in root "
	"mode as well. The low half, a reload value, is harmless. Hidden in CPUID.";
REASON cpu_switches[] = "Switched by the CPU at every VM entry and exit.";

REASON no_microcode[] =
	"The operand is a guest-linear address, and new microcode may take features away "
	"from a running hypervisor, which has loaded the update before the guest. The CPU ignores "
	"an update it does not like, and so does this.";
REASON debugctl[] =
	"BTS, LBR and single-stepping on branches: each exit clears it, so that they stop "
	"with the guest.";
REASON no_pebs[] =
	"A counter's overflow writes a record to the linear address in the DS area, which "
	"in root mode would be looked up in Umbra's page tables. IA32_MISC_ENABLE hides "
	"it.";
REASON xss[] = "XRSTORS loads the registers of a component without a look at the MSR bitmap: the "
	       "bits of hidden components, Intel PT's above all, are reserved.";
REASON lbr[] = "Recording on in root mode, it would show Umbra's addresses. Where the CPU cannot "
	       "switch it with the guest, there is none.";
REASON misc_enable[] =
	"Says that there is no PEBS. The CPU keeps the XD bit: without, no exit could load "
	"EFER.";
REASON ds_area[] = "The linear address of the buffers of BTS and PEBS. BTS stops with every exit, "
		   "and PEBS cannot be enabled.";

const struct msr_policy msr_table[] = {
	{ONE(0x10, "IA32_TIME_STAMP_COUNTER"), .list = MSR_LIST_STORED_BY_CPU,
	 WHY("Not offset for the guest. In a list of a VM exit it tells the time of the "
	     "exit.")},
	{RANGE(0x11, 0x12, "(KVM clock, first version)"), NO_ACCESS,
	 .condition = MSR_IF_HYPERVISOR_HIDDEN, WHY(paravirtual)},
	{ONE(0x1b, "IA32_APIC_BASE"), .write = MSR_WRITE_APIC_BASE,
	 WHY("A local APIC over Umbra's memory would swallow Umbra's own accesses: #GP.")},
	{ONE(0x1c, "IA32_USER_MSR_CTL"),
	 WHY("The address of a bitmap that only URDMSR and UWRMSR read.")},
	{ONE(0x3a, "IA32_FEATURE_CONTROL"), .read = MSR_READ_FEATURE_CONTROL, NO_WRITE,
	 WHY("Locked by Umbra, with what it offers.")},
	{ONE(0x79, "IA32_BIOS_UPDT_TRIG"), .write = MSR_WRITE_IGNORED, .list = MSR_LIST_NO_LOAD,
	 WHY(no_microcode)},
	{ONE(0x80, "MSR_TRACE_HUB_STH_ACPIBAR_BASE"), NO_WRITE,
	 WHY("A physical address that the CPU sends trace messages to.")},
	{RANGE(0x82, 0x86, "IA32_FZM_*"), NO_WRITE,
	 WHY("Fast zeroing clears physical ranges, past EPT.")},
	{ONE(0x9b, "IA32_SMM_MONITOR_CTL"), NO_WRITE, .list = MSR_LIST_NO_LOAD,
	 WHY("A physical address that SMM begins from; only SMM may write it.")},
	{ONE(0x9e, "IA32_SMBASE"), .list = MSR_LIST_NO_LOAD | MSR_LIST_NO_STORE,
	 WHY("Of SMM alone.")},
	{RANGE(0xa0, 0xa1, "MSR_SMRR_*"), NO_WRITE, WHY(hidden_range)},
	{RANGE(0xc1, 0xca, "IA32_PMCn"), .list = MSR_LIST_STORED_BY_CPU, WHY(runs_on)},
	{ONE(0xcf, "IA32_CORE_CAPABILITIES"), .read = MSR_READ_CORE_CAPABILITIES,
	 WHY("Names what the guest does not get: RAR and in-field tests.")},
	{RANGE(0xe7, 0xe8, "IA32_MPERF, IA32_APERF"), .list = MSR_LIST_STORED_BY_CPU, WHY(runs_on)},
	{RANGE(0xed, 0xf0, "MSR_RAR_*"), NO_ACCESS, WHY(no_rar)},
	{ONE(0x105, "MSR_ARRAY_BIST, MSR_CORE_BIST"), NO_ACCESS, WHY(no_infield_test)},
	{ONE(0x10a, "IA32_ARCH_CAPABILITIES"), .read = MSR_READ_ARCH_CAPABILITIES,
	 .condition = MSR_IF_L1D_FLUSHED,
	 WHY("SKIP_L1DFL_VMENTRY: Umbra flushes the L1 data cache before each entry of L2, after "
	     "all else, so L1 need not.")},
	{ONE(0x174, "IA32_SYSENTER_CS"), HELD_IN(VMCS_GUEST_SYSENTER_CS), WHY(cpu_switches)},
	{ONE(0x175, "IA32_SYSENTER_ESP"), HELD_IN(VMCS_GUEST_SYSENTER_ESP),
	 .value = MSR_VALUE_CANONICAL, WHY(cpu_switches)},
	{ONE(0x176, "IA32_SYSENTER_EIP"), HELD_IN(VMCS_GUEST_SYSENTER_EIP),
	 .value = MSR_VALUE_CANONICAL, WHY(cpu_switches)},
	{RANGE(0x186, 0x18f, "IA32_PERFEVTSELn"), WHY(runs_on)},
	{ONE(0x1a0, "IA32_MISC_ENABLE"), .read = MSR_READ_MISC_ENABLE,
	 .write = MSR_WRITE_MISC_ENABLE, WHY(misc_enable)},
	{RANGE(0x1cc, 0x1d4, "IA32_FRED_*"), NO_ACCESS,
	 WHY("FRED is not offered; its stacks count only under CR4.FRED. Hidden in CPUID.")},
	{ONE(0x1d9, "IA32_DEBUGCTL"), .clear = true, HELD_IN(VMCS_GUEST_DEBUGCTL),
	 .value = MSR_VALUE_DEBUGCTL, WHY(debugctl)},
	{RANGE(0x1f2, 0x1f3, "IA32_SMRR_*"), NO_WRITE, WHY(hidden_range)},
	{RANGE(0x1f4, 0x1f5, "MSR_PRMRR_*"), NO_WRITE, WHY(hidden_range)},
	{RANGE(0x200, 0x21f, "IA32_MTRR_PHYSBASEn, IA32_MTRR_PHYSMASKn"), .read = MSR_READ_MTRR,
	 .write = MSR_WRITE_MTRR, WHY(own_mtrrs)},
	{ONE(0x250, "IA32_MTRR_FIX64K_00000"), .read = MSR_READ_MTRR, .write = MSR_WRITE_MTRR,
	 WHY(own_mtrrs)},
	{RANGE(0x258, 0x259, "IA32_MTRR_FIX16K_*"), .read = MSR_READ_MTRR, .write = MSR_WRITE_MTRR,
	 WHY(own_mtrrs)},
	{RANGE(0x268, 0x26f, "IA32_MTRR_FIX4K_*"), .read = MSR_READ_MTRR, .write = MSR_WRITE_MTRR,
	 WHY(own_mtrrs)},
	{ONE(0x277, "IA32_PAT"), HELD_IN(VMCS_GUEST_PAT), .value = MSR_VALUE_PAT,
	 WHY(cpu_switches)},
	{RANGE(0x2a0, 0x2a7, "MSR_PRMRR_BASE_n"), NO_WRITE, WHY(hidden_range)},
	{RANGE(0x2b8, 0x2bf, "MSR_*SBFT*"), NO_ACCESS, WHY(no_infield_test)},
	{RANGE(0x2c2, 0x2c9, "MSR_*SCAN*"), NO_ACCESS, WHY(no_infield_test)},
	{RANGE(0x2d6, 0x2d7, "MSR_*_PERIODIC_MEM_BIST*"), NO_ACCESS, WHY(no_infield_test)},
	{ONE(0x2d9, "MSR_INTEGRITY_CAPABILITIES"), NO_ACCESS, WHY(no_infield_test)},
	{RANGE(0x2f4, 0x2f5, "MSR_UNCORE_PRMRR_*"), NO_WRITE, WHY(hidden_range)},
	{ONE(0x2ff, "IA32_MTRR_DEF_TYPE"), .read = MSR_READ_MTRR, .write = MSR_WRITE_MTRR,
	 WHY(own_mtrrs)},
	{RANGE(0x309, 0x30f, "IA32_FIXED_CTRn"), .list = MSR_LIST_STORED_BY_CPU, WHY(runs_on)},
	{ONE(0x329, "MSR_PERF_METRICS"), .list = MSR_LIST_STORED_BY_CPU, WHY(runs_on)},
	{RANGE(0x350, 0x351, "MSR_BR_DETECT_*"), WHY(runs_on)},
	{ONE(0x38d, "IA32_FIXED_CTR_CTRL"), WHY(runs_on)},
	{ONE(0x38e, "IA32_PERF_GLOBAL_STATUS"), .list = MSR_LIST_STORED_BY_CPU, WHY(runs_on)},
	{ONE(0x38f, "IA32_PERF_GLOBAL_CTRL"), WHY(runs_on)},
	{ONE(0x3f1, "IA32_PEBS_ENABLE"), .write = MSR_WRITE_ZERO, .clear = true, WHY(no_pebs)},
	{RANGE(0x3f4, 0x3f5, "IA32_PEBS_BASE, IA32_PEBS_INDEX"), NO_ACCESS,
	 WHY("Where architectural PEBS writes its records. Hidden in CPUID.")},
	{RANGE(0x400, 0x47f, "IA32_MCi_*"),
	 WHY("The CPU notes there the address of an error, Umbra's as well; it writes no "
	     "memory.")},
	{RANGE(0x480, 0x493, "IA32_VMX_*"), .read = MSR_READ_OFFERED, NO_WRITE,
	 WHY("The VMX that Umbra offers; none, #GP.")},
	{RANGE(0x4c1, 0x4ca, "IA32_A_PMCn"), .list = MSR_LIST_STORED_BY_CPU, WHY(runs_on)},
	{ONE(0x4f0, "MSR_SAF_CTRL"), NO_ACCESS, WHY(no_infield_test)},
	{ONE(0x4f8, "MSR_SBFT_CTRL"), NO_ACCESS, WHY(no_infield_test)},
	{RANGE(0x560, 0x56f, "IA32_RTIT_OUTPUT_*"), NO_ACCESS, .condition = MSR_IF_PT_HIDDEN,
	 WHY(no_pt)},
	{ONE(0x570, "IA32_RTIT_CTL"), NO_ACCESS, .condition = MSR_IF_PT_HIDDEN, .clear = true,
	 WHY(no_pt)},
	{RANGE(0x571, 0x572, "IA32_RTIT_STATUS, IA32_RTIT_CR3_MATCH"), NO_ACCESS,
	 .condition = MSR_IF_PT_HIDDEN, WHY(no_pt)},
	{RANGE(0x580, 0x587, "IA32_RTIT_ADDRn_*"), NO_ACCESS, .condition = MSR_IF_PT_HIDDEN,
	 WHY(no_pt)},
	{ONE(0x600, "IA32_DS_AREA"), WHY(ds_area)},
	{ONE(0x64e, "MSR_PPERF"), .list = MSR_LIST_STORED_BY_CPU, WHY(runs_on)},
	{ONE(0x6a0, "IA32_U_CET"), WHY(inert_cet)},
	{ONE(0x6a2, "IA32_S_CET"), HELD_IN(VMCS_GUEST_S_CET), .control = ENTRY_LOAD_CET,
	 .value = MSR_VALUE_S_CET, WHY(inert_cet)},
	{RANGE(0x6a4, 0x6a7, "IA32_PLn_SSP"), WHY(inert_cet)},
	{ONE(0x6a8, "IA32_INTERRUPT_SSP_TABLE_ADDR"), HELD_IN(VMCS_GUEST_INTERRUPT_SSP_TABLE),
	 .control = ENTRY_LOAD_CET, .value = MSR_VALUE_CANONICAL, WHY(inert_cet)},
	{ONE(0x6e0, "IA32_TSC_DEADLINE"), .list = MSR_LIST_STORED_BY_CPU,
	 WHY("The guest's timer; it becomes 0 when it fires, perhaps after an exit.")},
	{ONE(0x6e1, "IA32_PKRS"), HELD_IN(VMCS_GUEST_PKRS), .control = ENTRY_LOAD_PKRS,
	 .value = MSR_VALUE_32_BITS, WHY("Counts only under CR4.PKS, which is 0 in root mode.")},
	{ONE(0x7a5, "IA32_MCU_STAGING_MBOX_ADDR"),
	 WHY("Read-only: where microcode may be put; IA32_BIOS_UPDT_TRIG does not load it.")},
	{RANGE(0x800, 0x8ff, "IA32_X2APIC_*"), .list = MSR_LIST_NO_LOAD | MSR_LIST_NO_STORE,
	 WHY("The local APIC is the guest's.")},
	{RANGE(0x982, 0x984, "IA32_TME_ACTIVATE, IA32_TME_EXCLUDE_*"), NO_WRITE, WHY(encryption)},
	{RANGE(0x985, 0x987, "IA32_UINTR_RR, IA32_UINTR_HANDLER, IA32_UINTR_STACKADJUST"),
	 WHY(inert_uintr)},
	{ONE(0x988, "IA32_UINTR_MISC"), HELD_IN(VMCS_GUEST_UINV), .control = ENTRY_LOAD_UINV,
	 .value = MSR_VALUE_UINTR_MISC, WHY(inert_uintr)},
	{RANGE(0x989, 0x98a, "IA32_UINTR_PD, IA32_UINTR_TT"), WHY(inert_uintr)},
	{ONE(0x9fb, "IA32_TME_CLEAR_SAVED_KEY"), NO_WRITE, WHY(encryption)},
	{ONE(0x9ff, "MSR_CORE_MKTME_ACTIVATE"), NO_WRITE, WHY(encryption)},
	{ONE(0xc80, "IA32_DEBUG_INTERFACE"), NO_WRITE,
	 WHY("Opens the CPU to a debugger outside. Firmware locks it.")},
	{ONE(0xd90, "IA32_BNDCFGS"), HELD_IN(VMCS_GUEST_BNDCFGS), .control = ENTRY_LOAD_BNDCFGS,
	 .value = MSR_VALUE_BNDCFGS,
	 WHY("Set in root mode, it would have branches clear the guest's bound registers.")},
	{ONE(0xd93, "IA32_PASID"),
	 WHY("An identifier that ENQCMD hands to a device, no address; what the device does "
	     "with it is DMA.")},
	{ONE(0xda0, "IA32_XSS"), .write = MSR_WRITE_XSS, WHY(xss)},
	{RANGE(0x1400, 0x1401, "IA32_SEAMRR_*"), NO_WRITE, WHY(hidden_range)},
	{ONE(0x14ce, "IA32_LBR_CTL"), NO_ACCESS, .condition = MSR_IF_LBR_RUNS_ON, .clear = true,
	 HELD_IN(VMCS_GUEST_LBR_CTL), .control = ENTRY_LOAD_LBR_CTL, .value = MSR_VALUE_LBR_CTL,
	 WHY(lbr)},
	{ONE(0x17d0, "IA32_HW_FEEDBACK_PTR"), NO_ACCESS, WHY(no_hfi)},
	{ONE(0x17d1, "IA32_HW_FEEDBACK_CONFIG"), NO_ACCESS, .clear = true, WHY(no_hfi)},
	{RANGE(0x17d2, 0x17d4, "IA32_THREAD_FEEDBACK_CHAR, IA32_HW_FEEDBACK_THREAD_CONFIG"),
	 NO_ACCESS, WHY(no_hfi)},
	{EACH_FOURTH(0x1900, 0x197c, "IA32_PMC_GPn_CTR"), .list = MSR_LIST_STORED_BY_CPU,
	 WHY(runs_on)},
	{EACH_FOURTH(0x1903, 0x197f, "IA32_PMC_GPn_CFG_C"), .write = MSR_WRITE_LOW_HALF,
	 .clear = true, WHY(arch_pebs)},
	{EACH_FOURTH(0x1980, 0x19fc, "IA32_PMC_FXn_CTR"), .list = MSR_LIST_STORED_BY_CPU,
	 WHY(runs_on)},
	{EACH_FOURTH(0x1983, 0x19ff, "IA32_PMC_FXn_CFG_C"), .write = MSR_WRITE_LOW_HALF,
	 .clear = true, WHY(arch_pebs)},
	{RANGE(0x40000000, 0x400000ff, "(Hyper-V's and Xen's)"), NO_ACCESS,
	 .condition = MSR_IF_HYPERVISOR_HIDDEN, WHY(paravirtual)},
	{RANGE(0x4b564d00, 0x4b564dff, "(KVM's)"), NO_ACCESS, .condition = MSR_IF_HYPERVISOR_HIDDEN,
	 WHY(paravirtual)},
	{ONE(UMBRA_MSR_TOKEN, "(Umbra's token)"), .read = MSR_READ_OFFERED,
	 .write = MSR_WRITE_NEVER, .list = MSR_LIST_NO_LOAD | MSR_LIST_NO_STORE,
	 WHY("Tells the guest's kernel from its programs: #GP but with `hv-leaves=on`.")},
	{ONE(0xc0000080, "IA32_EFER"), HELD_IN(VMCS_GUEST_EFER), .value = MSR_VALUE_EFER,
	 WHY(cpu_switches)},
	{ONE(0xc0000100, "IA32_FS_BASE"), .list = MSR_LIST_NO_LOAD, HELD_IN(VMCS_GUEST_FS_BASE),
	 .value = MSR_VALUE_CANONICAL, WHY(cpu_switches)},
	{ONE(0xc0000101, "IA32_GS_BASE"), .list = MSR_LIST_NO_LOAD, HELD_IN(VMCS_GUEST_GS_BASE),
	 .value = MSR_VALUE_CANONICAL, WHY(cpu_switches)},
	{.read = MSR_READ_CPU, .write = MSR_WRITE_CPU},
};
_Static_assert(ARRAY_SIZE(msr_table) <= UINT8_MAX + 1, "msr.c numbers them by a byte");

const u32 msr_table_rows = ARRAY_SIZE(msr_table) - 1;
