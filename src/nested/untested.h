/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What was built from the SDM alone, since no machine that has it was at hand: the words of the
 * option `nested.untested=`, by which an owner of such a CPU has it offered. docs/untested.md.
 */
#pragma once

#include <x86/types.h>

#define UNTESTED_FEATURES(X)                          \
	X(BUS_LOCK, "bus-lock")                       \
	X(INSTRUCTION_TIMEOUT, "instruction-timeout") \
	X(LOADIWKEY, "loadiwkey")                     \
	X(BUSY_SHADOW_STACK, "busy-shadow-stack")

enum untested {
#define X(name, word) UNTESTED_##name,
	UNTESTED_FEATURES(X)
#undef X
		UNTESTED_COUNT,
};

static const char *const untested_words[UNTESTED_COUNT] = {
#define X(name, word) [UNTESTED_##name] = word,
	UNTESTED_FEATURES(X)
#undef X
};

enum { UNTESTED_ALL = (1 << UNTESTED_COUNT) - 1 };
