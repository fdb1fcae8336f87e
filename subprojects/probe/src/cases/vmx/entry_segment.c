/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Checks on Guest Segment Registers", of a 64-bit guest and a 32-bit one. */
#include "entries.h"
#include "layout.h"

#define SELECTOR(segment) (VMCS_GUEST_ES_SELECTOR + 2u * (segment))
#define BASE(segment)     (VMCS_GUEST_ES_BASE + 2u * (segment))
#define LIMIT(segment)    (VMCS_GUEST_ES_LIMIT + 2u * (segment))
#define RIGHTS(segment)   (VMCS_GUEST_ES_ACCESS_RIGHTS + 2u * (segment))

enum {
	TI = 1 << 2,
	DATA = 0xc093,
	CODE64 = 0xa09b,
	DPL3 = 0x60,
};

/* Bits 11:8 and 31:17 are reserved in every usable segment. */
static void check_reserved(struct run *t, struct l2 *l2, enum segment segment)
{
	for (unsigned bit = 8; bit < 32; bit++)
		if (bit < 12 || bit > 16)
			ENTRY_FLIP(RIGHTS(segment), BIT(bit), BAD_GUEST);
}

/* "Bits 11:0 of the limit not all 1: G must be 0; bits 31:20 not 0: G must be 1." */
static void check_granularity(struct run *t, struct l2 *l2, enum segment segment)
{
	u64 rights = vmread(RIGHTS(segment)), limit = vmread(LIMIT(segment));

	vmwrite(RIGHTS(segment), rights | AR_G);
	ENTRY(LIMIT(segment), 0x1ffe, BAD_GUEST);
	ENTRY(LIMIT(segment), 0x1fff, ENTERED);
	vmwrite(RIGHTS(segment), rights & ~AR_G);
	ENTRY(LIMIT(segment), 0x100000, BAD_GUEST);
	ENTRY(LIMIT(segment), 0xfffff, ENTERED);
	vmwrite(RIGHTS(segment), rights);
	vmwrite(LIMIT(segment), limit);
}

PROBE_CASE(entry_cs, "vmx.entry.guest_cs", CASE_EACH_CPU)
{
	static const u8 good_types = 0x9b & 0xf;
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	for (u64 type = 0; type < 16; type++)
		ENTRY(RIGHTS(SEG_CS), (CODE64 & ~0xfull) | type,
		      type == 9 || type == good_types || type == 13 || type == 15 ? ENTERED
										  : BAD_GUEST);
	ENTRY_FLIP(RIGHTS(SEG_CS), AR_S, BAD_GUEST);
	ENTRY_FLIP(RIGHTS(SEG_CS), AR_P, BAD_GUEST);
	ENTRY_FLIP(RIGHTS(SEG_CS), AR_DB, BAD_GUEST);
	/* Non-conforming: DPL is SS's. Unusable CS is not a thing: bit 16 is reserved for it. */
	ENTRY_FLIP(RIGHTS(SEG_CS), DPL3, BAD_GUEST);
	check_reserved(t, l2, SEG_CS);
	ENTRY_FLIP(BASE(SEG_CS), BIT(32), BAD_GUEST);
	ENTRY_FLIP(SELECTOR(SEG_CS), 3, BAD_GUEST);
	check_granularity(t, l2, SEG_CS);
	ENTRY_STILL_GOOD();
}

PROBE_CASE(entry_ss, "vmx.entry.guest_ss", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	for (u64 type = 0; type < 16; type++)
		ENTRY(RIGHTS(SEG_SS), (DATA & ~0xfull) | type,
		      type == 3 || type == 7 ? ENTERED : BAD_GUEST);
	ENTRY_FLIP(RIGHTS(SEG_SS), AR_S, BAD_GUEST);
	ENTRY_FLIP(RIGHTS(SEG_SS), AR_P, BAD_GUEST);
	/* DPL is RPL's, RPL is CS's. */
	ENTRY_FLIP(RIGHTS(SEG_SS), DPL3, BAD_GUEST);
	ENTRY_FLIP(SELECTOR(SEG_SS), 3, BAD_GUEST);
	check_reserved(t, l2, SEG_SS);
	check_granularity(t, l2, SEG_SS);
	ENTRY(BASE(SEG_SS), BIT(32), BAD_GUEST);
	/* Unusable: DPL still counts, the rest does not. */
	vmwrite(SELECTOR(SEG_SS), 0);
	ENTRY(RIGHTS(SEG_SS), AR_UNUSABLE, ENTERED);
	ENTRY(RIGHTS(SEG_SS), AR_UNUSABLE | 0x0f, ENTERED);
	ENTRY(RIGHTS(SEG_SS), AR_UNUSABLE | DPL3, BAD_GUEST);
}

PROBE_CASE(entry_data, "vmx.entry.guest_data_segments", CASE_EACH_CPU)
{
	static const enum segment segments[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(segments); i++) {
		enum segment s = segments[i];
		u64 selector = vmread(SELECTOR(s)), rights = vmread(RIGHTS(s));

		vmwrite(SELECTOR(s), SEL_DATA);
		vmwrite(RIGHTS(s), DATA);
		vmwrite(LIMIT(s), 0xffffffff);
		for (u64 type = 0; type < 16; type++)
			ENTRY(RIGHTS(s), (DATA & ~0xfull) | type,
			      type & 1 && (!(type & 8) || type & 2) ? ENTERED : BAD_GUEST);
		ENTRY_FLIP(RIGHTS(s), AR_S, BAD_GUEST);
		ENTRY_FLIP(RIGHTS(s), AR_P, BAD_GUEST);
		check_reserved(t, l2, s);
		check_granularity(t, l2, s);
		/* RPL above DPL; a conforming code segment does not mind. */
		ENTRY(SELECTOR(s), SEL_DATA | 3, BAD_GUEST);
		vmwrite(RIGHTS(s), 0xc09f);
		ENTRY(SELECTOR(s), SEL_DATA | 3, ENTERED);
		vmwrite(RIGHTS(s), DATA);
		if (s == SEG_FS || s == SEG_GS)
			ENTRY(BASE(s), NONCANONICAL, BAD_GUEST);
		else
			ENTRY(BASE(s), BIT(32), BAD_GUEST);
		/* Unusable: nothing counts but FS's and GS's bases. */
		ENTRY(RIGHTS(s), AR_UNUSABLE | 0xfff, ENTERED);
		vmwrite(RIGHTS(s), rights);
		vmwrite(SELECTOR(s), selector);
	}
	ENTRY(BASE(SEG_FS), NONCANONICAL, BAD_GUEST);
	ENTRY(BASE(SEG_GS), NONCANONICAL, BAD_GUEST);
	ENTRY_STILL_GOOD();
}

PROBE_CASE(entry_tr, "vmx.entry.guest_tr_ldtr", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	/* A 64-bit guest: only the busy 64-bit TSS. */
	for (u64 type = 0; type < 16; type++)
		ENTRY(RIGHTS(SEG_TR), 0x80 | type, type == 11 ? ENTERED : BAD_GUEST);
	ENTRY_FLIP(RIGHTS(SEG_TR), AR_S, BAD_GUEST);
	ENTRY_FLIP(RIGHTS(SEG_TR), AR_P, BAD_GUEST);
	ENTRY_FLIP(RIGHTS(SEG_TR), AR_UNUSABLE, BAD_GUEST);
	ENTRY_FLIP(SELECTOR(SEG_TR), TI, BAD_GUEST);
	ENTRY(BASE(SEG_TR), NONCANONICAL, BAD_GUEST);
	check_reserved(t, l2, SEG_TR);
	check_granularity(t, l2, SEG_TR);

	/* LDTR: usable, then unusable again. */
	vmwrite(SELECTOR(SEG_LDTR), 0x18);
	vmwrite(RIGHTS(SEG_LDTR), 0x82);
	for (u64 type = 0; type < 16; type++)
		ENTRY(RIGHTS(SEG_LDTR), 0x80 | type, type == 2 ? ENTERED : BAD_GUEST);
	ENTRY_FLIP(RIGHTS(SEG_LDTR), AR_S, BAD_GUEST);
	ENTRY_FLIP(RIGHTS(SEG_LDTR), AR_P, BAD_GUEST);
	ENTRY_FLIP(SELECTOR(SEG_LDTR), TI, BAD_GUEST);
	ENTRY(BASE(SEG_LDTR), NONCANONICAL, BAD_GUEST);
	check_reserved(t, l2, SEG_LDTR);
	check_granularity(t, l2, SEG_LDTR);
	vmwrite(RIGHTS(SEG_LDTR), AR_UNUSABLE);
	ENTRY_FLIP(SELECTOR(SEG_LDTR), TI, ENTERED);
	ENTRY_STILL_GOOD();
}
