/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Access to the current VMCS, typed by field width: a field of another width does not compile
 * (-Wenum-conversion). A failing VMREAD or VMWRITE is a bug of Umbra's, so only builds with
 * assertions look.
 */
#pragma once

#include "config.h"

#include <x86/types.h>
#include <x86/vmcs.h>

#include "lib/insn.h"
#include "vmx/segment.h"
#include "vmx/vcpu.h"

/* Names the field and panics. */
_Noreturn void vmcs_access_failed(u32 field, bool write);

/* The same for VMPTRLD and VMCLEAR. */
_Noreturn void vmcs_switch_failed(paddr_t vmcs);

static inline void vmcs_counted(enum vmcs_counted what)
{
	if (UMBRA_COUNT_VMCS)
		this_vcpu()->vmcs_count[what]++;
}

static inline u64 vmcs_read(u32 field)
{
	u64 value;

	vmcs_counted(VMCS_COUNTED_READ);
	if (!UMBRA_ASSERTIONS)
		return vmread_unchecked(field);
	if (!vmread(field, &value))
		vmcs_access_failed(field, false);
	return value;
}

static inline void vmcs_write(u32 field, u64 value)
{
	vmcs_counted(VMCS_COUNTED_WRITE);
	if (!UMBRA_ASSERTIONS)
		vmwrite_unchecked(field, value);
	else if (!vmwrite(field, value))
		vmcs_access_failed(field, true);
}

/* VMPTRLD and VMCLEAR of a VMCS of Umbra's own. */
static inline void vmcs_load(paddr_t vmcs)
{
	vmcs_counted(VMCS_COUNTED_LOAD);
	if (!vmptrld(vmcs))
		vmcs_switch_failed(vmcs);
}

static inline void vmcs_clear(paddr_t vmcs)
{
	vmcs_counted(VMCS_COUNTED_CLEAR);
	if (!vmclear(vmcs))
		vmcs_switch_failed(vmcs);
}

static inline u16 vmread16(enum vmcs16 field)
{
	return (u16)vmcs_read(field);
}

static inline u32 vmread32(enum vmcs32 field)
{
	return (u32)vmcs_read(field);
}

static inline u64 vmread64(enum vmcs64 field)
{
	return vmcs_read(field);
}

static inline u64 vmreadn(enum vmcsn field)
{
	return vmcs_read(field);
}

static inline void vmwrite16(enum vmcs16 field, u16 value)
{
	vmcs_write(field, value);
}

static inline void vmwrite32(enum vmcs32 field, u32 value)
{
	vmcs_write(field, value);
}

static inline void vmwrite64(enum vmcs64 field, u64 value)
{
	vmcs_write(field, value);
}

static inline void vmwriten(enum vmcsn field, u64 value)
{
	vmcs_write(field, value);
}

static inline void vmcs_set32(enum vmcs32 field, u32 bits)
{
	vmwrite32(field, vmread32(field) | bits);
}

static inline void vmcs_clear32(enum vmcs32 field, u32 bits)
{
	vmwrite32(field, vmread32(field) & ~bits);
}

/* Segment fields lie two encodings apart, in the order of enum segment. */
static inline u32 vmcs_segment_field(u32 es_field, enum segment seg)
{
	return es_field + 2 * (u32)seg;
}

static inline struct segment_descriptor vmcs_read_segment(enum segment seg)
{
	return (struct segment_descriptor){
		.base = vmcs_read(vmcs_segment_field(VMCS_GUEST_ES_BASE, seg)),
		.limit = (u32)vmcs_read(vmcs_segment_field(VMCS_GUEST_ES_LIMIT, seg)),
		.access_rights =
			(u32)vmcs_read(vmcs_segment_field(VMCS_GUEST_ES_ACCESS_RIGHTS, seg)),
	};
}

static inline void vmcs_write_segment(enum segment seg, u16 selector, struct segment_descriptor d)
{
	vmcs_write(vmcs_segment_field(VMCS_GUEST_ES_SELECTOR, seg), selector);
	vmcs_write(vmcs_segment_field(VMCS_GUEST_ES_BASE, seg), d.base);
	vmcs_write(vmcs_segment_field(VMCS_GUEST_ES_LIMIT, seg), d.limit);
	vmcs_write(vmcs_segment_field(VMCS_GUEST_ES_ACCESS_RIGHTS, seg), d.access_rights);
}
