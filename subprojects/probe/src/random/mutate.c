/* SPDX-License-Identifier: BSD-2-Clause */
#include "random/mutate.h"

#include "random/choice.h"
#include "random/record.h"

enum {
	/* Waiting for a SIPI, a CPU would wait for ever. */
	HARMLESS_ACTIVITY = ACTIVITY_HLT,
	LIST_STRIDE = 64, /* u64s between the MSR lists */
	LIST_MAX = 3,
	HOST_CHANGES_MAX = 8,
};

static unsigned field_bits(u32 field)
{
	switch (VMCS_FIELD_WIDTH(field)) {
	case VMCS_WIDTH_16:
		return 16;
	case VMCS_WIDTH_32:
		return 32;
	default:
		return 64;
	}
}

static void change(u32 field, u64 value)
{
	record_change(field, value);
	vmwrite(field, value);
}

static void change_near(u32 field)
{
	change(field, choice_near(vmread(field), field_bits(field)));
}

void mutate_guest(struct world *w)
{
	static const u32 fields[] = {
		VMCS_GUEST_CR0,
		VMCS_GUEST_CR3,
		VMCS_GUEST_CR4,
		VMCS_GUEST_DR7,
		VMCS_GUEST_DEBUGCTL,
		VMCS_GUEST_EFER,
		VMCS_GUEST_PAT,
		VMCS_GUEST_RIP,
		VMCS_GUEST_RSP,
		VMCS_GUEST_RFLAGS,
		VMCS_GUEST_INTERRUPTIBILITY,
		VMCS_GUEST_ACTIVITY_STATE,
		VMCS_GUEST_PENDING_DEBUG,
		VMCS_VMCS_LINK_POINTER,
		VMCS_GUEST_SYSENTER_CS,
		VMCS_GUEST_SYSENTER_ESP,
		VMCS_GUEST_SYSENTER_EIP,
		VMCS_GUEST_GDTR_BASE,
		VMCS_GUEST_GDTR_LIMIT,
		VMCS_GUEST_IDTR_BASE,
		VMCS_GUEST_IDTR_LIMIT,
		VMCS_GUEST_PDPTE0,
		VMCS_GUEST_PDPTE2,
	};
	static const u32 of_segment[] = {
		VMCS_GUEST_ES_SELECTOR,      VMCS_GUEST_ES_BASE,          VMCS_GUEST_ES_LIMIT,
		VMCS_GUEST_ES_ACCESS_RIGHTS, VMCS_GUEST_ES_ACCESS_RIGHTS,
	};
	u32 field;
	u64 value;

	(void)w;
	/* Bits 15:8 must be 0, if it is loaded. */
	if (vmx_has(CTL_ENTRY, ENTRY_LOAD_UINV) && one_in(16)) {
		change(VMCS_GUEST_UINV, choice_below(one_in(4) ? 512 : 256));
		return;
	}
	field = one_in(3) ? CHOICE_OF(of_segment) + 2 * (u32)choice_below(8) : CHOICE_OF(fields);
	value = choice_near(vmread(field), field_bits(field));
	if (field == VMCS_GUEST_ACTIVITY_STATE)
		value = one_in(2) ? choice_below(ACTIVITY_WAIT_SIPI) : value;
	if (field == VMCS_GUEST_ACTIVITY_STATE && value == ACTIVITY_WAIT_SIPI)
		value = HARMLESS_ACTIVITY;
	/* Hidden from Umbra's guests. */
	if (field == VMCS_GUEST_CR4)
		value &= ~(u64)CR4_SMXE;
	change(field, value);
}

static u64 one_bit_of(u64 bits)
{
	u64 bit;

	do
		bit = 1ull << choice_below(32);
	while (!(bit & bits));
	return bit;
}

static void mutate_control_bits(void)
{
	static const u32 both_have[CTL_COUNT] = {
		[CTL_PIN] = PIN_EXT_INTR_EXITING | PIN_NMI_EXITING | PIN_VIRTUAL_NMIS,
		[CTL_CPU] = CPU_INTR_WINDOW_EXITING | CPU_TSC_OFFSETTING | CPU_HLT_EXITING |
			    CPU_INVLPG_EXITING | CPU_CR3_LOAD_EXITING | CPU_CR3_STORE_EXITING |
			    CPU_CR8_LOAD_EXITING | CPU_CR8_STORE_EXITING | CPU_TPR_SHADOW |
			    CPU_NMI_WINDOW_EXITING | CPU_MOV_DR_EXITING | CPU_MONITOR_TRAP_FLAG |
			    CPU_PAUSE_EXITING,
		[CTL_CPU2] = CPU2_VIRTUAL_APIC_ACCESSES | CPU2_DESCRIPTOR_TABLE_EXITING |
			     CPU2_RDTSCP | CPU2_VIRTUAL_X2APIC | CPU2_VPID | CPU2_WBINVD_EXITING |
			     CPU2_UNRESTRICTED_GUEST | CPU2_APIC_REGISTER_VIRT |
			     CPU2_VIRTUAL_INTR_DELIVERY | CPU2_INVPCID | CPU2_MBEC,
		[CTL_EXIT] = EXIT_SAVE_DEBUG_CONTROLS | EXIT_HOST_64BIT | EXIT_ACK_INTR |
			     EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER |
			     EXIT_SAVE_PREEMPTION_TIMER | EXIT_CLEAR_UINV,
		[CTL_ENTRY] = ENTRY_LOAD_DEBUG_CONTROLS | ENTRY_IA32E_GUEST | ENTRY_LOAD_PAT |
			      ENTRY_LOAD_EFER | ENTRY_LOAD_UINV,
	};
	enum vmx_ctl ctl = (enum vmx_ctl)choice_below(CTL_ENTRY + 1);
	u32 bits = both_have[ctl] & vmx_ctl_may(ctl) & ~vmx_ctl_must(ctl);

	if (ctl != CTL_CPU2 && one_in(8))
		bits = vmx_ctl_must(ctl);
	change(vmx_ctl_field(ctl), vmread(vmx_ctl_field(ctl)) ^ one_bit_of(bits));
}

void mutate_control(struct world *w)
{
	static const u32 near[] = {
		VMCS_CR0_GUEST_HOST_MASK, VMCS_CR4_GUEST_HOST_MASK, VMCS_CR0_READ_SHADOW,
		VMCS_CR4_READ_SHADOW,     VMCS_TSC_OFFSET,          VMCS_EXCEPTION_BITMAP,
		VMCS_EXCEPTION_BITMAP,
	};

	switch (choice_below(12)) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		mutate_control_bits();
		break;
	case 5:
		change(VMCS_PF_ERROR_CODE_MASK, choice_below(32));
		change(VMCS_PF_ERROR_CODE_MATCH, choice_below(32));
		break;
	case 6:
		change(VMCS_CR3_TARGET_COUNT, choice_below(6));
		break;
	case 7:
		if (vmx_has(CTL_CPU, CPU_TPR_SHADOW)) {
			change(VMCS_TPR_THRESHOLD, choice_below(one_in(4) ? 64 : 16));
			w->virtual_apic[0x80 / 8] = choice_below(256);
			record_step("virtual TPR", 0, w->virtual_apic[0x80 / 8]);
		}
		break;
	case 8:
		change(VMCS_EPT_POINTER,
		       vmread(VMCS_EPT_POINTER) ^
			       1ull << choice_below(12)); /* never another table */
		break;
	case 9:
		if (vmx_has(CTL_CPU2, CPU2_VPID))
			change(VMCS_VPID, choice_below(3));
		break;
	default:
		change_near(CHOICE_OF(near));
		break;
	}
}

void mutate_execute(struct world *w)
{
	static const unsigned pages[] = {WORLD_CODE, WORLD_CODE, WORLD_HANDLERS, WORLD_IVT};
	const unsigned page = CHOICE_OF(pages);
	const u64 rights = (one_in(2) ? (u64)EPT_EXEC : 0) | (one_in(2) ? (u64)EPT_USER_EXEC : 0);

	world_set_execute(w, page, rights);
	record_step("rights to execute", page, rights);
	if (one_in(2)) {
		world_set_supervisor(w);
		record_step("supervisor pages", 0, 0);
	}
	if (one_in(2) && vmx_has(CTL_CPU2, CPU2_MBEC))
		change(VMCS_SECONDARY_CONTROLS, vmread(VMCS_SECONDARY_CONTROLS) | CPU2_MBEC);
}

static struct {
	u32 field;
	u64 value;
} host_changes[HOST_CHANGES_MAX];
static unsigned host_change_count;

static void change_host(u32 field, u64 value)
{
	if (host_change_count == HOST_CHANGES_MAX)
		return;
	host_changes[host_change_count].field = field;
	host_changes[host_change_count++].value = vmread(field);
	change(field, value);
}

void mutate_undo(struct world *w)
{
	(void)w;
	while (host_change_count) {
		host_change_count--;
		vmwrite(host_changes[host_change_count].field,
			host_changes[host_change_count].value);
	}
}

void mutate_host(struct world *w)
{
	static const u32 selectors[] = {
		VMCS_HOST_ES_SELECTOR, VMCS_HOST_CS_SELECTOR, VMCS_HOST_SS_SELECTOR,
		VMCS_HOST_DS_SELECTOR, VMCS_HOST_FS_SELECTOR, VMCS_HOST_GS_SELECTOR,
		VMCS_HOST_TR_SELECTOR,
	};
	static const u32 bases[] = {
		VMCS_HOST_FS_BASE,   VMCS_HOST_GS_BASE,      VMCS_HOST_TR_BASE,
		VMCS_HOST_GDTR_BASE, VMCS_HOST_IDTR_BASE,    VMCS_HOST_SYSENTER_ESP,
		VMCS_HOST_RIP,       VMCS_HOST_SYSENTER_EIP,
	};
	static const u32 harmless[] = {VMCS_HOST_FS_BASE, VMCS_HOST_SYSENTER_ESP,
				       VMCS_HOST_SYSENTER_EIP};
	static const u64 cr0_bits[] = {CR0_PE, CR0_PG, CR0_NE};
	static const u64 cr4_bits[] = {CR4_VMXE, CR4_PAE};
	static const u64 not_canonical = 1ull << 63;
	u32 field;

	(void)w;
	switch (choice_below(9)) {
	case 0:
		field = CHOICE_OF(selectors);
		change_host(field, vmread(field) | (1 + choice_below(7)));
		break;
	case 1:
		change_host(one_in(2) ? VMCS_HOST_CS_SELECTOR : VMCS_HOST_TR_SELECTOR, 0);
		break;
	case 2:
		field = CHOICE_OF(bases);
		change_host(field, (vmread(field) & ~not_canonical >> 1) ^ not_canonical);
		break;
	case 3:
		change_host(VMCS_HOST_CR0, vmread(VMCS_HOST_CR0) & ~CHOICE_OF(cr0_bits));
		break;
	case 4:
		change_host(VMCS_HOST_CR4, vmread(VMCS_HOST_CR4) & ~CHOICE_OF(cr4_bits));
		break;
	case 5:
		change_host(VMCS_HOST_CR3, vmread(VMCS_HOST_CR3) | 1ull << 62);
		break;
	case 6:
		change_host(VMCS_HOST_EFER,
			    vmread(VMCS_HOST_EFER) ^ (one_in(2) ? EFER_LMA : BIT(20)));
		break;
	case 7:
		change_host(VMCS_HOST_PAT, vmread(VMCS_HOST_PAT) | 3ull << 8 * choice_below(8) |
						   2ull << 8 * choice_below(8));
		break;
	default:
		change_host(CHOICE_OF(harmless), choice() >> 17);
		break;
	}
}

void mutate_event(struct world *w)
{
	u64 info = (choice_near(INTR_INFO_VALID | choice_below(8) << 8 | choice_below(32) |
					(one_in(3) ? INTR_INFO_ERROR_CODE : 0),
				32)) |
		   INTR_INFO_VALID;

	(void)w;
	if (one_in(2))
		info &= BITS(31, 31) | BITS(11, 0);
	/* A pending MTF exit is a panic of Bochs 2.7's; SDM "Injected Events" allows it. */
	if ((info & INTR_INFO_TYPE) == INTR_TYPE_OTHER)
		info ^= INTR_TYPE_HW_EXCEPTION;
	change(VMCS_VM_ENTRY_INTR_INFO, info);
	change(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, choice_near(choice_below(256), 16));
	change(VMCS_VM_ENTRY_INSTRUCTION_LENGTH, choice_below(one_in(8) ? 20 : 4));
}

void mutate_tame(void)
{
	const u64 entry = vmread(VMCS_ENTRY_CONTROLS);
	const u64 cr0 = vmread(VMCS_GUEST_CR0);
	const u64 event = vmread(VMCS_VM_ENTRY_INTR_INFO);

	if ((entry & ENTRY_IA32E_GUEST) && !(cr0 & CR0_PG))
		change(VMCS_GUEST_CR0, cr0 | CR0_PG);
	if (!(entry & ENTRY_LOAD_DEBUG_CONTROLS) && vmread(VMCS_GUEST_DEBUGCTL))
		change(VMCS_GUEST_DEBUGCTL, 0);
	if ((rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_ANY_ERROR_CODE) && (event & INTR_INFO_VALID) &&
	    (event & INTR_INFO_ERROR_CODE) &&
	    ((event & INTR_INFO_TYPE) != INTR_TYPE_HW_EXCEPTION || !(cr0 & CR0_PE)))
		change(VMCS_VM_ENTRY_INTR_INFO, event & ~(u64)INTR_INFO_ERROR_CODE);
}

static void write_list(u64 *list, u64 count, bool only_good)
{
	static const u32 good[] = {0x174, 0x175, 0x176, 0xc0000102};
	static const u32 any[] = {0x174, 0x175, 0xc0000102, 0xc0000080, 0xc0000100, 0xc0000101,
				  0x8b,  0x79,  0x800,      0x277,      0x123456,   0x9b};

	for (u64 i = 0; i < count; i++) {
		u32 msr = only_good ? CHOICE_OF(good) : CHOICE_OF(any);
		u64 value = choice_below(0x10000);

		list[2 * i] = msr | (!only_good && one_in(16) ? 1ull << 32 : 0);
		list[2 * i + 1] = value;
		record_step("MSR list", list[2 * i], value);
	}
}

void mutate_msr_lists(struct world *w)
{
	u64 count = choice_below(LIST_MAX + 1);

	switch (choice_below(3)) {
	case 0:
		write_list(w->msr_lists, count, one_in(2));
		change(VMCS_VM_ENTRY_MSR_LOAD_COUNT, count);
		break;
	case 1:
		/* An MSR that cannot be read would end in a VMX abort. */
		write_list(w->msr_lists + LIST_STRIDE, count, true);
		change(VMCS_VM_EXIT_MSR_STORE_COUNT, count);
		break;
	default:
		write_list(w->msr_lists + 2ul * LIST_STRIDE, count, true);
		change(VMCS_VM_EXIT_MSR_LOAD_COUNT, count);
		break;
	}
	if (one_in(16))
		change(VMCS_VM_ENTRY_MSR_LOAD_ADDR, (u64)w->msr_lists | choice_below(16));
}
