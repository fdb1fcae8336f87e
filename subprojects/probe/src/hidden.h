/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's memory, as hidden=0xSTART-0xEND on the command line tells it, or by hidden=map
 * the memory map: what is above 1 MiB and no RAM, begins where RAM ends, and reads as ones.
 */
#pragma once

#include "probe.h"

/* The range as given; false if there is none, or it is not one of whole pages. */
bool hidden_range_given(u64 *start, u64 *end);

/* Whole pages, *end not included; false if there is none: the case is skipped, or failed. */
bool hidden_range(struct run *t, u64 *start, u64 *end);
