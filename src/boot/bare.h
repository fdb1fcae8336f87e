/* SPDX-License-Identifier: BSD-2-Clause */
/* A kernel that is started on the machine itself, since Umbra cannot run below it. */
#pragma once

#include "vmx/setup.h"

/* Room for the code that leaves 64-bit mode, in the page of the guest's GDT. */
enum { BARE_STUB_MAX = 192 };

/*
 * Leaves VMX operation, if this CPU is in it. Another CPU that does so can halt: an INIT starts it
 * again then, which VMX root operation would block (SDM "Restrictions on VMX Operation").
 */
void bare_leave_vmx(void);

/*
 * Starts a guest in protected mode as vmx_guest_start_state() does, with no hypervisor. `stub` is
 * the physical address of BARE_STUB_MAX bytes in one page, below 4 GiB, that is executable at this
 * address, too.
 */
_Noreturn void bare_start(const struct guest_start *start, paddr_t stub);
