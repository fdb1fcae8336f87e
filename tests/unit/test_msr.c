/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSRs as the guest meets them: the bitmap, what L1 may do beside it, and the registers behind it.
 * SDM "MSR-Bitmap Address".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <x86/msr.h>

#include "machine.h"
#include "mm/ept01.h"
#include "mm/layout.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/guest_level.h"
#include "vmx/msr.h"
#include "vmx/vmcs.h"

enum { MSRS = 64 };

/* The CPU's own MSRs; bits 63:48 are reserved in all of them. */
static struct {
	u32 index;
	u64 value;
} msrs[MSRS];
static size_t msr_count;

static struct vcpu *vcpu;
static struct guest_regs regs;
static u32 injected;
static u32 mtrr_updates;

static u64 *msr_at(u32 index)
{
	for (size_t i = 0; i < msr_count; i++) {
		if (msrs[i].index == index)
			return &msrs[i].value;
	}
	return NULL;
}

static void add_msr(u32 index, u64 value)
{
	msrs[msr_count].index = index;
	msrs[msr_count++].value = value;
}

bool rdmsr_safe(u32 msr, u64 *value)
{
	const u64 *at = msr_at(msr);

	if (at)
		*value = *at;
	return at;
}

bool wrmsr_safe(u32 msr, u64 value)
{
	u64 *at = msr_at(msr);

	if (!at || value >> 48)
		return false;
	*at = value;
	return true;
}

u64 rdmsr(u32 msr)
{
	u64 value;

	REQUIRE(rdmsr_safe(msr, &value));
	return value;
}

void wrmsr(u32 msr, u64 value)
{
	REQUIRE(wrmsr_safe(msr, value));
}

/* nested's. */
struct offered_vmx offered_vmx = {
	.offered = true,
	.msrs = 1,
	.msr = {MSR_IA32_VMX_BASIC},
};

void ept01_read_mtrrs(struct mtrr_state *out)
{
	*out = (struct mtrr_state){
		.cap = 0x508,
		.def_type = 0xc06,
		.count = 8,
		.maxphyaddr = MACHINE_MAXPHYADDR,
	};
}

void ept01_mtrrs_written(const struct mtrr_state *mtrrs)
{
	(void)mtrrs;
	mtrr_updates++;
}

void event_inject_exception(enum vector vector)
{
	injected = 1u << vector;
}

void event_inject_exception_error(enum vector vector, u32 error_code)
{
	assert_int_equal(error_code, 0);
	injected = 1u << vector;
}

static u8 own[PAGE_SIZE];

static int setup(void **state)
{
	const struct vmx_capabilities vmx = {
		.basic = 1, .misc = VMX_MISC_VMWRITE_RO, .feature_control = 0x7};

	(void)state;
	machine_memory_init(1, 8);
	machine_vmx_init(1, &vmx);
	vcpu = machine_cpu(0);
	msr_count = 0;
	add_msr(MSR_IA32_APIC_BASE, 0xfee00900);
	add_msr(MSR_IA32_MISC_ENABLE, 1);
	add_msr(MSR_IA32_PEBS_ENABLE, 0);
	add_msr(MSR_IA32_EFER, 0xd01);
	add_msr(MSR_IA32_PAT, 0x070406);
	add_msr(MSR_IA32_SYSENTER_CS, 0x10);
	add_msr(MSR_IA32_FS_BASE, 0);
	add_msr(0x10, 5);
	for (u32 msr = 0x200; msr < 0x210; msr++)
		add_msr(msr, 0);
	msr_init_cpu(vcpu);
	assert_true(vcpu->is_bsp);
	return 0;
}

/* The bitmap is made once. */
static int setup_all(void **state)
{
	setup(state);
	vcpu->cpuid_hidden.leaf14 = true;
	msr_bitmap_init();
	memcpy(own, phys_to_virt(msr_bitmap_address()), sizeof(own));
	return 0;
}

/* "MSR-Bitmap Address": read bitmap for low MSRs, for high ones, then the write bitmaps. */
static bool intercepts(const u8 *bitmap, u32 msr, bool write)
{
	const u32 part = (write ? 2048u : 0u) + (msr >= 0xc0000000 ? 1024u : 0u);

	return bitmap[part + (msr & 0x1fff) / 8] >> (msr % 8) & 1;
}

static void test_bitmap(void **state)
{
	static const struct {
		u32 first, last;
		bool read, write;
	} hidden[] = {
		{0x3a, 0x3a, true, true},    /* IA32_FEATURE_CONTROL */
		{0x480, 0x493, true, true},  /* IA32_VMX_* */
		{0x79, 0x79, false, true},   /* IA32_BIOS_UPDT_TRIG */
		{0x1b, 0x1b, false, true},   /* IA32_APIC_BASE */
		{0x1a0, 0x1a0, true, true},  /* IA32_MISC_ENABLE */
		{0x3f1, 0x3f1, false, true}, /* IA32_PEBS_ENABLE */
		{0x200, 0x21f, true, true},  /* MTRRs, variable */
		{0x250, 0x250, true, true},  /* and fixed */
		{0x258, 0x259, true, true},  {0x268, 0x26f, true, true},
		{0x2ff, 0x2ff, true, true},  {0x560, 0x572, true, true}, /* Intel PT, when hidden */
		{0x580, 0x587, true, true},
	};

	(void)state;
	for (u32 i = 0; i < 0x4000; i++) {
		const u32 msr = i < 0x2000 ? i : 0xc0000000 + i - 0x2000;
		bool read = false, write = false;

		for (size_t n = 0; n < ARRAY_SIZE(hidden); n++) {
			if (msr < hidden[n].first || msr > hidden[n].last)
				continue;
			read = hidden[n].read;
			write = hidden[n].write;
		}
		assert_int_equal(intercepts(own, msr, false), read);
		assert_int_equal(intercepts(own, msr, true), write);
	}
}

/* The share of it in a bitmap of L1's. */
static void test_words(void **state)
{
	(void)state;
	for (u32 i = 0; i < PAGE_SIZE / 8; i++) {
		u64 word;

		memcpy(&word, own + i * 8ull, sizeof(word));
		assert_true(msr_bitmap_word(i) == word);
	}
}

/* What Umbra keeps for itself, the hardware must not load from a list of L1's. */
static void test_lists(void **state)
{
	(void)state;
	for (u32 i = 0; i < 0x4000; i++) {
		const u32 msr = i < 0x2000 ? i : 0xc0000000 + i - 0x2000;
		const u64 *hardware = msr_at(msr);

		if (!intercepts(own, msr, true)) {
			assert_true(msr_list_may_load(msr, 1));
			continue;
		}
		/* Nothing happens if it has that value already. */
		if (hardware)
			assert_true(msr_list_may_load(msr, *hardware));
		assert_false(msr_list_may_load(msr, (hardware ? *hardware : 0) + 1));
	}
	/* Outside of the bitmap's ranges: the hardware knows. */
	assert_true(msr_list_may_load(0x2000, 1));
	assert_true(msr_list_may_load(0xc0002000, 1));
	assert_true(msr_list_may_load(0x40000000, 1));
}

static bool guest_wrmsr(u32 msr, u64 value)
{
	injected = 0;
	regs.rcx = msr;
	regs.rax = (u32)value;
	regs.rdx = value >> 32;
	wrmsr_exit(vcpu, &regs);
	assert_true(!injected || injected == 1u << VECTOR_GP);
	return !injected;
}

static bool guest_rdmsr(u32 msr, u64 *value)
{
	injected = 0;
	regs.rcx = msr;
	regs.rax = regs.rdx = ~0ull;
	rdmsr_exit(vcpu, &regs);
	if (injected)
		return false;
	/* "the high-order 32 bits of each of RAX and RDX are cleared". */
	assert_true(regs.rax <= UINT32_MAX && regs.rdx <= UINT32_MAX);
	*value = regs.rdx << 32 | regs.rax;
	return true;
}

/* The guest's own: the CPU's have not changed. */
static void test_mtrrs(void **state)
{
	static const u32 some[] = {0x200, 0x201, 0x20f, 0x250, 0x26f, 0x2ff};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(some); i++) {
		const u64 value = some[i] == 0x2ff ? 0xc00 : 0x06;
		u64 read;

		if (some[i] == 0x201 || some[i] == 0x20f) {
			assert_true(guest_wrmsr(some[i], 0xfff0000800));
			assert_true(guest_rdmsr(some[i], &read) && read == 0xfff0000800);
		} else {
			assert_true(guest_wrmsr(some[i], value));
			assert_true(guest_rdmsr(some[i], &read) && read == value);
		}
		assert_true(!msr_at(some[i]) || *msr_at(some[i]) == 0);
	}
	assert_int_equal(mtrr_updates, ARRAY_SIZE(some));
	/* Reserved: a type, address bits. */
	assert_false(guest_wrmsr(0x200, 2));
	assert_false(guest_wrmsr(0x200, BIT(MACHINE_MAXPHYADDR)));
	assert_false(guest_wrmsr(0x2ff, 0x400 | 7));
}

static void test_hidden_registers(void **state)
{
	u64 value;

	(void)state;
	assert_true(guest_rdmsr(MSR_IA32_FEATURE_CONTROL, &value));
	/* Locked, VMX outside SMX only. */
	assert_int_equal(value & 7, 5);
	assert_false(guest_wrmsr(MSR_IA32_FEATURE_CONTROL, 5));
	assert_true(guest_rdmsr(0x480, &value) && value == 0x480);
	assert_false(guest_rdmsr(0x493, &value));
	for (u32 msr = 0x480; msr <= 0x493; msr++)
		assert_false(guest_wrmsr(msr, 0));
	vcpu->cpuid_hidden.leaf14 = true;
	add_msr(0x570, 0);
	assert_false(guest_rdmsr(0x570, &value));
	assert_false(guest_wrmsr(0x570, 0));
	vcpu->cpuid_hidden.leaf14 = false;
	assert_true(guest_rdmsr(0x570, &value));
	assert_false(guest_rdmsr(0x12345, &value));
	assert_false(guest_wrmsr(0x12345, 0));
	assert_true(guest_wrmsr(0x10, 77) && *msr_at(0x10) == 77);
}

static void test_umbras_own(void **state)
{
	u64 value;

	(void)state;
	/* The local APIC cannot be moved over Umbra. */
	assert_false(guest_wrmsr(MSR_IA32_APIC_BASE, MACHINE_OWN | 0x800));
	assert_true(guest_wrmsr(MSR_IA32_APIC_BASE, 0xfee00800));
	/* XD stays; PEBS is not there. */
	assert_false(guest_wrmsr(MSR_IA32_MISC_ENABLE, BIT(34)));
	assert_true(guest_wrmsr(MSR_IA32_MISC_ENABLE, 1));
	assert_true(guest_rdmsr(MSR_IA32_MISC_ENABLE, &value) && (value & BIT(12)));
	assert_false(guest_wrmsr(MSR_IA32_PEBS_ENABLE, 1));
	assert_true(guest_wrmsr(MSR_IA32_PEBS_ENABLE, 0));
	assert_true(guest_wrmsr(MSR_IA32_BIOS_UPDT_TRIG, 0x1234));
	assert_int_equal(vcpu->microcode_refused, 1);
}

/* Registers that a VM exit saves: the guest's value is in the VMCS, the CPU's is Umbra's. */
static void test_in_vmcs(void **state)
{
	static const struct {
		u32 msr, field;
	} held[] = {
		{0xc0000080, 0x2806}, /* IA32_EFER */
		{0x277, 0x2804},      /* IA32_PAT */
		{0x174, 0x482a},      /* IA32_SYSENTER_CS */
		{0xc0000100, 0x680e}, /* IA32_FS_BASE */
	};
	u64 value;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		const u64 hardware = *msr_at(held[i].msr);

		machine_set_field(held[i].field, 0x1111);
		assert_true(msr_guest_read(vcpu, held[i].msr, &value) && value == 0x1111);
		assert_true(msr_guest_write(vcpu, held[i].msr, 0x22));
		assert_true(vmread_unchecked(held[i].field) == 0x22);
		assert_true(*msr_at(held[i].msr) == hardware);
		/* The CPU refuses it. */
		assert_false(msr_guest_write(vcpu, held[i].msr, BIT(63)));
		assert_true(vmread_unchecked(held[i].field) == 0x22);
		assert_true(*msr_at(held[i].msr) == hardware);
	}
	assert_true(msr_guest_write(vcpu, 0x10, 9) && *msr_at(0x10) == 9);
	assert_true(msr_guest_read(vcpu, 0x10, &value) && value == 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bitmap),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_mtrrs),
		cmocka_unit_test(test_hidden_registers),
		cmocka_unit_test(test_umbras_own),
		cmocka_unit_test(test_in_vmcs),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
