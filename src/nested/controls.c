/* SPDX-License-Identifier: BSD-2-Clause */
#include "nested/controls.h"

const struct control_info control_info[CONTROL_COUNT] = {
#define X(word_, name_, text_, vmcs02_, why_) \
	[NEEDS_##name_] = {                   \
		.bit = name_,                 \
		.text = text_,                \
		.why = why_,                  \
		.word = CONTROL_WORD_##word_, \
		.policy = CONTROL_##vmcs02_,  \
	},
	VMX_CONTROLS(X)
#undef X
};

/* A control is either offered or there is a reason. */
#define X(word_, name_, text_, vmcs02_, why_)                                                    \
	_Static_assert((sizeof(why_) > 1) == (CONTROL_##vmcs02_ == CONTROL_ABSENT), #name_ " wh" \
											   "y");
VMX_CONTROLS(X)
#undef X

u64 controls_with(enum control_word word, enum control_policy policy)
{
	u64 bits = 0;

	for (u32 i = 0; i < CONTROL_COUNT; i++) {
		if (control_info[i].word == word && control_info[i].policy == policy)
			bits |= control_info[i].bit;
	}
	return bits;
}
