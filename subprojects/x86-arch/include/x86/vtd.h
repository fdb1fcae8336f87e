/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DMA remapping units (Intel Virtualization Technology for Directed I/O Architecture
 * Specification), in legacy mode.
 */
#pragma once

#include <x86/types.h>

/* "Root Entry" and "Context Entry". */
struct vtd_entry {
	u64 low, high;
};
_Static_assert(sizeof(struct vtd_entry) == 16, "root and context entries");

enum {
	VTD_TABLE_ENTRIES = 256,
	VTD_MIN_LEVELS = 3,
	VTD_MAX_LEVELS = 5,
};

enum vtd_entry_bits : u64 {
	VTD_PRESENT = BIT(0),
	VTD_UNTRANSLATED_ONLY = 0ull << 2, /* translation type, 3:2 */
	/* Domain 1 in bits 87:72: 0 is reserved where "not present" is cached. */
	VTD_DOMAIN = 1ull << 8,
};

/* "Address Width", bits 66:64: 1 is 39 bits and 3 levels, 2 is 48, 3 is 57. */
static inline u64 vtd_address_width(unsigned int levels)
{
	return levels - 2;
}

/* "Register Descriptions": offsets. */
enum vtd_register {
	VTD_VER = 0x00,
	VTD_CAP = 0x08,
	VTD_ECAP = 0x10,
	VTD_GCMD = 0x18,
	VTD_GSTS = 0x1c,
	VTD_RTADDR = 0x20,
	VTD_CCMD = 0x28,
	VTD_FSTS = 0x34,
	VTD_FECTL = 0x38,
	VTD_PMEN = 0x64,
	VTD_IQH = 0x80,
	VTD_IQT = 0x88,
};

enum vtd_cap : u64 {
	VTD_CAP_RWBF = BIT(4),
	VTD_CAP_PLMR = BIT(5),
	VTD_CAP_PHMR = BIT(6),
	VTD_CAP_2M = BIT(34),
	VTD_CAP_1G = BIT(35),
	VTD_CAP_ESRTPS = BIT(63),
};

/* SAGAW, bits 12:8: bit 1 for 3 levels, 2 for 4, 3 for 5. */
static inline bool vtd_cap_has_levels(u64 cap, unsigned int levels)
{
	return cap >> (8 + levels - 2) & 1;
}

/* MGAW, bits 21:16: bits of addresses, less one. */
static inline unsigned int vtd_cap_width(u64 cap)
{
	return (unsigned int)(cap >> 16 & 63) + 1;
}

/* FRO, bits 33:24, in units of 16 bytes; NFR, bits 47:40, less one. */
static inline u32 vtd_cap_fault_offset(u64 cap)
{
	return (u32)(cap >> 24 & 0x3ff) * 16;
}

static inline u32 vtd_cap_fault_count(u64 cap)
{
	return (u32)(cap >> 40 & 0xff) + 1;
}

/* IRO, bits 17:8: of IVA_REG; IOTLB_REG follows it. */
static inline u32 vtd_ecap_iotlb_offset(u64 ecap)
{
	return (u32)(ecap >> 8 & 0x3ff) * 16 + 8;
}

/* "Global Command Register" and "Global Status Register" have the same bits. */
enum vtd_global : u32 {
	VTD_TE = 1u << 31,
	VTD_SRTP = 1u << 30,
	VTD_SFL = 1u << 29,
	VTD_EAFL = 1u << 28,
	VTD_WBF = 1u << 27,
	VTD_QIE = 1u << 26,
	VTD_IRE = 1u << 25,
	VTD_SIRTP = 1u << 24,
	/* Commands done once, whose status bits say that they have been. */
	VTD_ONE_SHOT = VTD_SRTP | VTD_SFL | VTD_WBF | VTD_SIRTP,
};

enum vtd_rtaddr : u64 {
	VTD_RTADDR_MODE = BITS(11, 10), /* 0: legacy mode */
};

enum vtd_invalidate : u64 {
	VTD_CCMD_INVALIDATE = BIT(63),
	VTD_CCMD_GLOBAL = 1ull << 61,
	VTD_IOTLB_INVALIDATE = BIT(63),
	VTD_IOTLB_GLOBAL = 1ull << 60,
	VTD_IOTLB_DRAIN_READS = BIT(49),
	VTD_IOTLB_DRAIN_WRITES = BIT(48),
};

enum vtd_fault : u32 {
	VTD_FSTS_OVERFLOW = 1u << 0,
	VTD_FSTS_PENDING = 1u << 1,
	VTD_FECTL_MASK = 1u << 31,
};

/* "Fault Recording Registers", the upper 64 bits. */
enum vtd_fault_record : u64 {
	VTD_RECORD_FAULT = BIT(63), /* cleared by writing it */
	VTD_RECORD_READ = BIT(62),
};

enum vtd_pmen : u32 {
	VTD_PMEN_ENABLE = 1u << 31,
	VTD_PMEN_STATUS = 1u << 0,
};
