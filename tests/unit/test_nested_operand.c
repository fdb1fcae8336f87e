/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Expectations from SDM table "Format of the VM-Exit Instruction-Information Field as Used for
 * VMREAD and VMWRITE", from "Limit Checking", "Type Checking" and the instructions' lists of
 * exceptions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "nested/operand.h"

enum { ADDRESS_16 = 0, ADDRESS_32 = 1, ADDRESS_64 = 2, NONE = -1 };

/* Access rights: type, S, P; 32-bit. */
enum {
	DATA_RO = 0x4090,
	DATA_RW = 0x4092,
	DATA_DOWN_RW = 0x4096,
	DATA_DOWN_RW_16 = 0x0096,
	CODE_X = 0x4098,
	CODE_RX = 0x409a,
	CODE_CONFORMING_RX = 0x409e,
	UNUSABLE = 0x10000,
};

static u32 memory_info(u32 scale, u32 address_size, enum segment seg, int index, int base, u32 reg2)
{
	u32 info = scale | address_size << 7 | (u32)seg << 15 | reg2 << 28;

	info |= index == NONE ? 1u << 22 : (u32)index << 18;
	info |= base == NONE ? 1u << 27 : (u32)base << 23;
	return info;
}

static struct guest_regs numbered(void)
{
	struct guest_regs regs;

	for (u32 i = 0; i < GPR_COUNT; i++)
		regs.gpr[i] = 0x1000ull * (i + 1);
	return regs;
}

static void test_register(void **state)
{
	const struct guest_regs regs = numbered();

	(void)state;
	for (u32 r = 0; r < 16; r++) {
		struct operand o =
			operand_decode(1u << 10 | r << 3 | (15 - r) << 28, 0x1234, &regs);

		assert_true(o.is_register);
		assert_int_equal(o.reg1, r);
		assert_int_equal(o.reg2, 15 - r);
	}
}

static void test_base_and_index(void **state)
{
	const struct guest_regs regs = numbered();

	(void)state;
	for (int base = NONE; base < 16; base++) {
		for (int index = NONE; index < 16; index++) {
			for (u32 scale = 0; scale < 4; scale++) {
				const u32 info = memory_info(scale, ADDRESS_64, SEG_DS, index, base,
							     GPR_RDX);
				const struct operand o = operand_decode(info, 0x10, &regs);
				u64 expected = 0x10;

				if (base != NONE)
					expected += regs.gpr[base];
				if (index != NONE)
					expected += regs.gpr[index] * (1ull << scale);
				assert_false(o.is_register);
				assert_int_equal(o.reg2, GPR_RDX);
				assert_int_equal(o.segment, SEG_DS);
				assert_true(o.offset == expected);
			}
		}
	}
}

static void test_address_size(void **state)
{
	struct guest_regs regs = numbered();
	struct operand o;

	(void)state;
	regs.rbx = 0x123456789abcdef0;
	/* A negative displacement is sign-extended to 64 bits in the exit qualification. */
	o = operand_decode(memory_info(0, ADDRESS_64, SEG_DS, NONE, GPR_RBX, 0), (u64)-0x10, &regs);
	assert_true(o.offset == 0x123456789abcdee0);
	o = operand_decode(memory_info(0, ADDRESS_32, SEG_DS, NONE, GPR_RBX, 0), (u64)-0x10, &regs);
	assert_true(o.offset == 0x9abcdee0);
	o = operand_decode(memory_info(0, ADDRESS_16, SEG_DS, NONE, GPR_RBX, 0), (u64)-0x10, &regs);
	assert_true(o.offset == 0xdee0);
	/* The sum wraps at the address size, and at 64 bits. */
	regs.rbx = 0xfffffff8;
	o = operand_decode(memory_info(0, ADDRESS_32, SEG_DS, NONE, GPR_RBX, 0), 0x10, &regs);
	assert_true(o.offset == 8);
	regs.rbx = ~7ull;
	o = operand_decode(memory_info(0, ADDRESS_64, SEG_DS, NONE, GPR_RBX, 0), 0x10, &regs);
	assert_true(o.offset == 8);
	regs.rsi = 0xffff;
	o = operand_decode(memory_info(0, ADDRESS_16, SEG_DS, GPR_RSI, NONE, 0), 2, &regs);
	assert_true(o.offset == 1);
}

static void test_segments(void **state)
{
	const struct guest_regs regs = numbered();

	(void)state;
	/* 0 ES, 1 CS, 2 SS, 3 DS, 4 FS, 5 GS */
	for (u32 seg = 0; seg < 6; seg++) {
		const u32 info =
			memory_info(0, ADDRESS_32, (enum segment)seg, NONE, GPR_RAX, GPR_RCX);

		assert_int_equal(operand_decode(info, 0, &regs).segment, seg);
	}
}

/* 64-bit addresses there are in 64-bit mode alone, where FS and GS alone have a base. */
static void test_plain(void **state)
{
	(void)state;
	for (u32 seg = 0; seg < 6; seg++) {
		for (u32 size = 0; size < 3; size++) {
			const u32 info =
				memory_info(3, size, (enum segment)seg, GPR_RDX, GPR_RAX, GPR_RCX);

			assert_int_equal(operand_is_plain(info), size == ADDRESS_64 && seg < 4);
			assert_false(operand_is_plain(info | 1u << 10));
		}
	}
}

static const struct operand_mode legacy_mode = {0};

static enum operand_fault legacy(enum segment seg, u64 offset, u32 limit, u32 access_rights,
				 bool write, u32 size)
{
	const struct operand o = {.segment = seg, .offset = offset};
	const struct segment_descriptor s = {0x1000, limit, access_rights};
	u64 linear;

	return operand_linear(&o, &s, &legacy_mode, write, size, &linear);
}

static void test_limit(void **state)
{
	(void)state;
	assert_int_equal(legacy(SEG_DS, 0, 7, DATA_RW, true, 8), OPERAND_OK);
	assert_int_equal(legacy(SEG_DS, 0, 6, DATA_RW, true, 8), OPERAND_GP);
	assert_int_equal(legacy(SEG_DS, 1, 7, DATA_RW, true, 8), OPERAND_GP);
	assert_int_equal(legacy(SEG_DS, 7, 7, DATA_RW, true, 1), OPERAND_OK);
	assert_int_equal(legacy(SEG_DS, 8, 7, DATA_RW, true, 1), OPERAND_GP);
	assert_int_equal(legacy(SEG_SS, 8, 7, DATA_RW, true, 1), OPERAND_SS);
	assert_int_equal(legacy(SEG_CS, 8, 7, CODE_RX, false, 1), OPERAND_GP);
	assert_int_equal(legacy(SEG_DS, 0xfffffff8, ~0u, DATA_RW, true, 8), OPERAND_OK);
	assert_int_equal(legacy(SEG_DS, 0xfffffff9, ~0u, DATA_RW, true, 8), OPERAND_GP);
	assert_int_equal(legacy(SEG_DS, 0xfff9, 0xffff, DATA_RW, true, 8), OPERAND_GP);
}

/* "Limit Checking": offsets from limit + 1 to FFFFH or FFFFFFFFH. */
static void test_expand_down(void **state)
{
	(void)state;
	assert_int_equal(legacy(SEG_DS, 0xfff, 0xfff, DATA_DOWN_RW, true, 1), OPERAND_GP);
	assert_int_equal(legacy(SEG_DS, 0x1000, 0xfff, DATA_DOWN_RW, true, 8), OPERAND_OK);
	assert_int_equal(legacy(SEG_DS, 0xffc, 0xfff, DATA_DOWN_RW, true, 8), OPERAND_GP);
	assert_int_equal(legacy(SEG_DS, 0xfffffff8, 0xfff, DATA_DOWN_RW, true, 8), OPERAND_OK);
	assert_int_equal(legacy(SEG_DS, 0xfffffff9, 0xfff, DATA_DOWN_RW, true, 8), OPERAND_GP);
	assert_int_equal(legacy(SEG_DS, 0xfff8, 0xfff, DATA_DOWN_RW_16, true, 8), OPERAND_OK);
	assert_int_equal(legacy(SEG_DS, 0xfff9, 0xfff, DATA_DOWN_RW_16, true, 8), OPERAND_GP);
	assert_int_equal(legacy(SEG_DS, 0x10000, 0xfff, DATA_DOWN_RW_16, true, 8), OPERAND_GP);
	assert_int_equal(legacy(SEG_SS, 0, 0xfff, DATA_DOWN_RW, true, 8), OPERAND_SS);
	/* The same bit means "conforming" in a code segment. */
	assert_int_equal(legacy(SEG_CS, 0, 0xfff, CODE_CONFORMING_RX, false, 8), OPERAND_OK);
}

static void test_type(void **state)
{
	(void)state;
	assert_int_equal(legacy(SEG_DS, 0, ~0u, DATA_RO, false, 8), OPERAND_OK);
	assert_int_equal(legacy(SEG_DS, 0, ~0u, DATA_RO, true, 8), OPERAND_GP);
	assert_int_equal(legacy(SEG_CS, 0, ~0u, CODE_RX, false, 8), OPERAND_OK);
	assert_int_equal(legacy(SEG_CS, 0, ~0u, CODE_RX, true, 8), OPERAND_GP);
	assert_int_equal(legacy(SEG_CS, 0, ~0u, CODE_X, false, 8), OPERAND_GP);
	assert_int_equal(legacy(SEG_ES, 0, ~0u, UNUSABLE | DATA_RW, false, 8), OPERAND_GP);
	/* "#SS(0) … If the SS register contains an unusable segment". */
	assert_int_equal(legacy(SEG_SS, 0, ~0u, UNUSABLE | DATA_RW, false, 8), OPERAND_SS);
}

static void test_legacy_linear(void **state)
{
	const struct segment_descriptor s = {0xfffff000, ~0u, DATA_RW};
	struct operand o = {.segment = SEG_DS, .offset = 0x1008};
	u64 linear = 0;

	(void)state;
	assert_int_equal(operand_linear(&o, &s, &legacy_mode, true, 8, &linear), OPERAND_OK);
	assert_true(linear == 8);
	o.offset = 0x10;
	assert_int_equal(operand_linear(&o, &s, &legacy_mode, true, 8, &linear), OPERAND_OK);
	assert_true(linear == 0xfffff010);
}

static const u64 CR4_LA57_BIT = 1ull << 12, CR4_LAM_SUP_BIT = 1ull << 28;
static const u64 LAM_U57 = 1ull << 61, LAM_U48 = 1ull << 62;

static enum operand_fault long_mode(enum segment seg, u64 base, u64 offset, bool la57, u64 *linear)
{
	const struct operand o = {.segment = seg, .offset = offset};
	/* Limits and types count for nothing there. */
	const struct segment_descriptor s = {base, 0, UNUSABLE};

	const struct operand_mode mode = {true, 0, la57 ? CR4_LA57_BIT : 0};

	return operand_linear(&o, &s, &mode, true, 8, linear);
}

static void test_64bit_mode(void **state)
{
	u64 linear;

	(void)state;
	/* Only FS and GS have a base. */
	assert_int_equal(long_mode(SEG_DS, 0x5000, 0x100, false, &linear), OPERAND_OK);
	assert_true(linear == 0x100);
	assert_int_equal(long_mode(SEG_CS, 0x5000, 0x100, false, &linear), OPERAND_OK);
	assert_true(linear == 0x100);
	assert_int_equal(long_mode(SEG_FS, 0x5000, 0x100, false, &linear), OPERAND_OK);
	assert_true(linear == 0x5100);
	assert_int_equal(long_mode(SEG_GS, ~0ull, 0x100, false, &linear), OPERAND_OK);
	assert_true(linear == 0xff);
}

static void test_canonical(void **state)
{
	u64 linear;

	(void)state;
	assert_int_equal(long_mode(SEG_DS, 0, 0x7ffffffffff8, false, &linear), OPERAND_OK);
	assert_int_equal(long_mode(SEG_DS, 0, 0x7ffffffffff9, false, &linear), OPERAND_GP);
	assert_int_equal(long_mode(SEG_DS, 0, 0x800000000000, false, &linear), OPERAND_GP);
	assert_int_equal(long_mode(SEG_SS, 0, 0x800000000000, false, &linear), OPERAND_SS);
	assert_int_equal(long_mode(SEG_DS, 0, 0xffff7fffffffffff, false, &linear), OPERAND_GP);
	assert_int_equal(long_mode(SEG_DS, 0, 0xffff800000000000, false, &linear), OPERAND_OK);
	assert_int_equal(long_mode(SEG_DS, 0, ~7ull, false, &linear), OPERAND_OK);
	/* With 57 bits. */
	assert_int_equal(long_mode(SEG_DS, 0, 0x800000000000, true, &linear), OPERAND_OK);
	assert_int_equal(long_mode(SEG_DS, 0, 0xfffffffffffff8, true, &linear), OPERAND_OK);
	assert_int_equal(long_mode(SEG_DS, 0, 0x100000000000000, true, &linear), OPERAND_GP);
	assert_int_equal(long_mode(SEG_DS, 0, 0xff00000000000000, true, &linear), OPERAND_OK);
	/* The sum counts, not its parts. */
	assert_int_equal(long_mode(SEG_GS, 0xffff800000000000, (u64)-1, false, &linear),
			 OPERAND_GP);
}

/* ~0: #GP. */
static u64 with_lam(u64 cr3, u64 cr4, u64 address)
{
	const struct operand o = {.segment = SEG_DS, .offset = address};
	const struct segment_descriptor s = {0, 0, UNUSABLE};
	const struct operand_mode mode = {true, 0x1000 | cr3, cr4};
	u64 linear;

	return operand_linear(&o, &s, &mode, true, 8, &linear) == OPERAND_OK ? linear : ~0ull;
}

/* SDM "Linear-Address Masking", tables of the bits masked by each mode. */
static void test_masking(void **state)
{
	(void)state;
	/* Off. */
	assert_true(with_lam(0, 0, 0x7e00000000001000) == ~0ull);
	assert_true(with_lam(0, 0, 0x8100000000001000) == ~0ull);
	assert_true(with_lam(0, CR4_LAM_SUP_BIT, 0x7e00000000001000) == ~0ull);
	assert_true(with_lam(LAM_U57 | LAM_U48, 0, 0x81ffffffffffe000) == ~0ull);
	/* User pointers, LAM57: bits 62:57. */
	assert_true(with_lam(LAM_U57, 0, 0x7e00000000001000) == 0x1000);
	assert_true(with_lam(LAM_U57, 0, 0x0400123456789abc) == 0x123456789abc);
	assert_true(with_lam(LAM_U57, 0, 0x0100000000001000) == ~0ull);
	assert_true(with_lam(LAM_U57, 0, 0x0001000000001000) == ~0ull);
	assert_true(with_lam(LAM_U57, CR4_LA57_BIT, 0x7e01000000001000) == 0x0001000000001000);
	/* LAM48: bits 62:48. */
	assert_true(with_lam(LAM_U48, 0, 0x7fff000000001000) == 0x1000);
	assert_true(with_lam(LAM_U48, 0, 0x0000800000001000) == ~0ull);
	assert_true(with_lam(LAM_U48, CR4_LA57_BIT, 0x00ff000000001000) == 0x1000);
	assert_true(with_lam(LAM_U48, CR4_LA57_BIT, 0x7fff800000001000) == ~0ull);
	/* LAM57 takes precedence. */
	assert_true(with_lam(LAM_U57 | LAM_U48, 0, 0x0001000000001000) == ~0ull);
	/* Supervisor pointers, by the paging mode. */
	assert_true(with_lam(0, CR4_LAM_SUP_BIT, 0x8000fffffffff000) == 0xfffffffffffff000);
	assert_true(with_lam(0, CR4_LAM_SUP_BIT, 0x80007ffffffff000) == ~0ull);
	assert_true(with_lam(0, CR4_LAM_SUP_BIT | CR4_LA57_BIT, 0x81fffffffffff000) ==
		    0xfffffffffffff000);
	assert_true(with_lam(0, CR4_LAM_SUP_BIT | CR4_LA57_BIT, 0x80fffffffffff000) == ~0ull);
	/* The last byte has to be canonical, too. */
	assert_true(with_lam(LAM_U48, 0, 0x7fff7ffffffffff8) == 0x7ffffffffff8);
	assert_true(with_lam(LAM_U48, 0, 0x7fff7ffffffffff9) == ~0ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_register),     cmocka_unit_test(test_base_and_index),
		cmocka_unit_test(test_address_size), cmocka_unit_test(test_segments),
		cmocka_unit_test(test_limit),        cmocka_unit_test(test_expand_down),
		cmocka_unit_test(test_type),         cmocka_unit_test(test_legacy_linear),
		cmocka_unit_test(test_64bit_mode),   cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_masking),      cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
