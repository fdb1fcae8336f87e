/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nested VMX against a model of what the SDM promises L1: VMX instructions, VM entries and exits in
 * random order, on two CPUs and more VMCSs than the cache holds, on the simulated machine of
 * tests/hosted. The model is one array of field values for each VMCS, nothing else; so whatever
 * caching, shadowing and lazy copying do underneath must not show.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <x86/cr.h>
#include <x86/ept.h>
#include <x86/msr.h>
#include <x86/vmx.h>

#include "l1.h"
#include "mm/guest_memory.h"
#include "nested/l2_exit.h"
#include "nested/nested.h"
#include "nested/shadow.h"
#include "nested/state.h"
#include "vmx/vmcs.h"

enum {
	CPUS = 2,
	VMCSS = 48,
	VMCS_PAGE = 16,
	GUEST_PAGES = VMCS_PAGE + VMCSS,
	STEPS = 20000,
};

/* What L1 can know of a VMCS. */
struct model {
	u64 f[F_COUNT];
	bool known[F_COUNT]; /* written by L1 or by an exit, and not undefined since */
	bool launched;
	int cpu; /* active there, or -1 */
};

static struct {
	struct model vmcs[VMCSS];
	int current[CPUS]; /* or -1 */
	bool vmx_on[CPUS];
} model;

static bool misc_vmwrite_ro;

static int current(void)
{
	return model.current[l1_cpu->cpu.index];
}

static paddr_t region_of(int vmcs)
{
	return (paddr_t)(VMCS_PAGE + vmcs) * PAGE_SIZE;
}

/* --- The model ------------------------------------------------------------------------------- */

static bool is_64bit(enum vmcs12_field f)
{
	return VMCS_FIELD_WIDTH(field_info[f].encoding) == VMCS_WIDTH_64;
}

/* SDM "Field Encoding in VMCS": what a field of this width keeps. */
static u64 truncated(enum vmcs12_field f, u64 value)
{
	switch (VMCS_FIELD_WIDTH(field_info[f].encoding)) {
	case VMCS_WIDTH_16:
		return value & 0xffff;
	case VMCS_WIDTH_32:
		return value & 0xffffffff;
	default:
		return value;
	}
}

static bool exists(enum vmcs12_field f)
{
	return nested_caps.has_field[f];
}

static void set(struct model *m, enum vmcs12_field f, u64 value)
{
	m->f[f] = truncated(f, value);
	m->known[f] = true;
}

static void expect_error(u64 error)
{
	set(&model.vmcs[current()], F_VM_INSTRUCTION_ERROR, error);
}

/* A failure that needs a current VMCS to have a number. */
static void expect_vmfail(enum outcome outcome, u64 error)
{
	if (current() < 0) {
		assert_int_equal(outcome, FAIL_INVALID);
		return;
	}
	assert_int_equal(outcome, FAIL_VALID);
	expect_error(error);
}

static void check_field(enum vmcs12_field f)
{
	const struct model *m = &model.vmcs[current()];
	u64 value = 0;

	assert_int_equal(l1_vmread(field_info[f].encoding, &value), SUCCEED);
	if (m->known[f] && value != m->f[f])
		MACHINE_FAIL("%s of VMCS %d is %#llx, not %#llx", field_info[f].name, current(),
			     (unsigned long long)value, (unsigned long long)m->f[f]);
	if (is_64bit(f)) {
		assert_int_equal(l1_vmread(field_info[f].encoding | 1, &value), SUCCEED);
		assert_true(!m->known[f] || value == m->f[f] >> 32);
	}
}

static void check_all_fields(void)
{
	for (u32 f = 0; f < F_COUNT; f++) {
		if (exists((enum vmcs12_field)f))
			check_field((enum vmcs12_field)f);
	}
}

static void write_field(enum vmcs12_field f, u64 value)
{
	struct model *m = &model.vmcs[current()];
	const enum outcome outcome = l1_vmwrite(field_info[f].encoding, value);

	if (VMCS_FIELD_TYPE(field_info[f].encoding) == VMCS_TYPE_READ_ONLY && !misc_vmwrite_ro) {
		expect_vmfail(outcome, VMERR_VMWRITE_READ_ONLY);
		return;
	}
	assert_int_equal(outcome, SUCCEED);
	set(m, f, value);
}

static void write_high_half(enum vmcs12_field f, u64 value)
{
	struct model *m = &model.vmcs[current()];
	const enum outcome outcome = l1_vmwrite(field_info[f].encoding | 1, value);

	if (VMCS_FIELD_TYPE(field_info[f].encoding) == VMCS_TYPE_READ_ONLY && !misc_vmwrite_ro) {
		expect_vmfail(outcome, VMERR_VMWRITE_READ_ONLY);
		return;
	}
	assert_int_equal(outcome, SUCCEED);
	m->f[f] = (m->f[f] & BITS(31, 0)) | value << 32;
}

static enum vmcs12_field random_field(void)
{
	for (;;) {
		const enum vmcs12_field f = (enum vmcs12_field)rng_below(&l1_rng, F_COUNT);

		if (exists(f))
			return f;
	}
}

/* --- Random steps: VMX instructions ---------------------------------------------------------- */

static void step_vmread(void)
{
	u64 value;

	if (current() < 0)
		assert_int_equal(l1_vmread(VMCS_GUEST_RIP, &value), FAIL_INVALID);
	else
		check_field(random_field());
}

static void step_vmwrite(void)
{
	const enum vmcs12_field f = random_field();

	if (current() < 0)
		assert_int_equal(l1_vmwrite(VMCS_GUEST_RIP, 0), FAIL_INVALID);
	else if (is_64bit(f) && model.vmcs[current()].known[f] && rng_below(&l1_rng, 4) == 0)
		write_high_half(f, rng_next(&l1_rng));
	else
		write_field(f, rng_next(&l1_rng));
}

static void step_bad_field(void)
{
	static const u64 bad[] = {0x6fff, 0x0001, 0x1000, 0x8000, 0x4803, 1ull << 32 | 0x681e};
	u64 value;

	expect_vmfail(l1_vmread(bad[rng_below(&l1_rng, ARRAY_SIZE(bad))], &value),
		      VMERR_UNSUPPORTED_FIELD);
	expect_vmfail(l1_vmwrite(bad[rng_below(&l1_rng, ARRAY_SIZE(bad))], 0),
		      VMERR_UNSUPPORTED_FIELD);
}

/* A VMCS that this CPU may use: active here, or nowhere. */
static int random_vmcs(void)
{
	for (;;) {
		const int v = (int)rng_below(&l1_rng, VMCSS);

		if (model.vmcs[v].cpu < 0 || model.vmcs[v].cpu == l1_cpu->cpu.index)
			return v;
	}
}

static void load_vmcs(int v)
{
	assert_int_equal(l1_with_address(REASON_VMPTRLD, region_of(v)), SUCCEED);
	model.current[l1_cpu->cpu.index] = v;
	model.vmcs[v].cpu = l1_cpu->cpu.index;
}

static void step_vmptrld(void)
{
	load_vmcs(random_vmcs());
}

static void step_vmptrld_bad(void)
{
	const u64 vmxon_region = l1_vmxon_region();
	static const u64 not_vmcs = 5 * PAGE_SIZE;

	expect_vmfail(l1_with_address(REASON_VMPTRLD, region_of(0) + 8),
		      VMERR_VMPTRLD_INVALID_ADDRESS);
	expect_vmfail(l1_with_address(REASON_VMPTRLD, BIT(MACHINE_MAXPHYADDR)),
		      VMERR_VMPTRLD_INVALID_ADDRESS);
	expect_vmfail(l1_with_address(REASON_VMPTRLD, vmxon_region), VMERR_VMPTRLD_VMXON_POINTER);
	expect_vmfail(l1_with_address(REASON_VMPTRLD, not_vmcs), VMERR_VMPTRLD_WRONG_REVISION);
	/* Memory of Umbra's reads as ones: no revision of anything. */
	expect_vmfail(l1_with_address(REASON_VMPTRLD, l1_cpu->vmcs01),
		      VMERR_VMPTRLD_WRONG_REVISION);
}

static void clear_vmcs(int v)
{
	assert_int_equal(l1_with_address(REASON_VMCLEAR, region_of(v)), SUCCEED);
	model.vmcs[v].cpu = -1;
	model.vmcs[v].launched = false;
	if (current() == v)
		model.current[l1_cpu->cpu.index] = -1;
}

static void step_vmclear(void)
{
	clear_vmcs(random_vmcs());
}

static void step_vmclear_bad(void)
{
	const u64 vmxon_region = l1_vmxon_region();

	expect_vmfail(l1_with_address(REASON_VMCLEAR, region_of(0) + 1),
		      VMERR_VMCLEAR_INVALID_ADDRESS);
	expect_vmfail(l1_with_address(REASON_VMCLEAR, vmxon_region), VMERR_VMCLEAR_VMXON_POINTER);
}

static void step_vmptrst(void)
{
	u64 pointer;

	assert_int_equal(l1_execute(REASON_VMPTRST, L1_INFO_MEMORY), SUCCEED);
	guest_memory_read(L1_OPERAND, &pointer, sizeof(pointer));
	assert_true(pointer == (current() < 0 ? ~0ull : region_of(current())));
}

static void vmxon_here(void)
{
	const u64 region = l1_vmxon_region();

	assert_int_equal(l1_with_address(REASON_VMXON, region), SUCCEED);
	model.vmx_on[l1_cpu->cpu.index] = true;
	model.current[l1_cpu->cpu.index] = -1;
}

/* Software should have cleared every VMCS first; "nothing lost" holds if it has not. */
static void step_vmxoff(void)
{
	const bool cleared = rng_below(&l1_rng, 2);

	for (int v = 0; v < VMCSS; v++) {
		if (model.vmcs[v].cpu != l1_cpu->cpu.index)
			continue;
		if (cleared)
			clear_vmcs(v);
		model.vmcs[v].cpu = -1;
	}
	assert_int_equal(l1_execute(REASON_VMXOFF, 0), SUCCEED);
	model.vmx_on[l1_cpu->cpu.index] = false;
	assert_int_equal(l1_execute(REASON_VMREAD, L1_INFO_RAX_RCX), FAULT);
	assert_int_equal(l1_injected, 1 << VECTOR_UD);
	vmxon_here();
}

/* --- Random steps: L2 ------------------------------------------------------------------------ */

static u32 must_be_1(vmx_control_cap cap)
{
	return (u32)cap;
}

static u64 random_controls(vmx_control_cap cap, u64 choice)
{
	return must_be_1(cap) | (rng_next(&l1_rng) & choice & (cap >> 32));
}

static u64 random_page(void)
{
	return rng_below(&l1_rng, GUEST_PAGES) * PAGE_SIZE;
}

/* Controls and host state that pass every check, written like a hypervisor would. */
static void make_enterable(void)
{
	const u64 primary = random_controls(
		nested_caps.primary, CPU_HLT_EXITING | CPU_TSC_OFFSETTING | CPU_USE_IO_BITMAPS |
					     CPU_USE_MSR_BITMAPS | CPU_SECONDARY_CONTROLS);
	const u64 secondary = random_controls(nested_caps.secondary,
					      CPU2_EPT | CPU2_VPID | CPU2_RDTSCP | CPU2_INVPCID);
	const u64 exit =
		random_controls(nested_caps.exit, EXIT_SAVE_DEBUG_CONTROLS | EXIT_SAVE_PAT |
							  EXIT_SAVE_EFER | EXIT_ACK_INTR);

	write_field(F_PIN_CONTROLS,
		    random_controls(nested_caps.pin, PIN_EXT_INTR_EXITING | PIN_NMI_EXITING));
	write_field(F_PRIMARY_CONTROLS, primary);
	write_field(F_SECONDARY_CONTROLS, secondary);
	write_field(F_EXIT_CONTROLS, exit | EXIT_HOST_64BIT);
	write_field(F_ENTRY_CONTROLS,
		    random_controls(nested_caps.entry, ENTRY_LOAD_DEBUG_CONTROLS | ENTRY_LOAD_PAT |
							       ENTRY_IA32E_GUEST));
	write_field(F_CR3_TARGET_COUNT, rng_below(&l1_rng, 5));
	write_field(F_VM_EXIT_MSR_STORE_COUNT, 0);
	write_field(F_VM_EXIT_MSR_LOAD_COUNT, 0);
	write_field(F_VM_ENTRY_MSR_LOAD_COUNT, 0);
	write_field(F_IO_BITMAP_A, random_page());
	write_field(F_IO_BITMAP_B, random_page());
	write_field(F_MSR_BITMAP, random_page());
	write_field(F_EPT_POINTER, random_page() | EPTP_WALK_4 | 6);
	write_field(F_VPID, 1 + rng_below(&l1_rng, 100));
	write_field(F_VM_ENTRY_INTR_INFO,
		    rng_below(&l1_rng, 4) ? 0 : INTR_INFO_VALID | (32 + rng_below(&l1_rng, 200)));
	write_field(F_HOST_CR0, CR0_PE | CR0_NE | CR0_PG | CR0_WP);
	write_field(F_HOST_CR3, random_page());
	write_field(F_HOST_CR4, CR4_VMXE | CR4_PAE);
	for (u32 f = F_HOST_ES_SELECTOR; f <= F_HOST_TR_SELECTOR; f++)
		write_field((enum vmcs12_field)f, 8 + (rng_next(&l1_rng) & 0xff8));
	for (u32 f = F_HOST_FS_BASE; f <= F_HOST_SYSENTER_EIP; f++)
		write_field((enum vmcs12_field)f, rng_next(&l1_rng) & BITS(46, 0));
	write_field(F_HOST_RIP, rng_next(&l1_rng) & BITS(46, 0));
	write_field(F_HOST_RSP, rng_next(&l1_rng));
	write_field(F_GUEST_CR0, CR0_PE | CR0_NE | CR0_PG);
	write_field(F_GUEST_CR4, CR4_VMXE | CR4_PAE);
	write_field(F_VMCS_LINK_POINTER, ~0ull);
}

/* What only lives in L1's vmcs12, or may differ for other reasons that the SDM does not mind. */
static bool reaches_vmcs02(enum vmcs12_field f)
{
	const u32 type = VMCS_FIELD_TYPE(field_info[f].encoding);

	switch (f) {
	case F_VMCS_LINK_POINTER:
	case F_GUEST_SMBASE:
	case F_GUEST_BNDCFGS:
	case F_GUEST_S_CET:
	case F_GUEST_SSP:
	case F_GUEST_INTERRUPT_SSP_TABLE:
	case F_GUEST_PKRS:
	case F_GUEST_UINV:
	case F_GUEST_LBR_CTL:
	case F_GUEST_DR7:
	case F_GUEST_DEBUGCTL:
	case F_GUEST_PAT:
	case F_GUEST_EFER:
		return false;
	case F_PIN_CONTROLS:
	case F_PRIMARY_CONTROLS:
	case F_SECONDARY_CONTROLS:
	case F_TERTIARY_CONTROLS:
	case F_EXIT_CONTROLS:
	case F_SECONDARY_EXIT_CONTROLS:
	case F_ENTRY_CONTROLS:
	case F_IO_BITMAP_A:
	case F_IO_BITMAP_B:
	case F_MSR_BITMAP:
	case F_EPT_POINTER:
	case F_VPID:
	case F_EXECUTIVE_VMCS_POINTER:
	case F_PML_ADDRESS:
	case F_VM_FUNCTION_CONTROLS:
	case F_EPTP_LIST_ADDR:
	case F_VE_INFO_ADDR:
	case F_EPTP_INDEX:
	case F_VMREAD_BITMAP:
	case F_VMWRITE_BITMAP:
	case F_VM_EXIT_MSR_STORE_COUNT:
	case F_VM_EXIT_MSR_STORE_ADDR:
	case F_VM_EXIT_MSR_LOAD_COUNT:
	case F_VM_EXIT_MSR_LOAD_ADDR:
	case F_VM_ENTRY_MSR_LOAD_COUNT:
	case F_VM_ENTRY_MSR_LOAD_ADDR:
		return false;
	default:
		return type == VMCS_TYPE_GUEST || type == VMCS_TYPE_CONTROL;
	}
}

static u64 secondary_controls(const struct model *m)
{
	return m->f[F_PRIMARY_CONTROLS] & CPU_SECONDARY_CONTROLS ? m->f[F_SECONDARY_CONTROLS] : 0;
}

/* L2 runs on what L1 wrote. */
static void check_vmcs02(const struct model *m)
{
	const u64 pin = vmread_unchecked(VMCS_PIN_CONTROLS);
	const u64 primary = vmread_unchecked(VMCS_PRIMARY_CONTROLS);
	const u64 secondary = vmread_unchecked(VMCS_SECONDARY_CONTROLS);

	for (u32 f = 0; f < F_COUNT; f++) {
		if (!exists((enum vmcs12_field)f) || !m->known[f] ||
		    !reaches_vmcs02((enum vmcs12_field)f))
			continue;
		if (vmread_unchecked(field_info[f].encoding) != m->f[f])
			MACHINE_FAIL("vmcs02 has %s %#llx, not %#llx", field_info[f].name,
				     (unsigned long long)vmread_unchecked(field_info[f].encoding),
				     (unsigned long long)m->f[f]);
	}
	assert_true((pin & m->f[F_PIN_CONTROLS]) == m->f[F_PIN_CONTROLS]);
	assert_true((primary & m->f[F_PRIMARY_CONTROLS]) == m->f[F_PRIMARY_CONTROLS]);
	assert_true((secondary & secondary_controls(m)) == secondary_controls(m));
	/* Umbra's protection. */
	assert_true(secondary & CPU2_EPT);
	assert_true(!(primary & CPU_USE_MSR_BITMAPS) ||
		    vmread_unchecked(VMCS_MSR_BITMAP) >= MACHINE_OWN);
	assert_true(!(primary & CPU_USE_IO_BITMAPS) ||
		    (vmread_unchecked(VMCS_IO_BITMAP_A) >= MACHINE_OWN &&
		     vmread_unchecked(VMCS_IO_BITMAP_B) >= MACHINE_OWN));
	if (secondary_controls(m) & CPU2_EPT)
		assert_true(vmread_unchecked(VMCS_EPT_POINTER) >= MACHINE_OWN);
	if (m->f[F_ENTRY_CONTROLS] & ENTRY_LOAD_PAT)
		assert_true(vmread_unchecked(VMCS_GUEST_PAT) == m->f[F_GUEST_PAT]);
	if (m->f[F_ENTRY_CONTROLS] & ENTRY_LOAD_DEBUG_CONTROLS)
		assert_true(vmread_unchecked(VMCS_GUEST_DR7) == m->f[F_GUEST_DR7]);
}

/* SDM "Loading Host State": the few registers that tell. */
static void check_l1_state(const struct model *m)
{
	assert_true(machine_current_vmcs() == l1_cpu->vmcs01);
	assert_true(vmread_unchecked(VMCS_GUEST_RIP) == m->f[F_HOST_RIP]);
	assert_true(vmread_unchecked(VMCS_GUEST_RSP) == m->f[F_HOST_RSP]);
	assert_true(vmread_unchecked(VMCS_GUEST_CR3) == m->f[F_HOST_CR3]);
	assert_true(vmread_unchecked(VMCS_GUEST_FS_BASE) == m->f[F_HOST_FS_BASE]);
	assert_int_equal(vmread_unchecked(VMCS_GUEST_RFLAGS), RFLAGS_FIXED);
}

/* SDM "Saving Guest State": fields that a VM exit writes, by the controls of vmcs02. */
static bool saved_by_exit(enum vmcs12_field f, u64 exit_controls)
{
	if (VMCS_FIELD_TYPE(field_info[f].encoding) != VMCS_TYPE_GUEST)
		return false;
	switch (f) {
	case F_VMCS_LINK_POINTER:
	case F_GUEST_SMBASE:
		return false;
	case F_GUEST_DR7:
	case F_GUEST_DEBUGCTL:
		return exit_controls & EXIT_SAVE_DEBUG_CONTROLS;
	case F_GUEST_PAT:
		return exit_controls & EXIT_SAVE_PAT;
	case F_GUEST_EFER:
		return exit_controls & EXIT_SAVE_EFER;
	case F_PREEMPTION_TIMER_VALUE:
		return exit_controls & EXIT_SAVE_PREEMPTION_TIMER;
	case F_GUEST_INTERRUPT_STATUS:
		return false; /* no virtual-interrupt delivery in this test */
	default:
		return true;
	}
}

static bool is_pdpte(u32 f)
{
	return f >= F_GUEST_PDPTE0 && f <= F_GUEST_PDPTE3;
}

/* L2 runs: its registers change, and then something exits to L1. vmcs02 is current. */
static void run_l2(struct model *m)
{
	static const u32 reasons[] = {REASON_CPUID, REASON_HLT, REASON_VMCALL, REASON_INVLPG};
	const u64 exit02 = vmread_unchecked(VMCS_EXIT_CONTROLS);
	const u64 exit12 = m->f[F_EXIT_CONTROLS];
	const u32 reason = reasons[rng_below(&l1_rng, ARRAY_SIZE(reasons))];

	for (u32 f = 0; f < F_COUNT; f++) {
		const bool in_vmcs02 = saved_by_exit((enum vmcs12_field)f, exit02);
		u64 value = rng_next(&l1_rng);

		if (!exists((enum vmcs12_field)f) || !in_vmcs02)
			continue;
		if (f == F_GUEST_EFER)
			value = m->f[F_ENTRY_CONTROLS] & ENTRY_IA32E_GUEST ? EFER_LMA | EFER_LME
									   : 0;
		else if (rng_below(&l1_rng, 2))
			value = vmread_unchecked(field_info[f].encoding);
		machine_set_field(field_info[f].encoding, value);
		if (saved_by_exit((enum vmcs12_field)f, exit12))
			set(m, (enum vmcs12_field)f, value);
		/* "the values saved are undefined" without EPT or PAE paging. */
		if (is_pdpte(f))
			m->known[f] = false;
	}
	for (u32 f = F_EXIT_REASON; f <= F_IO_RIP; f++) {
		const u64 value = f == F_EXIT_REASON ? reason : rng_next(&l1_rng) & BITS(30, 0);

		if (!exists((enum vmcs12_field)f))
			continue;
		machine_set_field(field_info[f].encoding, value);
		set(m, (enum vmcs12_field)f, value);
	}
	machine_set_field(VMCS_VM_ENTRY_INTR_INFO,
			  vmread_unchecked(VMCS_VM_ENTRY_INTR_INFO) & ~INTR_INFO_VALID);
	m->f[F_VM_ENTRY_INTR_INFO] &= ~INTR_INFO_VALID;
	m->launched = true;
	nested_exit_handle(&l1_regs);
	machine_enter(false);
	check_l1_state(m);
}

/* The hardware finds fault with L2's state: SDM "VM-Entry Failures During or After Loading Guest
 * State". Guest state, launch state and the l1_injected event stay. */
static void fail_entry(struct model *m)
{
	const u64 qualification = rng_below(&l1_rng, 5);
	const u32 reason = REASON_ENTRY_FAIL_GUEST | 1u << 31;

	machine_fail_entry();
	machine_set_field(VMCS_EXIT_REASON, reason);
	machine_set_field(VMCS_EXIT_QUALIFICATION, qualification);
	set(m, F_EXIT_REASON, reason);
	set(m, F_EXIT_QUALIFICATION, qualification);
	nested_exit_handle(&l1_regs);
	machine_enter(false);
	check_l1_state(m);
}

static void enter_l2(void)
{
	struct model *m = &model.vmcs[current()];
	const bool bad_link = rng_below(&l1_rng, 16) == 0;

	if (bad_link)
		write_field(F_VMCS_LINK_POINTER, 5 * PAGE_SIZE);
	assert_int_equal(l1_execute(m->launched ? REASON_VMRESUME : REASON_VMLAUNCH, 0), ENTERED);
	if (bad_link) {
		set(m, F_EXIT_REASON, REASON_ENTRY_FAIL_GUEST | 1u << 31);
		set(m, F_EXIT_QUALIFICATION, 4);
		check_l1_state(m);
		return;
	}
	check_vmcs02(m);
	if (rng_below(&l1_rng, 16) == 0)
		fail_entry(m);
	else
		run_l2(m);
}

static void step_l2(void)
{
	if (current() < 0) {
		assert_int_equal(l1_execute(REASON_VMLAUNCH, 0), FAIL_INVALID);
		assert_int_equal(l1_execute(REASON_VMRESUME, 0), FAIL_INVALID);
		return;
	}
	make_enterable();
	for (u64 visits = 1 + rng_below(&l1_rng, 4); visits; visits--) {
		enter_l2();
		write_field(F_VMCS_LINK_POINTER, ~0ull);
		write_field(F_GUEST_CR4, CR4_VMXE | CR4_PAE);
		/* L1 leaves its guest state, or changes a little of it, or looks at all of it. */
		switch (rng_below(&l1_rng, 4)) {
		case 0:
			write_field(F_GUEST_RIP, rng_next(&l1_rng));
			break;
		case 1:
			write_field(F_GUEST_TR_BASE, rng_next(&l1_rng));
			break;
		case 2:
			check_all_fields();
			break;
		default:
			break;
		}
	}
}

static void step_entry_fails(void)
{
	const bool was_launched = current() >= 0 && model.vmcs[current()].launched;

	if (current() < 0)
		return;
	make_enterable();
	expect_vmfail(l1_execute(was_launched ? REASON_VMLAUNCH : REASON_VMRESUME, 0),
		      was_launched ? VMERR_VMLAUNCH_NOT_CLEAR : VMERR_VMRESUME_NOT_LAUNCHED);
	write_field(F_PIN_CONTROLS, 0);
	expect_vmfail(l1_execute(was_launched ? REASON_VMRESUME : REASON_VMLAUNCH, 0),
		      VMERR_ENTRY_INVALID_CONTROL);
	write_field(F_PIN_CONTROLS, must_be_1(nested_caps.pin));
	write_field(F_HOST_CS_SELECTOR, 0);
	expect_vmfail(l1_execute(was_launched ? REASON_VMRESUME : REASON_VMLAUNCH, 0),
		      VMERR_ENTRY_INVALID_HOST_STATE);
}

/* A VMCS goes to the other CPU as SDM "Software Use of Virtual-Machine Control Structures" says. */
static void step_migrate(void)
{
	const int v = random_vmcs();

	clear_vmcs(v);
	l1_on(!l1_cpu->cpu.index);
	load_vmcs(v);
	check_all_fields();
}

/* --- Tests ----------------------------------------------------------------------------------- */

static void start(bool shadow, bool vmwrite_ro)
{
	misc_vmwrite_ro = vmwrite_ro;
	l1_start(CPUS, GUEST_PAGES, shadow, vmwrite_ro);
	assert_int_equal(shadow_on, shadow && vmwrite_ro);
	memset(&model, 0, sizeof(model));
	for (int v = 0; v < VMCSS; v++) {
		model.vmcs[v].cpu = -1;
		l1_make_region(region_of(v));
	}
	for (int i = 0; i < CPUS; i++) {
		l1_on(i);
		vmxon_here();
	}
}

static void step(void)
{
	static void (*const steps[])(void) = {
		step_vmread,      step_vmread,      step_vmwrite,     step_vmwrite,
		step_vmptrld,     step_vmptrld,     step_vmptrld,     step_vmclear,
		step_vmptrst,     step_l2,          step_l2,          step_bad_field,
		step_vmclear_bad, step_vmptrld_bad, step_entry_fails, step_migrate,
	};

	l1_on((int)rng_below(&l1_rng, CPUS));
	if (rng_below(&l1_rng, 1000) == 0)
		step_vmxoff();
	else
		steps[rng_below(&l1_rng, ARRAY_SIZE(steps))]();
}

/* However it went: every VMCS has what L1 wrote and L2 did. */
static void check_everything(void)
{
	for (int v = 0; v < VMCSS; v++) {
		l1_on(model.vmcs[v].cpu < 0 ? 0 : model.vmcs[v].cpu);
		load_vmcs(v);
		check_all_fields();
	}
}

static void run(bool shadow, bool vmwrite_ro, u64 seed)
{
	l1_rng.state = seed;
	start(shadow, vmwrite_ro);
	for (u32 i = 0; i < STEPS; i++)
		step();
	check_everything();
}

static void test_without_shadowing(void **state)
{
	(void)state;
	run(false, true, 1);
}

static void test_with_shadowing(void **state)
{
	(void)state;
	run(true, true, 2);
}

static void test_read_only_fields_read_only(void **state)
{
	(void)state;
	run(true, false, 3);
}

/* Every VMCS cached on one CPU is written back by VMXOFF, wherever the next VMPTRLD is. */
static void test_vmxoff_writes_back(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		l1_rng.state = 4;
		start(shadow, true);
		l1_on(0);
		for (int v = 0; v < VMCSS; v++) {
			load_vmcs(v);
			for (u32 f = 0; f < F_COUNT; f++) {
				if (exists((enum vmcs12_field)f))
					write_field((enum vmcs12_field)f, rng_next(&l1_rng));
			}
		}
		assert_int_equal(l1_execute(REASON_VMXOFF, 0), SUCCEED);
		for (int v = 0; v < VMCSS; v++)
			model.vmcs[v].cpu = -1;
		model.current[0] = -1;
		for (int v = 0; v < VMCSS; v++) {
			l1_on(1);
			load_vmcs(v);
			check_all_fields();
		}
	}
}

/* The launch state is the VMCS's own: it survives eviction, and only VMCLEAR clears it. */
static void test_launch_state_survives_eviction(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		l1_rng.state = 5;
		start(shadow, true);
		l1_on(0);
		load_vmcs(0);
		make_enterable();
		assert_int_equal(l1_execute(REASON_VMLAUNCH, 0), ENTERED);
		run_l2(&model.vmcs[0]);
		for (int v = 1; v < VMCSS; v++)
			load_vmcs(v);
		load_vmcs(0);
		make_enterable();
		expect_vmfail(l1_execute(REASON_VMLAUNCH, 0), VMERR_VMLAUNCH_NOT_CLEAR);
		assert_int_equal(l1_execute(REASON_VMRESUME, 0), ENTERED);
		run_l2(&model.vmcs[0]);
		clear_vmcs(0);
		load_vmcs(0);
		make_enterable();
		expect_vmfail(l1_execute(REASON_VMRESUME, 0), VMERR_VMRESUME_NOT_LAUNCHED);
		assert_int_equal(l1_execute(REASON_VMLAUNCH, 0), ENTERED);
		run_l2(&model.vmcs[0]);
	}
}

/* Checks that one VMCS has passed say nothing about another one in its place. */
static void test_checks_are_each_vmcs_own(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		l1_rng.state = 6;
		start(shadow, true);
		l1_on(0);
		for (int v = 0; v < VMCSS; v += 3) {
			load_vmcs(v);
			make_enterable();
			write_field(F_PIN_CONTROLS, 0);
		}
		/* Not a divisor of the cache's size: the bad ones come to every place in it. */
		for (int v = 0; v < VMCSS; v++) {
			load_vmcs(v);
			if (v % 3 == 0) {
				expect_vmfail(l1_execute(REASON_VMLAUNCH, 0),
					      VMERR_ENTRY_INVALID_CONTROL);
			} else {
				make_enterable();
				enter_l2();
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_shadowing),
		cmocka_unit_test(test_with_shadowing),
		cmocka_unit_test(test_read_only_fields_read_only),
		cmocka_unit_test(test_vmxoff_writes_back),
		cmocka_unit_test(test_launch_state_survives_eviction),
		cmocka_unit_test(test_checks_are_each_vmcs_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
