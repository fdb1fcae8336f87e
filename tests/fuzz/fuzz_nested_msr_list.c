/* SPDX-License-Identifier: BSD-2-Clause */
/* The input chooses an MSR list; see tests/hosted/msr_list_model.c. */
#include "msr_list_model.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct rng rng = {.data = data, .left = size};

	if (!machine_memory.guest)
		msr_list_model_init();
	msr_list_model_run(&rng);
	return 0;
}
