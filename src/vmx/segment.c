/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/segment.h"

/* SDM "Segment Descriptors". */
struct segment_descriptor segment_decode(u64 raw)
{
	const u32 rights =
		raw >> 40 & (AR_TYPE | AR_S | AR_DPL | AR_P | AR_AVL | AR_L | AR_DB | AR_G);
	u32 limit = (u32)((raw & BITS(15, 0)) | (raw >> 32 & BITS(19, 16)));

	if (rights & AR_G)
		limit = limit << 12 | 0xfff;
	return (struct segment_descriptor){
		.base = (u32)((raw >> 16 & BITS(23, 0)) | (raw >> 32 & BITS(31, 24))),
		.limit = limit,
		.access_rights = rights,
	};
}

struct segment_descriptor segment_virtual_8086(u16 selector)
{
	return (struct segment_descriptor){
		.base = (u32)selector << 4,
		.limit = 0xffff,
		.access_rights =
			(u32)(AR_P | AR_DPL | AR_S) | TYPE_DATA_WRITABLE | (u32)AR_ACCESSED,
	};
}

bool segment_contains(const struct segment_descriptor *segment, u64 offset, u32 size)
{
	const u64 last = offset + size - 1;

	if ((segment->access_rights & (TYPE_CODE | TYPE_DATA_EXPAND_DOWN)) == TYPE_DATA_EXPAND_DOWN)
		return offset > segment->limit &&
		       last <= (segment->access_rights & AR_DB ? UINT32_MAX : UINT16_MAX);
	return last <= segment->limit;
}
