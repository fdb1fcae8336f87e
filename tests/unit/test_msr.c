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

#include <umbra/interface.h>

#include <x86/msr.h>

#include "machine.h"
#include "mm/ept01.h"
#include "mm/layout.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/guest_level.h"
#include "vmx/interface.h"
#include "vmx/msr.h"
#include "vmx/vmcs.h"

enum { MSRS = 64 };

/* The CPU's own MSRs; they take any value. */
static struct {
	u32 index;
	u64 value;
} msrs[MSRS];
static size_t msr_count;

static struct vcpu *guest;
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

/* How often the CPU's own have been written since a test looked. */
static u32 cpu_writes;

bool wrmsr_safe(u32 msr, u64 value)
{
	u64 *at = msr_at(msr);

	cpu_writes++;

	if (!at)
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

static const u64 token_value = 0x123456789abcdef0;
static bool has_token;

bool interface_token(u64 *token)
{
	*token = token_value;
	return has_token;
}

/* A CPU with a DS area and LBRs without any filter: SDM "Architectural LBRs", leaf 1CH. */
struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	(void)subleaf;
	switch (leaf) {
	case 0:
		return (struct cpuid){.eax = 0x1c};
	case 1:
		return (struct cpuid){.edx = BIT(21)};
	case 7:
		return (struct cpuid){.edx = BIT(19)};
	default:
		return (struct cpuid){0};
	}
}

/* Components 11 and 12, CET; 15, LBRs; 8, Intel PT. */
u64 cpuid_xss_mask(const struct vcpu *vcpu)
{
	return BITS(12, 11) | BIT(15) | (vcpu->cpuid_hidden.leaf14 ? 0 : BIT(8));
}

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

void event_inject_exception(enum vector vector, u32 error_code)
{
	assert_int_equal(error_code, 0);
	injected = 1u << vector;
}

static u8 own[PAGE_SIZE];

/* With entry and exit controls that this CPU can set. */
static void set_up(u64 entry_controls, u64 exit_controls, bool pt_hidden, bool hypervisor_pass)
{
	const struct vmx_capabilities vmx = {
		.basic = 1,
		.misc = VMX_MISC_VMWRITE_RO,
		.feature_control = 0x7,
		.entry = entry_controls << 32,
		.exit = exit_controls << 32,
	};

	machine_memory_init(1, 8);
	machine_vmx_init(2, &vmx);
	guest = machine_cpu(0);
	guest->cpuid_hidden.leaf14 = pt_hidden;
	for (u32 i = 0; i < 2; i++)
		machine_cpu(i)->cpuid_hidden.options.hypervisor = hypervisor_pass;
	msr_init_shared();
	msr_init_cpu(guest);
	memcpy(own, phys_to_virt(msr_bitmap_address()), sizeof(own));
}

static int setup(void **state)
{
	(void)state;
	msr_count = 0;
	add_msr(MSR_IA32_APIC_BASE, 0xfee00900);
	add_msr(MSR_IA32_MISC_ENABLE, 1);
	add_msr(MSR_IA32_PEBS_ENABLE, 0);
	add_msr(MSR_IA32_EFER, 0xd01);
	add_msr(MSR_IA32_PAT, 0x070406);
	add_msr(MSR_IA32_SYSENTER_CS, 0x10);
	add_msr(MSR_IA32_SYSENTER_ESP, 0);
	add_msr(MSR_IA32_FS_BASE, 0);
	add_msr(MSR_IA32_DEBUGCTL, 0);
	add_msr(MSR_IA32_XSS, 0);
	add_msr(0x10, 5);
	for (u32 msr = 0x200; msr < 0x210; msr++)
		add_msr(msr, 0);
	/* "Load IA32_LBR_CTL" and "clear IA32_LBR_CTL". */
	set_up(BIT(21), BIT(26), true, false);
	mtrr_updates = 0;
	assert_true(guest->is_bsp);
	return 0;
}

/* "MSR-Bitmap Address": read bitmap for low MSRs, for high ones, then the write bitmaps. */
static bool intercepts(const u8 *bitmap, u32 msr, bool write)
{
	const u32 part = (write ? 2048u : 0u) + (msr >= 0xc0000000 ? 1024u : 0u);

	return bitmap[part + (msr & 0x1fff) / 8] >> (msr % 8) & 1;
}

struct intercepted {
	u32 first, last, step;
	bool read, write;
};

static const struct intercepted always_intercepted[] = {
	{0x3a, 0x3a, 1, true, true},    /* IA32_FEATURE_CONTROL */
	{0x480, 0x493, 1, true, true},  /* IA32_VMX_* */
	{0x79, 0x79, 1, false, true},   /* IA32_BIOS_UPDT_TRIG */
	{0x1b, 0x1b, 1, false, true},   /* IA32_APIC_BASE */
	{0x1a0, 0x1a0, 1, true, true},  /* IA32_MISC_ENABLE */
	{0x3f1, 0x3f1, 1, false, true}, /* IA32_PEBS_ENABLE */
	{0x200, 0x21f, 1, true, true},  /* MTRRs, variable */
	{0x250, 0x250, 1, true, true},  /* and fixed */
	{0x258, 0x259, 1, true, true},
	{0x268, 0x26f, 1, true, true},
	{0x2ff, 0x2ff, 1, true, true},
	/* Physical addresses that the CPU, or the package, writes to or reads from by itself. */
	{0x80, 0x80, 1, false, true},    /* MSR_TRACE_HUB_STH_ACPIBAR_BASE */
	{0x82, 0x86, 1, false, true},    /* IA32_FZM_* */
	{0xed, 0xf0, 1, true, true},     /* MSR_RAR_* */
	{0x17d0, 0x17d4, 1, true, true}, /* IA32_HW_FEEDBACK_* */
	/* What takes memory away from everybody. */
	{0x9b, 0x9b, 1, false, true},
	{0xa0, 0xa1, 1, false, true},
	{0x1f2, 0x1f5, 1, false, true},
	{0x2a0, 0x2a7, 1, false, true},
	{0x2f4, 0x2f5, 1, false, true},
	{0x982, 0x984, 1, false, true},
	{0x9fb, 0x9fb, 1, false, true},
	{0x9ff, 0x9ff, 1, false, true},
	{0x1400, 0x1401, 1, false, true},
	/* In-field tests. */
	{0xcf, 0xcf, 1, true, false},
	{0x105, 0x105, 1, true, true},
	{0x2b8, 0x2bf, 1, true, true},
	{0x2c2, 0x2c9, 1, true, true},
	{0x2d6, 0x2d7, 1, true, true},
	{0x2d9, 0x2d9, 1, true, true},
	{0x4f0, 0x4f0, 1, true, true},
	{0x4f8, 0x4f8, 1, true, true},
	/* PEBS by linear address: its base, and its enable in each counter's third register. */
	{0x3f4, 0x3f5, 1, true, true},
	{0x1903, 0x197f, 4, false, true},
	{0x1983, 0x19ff, 4, false, true},
	{0xda0, 0xda0, 1, false, true}, /* IA32_XSS */
	{0x1cc, 0x1d4, 1, true, true},  /* FRED */
	{0xc80, 0xc80, 1, false, true}, /* IA32_DEBUG_INTERFACE */
};

static const struct intercepted pt[] = {
	{0x560, 0x572, 1, true, true},
	{0x580, 0x587, 1, true, true},
};

static const struct intercepted kvm_clock[] = {
	{0x11, 0x12, 1, true, true},
};

static const struct intercepted lbr[] = {
	{0x14ce, 0x14ce, 1, true, true},
};

static const struct intercepted *in_list(const struct intercepted *list, size_t count, u32 msr)
{
	for (size_t i = 0; i < count; i++) {
		if (msr >= list[i].first && msr <= list[i].last &&
		    (msr - list[i].first) % list[i].step == 0)
			return &list[i];
	}
	return NULL;
}

static void check_bitmap(bool pt_hidden, bool hypervisor_hidden, bool lbr_hidden)
{
	for (u32 i = 0; i < 0x4000; i++) {
		const u32 msr = i < 0x2000 ? i : 0xc0000000 + i - 0x2000;
		const struct intercepted *row =
			in_list(always_intercepted, ARRAY_SIZE(always_intercepted), msr);

		if (!row && pt_hidden)
			row = in_list(pt, ARRAY_SIZE(pt), msr);
		if (!row && hypervisor_hidden)
			row = in_list(kvm_clock, ARRAY_SIZE(kvm_clock), msr);
		if (!row && lbr_hidden)
			row = in_list(lbr, ARRAY_SIZE(lbr), msr);
		if (intercepts(own, msr, false) != (row && row->read) ||
		    intercepts(own, msr, true) != (row && row->write))
			fail_msg("MSR %#x", msr);
	}
}

static void test_bitmap(void **state)
{
	(void)state;
	check_bitmap(true, true, false);
	set_up(BIT(21), BIT(26), false, true);
	check_bitmap(false, false, false);
	/* LBRs that record on in root mode would show where Umbra is. */
	set_up(0, BIT(26), false, true);
	check_bitmap(false, false, true);
	set_up(BIT(21), 0, false, true);
	check_bitmap(false, false, true);
	/* One CPU of all that cannot switch it is enough. */
	set_up(BIT(21), BIT(26), false, true);
	machine_cpu(1)->cpuid_hidden.leaf14 = true;
	msr_init_cpu(machine_cpu(1));
	memcpy(own, phys_to_virt(msr_bitmap_address()), sizeof(own));
	check_bitmap(true, false, false);
}

/* Each MSR has one row at most, in order, with a name and a reason. */
static void test_table(void **state)
{
	(void)state;
	for (u32 i = 0; i < msr_table_rows; i++) {
		const struct msr_policy *row = &msr_table[i];

		assert_non_null(row->name);
		assert_non_null(row->why);
		assert_true(row->first <= row->last);
		assert_true(row->read < MSR_READ_COUNT && row->write < MSR_WRITE_COUNT);
		assert_true(i == 0 || row->first > row[-1].first);
		for (u32 n = 0; n < i; n++) {
			const struct msr_policy *other = &msr_table[n];

			if (row->first > other->last)
				continue;
			/* Interleaved: both go by the same stride. */
			assert_true(row->stride == other->stride);
			assert_true(row->stride && (row->first - other->first) % row->stride != 0);
		}
	}
}

/* Nothing that an earlier owner of the CPU has enabled goes on under Umbra. */
static void test_leftovers(void **state)
{
	static const u32 run_on[] = {
		0x1d9,          /* IA32_DEBUGCTL */
		0x3f1,          /* IA32_PEBS_ENABLE */
		0x570,          /* IA32_RTIT_CTL */
		0x14ce,         /* IA32_LBR_CTL */
		0x17d1,         /* IA32_HW_FEEDBACK_CONFIG */
		0x1903,         /* IA32_PMC_GP0_CFG_C */
		0x1907, 0x1983, /* IA32_PMC_FX0_CFG_C */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(run_on); i++) {
		if (!msr_at(run_on[i]))
			add_msr(run_on[i], 0);
		*msr_at(run_on[i]) = 1;
	}
	*msr_at(MSR_IA32_XSS) = BIT(8) | BIT(11);
	msr_init_cpu(guest);
	for (size_t i = 0; i < ARRAY_SIZE(run_on); i++)
		assert_true(*msr_at(run_on[i]) == 0);
	assert_true(*msr_at(MSR_IA32_XSS) == BIT(11));
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
	static const u32 same_value[] = {0x1b, 0x1a0, 0x200, 0x20f};
	static const u32 never[] = {
		0x3a,   0x79,   0x80,       0x84,       0x9b,       0x9e,       0xed,
		0x3f4,  0x480,  0x570,      0x800,      0x8ff,      0x982,      0x1401,
		0x17d0, 0x17d4, 0x40000000, 0x400000ff, 0x4b564d00, 0xc0000100, 0xc0000101,
	};

	(void)state;
	for (u32 i = 0; i < 0x4000; i++) {
		const u32 msr = i < 0x2000 ? i : 0xc0000000 + i - 0x2000;

		if (intercepts(own, msr, true))
			assert_false(msr_list_may_load(guest, msr, BIT(63) | 1));
	}
	/* Nothing happens if it has that value already. */
	for (size_t i = 0; i < ARRAY_SIZE(same_value); i++) {
		const u64 value = *msr_at(same_value[i]);

		assert_true(msr_list_may_load(guest, same_value[i], value));
		assert_false(msr_list_may_load(guest, same_value[i], value + 1));
	}
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		assert_false(msr_list_may_load(guest, never[i], 0));
	assert_true(msr_list_may_load(guest, 0x3f1, 0));
	assert_false(msr_list_may_load(guest, 0x3f1, 1));
	assert_true(msr_list_may_load(guest, 0x1903, BITS(31, 0)));
	assert_false(msr_list_may_load(guest, 0x1903, BIT(63)));
	assert_true(msr_list_may_load(guest, 0xda0, BIT(11)));
	assert_false(msr_list_may_load(guest, 0xda0, BIT(11) | BIT(8)));
	/* Not Umbra's: the hardware knows. */
	assert_true(msr_list_may_load(guest, 0x10, 1));
	assert_true(msr_list_may_load(guest, 0xc0000082, 1));
	assert_true(msr_list_may_load(guest, 0x2000, 1));
	assert_true(msr_list_may_load(guest, 0xc0002000, 1));
}

/* SDM "Loading MSRs" and "Saving MSRs"; and counters, whose value in a list is as of the exit. */
static void test_list_rules(void **state)
{
	static const u32 stored_by_cpu[] = {0x10,  0xc1,  0xc8,  0xe7,   0xe8,   0x309,
					    0x38e, 0x4c1, 0x6e0, 0x1900, 0x1904, 0x1980};

	(void)state;
	for (u32 msr = 0x800; msr <= 0x8ff; msr++)
		assert_int_equal(msr_list_rules(msr), MSR_LIST_NO_LOAD | MSR_LIST_NO_STORE);
	assert_int_equal(msr_list_rules(0x7ff), 0);
	assert_int_equal(msr_list_rules(0x900), 0);
	assert_int_equal(msr_list_rules(0x9e), MSR_LIST_NO_LOAD | MSR_LIST_NO_STORE);
	assert_int_equal(msr_list_rules(0xc0000100), MSR_LIST_NO_LOAD);
	assert_int_equal(msr_list_rules(0xc0000101), MSR_LIST_NO_LOAD);
	assert_int_equal(msr_list_rules(0xc0000102), 0);
	for (size_t i = 0; i < ARRAY_SIZE(stored_by_cpu); i++)
		assert_int_equal(msr_list_rules(stored_by_cpu[i]), MSR_LIST_STORED_BY_CPU);
	assert_int_equal(msr_list_rules(0x1901), 0);
}

static bool guest_wrmsr(u32 msr, u64 value)
{
	injected = 0;
	regs.rcx = msr;
	regs.rax = (u32)value;
	regs.rdx = value >> 32;
	wrmsr_exit(guest, &regs);
	assert_true(!injected || injected == 1u << VECTOR_GP);
	return !injected;
}

static bool guest_rdmsr(u32 msr, u64 *value)
{
	injected = 0;
	regs.rcx = msr;
	regs.rax = regs.rdx = ~0ull;
	rdmsr_exit(guest, &regs);
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
	guest->cpuid_hidden.leaf14 = true;
	add_msr(0x570, 0);
	assert_false(guest_rdmsr(0x570, &value));
	assert_false(guest_wrmsr(0x570, 0));
	guest->cpuid_hidden.leaf14 = false;
	assert_true(guest_rdmsr(0x570, &value));
	guest->cpuid_hidden.leaf14 = true;
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
	/* PEBS is not there. */
	assert_true(guest_wrmsr(MSR_IA32_MISC_ENABLE, 1));
	assert_true(guest_rdmsr(MSR_IA32_MISC_ENABLE, &value) && (value & BIT(12)));
	assert_false(guest_wrmsr(MSR_IA32_PEBS_ENABLE, 1));
	assert_true(guest_wrmsr(MSR_IA32_PEBS_ENABLE, 0));
	assert_true(guest_wrmsr(MSR_IA32_BIOS_UPDT_TRIG, 0x1234));
}

/* Where Umbra flushes the L1 data cache, L1 is told not to; where not, the CPU is asked. */
static void test_arch_capabilities(void **state)
{
	const u64 skip = BIT(3);
	u64 value = 0;

	(void)state;
	guest->speculation.flush_l1d = true;
	/* It does not exist on every CPU that is flushed. */
	assert_false(guest_rdmsr(MSR_IA32_ARCH_CAPABILITIES, &value));
	add_msr(MSR_IA32_ARCH_CAPABILITIES, BIT(2));
	assert_true(guest_rdmsr(MSR_IA32_ARCH_CAPABILITIES, &value));
	assert_int_equal(value, BIT(2) | skip);
	msr_init_cpu(guest);
	memcpy(own, phys_to_virt(msr_bitmap_address()), sizeof(own));
	assert_true(intercepts(own, MSR_IA32_ARCH_CAPABILITIES, false));
	assert_false(intercepts(own, MSR_IA32_ARCH_CAPABILITIES, true));
	guest->speculation.flush_l1d = false;
	assert_true(guest_rdmsr(MSR_IA32_ARCH_CAPABILITIES, &value));
	assert_int_equal(value, BIT(2));
}

/* SDM "XRSTORS": a component whose bit is 0 in IA32_XSS cannot be loaded. */
static void test_xss(void **state)
{
	(void)state;
	assert_true(guest_wrmsr(0xda0, BITS(12, 11) | BIT(15)));
	assert_false(guest_wrmsr(0xda0, BIT(8)));
	assert_false(guest_wrmsr(0xda0, BITS(12, 11) | BIT(8)));
	assert_false(guest_wrmsr(0xda0, BIT(13)));
	assert_true(*msr_at(0xda0) == (BITS(12, 11) | BIT(15)));
	/* By way of a VM exit's list. */
	assert_false(msr_guest_write(guest, 0xda0, BIT(8)));
	guest->cpuid_hidden.leaf14 = false;
	assert_true(guest_wrmsr(0xda0, BIT(8)));
	/* LBRs that run on in root mode are not there to be loaded. */
	set_up(BIT(21), 0, true, false);
	assert_false(guest_wrmsr(0xda0, BIT(15)));
}

static void test_not_offered(void **state)
{
	static const u32 absent[] = {0x11,  0x12,       0xed,       0xef,       0x105,     0x2c2,
				     0x3f4, 0x3f5,      0x17d0,     0x17d1,     0x17d4,    0x1cc,
				     0x2d9, 0x40000000, 0x400000ff, 0x4b564d00, 0x4b564dff};
	static const u32 read_only[] = {0x80, 0x84, 0x9b, 0xa0, 0x1f2, 0x2a0, 0x982, 0xc80, 0x1400};
	u64 value;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
		msr_count = 0;
		add_msr(absent[i], 0);
		assert_false(guest_rdmsr(absent[i], &value));
		assert_false(guest_wrmsr(absent[i], 0));
	}
	for (size_t i = 0; i < ARRAY_SIZE(read_only); i++) {
		msr_count = 0;
		add_msr(read_only[i], 0x77);
		assert_true(guest_rdmsr(read_only[i], &value) && value == 0x77);
		assert_false(guest_wrmsr(read_only[i], 0));
		assert_false(guest_wrmsr(read_only[i], 1));
	}
	/* IA32_CORE_CAPABILITIES: no RAR, no in-field tests. */
	msr_count = 0;
	add_msr(0xcf, BITS(5, 0));
	assert_true(guest_rdmsr(0xcf, &value) && value == (BITS(5, 3) | BIT(0)));
	add_msr(0x1983, 0);
	assert_false(guest_wrmsr(0x1983, BIT(63)));
	assert_true(guest_wrmsr(0x1983, 0x80000000) && *msr_at(0x1983) == 0x80000000);
	/* The hypervisor below is asked if the guest may. */
	msr_count = 0;
	add_msr(MSR_IA32_APIC_BASE, 0);
	add_msr(0x4b564d00, 0);
	set_up(0, 0, true, true);
	assert_true(guest_wrmsr(0x4b564d00, 1) && *msr_at(0x4b564d00) == 1);
}

/* A number for the guest's kernel, if there is one; never for a list, nor to be written. */
static void test_token(void **state)
{
	u64 value = 0;

	(void)state;
	assert_false(guest_rdmsr(UMBRA_MSR_TOKEN, &value));
	has_token = true;
	assert_true(guest_rdmsr(UMBRA_MSR_TOKEN, &value) && value == token_value);
	assert_false(guest_wrmsr(UMBRA_MSR_TOKEN, token_value));
	assert_false(guest_rdmsr(UMBRA_MSR_TOKEN + 1, &value));
	assert_int_equal(msr_list_rules(UMBRA_MSR_TOKEN), MSR_LIST_NO_LOAD | MSR_LIST_NO_STORE);
	assert_false(msr_list_may_load(guest, UMBRA_MSR_TOKEN, token_value));
	has_token = false;
}

/* Registers that a VM exit saves: the guest's value is in the VMCS, the CPU's is Umbra's. */
static void test_in_vmcs(void **state)
{
	static const struct {
		u32 msr, field;
		u64 good, bad;
	} held[] = {
		/* IA32_EFER: reserved bits */
		{0xc0000080, 0x2806, 0x501, 0x22},
		{0xc0000080, 0x2806, 0xd00, BIT(12)},
		/* IA32_PAT: no such types */
		{0x277, 0x2804, 0x0706050401000607, 2},
		{0x277, 0x2804, 0, 0x03ull << 56},
		{0x277, 0x2804, 0, 8},
		/* IA32_SYSENTER_CS, IA32_SYSENTER_ESP, IA32_FS_BASE: canonical */
		{0x174, 0x482a, 0x10, 0},
		{0x175, 0x6824, 0xffff800000000000, BIT(47)},
		{0xc0000100, 0x680e, 0x7fffffffffff, BIT(63)},
		/* IA32_DEBUGCTL without RTM, bus-lock detection, leaf 0AH */
		{0x1d9, 0x2802, 0x1c3, BIT(15)},
		{0x1d9, 0x2802, 0x1, BIT(2)},
		{0x1d9, 0x2802, 0x1, BIT(9)},
		{0x1d9, 0x2802, 0x1, BIT(11)},
		{0x1d9, 0x2802, 0x1, BIT(16)},
		/* IA32_LBR_CTL without CPL filtering */
		{0x14ce, 0x2816, 1, 2},
	};
	u64 value;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		machine_set_field(held[i].field, 0x1111);
		assert_true(msr_guest_read(guest, held[i].msr, &value) && value == 0x1111);
		cpu_writes = 0;
		assert_true(msr_guest_write(guest, held[i].msr, held[i].good));
		assert_true(vmread_unchecked(held[i].field) == held[i].good);
		if (held[i].bad) {
			assert_false(msr_guest_write(guest, held[i].msr, held[i].bad));
			assert_true(vmread_unchecked(held[i].field) == held[i].good);
		}
		/* Not even for a moment: BTS or LBRs would act in root mode. */
		assert_int_equal(cpu_writes, 0);
	}
	assert_true(msr_guest_write(guest, 0x10, 9) && *msr_at(0x10) == 9);
	assert_true(msr_guest_read(guest, 0x10, &value) && value == 9);
	/* IA32_UINTR_MISC: an exit clears bits 39:32 in the CPU, which are the VMCS's field 0814H.
	 */
	add_msr(0x988, 0x1234);
	guest->vmx.entry |= BIT(32 + 19);
	machine_set_field(0x0814, 0x77);
	assert_true(msr_guest_read(guest, 0x988, &value) && value == 0x7700001234);
	assert_true(msr_guest_write(guest, 0x988, 0x5500004321));
	assert_true(*msr_at(0x988) == 0x4321 && vmread_unchecked(0x0814) == 0x55);
	for (unsigned int bit = 40; bit < 64; bit++)
		assert_false(msr_guest_write(guest, 0x988, BIT(bit)));
	assert_true(*msr_at(0x988) == 0x4321 && vmread_unchecked(0x0814) == 0x55);
	/* IA32_PKRS on a CPU that does not switch it: the CPU's own, which this one lacks. */
	assert_false(msr_guest_read(guest, 0x6e1, &value));
	/* IA32_LBR_CTL likewise: the guest has none. */
	add_msr(0x14ce, 0);
	set_up(BIT(21), 0, true, false);
	assert_false(guest_wrmsr(0x14ce, 1));
	assert_false(guest_rdmsr(0x14ce, &value));
}

/*
 * SDM "IA32_MISC_ENABLE", bit 34, XD bit disable: read as written. The guest is without XD bit, so
 * that EFER.NXE is reserved; the CPU's own bit stays clear.
 */
static void test_xd_bit_disable(void **state)
{
	static const struct guest_level level;
	paddr_t shared;
	u64 value = 0;

	(void)state;
	guest->cpuid_hidden.leaf14 = true;
	guest->vmx.ept_vpid = VPID_CAP_INVVPID | VPID_CAP_SINGLE;
	msr_init_shared();
	shared = msr_bitmap_address();
	machine_run_on(guest);
	machine_set_field(VMCS_GUEST_EFER, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
	machine_set_field(VMCS_GUEST_CR0, CR0_PE | CR0_PG);
	machine_set_field(VMCS_MSR_BITMAP, shared);
	machine_set_field(VMCS_VPID, 1);
	assert_true(guest_wrmsr(MSR_IA32_MISC_ENABLE, BIT(34) | 1));
	assert_true(guest->xd_disabled);
	assert_true(guest_rdmsr(MSR_IA32_MISC_ENABLE, &value));
	assert_true(value == (BIT(34) | BIT(12) | 1));
	assert_true(*msr_at(MSR_IA32_MISC_ENABLE) == 1);
	assert_true(vmread_unchecked(VMCS_GUEST_EFER) == (EFER_SCE | EFER_LME | EFER_LMA));

	/* NXE is #GP, what else EFER has is as ever; LME cannot change while paging is on. */
	assert_false(guest_wrmsr(MSR_IA32_EFER, EFER_SCE | EFER_LME | EFER_NXE));
	assert_false(guest_wrmsr(MSR_IA32_EFER, EFER_SCE));
	assert_true(guest_wrmsr(MSR_IA32_EFER, EFER_LME));
	assert_true(vmread_unchecked(VMCS_GUEST_EFER) == (EFER_LME | EFER_LMA));
	machine_set_field(VMCS_GUEST_EFER, EFER_LME);
	machine_set_field(VMCS_GUEST_CR0, CR0_PE);
	assert_true(guest_wrmsr(MSR_IA32_EFER, EFER_LMA));
	assert_true(vmread_unchecked(VMCS_GUEST_EFER) == 0);
	/* The host's is Umbra's. */
	assert_true(*msr_at(MSR_IA32_EFER) == 0xd01);

	/* L2 cannot change it for L1; its #GP changes nothing else either. */
	guest->level = &level;
	assert_false(msr_guest_write(guest, MSR_IA32_MISC_ENABLE, 0));
	assert_true(*msr_at(MSR_IA32_MISC_ENABLE) == 1);
	assert_true(msr_guest_write(guest, MSR_IA32_MISC_ENABLE, BIT(34)));
	assert_true(*msr_at(MSR_IA32_MISC_ENABLE) == 0);
	guest->level = NULL;

	assert_true(vmread_unchecked(VMCS_MSR_BITMAP) != shared);
	assert_true(guest_wrmsr(MSR_IA32_MISC_ENABLE, 1));
	assert_false(guest->xd_disabled);
	assert_true(vmread_unchecked(VMCS_MSR_BITMAP) == shared);
	assert_true(guest_rdmsr(MSR_IA32_MISC_ENABLE, &value) && value == (BIT(12) | 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_table, setup),
		cmocka_unit_test_setup(test_xd_bit_disable, setup),
		cmocka_unit_test_setup(test_bitmap, setup),
		cmocka_unit_test_setup(test_words, setup),
		cmocka_unit_test_setup(test_leftovers, setup),
		cmocka_unit_test_setup(test_lists, setup),
		cmocka_unit_test_setup(test_list_rules, setup),
		cmocka_unit_test_setup(test_mtrrs, setup),
		cmocka_unit_test_setup(test_hidden_registers, setup),
		cmocka_unit_test_setup(test_umbras_own, setup),
		cmocka_unit_test_setup(test_arch_capabilities, setup),
		cmocka_unit_test_setup(test_xss, setup),
		cmocka_unit_test_setup(test_not_offered, setup),
		cmocka_unit_test_setup(test_token, setup),
		cmocka_unit_test_setup(test_in_vmcs, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
