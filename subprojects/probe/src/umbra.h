/* SPDX-License-Identifier: BSD-2-Clause */
/* What the Umbra below answers: umbra/interface.h. */
#pragma once

#include <umbra/interface.h>

#include <x86/types.h>

#include "trap.h"

struct umbra_answer {
	struct fault fault;
	bool known; /* someone has answered, and not by an error */
	u64 rax;
	u64 result[UMBRA_RESULTS];
};

/* On a bare machine #UD, or in VMX operation a VMfail: then the registers are as they were. */
struct umbra_answer umbra_ask(u64 token, u64 function, u64 first, u64 second);
