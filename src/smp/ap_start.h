/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting the application processors for Umbra itself, before the guest exists. */
#pragma once

#include "mm/memmap.h"

/*
 * Starts every CPU in cpus[] but this one; each enters VMX operation and goes on into the guest,
 * waiting for its SIPI. `avoid` are ranges in use below 1 MiB. Stops with a message if one does not
 * come: it would be outside Umbra's control.
 */
void ap_start_all(const struct memmap *map, const struct range *avoid, size_t n_avoid);
