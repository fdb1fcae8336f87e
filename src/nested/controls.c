/* SPDX-License-Identifier: BSD-2-Clause */
#include "nested/controls.h"

#include "lib/string.h"
#include "nested/untested.h"

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

/* A control is either offered or there is a reason, or a word that asks for it. */
#define X(word_, name_, text_, vmcs02_, why_)                                         \
	_Static_assert((sizeof(why_) > 1) == (CONTROL_##vmcs02_ == CONTROL_ABSENT ||  \
					      CONTROL_##vmcs02_ == CONTROL_UNTESTED), \
		       #name_ " why");
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

static bool is_word(const char *word, const char *other)
{
	return strlen(word) == strlen(other) && memcmp(word, other, strlen(word)) == 0;
}

u64 controls_untested(enum control_word word, u32 asked)
{
	u64 bits = 0;

	for (u32 i = 0; i < CONTROL_COUNT; i++) {
		if (control_info[i].word != word || control_info[i].policy != CONTROL_UNTESTED)
			continue;
		for (u32 feature = 0; feature < UNTESTED_COUNT; feature++) {
			if ((asked >> feature & 1) &&
			    is_word(control_info[i].why, untested_words[feature]))
				bits |= control_info[i].bit;
		}
	}
	return bits;
}
