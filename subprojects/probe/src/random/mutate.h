/* SPDX-License-Identifier: BSD-2-Clause */
/* Random changes to a VMCS that enters: near the valid, on either side. */
#pragma once

#include "random/world.h"

/* A guest-state field. */
void mutate_guest(struct world *w);

/* A control: a bit both the CPU and Umbra have, one that must be 1, or a field beside. */
void mutate_control(struct world *w);

/*
 * What may be executed by the EPT, in either of the two ways that "mode-based execute control for
 * EPT" has, and perhaps that control.
 */
void mutate_execute(struct world *w);

/*
 * A host-state field, to what VM entry must refuse, so that no exit can load it; or one that does
 * this kernel no harm. mutate_undo() puts the host state right again.
 */
void mutate_host(struct world *w);
void mutate_undo(struct world *w);

/* Event injection. */
void mutate_event(struct world *w);

/* Lists of MSRs for entry or exit; exit loads only what may be loaded. */
void mutate_msr_lists(struct world *w);

/*
 * Before each entry: round what Bochs 2.7 does not do. It enters IA-32e mode without paging, and
 * panics there; SDM "Checks on Guest Control Registers, Debug Registers, and MSRs": such an entry
 * fails. And no exit saves IA32_DEBUGCTL, which shows where the entry has not loaded it; SDM
 * "Saving Control Registers, Debug Registers, and MSRs". And where IA32_VMX_BASIC bit 56 says that
 * any exception may have an error code, it lets any event have one; SDM "VM-Entry Control Fields":
 * hardware exceptions alone may, and in protected mode.
 */
void mutate_tame(void);
