/* SPDX-License-Identifier: BSD-2-Clause */
#include "nested/fields.h"

#include "lib/insn.h"

enum {
	WIDTH_16 = VMCS_WIDTH_16,
	WIDTH_32 = VMCS_WIDTH_32,
	WIDTH_64 = VMCS_WIDTH_64,
	WIDTH_N = VMCS_WIDTH_NATURAL,
};

/* What a field of a width holds. */
enum : u64 { MASK_16 = UINT16_MAX, MASK_32 = UINT32_MAX, MASK_64 = ~0ull, MASK_N = ~0ull };

const struct field_info field_info[F_COUNT] = {
#define X(name_, width_, class_, policy_, needs_, invalidates_) \
	[F_##name_] = {                                         \
		.encoding = VMCS_##name_,                       \
		.name = #name_,                                 \
		.width = WIDTH_##width_,                        \
		.type = VMCS_TYPE_##class_,                     \
		.policy = POLICY_##policy_,                     \
		.needs = NEEDS_##needs_,                        \
		.invalidates = INVALIDATES_##invalidates_,      \
		.mask = MASK_##width_,                          \
	},
	VMCS12_FIELDS(X)
#undef X
};

/* Each row says what its encoding says. */
#define X(name_, width_, class_, policy_, needs_, invalidates_)                                    \
	_Static_assert(VMCS_FIELD_WIDTH(VMCS_##name_) == (u32)WIDTH_##width_, #name_ " width");    \
	_Static_assert(VMCS_FIELD_TYPE(VMCS_##name_) == (u32)VMCS_TYPE_##class_, #name_ " class"); \
	_Static_assert(VMCS_FIELD_INDEX(VMCS_##name_) < VMCS_FIELD_INDEX_LIMIT, #name_ " index");
VMCS12_FIELDS(X)
#undef X
_Static_assert(F_COUNT < 255, "field numbers fit a byte");

/* VMWRITE of a control always has it checked again; an ADDRESS needs a control. */
#define X(name_, width_, class_, policy_, needs_, invalidates_)                              \
	_Static_assert(VMCS_TYPE_##class_ != VMCS_TYPE_CONTROL ||                            \
			       INVALIDATES_##invalidates_ != INVALIDATES_NOTHING,            \
		       #name_ " is checked at an entry");                                    \
	_Static_assert(POLICY_##policy_ != POLICY_ADDRESS || NEEDS_##needs_ < CONTROL_COUNT, \
		       #name_ " has a control");
VMCS12_FIELDS(X)
#undef X

/* An exit without shadowing copies the exit information from EXIT_REASON to IO_RIP. */
#define X(name_, width_, class_, policy_, needs_, invalidates_) +(POLICY_##policy_ == POLICY_EXIT)
_Static_assert((int)F_IO_RIP - (int)F_EXIT_REASON + 1 == 0 VMCS12_FIELDS(X),
	       "rows of exit information");
#undef X

/* Field number plus one, 0 for none. */
static const u8 by_encoding[4][4][VMCS_FIELD_INDEX_LIMIT] = {
#define X(name_, width_, class_, policy_, needs_, invalidates_) \
	[WIDTH_##width_][VMCS_TYPE_##class_][VMCS_FIELD_INDEX(VMCS_##name_)] = F_##name_ + 1,
	VMCS12_FIELDS(X)
#undef X
};

int field_index(u32 encoding)
{
	const u32 width = VMCS_FIELD_WIDTH(encoding);
	const u32 index = VMCS_FIELD_INDEX(encoding);

	if (encoding & ~0x6fffu || index >= VMCS_FIELD_INDEX_LIMIT ||
	    (VMCS_FIELD_HIGH(encoding) && width != VMCS_WIDTH_64))
		return -1;
	return by_encoding[width][VMCS_FIELD_TYPE(encoding)]
			  [index_masked(index, VMCS_FIELD_INDEX_LIMIT)] -
	       1;
}
