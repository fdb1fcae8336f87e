/* SPDX-License-Identifier: BSD-2-Clause */
/* Every VMCS field of <x86/vmcs.h>, and when it exists. SDM appendix "Field Encoding in VMCS". */
#pragma once

#include "vmx/vmx.h"

struct vmcs_field {
	u32 encoding;
	const char *name;
	bool (*exists)(void); /* NULL: always */
};

extern const struct vmcs_field vmcs_fields[];
extern const unsigned vmcs_field_count;

static inline bool field_exists(const struct vmcs_field *f)
{
	return !f->exists || f->exists();
}

static inline enum vmcs_width field_width(u32 encoding)
{
	return (enum vmcs_width)VMCS_FIELD_WIDTH(encoding);
}

static inline bool field_read_only(u32 encoding)
{
	return VMCS_FIELD_TYPE(encoding) == VMCS_TYPE_READ_ONLY;
}

/* The bits that a VMWRITE to it must keep. */
u64 field_mask(u32 encoding);

/* A value for this field that differs from field to field and from salt to salt. */
u64 field_pattern(u32 encoding, u64 salt);
