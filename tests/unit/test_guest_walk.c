/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <x86/cr.h>
#include <x86/msr.h>

#include "mm/guest_walk.h"

enum {
	MEMORY_SIZE = 64 << 10,
	P = 1,
	RW = 2,
	US = 4,
	A = 0x20,
	D = 0x40,
	PS = 0x80,
};
static const u64 XD = 1ull << 63;

/* Table of level n at n * 4 KiB; CR3 and the index of each level are easy to see then. */
static u8 memory[MEMORY_SIZE];
static unsigned int races;

static bool mem_read(void *ctx, paddr_t pa, void *dst, size_t size)
{
	(void)ctx;
	assert_int_equal(pa % size, 0);
	if (pa > MEMORY_SIZE - size)
		return false;
	memcpy(dst, memory + pa, size);
	return true;
}

static bool mem_exchange(void *ctx, paddr_t pa, u64 old, u64 new, size_t size)
{
	u64 now = 0;
	assert_true(mem_read(ctx, pa, &now, size));
	if (races) {
		races--;
		return false;
	}
	assert_int_equal(now, old);
	memcpy(memory + pa, &new, size);
	return true;
}

static const struct guest_walk_ops ops = {.read = mem_read, .exchange = mem_exchange};
static const struct guest_walk_ops ops_readonly = {.read = mem_read};

static void put64(paddr_t table, unsigned int index, u64 entry)
{
	memcpy(memory + table + 8 * index, &entry, 8);
}

static void put32(paddr_t table, unsigned int index, u32 entry)
{
	memcpy(memory + table + 4 * index, &entry, 4);
}

static u64 get64(paddr_t table, unsigned int index)
{
	u64 entry;
	memcpy(&entry, memory + table + 8 * index, 8);
	return entry;
}

static u32 get32(paddr_t table, unsigned int index)
{
	u32 entry;
	memcpy(&entry, memory + table + 4 * index, 4);
	return entry;
}

static int clear(void **state)
{
	(void)state;
	memset(memory, 0, sizeof(memory));
	races = 0;
	return 0;
}

static struct guest_paging paging_32(void)
{
	return (struct guest_paging){.cr0 = CR0_PE | CR0_PG | CR0_WP,
				     .cr3 = 0x2018, /* PWT and PCD are no address */
				     .cr4 = CR4_PSE,
				     .maxphyaddr = 36,
				     .has_pse36 = true};
}

static struct guest_paging paging_pae(void)
{
	return (struct guest_paging){.cr0 = CR0_PE | CR0_PG | CR0_WP,
				     .cr3 = 0x7fe0,
				     .cr4 = CR4_PAE,
				     .efer = EFER_NXE,
				     .pdpte = {0x2000 | P, 0, 0x3000 | P, 0},
				     .maxphyaddr = 36};
}

static struct guest_paging paging_64(bool five)
{
	return (struct guest_paging){.cr0 = CR0_PE | CR0_PG | CR0_WP,
				     .cr3 = (five ? 0x5000u : 0x4000u) | 0xabc,
				     .cr4 = CR4_PAE | CR4_PCIDE | (five ? CR4_LA57 : 0),
				     .efer = EFER_NXE | EFER_LME | EFER_LMA,
				     .maxphyaddr = 40,
				     .has_1g_pages = true};
}

static void expect_pa(const struct guest_paging *p, struct guest_access a, paddr_t pa, u64 size)
{
	struct guest_walk w;
	assert_int_equal(guest_walk(p, &a, &ops, NULL, &w), GUEST_WALK_OK);
	assert_int_equal(w.pa, pa);
	assert_int_equal(w.page_size, size);
}

static void expect_fault(const struct guest_paging *p, struct guest_access a, u32 error)
{
	struct guest_walk w;
	static u8 before[MEMORY_SIZE];
	memcpy(before, memory, sizeof(memory));
	assert_int_equal(guest_walk(p, &a, &ops, NULL, &w), GUEST_WALK_FAULT);
	assert_int_equal(w.error_code, error);
	assert_memory_equal(before, memory, sizeof(memory));
}

static struct guest_access read_of(u64 linear)
{
	return (struct guest_access){.linear = linear, .type = GUEST_READ};
}

static void no_paging(void **state)
{
	(void)state;
	struct guest_paging p = {.cr0 = CR0_PE, .cr4 = CR4_PAE | CR4_SMEP, .maxphyaddr = 36};
	expect_pa(&p, (struct guest_access){0xfedcba98, GUEST_WRITE, true, false, false},
		  0xfedcba98, PAGE_SIZE);
}

static void mode_32(void **state)
{
	(void)state;
	struct guest_paging p = paging_32();
	put32(0x2000, 0x301, 0x1000 | P | RW | US);
	put32(0x1000, 0x3ff, 0xfffff000 | P | RW | US | PS); /* bit 7 is PAT here */
	u64 la = 0x301ull << 22 | 0x3ff << 12 | 0x123;
	expect_pa(&p, read_of(la), 0xfffff123, PAGE_SIZE);
	assert_int_equal(get32(0x2000, 0x301), 0x1000 | P | RW | US | A);
	assert_int_equal(get32(0x1000, 0x3ff), 0xfffff000 | P | RW | US | PS | A);
	expect_pa(&p, (struct guest_access){la, GUEST_WRITE, true, false, false}, 0xfffff123,
		  PAGE_SIZE);
	assert_int_equal(get32(0x2000, 0x301), 0x1000 | P | RW | US | A);
	assert_int_equal(get32(0x1000, 0x3ff), 0xfffff000 | P | RW | US | PS | A | D);
	expect_fault(&p, read_of(la + PAGE_SIZE), 0);
	expect_fault(&p, read_of(0), 0);
	/* No NX here, whatever EFER says: the fetch flag is SMEP's. */
	p.efer = EFER_NXE;
	expect_fault(&p, (struct guest_access){0, GUEST_FETCH, true, false, false}, PF_USER);
	p.cr4 |= CR4_SMEP;
	expect_fault(&p, (struct guest_access){0, GUEST_FETCH, true, false, false},
		     PF_USER | PF_FETCH);
}

static void mode_32_large(void **state)
{
	(void)state;
	struct guest_paging p = paging_32();
	/* PSE-36: bits 39:32 of the address in 20:13, those of this machine in 16:13. */
	put32(0x2000, 1, 0x12400000 | 0xf << 13 | PS | P);
	expect_pa(&p, read_of(0x7fffff), 0xf127fffff, 4 * MIB);
	assert_int_equal(get32(0x2000, 1) & (A | D), A);
	for (unsigned int bit = 17; bit <= 21; bit++) {
		put32(0x2000, 1, 0x12400000 | 1u << bit | PS | P);
		expect_fault(&p, read_of(0x400000), PF_PRESENT | PF_RESERVED);
	}
	p.maxphyaddr = 46; /* bits above 39 do not fit */
	put32(0x2000, 1, 0x12400000 | 0xffu << 13 | PS | P);
	expect_pa(&p, read_of(0x400000), 0xff12400000, 4 * MIB);
	put32(0x2000, 1, 1u << 21 | PS | P);
	expect_fault(&p, read_of(0x400000), PF_PRESENT | PF_RESERVED);
	p.has_pse36 = false;
	for (unsigned int bit = 13; bit <= 21; bit++) {
		put32(0x2000, 1, 0x12400000 | 1u << bit | PS | P);
		expect_fault(&p, (struct guest_access){0x400000, GUEST_WRITE, true, false, false},
			     PF_PRESENT | PF_RESERVED | PF_WRITE | PF_USER);
	}
	put32(0x2000, 1, 0x12400000 | 1u << 12 | PS | P); /* PAT */
	expect_pa(&p, read_of(0x400000), 0x12400000, 4 * MIB);
	/* Without CR4.PSE the bit is ignored and this is a page table. */
	p.cr4 = 0;
	put32(0x2000, 1, 0x1000 | PS | P);
	put32(0x1000, 0, 0x5000 | P);
	expect_pa(&p, read_of(0x400000), 0x5000, PAGE_SIZE);
}

static void mode_pae(void **state)
{
	(void)state;
	struct guest_paging p = paging_pae();
	put64(0x3000, 0x1fe, 0x1000 | P | RW);
	put64(0x1000, 0x155, 0xabcdef000 | P | RW);
	u64 la = 2ull << 30 | 0x1feull << 21 | 0x155ull << 12 | 0xfff;
	expect_pa(&p, (struct guest_access){la, GUEST_WRITE, false, false, false}, 0xabcdeffff,
		  PAGE_SIZE);
	assert_int_equal(get64(0x3000, 0x1fe), 0x1000 | P | RW | A);
	assert_int_equal(get64(0x1000, 0x155), 0xabcdef000 | P | RW | A | D);
	put64(0x2000, 0, 0xfffe00000 | P | PS | 0x1000); /* 2 MiB with PAT */
	expect_pa(&p, read_of(0x1fffff), 0xfffffffff, 2 * MIB);
	/* PDPTE not present. */
	expect_fault(&p, (struct guest_access){1ull << 30, GUEST_FETCH, true, false, false},
		     PF_USER | PF_FETCH);
	/* Bits 62:MAXPHYADDR are reserved here, not only up to 51. */
	for (unsigned int bit = 36; bit < 63; bit++) {
		put64(0x2000, 0, P | PS | BIT(bit));
		expect_fault(&p, read_of(0), PF_PRESENT | PF_RESERVED);
		put64(0x2000, 0, 0x1000 | P);
		put64(0x1000, 0, P | BIT(bit));
		expect_fault(&p, read_of(0), PF_PRESENT | PF_RESERVED);
	}
	for (unsigned int bit = 13; bit < 21; bit++) {
		put64(0x2000, 0, P | PS | BIT(bit));
		expect_fault(&p, read_of(0), PF_PRESENT | PF_RESERVED);
	}
	put64(0x2000, 0, P | PS | XD);
	expect_pa(&p, read_of(0), 0, 2 * MIB);
	expect_fault(&p, (struct guest_access){0, GUEST_FETCH, false, false, false},
		     PF_PRESENT | PF_FETCH);
	p.efer = 0;
	expect_fault(&p, read_of(0), PF_PRESENT | PF_RESERVED);
}

static void mode_64(void **state)
{
	for (int five = 0; five < 2; five++) {
		clear(state);
		struct guest_paging p = paging_64(five);
		u64 la = 0xffffull << 48 | 0x1aaull << 39 | 0x055ull << 30 | 0x133ull << 21 |
			 0x0ccull << 12 | 0xabc;
		if (five) {
			la = (la & BITS(47, 0)) | 0x123ull << 48 | BITS(63, 57);
			put64(0x5000, 0x123, 0x4000 | P | RW | US);
		}
		put64(0x4000, 0x1aa, 0x3000 | P | RW | US);
		put64(0x3000, 0x055, 0x2000 | P | RW | US);
		put64(0x2000, 0x133, 0x1000 | P | RW | US);
		put64(0x1000, 0x0cc, 0xfedcba9000 | P | RW | US | BITS(58, 52));
		expect_pa(&p, (struct guest_access){la, GUEST_WRITE, true, false, false},
			  0xfedcba9abc, PAGE_SIZE);
		for (unsigned int level = 1; level <= 4; level++) {
			static const unsigned int index[] = {0, 0x0cc, 0x133, 0x055, 0x1aa};
			u64 e = get64(0x1000 * level, index[level]);
			assert_int_equal(e & (A | D), level == 1 ? A | D : A);
		}
		/* Large pages, with PAT in bit 12. */
		put64(0x2000, 0x133, 0xfedca00000 | P | PS | 0x1000);
		expect_pa(&p, read_of(la), 0xfedca00000 | (la & 0x1fffff), 2 * MIB);
		put64(0x3000, 0x055, 0xfec0000000 | P | PS | 0x1000);
		expect_pa(&p, read_of(la), 0xfec0000000 | (la & 0x3fffffff), GIB);
		assert_int_equal(get64(0x3000, 0x055) & (A | D), A);
		for (unsigned int bit = 13; bit < 30; bit++) {
			put64(0x3000, 0x055, P | PS | BIT(bit));
			expect_fault(&p, read_of(la), PF_PRESENT | PF_RESERVED);
		}
		p.has_1g_pages = false;
		put64(0x3000, 0x055, 0x2000 | P | PS);
		expect_fault(&p, read_of(la), PF_PRESENT | PF_RESERVED);
	}
}

static void reserved_64(void **state)
{
	(void)state;
	struct guest_paging p = paging_64(true);
	for (unsigned int level = 1; level <= 5; level++) {
		for (unsigned int l = 1; l <= 5; l++)
			put64(0x1000 * l, 0, 0x1000 * (l - 1) | P);
		for (unsigned int bit = 40; bit < 52; bit++) {
			put64(0x1000 * level, 0, 0x1000 * (level - 1) | P | BIT(bit));
			expect_fault(&p, read_of(0), PF_PRESENT | PF_RESERVED);
			/* A reserved bit does not matter where nothing is present. */
			put64(0x1000 * level, 0, 0x1000 * (level - 1) | BIT(bit));
			expect_fault(&p, read_of(0), 0);
		}
		for (unsigned int bit = 52; bit < 63; bit++) {
			put64(0x1000 * level, 0, 0x1000 * (level - 1) | P | BIT(bit));
			expect_pa(&p, read_of(0), 0, PAGE_SIZE);
		}
		put64(0x1000 * level, 0, 0x1000 * (level - 1) | P | XD);
		expect_pa(&p, read_of(0), 0, PAGE_SIZE);
		p.efer &= ~EFER_NXE;
		expect_fault(&p, read_of(0), PF_PRESENT | PF_RESERVED);
		expect_fault(&p, (struct guest_access){0, GUEST_FETCH, true, false, false},
			     PF_PRESENT | PF_RESERVED | PF_USER);
		p.efer |= EFER_NXE;
		if (level >= 4) { /* no pages of 512 GiB */
			put64(0x1000 * level, 0, 0x1000 * (level - 1) | P | PS);
			expect_fault(&p, read_of(0), PF_PRESENT | PF_RESERVED);
		}
	}
	p.maxphyaddr = 52;
	put64(0x1000, 0, BITS(51, 12) | P);
	for (unsigned int l = 2; l <= 5; l++)
		put64(0x1000 * l, 0, 0x1000 * (l - 1) | P);
	expect_pa(&p, read_of(5), BITS(51, 12) | 5, PAGE_SIZE);
}

static void canonical(void **state)
{
	(void)state;
	struct guest_paging p = paging_64(false);
	struct guest_walk w;
	struct guest_access a = read_of(0x7fffffffffff);
	assert_int_equal(guest_walk(&p, &a, &ops, NULL, &w), GUEST_WALK_FAULT);
	a.linear = 0x800000000000;
	assert_int_equal(guest_walk(&p, &a, &ops, NULL, &w), GUEST_WALK_NON_CANONICAL);
	a.linear = 0xffff7fffffffffff;
	assert_int_equal(guest_walk(&p, &a, &ops, NULL, &w), GUEST_WALK_NON_CANONICAL);
	a.linear = 0xffff800000000000;
	assert_int_equal(guest_walk(&p, &a, &ops, NULL, &w), GUEST_WALK_FAULT);
	p = paging_64(true);
	a.linear = 0x00ffffffffffffff;
	assert_int_equal(guest_walk(&p, &a, &ops, NULL, &w), GUEST_WALK_FAULT);
	a.linear = 0x0100000000000000;
	assert_int_equal(guest_walk(&p, &a, &ops, NULL, &w), GUEST_WALK_NON_CANONICAL);
	a.linear = 0xff00000000000000;
	assert_int_equal(guest_walk(&p, &a, &ops, NULL, &w), GUEST_WALK_FAULT);
}

/* "Determination of Access Rights", sentence by sentence. */
static bool spec_allows(const struct guest_paging *p, const struct guest_access *a, bool us,
			bool rw, bool xd)
{
	bool wp = p->cr0 & CR0_WP, smap = p->cr4 & CR4_SMAP, smep = p->cr4 & CR4_SMEP;
	bool nxe = p->efer & EFER_NXE;

	if (a->user) {
		if (!us)
			return false;
		switch (a->type) {
		case GUEST_READ:
			return true;
		case GUEST_WRITE:
			return rw;
		default:
			return !nxe || !xd;
		}
	}
	switch (a->type) {
	case GUEST_READ:
		if (!us || !smap)
			return true;
		return a->ac && !a->implicit;
	case GUEST_WRITE:
		if (us && smap && (a->implicit || !a->ac))
			return false;
		return rw || !wp;
	default:
		if (us && smep)
			return false;
		return !nxe || !xd;
	}
}

static void all_rights(void **state)
{
	(void)state;
	/* Every combination of entry rights at two levels, state and access. */
	for (unsigned int i = 0; i < 1u << 16; i++) {
		struct guest_paging p = paging_64(false);
		bool us[2] = {i & 1, i & 2}, rw[2] = {i & 4, i & 8}, xd[2] = {i & 16, i & 32};
		struct guest_access a = {.linear = 0, .user = i & 64, .ac = i & 128};
		if (a.user && (i & 256))
			continue;
		a.implicit = i & 256;
		a.type = (enum guest_access_type)(i >> 9 & 3);
		if ((i >> 9 & 3) == 3)
			continue;
		p.cr0 = CR0_PE | CR0_PG | (i & BIT(11) ? CR0_WP : 0);
		p.cr4 |= (i & BIT(12) ? CR4_SMEP : 0) | (i & BIT(13) ? CR4_SMAP : 0);
		if (i & BIT(14)) {
			if (xd[0] || xd[1])
				continue; /* reserved then */
			p.efer &= ~EFER_NXE;
		}
		unsigned int upper = i & BIT(15) ? 4 : 2, lower = i & BIT(15) ? 3 : 1;
		for (unsigned int l = 1; l <= 4; l++) {
			u64 e = (0x1000 * (l - 1)) | P | RW | US;
			for (int n = 0; n < 2; n++) {
				if (l != (n ? upper : lower))
					continue;
				e = (0x1000 * (l - 1)) | P | (us[n] ? US : 0) | (rw[n] ? RW : 0) |
				    (xd[n] ? XD : 0);
			}
			put64(0x1000 * l, 0, e);
		}
		struct guest_walk w;
		bool ok = spec_allows(&p, &a, us[0] && us[1], rw[0] && rw[1], xd[0] || xd[1]);
		enum guest_walk_status got = guest_walk(&p, &a, &ops, NULL, &w);
		assert_int_equal(got, ok ? GUEST_WALK_OK : GUEST_WALK_FAULT);
		if (ok) {
			assert_int_equal(get64(0x1000, 0) & (A | D),
					 a.type == GUEST_WRITE ? A | D : A);
			continue;
		}
		u32 error = 1;
		error |= a.type == GUEST_WRITE ? 2 : 0;
		error |= a.user ? 4 : 0;
		error |= a.type == GUEST_FETCH && ((p.efer & EFER_NXE) || (p.cr4 & CR4_SMEP)) ? 16
											      : 0;
		assert_int_equal(w.error_code, error);
		assert_int_equal(get64(0x1000, 0) & (A | D), 0);
	}
}

static void rights_in_32_bit_modes(void **state)
{
	(void)state;
	struct guest_paging p = paging_32();
	put32(0x2000, 0, 0x1000 | P | US | RW);
	put32(0x1000, 0, 0x5000 | P | US);
	put32(0x1000, 1, 0x6000 | P | RW);
	expect_fault(&p, (struct guest_access){0, GUEST_WRITE, true, false, false}, 7);
	expect_fault(&p, (struct guest_access){0, GUEST_WRITE, false, false, false}, 3);
	expect_fault(&p, (struct guest_access){0x1000, GUEST_READ, true, false, false}, 5);
	expect_fault(&p, (struct guest_access){0x1000, GUEST_FETCH, true, false, false}, 5);
	p.cr4 |= CR4_SMEP;
	expect_fault(&p, (struct guest_access){0, GUEST_FETCH, false, false, false}, 0x11);
	p.cr0 &= ~CR0_WP;
	expect_pa(&p, (struct guest_access){0, GUEST_WRITE, false, false, false}, 0x5000,
		  PAGE_SIZE);
	assert_int_equal(get32(0x1000, 0) & D, D);
	/* PKE has no effect outside of IA-32e mode. */
	p = paging_pae();
	p.cr4 |= CR4_PKE;
	p.pkru = 0xffffffff;
	put64(0x2000, 0, P | US | PS);
	expect_pa(&p, (struct guest_access){0, GUEST_READ, true, false, false}, 0, 2 * MIB);
}

static void protection_keys(void **state)
{
	(void)state;
	for (u32 key = 0; key < 16; key++) {
		for (u32 rights = 0; rights < 4; rights++) {
			for (unsigned int i = 0; i < 1u << 7; i++) {
				struct guest_paging p = paging_64(false);
				bool user_page = i & 1, wp = i & 2, pke = i & 4, pks = i & 8;
				struct guest_access a = {.user = i & 16};
				a.type = (enum guest_access_type)(i >> 5 & 3);
				if ((i >> 5 & 3) == 3)
					continue;
				p.cr0 = CR0_PE | CR0_PG | (wp ? CR0_WP : 0);
				p.cr4 |= (pke ? CR4_PKE : 0) | (pks ? CR4_PKS : 0);
				/* All other keys say the opposite. */
				p.pkru = (rights ? 0 : 0xffffffff) & ~(3u << 2 * key);
				p.pkru |= rights << 2 * key;
				p.pkrs = p.pkru;
				if (user_page)
					p.pkrs = ~p.pkru;
				else
					p.pkru = ~p.pkrs;
				u64 us = user_page ? US : 0;
				for (unsigned int l = 2; l <= 4; l++)
					put64(0x1000 * l, 0, 0x1000 * (l - 1) | P | RW | us);
				put64(0x1000, 0, 0x5000 | P | RW | us | (u64)key << 59);

				bool keys = user_page ? pke : pks;
				bool ad = rights & 1, wd = rights & 2;
				bool veto = keys && a.type != GUEST_FETCH &&
					    (ad || (wd && a.type == GUEST_WRITE && (wp || a.user)));
				bool plain = user_page || !a.user;
				struct guest_walk w;
				enum guest_walk_status got = guest_walk(&p, &a, &ops, NULL, &w);
				assert_int_equal(got,
						 plain && !veto ? GUEST_WALK_OK : GUEST_WALK_FAULT);
				if (got == GUEST_WALK_FAULT)
					assert_int_equal(!!(w.error_code & PF_KEY), veto);
			}
		}
	}
}

static void flags_and_races(void **state)
{
	(void)state;
	struct guest_paging p = paging_64(false);
	struct guest_access a = {.type = GUEST_WRITE};
	struct guest_walk w;
	for (unsigned int l = 1; l <= 4; l++)
		put64(0x1000 * l, 0, 0x1000 * (l - 1) | P | RW);
	/* Without `exchange` nothing is written. */
	assert_int_equal(guest_walk(&p, &a, &ops_readonly, NULL, &w), GUEST_WALK_OK);
	assert_int_equal(get64(0x1000, 0) & (A | D), 0);
	races = 3;
	assert_int_equal(guest_walk(&p, &a, &ops, NULL, &w), GUEST_WALK_OK);
	assert_int_equal(races, 0);
	assert_int_equal(get64(0x1000, 0) & (A | D), A | D);
	/* All flags set: no write at all, so no race. */
	races = 1;
	assert_int_equal(guest_walk(&p, &a, &ops, NULL, &w), GUEST_WALK_OK);
	assert_int_equal(races, 1);
	races = ~0u;
	put64(0x1000, 0, P | RW);
	assert_int_equal(guest_walk(&p, &a, &ops, NULL, &w), GUEST_WALK_RACE);
}

static void tables_outside_of_memory(void **state)
{
	(void)state;
	struct guest_paging p = paging_64(false);
	struct guest_access a = read_of(0);
	struct guest_walk w;
	put64(0x4000, 0, 0x3000 | P);
	put64(0x3000, 0, 0x7654321000 | P);
	assert_int_equal(guest_walk(&p, &a, &ops, NULL, &w), GUEST_WALK_NO_MEMORY);
	assert_int_equal(w.pa, 0x7654321000);
	assert_int_equal(get64(0x4000, 0) & A, 0);
	p.cr3 = BITS(39, 12);
	assert_int_equal(guest_walk(&p, &a, &ops, NULL, &w), GUEST_WALK_NO_MEMORY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(no_paging, clear),
		cmocka_unit_test_setup(mode_32, clear),
		cmocka_unit_test_setup(mode_32_large, clear),
		cmocka_unit_test_setup(mode_pae, clear),
		cmocka_unit_test_setup(mode_64, clear),
		cmocka_unit_test_setup(reserved_64, clear),
		cmocka_unit_test_setup(canonical, clear),
		cmocka_unit_test_setup(all_rights, clear),
		cmocka_unit_test_setup(rights_in_32_bit_modes, clear),
		cmocka_unit_test_setup(protection_keys, clear),
		cmocka_unit_test_setup(flags_and_races, clear),
		cmocka_unit_test_setup(tables_outside_of_memory, clear),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
