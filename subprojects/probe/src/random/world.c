/* SPDX-License-Identifier: BSD-2-Clause */
#include "random/world.h"

#include "string.h"

enum {
	SELECTOR_CODE64 = 0x08,
	SELECTOR_DATA = 0x10,
	SELECTOR_CODE32 = 0x18,
	SELECTOR_TSS = 0x20,
	TSS_OFFSET = 0x800,
	TSS_LIMIT = 0x67,
	AR_V86 = 0xf3,
	AR_TSS = 0x8b,
	HLT = 0xf4,
	HANDLER_SIZE = 8,
	PAGE_PRESENT = 7, /* present, writable, user */
	PAGE_LARGE = 0x80,
	PDPTE_PRESENT = 1,
	CR0_OF_ALL = 0x30, /* ET, NE */
	TIMER = 100000, /* far more than any code without a loop takes: a slide over all memory */
	IVT_SIZE = 1024,
	REAL_HANDLERS = 0x400, /* 4 bytes each, up to 0x800 */
};

/* Each vector's handler is VMCALL at an address that tells the vector. */
static void fill_handlers(struct world *w)
{
	static const u8 vmcall[] = {0x0f, 0x01, 0xc1};
	u64 *idt64 = (u64 *)(w->memory + WORLD_IDT64);
	u64 *idt32 = (u64 *)(w->memory + WORLD_IDT32);
	u32 *ivt = (u32 *)(w->memory + WORLD_IVT);

	memset(w->memory + WORLD_HANDLERS, HLT, PAGE_SIZE);
	memset(idt32, 0, PAGE_SIZE);
	for (u64 v = 0; v < 256; v++) {
		u64 handler = WORLD_HANDLERS + v * HANDLER_SIZE;
		u64 gate = handler | 0xee00ull << 32;

		memcpy(w->memory + handler, vmcall, sizeof(vmcall));
		memcpy(w->memory + REAL_HANDLERS + 4 * v, vmcall, sizeof(vmcall));
		idt64[2 * v] = gate | (u64)SELECTOR_CODE64 << 16;
		idt64[2 * v + 1] = 0;
		idt32[v] = gate | (u64)SELECTOR_CODE32 << 16;
		ivt[v] = (u32)(REAL_HANDLERS + 4 * v);
	}
}

static void fill_tables(struct world *w)
{
	u64 *gdt = (u64 *)(w->memory + WORLD_TABLES);
	u32 *directory = (u32 *)(w->memory + WORLD_PAGE_DIRECTORY);

	memset(gdt, 0, PAGE_SIZE);
	gdt[SELECTOR_CODE64 / 8] = 0x00af9b000000ffff;
	gdt[SELECTOR_DATA / 8] = 0x00cf93000000ffff;
	gdt[SELECTOR_CODE32 / 8] = 0x00cf9b000000ffff;
	gdt[SELECTOR_TSS / 8] =
		0x00008b0000000000 | TSS_LIMIT | (u64)(WORLD_TABLES + TSS_OFFSET) << 16;
	for (unsigned page = WORLD_PML4; page < WORLD_SIZE; page += PAGE_SIZE)
		memset(w->memory + page, 0, PAGE_SIZE);
	*(u64 *)(w->memory + WORLD_PML4) = WORLD_PDPT | PAGE_PRESENT;
	*(u64 *)(w->memory + WORLD_PDPT) = WORLD_PD | PAGE_PRESENT;
	*(u64 *)(w->memory + WORLD_PD) = PAGE_LARGE | PAGE_PRESENT;
	*(u64 *)(w->memory + WORLD_PAE_PDPT) = WORLD_PD | PDPTE_PRESENT;
	directory[0] = PAGE_LARGE | PAGE_PRESENT;
}

static void fill_memory(struct world *w)
{
	memset(w->memory, HLT, WORLD_TABLES);
	fill_handlers(w);
	fill_tables(w);
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		w->memory[WORLD_DATA + i] = w->memory[WORLD_READ_ONLY + i] = (u8)(i * 7);
	memset(w->memory + WORLD_APIC_ACCESS, 0, PAGE_SIZE);
	memset(w->virtual_apic, 0, PAGE_SIZE);
}

static void map_memory(struct world *w)
{
	for (u64 page = 0; page < WORLD_SIZE; page += PAGE_SIZE)
		*ept_slot(&w->ept, page, 1) =
			((u64)w->memory + page) | ept_memtype_bits(MEMTYPE_WB) | EPT_USER_EXEC |
			(page == WORLD_READ_ONLY ? EPT_READ | EPT_EXEC : EPT_RWX);
	ept_flush(&w->ept);
}

bool world_can(const struct world *w, enum world_mode mode)
{
	return w->unrestricted || (mode != MODE_FLAT && mode != MODE_REAL);
}

struct world *world_begin(struct run *t)
{
	struct l2 *l2 = l2_begin(t);
	struct world *w;

	if (!l2)
		return NULL;
	if (!vmx_has(CTL_CPU2, CPU2_EPT) || !(vmx_ept_vpid_cap() & EPT_CAP_WALK_4) ||
	    !vmx_has(CTL_PIN, PIN_PREEMPTION_TIMER)) {
		run_skip(t, "no EPT or no preemption timer");
		return NULL;
	}
	w = vmx_pages(1);
	w->t = t;
	w->l2 = l2;
	l2->quiet = true;
	w->memory = vmx_pages(WORLD_SIZE / PAGE_SIZE);
	w->virtual_apic = vmx_pages(1);
	w->msr_lists = vmx_pages(1);
	w->unrestricted = vmx_has(CTL_CPU2, CPU2_UNRESTRICTED_GUEST);
	w->ept.root = vmx_pages(1);
	map_memory(w);
	for (unsigned slot = 0; slot < WORLD_SLOTS; slot++) {
		l2_new_vmcs(l2);
		w->vmcs[slot] = l2->vmcs;
	}
	return w;
}

void world_select(struct world *w, unsigned slot)
{
	w->launched[w->slot] = w->l2->launched;
	w->slot = slot;
	w->l2->vmcs = w->vmcs[slot];
	w->l2->launched = w->launched[slot];
	if (try_vmptrld(w->l2->vmcs) != VM_OK)
		run_fail(w->t, __LINE__, "VMPTRLD of slot %u failed", slot);
}

static void write_controls(const struct world *w)
{
	static const u32 wanted[CTL_COUNT] = {
		[CTL_PIN] = PIN_EXT_INTR_EXITING | PIN_NMI_EXITING | PIN_PREEMPTION_TIMER,
		/* Whatever depends on time or reaches devices exits. */
		[CTL_CPU] = CPU_HLT_EXITING | CPU_RDTSC_EXITING | CPU_RDPMC_EXITING |
			    CPU_MWAIT_EXITING | CPU_MONITOR_EXITING | CPU_UNCOND_IO_EXITING |
			    (u32)CPU_SECONDARY_CONTROLS,
		[CTL_CPU2] = CPU2_EPT | CPU2_UNRESTRICTED_GUEST | CPU2_RDRAND_EXITING |
			     CPU2_RDSEED_EXITING,
		[CTL_EXIT] = EXIT_HOST_64BIT | EXIT_SAVE_EFER | EXIT_LOAD_EFER | EXIT_SAVE_PAT |
			     EXIT_LOAD_PAT | EXIT_SAVE_DEBUG_CONTROLS,
		[CTL_ENTRY] = ENTRY_LOAD_EFER | ENTRY_LOAD_PAT | ENTRY_LOAD_DEBUG_CONTROLS,
	};
	static const u32 zeroed[] = {
		VMCS_PF_ERROR_CODE_MASK,
		VMCS_PF_ERROR_CODE_MATCH,
		VMCS_CR3_TARGET_COUNT,
		VMCS_VM_EXIT_MSR_STORE_COUNT,
		VMCS_VM_EXIT_MSR_LOAD_COUNT,
		VMCS_VM_ENTRY_MSR_LOAD_COUNT,
		VMCS_CR0_GUEST_HOST_MASK,
		VMCS_CR4_GUEST_HOST_MASK,
		VMCS_CR0_READ_SHADOW,
		VMCS_CR4_READ_SHADOW,
		VMCS_TSC_OFFSET,
	};

	for (enum vmx_ctl ctl = 0; ctl < CTL_COUNT; ctl++)
		if (vmx_ctl_exists(ctl))
			vmwrite(vmx_ctl_field(ctl),
				(wanted[ctl] & vmx_ctl_may(ctl)) | vmx_ctl_must(ctl));
	for (unsigned i = 0; i < ARRAY_SIZE(zeroed); i++)
		vmwrite(zeroed[i], 0);
	vmwrite(VMCS_EXCEPTION_BITMAP, 0xffffffff);
	vmwrite(VMCS_EPT_POINTER, ept_pointer(&w->ept));
	vmwrite(VMCS_PREEMPTION_TIMER_VALUE, TIMER);
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_ADDR, (u64)w->msr_lists);
	vmwrite(VMCS_VM_EXIT_MSR_STORE_ADDR, (u64)w->msr_lists + 512);
	vmwrite(VMCS_VM_EXIT_MSR_LOAD_ADDR, (u64)w->msr_lists + 1024);
	if (vmx_has(CTL_CPU, CPU_TPR_SHADOW)) {
		vmwrite(VMCS_VIRTUAL_APIC_ADDR, (u64)w->virtual_apic);
		vmwrite(VMCS_TPR_THRESHOLD, 0);
	}
	if (vmx_has(CTL_CPU2, CPU2_VIRTUAL_APIC_ACCESSES))
		vmwrite(VMCS_APIC_ACCESS_ADDR, (u64)w->memory + WORLD_APIC_ACCESS);
	if (vmx_has(CTL_CPU2, CPU2_VPID))
		vmwrite(VMCS_VPID, 1);
	if (vmx_has(CTL_CPU2, CPU2_VIRTUAL_INTR_DELIVERY)) {
		vmwrite(VMCS_GUEST_INTERRUPT_STATUS, 0);
		for (u32 i = 0; i < 4; i++)
			vmwrite(VMCS_EOI_EXIT_BITMAP0 + 2 * i, 0);
	}
	l2_inject(0, 0, 0);
}

static void write_segments(enum world_mode mode)
{
	static const enum segment data[] = {SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS};
	u16 selector = mode == MODE_REAL || mode == MODE_V86 ? 0 : SELECTOR_DATA;
	u32 rights = mode == MODE_REAL ? AR_DATA16 : mode == MODE_V86 ? AR_V86 : AR_DATA32;
	u32 limit = selector ? 0xffffffff : 0xffff;

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		vmwrite_segment(data[i], selector, 0, limit, rights);
	switch (mode) {
	case MODE_LONG:
		vmwrite_segment(SEG_CS, SELECTOR_CODE64, 0, limit, AR_CODE64);
		break;
	case MODE_REAL:
		vmwrite_segment(SEG_CS, 0, 0, limit, AR_CODE16);
		break;
	case MODE_V86:
		vmwrite_segment(SEG_CS, 0, 0, limit, AR_V86);
		break;
	default:
		vmwrite_segment(SEG_CS, SELECTOR_CODE32, 0, limit, AR_CODE32);
		break;
	}
	vmwrite_segment(SEG_LDTR, 0, 0, 0xffff, (u32)AR_UNUSABLE);
	vmwrite_segment(SEG_TR, SELECTOR_TSS, WORLD_TABLES + TSS_OFFSET, TSS_LIMIT, AR_TSS);
	vmwrite(VMCS_GUEST_GDTR_BASE, WORLD_TABLES);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, SELECTOR_TSS + 15);
}

static void write_control_registers(enum world_mode mode)
{
	static const struct {
		u64 cr0, cr3, cr4, efer;
	} of[MODE_COUNT] = {
		[MODE_LONG] = {CR0_PE | CR0_PG, WORLD_PML4, CR4_PAE, EFER_LME | EFER_LMA},
		[MODE_COMPATIBILITY] = {CR0_PE | CR0_PG, WORLD_PML4, CR4_PAE, EFER_LME | EFER_LMA},
		[MODE_PAE] = {CR0_PE | CR0_PG, WORLD_PAE_PDPT, CR4_PAE, 0},
		[MODE_32BIT] = {CR0_PE | CR0_PG, WORLD_PAGE_DIRECTORY, CR4_PSE, 0},
		[MODE_FLAT] = {CR0_PE, 0, 0, 0},
		[MODE_REAL] = {0, 0, 0, 0},
		[MODE_V86] = {CR0_PE | CR0_PG, WORLD_PAGE_DIRECTORY, CR4_PSE, 0},
	};

	vmwrite(VMCS_GUEST_CR0, of[mode].cr0 | CR0_OF_ALL);
	vmwrite(VMCS_GUEST_CR3, of[mode].cr3);
	vmwrite(VMCS_GUEST_CR4, of[mode].cr4 | CR4_VMXE);
	vmwrite(VMCS_GUEST_EFER, of[mode].efer);
	vmwrite(VMCS_GUEST_PDPTE0, WORLD_PD | PDPTE_PRESENT);
	for (u32 i = 1; i < 4; i++)
		vmwrite(VMCS_GUEST_PDPTE0 + 2 * i, 0);
	if (of[mode].efer)
		l2_enable(CTL_ENTRY, ENTRY_IA32E_GUEST);
	vmwrite(VMCS_GUEST_PAT, 0x0007040600070406);
	vmwrite(VMCS_GUEST_DR7, DR7_INIT);
	vmwrite(VMCS_GUEST_DEBUGCTL, 0);
}

void world_reset(struct world *w, enum world_mode mode)
{
	bool ia32e = mode == MODE_LONG || mode == MODE_COMPATIBILITY;

	fill_memory(w);
	/* Whether an entry sets accessed bits in the new tables must not hang on what is cached. */
	if (vmx_ept_vpid_cap() & VPID_CAP_ALL)
		try_invvpid(INVVPID_ALL_CONTEXT, 0, 0);
	map_memory(w);
	write_controls(w);
	write_segments(mode);
	write_control_registers(mode);
	if (mode == MODE_REAL) {
		vmwrite(VMCS_GUEST_IDTR_BASE, WORLD_IVT);
		vmwrite(VMCS_GUEST_IDTR_LIMIT, IVT_SIZE - 1);
	} else {
		vmwrite(VMCS_GUEST_IDTR_BASE, ia32e ? WORLD_IDT64 : WORLD_IDT32);
		vmwrite(VMCS_GUEST_IDTR_LIMIT, ia32e ? PAGE_SIZE - 1 : 256 * 8 - 1);
	}
	vmwrite(VMCS_GUEST_SYSENTER_CS, 0);
	vmwrite(VMCS_GUEST_SYSENTER_ESP, 0);
	vmwrite(VMCS_GUEST_SYSENTER_EIP, 0);
	vmwrite(VMCS_GUEST_RIP, WORLD_CODE);
	vmwrite(VMCS_GUEST_RSP, WORLD_TABLES - 64);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | (mode == MODE_V86 ? RFLAGS_VM : 0));
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
	vmwrite(VMCS_VMCS_LINK_POINTER, ~0ull);
}

void world_set_execute(struct world *w, unsigned page, u64 rights)
{
	u64 *entry = ept_slot(&w->ept, page, 1);

	*entry = (*entry & ~(u64)(EPT_EXEC | EPT_USER_EXEC)) | rights;
	ept_flush(&w->ept);
}

void world_set_supervisor(struct world *w)
{
	enum { PAGE_USER = 4 };

	*(u64 *)(w->memory + WORLD_PD) &= ~(u64)PAGE_USER;
	*(u32 *)(w->memory + WORLD_PAGE_DIRECTORY) &= ~(u32)PAGE_USER;
	ept_flush(&w->ept);
}

void world_restore_cpu(void)
{
	write_cr2(0);
	write_cr8(0);
	write_dr0(0);
	write_dr1(0);
	write_dr2(0);
	write_dr3(0);
	write_dr6(0xffff0ff0);
}
