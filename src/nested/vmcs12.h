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

/* A set of fields. */
struct field_set {
	u64 bits[(F_COUNT + 63) / 64];
};

static inline void field_set_add(struct field_set *set, enum vmcs12_field f)
{
	set->bits[f / 64] |= 1ull << (f % 64);
}

static inline void field_set_remove(struct field_set *set, enum vmcs12_field f)
{
	set->bits[f / 64] &= ~(1ull << (f % 64));
}

static inline void field_set_subtract(struct field_set *set, const struct field_set *other)
{
	for (u32 i = 0; i < ARRAY_SIZE(set->bits); i++)
		set->bits[i] &= ~other->bits[i];
}

static inline bool field_set_is_empty(const struct field_set *set)
{
	u64 all = 0;

	for (u32 i = 0; i < ARRAY_SIZE(set->bits); i++)
		all |= set->bits[i];
	return !all;
}

/* Each field of the set as it is when its word is reached, which may be changed meanwhile. */
#define FOR_EACH_FIELD(f, set)                                                                   \
	for (u32 word_ = 0; word_ < ARRAY_SIZE((set)->bits); word_++)                            \
		for (u64 rest_ = (set)->bits[word_]; rest_; rest_ &= rest_ - 1)                  \
			for (u32 f = word_ * 64 + (u32)__builtin_ctzll(rest_), once_ = 1; once_; \
			     once_ = 0)

static inline bool field_set_has(const struct field_set *set, enum vmcs12_field f)
{
	return set->bits[f / 64] >> (f % 64) & 1;
}
