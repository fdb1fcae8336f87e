/* SPDX-License-Identifier: BSD-2-Clause */
/* What a boot loader says of the screen. */
#pragma once

#include <x86/types.h>

/* Numbered as multiboot2 does. */
enum framebuffer_type {
	FRAMEBUFFER_INDEXED = 0,
	FRAMEBUFFER_RGB = 1,
	FRAMEBUFFER_TEXT = 2,
};

/* pitch * height bytes from addr do not wrap and hold width pixels a line. */
struct framebuffer {
	paddr_t addr;
	u32 pitch; /* bytes from one line to the next */
	u32 width; /* pixels; characters for FRAMEBUFFER_TEXT */
	u32 height;
	u8 bpp;
	u8 type; /* enum framebuffer_type, or another one, which is not drawn on */
	/* FRAMEBUFFER_RGB only: bit position and width of each colour, inside bpp. */
	u8 red_pos, red_size;
	u8 green_pos, green_size;
	u8 blue_pos, blue_size;
};

/*
 * Multiboot2 Specification, "Framebuffer info": the tag, and behind it the colours' bits. The
 * specification's figure gives `reserved` one byte, its header file two. GRUB is built from the
 * header file, so colour information starts at 32.
 */
struct mb2_framebuffer {
	u32 tag_type, tag_size;
	u64 addr;
	u32 pitch;
	u32 width;
	u32 height;
	u8 bpp;
	u8 type;
	u16 reserved;
};
_Static_assert(sizeof(struct mb2_framebuffer) == 32, "framebuffer tag");

/* With FRAMEBUFFER_RGB. */
struct mb2_framebuffer_rgb {
	u8 red_pos, red_size;
	u8 green_pos, green_size;
	u8 blue_pos, blue_size;
};
_Static_assert(sizeof(struct mb2_framebuffer_rgb) == 6, "framebuffer colour information");
