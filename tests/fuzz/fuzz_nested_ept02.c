/* SPDX-License-Identifier: BSD-2-Clause */
/* L1 and L2 do what the input says; see tests/hosted/ept02_model.c for what must hold. */
#include <x86/vmx.h>

#include "ept02_model.h"
#include "nested/ept02.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct rng rng = {.data = data, .left = size};

	if (size < 3)
		return -1;
	rng.data += 2;
	rng.left -= 2;
	if (!machine_memory.guest)
		machine_memory_init(EPT02_MODEL_GUEST_PAGES, EPT02_LARGEST + 40);
	ept02_model_run(
		&(struct ept02_model_options){
			.ept_vpid = (data[0] & 1 ? EPT_CAP_EXEC_ONLY : 0) |
				    (data[0] & 2 ? EPT_CAP_2M : 0) |
				    (data[0] & 4 ? EPT_CAP_1G : 0) |
				    (data[0] & 64 ? EPT_CAP_SHADOW_STACK : 0) |
				    (data[0] & 128 ? EPT_CAP_AD : 0),
			.pages = data[0] & 8 ? 0 : ~0ull,
			.largest_page = data[0] & 16 ? GIB : 2 * MIB,
			.mode_based = data[0] & 32,
			.steps = 60,
			.seed = 1u + data[1],
		},
		&rng);
	return 0;
}
