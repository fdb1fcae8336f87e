/* SPDX-License-Identifier: BSD-2-Clause */
/* Every way to write an operand of a VMX instruction: registers, base, index, scale, displacement.
 */
#include "layout.h"
#include "vmx/vmx.h"

static const u64 VALUE = 0x00007abcde123456;
static const u64 POISON = 0x5a5a5a5a5a5a5a5a;

/* Aligned so that no form below leaves it; absolute addressing needs it static. */
static u64 target[128] __attribute__((aligned(1024)));
static u64 result;

static bool begin(struct run *t, u64 *vmcs)
{
	if (!vmx_prepare(t) || !vmx_on(t))
		return false;
	*vmcs = (u64)vmx_pages(1);
	vmx_prepare_region((void *)*vmcs);
	CHECK_VM(t, try_vmclear(*vmcs), VM_OK);
	CHECK_VM(t, try_vmptrld(*vmcs), VM_OK);
	vmwrite(VMCS_GUEST_RIP, VALUE);
	return true;
}

static u64 *at(u64 address)
{
	return (u64 *)(void *)address;
}

static void poison(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(target); i++)
		target[i] = POISON;
}

/* VMPTRST to a form must have written the pointer at that address and nowhere else. */
static void check_target(struct run *t, const char *form, u64 want, u64 vmcs, u64 outcome)
{
	CHECK(t, outcome == VM_OK, "vmptrst %s: %s", form, vm_outcome_name(outcome));
	CHECK(t, *at(want) == vmcs, "vmptrst %s: %lx at %lx", form, *at(want), want);
	*at(want) = POISON;
	for (unsigned i = 0; i < ARRAY_SIZE(target); i++)
		CHECK(t, target[i] == POISON, "vmptrst %s: wrote at %u", form, i * 8);
}

#define FORM(form, want, a_, b_, c_, setup, restore)                                 \
	do {                                                                         \
		poison();                                                            \
		check_target(t, form, want, vmcs,                                    \
			     VMX_INSN(setup "\n773: vmptrst " form "\n774: " restore \
					    "\n" EXTABLE(773b, 774b),                \
				      : "a"(a_), "b"(b_), "c"(c_)                    \
				      : "memory"));                                  \
	} while (0)

#define SIMPLE(form, want, a_, b_, c_) FORM(form, want, a_, b_, c_, "", "")
#define SWAP(reg)                      "xchg %%rax, %%" reg
#define VIA(reg)                                                                         \
	FORM("(%%" reg ")", base, base, 0, 0, SWAP(reg), SWAP(reg));                     \
	FORM("8(%%" reg ")", base + 8, base, 0, 0, SWAP(reg), SWAP(reg));                \
	FORM("16(%%rbx,%%" reg ",8)", base + 16 + 32, 4, base, 0, SWAP(reg), SWAP(reg)); \
	FORM("16(%%" reg ",%%rcx,2)", base + 16 + 6, base, 0, 3, SWAP(reg), SWAP(reg))

PROBE_CASE(operand_memory, "vmx.insn.memory_operand", CASE_EACH_CPU)
{
	u64 base = (u64)target, vmcs;

	if (!begin(t, &vmcs))
		return;
	SIMPLE("(%%rax)", base, base, 0, 0);
	SIMPLE("(%%rbx)", base, 0, base, 0);
	SIMPLE("0x70(%%rbx)", base + 0x70, 0, base, 0);
	SIMPLE("-0x80(%%rbx)", base, 0, base + 0x80, 0);
	SIMPLE("0x12345678(%%rbx)", base + 1, 0, base - 0x12345677, 0);
	SIMPLE("-0x12345678(%%rbx)", base, 0, base + 0x12345678, 0);
	SIMPLE("(%%rax,%%rcx,1)", base + 2, base, 0, 2);
	SIMPLE("(%%rax,%%rcx,2)", base + 4, base, 0, 2);
	SIMPLE("(%%rax,%%rcx,4)", base + 8, base, 0, 2);
	SIMPLE("(%%rax,%%rcx,8)", base + 16, base, 0, 2);
	SIMPLE("64(%%rax,%%rcx,8)", base + 64 - 16, base, 0, -2ull);
	SIMPLE("target(,%%rcx,4)", base + 12, 0, 0, 3);
	SIMPLE("target+24(%%rip)", base + 24, 0, 0, 0);
	SIMPLE("target+32", base + 32, 0, 0, 0);
	SIMPLE("(%%rcx,%%rcx,1)", base, 0, 0, base / 2);
}

PROBE_CASE(operand_bases, "vmx.insn.memory_operand_registers", CASE_EACH_CPU)
{
	u64 base = (u64)target, vmcs;

	if (!begin(t, &vmcs))
		return;
	VIA("rdx");
	VIA("rsi");
	VIA("rdi");
	VIA("r8");
	VIA("r9");
	VIA("r10");
	VIA("r11");
	VIA("r12");
	VIA("r13");
	VIA("r14");
	VIA("r15");
}

/* The default segment is SS, which does not matter in 64-bit mode. */
PROBE_CASE(operand_stack, "vmx.insn.memory_operand_stack", CASE_EACH_CPU)
{
	u64 base = (u64)target, vmcs;

	if (!begin(t, &vmcs))
		return;
	FORM("(%%rbp)", base, base, 0, 0, "xchg %%rax, %%rbp", "xchg %%rax, %%rbp");
	FORM("8(%%rbp,%%rcx,8)", base + 24, base, 0, 2, "xchg %%rax, %%rbp", "xchg %%rax, %%rbp");
	FORM("(%%rbx,%%rbp,8)", base + 16, 2, base, 0, "xchg %%rax, %%rbp", "xchg %%rax, %%rbp");
	FORM("(%%rsp)", base, base, 0, 0, "xchg %%rax, %%rsp", "xchg %%rax, %%rsp");
	FORM("0x40(%%rsp)", base + 0x40, base, 0, 0, "xchg %%rax, %%rsp", "xchg %%rax, %%rsp");
	FORM("(%%rsp,%%rcx,4)", base + 8, base, 0, 2, "xchg %%rax, %%rsp", "xchg %%rax, %%rsp");
}

PROBE_CASE(operand_prefixes, "vmx.insn.memory_operand_prefixes", CASE_EACH_CPU)
{
	u64 base = (u64)target, high = 0xdeadbeef00000000, vmcs;

	if (!begin(t, &vmcs))
		return;
	/* 32-bit addresses: the sum is truncated. */
	SIMPLE("(%%ebx)", base, 0, base | high, 0);
	SIMPLE("8(%%ebx,%%ecx,8)", base + 24, 0, base | high, 2 | high);
	SIMPLE("(%%ebx,%%ecx)", base, 0, 0xfffffff0, base + 0x10);
	/* FS and GS have bases, the others not. */
	wrmsr(MSR_IA32_FS_BASE, base);
	SIMPLE("%%fs:(%%rcx)", base + 8, 0, 0, 8);
	SIMPLE("%%fs:16", base + 16, 0, 0, 0);
	SIMPLE("%%gs:(%%rcx)", base + 16, 0, 0, base + 16 - (u64)this_cpu());
	SIMPLE("%%es:(%%rbx)", base, 0, base, 0);
	SIMPLE("%%cs:8(%%rbx)", base + 8, 0, base, 0);
	/* A 32-bit address with a segment base is not truncated again. */
	wrmsr(MSR_IA32_FS_BASE, base - 0xfffffff0);
	SIMPLE("%%fs:(%%ecx)", base, 0, 0, 0xfffffff0 | high);
	wrmsr(MSR_IA32_FS_BASE, 0);
}

/* X(tested register, another, a third) */
#define REGISTERS(X)           \
	X("rax", "rcx", "rdx") \
	X("rcx", "rax", "rdx") \
	X("rdx", "rcx", "rax") \
	X("rbx", "rcx", "rdx") \
	X("rbp", "rcx", "rdx") \
	X("rsi", "rcx", "rdx") \
	X("rdi", "rcx", "rdx") \
	X("r8", "rcx", "rdx")  \
	X("r9", "rcx", "rdx")  \
	X("r10", "rcx", "rdx") \
	X("r11", "rcx", "rdx") \
	X("r12", "rcx", "rdx") \
	X("r13", "rcx", "rdx") \
	X("r14", "rcx", "rdx") \
	X("r15", "rcx", "rdx")

#define IN_REGISTERS(text, field)                                                              \
	asm volatile(text                                                                      \
		     : "+m"(result)                                                            \
		     : "a"((u64)(field)), "c"((u64)(field)), "d"((u64)(field)), "S"(VALUE + 1) \
		     : "memory", "cc")

#define READ_TO(reg, field, third)                                                            \
	result = 0;                                                                           \
	IN_REGISTERS("push %%" reg "\nvmread %%" field ", %%" reg "\nmov %%" reg ", result\n" \
		     "pop %%" reg,                                                            \
		     VMCS_GUEST_RIP);                                                         \
	CHECK(t, result == VALUE, "vmread to " reg ": %lx", result);

#define READ_BY(reg, other, third)                                                        \
	result = 0;                                                                       \
	IN_REGISTERS("push %%" reg "\nmov $0x681e, %%" reg "\nvmread %%" reg ", result\n" \
		     "pop %%" reg,                                                        \
		     VMCS_GUEST_RIP);                                                     \
	CHECK(t, result == VALUE, "vmread by " reg ": %lx", result);

#define WRITE_FROM(reg, field, third)                                                         \
	vmwrite(VMCS_GUEST_RSP, 0);                                                           \
	IN_REGISTERS("push %%" reg "\nmov %%rsi, %%" reg "\nvmwrite %%" reg ", %%" field "\n" \
		     "pop %%" reg,                                                            \
		     VMCS_GUEST_RSP);                                                         \
	CHECK(t, vmread(VMCS_GUEST_RSP) == VALUE + 1, "vmwrite from " reg ": %lx",            \
	      vmread(VMCS_GUEST_RSP));

#define WRITE_BY(reg, other, third)                                                        \
	vmwrite(VMCS_GUEST_RSP, 0);                                                        \
	result = VALUE + 2;                                                                \
	IN_REGISTERS("push %%" reg "\nmov $0x681c, %%" reg "\nvmwrite result, %%" reg "\n" \
		     "pop %%" reg,                                                         \
		     VMCS_GUEST_RSP);                                                      \
	CHECK(t, vmread(VMCS_GUEST_RSP) == VALUE + 2, "vmwrite by " reg ": %lx",           \
	      vmread(VMCS_GUEST_RSP));

PROBE_CASE(operand_registers, "vmx.insn.register_operand", CASE_EACH_CPU)
{
	u64 vmcs, value;

	if (!begin(t, &vmcs))
		return;
	REGISTERS(READ_TO)
	REGISTERS(READ_BY)
	REGISTERS(WRITE_FROM)
	REGISTERS(WRITE_BY)
	/* RSP, with another register to keep the stack in. */
	asm volatile("mov %%rsp, %%r12\nvmread %%rax, %%rsp\nxchg %%rsp, %%r12\nmov %%r12, %0"
		     : "=r"(value)
		     : "a"((u64)VMCS_GUEST_RIP)
		     : "r12", "memory", "cc");
	CHECK_EQ(t, value, VALUE);
	asm volatile("mov %%rsp, %%r12\nmov %0, %%rsp\nvmwrite %%rsp, %%rax\nmov %%r12, %%rsp"
		     :
		     : "r"(VALUE + 3), "a"((u64)VMCS_GUEST_RSP)
		     : "r12", "memory", "cc");
	CHECK_EQ(t, vmread(VMCS_GUEST_RSP), VALUE + 3);
	/* The same register twice. */
	asm volatile("vmread %0, %0" : "=a"(value) : "0"((u64)VMCS_GUEST_RIP) : "memory", "cc");
	CHECK_EQ(t, value, VALUE);
	asm volatile("vmwrite %0, %0" : : "r"((u64)VMCS_GUEST_RSP) : "memory", "cc");
	CHECK_EQ(t, vmread(VMCS_GUEST_RSP), VMCS_GUEST_RSP);
}

/* "The operand size is always 64 bits in 64-bit mode": all eight bytes are written, no more. */
PROBE_CASE(operand_size, "vmx.insn.operand_size", CASE_EACH_CPU)
{
	u64 vmcs;

	if (!begin(t, &vmcs))
		return;
	vmwrite(VMCS_GUEST_ES_SELECTOR, 0xabcd);
	vmwrite(VMCS_GUEST_ES_LIMIT, 0x89abcdef);
	target[0] = target[1] = target[2] = POISON;
	CHECK_VM(t,
		 VMX_INSN("vmread %%rax, 8(%%rbx)",
			  : "a"((u64)VMCS_GUEST_ES_SELECTOR), "b"(target)
			  : "memory"),
		 VM_OK);
	CHECK_EQ(t, target[1], 0xabcd);
	CHECK_VM(t,
		 VMX_INSN("vmread %%rax, 8(%%rbx)",
			  : "a"((u64)VMCS_GUEST_ES_LIMIT), "b"(target)
			  : "memory"),
		 VM_OK);
	CHECK_EQ(t, target[1], 0x89abcdef);
	CHECK_EQ(t, target[0], POISON);
	CHECK_EQ(t, target[2], POISON);
	target[1] = ~0ull;
	CHECK_VM(t,
		 VMX_INSN("vmwrite 8(%%rbx), %%rax",
			  : "a"((u64)VMCS_GUEST_ES_SELECTOR), "b"(target)
			  : "memory"),
		 VM_OK);
	CHECK_EQ(t, vmread(VMCS_GUEST_ES_SELECTOR), 0xffff);
}
