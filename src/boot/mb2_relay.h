/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The boot loader's information once its successor has ended the boot services itself: what the
 * loader could not know then is added. Pure.
 */
#pragma once

#include "boot/efi_map.h"
#include "mm/memmap.h"

/*
 * Copies information that mb2_parse() has accepted, without the tags that say that boot services
 * run, and with both memory maps. Returns the bytes it takes; more than `capacity`: *out is not
 * complete.
 */
size_t mb2_relay(const void *info, const struct memmap *map, const struct efi_map_view *efi,
		 void *out, size_t capacity);
