/* SPDX-License-Identifier: BSD-2-Clause */
/* Boot-time pages that nested VMX cannot do without: never NULL, it stops with a message. */
#pragma once

#include "mm/pages.h"
#include "smp/panic.h"
#include "vmx/vcpu.h"

_Noreturn static inline void nested_out_of_memory(void)
{
	fail("out of memory for nested VMX on CPU %u; give Umbra the option nested=off",
	     this_vcpu()->cpu.index);
}

static inline void *nested_alloc(u64 count)
{
	void *pages = pages_alloc(count);

	if (!pages)
		nested_out_of_memory();
	return pages;
}
