/* SPDX-License-Identifier: BSD-2-Clause */
#include "msr_list_model.h"

#include <string.h>

#include <x86/cr.h>
#include <x86/msr.h>

#include "mm/guest_memory.h"
#include "nested/msr_list.h"
#include "nested/state.h"
#include "vmx/msr.h"

struct nested_caps nested_caps;

static struct nested nested;

enum {
	LIST_PAGES = 6,
	ENTRY = 16, /* bytes */
	MSRS = 13,
	LONGEST = 512, /* IA32_VMX_MISC bits 27:25 are 0 */
};

/* A CPU with a few MSRs: each takes only values without its reserved bits. */
struct fake_msr {
	u32 index;
	u64 reserved;
	u64 value;
};

static const struct fake_msr at_reset[MSRS] = {
	{MSR_IA32_SYSENTER_CS, 0, 1},
	{MSR_IA32_SYSENTER_EIP, 0xff00000000000000, 2},
	{MSR_IA32_FS_BASE, 0, 3},
	{MSR_IA32_GS_BASE, 0, 4},
	{0x1a0, 0xffff, 5},
	{0x800, 0, 6}, /* APIC registers, in x2APIC mode */
	{0x8ff, 0, 7},
	{0xc0000102, 0, 8},
	{0x79, 0, 9},  /* microcode update */
	{0x9b, 0, 10}, /* SMM only */
	{0x9e, 0, 11},
	{0x10, 0, 12}, /* the time and another counter */
	{0xe8, 0, 13},
};

static struct msr_entry entry_msrs[LONGEST], exit_msrs[LONGEST];
static struct fake_msr msrs[MSRS], expected[MSRS];

static struct fake_msr *find(struct fake_msr *in, u32 index)
{
	for (size_t i = 0; i < MSRS; i++) {
		if (in[i].index == index)
			return &in[i];
	}
	return NULL;
}

static bool is_counter(u32 index)
{
	return index == 0x10 || index == 0xe8;
}

/* A CPU that lacks one of the counters. */
static bool no_e8;

bool rdmsr_safe(u32 index, u64 *value)
{
	const struct fake_msr *msr = find(msrs, index);

	REQUIRE(is_counter(index));
	if (index == 0xe8 && no_e8)
		return false;
	*value = msr->value;
	return true;
}

/* What msr.c would do. */
bool msr_guest_read(struct vcpu *vcpu, u32 index, u64 *value)
{
	const struct fake_msr *msr = index == 0xe8 && no_e8 ? NULL : find(msrs, index);

	(void)vcpu;
	if (index == MSR_IA32_EFER) {
		*value = vmread_unchecked(VMCS_GUEST_EFER);
		return true;
	}
	if (!msr)
		return false;
	*value = msr->value;
	return true;
}

bool msr_guest_write(struct vcpu *vcpu, u32 index, u64 value)
{
	struct fake_msr *msr = find(msrs, index);

	(void)vcpu;
	if (!msr || (value & msr->reserved))
		return false;
	msr->value = value;
	return true;
}

/* Umbra's own; anything loaded from elsewhere must not change it. */
static bool is_umbras(u32 index)
{
	return index == 0x1a0 || index == 0x79;
}

/* SDM "Loading MSRs" and "Saving MSRs". */
u32 msr_list_rules(u32 msr)
{
	if (is_counter(msr))
		return MSR_LIST_STORED_BY_CPU;
	if (msr >> 8 == 8 || msr == MSR_IA32_SMBASE)
		return MSR_LIST_NO_LOAD | MSR_LIST_NO_STORE;
	return msr == MSR_IA32_FS_BASE || msr == MSR_IA32_GS_BASE ||
			       msr == MSR_IA32_SMM_MONITOR_CTL || msr == MSR_IA32_BIOS_UPDT_TRIG
		       ? MSR_LIST_NO_LOAD
		       : 0;
}

bool msr_list_may_load(const struct vcpu *vcpu, u32 index, u64 value)
{
	const struct fake_msr *msr = find(msrs, index);

	(void)vcpu;
	return !(msr_list_rules(index) & MSR_LIST_NO_LOAD) &&
	       (!is_umbras(index) || (msr && msr->value == value));
}

/* SDM "Loading MSRs": whether the entry can be loaded; the effect is on `expected` and *efer. */
static bool load(const struct msr_entry *e, bool paging, u64 *efer)
{
	struct fake_msr *msr = find(expected, e->index);

	if (e->index == 0xc0000100 || e->index == 0xc0000101)
		return false;
	if (e->index >> 8 == 8)
		return false;
	/* SMM's own, and one of the MSRs that "cannot be loaded for model-specific reasons". */
	if (e->index == 0x9b || e->index == 0x9e || e->index == 0x79 || e->reserved)
		return false;
	if (e->index == 0xc0000080) {
		const u64 lma = *efer & 0x400;

		/* SCE, LME, LMA and NXE; LME is fixed while paging is on. */
		if (e->value & ~0xd01ull)
			return false;
		if (((e->value ^ *efer) & 0x100) && paging)
			return false;
		*efer = (e->value & ~0x400ull) | lma;
		return true;
	}
	if (!msr || (e->value & msr->reserved))
		return false;
	msr->value = e->value;
	return true;
}

static bool store(struct msr_entry *e, u64 efer)
{
	const struct fake_msr *msr = find(expected, e->index);

	if (e->index >> 8 == 8 || e->index == 0x9e || e->reserved || (e->index == 0xe8 && no_e8))
		return false;
	if (e->index == 0xc0000080) {
		e->value = efer;
		return true;
	}
	if (!msr)
		return false;
	e->value = msr->value;
	return true;
}

static struct msr_entry random_entry(struct rng *rng)
{
	static const u32 odd[] = {0xc0000080, 0xc0000100, 0xc0000101, 0x9b, 0x9e,
				  0x79,       0x7ff,      0x900,      0};
	const u64 kind = rng_below(rng, 16);
	struct msr_entry e = {.value = rng_next(rng)};

	if (kind == 0)
		e.index = (u32)rng_next(rng);
	else if (kind == 1)
		e.index = odd[rng_below(rng, ARRAY_SIZE(odd))];
	else if (kind < 4)
		e.index = 0xc0000080;
	else
		e.index = at_reset[rng_below(rng, MSRS)].index;
	if (rng_below(rng, 4))
		e.value &= e.index == 0xc0000080 ? 0xd01 : 0xffffffffff0000;
	/* What can be loaded, mostly: or lists would end at once. */
	if (kind > 2 && !is_counter(e.index) &&
	    (e.index >> 8 == 8 || e.index >> 8 == 0 || e.index == 0xc0000100 ||
	     e.index == 0xc0000101))
		e.index = 0xc0000102;
	if (rng_below(rng, 64) == 0)
		e.reserved = 1u << rng_below(rng, 32);
	return e;
}

void msr_list_model_init(void)
{
	const struct vmx_capabilities vmx = {.basic = 1, .misc = VMX_MISC_VMWRITE_RO};

	machine_memory_init(LIST_PAGES, 4);
	machine_vmx_init(1, &vmx);
	machine_cpu(0)->nested = &nested;
	nested.entry_msrs = entry_msrs;
	nested.exit_msrs = exit_msrs;
}

struct list {
	paddr_t at;
	u32 count;
	u64 efer;
	bool paging;
};

static struct list random_list(struct rng *rng)
{
	struct list list = {
		.count = (u32)(rng_below(rng, 16) ? rng_below(rng, 24)
						  : LONGEST - 2 + rng_below(rng, 5)),
		/* Sometimes over the end of memory, which reads as ones. */
		.at = rng_below(rng, 8) ? rng_below(rng, 8) * ENTRY
					: LIST_PAGES * PAGE_SIZE - ENTRY * rng_below(rng, 8),
		.efer = rng_next(rng) & 0xd01,
		.paging = rng_below(rng, 2),
	};

	memset(machine_memory.guest, 0, machine_memory.guest_size);
	for (u32 i = 0; i < list.count; i++) {
		/* Long lists are for their length. */
		const struct msr_entry e = list.count > 24
						   ? (struct msr_entry){MSR_IA32_SYSENTER_CS, 0, i}
						   : random_entry(rng);

		guest_memory_write(list.at + (u64)i * ENTRY, &e, sizeof(e));
	}
	memcpy(msrs, at_reset, sizeof(msrs));
	memcpy(expected, at_reset, sizeof(expected));
	machine_set_field(VMCS_GUEST_CR0, list.paging ? CR0_PG | CR0_PE : CR0_PE);
	machine_set_field(VMCS_GUEST_EFER, list.efer);
	return list;
}

static struct msr_entry entry_of(const struct list *list, u32 i)
{
	struct msr_entry e;

	guest_memory_read(list->at + (u64)i * ENTRY, &e, sizeof(e));
	return e;
}

static void check_registers(const struct list *list)
{
	REQUIRE(memcmp(msrs, expected, sizeof(msrs)) == 0);
	REQUIRE(vmread_unchecked(VMCS_GUEST_EFER) == list->efer);
}

/* A list of a VM exit: everything before an entry that fails is loaded. */
static void check_exit_load(struct list *list)
{
	bool good = true;

	for (u32 i = 0; i < list->count && good; i++) {
		const struct msr_entry e = entry_of(list, i);

		good = i < LONGEST && load(&e, list->paging, &list->efer);
	}
	REQUIRE(msr_list_load(machine_cpu(0), list->at, list->count) == good);
	check_registers(list);
}

/* SDM "Saving MSRs": what the hardware does at an exit, by Umbra's list. */
static void hardware_stores(const struct nested_vmcs *vmcs)
{
	const u64 count = vmread_unchecked(VMCS_VM_EXIT_MSR_STORE_COUNT);

	REQUIRE(count == vmcs->exit_msrs && count <= LONGEST);
	for (u64 i = 0; i < count; i++) {
		/* Anything that cannot be stored is a VMX abort. */
		REQUIRE(is_counter(exit_msrs[i].index) && !exit_msrs[i].reserved);
		REQUIRE(exit_msrs[i].index != 0xe8 || !no_e8);
		exit_msrs[i].value = find(msrs, exit_msrs[i].index)->value;
	}
}

/* Time passes, for the CPU and, until an exit, for L2. */
static void counters_run(struct fake_msr *in)
{
	for (size_t i = 0; i < MSRS; i++)
		in[i].value += is_counter(in[i].index) ? 1000 : 0;
}

static void check_exit_store(struct list *list, struct rng *rng)
{
	static u8 before[LIST_PAGES * PAGE_SIZE];
	struct vmcs12 v = {0};
	struct nested_vmcs vmcs = {.vmcs12 = &v};
	const bool entered = rng_below(rng, 4);
	bool good = true;

	v.f[F_VM_EXIT_MSR_STORE_ADDR] = list->at;
	v.f[F_VM_EXIT_MSR_STORE_COUNT] = list->count;
	no_e8 = rng_below(rng, 4) == 0;
	machine_set_field(VMCS_VM_EXIT_MSR_STORE_COUNT, 0);
	memset(exit_msrs, 0xff, sizeof(exit_msrs));
	msr_list_prepare_exit(machine_cpu(0), &vmcs);
	/* An exit at once, or after a while. */
	if (entered) {
		counters_run(msrs);
		counters_run(expected);
		hardware_stores(&vmcs);
	}
	counters_run(msrs);
	for (u32 i = 0; i < list->count && good; i++) {
		struct msr_entry e = entry_of(list, i);

		good = i < LONGEST && store(&e, list->efer);
	}
	memcpy(before, machine_memory.guest, sizeof(before));
	REQUIRE(msr_list_store(machine_cpu(0), &vmcs) == good);
	counters_run(expected);
	check_registers(list);
	memcpy(expected, msrs, sizeof(expected));
	for (size_t i = 0; i < MSRS; i++)
		expected[i].value -= is_counter(expected[i].index) ? 1000 : 0;
	/* The values have changed, and nothing else in memory. */
	for (u32 i = 0; i < list->count && i < LONGEST; i++) {
		const u64 offset = list->at + (u64)i * ENTRY;
		struct msr_entry e;

		if (offset >= sizeof(before))
			break;
		memcpy(&e, before + offset, sizeof(e));
		if (!store(&e, list->efer))
			break;
		memcpy(before + offset, &e, sizeof(e));
	}
	REQUIRE(memcmp(before, machine_memory.guest, sizeof(before)) == 0);
	msr_list_reset_exit(&vmcs);
	REQUIRE(vmread_unchecked(VMCS_VM_EXIT_MSR_STORE_COUNT) == 0);
	no_e8 = false;
}

/* The number of the entry that fails, or 0. */
static u32 failing(const struct msr_entry *list, u32 count, struct list state, bool umbras_fail)
{
	for (u32 i = 0; i < count; i++) {
		const struct fake_msr *msr = find(expected, list[i].index);

		if (umbras_fail && is_umbras(list[i].index) &&
		    !(msr && msr->value == list[i].value))
			return i + 1;
		if (!load(&list[i], state.paging, &state.efer))
			return i + 1;
	}
	return 0;
}

/* A list of a VM entry: the hardware loads a copy, which fails where L1's has to. */
static void check_entry(const struct list *list)
{
	static struct msr_entry l1s[LONGEST];
	struct vmcs12 v = {0};
	struct nested_vmcs vmcs = {.vmcs12 = &v};
	u32 fails;

	v.f[F_VM_ENTRY_MSR_LOAD_ADDR] = list->at;
	v.f[F_VM_ENTRY_MSR_LOAD_COUNT] = list->count;
	machine_set_field(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 0);
	memset(entry_msrs, 0xff, sizeof(entry_msrs));
	REQUIRE(msr_list_prepare_entry(machine_cpu(0), &vmcs) == (list->count <= LONGEST));
	if (list->count > LONGEST)
		return;
	for (u32 i = 0; i < list->count; i++)
		l1s[i] = entry_of(list, i);
	/* L1 may change it now: too late. */
	memset(machine_memory.guest, 0x5a, machine_memory.guest_size);
	REQUIRE(vmread_unchecked(VMCS_VM_ENTRY_MSR_LOAD_COUNT) == list->count);
	check_registers(list);
	fails = failing(l1s, list->count, *list, true);
	memcpy(expected, at_reset, sizeof(expected));
	REQUIRE(failing(entry_msrs, list->count, *list, false) == fails);
	for (u32 i = 0; i < list->count; i++) {
		REQUIRE(entry_msrs[i].index == l1s[i].index);
		REQUIRE(entry_msrs[i].value == l1s[i].value);
	}
	msr_list_entered(&vmcs);
	REQUIRE(vmread_unchecked(VMCS_VM_ENTRY_MSR_LOAD_COUNT) == 0);
}

void msr_list_model_run(struct rng *rng)
{
	const u64 which = rng_below(rng, 3);
	struct list list = random_list(rng);

	if (which == 0)
		check_exit_load(&list);
	else if (which == 1)
		check_exit_store(&list, rng);
	else
		check_entry(&list);
}
