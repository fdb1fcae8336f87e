/* SPDX-License-Identifier: BSD-2-Clause */
/* Segments and selectors as data: SDM "Segment Selectors", "Segment Descriptors". Pure. */
#pragma once

#include <x86/types.h>
#include <x86/vmcs.h>

/* A segment as a segment register's hidden part holds it; access rights as the VMCS has them. */
struct segment_descriptor {
	u64 base;  /* of more than 32 bits for FS, GS and system segments alone */
	u32 limit; /* in bytes */
	u32 access_rights;
};

/* Of a descriptor in a table; the upper half of a 64-bit base is not in it. */
struct segment_descriptor segment_decode(u64 raw);

/* What loading a selector gives in virtual-8086 mode. */
struct segment_descriptor segment_virtual_8086(u16 selector);

/* Whether a descriptor is inside a table; for null selectors too. */
static inline bool selector_in_limit(u16 selector, u32 table_limit)
{
	return (selector | 7u) <= table_limit;
}

static inline bool selector_is_null(u16 selector)
{
	return !(selector & ~3u);
}

static inline bool selector_in_ldt(u16 selector)
{
	return selector & 4;
}

/* Whether `size` bytes from `offset` on are inside a data segment, expand-down ones too. */
bool segment_contains(const struct segment_descriptor *segment, u64 offset, u32 size);
