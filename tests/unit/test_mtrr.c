/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <x86/msr.h>

#include "mm/mtrr.h"

static const u64 ALL_WB = 0x0606060606060606;

/* A value of IA32_MTRR_DEF_TYPE. */
static u64 def_type(enum mtrr_bits enabled, enum memtype type)
{
	return (u64)enabled | (u64)type;
}

static struct mtrr_state machine(void)
{
	return (struct mtrr_state){
		.cap = 8 | MTRR_CAP_FIX | MTRR_CAP_WC,
		.def_type = def_type(MTRR_DEF_ENABLE, MEMTYPE_UC),
		.count = 8,
		.maxphyaddr = 36,
	};
}

static void set_var(struct mtrr_state *s, unsigned int n, u64 base, u64 size, enum memtype type)
{
	s->var_base[n] = base | type;
	s->var_mask[n] = (BITS(35, 0) & ~(size - 1)) | MTRR_MASK_VALID;
}

static void assert_type(const struct mtrr_state *s, paddr_t start, u64 size, enum memtype type)
{
	bool uniform = false;
	assert_int_equal(mtrr_type_of_range(s, start, size, &uniform), type);
	assert_true(uniform);
}

static void assert_mixed(const struct mtrr_state *s, paddr_t start, u64 size, enum memtype safe)
{
	bool uniform = true;
	assert_int_equal(mtrr_type_of_range(s, start, size, &uniform), safe);
	assert_false(uniform);
}

static void wrmsr_def_type(void **state)
{
	(void)state;
	struct mtrr_state s = machine();
	u32 msr = MSR_IA32_MTRR_DEF_TYPE;
	assert_true(mtrr_wrmsr_valid(&s, msr, 0));
	assert_true(mtrr_wrmsr_valid(&s, msr, 0xc06));
	for (u64 type = 0; type < 256; type++) {
		bool ok = type == 0 || type == 1 || type == 4 || type == 5 || type == 6;
		assert_int_equal(mtrr_wrmsr_valid(&s, msr, 0xc00 | type), ok);
	}
	assert_false(mtrr_wrmsr_valid(&s, msr, 0x106));
	assert_false(mtrr_wrmsr_valid(&s, msr, 0x206));
	for (unsigned int bit = 12; bit < 64; bit++)
		assert_false(mtrr_wrmsr_valid(&s, msr, 0x806 | BIT(bit)));
}

static void wrmsr_without_wc(void **state)
{
	(void)state;
	struct mtrr_state s = machine();
	s.cap &= ~MTRR_CAP_WC;
	assert_false(mtrr_wrmsr_valid(&s, MSR_IA32_MTRR_DEF_TYPE, 0x801));
	assert_false(mtrr_wrmsr_valid(&s, MSR_IA32_MTRR_PHYSBASE0, 0x1));
	assert_false(mtrr_wrmsr_valid(&s, MSR_IA32_MTRR_FIX64K_00000, 0x0100));
}

static void wrmsr_variable(void **state)
{
	(void)state;
	struct mtrr_state s = machine();
	for (u32 pair = 0; pair < 8; pair++) {
		u32 base = 0x200 + 2 * pair, mask = base + 1;
		assert_true(mtrr_wrmsr_valid(&s, base, 0xfffff0000 | MEMTYPE_WC));
		assert_true(mtrr_wrmsr_valid(&s, mask, 0xffffff800));
		for (unsigned int bit = 8; bit < 12; bit++)
			assert_false(mtrr_wrmsr_valid(&s, base, BIT(bit)));
		for (unsigned int bit = 0; bit < 11; bit++)
			assert_false(mtrr_wrmsr_valid(&s, mask, BIT(bit)));
		for (unsigned int bit = 36; bit < 64; bit++) {
			assert_false(mtrr_wrmsr_valid(&s, base, BIT(bit)));
			assert_false(mtrr_wrmsr_valid(&s, mask, BIT(bit)));
		}
		assert_false(mtrr_wrmsr_valid(&s, base, 2));
		assert_false(mtrr_wrmsr_valid(&s, base, 3));
		assert_false(mtrr_wrmsr_valid(&s, base, 7));
	}
	assert_false(mtrr_wrmsr_valid(&s, 0x210, 0));
	assert_false(mtrr_wrmsr_valid(&s, 0x211, 0));
	s.maxphyaddr = 52;
	assert_true(mtrr_wrmsr_valid(&s, 0x200, BIT(51)));
	assert_false(mtrr_wrmsr_valid(&s, 0x200, BIT(52)));
}

static void wrmsr_fixed_and_others(void **state)
{
	(void)state;
	struct mtrr_state s = machine();
	static const u32 fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
				    0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
		assert_true(mtrr_wrmsr_valid(&s, fixed[i], 0x0605040100060504));
		for (unsigned int shift = 0; shift < 64; shift += 8) {
			assert_false(mtrr_wrmsr_valid(&s, fixed[i], 2ull << shift));
			assert_false(mtrr_wrmsr_valid(&s, fixed[i], 7ull << shift));
			assert_false(mtrr_wrmsr_valid(&s, fixed[i], 0x86ull << shift));
		}
		assert_ptr_equal(mtrr_register(&s, fixed[i]), &s.fixed[i]);
	}
	assert_false(mtrr_wrmsr_valid(&s, MSR_IA32_MTRRCAP, s.cap));
	assert_false(mtrr_wrmsr_valid(&s, 0x24f, 0));
	assert_false(mtrr_wrmsr_valid(&s, 0x251, 0));
	assert_false(mtrr_wrmsr_valid(&s, 0x257, 0));
	assert_false(mtrr_wrmsr_valid(&s, 0x25a, 0));
	assert_false(mtrr_wrmsr_valid(&s, 0x267, 0));
	assert_false(mtrr_wrmsr_valid(&s, 0x270, 0));
	assert_false(mtrr_wrmsr_valid(&s, MSR_IA32_PAT, 0));
	s.cap &= ~MTRR_CAP_FIX;
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
		assert_false(mtrr_wrmsr_valid(&s, fixed[i], 0));
		assert_null(mtrr_register(&s, fixed[i]));
	}
}

static void registers(void **state)
{
	(void)state;
	struct mtrr_state s = machine();
	assert_ptr_equal(mtrr_register(&s, 0x2ff), &s.def_type);
	assert_ptr_equal(mtrr_register(&s, 0x200), &s.var_base[0]);
	assert_ptr_equal(mtrr_register(&s, 0x201), &s.var_mask[0]);
	assert_ptr_equal(mtrr_register(&s, 0x20e), &s.var_base[7]);
	assert_ptr_equal(mtrr_register(&s, 0x20f), &s.var_mask[7]);
	assert_null(mtrr_register(&s, 0x210));
	assert_null(mtrr_register(&s, 0x1ff));
	assert_null(mtrr_register(&s, MSR_IA32_MTRRCAP));
	assert_null(mtrr_register(&s, MSR_IA32_PAT));
}

static void disabled_is_uncached(void **state)
{
	(void)state;
	struct mtrr_state s = machine();
	s.def_type = def_type(MTRR_DEF_FIXED_ENABLE, MEMTYPE_WB);
	s.fixed[0] = ALL_WB;
	set_var(&s, 0, 0, 4 * GIB, MEMTYPE_WB);
	assert_type(&s, 0, PAGE_SIZE, MEMTYPE_UC);
	assert_type(&s, 0, 8 * GIB, MEMTYPE_UC);
}

static void default_type_and_variable(void **state)
{
	(void)state;
	struct mtrr_state s = machine();
	assert_type(&s, 0, GIB, MEMTYPE_UC);
	s.def_type = def_type(MTRR_DEF_ENABLE, MEMTYPE_WB);
	assert_type(&s, 0, 64 * GIB, MEMTYPE_WB);
	set_var(&s, 3, 3 * GIB, GIB, MEMTYPE_UC);
	assert_type(&s, 0, GIB, MEMTYPE_WB);
	assert_type(&s, 3 * GIB, GIB, MEMTYPE_UC);
	assert_type(&s, 3 * GIB + 5 * PAGE_SIZE, PAGE_SIZE, MEMTYPE_UC);
	assert_type(&s, 4 * GIB, GIB, MEMTYPE_WB);
	assert_mixed(&s, 2 * GIB, 2 * GIB, MEMTYPE_UC);
	s.var_mask[3] &= ~MTRR_MASK_VALID;
	assert_type(&s, 3 * GIB, GIB, MEMTYPE_WB);
	/* A register that gives part of the block the default type changes nothing. */
	set_var(&s, 0, 0, 2 * MIB, MEMTYPE_WB);
	assert_type(&s, 0, GIB, MEMTYPE_WB);
}

static void precedences(void **state)
{
	(void)state;
	struct mtrr_state s = machine();
	static const enum memtype types[] = {MEMTYPE_UC, MEMTYPE_WC, MEMTYPE_WT, MEMTYPE_WP,
					     MEMTYPE_WB};
	for (size_t a = 0; a < ARRAY_SIZE(types); a++) {
		for (size_t b = 0; b < ARRAY_SIZE(types); b++) {
			enum memtype want = MEMTYPE_UC;
			if (types[a] == types[b])
				want = types[a];
			else if (types[a] + types[b] == MEMTYPE_WT + MEMTYPE_WB &&
				 (types[a] == MEMTYPE_WT || types[b] == MEMTYPE_WT))
				want = MEMTYPE_WT;
			set_var(&s, 0, 0, 4 * GIB, types[a]);
			set_var(&s, 5, 2 * GIB, GIB, types[b]);
			assert_type(&s, 2 * GIB, GIB, want);
			assert_type(&s, GIB, GIB, types[a]);
			bool uniform;
			mtrr_type_of_range(&s, 0, 4 * GIB, &uniform);
			assert_int_equal(uniform, want == types[a]);
		}
	}
	/* Two partial registers whose overlap happens to give the default type. */
	s = machine();
	s.def_type = def_type(MTRR_DEF_ENABLE, MEMTYPE_WT);
	set_var(&s, 0, 0, GIB, MEMTYPE_WB);
	set_var(&s, 1, 0, GIB, MEMTYPE_WT);
	set_var(&s, 2, GIB, GIB, MEMTYPE_WB);
	assert_mixed(&s, 0, 4 * GIB, MEMTYPE_WT);
}

static void mask_with_gap(void **state)
{
	(void)state;
	struct mtrr_state s = machine();
	/* Only bit 13 is compared: every other 8 KiB of the machine. */
	s.var_base[0] = MEMTYPE_WB | 0x2000;
	s.var_mask[0] = MTRR_MASK_VALID | 0x2000;
	assert_type(&s, 0x2000, 0x2000, MEMTYPE_WB);
	assert_type(&s, 0x3000, 0x1000, MEMTYPE_WB);
	assert_type(&s, 0x4000, 0x2000, MEMTYPE_UC);
	assert_mixed(&s, 0, 0x4000, MEMTYPE_UC);
	assert_mixed(&s, 0, GIB, MEMTYPE_UC);
}

static void fixed_ranges(void **state)
{
	(void)state;
	struct mtrr_state s = machine();
	s.def_type |= MTRR_DEF_FIXED_ENABLE;
	set_var(&s, 0, 0, GIB, MEMTYPE_WB);
	s.fixed[0] = 0x0006060606060606; /* 70000-7ffff UC */
	s.fixed[1] = 0x0405010606060606; /* 94000 WC, 98000 WP, 9c000 WT */
	s.fixed[2] = 0;
	s.fixed[3] = 0x0500000000000005;  /* c0000 and c7000 WP */
	s.fixed[10] = 0x0600000000000000; /* ff000 WB */
	assert_type(&s, 0, 0x70000, MEMTYPE_WB);
	assert_type(&s, 0x70000, 0x10000, MEMTYPE_UC);
	assert_type(&s, 0x80000, 0x14000, MEMTYPE_WB);
	assert_type(&s, 0x94000, 0x1000, MEMTYPE_WC);
	assert_type(&s, 0x97000, 0x1000, MEMTYPE_WC);
	assert_type(&s, 0x98000, 0x4000, MEMTYPE_WP);
	assert_type(&s, 0x9f000, 0x1000, MEMTYPE_WT);
	assert_type(&s, 0xa0000, 0x20000, MEMTYPE_UC);
	assert_type(&s, 0xc0000, 0x1000, MEMTYPE_WP);
	assert_type(&s, 0xc1000, 0x6000, MEMTYPE_UC);
	assert_type(&s, 0xc7000, 0x1000, MEMTYPE_WP);
	assert_type(&s, 0xff000, 0x1000, MEMTYPE_WB);
	assert_type(&s, 0xff000, 0x2000, MEMTYPE_WB); /* over the end of the fixed ranges */
	assert_type(&s, 0x100000, 0x100000, MEMTYPE_WB);
	assert_mixed(&s, 0, 0x200000, MEMTYPE_UC);
	assert_mixed(&s, 0x98000, 0x8000, MEMTYPE_UC);
	for (unsigned int i = 0; i < MTRR_FIXED_COUNT; i++)
		s.fixed[i] = ALL_WB;
	assert_type(&s, 0, GIB, MEMTYPE_WB);
	/* Fixed ranges override variable ones, UC too. */
	set_var(&s, 1, 0, MIB, MEMTYPE_UC);
	assert_type(&s, 0, MIB, MEMTYPE_WB);
	s.def_type &= ~MTRR_DEF_FIXED_ENABLE;
	assert_type(&s, 0, MIB, MEMTYPE_UC);
	s.def_type |= MTRR_DEF_FIXED_ENABLE;
	s.cap &= ~MTRR_CAP_FIX;
	assert_type(&s, 0, MIB, MEMTYPE_UC);
}

/* SDM "MTRRs", one address at a time, written independently of ranges. */
static enum memtype reference(const struct mtrr_state *s, paddr_t a)
{
	static const struct {
		paddr_t start;
		u64 piece;
	} reg[MTRR_FIXED_COUNT] = {
		{0, 0x10000},      {0x80000, 0x4000}, {0xa0000, 0x4000}, {0xc0000, 0x1000},
		{0xc8000, 0x1000}, {0xd0000, 0x1000}, {0xd8000, 0x1000}, {0xe0000, 0x1000},
		{0xe8000, 0x1000}, {0xf0000, 0x1000}, {0xf8000, 0x1000},
	};
	if (!(s->def_type & BIT(11)))
		return MEMTYPE_UC;
	if (s->def_type & BIT(10)) {
		for (unsigned int i = 0; i < MTRR_FIXED_COUNT; i++) {
			if (a >= reg[i].start && a < reg[i].start + 8 * reg[i].piece)
				return (enum memtype)(
					s->fixed[i] >> 8 * ((a - reg[i].start) / reg[i].piece) &
					0xff);
		}
	}
	u64 seen = 0;
	for (unsigned int i = 0; i < s->count; i++) {
		u64 m = s->var_mask[i] & ~0xfffull;
		if ((s->var_mask[i] & BIT(11)) && (a & m) == (s->var_base[i] & m))
			seen |= BIT(s->var_base[i] & 0xff);
	}
	if (!seen)
		return (enum memtype)(s->def_type & 0xff);
	if (seen == (BIT(MEMTYPE_WT) | BIT(MEMTYPE_WB)))
		return MEMTYPE_WT;
	for (enum memtype t = MEMTYPE_UC; t <= MEMTYPE_WB; t++) {
		if (seen == BIT(t))
			return t;
	}
	return MEMTYPE_UC;
}

static void agrees_with_reference(void **state)
{
	(void)state;
	static const enum memtype types[] = {MEMTYPE_UC, MEMTYPE_WC, MEMTYPE_WT, MEMTYPE_WP,
					     MEMTYPE_WB};
	srand(1);
	for (int round = 0; round < 2000; round++) {
		struct mtrr_state s = machine();
		s.def_type = BIT(11) | (rand() % 2 ? BIT(10) : 0) | types[rand() % 5];
		for (unsigned int i = 0; i < MTRR_FIXED_COUNT; i++) {
			for (unsigned int b = 0; b < 64; b += 8)
				s.fixed[i] |= (u64)types[rand() % 4 ? 4 : rand() % 5] << b;
		}
		/* A space of 4 MiB, so that registers meet often. */
		for (unsigned int i = 0; i < 4; i++) {
			u64 size = PAGE_SIZE << (rand() % 11);
			u64 base = ((u64)rand() % (4 * MIB)) & ~(size - 1);
			set_var(&s, i, base, size, types[rand() % 5]);
			if (rand() % 8 == 0)
				s.var_mask[i] &= ~(PAGE_SIZE << (rand() % 11));
		}
		u64 size = PAGE_SIZE << (rand() % 10);
		paddr_t start = ((u64)rand() % (4 * MIB)) & ~(size - 1);
		if (rand() % 4 == 0) { /* unaligned ranges too */
			start += PAGE_SIZE;
			size += 3 * PAGE_SIZE;
		}
		bool uniform;
		enum memtype got = mtrr_type_of_range(&s, start, size, &uniform);
		for (paddr_t a = start; a < start + size; a += PAGE_SIZE) {
			enum memtype want = reference(&s, a);
			if (uniform)
				assert_int_equal(got, want);
			else
				assert_true(got == MEMTYPE_UC || got == want ||
					    (got == MEMTYPE_WT && want == MEMTYPE_WB));
			bool one;
			assert_int_equal(mtrr_type_of_range(&s, a, PAGE_SIZE, &one), want);
			assert_true(one);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrmsr_def_type),
		cmocka_unit_test(wrmsr_without_wc),
		cmocka_unit_test(wrmsr_variable),
		cmocka_unit_test(wrmsr_fixed_and_others),
		cmocka_unit_test(registers),
		cmocka_unit_test(disabled_is_uncached),
		cmocka_unit_test(default_type_and_variable),
		cmocka_unit_test(precedences),
		cmocka_unit_test(mask_with_gap),
		cmocka_unit_test(fixed_ranges),
		cmocka_unit_test(agrees_with_reference),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
