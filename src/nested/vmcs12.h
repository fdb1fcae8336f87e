/* SPDX-License-Identifier: BSD-2-Clause */
/* What L1 wrote for L2. The same layout in the cache and, when written back, in L1's page. */
#pragma once

#include "nested/fields.h"

/* The revision identifier L1 reads from IA32_VMX_BASIC; it names this layout. */
enum { VMCS12_REVISION = 0x00756d01 };

/* Beside it in the header: SDM "Format of the VMCS Region". */
static const u32 VMCS_SHADOW_INDICATOR = 1u << 31;

struct vmcs12 {
	u32 revision; /* SDM "Format of the VMCS Region" fixes these two */
	u32 abort;
	u32 launched;
	u32 reserved;
	u64 f[F_COUNT];
};
_Static_assert(sizeof(struct vmcs12) <= PAGE_SIZE, "vmcs12 fits L1's VMCS region");

/* The secondary controls, which are all 0 unless the primary ones activate them. */
static inline u64 secondary_of(const struct vmcs12 *v)
{
	return v->f[F_PRIMARY_CONTROLS] & CPU_SECONDARY_CONTROLS ? v->f[F_SECONDARY_CONTROLS] : 0;
}

/* The same of the tertiary controls and of the secondary VM-exit controls. */
static inline u64 tertiary_of(const struct vmcs12 *v)
{
	return v->f[F_PRIMARY_CONTROLS] & CPU_TERTIARY_CONTROLS ? v->f[F_TERTIARY_CONTROLS] : 0;
}

static inline u64 exit2_of(const struct vmcs12 *v)
{
	return v->f[F_EXIT_CONTROLS] & EXIT_SECONDARY_CONTROLS ? v->f[F_SECONDARY_EXIT_CONTROLS]
							       : 0;
}
