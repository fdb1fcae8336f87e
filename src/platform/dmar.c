/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/dmar.h"

#include "lib/string.h"

#define PACKED __attribute__((packed))

/* "DMA Remapping Reporting Structure" */
struct dmar {
	u8 header[36];
	u8 address_width; /* less one */
	u8 flags;
	u8 reserved[10];
} PACKED;
_Static_assert(sizeof(struct dmar) == 48, "DMAR");

enum entry_type {
	DRHD = 0,
	RMRR = 1,
	ATSR = 2,
	RHSA = 3,
	ANDD = 4,
	SATC = 5,
	SIDP = 6,
	ENTRY_TYPES,
};

struct entry {
	u16 type;
	u16 length;
} PACKED;

/* "DMA Remapping Hardware Unit Definition Structure" */
struct drhd {
	struct entry entry;
	u8 flags;
	u8 size; /* 3:0: of the registers, 2^n pages */
	u16 segment;
	u64 registers;
} PACKED;
_Static_assert(sizeof(struct drhd) == 16, "DRHD");

/* "Reserved Memory Region Reporting Structure" */
struct rmrr {
	struct entry entry;
	u16 reserved;
	u16 segment;
	u64 base;
	u64 limit; /* the last byte */
} PACKED;
_Static_assert(sizeof(struct rmrr) == 24, "RMRR");

/* What precedes the scopes of an entry; one without scopes may be longer. */
static const struct {
	u8 fixed;
	bool has_scopes;
} types[ENTRY_TYPES] = {
	[DRHD] = {sizeof(struct drhd), true},
	[RMRR] = {sizeof(struct rmrr), true},
	[ATSR] = {8, true},
	[RHSA] = {20, false},
	[ANDD] = {8, false},
	[SATC] = {8, true},
	[SIDP] = {8, true},
};

/* "Device Scope Structure": what an entry is for. */
static bool scopes_fit(const u8 *at, u32 left)
{
	enum { LENGTH = 1, LEAST = 6 };

	while (left) {
		if (left < LEAST || at[LENGTH] < LEAST || at[LENGTH] > left)
			return false;
		left -= at[LENGTH];
		at += at[LENGTH];
	}
	return true;
}

static const char *add_unit(const struct drhd *drhd, struct dmar_info *out)
{
	const u64 size = PAGE_SIZE << (drhd->size & 15);

	if (drhd->registers == 0 || drhd->registers % PAGE_SIZE || drhd->registers >> 52 ||
	    (drhd->registers + size) >> 52)
		return "the DMAR has a unit at an impossible address";
	if (out->unit_count == DMAR_MAX_UNITS)
		return "the DMAR lists too many units";
	out->unit[out->unit_count++] = (struct range){drhd->registers, size};
	return NULL;
}

static const char *add_reserved(const struct rmrr *rmrr, struct dmar_info *out)
{
	if (rmrr->limit < rmrr->base || rmrr->limit - rmrr->base == UINT64_MAX)
		return "the DMAR has reserved memory that ends before it begins";
	if (out->reserved_count == DMAR_MAX_RESERVED)
		return "the DMAR lists too much reserved memory";
	out->reserved[out->reserved_count++] =
		(struct range){rmrr->base, rmrr->limit - rmrr->base + 1};
	return NULL;
}

const char *dmar_parse(const u8 *table, u32 length, struct dmar_info *out)
{
	const struct dmar *dmar = (const void *)table;
	const char *error = NULL;

	memset(out, 0, sizeof(*out));
	if (length < sizeof(*dmar))
		return "the DMAR's length is impossible";
	if (dmar->address_width < 31 || dmar->address_width > 63)
		return "the DMAR's address width is impossible";
	out->address_width = (u8)(dmar->address_width + 1);
	out->flags = dmar->flags;

	for (u32 at = sizeof(*dmar); at < length && !error;) {
		const struct entry *e = (const void *)(table + at);
		u32 fixed;

		if (length - at < sizeof(*e) || e->length > length - at)
			return "an entry of the DMAR runs past its end";
		fixed = e->type < ENTRY_TYPES ? types[e->type].fixed : sizeof(*e);
		if (e->length < fixed)
			return "an entry of the DMAR is too short for its type";
		if (e->type < ENTRY_TYPES && types[e->type].has_scopes &&
		    !scopes_fit(table + at + fixed, e->length - fixed))
			return "a device scope of the DMAR does not fit its entry";
		if (e->type == DRHD)
			error = add_unit((const void *)e, out);
		else if (e->type == RMRR)
			error = add_reserved((const void *)e, out);
		at += e->length;
	}
	return error;
}
