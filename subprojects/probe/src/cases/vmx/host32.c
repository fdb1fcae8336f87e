/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hypervisor outside IA-32e mode: VMX instructions with 32-bit operands (SDM "VMREAD",
 * "VMWRITE"), VM exits without "host address-space size" (SDM "Checks Related to Address-Space
 * Size").
 */
#include "layout.h"
#include "memory.h"
#include "vmx/fields.h"
#include "vmx/l2.h"
#include "vmx/modes.h"
#include "vmx/vmx32.h"

L2_CODE_MODE(32, h32_code, "movl $0x12345678, %ebp\ncpuid\nmovl $0x9abcdef0, %ebp");
enum { CPUID_OFFSET = 5, CPUID_SIZE = 2 };

enum {
	LIST_PAGES = 4,
	PDE_LARGE = 0x83,
	PDPTES = 4,
	SENTINEL = 0x5a5a5a5a,
	EXITED = 1,
};

struct host {
	struct run *t;
	struct vmx32_op *ops;
	u32 count;
	u32 cr3, cr4;
	u64 vmcs;
};

/* Appends an instruction; the result is where it will leave what it did. */
static struct vmx32_op *op(struct host *h, enum vmx32_kind kind, u32 a, u32 b, u64 operand)
{
	struct vmx32_op *o = &h->ops[h->count++];

	*o = (struct vmx32_op){.kind = kind, .a = a, .b = b, .operand = {operand, SENTINEL}};
	return o;
}

static void write_field(struct host *h, u32 field, u64 value)
{
	op(h, VMX32_VMWRITE, field, (u32)value, 0);
	if (field_width(field) == VMCS_WIDTH_64)
		op(h, VMX32_VMWRITE, field + 1, (u32)(value >> 32), 0);
}

static struct vmx32_op *read_field(struct host *h, u32 field)
{
	return op(h, VMX32_VMREAD, field, SENTINEL, 0);
}

/* 1:1, in 4 MiB pages; or by PAE, with this kernel's page directories. */
static void make_paging(struct host *h, bool pae)
{
	if (pae) {
		const u64 *identity = (const u64 *)(*memory_entry(0, 4) & BITS(51, 12));
		u64 *pdpt = vmx_pages(1);

		for (unsigned i = 0; i < PDPTES; i++)
			pdpt[i] = (identity[i] & BITS(51, 12)) | PTE_P;
		h->cr3 = (u32)(u64)pdpt;
		h->cr4 = (u32)(CR4_PAE | CR4_VMXE | rdmsr(MSR_IA32_VMX_CR4_FIXED0));
	} else {
		u32 *directory = vmx_pages(1);

		for (u32 i = 0; i < 1024; i++)
			directory[i] = i << 22 | PDE_LARGE;
		h->cr3 = (u32)(u64)directory;
		h->cr4 = (u32)(CR4_PSE | CR4_VMXE | rdmsr(MSR_IA32_VMX_CR4_FIXED0));
	}
}

/* In VMX operation, with a current VMCS. False: the case is over. */
static bool begin(struct run *t, struct host *h, bool pae)
{
	void *page;

	if (!vmx_prepare(t))
		return false;
	*h = (struct host){.t = t, .ops = vmx_pages(LIST_PAGES)};
	make_paging(h, pae);
	page = vmx_pages(1);
	vmx_prepare_region(page);
	h->vmcs = (u64)page;
	op(h, VMX32_VMXON, 0, 0, vmx_region());
	op(h, VMX32_VMCLEAR, 0, 0, h->vmcs);
	op(h, VMX32_VMPTRLD, 0, 0, h->vmcs);
	return true;
}

/* Executes the list and VMXOFF. False: something was not expected. */
static bool run(struct host *h)
{
	bool ran;

	op(h, VMX32_VMXOFF, 0, 0, 0);
	ran = vmx32_run(h->ops, h->count, h->cr3, h->cr4);
	CHECK(h->t, ran, "a fault outside the list");
	return ran;
}

static void write_controls(struct host *h, u64 exit_bits, u64 entry_bits)
{
	const u64 wanted[CTL_COUNT] = {
		[CTL_EXIT] = EXIT_LOAD_EFER | EXIT_SAVE_EFER | exit_bits,
		[CTL_ENTRY] = ENTRY_LOAD_EFER | entry_bits,
	};

	for (enum vmx_ctl ctl = 0; ctl < CTL_COUNT; ctl++)
		if (vmx_ctl_exists(ctl))
			write_field(h, vmx_ctl_field(ctl),
				    (wanted[ctl] & vmx_ctl_may(ctl)) | vmx_ctl_must(ctl));
	write_field(h, VMCS_EXCEPTION_BITMAP, 0xffffffff);
	write_field(h, VMCS_CR3_TARGET_COUNT, 0);
	write_field(h, VMCS_VM_EXIT_MSR_STORE_COUNT, 0);
	write_field(h, VMCS_VM_EXIT_MSR_LOAD_COUNT, 0);
	write_field(h, VMCS_VM_ENTRY_MSR_LOAD_COUNT, 0);
	write_field(h, VMCS_VM_ENTRY_INTR_INFO, 0);
	write_field(h, VMCS_CR0_GUEST_HOST_MASK, 0);
	write_field(h, VMCS_CR4_GUEST_HOST_MASK, 0);
}

static void write_host(struct host *h)
{
	write_field(h, VMCS_HOST_CR0, read_cr0());
	write_field(h, VMCS_HOST_CR3, h->cr3);
	write_field(h, VMCS_HOST_CR4, h->cr4);
	for (u32 field = VMCS_HOST_ES_SELECTOR; field <= VMCS_HOST_GS_SELECTOR; field += 2)
		write_field(h, field, field == VMCS_HOST_CS_SELECTOR ? SEL_CODE32 : SEL_DATA);
	write_field(h, VMCS_HOST_TR_SELECTOR, SEL_TSS_A);
	write_field(h, VMCS_HOST_FS_BASE, 0);
	write_field(h, VMCS_HOST_GS_BASE, 0);
	write_field(h, VMCS_HOST_TR_BASE, (u64)&legacy_tss[0]);
	write_field(h, VMCS_HOST_GDTR_BASE, (u64)legacy_gdt);
	write_field(h, VMCS_HOST_IDTR_BASE, (u64)legacy_idt);
	write_field(h, VMCS_HOST_SYSENTER_CS, 0);
	write_field(h, VMCS_HOST_SYSENTER_ESP, 0);
	write_field(h, VMCS_HOST_SYSENTER_EIP, 0);
	write_field(h, VMCS_HOST_RIP, (u64)vmx32_exited);
	if (vmx_has(CTL_EXIT, EXIT_LOAD_EFER))
		write_field(h, VMCS_HOST_EFER, 0);
}

static void write_segment32(struct host *h, enum segment s, u32 selector, u64 base, u32 limit,
			    u32 rights)
{
	write_field(h, VMCS_GUEST_ES_SELECTOR + 2u * s, selector);
	write_field(h, VMCS_GUEST_ES_BASE + 2u * s, base);
	write_field(h, VMCS_GUEST_ES_LIMIT + 2u * s, limit);
	write_field(h, VMCS_GUEST_ES_ACCESS_RIGHTS + 2u * s, rights);
}

static void write_guest(struct host *h)
{
	write_field(h, VMCS_GUEST_CR0, read_cr0());
	write_field(h, VMCS_GUEST_CR3, h->cr3);
	write_field(h, VMCS_GUEST_CR4, h->cr4);
	write_field(h, VMCS_GUEST_DR7, DR7_INIT);
	for (enum segment s = SEG_ES; s <= SEG_GS; s++)
		write_segment32(h, s, s == SEG_CS ? SEL_CODE32 : SEL_DATA, 0, 0xffffffff,
				s == SEG_CS ? AR_CODE32 : AR_DATA32);
	write_segment32(h, SEG_LDTR, 0, 0, 0xffff, (u32)AR_UNUSABLE);
	write_segment32(h, SEG_TR, SEL_TSS_A, (u64)&legacy_tss[0], sizeof(struct tss32) - 1,
			AR_TSS_BUSY);
	write_field(h, VMCS_GUEST_GDTR_BASE, (u64)legacy_gdt);
	write_field(h, VMCS_GUEST_GDTR_LIMIT, sizeof(legacy_gdt) - 1);
	write_field(h, VMCS_GUEST_IDTR_BASE, (u64)legacy_idt);
	write_field(h, VMCS_GUEST_IDTR_LIMIT, sizeof(legacy_idt) - 1);
	write_field(h, VMCS_GUEST_RIP, (u64)h32_code);
	write_field(h, VMCS_GUEST_RSP, (u64)vmx_pages(1) + PAGE_SIZE);
	write_field(h, VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
	write_field(h, VMCS_GUEST_INTERRUPTIBILITY, 0);
	write_field(h, VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	write_field(h, VMCS_GUEST_PENDING_DEBUG, 0);
	write_field(h, VMCS_GUEST_SYSENTER_CS, 0);
	write_field(h, VMCS_GUEST_SYSENTER_ESP, 0);
	write_field(h, VMCS_GUEST_SYSENTER_EIP, 0);
	write_field(h, VMCS_GUEST_DEBUGCTL, 0);
	write_field(h, VMCS_VMCS_LINK_POINTER, ~0ull);
	if (vmx_has(CTL_ENTRY, ENTRY_LOAD_EFER))
		write_field(h, VMCS_GUEST_EFER, 0);
}

static void check_round_trip(struct run *t, bool pae)
{
	struct vmx32_op *launch, *reason, *rip, *length, *resume, *reason2, *cr4;
	struct host h;

	if (!begin(t, &h, pae))
		return;
	write_controls(&h, 0, 0);
	write_host(&h);
	write_guest(&h);
	for (u32 i = 0; i < h.count; i++)
		h.ops[i].result = SENTINEL;
	launch = op(&h, VMX32_VMLAUNCH, 0, 0, 0);
	reason = read_field(&h, VMCS_EXIT_REASON);
	rip = read_field(&h, VMCS_GUEST_RIP);
	length = read_field(&h, VMCS_VM_EXIT_INSTRUCTION_LENGTH);
	cr4 = read_field(&h, VMCS_GUEST_CR4);
	write_field(&h, VMCS_GUEST_RIP, (u64)h32_code + CPUID_OFFSET + CPUID_SIZE);
	resume = op(&h, VMX32_VMRESUME, 0, 0, 0);
	reason2 = read_field(&h, VMCS_EXIT_REASON);
	if (!run(&h))
		return;
	for (u32 i = 0; &h.ops[i] < launch; i++)
		CHECK(t, h.ops[i].result == 0, "instruction %u (%u %x): %x", i, h.ops[i].kind,
		      h.ops[i].a, h.ops[i].result);
	CHECK_EQ(t, launch->b, EXITED);
	CHECK_EQ(t, reason->b, REASON_CPUID);
	CHECK_EQ(t, rip->b - (u32)(u64)h32_code, CPUID_OFFSET);
	CHECK_EQ(t, length->b, CPUID_SIZE);
	CHECK_EQ(t, cr4->b, h.cr4);
	CHECK_EQ(t, resume->b, EXITED);
	CHECK_EQ(t, reason2->b, REASON_VMCALL);
}

PROBE_CASE(host32_round_trip, "vmx.host32.round_trip", CASE_EACH_CPU)
{
	check_round_trip(t, false);
}

/* The exit loads the page-directory pointers of the host's CR3. */
PROBE_CASE(host32_pae, "vmx.host32.round_trip_pae", CASE_EACH_CPU)
{
	check_round_trip(t, true);
}

/* "If the logical processor is outside IA-32e mode … the following must hold": both are 0. */
PROBE_CASE(host32_size, "vmx.host32.address_space_size", CASE_EACH_CPU)
{
	static const struct {
		u64 exit, entry;
	} bad[] = {
		{EXIT_HOST_64BIT, 0}, {0, ENTRY_IA32E_GUEST}, {EXIT_HOST_64BIT, ENTRY_IA32E_GUEST}};
	struct host h;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vmx32_op *launch, *error;

		if (!begin(t, &h, true))
			return;
		write_controls(&h, bad[i].exit, bad[i].entry);
		write_host(&h);
		write_guest(&h);
		launch = op(&h, VMX32_VMLAUNCH, 0, 0, 0);
		error = read_field(&h, VMCS_VM_INSTRUCTION_ERROR);
		if (!run(&h))
			return;
		CHECK_EQ(t, launch->b, 0);
		CHECK_EQ(t, launch->result, RFLAGS_ZF);
		CHECK(t,
		      error->b == VMERR_ENTRY_INVALID_CONTROL ||
			      error->b == VMERR_ENTRY_INVALID_HOST_STATE,
		      "row %u: error %u", i, error->b);
	}
}

/* "Outside 64-bit mode the operands are 32 bits", in registers and in memory. */
PROBE_CASE(host32_operands, "vmx.host32.operands", CASE_EACH_CPU)
{
	struct vmx32_op *low, *high, *natural, *memory, *wrote, *pointer, *pointer16, *missing;
	struct host h;

	if (!begin(t, &h, false))
		return;
	write_field(&h, VMCS_TSC_OFFSET, 0x1111222233334444);
	low = read_field(&h, VMCS_TSC_OFFSET);
	high = read_field(&h, VMCS_TSC_OFFSET + 1);
	op(&h, VMX32_VMWRITE, VMCS_GUEST_RIP, 0x89abcdef, 0);
	natural = read_field(&h, VMCS_GUEST_RIP);
	memory = op(&h, VMX32_VMREAD_MEMORY, VMCS_GUEST_RIP, 0, 0xfedcba9876543210);
	wrote = op(&h, VMX32_VMWRITE_MEMORY, VMCS_GUEST_RSP, 0, 0xaaaaaaaa55555555);
	pointer = op(&h, VMX32_VMPTRST, 0, 0, 0);
	pointer16 = op(&h, VMX32_VMPTRST_16BIT, 0, 0, 0);
	missing = read_field(&h, 0x7ffe);
	if (!run(&h))
		return;
	CHECK_EQ(t, low->b, 0x33334444);
	CHECK_EQ(t, high->b, 0x11112222);
	CHECK_EQ(t, natural->b, 0x89abcdef);
	CHECK_EQ(t, memory->result, 0);
	CHECK_EQ(t, memory->operand[0], 0xfedcba9889abcdef);
	CHECK_EQ(t, wrote->result, 0);
	CHECK_EQ(t, pointer->result, 0);
	CHECK_EQ(t, pointer->operand[0], h.vmcs);
	CHECK_EQ(t, pointer16->result, 0);
	CHECK_EQ(t, pointer16->operand[0], h.vmcs);
	CHECK_EQ(t, pointer16->operand[1], SENTINEL);
	CHECK_EQ(t, missing->result, RFLAGS_ZF);
	CHECK_EQ(t, missing->b, SENTINEL);
	/* What 32 bits leave: zero above in natural-width fields, as 64-bit mode sees it. */
	if (!vmx_on(t))
		return;
	CHECK_VM(t, try_vmptrld(h.vmcs), VM_OK);
	CHECK_EQ(t, vmread(VMCS_GUEST_RIP), 0x89abcdef);
	CHECK_EQ(t, vmread(VMCS_GUEST_RSP), 0x55555555);
	CHECK_EQ(t, vmread(VMCS_TSC_OFFSET), 0x1111222233334444);
}

PROBE_CASE(host32_failures, "vmx.host32.failures", CASE_EACH_CPU)
{
	struct vmx32_op *again, *misaligned, *clear_region, *resume, *invept, *invvpid;
	u64 cap;
	struct host h;

	if (!begin(t, &h, false))
		return;
	cap = vmx_ept_vpid_cap();
	again = op(&h, VMX32_VMXON, 0, 0, vmx_region());
	misaligned = op(&h, VMX32_VMPTRLD, 0, 0, h.vmcs + 8);
	clear_region = op(&h, VMX32_VMCLEAR, 0, 0, vmx_region());
	write_controls(&h, 0, 0);
	resume = op(&h, VMX32_VMRESUME, 0, 0, 0);
	invept = op(&h, VMX32_INVEPT, INVEPT_ALL_CONTEXT, 0, 0);
	invvpid = op(&h, VMX32_INVVPID, INVVPID_ALL_CONTEXT, 0, 0);
	invept->operand[1] = invvpid->operand[1] = 0;
	if (!run(&h))
		return;
	CHECK_EQ(t, again->result, RFLAGS_ZF);
	CHECK_EQ(t, misaligned->result, RFLAGS_ZF);
	CHECK_EQ(t, clear_region->result, RFLAGS_ZF);
	CHECK_EQ(t, resume->result, RFLAGS_ZF);
	if (cap & EPT_CAP_INVEPT)
		CHECK_EQ(t, invept->result, cap & EPT_CAP_INVEPT_ALL ? 0 : RFLAGS_ZF);
	else
		CHECK_EQ(t, invept->result, VMX32_FAULT | VECTOR_UD << 16);
	if (cap & VPID_CAP_INVVPID)
		CHECK_EQ(t, invvpid->result, cap & VPID_CAP_ALL ? 0 : RFLAGS_ZF);
	else
		CHECK_EQ(t, invvpid->result, VMX32_FAULT | VECTOR_UD << 16);
	/* The last one was VMXOFF. */
	CHECK_EQ(t, h.ops[h.count - 1].result, 0);
}

/* SDM "VMCALL": in VMX root operation it fails with error 1. Bochs 2.7 ends itself. */
PROBE_CASE(host32_vmcall, "vmx.host32.vmcall", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct vmx32_op *call, *error;
	struct host h;

	if (!begin(t, &h, false))
		return;
	call = op(&h, VMX32_VMCALL, 0, 0, 0);
	error = read_field(&h, VMCS_VM_INSTRUCTION_ERROR);
	if (!run(&h))
		return;
	CHECK_EQ(t, call->result, RFLAGS_ZF);
	CHECK_EQ(t, error->b, VMERR_VMCALL_IN_ROOT);
}
