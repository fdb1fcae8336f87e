/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Control Registers" and "MOV—Move to/from Control Registers". */
#include "features.h"
#include "layout.h"
#include "memory.h"
#include "probe.h"

static void check_bad_cr0(struct run *t, u64 value)
{
	u64 before = read_cr0();

	CHECK_GP(t, try_write_cr0(value));
	CHECK_EQ(t, read_cr0(), before);
}

static void check_bad_cr4(struct run *t, u64 value)
{
	u64 before = read_cr4();

	CHECK_GP(t, try_write_cr4(value));
	CHECK_EQ(t, read_cr4(), before);
}

PROBE_CASE(cr0_bad, "cr.cr0.illegal", CASE_EACH_CPU)
{
	/* PG without PE; NW without CD; the upper half. */
	check_bad_cr0(t, BASE_CR0 & ~CR0_PE);
	check_bad_cr0(t, BASE_CR0 | CR0_NW);
	check_bad_cr0(t, BASE_CR0 | BIT(32));
	check_bad_cr0(t, BASE_CR0 | BIT(63));
	/* "Paging may not be disabled while IA-32e mode … in 64-bit mode." */
	check_bad_cr0(t, BASE_CR0 & ~CR0_PG);
}

PROBE_CASE(cr0_toggles, "cr.cr0.toggles_read_back", CASE_EACH_CPU)
{
	const u64 toggles[] = {CR0_MP, CR0_EM,          CR0_TS, CR0_WP,         CR0_AM,
			       CR0_NE, CR0_MP | CR0_NE, CR0_CD, CR0_CD | CR0_NW};

	for (unsigned i = 0; i < ARRAY_SIZE(toggles); i++) {
		CHECK_OK(t, try_write_cr0(BASE_CR0 ^ toggles[i]));
		CHECK_EQ(t, read_cr0(), BASE_CR0 ^ toggles[i]);
		write_cr0(BASE_CR0);
		CHECK_EQ(t, read_cr0(), BASE_CR0);
	}
}

/* Reserved bits of the lower half keep no value; ET is 1 whatever is written. */
PROBE_CASE(cr0_reserved, "cr.cr0.reserved_bits_ignored", CASE_EACH_CPU)
{
	CHECK_OK(t, try_write_cr0(BASE_CR0 | BIT(6) | BIT(17) | BIT(28)));
	CHECK_EQ(t, read_cr0(), BASE_CR0);
	CHECK_OK(t, try_write_cr0(BASE_CR0 & ~CR0_ET));
	CHECK_EQ(t, read_cr0(), BASE_CR0);
}

PROBE_CASE(cr0_lmsw, "cr.cr0.lmsw_clts", CASE_EACH_CPU)
{
	u64 word = 0;

	asm volatile("lmsw %w0" : : "r"(0x0f) : "memory");
	CHECK_EQ(t, read_cr0(), BASE_CR0 | CR0_MP | CR0_EM | CR0_TS);
	asm volatile("clts" : : : "memory");
	CHECK_EQ(t, read_cr0(), BASE_CR0 | CR0_MP | CR0_EM);
	/* LMSW cannot clear PE, and reaches only the low four bits. */
	asm volatile("lmsw %w0" : : "r"(0) : "memory");
	CHECK_EQ(t, read_cr0(), BASE_CR0);
	asm volatile("lmsw %w0" : : "r"(0xfff0) : "memory");
	CHECK_EQ(t, read_cr0(), BASE_CR0);
	asm volatile("smsw %0" : "+r"(word));
	CHECK_EQ(t, word & 0xffff, BASE_CR0 & 0xffff);
}

PROBE_CASE(cr0_nm, "cr.cr0.ts_and_em_act", CASE_EACH_CPU)
{
	write_cr0(BASE_CR0 | CR0_TS);
	CHECK_FAULT(t, TRY("fninit", ::: "memory"), VECTOR_NM, 0);
	write_cr0(BASE_CR0 | CR0_EM);
	CHECK_FAULT(t, TRY("fninit", ::: "memory"), VECTOR_NM, 0);
	write_cr0(BASE_CR0);
	CHECK_OK(t, TRY("fninit", ::: "memory"));
}

/* WP decides whether ring 0 may write a read-only page. */
PROBE_CASE(cr0_wp, "cr.cr0.wp_acts", CASE_EACH_CPU)
{
	u64 page = (u64)memory_pages(1);
	u64 va = WINDOW_BASE;
	struct fault f;

	memory_map(va, page, PAGE_SIZE, PAGE_SIZE, PTE_P);
	f = TRY("movl $1, (%0)", : : "r"(va) : "memory");
	CHECK_FAULT(t, f, VECTOR_PF, 3);
	CHECK_EQ(t, f.cr2, va);
	write_cr0(BASE_CR0 & ~CR0_WP);
	CHECK_OK(t, TRY("movl $1, (%0)", : : "r"(va) : "memory"));
	write_cr0(BASE_CR0);
}

PROBE_CASE(cr4_bad, "cr.cr4.illegal", CASE_EACH_CPU)
{
	check_bad_cr4(t, BASE_CR4 & ~CR4_PAE);
	check_bad_cr4(t, BASE_CR4 | BIT(15));
	check_bad_cr4(t, BASE_CR4 | BIT(31));
	check_bad_cr4(t, BASE_CR4 | BIT(63));
}

struct cr4_bit {
	u64 bit;
	struct feature needs;
};

/* A bit whose feature CPUID denies is reserved, and one that it offers can be set. */
PROBE_CASE(cr4_features, "cr.cr4.bits_follow_cpuid", CASE_EACH_CPU)
{
	const struct cr4_bit bits[] = {
		{BIT(0), {1, 0, CPUID_EDX, 1}},    {CR4_TSD, {1, 0, CPUID_EDX, 4}},
		{CR4_DE, {1, 0, CPUID_EDX, 2}},    {CR4_PGE, {1, 0, CPUID_EDX, 13}},
		{CR4_UMIP, {7, 0, CPUID_ECX, 2}},  {BIT(12), {7, 0, CPUID_ECX, 16}},
		{CR4_FSGSBASE, FEATURE_FSGSBASE},  {CR4_PCIDE, FEATURE_PCID},
		{CR4_OSXSAVE, FEATURE_XSAVE},      {CR4_SMEP, {7, 0, CPUID_EBX, 7}},
		{CR4_SMAP, {7, 0, CPUID_EBX, 20}}, {CR4_PKE, FEATURE_PKU},
		{CR4_VMXE, FEATURE_VMX},           {CR4_SMXE, FEATURE_SMX},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
		struct fault f;
		u64 value = 0;

		/* LA57 cannot be changed in long mode at all. */
		if (bits[i].bit == BIT(12)) {
			check_bad_cr4(t, BASE_CR4 | BIT(12));
			continue;
		}
		/*
		 * This image's pages are user pages: while SMEP or SMAP is on, only code without
		 * access to memory may run, and with SMEP not even that.
		 */
		if (bits[i].bit == CR4_SMEP && has(bits[i].needs))
			continue;
		if (bits[i].bit == CR4_SMAP && has(bits[i].needs)) {
			asm volatile("mov %1, %%cr4; mov %%cr4, %0; mov %2, %%cr4"
				     : "=&r"(value)
				     : "r"(BASE_CR4 | CR4_SMAP), "r"((u64)BASE_CR4)
				     : "memory");
			CHECK_EQ(t, value, BASE_CR4 | CR4_SMAP);
			continue;
		}
		f = try_write_cr4(BASE_CR4 | bits[i].bit);
		value = read_cr4();
		if (!f.raised)
			write_cr4(BASE_CR4);
		if (has(bits[i].needs)) {
			CHECK(t, !f.raised, "bit %lx cannot be set", bits[i].bit);
			CHECK_EQ(t, value, BASE_CR4 | bits[i].bit);
		} else {
			CHECK(t, f.raised && f.vector == VECTOR_GP && f.error == 0,
			      "bit %lx can be set, CPUID says it is reserved", bits[i].bit);
		}
	}
}

/* SDM "Enabling … PCIDs": CR3[11:0] must be 0 when PCIDE is set. */
PROBE_CASE(cr4_pcide, "cr.cr4.pcide", CASE_EACH_CPU)
{
	u64 cr3 = read_cr3();

	SKIP_UNLESS(t, has(FEATURE_PCID), "no PCID");
	write_cr3(cr3 | PTE_PWT);
	check_bad_cr4(t, BASE_CR4 | CR4_PCIDE);
	write_cr3(cr3);
	CHECK_OK(t, try_write_cr4(BASE_CR4 | CR4_PCIDE));
	CHECK_OK(t, try_write_cr3(cr3 | 0x123));
	CHECK_EQ(t, read_cr3(), cr3 | 0x123);
	/* Bit 63 asks not to flush, and is not kept. */
	CHECK_OK(t, try_write_cr3(cr3 | 0x42 | BIT(63)));
	CHECK_EQ(t, read_cr3(), cr3 | 0x42);
	write_cr3(cr3);
	CHECK_OK(t, try_write_cr4(BASE_CR4));
	CHECK_GP(t, try_write_cr3(cr3 | BIT(63)));
}

PROBE_CASE(cr3_reserved, "cr.cr3.reserved_bits", CASE_EACH_CPU)
{
	u64 cr3 = read_cr3();
	u32 width = cpuid(0x80000008, 0).eax & 0xff;

	CHECK_GP(t, try_write_cr3(cr3 | BIT(52)));
	CHECK_GP(t, try_write_cr3(cr3 | BIT(60)));
	if (width < 52)
		CHECK_GP(t, try_write_cr3(cr3 | BIT(width)));
	CHECK_EQ(t, read_cr3(), cr3);
}

PROBE_CASE(cr8, "cr.cr8", CASE_EACH_CPU)
{
	for (u64 v = 0; v < 16; v++) {
		CHECK_OK(t, try_write_cr8(v));
		CHECK_EQ(t, read_cr8(), v);
	}
	CHECK_GP(t, try_write_cr8(16));
	CHECK_GP(t, try_write_cr8(BIT(63)));
	CHECK_EQ(t, read_cr8(), 15);
	write_cr8(0);
}

PROBE_CASE(cr_absent, "cr.no_such_register", CASE_EACH_CPU)
{
	u64 v = 0;

	/* MOV CR1, CR5, CR7, CR9 in both directions: #UD. */
	CHECK_UD(t, TRY(".byte 0x0f, 0x20, 0xc8", : "+a"(v)));
	CHECK_UD(t, TRY(".byte 0x0f, 0x22, 0xc8", : : "a"(v)));
	CHECK_UD(t, TRY(".byte 0x0f, 0x20, 0xe8", : "+a"(v)));
	CHECK_UD(t, TRY(".byte 0x0f, 0x20, 0xf8", : "+a"(v)));
	CHECK_UD(t, TRY(".byte 0x44, 0x0f, 0x20, 0xc8", : "+a"(v)));
}

static void user_read_cr0(void *unused)
{
	(void)unused;
	read_cr0();
}

static void user_write_cr4(void *unused)
{
	(void)unused;
	write_cr4(0);
}

static void user_clts(void *unused)
{
	(void)unused;
	asm volatile("clts");
}

static void user_smsw(void *unused)
{
	u64 v = 0;

	(void)unused;
	asm volatile("smsw %0" : "+r"(v));
}

PROBE_CASE(cr_user, "cr.user_mode", CASE_EACH_CPU)
{
	CHECK_GP(t, user_call(user_read_cr0, NULL, 0));
	CHECK_GP(t, user_call(user_write_cr4, NULL, 0));
	CHECK_GP(t, user_call(user_clts, NULL, 0));
	CHECK_OK(t, user_call(user_smsw, NULL, 0));
}
