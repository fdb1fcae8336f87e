/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "VM Functions", "EPTP Switching", and "Virtualization Exceptions". */
#include "exits.h"
#include "string.h"
#include "vmx/eptmap.h"

L2_CODE(fn_vmfunc, "vmfunc");
/* Reads, switches, reads again. */
L2_CODE(fn_switch, "movl (%rbx), %esi\n1: vmfunc\nmovl (%rbx), %edi");
enum { SWITCH_OFFSET = 2 };
L2_CODE(fn_read, "mov (%rbx), %rax");
L2_CODE(fn_write, "mov %rax, (%rbx)");

enum {
	EPTP_SWITCHING = 0,
	LIST_LENGTH = 512,
	LAST_FUNCTION = 63,
	VALUE_A = 0xaaaa,
	VALUE_B = 0xbbbb,
};

/* Linear and guest-physical; no memory is there. */
static const u64 GPA = 0x80000000;

struct views {
	struct l2 *l2;
	u64 *list;
	u64 a, b;   /* EPT pointers that differ in what GPA is */
	u64 page_b; /* in the second */
	u64 *leaf_b;
};

static bool begin(struct run *t, struct views *s)
{
	struct eptmap *first;
	u64 page;

	s->l2 = l2_begin(t);
	if (!s->l2)
		return false;
	if (!l2_ept(s->l2) || !l2_enable(CTL_CPU2, CPU2_VM_FUNCTIONS)) {
		run_skip(t, "no VM functions");
		return false;
	}
	vmwrite(VMCS_VM_FUNCTION_CONTROLS, 0);
	if (!(rdmsr(MSR_IA32_VMX_VMFUNC) & VMFUNC_EPTP_SWITCHING)) {
		run_skip(t, "no EPTP switching");
		return false;
	}
	s->list = vmx_pages(1);
	vmwrite(VMCS_VM_FUNCTION_CONTROLS, VMFUNC_EPTP_SWITCHING);
	vmwrite(VMCS_EPTP_LIST_ADDR, (u64)s->list);
	first = s->l2->ept;
	page = (u64)vmx_pages(1);
	*(u32 *)page = VALUE_A;
	ept_map_page(first, GPA, page, EPT_RWX);
	s->a = ept_pointer(first);
	l2_ept(s->l2);
	s->page_b = (u64)vmx_pages(1);
	*(u32 *)s->page_b = VALUE_B;
	ept_map_page(s->l2->ept, GPA, s->page_b, EPT_RWX);
	s->leaf_b = ept_slot(s->l2->ept, GPA, 1);
	s->b = ept_pointer(s->l2->ept);
	vmwrite(VMCS_EPT_POINTER, s->a);
	return true;
}

static void run_function(struct l2 *l2, const u8 *code, u64 eax, u64 ecx)
{
	l2_goto(l2, code);
	l2->regs.rax = eax;
	l2->regs.rcx = ecx;
	l2->regs.rbx = GPA;
	l2_run(l2);
}

PROBE_CASE(vmfunc_switch, "vmx.vmfunc.eptp_switching", CASE_EACH_CPU)
{
	struct views s;

	if (!begin(t, &s))
		return;
	s.list[0] = s.a;
	s.list[LIST_LENGTH - 1] = s.b;
	run_function(s.l2, fn_switch, EPTP_SWITCHING, LIST_LENGTH - 1);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, s.l2->regs.rsi, VALUE_A);
	CHECK_EQ(t, s.l2->regs.rdi, VALUE_B);
	/* "Leaves all general-purpose registers and flags unmodified." */
	CHECK_EQ(t, s.l2->regs.rax, EPTP_SWITCHING);
	CHECK_EQ(t, s.l2->regs.rcx, LIST_LENGTH - 1);
	CHECK_EQ(t, vmread(VMCS_EPT_POINTER), s.b);
	/* ECX and EAX only. It is for CPL 3 as well. */
	l2_goto_user(s.l2, fn_vmfunc);
	s.l2->regs.rax = BIT(32) | EPTP_SWITCHING;
	s.l2->regs.rcx = 0xffffffff00000000;
	l2_run(s.l2);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	CHECK_EQ(t, vmread(VMCS_EPT_POINTER), s.a);
	/* To itself; and many times there and back. */
	run_function(s.l2, fn_switch, EPTP_SWITCHING, 0);
	CHECK_EQ(t, s.l2->regs.rdi, VALUE_A);
	for (unsigned i = 0; i < 8; i++) {
		run_function(s.l2, fn_switch, EPTP_SWITCHING, i % 2 ? 0 : LIST_LENGTH - 1);
		CHECK_EQ(t, s.l2->regs.rsi, i % 2 ? VALUE_B : VALUE_A);
		CHECK_EQ(t, s.l2->regs.rdi, i % 2 ? VALUE_A : VALUE_B);
	}
	/* A violation behind the switch is of the new map. */
	*s.leaf_b = 0;
	CHECK_VM(t, try_invept(INVEPT_ALL_CONTEXT, 0, 0), VM_OK);
	run_function(s.l2, fn_switch, EPTP_SWITCHING, LIST_LENGTH - 1);
	CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
	CHECK_EQ(t, s.l2->exit.physical, GPA);
	CHECK_RIP(t, s.l2, SWITCH_OFFSET + 3);
	CHECK_EQ(t, vmread(VMCS_EPT_POINTER), s.b);
}

/* SDM "General Operation of the VMFUNC Instruction". */
PROBE_CASE(vmfunc_exits, "vmx.vmfunc.exits", CASE_EACH_CPU)
{
	struct views s;

	if (!begin(t, &s))
		return;
	const u64 bad[] = {
		0,                 /* no memory type, no walk length */
		(s.b & ~7ull) | 2, /* a reserved memory type */
		s.b | BIT(11),     /* reserved */
		s.b | BIT(vmx_address_bits()),
		(s.b & ~(u64)EPTP_WALK) | 2ull << 3,
	};

	s.list[0] = s.a;
	run_function(s.l2, fn_switch, 1, 0);
	CHECK_EXIT_QUAL(t, s.l2, REASON_VMFUNC, 0);
	CHECK_EQ(t, s.l2->exit.length, 3);
	CHECK_RIP(t, s.l2, SWITCH_OFFSET);
	run_function(s.l2, fn_vmfunc, LAST_FUNCTION, 0);
	CHECK_EXIT_QUAL(t, s.l2, REASON_VMFUNC, 0);
	/* "EAX is greater than 63": #UD. */
	run_function(s.l2, fn_vmfunc, LAST_FUNCTION + 1, 0);
	CHECK_EXCEPTION(t, s.l2, VECTOR_UD, 0, 0);
	run_function(s.l2, fn_vmfunc, EPTP_SWITCHING, LIST_LENGTH);
	CHECK_EXIT_QUAL(t, s.l2, REASON_VMFUNC, 0);
	run_function(s.l2, fn_vmfunc, EPTP_SWITCHING, 0x80000000);
	CHECK_EXIT_QUAL(t, s.l2, REASON_VMFUNC, 0);
	/* "If the EPTP value would cause VM entry to fail": the exit, and nothing is switched. */
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		s.list[7] = bad[i];
		run_function(s.l2, fn_switch, EPTP_SWITCHING, 7);
		CHECK_EXIT_QUAL(t, s.l2, REASON_VMFUNC, 0);
		CHECK_RIP(t, s.l2, SWITCH_OFFSET);
		CHECK_EQ(t, vmread(VMCS_EPT_POINTER), s.a);
	}
	/* The function is off; then all of them. */
	vmwrite(VMCS_VM_FUNCTION_CONTROLS, 0);
	run_function(s.l2, fn_vmfunc, EPTP_SWITCHING, 0);
	CHECK_EXIT_QUAL(t, s.l2, REASON_VMFUNC, 0);
	l2_disable(CTL_CPU2, CPU2_VM_FUNCTIONS);
	run_function(s.l2, fn_vmfunc, EPTP_SWITCHING, 0);
	CHECK_EXCEPTION(t, s.l2, VECTOR_UD, 0, 0);
}

/* SDM "Virtualization-Exception Information". */
struct ve_info {
	u32 reason, busy;
	u64 qualification, linear, physical;
	u16 eptp_index;
};
_Static_assert(offsetof(struct ve_info, eptp_index) == 32, "SDM: its format");

static struct ve_info *begin_ve(struct run *t, struct l2 **out)
{
	struct l2 *l2 = l2_begin(t);
	struct ve_info *info;

	*out = l2;
	if (!l2)
		return NULL;
	if (!l2_ept(l2) || !l2_enable(CTL_CPU2, CPU2_EPT_VIOLATION_VE)) {
		run_skip(t, "no EPT-violation #VE");
		return NULL;
	}
	info = vmx_pages(1);
	memset(info, 0x5a, sizeof(*info));
	info->busy = 0;
	vmwrite(VMCS_VE_INFO_ADDR, (u64)info);
	vmwrite(VMCS_EPTP_INDEX, 0x77);
	vmwrite(VMCS_EXCEPTION_BITMAP, ~(u32)BIT(VECTOR_VE));
	return info;
}

static void access(struct l2 *l2, const u8 *code)
{
	l2_goto(l2, code);
	l2->regs.rbx = GPA + 0x128;
	l2_run(l2);
}

static const u64 VE_DEFINED = BITS(5, 0) | EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED;

PROBE_CASE(ve_delivered, "vmx.ve.delivered", CASE_EACH_CPU)
{
	const u64 translated = EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED;
	struct l2 *l2;
	struct ve_info *info = begin_ve(t, &l2);
	u64 *leaf;

	if (!info)
		return;
	leaf = ept_slot(l2->ept, GPA, 1);
	*leaf = 0;
	ept_flush(l2->ept);
	access(l2, fn_read);
	CHECK_EQ(t, (u64)l2_delivered(l2), VECTOR_VE);
	/* No error code: RIP is next. */
	CHECK_EQ(t, l2_frame(l2)[0], l2->start);
	CHECK_EQ(t, info->reason, REASON_EPT_VIOLATION);
	CHECK_EQ(t, info->busy, 0xffffffff);
	CHECK_EQ(t, info->qualification & VE_DEFINED, EPT_VIOLATION_READ | translated);
	CHECK_EQ(t, info->linear, GPA + 0x128);
	CHECK_EQ(t, info->physical, GPA + 0x128);
	/* The area is busy: an exit, and the area stays. */
	info->qualification = 1;
	access(l2, fn_write);
	CHECK_EXIT(t, l2, REASON_EPT_VIOLATION);
	CHECK_EQ(t, info->qualification, 1);
	/* Rights that are there. */
	info->busy = 0;
	ept_map_page(l2->ept, GPA, (u64)vmx_pages(1), EPT_READ);
	access(l2, fn_write);
	CHECK_EQ(t, (u64)l2_delivered(l2), VECTOR_VE);
	CHECK_EQ(t, info->qualification & VE_DEFINED,
		 EPT_VIOLATION_WRITE | EPT_VIOLATION_WAS_READABLE | translated);
	/* In the exception bitmap: an exit by the exception, the area written. */
	info->busy = 0;
	info->reason = 0;
	vmwrite(VMCS_EXCEPTION_BITMAP, 0xffffffff);
	access(l2, fn_write);
	CHECK_EXCEPTION(t, l2, VECTOR_VE, 0, 0);
	CHECK_EQ(t, info->reason, REASON_EPT_VIOLATION);
	CHECK_EQ(t, info->busy, 0xffffffff);
}

/* "The current value of the EPTP-index VM-execution control": Bochs 2.7 loads it by VMFUNC only. */
PROBE_CASE(ve_index, "vmx.ve.eptp_index", CASE_EACH_CPU | CASE_EXPLICIT)
{
	struct l2 *l2;
	struct ve_info *info = begin_ve(t, &l2);

	if (!info)
		return;
	*ept_slot(l2->ept, GPA, 1) = 0;
	ept_flush(l2->ept);
	access(l2, fn_read);
	CHECK_EQ(t, (u64)l2_delivered(l2), VECTOR_VE);
	CHECK_EQ(t, info->eptp_index, 0x77);
}

PROBE_CASE(ve_not, "vmx.ve.not_convertible", CASE_EACH_CPU)
{
	struct l2 *l2;
	struct ve_info *info = begin_ve(t, &l2);
	u64 *leaf, *directory, table;

	if (!info)
		return;
	leaf = ept_slot(l2->ept, GPA, 1);
	directory = ept_slot(l2->ept, GPA, 2);
	/* "Suppress #VE" of the entry that is not present, or of the leaf. */
	*leaf = EPT_SUPPRESS_VE;
	ept_flush(l2->ept);
	access(l2, fn_read);
	CHECK_EXIT(t, l2, REASON_EPT_VIOLATION);
	ept_map_page(l2->ept, GPA, (u64)vmx_pages(1), EPT_READ | EPT_SUPPRESS_VE);
	access(l2, fn_write);
	CHECK_EXIT(t, l2, REASON_EPT_VIOLATION);
	table = *directory;
	*directory = EPT_SUPPRESS_VE;
	ept_flush(l2->ept);
	access(l2, fn_read);
	CHECK_EXIT(t, l2, REASON_EPT_VIOLATION);
	/* Not present above, where the leaf below does not count. */
	*directory = table & ~(u64)EPT_RWX;
	ept_flush(l2->ept);
	access(l2, fn_read);
	CHECK_EQ(t, (u64)l2_delivered(l2), VECTOR_VE);
	*directory = table;
	info->busy = 0;
	/* A misconfiguration is none. */
	*leaf = EPT_WRITE;
	ept_flush(l2->ept);
	access(l2, fn_read);
	CHECK_EXIT(t, l2, REASON_EPT_MISCONFIG);
	/* "… while delivering an event through the IDT". */
	*leaf = 0;
	ept_flush(l2->ept);
	l2_goto(l2, fn_read);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	vmwrite(VMCS_GUEST_RSP, GPA + 0x800);
	l2_inject((u32)INTR_INFO_VALID | INTR_TYPE_EXTERNAL | 0x60, 0, 0);
	l2_run(l2);
	CHECK_EXIT(t, l2, REASON_EPT_VIOLATION);
	CHECK_EQ(t, l2->exit.idt_info, INTR_INFO_VALID | INTR_TYPE_EXTERNAL | 0x60);
	CHECK_EQ(t, info->busy, 0);
}
