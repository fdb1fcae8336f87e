/* SPDX-License-Identifier: BSD-2-Clause */
/* An instruction of L2 and the whole of what its exit must say, as a row of a table. */
#pragma once

#include "vmx/l2.h"

struct insn_exit {
	const u8 *code;
	u32 reason;
	u64 qualification;
	u32 length;
	/* VM-exit instruction-information field: the defined bits, and what is in them. */
	u32 info_mask, info;
};

/* SDM "VM-Exit Instruction-Information Field": its parts, in place. */
enum insn_info {
	INFO_SCALE_1 = 0,
	INFO_SCALE_2 = 1,
	INFO_SCALE_4 = 2,
	INFO_SCALE_8 = 3,
	INFO_ADDRESS_32 = 1 << 7,
	INFO_ADDRESS_64 = 2 << 7,
	INFO_REG = 1 << 10,
	INFO_NO_INDEX = 1 << 22,
	INFO_NO_BASE = 1 << 27,
};
#define INFO_REG1(n)     ((u32)(n) << 3)
#define INFO_SEGMENT(n)  ((u32)(n) << 15)
#define INFO_INDEX(n)    ((u32)(n) << 18)
#define INFO_BASE(n)     ((u32)(n) << 23)
#define INFO_REG2(n)     ((u32)(n) << 28)
#define INFO_IDENTITY(n) ((u32)(n) << 28)

/* What is defined for a memory operand: with base and index, with base only, with none. */
#define INFO_MEMORY         ((u32)(BITS(1, 0) | BITS(10, 7) | BITS(27, 15)))
#define INFO_MEMORY_BASE    ((u32)(BITS(10, 7) | BITS(17, 15) | BITS(27, 22)))
#define INFO_MEMORY_NOTHING ((u32)(BITS(10, 7) | BITS(17, 15) | BIT(22) | BIT(27)))
#define INFO_REG2_MASK      0xf0000000u
#define INFO_REG1_MASK      (BITS(6, 3) | BIT(10))

/* Runs it from its beginning and compares everything. */
void check_insn_exit(struct run *t, int line, struct l2 *l2, const struct insn_exit *e);

/* The code runs to the VMCALL behind it: nothing on the way exits. */
void check_no_exit(struct run *t, int line, struct l2 *l2, const u8 *code);

/* It exits for this exception: interruption information, error code, and RIP at offset. */
void check_exception(struct run *t, int line, struct l2 *l2, u8 vector, u32 error, u64 offset);

/* At CPL 3 the code raises this fault instead of causing its exit. */
void check_user_fault(struct run *t, int line, struct l2 *l2, const u8 *code, u8 vector);

#define CHECK_NO_EXIT(t, l2, code) check_no_exit(t, __LINE__, l2, code)
#define CHECK_EXCEPTION(t, l2, vector, error, offset) \
	check_exception(t, __LINE__, l2, vector, error, offset)
#define CHECK_USER_FAULT(t, l2, code, vector) check_user_fault(t, __LINE__, l2, code, vector)
