/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "VMCS Shadowing", "VMREAD", "VMWRITE": a VMCS for the hypervisor in L2. */
#include "exits.h"
#include "vmx/eptmap.h"
#include "vmx/fields.h"

#define WITH_FLAGS(text) "pushfq\norl $0x8d5, (%rsp)\npopfq\n" text "\npushfq\npopq %rdx"
L2_CODE(sh_read, WITH_FLAGS("vmread %rcx, %rax"));
L2_CODE(sh_write, WITH_FLAGS("vmwrite %rax, %rcx"));
L2_CODE(sh_read_memory, WITH_FLAGS("vmread %rcx, 8(%rbx)"));
L2_CODE(sh_write_memory, WITH_FLAGS("vmwrite 8(%rbx), %rcx"));
enum { INSN_OFFSET = 9 };

/* SDM "Format of the VMCS Region": bit 31 of the first word. */
static const u32 SHADOW_INDICATOR = 1u << 31;

struct shadow {
	struct l2 *l2;
	u64 region;
	u8 *reads, *writes; /* the bitmaps, all clear */
};

/* A region with the shadow-VMCS indicator, clear. */
static u64 new_region(void)
{
	u32 *page = vmx_pages(1);

	vmx_prepare_region(page);
	*page |= SHADOW_INDICATOR;
	return (u64)page;
}

static bool begin(struct run *t, struct shadow *s)
{
	s->l2 = l2_begin(t);
	if (!s->l2)
		return false;
	if (!l2_enable(CTL_CPU2, CPU2_VMCS_SHADOWING)) {
		run_skip(t, "no VMCS shadowing");
		return false;
	}
	s->region = new_region();
	s->reads = vmx_pages(1);
	s->writes = vmx_pages(1);
	CHECK_VM(t, try_vmclear(s->region), VM_OK);
	vmwrite(VMCS_VMREAD_BITMAP, (u64)s->reads);
	vmwrite(VMCS_VMWRITE_BITMAP, (u64)s->writes);
	vmwrite(VMCS_VMCS_LINK_POINTER, s->region);
	return true;
}

/* Makes the shadow VMCS current for what L1 wants of it; close_region() goes back. */
static void open_region(const struct shadow *s)
{
	check_vm(s->l2->t, __LINE__, "VMPTRLD", try_vmptrld(s->region), VM_OK);
}

static void close_region(const struct shadow *s)
{
	check_vm(s->l2->t, __LINE__, "VMCLEAR", try_vmclear(s->region), VM_OK);
	check_vm(s->l2->t, __LINE__, "VMPTRLD", try_vmptrld(s->l2->vmcs), VM_OK);
}

static u64 in_region(const struct shadow *s, u64 field)
{
	u64 value;

	open_region(s);
	value = vmread(field);
	close_region(s);
	return value;
}

/* Runs one access of L2's with all status flags set; the result is those it left. */
static u64 l2_access(struct shadow *s, const u8 *code, u64 field, u64 rax, u64 rbx)
{
	l2_goto(s->l2, code);
	s->l2->regs.rcx = field;
	s->l2->regs.rax = rax;
	s->l2->regs.rbx = rbx;
	l2_run(s->l2);
	check_exit(s->l2->t, __LINE__, s->l2, REASON_VMCALL);
	return s->l2->regs.rdx & VM_STATUS_FLAGS;
}

PROBE_CASE(shadow_region, "vmx.shadow.region", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);
	u64 region, pointer = 0;

	if (!l2)
		return;
	region = new_region();
	if (!vmx_has(CTL_CPU2, CPU2_VMCS_SHADOWING)) {
		/* "… or the processor does not support VMCS shadowing and bit 31 is set". */
		CHECK_VM(t, try_vmptrld(region), VM_FAIL(VMERR_VMPTRLD_WRONG_REVISION));
		return;
	}
	CHECK_VM(t, try_vmclear(region), VM_OK);
	CHECK_VM(t, try_vmptrld(region), VM_OK);
	CHECK_VM(t, try_vmptrst(&pointer), VM_OK);
	CHECK_EQ(t, pointer, region);
	vmwrite(VMCS_GUEST_RIP, 0x123456789abc);
	CHECK_EQ(t, vmread(VMCS_GUEST_RIP), 0x123456789abc);
	CHECK_VM(t, try_vmclear(region), VM_OK);
	CHECK(t, *(u32 *)region == (rdmsr(MSR_IA32_VMX_BASIC) & BITS(30, 0)) + SHADOW_INDICATOR,
	      "VMCLEAR changed the region's first word: %x", *(u32 *)region);
	*(u32 *)region ^= 1;
	CHECK_VM(t, try_vmptrld(l2->vmcs), VM_OK);
	CHECK_VM(t, try_vmptrld(region), VM_FAIL(VMERR_VMPTRLD_WRONG_REVISION));
	CHECK_VM(t, try_vmptrst(&pointer), VM_OK);
	CHECK_EQ(t, pointer, l2->vmcs);
	l2_goto(l2, sh_read);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_VMREAD);
	CHECK_RIP(t, l2, INSN_OFFSET);
}

/*
 * SDM "Basic VM-Entry Checks": "If there is no current VMCS or the current VMCS is a shadow VMCS,
 * RFLAGS.CF is set to 1". Bochs 2.7 goes on to the launch state and the controls.
 */
PROBE_CASE(shadow_entry, "vmx.shadow.entry_refused", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct shadow s;

	if (!begin(t, &s))
		return;
	open_region(&s);
	CHECK_VM(t, VMX_INSN("vmlaunch", : : "memory"), VM_FAIL_INVALID);
	CHECK_VM(t, VMX_INSN("vmresume", : : "memory"), VM_FAIL_INVALID);
	close_region(&s);
}

/* SDM "Conventions", VMfailValid: the field is the current VMCS's, the one that L2 runs by. */
PROBE_CASE(shadow_error, "vmx.shadow.error_number", CASE_EACH_CPU)
{
	struct shadow s;
	u64 before;

	if (!begin(t, &s))
		return;
	before = in_region(&s, VMCS_VM_INSTRUCTION_ERROR);
	CHECK_EQ(t, l2_access(&s, sh_read, 0x7fff, 99, 0), RFLAGS_ZF);
	CHECK_EQ(t, vmread(VMCS_VM_INSTRUCTION_ERROR), VMERR_UNSUPPORTED_FIELD);
	CHECK(t, in_region(&s, VMCS_VM_INSTRUCTION_ERROR) == before, "the linked VMCS has it");
}

PROBE_CASE(shadow_access, "vmx.shadow.access", CASE_EACH_CPU)
{
	static const u32 fields[] = {VMCS_GUEST_ES_SELECTOR, VMCS_PIN_CONTROLS, VMCS_TSC_OFFSET,
				     VMCS_HOST_RIP,          VMCS_GUEST_RSP,    VMCS_GUEST_CR3};
	struct shadow s;
	u64 *memory, mask;

	if (!begin(t, &s))
		return;
	memory = vmx_pages(1);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		mask = field_width(fields[i]) == VMCS_WIDTH_16   ? 0xffff
		       : field_width(fields[i]) == VMCS_WIDTH_32 ? 0xffffffff
								 : ~0ull;
		/* What L1 has put there. */
		open_region(&s);
		vmwrite(fields[i], 0x1122334455667788 + i);
		close_region(&s);
		CHECK_EQ(t, l2_access(&s, sh_read, fields[i], 0, 0), 0);
		CHECK_EQ(t, s.l2->regs.rax, (0x1122334455667788 + i) & mask);
		/* What L2 writes; the upper bits of a narrow field are ignored. */
		CHECK_EQ(t, l2_access(&s, sh_write, fields[i], 0xfedcba9876543210 + i, 0), 0);
		CHECK_EQ(t, l2_access(&s, sh_read, fields[i], 0, 0), 0);
		CHECK_EQ(t, s.l2->regs.rax, (0xfedcba9876543210 + i) & mask);
		CHECK_EQ(t, in_region(&s, fields[i]), (0xfedcba9876543210 + i) & mask);
		/* In memory, 64 bits of it. */
		memory[0] = memory[1] = memory[2] = ~0ull;
		CHECK_EQ(t, l2_access(&s, sh_read_memory, fields[i], 0, (u64)memory), 0);
		CHECK_EQ(t, memory[1], (0xfedcba9876543210 + i) & mask);
		CHECK_EQ(t, memory[0] & memory[2], ~0ull);
		memory[1] = 0x0102030405060708 * (i + 1);
		CHECK_EQ(t, l2_access(&s, sh_write_memory, fields[i], 0, (u64)memory), 0);
		CHECK_EQ(t, in_region(&s, fields[i]), (0x0102030405060708 * (i + 1)) & mask);
	}
	/* L1's own VMCS is another. */
	CHECK_EQ(t, vmread(VMCS_TSC_OFFSET), 0);
	/* "The high 32 bits of a 64-bit field". */
	CHECK_EQ(t, l2_access(&s, sh_write, VMCS_TSC_OFFSET, 0x1111111122222222, 0), 0);
	CHECK_EQ(t, l2_access(&s, sh_write, VMCS_TSC_OFFSET + 1, 0xaaaaaaaa33333333, 0), 0);
	CHECK_EQ(t, l2_access(&s, sh_read, VMCS_TSC_OFFSET + 1, 0, 0), 0);
	CHECK_EQ(t, s.l2->regs.rax, 0x33333333);
	CHECK_EQ(t, in_region(&s, VMCS_TSC_OFFSET), 0x3333333322222222);
	/* "VMWRITE to any supported field": the exit information too, if the MSR says so. */
	if (rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_VMWRITE_RO) {
		CHECK_EQ(t, l2_access(&s, sh_write, VMCS_EXIT_REASON, 12, 0), 0);
		CHECK_EQ(t, in_region(&s, VMCS_EXIT_REASON), 12);
	}
}

/* Through EPT the operand is found like any other of L2's. */
PROBE_CASE(shadow_ept, "vmx.shadow.memory_operand_with_ept", CASE_EACH_CPU)
{
	const u64 gpa = 0x80000000;
	struct shadow s;
	u64 *page;

	if (!begin(t, &s))
		return;
	L2_NEED_EPT(t, s.l2);
	page = vmx_pages(1);
	ept_map_page(s.l2->ept, gpa, (u64)page, EPT_RWX);
	open_region(&s);
	vmwrite(VMCS_GUEST_CR3, 0xabcd000);
	close_region(&s);
	CHECK_EQ(t, l2_access(&s, sh_read_memory, VMCS_GUEST_CR3, 0, gpa), 0);
	CHECK_EQ(t, page[1], 0xabcd000);
	page[1] = 0x4321000;
	CHECK_EQ(t, l2_access(&s, sh_write_memory, VMCS_GUEST_CR3, 0, gpa), 0);
	CHECK_EQ(t, in_region(&s, VMCS_GUEST_CR3), 0x4321000);
	/* A violation on the way is L1's, and L2 goes on once it is mapped. */
	ept_map_page(s.l2->ept, gpa, (u64)page, EPT_READ);
	l2_goto(s.l2, sh_read_memory);
	s.l2->regs.rcx = VMCS_GUEST_CR3;
	s.l2->regs.rbx = gpa;
	l2_run(s.l2);
	CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
	CHECK_EQ(t, s.l2->exit.physical, gpa + 8);
	CHECK_EQ(t, s.l2->exit.qualification & (BITS(5, 0) | EPT_VIOLATION_TRANSLATED),
		 EPT_VIOLATION_WRITE | EPT_VIOLATION_WAS_READABLE | EPT_VIOLATION_TRANSLATED);
	CHECK_RIP(t, s.l2, INSN_OFFSET);
	ept_map_page(s.l2->ept, gpa, (u64)page, EPT_RWX);
	page[1] = 0;
	l2_run(s.l2);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, page[1], 0x4321000);
}

static void check_exits(struct run *t, int line, struct shadow *s, const u8 *code, u64 field,
			u32 reason)
{
	l2_goto(s->l2, code);
	s->l2->regs.rcx = field;
	l2_run(s->l2);
	check_exit(t, line, s->l2, reason);
	check_equal(t, line, "RIP offset", s->l2->exit.rip - s->l2->start, INSN_OFFSET);
}

#define EXITS(code, field, reason) check_exits(t, __LINE__, &s, code, field, reason)

/* "… VMREAD bit corresponding to the register source operand is 1": and all beyond the bitmap. */
PROBE_CASE(shadow_exits, "vmx.shadow.bitmaps", CASE_EACH_CPU)
{
	static const u32 fields[] = {VMCS_GUEST_ES_SELECTOR, VMCS_EXIT_REASON, VMCS_HOST_RIP,
				     0x7fff, 0};
	struct shadow s;

	if (!begin(t, &s))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		s.reads[fields[i] / 8] = (u8)(1u << fields[i] % 8);
		EXITS(sh_read, fields[i], REASON_VMREAD);
		s.reads[fields[i] / 8] = (u8) ~(1u << fields[i] % 8);
		l2_access(&s, sh_read, fields[i], 0, 0);
		s.reads[fields[i] / 8] = 0;
		s.writes[fields[i] / 8] = (u8)(1u << fields[i] % 8);
		EXITS(sh_write, fields[i], REASON_VMWRITE);
		/* The bitmaps are two. */
		l2_access(&s, sh_read, fields[i], 0, 0);
		s.writes[fields[i] / 8] = 0;
	}
	for (unsigned bit = 15; bit < 64; bit++) {
		EXITS(sh_read, BIT(bit) | VMCS_GUEST_RIP, REASON_VMREAD);
		EXITS(sh_write, BIT(bit) | VMCS_GUEST_RIP, REASON_VMWRITE);
	}
	/* "CPL > 0: #GP(0)" comes after the exits. */
	l2_goto_user(s.l2, sh_read);
	s.l2->regs.rcx = VMCS_GUEST_RIP;
	l2_run(s.l2);
	CHECK_EXCEPTION(t, s.l2, VECTOR_GP, 0, INSN_OFFSET);
	l2_goto_user(s.l2, sh_write);
	s.l2->regs.rcx = VMCS_GUEST_RIP;
	l2_run(s.l2);
	CHECK_EXCEPTION(t, s.l2, VECTOR_GP, 0, INSN_OFFSET);
	s.reads[VMCS_GUEST_RIP / 8] = 0xff;
	l2_goto_user(s.l2, sh_read);
	s.l2->regs.rcx = VMCS_GUEST_RIP;
	l2_run(s.l2);
	CHECK_EXIT(t, s.l2, REASON_VMREAD);
	s.reads[VMCS_GUEST_RIP / 8] = 0;
	l2_disable(CTL_CPU2, CPU2_VMCS_SHADOWING);
	vmwrite(VMCS_VMCS_LINK_POINTER, ~0ull);
	EXITS(sh_read, VMCS_GUEST_RIP, REASON_VMREAD);
	EXITS(sh_write, VMCS_GUEST_RIP, REASON_VMWRITE);
}

PROBE_CASE(shadow_failures, "vmx.shadow.failures", CASE_EACH_CPU)
{
	struct shadow s;

	if (!begin(t, &s))
		return;
	/* 7fffH: no such field. The destination stays. */
	CHECK_EQ(t, l2_access(&s, sh_read, 0x7fff, 99, 0), RFLAGS_ZF);
	CHECK_EQ(t, s.l2->regs.rax, 99);
	CHECK_EQ(t, l2_access(&s, sh_write, 0x7fff, 99, 0), RFLAGS_ZF);
	/* Memory operands fault as ever. */
	l2_goto(s.l2, sh_read_memory);
	s.l2->regs.rcx = VMCS_GUEST_RIP;
	s.l2->regs.rbx = 0x8000000000000000;
	l2_run(s.l2);
	CHECK_EXCEPTION(t, s.l2, VECTOR_GP, 0, INSN_OFFSET);
	/* "VMCS link pointer is not valid". */
	vmwrite(VMCS_VMCS_LINK_POINTER, ~0ull);
	CHECK_EQ(t, l2_access(&s, sh_read, VMCS_GUEST_RIP, 99, 0), RFLAGS_CF);
	CHECK_EQ(t, s.l2->regs.rax, 99);
	CHECK_EQ(t, l2_access(&s, sh_write, VMCS_GUEST_RIP, 99, 0), RFLAGS_CF);
	CHECK_EQ(t, l2_access(&s, sh_read, 0x7fff, 99, 0), RFLAGS_CF);
}

/* "Checks on Guest Non-Register State": bit 31 of the region is the control. */
PROBE_CASE(shadow_link, "vmx.shadow.link_pointer", CASE_EACH_CPU)
{
	const u32 failed = REASON_ENTRY_FAIL_GUEST | (u32)EXIT_REASON_ENTRY_FAIL;
	struct shadow s;
	u32 *other;

	if (!begin(t, &s))
		return;
	CHECK_EQ(t, l2_access(&s, sh_write, VMCS_GUEST_RIP, 5, 0), 0);
	other = vmx_pages(1);
	vmx_prepare_region(other);
	CHECK_VM(t, try_vmclear((u64)other), VM_OK);
	vmwrite(VMCS_VMCS_LINK_POINTER, (u64)other);
	L2_EXITS(t, s.l2, sh_read, failed, 4);
	/* The other way round. */
	vmwrite(VMCS_VMCS_LINK_POINTER, s.region);
	l2_disable(CTL_CPU2, CPU2_VMCS_SHADOWING);
	L2_EXITS(t, s.l2, sh_read, failed, 4);
	vmwrite(VMCS_VMCS_LINK_POINTER, (u64)other);
	EXITS(sh_read, VMCS_GUEST_RIP, REASON_VMREAD);
	l2_enable(CTL_CPU2, CPU2_VMCS_SHADOWING);
	vmwrite(VMCS_VMCS_LINK_POINTER, s.l2->vmcs);
	L2_EXITS(t, s.l2, sh_read, failed, 4);
	/* Another shadow VMCS from one entry to the next. */
	*other |= SHADOW_INDICATOR;
	vmwrite(VMCS_VMCS_LINK_POINTER, (u64)other);
	CHECK_EQ(t, l2_access(&s, sh_write, VMCS_GUEST_RIP, 6, 0), 0);
	vmwrite(VMCS_VMCS_LINK_POINTER, s.region);
	CHECK_EQ(t, l2_access(&s, sh_read, VMCS_GUEST_RIP, 0, 0), 0);
	CHECK_EQ(t, s.l2->regs.rax, 5);
	s.region = (u64)other;
	CHECK_EQ(t, in_region(&s, VMCS_GUEST_RIP), 6);
}
