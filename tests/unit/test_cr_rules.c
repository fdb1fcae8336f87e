/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vmx/cr_rules.h"

/* Bit numbers of SDM "Control Registers", on purpose not those of x86/cr.h. */
enum {
	PE = 0,
	ET = 4,
	NE = 5,
	WP = 16,
	NW = 29,
	CD = 30,
	PG = 31,

	PSE = 4,
	PAE = 5,
	PGE = 7,
	LA57 = 12,
	VMXE = 13,
	SMXE = 14,
	PCIDE = 17,
	SMEP = 20,
	SMAP = 21,
	CET = 23,
	FRED = 32,

	LME = 8,
	LMA = 10,
};

static const u64 all_cr4 = BITS(12, 0) | BITS(25, 16);

static struct cr_state real_mode(void)
{
	return (struct cr_state){.cr0 = BIT(ET)};
}

static struct cr_state protected_mode(void)
{
	return (struct cr_state){.cr0 = BIT(ET) | BIT(PE)};
}

static struct cr_state pae_paging(void)
{
	return (struct cr_state){
		.cr0 = BIT(ET) | BIT(PE) | BIT(PG),
		.cr3 = 0x1000,
		.cr4 = BIT(PAE),
	};
}

/* Everything in place for CR0.PG to activate IA-32e mode. */
static struct cr_state before_long_mode(void)
{
	return (struct cr_state){
		.cr0 = BIT(ET) | BIT(PE),
		.cr3 = 0x1000,
		.cr4 = BIT(PAE),
		.efer = BIT(LME),
	};
}

static struct cr_state compatibility_mode(void)
{
	return (struct cr_state){
		.cr0 = BIT(ET) | BIT(PE) | BIT(PG),
		.cr3 = 0x1000,
		.cr4 = BIT(PAE),
		.efer = BIT(LME) | BIT(LMA),
	};
}

static struct cr_state long_mode(void)
{
	struct cr_state state = compatibility_mode();

	state.cs_long = true;
	return state;
}

static void cr0_upper_half(void **state)
{
	const struct cr_state s = long_mode();

	(void)state;
	assert_true(cr0_write_valid(&s, s.cr0));
	for (unsigned int bit = 32; bit < 64; bit++)
		assert_false(cr0_write_valid(&s, s.cr0 | BIT(bit)));
}

static void cr0_paging_needs_protection(void **state)
{
	const struct cr_state real = real_mode(), paging = pae_paging();

	(void)state;
	assert_false(cr0_write_valid(&real, BIT(PG)));
	assert_true(cr0_write_valid(&real, BIT(PG) | BIT(PE)));
	assert_false(cr0_write_valid(&paging, paging.cr0 & ~BIT(PE)));
	assert_true(cr0_write_valid(&paging, paging.cr0 & ~(BIT(PE) | BIT(PG))));
	assert_true(cr0_write_valid(&real, 0));
}

static void cr0_not_write_through_needs_cache_disable(void **state)
{
	const struct cr_state s = protected_mode();

	(void)state;
	assert_false(cr0_write_valid(&s, s.cr0 | BIT(NW)));
	assert_true(cr0_write_valid(&s, s.cr0 | BIT(NW) | BIT(CD)));
	assert_true(cr0_write_valid(&s, s.cr0 | BIT(CD)));
}

/* SDM "Initializing IA-32e Mode" and "IA-32e Mode System Data Structures". */
static void cr0_entering_long_mode(void **state)
{
	struct cr_state s = before_long_mode();
	const u64 value = s.cr0 | BIT(PG);

	(void)state;
	assert_true(cr0_write_valid(&s, value));
	s.cr4 = 0;
	assert_false(cr0_write_valid(&s, value));
	s = before_long_mode();
	s.cs_long = true;
	assert_false(cr0_write_valid(&s, value));
	s = before_long_mode();
	s.tr_16bit = true;
	assert_false(cr0_write_valid(&s, value));

	/* None of these matters to legacy paging. */
	s = protected_mode();
	s.cs_long = true;
	s.tr_16bit = true;
	assert_true(cr0_write_valid(&s, value));
	s.cr4 = BIT(PAE);
	assert_true(cr0_write_valid(&s, value));

	/* Nor once paging is on: no activation. */
	s = long_mode();
	assert_true(cr0_write_valid(&s, s.cr0 | BIT(WP)));
}

static void cr0_leaving_long_mode(void **state)
{
	struct cr_state s = compatibility_mode();
	const u64 value = s.cr0 & ~BIT(PG);

	(void)state;
	assert_true(cr0_write_valid(&s, value));
	s.cr4 |= BIT(PCIDE);
	assert_false(cr0_write_valid(&s, value));
	s = long_mode();
	assert_false(cr0_write_valid(&s, value));
	/* CS.L means nothing outside of IA-32e mode. */
	s = pae_paging();
	s.cs_long = true;
	assert_true(cr0_write_valid(&s, value));
}

static void cr0_write_protection_and_cet(void **state)
{
	struct cr_state s = long_mode();

	(void)state;
	s.cr0 |= BIT(WP);
	assert_true(cr0_write_valid(&s, s.cr0 & ~BIT(WP)));
	s.cr4 |= BIT(CET);
	assert_false(cr0_write_valid(&s, s.cr0 & ~BIT(WP)));
	assert_true(cr0_write_valid(&s, s.cr0));
}

static void cr4_reserved_bits(void **state)
{
	const struct cr_state s = long_mode();

	(void)state;
	for (unsigned int bit = 0; bit < 64; bit++) {
		const u64 value = s.cr4 | BIT(bit);

		/* The two that the state does not allow have tests of their own. */
		if (bit == LA57 || bit == CET)
			continue;
		assert_true(cr4_write_valid(&s, value, all_cr4) == ((all_cr4 & BIT(bit)) != 0));
		assert_true(!cr4_write_valid(&s, value, BIT(PAE)) || bit == PAE);
	}
	assert_true(cr4_write_valid(&s, s.cr4, BIT(PAE)));
}

static void cr4_pae_in_long_mode(void **state)
{
	struct cr_state s = long_mode();

	(void)state;
	assert_false(cr4_write_valid(&s, 0, all_cr4));
	s = compatibility_mode();
	assert_false(cr4_write_valid(&s, 0, all_cr4));
	s = pae_paging();
	assert_true(cr4_write_valid(&s, 0, all_cr4));
	/* LME alone is not IA-32e mode: PG is 0. */
	s = before_long_mode();
	assert_true(cr4_write_valid(&s, 0, all_cr4));
}

static void cr4_la57(void **state)
{
	struct cr_state s = long_mode();

	(void)state;
	assert_false(cr4_write_valid(&s, s.cr4 | BIT(LA57), all_cr4));
	s.cr4 |= BIT(LA57);
	assert_true(cr4_write_valid(&s, s.cr4, all_cr4));
	assert_true(cr4_write_valid(&s, s.cr4 | BIT(PGE), all_cr4));
	assert_false(cr4_write_valid(&s, s.cr4 & ~BIT(LA57), all_cr4));
	s = before_long_mode();
	assert_true(cr4_write_valid(&s, s.cr4 | BIT(LA57), all_cr4));
}

static void cr4_pcide(void **state)
{
	struct cr_state s = long_mode();

	(void)state;
	assert_true(cr4_write_valid(&s, s.cr4 | BIT(PCIDE), all_cr4));
	for (unsigned int bit = 0; bit < 12; bit++) {
		s.cr3 = 0x1000 | BIT(bit);
		assert_false(cr4_write_valid(&s, s.cr4 | BIT(PCIDE), all_cr4));
	}
	/* Only the change from 0 to 1 looks at CR3. */
	s.cr4 |= BIT(PCIDE);
	assert_true(cr4_write_valid(&s, s.cr4, all_cr4));
	assert_true(cr4_write_valid(&s, s.cr4 & ~BIT(PCIDE), all_cr4));

	s = pae_paging();
	assert_false(cr4_write_valid(&s, s.cr4 | BIT(PCIDE), all_cr4));
	s = before_long_mode();
	assert_false(cr4_write_valid(&s, s.cr4 | BIT(PCIDE), all_cr4));
}

static void cr4_cet(void **state)
{
	struct cr_state s = long_mode();

	(void)state;
	assert_false(cr4_write_valid(&s, s.cr4 | BIT(CET), all_cr4));
	s.cr0 |= BIT(WP);
	assert_true(cr4_write_valid(&s, s.cr4 | BIT(CET), all_cr4));
}

/* SDM "PDPTE Registers": loaded if PAE paging would be in use after a write that changes CD, NW or
 * PG. */
static void cr0_pdptes(void **state)
{
	struct cr_state s = pae_paging();

	(void)state;
	assert_false(cr0_write_loads_pdptes(&s, s.cr0));
	assert_false(cr0_write_loads_pdptes(&s, s.cr0 | BIT(WP) | BIT(NE)));
	assert_true(cr0_write_loads_pdptes(&s, s.cr0 | BIT(CD)));
	assert_true(cr0_write_loads_pdptes(&s, s.cr0 | BIT(CD) | BIT(NW)));
	assert_false(cr0_write_loads_pdptes(&s, s.cr0 & ~BIT(PG)));
	s.cr0 |= BIT(CD) | BIT(NW);
	assert_true(cr0_write_loads_pdptes(&s, s.cr0 & ~BIT(NW)));

	s = protected_mode();
	assert_false(cr0_write_loads_pdptes(&s, s.cr0 | BIT(PG)));
	s.cr4 = BIT(PAE);
	assert_true(cr0_write_loads_pdptes(&s, s.cr0 | BIT(PG)));
	s = before_long_mode();
	assert_false(cr0_write_loads_pdptes(&s, s.cr0 | BIT(PG)));
	s = long_mode();
	assert_false(cr0_write_loads_pdptes(&s, s.cr0 | BIT(CD)));
}

/* The same for PAE, PGE, PSE and SMEP. */
static void cr4_pdptes(void **state)
{
	struct cr_state s = pae_paging();

	(void)state;
	for (unsigned int bit = 0; bit < 26; bit++) {
		const bool one_of_them = bit == PGE || bit == PSE || bit == SMEP;

		if (bit == PAE)
			continue;
		assert_true(cr4_write_loads_pdptes(&s, s.cr4 | BIT(bit)) == one_of_them);
	}
	assert_false(cr4_write_loads_pdptes(&s, s.cr4));
	assert_false(cr4_write_loads_pdptes(&s, 0));
	s.cr4 = 0;
	assert_true(cr4_write_loads_pdptes(&s, BIT(PAE)));
	s.cr0 &= ~BIT(PG);
	assert_false(cr4_write_loads_pdptes(&s, BIT(PAE)));
	s = long_mode();
	assert_false(cr4_write_loads_pdptes(&s, s.cr4 | BIT(PGE)));
}

/* SDM table "Format of a PAE Page-Directory-Pointer-Table Entry (PDPTE)". */
static void pdptes(void **state)
{
	static const unsigned int widths[] = {36, 39, 46, 52};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		for (unsigned int bit = 1; bit < 64; bit++) {
			const bool reserved =
				bit <= 2 || (bit >= 5 && bit <= 8) || bit >= widths[i];

			assert_true(pdpte_valid(BIT(0) | BIT(bit), widths[i]) == !reserved);
			/* Ignored when it is not present. */
			assert_true(pdpte_valid(BIT(bit), widths[i]));
		}
	}
	assert_true(pdpte_valid(0, 36));
	assert_true(pdpte_valid(~BIT(0), 36));
	assert_true(pdpte_valid(1, 36));
}

/* SDM appendix "VMX-Fixed Bits in CR0/CR4"; "Unrestricted Guests" frees PE and PG. */
static void vmx_fixed_bits(void **state)
{
	const struct vmx_capabilities usual = {
		.cr0_fixed0 = 0x80000021,
		.cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = 0x2000,
		.cr4_fixed1 = 0x3767ff,
	};
	struct vmx_capabilities strict = usual;

	(void)state;
	assert_int_equal(cr0_host_owned(&usual), BIT(NE));
	assert_int_equal(cr0_hardware_value(&usual, 0), BIT(NE));
	assert_int_equal(cr0_hardware_value(&usual, BIT(PE) | BIT(PG)),
			 BIT(PE) | BIT(NE) | BIT(PG));
	assert_true(cr4_host_owned(&usual) == (BIT(VMXE) | BIT(SMXE) | BIT(FRED)));
	assert_int_equal(cr4_hardware_value(&usual, 0), BIT(VMXE));
	assert_int_equal(cr4_hardware_value(&usual, BIT(PAE)), BIT(VMXE) | BIT(PAE));

	strict.cr0_fixed0 |= BIT(WP);
	strict.cr4_fixed0 |= BIT(PGE);
	assert_int_equal(cr0_host_owned(&strict), BIT(NE) | BIT(WP));
	assert_int_equal(cr0_hardware_value(&strict, BIT(ET)), BIT(ET) | BIT(NE) | BIT(WP));
	assert_true(cr4_host_owned(&strict) == (BIT(VMXE) | BIT(SMXE) | BIT(FRED) | BIT(PGE)));
	assert_int_equal(cr4_hardware_value(&strict, 0), BIT(VMXE) | BIT(PGE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cr0_upper_half),
		cmocka_unit_test(cr0_paging_needs_protection),
		cmocka_unit_test(cr0_not_write_through_needs_cache_disable),
		cmocka_unit_test(cr0_entering_long_mode),
		cmocka_unit_test(cr0_leaving_long_mode),
		cmocka_unit_test(cr0_write_protection_and_cet),
		cmocka_unit_test(cr4_reserved_bits),
		cmocka_unit_test(cr4_pae_in_long_mode),
		cmocka_unit_test(cr4_la57),
		cmocka_unit_test(cr4_pcide),
		cmocka_unit_test(cr4_cet),
		cmocka_unit_test(cr0_pdptes),
		cmocka_unit_test(cr4_pdptes),
		cmocka_unit_test(pdptes),
		cmocka_unit_test(vmx_fixed_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
