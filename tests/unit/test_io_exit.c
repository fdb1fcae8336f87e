/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "IN", "OUT", "INS", "OUTS" and "Exit Qualification for I/O Instructions". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/insn.h"
#include "machine.h"
#include "vmx/exit.h"
#include "vmx/guest_linear.h"
#include "vmx/instruction.h"
#include "vmx/sleep.h"
#include "vmx/vmcs.h"

enum {
	PORT = 0x404,
	LINEAR = 0x1000,
	STRING = 1 << 4,
	REP = 1 << 5,
	IN = 1 << 3,
};

static struct guest_regs regs;
static u32 port_value; /* what reads give, and what was written */
static u32 accesses, last_size, iterations;
static bool faults, faulted, asleep;
static u8 memory[8];

static u32 read_access(u16 port, u32 size)
{
	assert_int_equal(port, PORT);
	accesses++;
	last_size = size;
	return port_value;
}

static void write_access(u16 port, u32 size, u32 value)
{
	assert_int_equal(port, PORT);
	accesses++;
	last_size = size;
	port_value = value;
}

u8 inb(u16 port)
{
	return (u8)read_access(port, 1);
}

u16 inw(u16 port)
{
	return (u16)read_access(port, 2);
}

u32 inl(u16 port)
{
	return read_access(port, 4);
}

void outb(u16 port, u8 value)
{
	write_access(port, 1, value);
}

void outw(u16 port, u16 value)
{
	write_access(port, 2, value);
}

void outl(u16 port, u32 value)
{
	write_access(port, 4, value);
}

bool sleep_by_write(u16 port, u32 size, u32 value)
{
	(void)port;
	(void)size;
	(void)value;
	return asleep;
}

static bool memory_access(u64 linear, struct guest_fault *fault)
{
	assert_int_equal(linear, LINEAR);
	*fault = (struct guest_fault){.vector = VECTOR_PF};
	return !faults;
}

bool guest_linear_probe(u64 linear, size_t size, enum guest_access_type type,
			enum guest_linear_as as, struct guest_fault *fault)
{
	(void)size;
	assert_int_equal(type, GUEST_WRITE);
	assert_int_equal(as, GUEST_LINEAR_DATA);
	return memory_access(linear, fault);
}

bool guest_linear_read(u64 linear, void *dst, size_t size, enum guest_linear_as as,
		       struct guest_fault *fault)
{
	(void)as;
	memcpy(dst, memory, size);
	return memory_access(linear, fault);
}

bool guest_linear_write(u64 linear, const void *src, size_t size, enum guest_linear_as as,
			struct guest_fault *fault)
{
	(void)as;
	memcpy(memory, src, size);
	return memory_access(linear, fault);
}

void guest_fault_inject(const struct guest_fault *fault)
{
	assert_int_equal(fault->vector, VECTOR_PF);
	faulted = true;
}

void instruction_done_slow(u64 rflags, u32 interruptibility)
{
	(void)rflags;
	(void)interruptibility;
}

void instruction_iteration_done(void)
{
	iterations++;
}

static int setup(void **state)
{
	static const struct vmx_capabilities none;

	(void)state;
	machine_memory_init(4, 8);
	machine_vmx_init(1, &none);
	machine_run_on(machine_cpu(0));
	machine_set_field(VMCS_GUEST_RIP, 0x100);
	machine_set_field(VMCS_VM_EXIT_INSTRUCTION_LENGTH, 2);
	machine_set_field(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
	machine_set_field(VMCS_GUEST_INTERRUPTIBILITY, 0);
	machine_set_field(VMCS_GUEST_LINEAR_ADDRESS, LINEAR);
	machine_set_field(VMCS_VM_EXIT_INSTRUCTION_INFO, 2 << 7);
	memset(&regs, 0, sizeof(regs));
	memset(memory, 0, sizeof(memory));
	port_value = accesses = last_size = iterations = 0;
	faults = faulted = asleep = false;
	return 0;
}

/* Whether the guest is behind the instruction now. */
static bool io(u32 flags, u32 size)
{
	machine_set_field(VMCS_EXIT_QUALIFICATION, (u64)PORT << 16 | flags | (size - 1));
	io_exit(machine_cpu(0), &regs);
	return vmread_unchecked(VMCS_GUEST_RIP) == 0x102;
}

/* A write of a part keeps the rest of the register, one of 32 bits clears the upper half. */
static void test_in(void **state)
{
	static const struct {
		u32 size;
		u64 result;
	} expected[] = {
		{1, 0xffffffffffffffdd},
		{2, 0xffffffffffffccdd},
		{4, 0xaabbccdd},
	};

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		setup(state);
		regs.rax = ~0ull;
		port_value = 0xaabbccdd;
		assert_true(io(IN, expected[i].size));
		assert_int_equal(regs.rax, expected[i].result);
		assert_int_equal(last_size, expected[i].size);
	}
}

static void test_out(void **state)
{
	static const u32 expected[][2] = {{1, 0xdd}, {2, 0xccdd}, {4, 0xaabbccdd}};

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		setup(state);
		regs.rax = 0x11223344aabbccdd;
		assert_true(io(0, expected[i][0]));
		assert_int_equal(port_value, expected[i][1]);
		assert_int_equal(last_size, expected[i][0]);
		/* What puts the machine to sleep is written by who sees to that. */
		asleep = true;
		accesses = 0;
		machine_set_field(VMCS_GUEST_RIP, 0x100);
		assert_true(io(0, expected[i][0]));
		assert_int_equal(accesses, 0);
	}
}

static void test_strings(void **state)
{
	(void)state;
	regs.rdi = 0x5000;
	regs.rsi = 0x6000;
	port_value = 0xbeef;
	assert_true(io(IN | STRING, 2));
	assert_int_equal(memory[0] | memory[1] << 8, 0xbeef);
	assert_int_equal(regs.rdi, 0x5002);
	assert_int_equal(regs.rsi, 0x6000);
	/* Downwards, to the port, by 16-bit addresses, which wrap around without touching the rest.
	 */
	setup(state);
	machine_set_field(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_DF);
	machine_set_field(VMCS_VM_EXIT_INSTRUCTION_INFO, 0 << 7);
	regs.rsi = 0xabcd0001;
	memory[0] = 0x34;
	memory[1] = 0x12;
	assert_true(io(STRING, 2));
	assert_int_equal(port_value, 0x1234);
	assert_int_equal(regs.rsi, 0xabcdffff);
	/* And by 32-bit ones, which clear the upper half. */
	setup(state);
	machine_set_field(VMCS_VM_EXIT_INSTRUCTION_INFO, 1 << 7);
	regs.rsi = 0xffffffffffffffff;
	assert_true(io(STRING, 1));
	assert_int_equal(regs.rsi, 0);
}

/*
 * SDM "REP/REPE/REPZ/REPNE/REPNZ", "Single-Step Exception Condition": TF traps after each
 * iteration, and a shadow ends with the first one. "Instruction-Breakpoint Exception Condition":
 * what comes after any but the last one finds RF set.
 */
static void test_repeated(void **state)
{
	(void)state;
	regs.rcx = 2;
	assert_false(io(STRING | REP, 1));
	assert_int_equal(regs.rcx, 1);
	assert_int_equal(accesses, 1);
	assert_int_equal(iterations, 1);
	assert_int_equal(vmread_unchecked(VMCS_GUEST_RFLAGS), RFLAGS_FIXED | RFLAGS_RF);
	assert_true(io(STRING | REP, 1));
	assert_int_equal(regs.rcx, 0);
	assert_int_equal(accesses, 2);
	assert_int_equal(iterations, 1);
	/* None at all. */
	setup(state);
	regs.rsi = 7;
	assert_true(io(STRING | REP, 1));
	assert_int_equal(accesses, 0);
	assert_int_equal(regs.rsi, 7);
}

/* A fault comes before the port is touched, and changes nothing. */
static void test_faults(void **state)
{
	for (u32 in = 0; in <= IN; in += IN) {
		setup(state);
		faults = true;
		regs.rcx = 3;
		assert_false(io(in | STRING | REP, 4));
		assert_true(faulted);
		assert_int_equal(accesses, 0);
		assert_int_equal(regs.rcx, 3);
		assert_int_equal(regs.rsi | regs.rdi, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in),
		cmocka_unit_test(test_out),
		cmocka_unit_test_setup(test_strings, setup),
		cmocka_unit_test_setup(test_repeated, setup),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
