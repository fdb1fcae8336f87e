/* SPDX-License-Identifier: BSD-2-Clause */
/* The font on a linear framebuffer. */
#pragma once

#include <x86/types.h>

/*
 * Glyphs of the printable ASCII characters, ' ' first. A byte is a row of eight pixels, the
 * top row first, bit 7 leftmost. The rightmost column of every glyph is blank.
 */
extern const u8 font_8x16[95][16];
