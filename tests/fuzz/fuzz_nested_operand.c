/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operands of VMX instructions against a second reading of the SDM, byte by byte: table "Format of
 * the VM-Exit Instruction-Information Field", "Limit Checking", "Type Checking", canonicality.
 */
#include <string.h>

#include "machine.h"
#include "nested/operand.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* Where a memory operand is, as the instruction says it. */
static u64 effective_address(u32 info, u64 displacement, const struct guest_regs *regs)
{
	static const u64 size_mask[] = {0xffff, 0xffffffff, ~0ull};
	const u32 scale = info % 4, base = info / (1u << 23) % 16, index = info / (1u << 18) % 16;
	u64 address = displacement;

	if ((info & 1u << 27) == 0)
		address += regs->gpr[base];
	if ((info & 1u << 22) == 0) {
		for (u32 i = 0; i < 1u << scale; i++)
			address += regs->gpr[index];
	}
	return address & size_mask[info / 128 % 8];
}

static bool noncanonical(u64 linear, bool la57)
{
	const u64 half = 1ull << (la57 ? 56 : 47);

	return linear >= half && linear < -half;
}

/* Whether a byte is outside of the segment. */
static bool outside(const struct segment_descriptor *s, unsigned __int128 offset)
{
	const bool code = s->access_rights & 8, down = s->access_rights & 4;
	const u64 top = s->access_rights & 1u << 14 ? 0xffffffff : 0xffff;

	if (offset > 0xffffffff)
		return true;
	if (!code && down)
		return offset <= s->limit || offset > top;
	return offset > s->limit;
}

/* "Linear-Address Masking", bit by bit. */
static u64 masked(u64 linear, const struct operand_mode *mode)
{
	const bool supervisor = linear >> 63;
	const bool on = supervisor ? mode->cr4 >> 28 & 1 : mode->cr3 >> 61 & 3;
	const bool wide = supervisor ? mode->cr4 >> 12 & 1 : mode->cr3 >> 61 & 1;
	const unsigned int top = wide ? 56 : 47;

	for (unsigned int bit = 62; on && bit > top; bit--) {
		linear &= ~(1ull << bit);
		linear |= (linear >> top & 1) << bit;
	}
	return linear;
}

static enum operand_fault reference(enum segment seg, u64 offset,
				    const struct segment_descriptor *s,
				    const struct operand_mode *mode, bool write, u32 size,
				    u64 *linear)
{
	const enum operand_fault fault = seg == SEG_SS ? OPERAND_SS : OPERAND_GP;
	const bool code = s->access_rights & 8, readable_or_writable = s->access_rights & 2;

	if (mode->in_64bit_mode) {
		*linear = masked(offset + (seg == SEG_FS || seg == SEG_GS ? s->base : 0), mode);
		for (u32 i = 0; i < size; i++) {
			if (noncanonical(*linear + i, mode->cr4 >> 12 & 1))
				return fault;
		}
		return OPERAND_OK;
	}
	if (s->access_rights & 1u << 16)
		return fault;
	if (write && (code || !readable_or_writable))
		return OPERAND_GP;
	if (!write && code && !readable_or_writable)
		return OPERAND_GP;
	for (u32 i = 0; i < size; i++) {
		if (outside(s, (unsigned __int128)offset + i))
			return fault;
	}
	*linear = (s->base + offset) % 0x100000000;
	return OPERAND_OK;
}

/* Values near the edges that the rules have. */
static u64 random_value(struct rng *rng)
{
	static const u64 edges[] = {0,
				    0xffff,
				    0x10000,
				    0xffffffff,
				    0x100000000,
				    0x800000000000,
				    0xffff800000000000,
				    0x100000000000000,
				    0xff00000000000000};

	if (rng_below(rng, 3) == 0)
		return rng_next(rng);
	return edges[rng_below(rng, ARRAY_SIZE(edges))] + rng_below(rng, 40) - 20;
}

static void check_one(struct rng *rng)
{
	static const u32 sizes[] = {4, 8, 16};
	const u32 size = sizes[rng_below(rng, ARRAY_SIZE(sizes))];
	const bool write = rng_below(rng, 2), long_mode = rng_below(rng, 2);
	const struct operand_mode mode = {long_mode, rng_below(rng, 4) << 61,
					  rng_below(rng, 2) << 12 | rng_below(rng, 2) << 28};
	const u64 displacement = random_value(rng);
	const struct segment_descriptor s = {.base = random_value(rng),
					     .limit = (u32)random_value(rng),
					     .access_rights = (u32)rng_below(rng, 0x20000)};
	u32 info = (u32)rng_next(rng) & ~(7u << 7 | 7u << 15);
	struct guest_regs regs;
	struct operand operand;
	enum operand_fault fault;
	u64 expected = 0, linear = 0;

	info |= (u32)rng_below(rng, long_mode ? 3 : 2) << 7 | (u32)rng_below(rng, 6) << 15;
	for (u32 i = 0; i < GPR_COUNT; i++)
		regs.gpr[i] = i < 4 ? random_value(rng) : i * 0x1111111111111111ull;
	operand = operand_decode(info, displacement, &regs);
	REQUIRE(operand.reg2 == info >> 28);
	REQUIRE(operand.is_register == !!(info & 1u << 10));
	if (operand.is_register) {
		REQUIRE(operand.reg1 == info / 8 % 16);
		return;
	}
	REQUIRE((u32)operand.segment == info / 32768 % 8);
	REQUIRE(operand.offset == effective_address(info, displacement, &regs));
	fault = reference(operand.segment, operand.offset, &s, &mode, write, size, &expected);
	REQUIRE(operand_linear(&operand, &s, &mode, write, size, &linear) == fault);
	if (fault == OPERAND_OK)
		REQUIRE(linear == expected);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct rng rng = {.data = data, .left = size};

	while (rng.left)
		check_one(&rng);
	return 0;
}
