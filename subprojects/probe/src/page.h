/* SPDX-License-Identifier: BSD-2-Clause */
/* The last page: all that matters of a run, to be photographed. It fits 80 columns and 25 rows. */
#pragma once

#include "probe.h"

/* Shows it, and waits so many seconds, or for a key. */
void page_show(const struct results *r, u64 seconds);
