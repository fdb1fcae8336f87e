/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task switches on memory that is not there or that another processor changes meanwhile. SDM "Task
 * Switching"; the rules themselves have a test of their own. Without paging: a linear address is a
 * physical one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <x86/cr.h>
#include <x86/msr.h>

#include "lib/insn.h"
#include "machine.h"
#include "mm/guest_memory.h"
#include "vmx/control_regs.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/vmcs.h"

enum {
	SEL_CODE = 0x08,
	SEL_DATA = 0x10,
	SEL_NEW = 0x18,
	SEL_OLD = 0x20,
	GDT = 0x1000,
	OLD_TSS = 0x2000,
	NEW_TSS = 0x3000,
	TSS_SIZE = 104,
	TSS_EIP = 32,
	TSS_EFLAGS = 36,
	TSS_ESP = 56,
	TSS_ES = 72, /* and CS, SS, DS, FS, GS in every fourth byte */
	NEW_EIP = 0x4321,
	JUMP = 2,        /* the qualification's source of a JMP */
	TIME_LIMIT = 20, /* seconds, for what must not go on for ever */
};

void exit_unexpected(struct vcpu *vcpu)
{
	(void)vcpu;
	fail();
}

static struct vcpu *vcpu;
static struct guest_regs regs;
static u32 injected; /* interruption information, as far as used here; 0: nothing */
static u32 injected_error;
static u32 redelivered;

u64 read_cr2(void)
{
	return 0;
}

void write_cr2(u64 value)
{
	(void)value;
}

u64 read_cr4(void)
{
	return 0;
}

void write_cr4(u64 value)
{
	(void)value;
}

u32 rdpkru(void)
{
	return 0;
}

struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	(void)leaf;
	(void)subleaf;
	return (struct cpuid){0};
}

u64 guest_cr0(void)
{
	return vmreadn(VMCS_GUEST_CR0);
}

u64 guest_cr4(void)
{
	return 0;
}

bool guest_load_pdptes(const struct vcpu *c, u64 cr3)
{
	(void)c;
	(void)cr3;
	return true;
}

void event_inject_combined(enum vector vector, u32 error_code)
{
	injected = 1u << vector;
	injected_error = error_code;
}

void event_inject_debug_trap(u64 cause)
{
	(void)cause;
	fail();
}

void event_redeliver(bool nmi_unblocked)
{
	(void)nmi_unblocked;
	redelivered++;
}

static void put32(paddr_t at, u32 value)
{
	guest_memory_write(at, &value, sizeof(value));
}

static u64 descriptor(u32 base, u32 limit, u32 type)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)type << 40 |
	       (u64)(limit >> 16 & 0xf) << 48 | 0xcull << 52 | (u64)(base >> 24) << 56;
}

static void put_descriptor(u16 selector, u64 value)
{
	guest_memory_write(vmreadn(VMCS_GUEST_GDTR_BASE) + selector, &value, sizeof(value));
}

static void write_gdt(paddr_t gdt)
{
	machine_set_field(VMCS_GUEST_GDTR_BASE, gdt);
	machine_set_field(VMCS_GUEST_GDTR_LIMIT, 0xff);
	put_descriptor(SEL_CODE, descriptor(0, 0xfffff, 0x9b));
	put_descriptor(SEL_DATA, descriptor(0, 0xfffff, 0x93));
	put_descriptor(SEL_NEW, descriptor(NEW_TSS, TSS_SIZE - 1, 0x89) & ~(0xfull << 52));
	put_descriptor(SEL_OLD, descriptor(OLD_TSS, TSS_SIZE - 1, 0x8b) & ~(0xfull << 52));
}

/* Protected mode without paging; a JMP from the task of SEL_OLD to that of SEL_NEW. */
static int setup(void **state)
{
	static const struct vmx_capabilities vmx;

	(void)state;
	machine_memory_init(16, 4);
	machine_vmx_init(1, &vmx);
	vcpu = machine_cpu(0);
	machine_run_on(vcpu);
	guest_linear_init();
	machine_before_exchange = NULL;
	regs = (struct guest_regs){0};
	injected = injected_error = redelivered = 0;
	machine_set_field(VMCS_GUEST_CR0, CR0_PE);
	machine_set_field(VMCS_GUEST_CR4, 0);
	machine_set_field(VMCS_GUEST_EFER, 0);
	machine_set_field(VMCS_GUEST_RIP, 0x1234);
	machine_set_field(VMCS_GUEST_RFLAGS, 2);
	machine_set_field(VMCS_GUEST_DR7, 0x400);
	machine_set_field(VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc093);
	machine_set_field(VMCS_GUEST_TR_SELECTOR, SEL_OLD);
	machine_set_field(VMCS_GUEST_TR_BASE, OLD_TSS);
	machine_set_field(VMCS_GUEST_TR_LIMIT, TSS_SIZE - 1);
	machine_set_field(VMCS_GUEST_TR_ACCESS_RIGHTS, 0x8b);
	machine_set_field(VMCS_GUEST_INTERRUPTIBILITY, 0);
	machine_set_field(VMCS_VM_EXIT_INSTRUCTION_LENGTH, 7);
	machine_set_field(VMCS_EXIT_QUALIFICATION, (u64)JUMP << 30 | SEL_NEW);
	write_gdt(GDT);
	put32(NEW_TSS + TSS_EIP, NEW_EIP);
	put32(NEW_TSS + TSS_EFLAGS, 2);
	put32(NEW_TSS + TSS_ESP, 0x8000);
	for (u32 i = 0; i < 6; i++)
		put32(NEW_TSS + TSS_ES + 4 * i, i == 1 ? SEL_CODE : SEL_DATA);
	alarm(TIME_LIMIT);
	return 0;
}

static void switch_task(void)
{
	task_switch_exit(vcpu, &regs);
	alarm(0);
}

static void check_switched(void)
{
	assert_int_equal(injected, 0);
	assert_int_equal(redelivered, 0);
	assert_int_equal(vmreadn(VMCS_GUEST_RIP), NEW_EIP);
	assert_int_equal(vmread16(VMCS_GUEST_TR_SELECTOR), SEL_NEW);
	assert_int_equal(vmread16(VMCS_GUEST_CS_SELECTOR), SEL_CODE);
}

static u8 type_of(u16 selector)
{
	u8 type;

	guest_memory_read(vmreadn(VMCS_GUEST_GDTR_BASE) + selector + 5, &type, sizeof(type));
	return type;
}

static void test_jump(void **state)
{
	u32 eip;

	(void)state;
	switch_task();
	check_switched();
	assert_int_equal(type_of(SEL_NEW), 0x8b);
	assert_int_equal(type_of(SEL_OLD), 0x89);
	guest_memory_read(OLD_TSS + TSS_EIP, &eip, sizeof(eip));
	assert_int_equal(eip, 0x1234 + 7);
}

/* The old TSS's descriptor is where no memory is: its busy flag is written to nowhere. */
static void test_absent_descriptor(void **state)
{
	(void)state;
	/* The last descriptor that exists is the new TSS's. */
	write_gdt(machine_memory.guest_size - SEL_OLD);
	switch_task();
	check_switched();
	assert_int_equal(type_of(SEL_NEW), 0x8b);
	assert_int_equal(type_of(SEL_OLD), 0xff);
	/* The same in Umbra's memory, which is none to the guest. */
	setup(NULL);
	machine_memory.holes[1] = (struct hole){0x6000, PAGE_SIZE};
	write_gdt(0x6000 - SEL_OLD);
	switch_task();
	check_switched();
	/* And the old TSS itself. */
	setup(NULL);
	machine_memory.holes[1] = (struct hole){OLD_TSS, PAGE_SIZE};
	switch_task();
	check_switched();
}

static u8 *watched;
static u32 spoiled, spoil_limit;

static void spoil(u8 *at)
{
	if (at == watched && spoiled < spoil_limit) {
		*at ^= 0x10;
		spoiled++;
	}
}

/* Another processor writes to the descriptor: a few times, or every time. */
static void test_contended_descriptor(void **state)
{
	const struct {
		u16 selector;
		u32 limit;
	} rows[] = {{SEL_OLD, 2}, {SEL_OLD, ~0u}, {SEL_DATA, 2}, {SEL_DATA, ~0u}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		setup(NULL);
		/* Not accessed yet: that flag is set by an exchange, too. */
		put_descriptor(SEL_DATA, descriptor(0, 0xfffff, 0x92));
		watched = machine_memory.guest + GDT + rows[i].selector + 5;
		spoiled = 0;
		spoil_limit = rows[i].limit;
		machine_before_exchange = spoil;
		switch_task();
		assert_true(spoiled > 0);
		if (rows[i].limit == 2 && rows[i].selector == SEL_OLD) {
			check_switched();
		} else {
			/* It ends in an exception of the guest's, whichever the types lead to. */
			assert_int_not_equal(injected, 0);
			assert_int_equal(redelivered, 0);
		}
		machine_before_exchange = NULL;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_jump, setup),
		cmocka_unit_test_setup(test_absent_descriptor, setup),
		cmocka_unit_test_setup(test_contended_descriptor, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
