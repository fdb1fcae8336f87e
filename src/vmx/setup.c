/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/setup.h"
#include "vmx/switch.h"

#include <x86/cr.h>
#include <x86/msr.h>

#include "lib/insn.h"
#include "lib/log.h"
#include "mm/ept01.h"
#include "mm/layout.h"
#include "mm/phys_width.h"
#include "smp/panic.h"
#include "vmx/control_regs.h"
#include "vmx/guest_level.h"
#include "vmx/guest_linear.h"
#include "vmx/msr.h"
#include "vmx/sleep.h"
#include "vmx/speculation.h"
#include "vmx/vmcs.h"

enum { VPID_L1 = 1 };

static void report_missing(void *ctx, const char *what, const char *advice)
{
	log_error("the CPU with APIC id %u lacks %s: %s", *(const u32 *)ctx, what, advice);
}

void vmx_require(struct vmx_capabilities *caps, u32 apic_id)
{
	struct msr_bits bits;

	vmx_capabilities_from(caps, cpuid(1, 0).ecx & CPUID_1_ECX_VMX, rdmsr);
	msr_bits_read(&bits);
	caps->perf_global_ctrl = bits.perf_global_ctrl;
	if (vmx_requirements_check(caps, report_missing, &apic_id))
		fail("this machine cannot run Umbra; start the operating system without it");
}

/* SDM "Enabling and Entering VMX Operation". */
static void enter_vmx_operation(struct vcpu *vcpu)
{
	const struct vmx_capabilities *vmx = &vcpu->vmx;
	/* The number of paging levels cannot change in 64-bit mode. */
	u64 cr4 = CR4_PAE | CR4_MCE | CR4_VMXE | (read_cr4() & CR4_LA57);

	if (!(vmx->feature_control & FEATURE_CONTROL_LOCK))
		wrmsr(MSR_IA32_FEATURE_CONTROL, vmx->feature_control |
							FEATURE_CONTROL_VMX_OUTSIDE_SMX |
							FEATURE_CONTROL_LOCK);
	/* For XSETBV on the guest's behalf. */
	if (cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE)
		cr4 |= CR4_OSXSAVE;
	write_cr0((CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG | vmx->cr0_fixed0) & vmx->cr0_fixed1);
	write_cr4((cr4 | vmx->cr4_fixed0) & vmx->cr4_fixed1);
	wrmsr(MSR_IA32_PAT, PAT_RESET);

	*(u32 *)phys_to_virt(vcpu->vmxon_region) = (u32)(vmx->basic & VMX_BASIC_REVISION);
	*(u32 *)phys_to_virt(vcpu->vmcs01) = (u32)(vmx->basic & VMX_BASIC_REVISION);
	if (!vmxon(vcpu->vmxon_region))
		panic("VMXON failed on CPU %u", vcpu->cpu.index);
	vcpu->cpu.vmx_on = true;
	if (!vmclear(vcpu->vmcs01) || !vmptrld(vcpu->vmcs01))
		panic("VMCLEAR or VMPTRLD of vmcs01 failed on CPU %u", vcpu->cpu.index);
}

/*
 * Pass-through: besides what the SDM forces, the controls only hide Umbra and keep NMIs apart.
 * Enable bits of instructions are set whenever the CPU has them, or CPUID would promise what #UDs.
 */
static void set_controls(struct vcpu *vcpu)
{
	const struct vmx_capabilities *vmx = &vcpu->vmx;
	const u64 enable_instructions =
		CPU2_RDTSCP | CPU2_INVPCID | CPU2_XSAVES | CPU2_USER_WAIT_PAUSE | CPU2_PCONFIG;
	/*
	 * State that must not follow the CPU into root mode. Loading it at entry makes every exit
	 * save it; Intel PT is switched off and concealed meanwhile.
	 */
	const u64 entry_state = ENTRY_LOAD_BNDCFGS | ENTRY_CONCEAL_PT | ENTRY_LOAD_RTIT_CTL |
				ENTRY_LOAD_UINV | ENTRY_LOAD_CET | ENTRY_LOAD_LBR_CTL |
				ENTRY_LOAD_PKRS;
	const u64 exit_state = EXIT_CLEAR_BNDCFGS | EXIT_CONCEAL_PT | EXIT_CLEAR_RTIT_CTL |
			       EXIT_CLEAR_LBR_CTL | EXIT_CLEAR_UINV | EXIT_LOAD_CET |
			       EXIT_LOAD_PKRS;
	paddr_t io_bitmap[2];
	u32 secondary;

	vcpu->pin_controls = vmx_controls(vmx->pin, PIN_NMI_EXITING | PIN_VIRTUAL_NMIS, 0);
	vcpu->primary_controls =
		vmx_controls(vmx->primary,
			     CPU_USE_MSR_BITMAPS | CPU_SECONDARY_CONTROLS |
				     (sleep_io_bitmaps(io_bitmap) ? CPU_USE_IO_BITMAPS : 0),
			     CPU_TERTIARY_CONTROLS);
	secondary = vmx_controls(vmx->secondary, CPU2_EPT | CPU2_VPID | CPU2_UNRESTRICTED_GUEST,
				 enable_instructions | CPU2_CONCEAL_PT);
	/* This control needs "load" and "clear IA32_RTIT_CTL"; leaf 14H is shown only with both. */
	if (!vcpu->cpuid_hidden.leaf14)
		secondary |= (u32)CPU2_PT_GUEST_PHYSICAL;
	vmwrite32(VMCS_PIN_CONTROLS, vcpu->pin_controls);
	vmwrite32(VMCS_PRIMARY_CONTROLS, vcpu->primary_controls);
	vmwrite32(VMCS_SECONDARY_CONTROLS, secondary);
	if (vmx_can_set(vmx->primary, CPU_TERTIARY_CONTROLS))
		vmwrite64(VMCS_TERTIARY_CONTROLS, vmx_controls(vmx->tertiary, 0, CPU3_MSR_LIST));
	vmwrite32(VMCS_EXIT_CONTROLS,
		  vmx_controls(vmx->exit,
			       EXIT_SAVE_DEBUG_CONTROLS | EXIT_HOST_64BIT | EXIT_SAVE_PAT |
				       EXIT_LOAD_PAT | EXIT_SAVE_EFER | EXIT_LOAD_EFER,
			       exit_state));
	vmwrite32(VMCS_ENTRY_CONTROLS,
		  vmx_controls(vmx->entry,
			       ENTRY_LOAD_DEBUG_CONTROLS | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER,
			       entry_state));
	if (secondary & CPU2_XSAVES)
		vmwrite64(VMCS_XSS_EXITING_BITMAP, 0);
	if (secondary & CPU2_PCONFIG)
		vmwrite64(VMCS_PCONFIG_EXITING_BITMAP, 0);

	vmwrite32(VMCS_EXCEPTION_BITMAP, 0);
	vmwrite32(VMCS_PF_ERROR_CODE_MASK, 0);
	vmwrite32(VMCS_PF_ERROR_CODE_MATCH, 0);
	vmwrite32(VMCS_CR3_TARGET_COUNT, 0);
	vmwrite32(VMCS_VM_EXIT_MSR_STORE_COUNT, 0);
	vmwrite32(VMCS_VM_EXIT_MSR_LOAD_COUNT, 0);
	vmwrite32(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmwrite32(VMCS_VM_ENTRY_INTR_INFO, 0);
	if (sleep_io_bitmaps(io_bitmap)) {
		vmwrite64(VMCS_IO_BITMAP_A, io_bitmap[0]);
		vmwrite64(VMCS_IO_BITMAP_B, io_bitmap[1]);
	}
	vmwrite64(VMCS_MSR_BITMAP, msr_bitmap_address());
	vmwrite64(VMCS_EPT_POINTER, ept01_eptp());
	vmwrite16(VMCS_VPID, VPID_L1);
	vmwrite64(VMCS_VMCS_LINK_POINTER, ~0ull);
	vmwriten(VMCS_CR0_READ_SHADOW, vcpu->cr0_shadow);
	vmwriten(VMCS_CR4_READ_SHADOW, vcpu->cr4_shadow);
	vmwriten(VMCS_CR0_GUEST_HOST_MASK, cr0_host_owned(vmx));
	vmwriten(VMCS_CR4_GUEST_HOST_MASK, cr4_host_owned(vmx));
}

void vmx_set_host_state(const struct vcpu *vcpu, u64 rip)
{
	struct table_pointer idt;

	sidt(&idt);
	vmwriten(VMCS_HOST_CR0, read_cr0());
	vmwriten(VMCS_HOST_CR3, read_cr3());
	vmwriten(VMCS_HOST_CR4, read_cr4());
	vmwrite64(VMCS_HOST_EFER, EFER_LME | EFER_LMA | EFER_NXE);
	vmwrite64(VMCS_HOST_PAT, PAT_RESET);
	vmwrite16(VMCS_HOST_CS_SELECTOR, SELECTOR_CODE);
	vmwrite16(VMCS_HOST_SS_SELECTOR, SELECTOR_DATA);
	vmwrite16(VMCS_HOST_DS_SELECTOR, SELECTOR_DATA);
	vmwrite16(VMCS_HOST_ES_SELECTOR, SELECTOR_DATA);
	vmwrite16(VMCS_HOST_FS_SELECTOR, 0);
	vmwrite16(VMCS_HOST_GS_SELECTOR, 0);
	vmwrite16(VMCS_HOST_TR_SELECTOR, SELECTOR_TSS);
	vmwriten(VMCS_HOST_FS_BASE, 0);
	vmwriten(VMCS_HOST_GS_BASE, (u64)vcpu);
	vmwriten(VMCS_HOST_TR_BASE, (u64)&vcpu->cpu.tss);
	vmwriten(VMCS_HOST_GDTR_BASE, (u64)vcpu->cpu.gdt);
	vmwriten(VMCS_HOST_IDTR_BASE, idt.base);
	vmwrite32(VMCS_HOST_SYSENTER_CS, 0);
	vmwriten(VMCS_HOST_SYSENTER_ESP, 0);
	vmwriten(VMCS_HOST_SYSENTER_EIP, 0);
	vmwriten(VMCS_HOST_RSP, vcpu->cpu.stack_top);
	vmwriten(VMCS_HOST_RIP, rip);
	if (vmx_can_set(vcpu->vmx.exit, EXIT_LOAD_CET)) {
		vmwriten(VMCS_HOST_S_CET, 0);
		vmwriten(VMCS_HOST_SSP, 0);
		vmwriten(VMCS_HOST_INTERRUPT_SSP_TABLE, 0);
	}
	if (vmx_can_set(vcpu->vmx.exit, EXIT_LOAD_PKRS))
		vmwrite64(VMCS_HOST_PKRS, 0);
}

void vmx_read_boot_cpu(void)
{
	struct vcpu *vcpu = this_vcpu();

	vmx_require(&vcpu->vmx, vcpu->cpu.apic_id);
	ept01_read_mtrrs(&vcpu->mtrr);
}

void vmx_setup_shared(void)
{
	struct vcpu *vcpu = this_vcpu();

	cpuid_setup(vcpu);
	msr_init_shared();
	guest_linear_init();
}

/*
 * The guest's page tables are made once, for what the boot processor can do. Other capabilities may
 * differ from CPU to CPU: each has controls of its own.
 */
static void require_shared_map(const struct vcpu *vcpu)
{
	const struct vcpu *boot = (const struct vcpu *)cpus[0];

	if ((boot->vmx.ept_vpid & ~vcpu->vmx.ept_vpid & EPT_CAP_1G) ||
	    vcpu->mtrr.maxphyaddr < boot->mtrr.maxphyaddr)
		fail("the CPU with APIC id %u cannot use the page tables made for the first one: "
		     "it has narrower physical addresses or no 1 GiB pages",
		     vcpu->cpu.apic_id);
}

void vmx_setup_cpu(struct vcpu *vcpu)
{
	vmx_require(&vcpu->vmx, vcpu->cpu.apic_id);
	vcpu->maxphyaddr = phys_width_address();
	cpuid_setup(vcpu);
	speculation_setup_cpu(vcpu);
	/* Before VM entries: those that load IA32_RTIT_CTL fail while a trace runs. */
	msr_init_cpu(vcpu);
	require_shared_map(vcpu);
	enter_vmx_operation(vcpu);
	set_controls(vcpu);
	vmx_set_host_state(vcpu, (u64)switch_vm_exit);
	/* Nothing of an earlier VMX user's may survive (SDM "Guidelines for Use of INVVPID"). */
	invept(INVEPT_SINGLE_CONTEXT, ept01_eptp());
	invvpid(INVVPID_SINGLE_CONTEXT, VPID_L1, 0);
	vcpu->cpu.in_guest_loop = true;
}
