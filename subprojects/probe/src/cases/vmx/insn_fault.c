/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SDM "VMX Instruction Reference": exceptions. By mode (outside VMX operation, compatibility mode),
 * by privilege, and by the memory operand.
 */
#include "layout.h"
#include "memory.h"
#include "vmx/list.h"
#include "vmx/vmx.h"

static const u64 NONCANONICAL = 0x8000000000000000;

static u64 operand[2];

#define USER(name, text)                                                                           \
	static void user_##name(void *unused)                                                      \
	{                                                                                          \
		u64 a = 0, b = 0;                                                                  \
		(void)unused;                                                                      \
		asm volatile(text : [m] "+m"(operand), [b] "+r"(b) : [a] "r"(a) : "memory", "cc"); \
	}
VMX_INSTRUCTIONS(USER)

static void user_vmfunc(void *unused)
{
	(void)unused;
	asm volatile("vmfunc" : : "a"(0), "c"(0) : "memory");
}

/* CR4.VMXE is 1, VMXON was not executed. */
PROBE_CASE(insn_outside, "vmx.insn.outside_operation", CASE_EACH_CPU)
{
	u64 a = 0, b = 0;

	if (!vmx_prepare(t))
		return;
#define OUTSIDE(name, text)                     \
	if (#name[3] != 'o' || #name[4] != 'n') \
		CHECK_UD(t, TRY(text, : [m] "+m"(operand), [b] "+r"(b) : [a] "r"(a) : "memory"));
	VMX_INSTRUCTIONS(OUTSIDE)
	CHECK_UD(t, TRY("vmfunc", : : "a"(0), "c"(0) : "memory"));
}

PROBE_CASE(insn_user_outside, "vmx.insn.user_outside_operation", CASE_EACH_CPU)
{
	if (!vmx_prepare(t))
		return;
	CHECK_UD(t, user_call(user_vmread, NULL, 0));
	CHECK_UD(t, user_call(user_vmptrst, NULL, 0));
	CHECK_UD(t, user_call(user_vmlaunch, NULL, 0));
	CHECK_UD(t, user_call(user_vmcall, NULL, 0));
	CHECK_UD(t, user_call(user_vmxoff, NULL, 0));
	CHECK_GP(t, user_call(user_vmxon, NULL, 0));
}

PROBE_CASE(insn_user, "vmx.insn.user", CASE_EACH_CPU)
{
	if (!vmx_prepare(t) || !vmx_on(t))
		return;
#define IN_USER(name, text) CHECK_GP(t, user_call(user_##name, NULL, 0));
	VMX_INSTRUCTIONS(IN_USER)
	CHECK_UD(t, user_call(user_vmfunc, NULL, 0));
}

/* Compatibility mode, in ring 0: "IA32_EFER.LMA = 1 and CS.L = 0" is #UD. */
void compat_vmxon(void);
void compat_vmread(void);
void compat_vmwrite(void);
void compat_vmptrld(void);
void compat_vmptrst(void);
void compat_vmclear(void);
void compat_vmlaunch(void);
void compat_vmresume(void);
void compat_vmxoff(void);
void compat_vmcall(void);
void compat_invept(void);
void compat_invvpid(void);

/* Far to a 32-bit code segment, one instruction there, and back; selectors as in layout.h. */
#define COMPAT(name, text)                                                                         \
	asm(".pushsection .text\n.globl compat_" #name "\ncompat_" #name                           \
	    ":\n.code64\npushq %rbx\npushq $0x18\npushq $1f\nlretq\n"                              \
	    ".code32\n1: xorl %eax, %eax\nmovl $operand, %ebx\n771: " text "\n772: ljmp $8, $2f\n" \
	    ".code64\n2: popq %rbx\nret\n" EXTABLE(771b, 772b) ".popsection\n");

COMPAT(vmxon, "vmxon (%ebx)")
COMPAT(vmread, "vmread %eax, %ecx")
COMPAT(vmwrite, "vmwrite %eax, %ecx")
COMPAT(vmptrld, "vmptrld (%ebx)")
COMPAT(vmptrst, "vmptrst (%ebx)")
COMPAT(vmclear, "vmclear (%ebx)")
COMPAT(vmlaunch, "vmlaunch")
COMPAT(vmresume, "vmresume")
COMPAT(vmxoff, "vmxoff")
COMPAT(vmcall, "vmcall")
COMPAT(invept, "invept (%ebx), %eax")
COMPAT(invvpid, "invvpid (%ebx), %eax")

static struct fault compat(void (*fn)(void))
{
	trap_arm();
	fn();
	return trap_taken();
}

static void check_compat(struct run *t)
{
	CHECK_UD(t, compat(compat_vmxon));
	CHECK_UD(t, compat(compat_vmread));
	CHECK_UD(t, compat(compat_vmwrite));
	CHECK_UD(t, compat(compat_vmptrld));
	CHECK_UD(t, compat(compat_vmptrst));
	CHECK_UD(t, compat(compat_vmclear));
	CHECK_UD(t, compat(compat_vmlaunch));
	CHECK_UD(t, compat(compat_vmresume));
	CHECK_UD(t, compat(compat_vmxoff));
	CHECK_UD(t, compat(compat_vmcall));
	CHECK_UD(t, compat(compat_invept));
	CHECK_UD(t, compat(compat_invvpid));
}

PROBE_CASE(insn_compat, "vmx.insn.compatibility_mode", CASE_EACH_CPU)
{
	if (!vmx_prepare(t))
		return;
	check_compat(t);
	if (!vmx_on(t))
		return;
	check_compat(t);
}

/* The address is in RBX; in the SS forms in RBP. */
#define MEMORY_FORMS(X)                \
	X("vmclear (%%rbx)", 0)        \
	X("vmptrld (%%rbx)", 0)        \
	X("vmptrst (%%rbx)", 2)        \
	X("vmread %%rax, (%%rbx)", 2)  \
	X("vmwrite (%%rbx), %%rax", 0) \
	X("vmclear (%%rsi,%%rbx)", 0)  \
	X("vmptrld (%%rsi,%%rbx)", 0)  \
	X("vmptrst (%%rsi,%%rbx)", 2)

/* One field, both as a source and as a destination; a VMCS is current. */
static bool prepare_current(struct run *t)
{
	u64 vmcs;

	if (!vmx_prepare(t) || !vmx_on(t))
		return false;
	vmcs = (u64)vmx_pages(1);
	vmx_prepare_region((void *)vmcs);
	CHECK_VM(t, try_vmclear(vmcs), VM_OK);
	CHECK_VM(t, try_vmptrld(vmcs), VM_OK);
	return true;
}

#define AT(text, address) \
	VMX_INSN(text, : "a"((u64)VMCS_GUEST_RIP), "b"(address), "S"(0), "d"(address) : "memory")

PROBE_CASE(insn_noncanonical, "vmx.insn.noncanonical_operand", CASE_EACH_CPU)
{
	u64 cap;

	if (!prepare_current(t))
		return;
	cap = vmx_ept_vpid_cap();
#define NONCANON(text, write) CHECK_VM(t, AT(text, NONCANONICAL), VM_GP);
	MEMORY_FORMS(NONCANON)
	if (cap & EPT_CAP_INVEPT)
		CHECK_VM(t,
			 VMX_INSN("invept (%%rbx), %%rax",
				  : "a"(2), "b"(NONCANONICAL)
				  : "memory"),
			 VM_GP);
	if (cap & VPID_CAP_INVVPID)
		CHECK_VM(t,
			 VMX_INSN("invvpid (%%rbx), %%rax",
				  : "a"(2), "b"(NONCANONICAL)
				  : "memory"),
			 VM_GP);
		/* "If the memory destination operand is in the SS segment and … non-canonical":
		 * #SS. */
#define ON_STACK(text)                                                      \
	CHECK_VM(t,                                                         \
		 VMX_INSN("xchg %%rdx, %%rbp\n773: " text                   \
			  "\n774: xchg %%rdx, %%rbp\n" EXTABLE(773b, 774b), \
			  , "+d"(address)                                   \
			  : "a"((u64)VMCS_GUEST_RIP)                        \
			  : "memory"),                                      \
		 VM_FAULTED(VECTOR_SS, 0));
	{
		u64 address = NONCANONICAL;

		ON_STACK("vmptrld (%%rbp)")
		ON_STACK("vmptrst (%%rbp)")
		ON_STACK("vmclear 8(%%rbp)")
		ON_STACK("vmread %%rax, (%%rbp)")
		ON_STACK("vmwrite (%%rbp), %%rax")
	}
}

PROBE_CASE(insn_page_fault, "vmx.insn.page_fault_operand", CASE_EACH_CPU)
{
	u64 page, rip;

	if (!prepare_current(t))
		return;
	memory_map(WINDOW_BASE, 0, PAGE_SIZE, PAGE_SIZE, 0);
#define NOT_PRESENT(text, write)                                              \
	CHECK_VM(t, AT(text, WINDOW_BASE + 8), VM_FAULTED(VECTOR_PF, write)); \
	CHECK_EQ(t, this_cpu()->fault.cr2, WINDOW_BASE + 8);
	MEMORY_FORMS(NOT_PRESENT)
	if (vmx_ept_vpid_cap() & EPT_CAP_INVEPT)
		CHECK_VM(t,
			 VMX_INSN("invept (%%rbx), %%rax",
				  : "a"(2), "b"(WINDOW_BASE)
				  : "memory"),
			 VM_FAULTED(VECTOR_PF, 0));
	if (vmx_ept_vpid_cap() & VPID_CAP_INVVPID)
		CHECK_VM(t,
			 VMX_INSN("invvpid (%%rbx), %%rax",
				  : "a"(2), "b"(WINDOW_BASE)
				  : "memory"),
			 VM_FAULTED(VECTOR_PF, 0));

	/* Read-only: read works, write is a protection violation. */
	page = (u64)vmx_pages(1);
	rip = vmread(VMCS_GUEST_RIP);
	memory_map(WINDOW_BASE, page, PAGE_SIZE, PAGE_SIZE, PTE_P);
	CHECK_VM(t, AT("vmwrite (%%rbx), %%rax", WINDOW_BASE + 16), VM_OK);
	CHECK_EQ(t, vmread(VMCS_GUEST_RIP), 0);
	vmwrite(VMCS_GUEST_RIP, rip);
	CHECK_VM(t, AT("vmread %%rax, (%%rbx)", WINDOW_BASE + 16), VM_FAULTED(VECTOR_PF, 3));
	CHECK_VM(t, AT("vmptrst (%%rbx)", WINDOW_BASE + 16), VM_FAULTED(VECTOR_PF, 3));
	/* An unsupported field fails before the destination is touched. */
	CHECK_VM(t,
		 VMX_INSN("vmread %%rax, (%%rbx)",
			  : "a"(~0ull), "b"(WINDOW_BASE)
			  : "memory"),
		 VM_FAIL(VMERR_UNSUPPORTED_FIELD));

	/* Across the end of the mapping: the address is the second page's. */
	memory_map(WINDOW_BASE + PAGE_SIZE, 0, PAGE_SIZE, PAGE_SIZE, 0);
	memory_map(WINDOW_BASE, page, PAGE_SIZE, PAGE_SIZE, PTE_P | PTE_W);
	CHECK_VM(t, AT("vmptrst (%%rbx)", WINDOW_BASE + PAGE_SIZE - 4), VM_FAULTED(VECTOR_PF, 2));
	CHECK_EQ(t, this_cpu()->fault.cr2, WINDOW_BASE + PAGE_SIZE);
	CHECK_VM(t, AT("vmptrld (%%rbx)", WINDOW_BASE + PAGE_SIZE - 4), VM_FAULTED(VECTOR_PF, 0));
	CHECK_EQ(t, this_cpu()->fault.cr2, WINDOW_BASE + PAGE_SIZE);
	CHECK_VM(t, AT("vmread %%rax, (%%rbx)", WINDOW_BASE + PAGE_SIZE - 1),
		 VM_FAULTED(VECTOR_PF, 2));
	CHECK_EQ(t, this_cpu()->fault.cr2, WINDOW_BASE + PAGE_SIZE);
	memory_map(WINDOW_BASE, 0, PAGE_SIZE, PAGE_SIZE, 0);
}

/*
 * "IF … MSR indicates that processor does not support INVEPT_TYPE THEN VMfail … ELSE INVEPT_DESC :=
 * value of memory operand": Bochs 2.7 reads the descriptor first.
 */
PROBE_CASE(insn_type_first, "vmx.insn.type_before_descriptor", CASE_EACH_CPU | CASE_EXPLICIT)
{
	if (!prepare_current(t))
		return;
	memory_map(WINDOW_BASE, 0, PAGE_SIZE, PAGE_SIZE, 0);
	if (vmx_ept_vpid_cap() & EPT_CAP_INVEPT)
		CHECK_VM(t,
			 VMX_INSN("invept (%%rbx), %%rax",
				  : "a"(0), "b"(WINDOW_BASE)
				  : "memory"),
			 VM_FAIL(VMERR_INVALID_INVEPT_INVVPID));
	if (vmx_ept_vpid_cap() & VPID_CAP_INVVPID)
		CHECK_VM(t,
			 VMX_INSN("invvpid (%%rbx), %%rax",
				  : "a"(4), "b"(WINDOW_BASE)
				  : "memory"),
			 VM_FAIL(VMERR_INVALID_INVEPT_INVVPID));
}
