/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMX instructions as results. Every one gives a struct-free outcome, a u64: VM_OK,
 * VM_FAIL_INVALID, VM_FAIL(number) or VM_FAULTED(vector, error). SDM "Conventions" (VMX Instruction
 * Reference).
 */
#pragma once

#include <x86/vmcs.h>
#include <x86/vmx.h>

#include "trap.h"

static const u64 VM_OK = 0;
/* CF: no current VMCS to hold an error number. */
static const u64 VM_FAIL_INVALID = 0x1000;
/* A status flag that should have been cleared, or two that exclude each other, are set. */
static const u64 VM_BAD_FLAGS = 0x8000;

/* ZF: with the VM-instruction error field. */
#define VM_FAIL(number) (0x2000ull | (u64)(number))
/* An exception, and its error code. */
#define VM_FAULTED(vector, error) (0x4000ull | (u64)(vector) | (u64)(error) << 32)
#define VM_UD                     VM_FAULTED(VECTOR_UD, 0)
#define VM_GP                     VM_FAULTED(VECTOR_GP, 0)

/* "The operation sets these to 1 or 0": CF, PF, AF, ZF, SF, OF. */
#define VM_STATUS_FLAGS 0x8d5

/* Outcome of the instruction just run, by the flags it left. Reads the VM-instruction error. */
u64 vm_outcome(u64 rflags);

/* "VMfailValid(12)" and the like, in a buffer of the CPU's that the next call uses again. */
const char *vm_outcome_name(u64 outcome);

/*
 * Runs one VMX instruction with all status flags set before. What follows the text are asm
 * operands, outputs with a comma before them: VMX_INSN("vmptrst %[m]", , [m] "+m"(x) : : "memory").
 */
#define VMX_INSN(insn, ...)                                                           \
	({                                                                            \
		u64 vmx_insn_flags = 0;                                               \
		trap_arm();                                                           \
		asm volatile("pushfq\norl $0x8d5, (%%rsp)\npopfq\n771: " insn         \
			     "\n772: pushfq\npopq %[vmx_flags]\n" EXTABLE(771b, 772b) \
			     : [vmx_flags] "=&r"(vmx_insn_flags)__VA_ARGS__);         \
		vm_outcome(vmx_insn_flags);                                           \
	})

static inline u64 try_vmxon(const u64 *pa)
{
	return VMX_INSN("vmxon %[m]", : [m] "m"(*pa) : "memory");
}

static inline u64 try_vmxoff(void)
{
	return VMX_INSN("vmxoff", : : "memory");
}

static inline u64 try_vmclear(u64 pa)
{
	return VMX_INSN("vmclear %[m]", : [m] "m"(pa) : "memory");
}

static inline u64 try_vmptrld(u64 pa)
{
	return VMX_INSN("vmptrld %[m]", : [m] "m"(pa) : "memory");
}

static inline u64 try_vmptrst(u64 *pa)
{
	return VMX_INSN("vmptrst %[m]", , [m] "+m"(*pa) : : "memory");
}

static inline u64 try_vmread(u64 field, u64 *value)
{
	return VMX_INSN("vmread %[f], %[v]", , [v] "+r"(*value) : [f] "r"(field) : "memory");
}

static inline u64 try_vmwrite(u64 field, u64 value)
{
	return VMX_INSN("vmwrite %[v], %[f]", : [v] "r"(value), [f] "r"(field) : "memory");
}

static inline u64 try_invept(u64 type, u64 eptp, u64 reserved)
{
	struct invept_descriptor d = {eptp, reserved};

	return VMX_INSN("invept %[d], %[t]", : [d] "m"(d), [t] "r"(type) : "memory");
}

static inline u64 try_invvpid(u64 type, u16 vpid, u64 linear)
{
	struct invvpid_descriptor d = {.vpid = vpid, .linear = linear};

	return VMX_INSN("invvpid %[d], %[t]", : [d] "m"(d), [t] "r"(type) : "memory");
}

/* For where failure is not expected: they report it and end the case. */
u64 vmread(u64 field);
void vmwrite(u64 field, u64 value);

/* A segment register of the guest state. */
void vmwrite_segment(enum segment segment, u16 selector, u64 base, u32 limit, u32 rights);

static inline void vmcs_set_bits(u64 field, u64 bits)
{
	vmwrite(field, vmread(field) | bits);
}

static inline void vmcs_clear_bits(u64 field, u64 bits)
{
	vmwrite(field, vmread(field) & ~bits);
}
