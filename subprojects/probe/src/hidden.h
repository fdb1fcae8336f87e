/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor's memory, as hidden=0xSTART-0xEND on the command line tells it. */
#pragma once

#include "probe.h"

/* Whole pages, *end not included; false if there is none: the case is skipped, or failed. */
bool hidden_range(struct run *t, u64 *start, u64 *end);
