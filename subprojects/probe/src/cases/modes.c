/* SPDX-License-Identifier: BSD-2-Clause */
/* Round trips through protected and real mode: SDM "Switching Modes of Operation". */
#include "layout.h"
#include "legacy.h"
#include "memory.h"
#include "probe.h"
#include "string.h"

enum {
	RESERVED_PDPTE_BIT = 1 << 1,
	PDPTES = 4,
	REAL_MAGIC = 0x600dcafe,
	OUTCOME_GP = VECTOR_GP << 16,
	OUTCOME_OK = -1,
};

static struct legacy_args args;

static void check_ran(struct run *t)
{
	CHECK(t, args.vector == LEGACY_NO_FAULT, "%s(%x) at %x", vector_name((u8)args.vector),
	      args.error, args.eip);
}

PROBE_CASE(modes_protected, "modes.protected_round_trip", CASE_EACH_CPU)
{
	u64 efer = rdmsr(MSR_IA32_EFER);

	legacy_prepare(&args, body_nothing);
	legacy_run(&args);
	check_ran(t);
	CHECK_EQ(t, args.out[0], (u32)(BASE_CR0 & ~CR0_PG));
	CHECK_EQ(t, read_cr0(), BASE_CR0);
	CHECK_EQ(t, read_cr4(), BASE_CR4);
	CHECK_EQ(t, rdmsr(MSR_IA32_EFER), efer);
}

/* "SYSCALL/SYSRET available (when in 64-bit mode)". */
PROBE_CASE(modes_cpuid, "modes.cpuid_syscall_bit_outside_64_bit", CASE_EACH_CPU)
{
	legacy_prepare(&args, body_cpuid);
	legacy_run(&args);
	check_ran(t);
	CHECK_EQ(t, args.out[0] & ~BIT(11), cpuid(0x80000001, 0).edx & ~BIT(11));
}

PROBE_CASE(modes_cr_faults, "modes.protected_cr_faults", CASE_EACH_CPU)
{
	legacy_prepare(&args, body_cr_faults);
	legacy_run(&args);
	check_ran(t);
	CHECK_EQ(t, args.out[0], OUTCOME_GP);
	CHECK_EQ(t, args.out[1], OUTCOME_GP);
	CHECK_EQ(t, args.out[2], OUTCOME_GP);
	CHECK_EQ(t, args.out[3], OUTCOME_GP);
	CHECK_EQ(t, args.out[4], (u32)OUTCOME_OK);
	CHECK_EQ(t, args.out[5], OUTCOME_GP);
	CHECK_EQ(t, args.out[6], (u32)(BASE_CR0 & ~CR0_PG));
	CHECK_EQ(t, args.out[7], BASE_CR4);
}

/* SDM "PAE Paging", "PDPTE Registers": MOV to CR3 or CR0 checks all four entries. */
PROBE_CASE(modes_pae, "modes.pae_pdpte_checks", CASE_EACH_CPU)
{
	u64 *pdpt = memory_pages(1);
	u64 *bad = pdpt + PAGE_SIZE / 2 / sizeof(u64);
	const u64 *identity = (const u64 *)(*memory_entry(0, 4) & BITS(51, 12));

	for (unsigned i = 0; i < PDPTES; i++)
		pdpt[i] = (identity[i] & BITS(51, 12)) | PTE_P;
	memcpy(bad, pdpt, PDPTES * sizeof(*bad));
	bad[PDPTES - 1] |= RESERVED_PDPTE_BIT;

	legacy_prepare(&args, body_pae);
	args.in[0] = (u32)(u64)pdpt;
	args.in[1] = (u32)(u64)bad;
	legacy_run(&args);
	check_ran(t);
	CHECK_EQ(t, args.out[0], OUTCOME_GP);
	CHECK_EQ(t, args.out[1], (u32)OUTCOME_OK);
	CHECK_EQ(t, args.out[2], OUTCOME_GP);
	CHECK_EQ(t, args.out[3], BASE_CR0);
	CHECK_EQ(t, args.out[4], (u32)(u64)pdpt);
}

PROBE_CASE(modes_real, "modes.real_round_trip", CASE_EACH_CPU)
{
	legacy_prepare(&args, body_real);
	legacy_run(&args);
	check_ran(t);
	CHECK_EQ(t, args.out[0], (u32)(BASE_CR0 & ~(CR0_PG | CR0_PE)));
	CHECK(t, args.out[1] == 1, "INT in real mode: %u", args.out[1]);
	CHECK(t, args.out[2] == 1, "#UD in real mode: %u", args.out[2]);
	CHECK(t, args.out[3] == 1, "#DE in real mode: %u", args.out[3]);
	CHECK(t, args.out[4] == 3, "#GP in real mode: %u", args.out[4]);
	CHECK_EQ(t, args.out[5], cpuid(0, 0).ebx);
	CHECK_EQ(t, args.out[6], REAL_MAGIC);
	CHECK_EQ(t, args.out[7], REAL_MAGIC);
	CHECK(t, args.out[8] & 2, "FLAGS bit 1 is clear");
	CHECK_EQ(t, read_cr0(), BASE_CR0);
}

enum { ROUND_TRIPS = 50 };

PROBE_CASE(modes_many, "modes.real_round_trips_repeated", CASE_EACH_CPU)
{
	for (unsigned i = 0; i < ROUND_TRIPS; i++) {
		legacy_prepare(&args, body_real);
		legacy_run(&args);
		check_ran(t);
		CHECK_EQ(t, args.out[6], REAL_MAGIC);
	}
}
