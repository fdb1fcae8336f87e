/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A DMA remapping unit by its registers, as VT-d describes them in "Register Descriptions". What
 * the specification forbids software fails the test: to change two global bits at once, or one
 * before the last change is done; to invalidate by registers while the queue is on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/insn.h"
#include "lib/log.h"
#include "lib/mmio.h"
#include "mm/dma_map.h"
#include "platform/delay.h"
#include "platform/vtd.h"

enum {
	UNITS = 2,
	FAULTS = 4,
	FAULT_AT = 0x220,
	IOTLB_AT = 0x108,
	SIZE = 0x1000,
};

#define TE   BIT(31)
#define SRTP BIT(30)
#define WBF  BIT(27)
#define QIE  BIT(26)
#define IRE  BIT(25)
#define EAFL BIT(28)

/* 4 fault records at 0x220; 2 MiB and 1 GiB pages; 48 bits of address; 3 and 4 levels. */
static const u64 CAP = 3ull << 40 | 3ull << 34 | 0x22ull << 24 | 47ull << 16 | 6ull << 8;
static const u64 ECAP = 0x10ull << 8 | 1;

static struct unit {
	u8 registers[SIZE]; /* an address only: nothing is read there */
	u32 version;
	u64 cap, ecap;
	u32 status, wanted;
	u32 delay; /* reads of the status until it is what is wanted */
	u32 stuck; /* bits that do not change */
	u64 rtaddr, root;
	bool context_known, iotlb_known; /* flushed since the root was set */
	u64 iqh, iqt;
	u32 pmen;
	u32 fsts, fectl;
	u64 record[FAULTS][2];
	u32 gap; /* how often it was off after it had been on */
} units[UNITS];

static u64 tsc;
static u32 logged;
static char last_line[200];
static u32 write_backs;

u64 rdtsc(void)
{
	return tsc;
}

void wbinvd(void)
{
	write_backs++;
}

void delay_us(u32 us)
{
	tsc += us;
}

paddr_t dma_map_root(unsigned int levels)
{
	return 0x10000ull * levels;
}

void log_line(enum log_level level, const char *format, ...)
{
	va_list args;

	(void)level;
	va_start(args, format);
	vsnprintf(last_line, sizeof(last_line), format, args);
	va_end(args);
	logged++;
}

static struct unit *unit_at(const void *at, u32 *offset)
{
	const u64 distance = (u64)((const u8 *)at - (const u8 *)units);

	assert_true(distance < sizeof(units));
	*offset = (u32)(distance % sizeof(*units));
	assert_true(*offset < SIZE);
	return &units[distance / sizeof(*units)];
}

static u32 status(struct unit *u)
{
	if (u->delay) {
		u->delay--;
		return u->status;
	}
	if ((u->wanted ^ u->status) & SRTP & ~u->stuck) {
		u->root = u->rtaddr;
		u->context_known = u->iotlb_known = u->cap >> 63;
	}
	if ((u->status & TE) && !(u->wanted & TE))
		u->gap++;
	u->status = (u->wanted & ~u->stuck) | (u->status & u->stuck);
	return u->status;
}

static void global_command(struct unit *u, u32 value)
{
	const u32 one_shot = value & (SRTP | WBF | BIT(29) | BIT(24));
	const u32 kept = ~(u32)(SRTP | WBF | BIT(29) | BIT(24));
	const u32 changed = ((value ^ u->status) & kept) | one_shot;

	assert_int_equal(u->wanted, u->status);
	assert_true(changed != 0 && (changed & (changed - 1)) == 0);
	if (changed & TE & value) {
		assert_int_equal(u->root, u->rtaddr);
		assert_true(u->context_known && u->iotlb_known);
	}
	if (changed == QIE)
		assert_int_equal(u->iqh, u->iqt);
	if (changed == WBF)
		assert_true(u->cap & BIT(4));
	if (changed == SRTP)
		u->status &= ~(u32)SRTP;
	u->wanted = (value & kept) | (u->status & ~kept & ~(u32)WBF) | (one_shot & ~(u32)WBF);
	/* "Write Buffer Flush Status" is set while it goes on. */
	if (changed == WBF)
		u->status |= WBF;
	u->delay = 3;
}

u32 mmio_read32(const void *at)
{
	u32 offset;
	struct unit *u = unit_at(at, &offset);

	switch (offset) {
	case 0x00:
		return u->version;
	case 0x1c:
		return status(u);
	case 0x34:
		return u->fsts;
	case 0x64:
		return u->pmen;
	default:
		fail_msg("read of %x", offset);
		return 0;
	}
}

u64 mmio_read64(const void *at)
{
	u32 offset;
	struct unit *u = unit_at(at, &offset);

	if (offset >= FAULT_AT && offset < FAULT_AT + 16 * FAULTS)
		return u->record[(offset - FAULT_AT) / 16][offset % 16 / 8];
	switch (offset) {
	case 0x08:
		return u->cap;
	case 0x10:
		return u->ecap;
	case 0x20:
		return u->rtaddr;
	case 0x28:
		return u->stuck & 2 ? BIT(63) : 0;
	case 0x80:
		if (u->iqh != u->iqt && !(u->stuck & QIE))
			u->iqh += 16;
		return u->iqh;
	case 0x88:
		return u->iqt;
	case IOTLB_AT:
		return u->stuck & 1 ? BIT(63) : 0;
	default:
		fail_msg("read of %x", offset);
		return 0;
	}
}

void mmio_write32(void *at, u32 value)
{
	u32 offset;
	struct unit *u = unit_at(at, &offset);

	if (offset >= FAULT_AT && offset < FAULT_AT + 16 * FAULTS) {
		assert_int_equal(offset % 16, 12);
		assert_int_equal(value, BIT(31));
		u->record[(offset - FAULT_AT) / 16][1] &= ~BIT(63);
		for (u32 i = 0; i < FAULTS; i++) {
			if (u->record[i][1] >> 63)
				return;
		}
		u->fsts &= ~2u;
		return;
	}
	switch (offset) {
	case 0x18:
		global_command(u, value);
		return;
	case 0x34:
		u->fsts &= ~(value & 1);
		return;
	case 0x38:
		u->fectl = value;
		return;
	case 0x64:
		u->pmen = value & BIT(31) || u->stuck & 4 ? u->pmen : 0;
		return;
	default:
		fail_msg("write to %x", offset);
	}
}

void mmio_write64(void *at, u64 value)
{
	u32 offset;
	struct unit *u = unit_at(at, &offset);

	switch (offset) {
	case 0x20:
		u->rtaddr = value;
		return;
	case 0x28:
		assert_int_equal(value, BIT(63) | 1ull << 61);
		assert_false(u->status & QIE);
		assert_true(u->version < 0x60);
		u->context_known = true;
		return;
	case IOTLB_AT:
		assert_int_equal(value & ~(3ull << 48), BIT(63) | 1ull << 60);
		assert_false(u->status & QIE);
		assert_true(u->version < 0x60 && u->context_known);
		u->iotlb_known = true;
		return;
	default:
		fail_msg("write to %x", offset);
	}
}

static void machine(u32 count)
{
	vtd_init();
	memset(units, 0, sizeof(units));
	logged = write_backs = 0;
	for (u32 i = 0; i < count; i++)
		units[i] = (struct unit){.version = 0x10, .cap = CAP, .ecap = ECAP};
}

static const char *add(u32 n, unsigned int width, paddr_t top)
{
	return vtd_add(units[n].registers, SIZE, width, top);
}

static void assert_protects(const struct unit *u, unsigned int levels)
{
	assert_int_equal(u->status & ~(u32)SRTP, TE);
	assert_int_equal(u->root, 0x10000ull * levels);
	assert_true(u->context_known && u->iotlb_known);
	assert_int_equal(u->fectl, BIT(31));
	assert_int_equal(u->pmen, 0);
}

static void turns_units_on(void **state)
{
	(void)state;
	machine(2);
	units[1].cap = (CAP & ~BIT(10)) | BIT(4);
	assert_null(add(0, 46, 64 * GIB));
	assert_null(add(1, 46, 64 * GIB));
	assert_int_equal(vtd_units_on(), 0);
	assert_false(vtd_firmware_uses());
	assert_null(vtd_start());
	assert_int_equal(vtd_units_on(), 2);
	assert_int_equal(write_backs, 1);
	assert_protects(&units[0], 4);
	assert_protects(&units[1], 3);
	/* After S3. */
	for (u32 i = 0; i < 2; i++) {
		units[i].status = units[i].wanted = 0;
		units[i].rtaddr = units[i].root = 0;
		units[i].context_known = units[i].iotlb_known = false;
		units[i].fectl = 0;
	}
	assert_null(vtd_start());
	assert_protects(&units[0], 4);
	assert_protects(&units[1], 3);
	vtd_stop();
	assert_int_equal((units[0].status | units[1].status) & TE, 0);
	assert_int_equal(vtd_units_on(), 0);
}

static void levels(void **state)
{
	static const struct {
		u32 sagaw;
		unsigned int mgaw, width;
		paddr_t top;
		unsigned int levels; /* 0: it will not do */
	} rows[] = {
		{2, 39, 39, GIB, 3},      {2, 39, 46, 512 * GIB, 3}, {2, 39, 46, 513 * GIB, 0},
		{6, 48, 39, GIB, 3},      {6, 48, 40, GIB, 4},       {4, 48, 36, GIB, 4},
		{12, 57, 48, GIB, 4},     {12, 57, 52, GIB, 5},      {8, 57, 46, GIB, 5},
		{0, 48, 39, GIB, 0},      {1, 48, 39, GIB, 0},       {16, 48, 39, GIB, 0},
		{6, 36, 46, 64 * GIB, 4}, {6, 36, 46, 65 * GIB, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		machine(1);
		units[0].cap = (CAP & ~(31ull << 8) & ~(63ull << 16)) | rows[i].sagaw << 8 |
			       (u64)(rows[i].mgaw - 1) << 16;
		if (!rows[i].levels) {
			assert_non_null(add(0, rows[i].width, rows[i].top));
			continue;
		}
		assert_null(add(0, rows[i].width, rows[i].top));
		assert_null(vtd_start());
		assert_protects(&units[0], rows[i].levels);
	}
}

static void what_will_not_do(void **state)
{
	(void)state;
	machine(1);
	units[0].cap = units[0].ecap = ~0ull;
	assert_string_equal(add(0, 39, GIB), "a unit does not answer");
	machine(1);
	units[0].cap &= ~BIT(34);
	assert_string_equal(add(0, 39, GIB), "a unit lacks 2 MiB pages");
	machine(1);
	units[0].cap = (CAP & ~(0x3ffull << 24)) | 0xfdull << 24;
	assert_string_equal(add(0, 39, GIB), "a unit has registers where the DMAR does not say so");
	machine(1);
	units[0].ecap = 0xffull << 8 | 1;
	assert_null(add(0, 39, GIB));
	machine(1);
	units[0].ecap = 0x100ull << 8 | 1;
	assert_non_null(add(0, 39, GIB));
	/* "Register-based Invalidation Interface": up to version 5. */
	machine(1);
	units[0].version = 0x60;
	assert_string_equal(add(0, 39, GIB), "a unit invalidates by a queue only");
	units[0].cap |= BIT(63);
	assert_null(add(0, 39, GIB));
	assert_null(vtd_start());
	assert_protects(&units[0], 3);
	machine(2);
	units[1].cap &= ~BIT(35);
	assert_null(add(0, 39, GIB));
	assert_true(vtd_has_1g_pages());
	assert_null(add(1, 39, GIB));
	assert_false(vtd_has_1g_pages());
}

/* Pre-boot DMA protection: no moment without any map. */
static void takes_over_from_firmware(void **state)
{
	(void)state;
	machine(1);
	units[0].cap |= BIT(5);
	units[0].status = units[0].wanted = TE | SRTP | QIE | IRE | EAFL;
	units[0].rtaddr = units[0].root = 0x7000000;
	units[0].iqt = 64;
	units[0].pmen = BIT(31) | 1;
	units[0].fsts = 3;
	units[0].record[2][1] = BIT(63);
	assert_null(add(0, 39, GIB));
	assert_true(vtd_firmware_uses());
	assert_null(vtd_start());
	assert_protects(&units[0], 3);
	assert_int_equal(units[0].gap, 0);
	assert_int_equal(units[0].fsts, 0);
	assert_int_equal(vtd_faults(), 0);

	/* "Translation Table Mode" may not change meanwhile. */
	machine(1);
	units[0].status = units[0].wanted = TE | SRTP | QIE;
	units[0].rtaddr = units[0].root = 0x7000000 | 1 << 10;
	assert_null(add(0, 39, GIB));
	assert_null(vtd_start());
	assert_protects(&units[0], 3);
	assert_int_equal(units[0].gap, 1);
}

static void stuck_units_are_given_up(void **state)
{
	static const struct {
		u32 on, stuck;
		const char *error;
	} rows[] = {
		{QIE, QIE, "a unit's invalidation queue does not stop"},
		{IRE, IRE, "a unit's interrupt remapping does not stop"},
		{EAFL, EAFL, "a unit's fault log does not stop"},
		{0, SRTP, "a unit does not take its tables"},
		{0, 1, "a unit does not take its tables"},
		{0, 2, "a unit does not take its tables"},
		{0, TE, "a unit does not start"},
		{0, 4, "a unit's protected regions stay"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		machine(1);
		units[0].cap |= BIT(5);
		units[0].pmen = BIT(31) | 1;
		units[0].status = units[0].wanted = rows[i].on;
		units[0].iqt = 64;
		units[0].stuck = rows[i].stuck;
		assert_null(add(0, 39, GIB));
		assert_string_equal(vtd_start(), rows[i].error);
		assert_int_equal(vtd_units_on(), 0);
	}
}

static void faults(void **state)
{
	(void)state;
	machine(2);
	assert_null(add(0, 39, GIB));
	assert_null(add(1, 39, GIB));
	assert_null(vtd_start());
	assert_int_equal(vtd_faults(), 0);
	units[1].fsts = 2 | 3 << 8;
	units[1].record[3][0] = 0x7f601000;
	units[1].record[3][1] = BIT(63) | 5ull << 32 | 0x0a3 | 2 << 8;
	tsc += BIT(40);
	vtd_poll();
	assert_int_equal(logged, 1);
	assert_string_equal(last_line, "warning: DMA refused: write at 0x7f601000 by device "
				       "02:14.3, reason 0x5");
	assert_int_equal(units[1].fsts & 3, 0);
	assert_int_equal(vtd_faults(), 1);
	/* Not again at once, but to who asks. */
	units[0].fsts = 3;
	for (u32 i = 0; i < FAULTS; i++)
		units[0].record[i][1] = BIT(63) | BIT(62) | 6ull << 32;
	vtd_poll();
	assert_int_equal(logged, 1);
	assert_int_equal(vtd_faults(), 1 + FAULTS);
	assert_int_equal(units[0].fsts & 3, 0);
	assert_string_equal(last_line,
			    "warning: DMA refused: read at 0 by device 00:00.0, reason 0x6");
	/* A device that goes on for ever does not fill the log. */
	for (u32 i = 0; i < 100; i++) {
		units[0].fsts = 2;
		units[0].record[0][1] = BIT(63);
		assert_int_equal(vtd_faults(), 2 + FAULTS + i);
	}
	assert_in_range(logged, 16, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(turns_units_on),
		cmocka_unit_test(levels),
		cmocka_unit_test(what_will_not_do),
		cmocka_unit_test(takes_over_from_firmware),
		cmocka_unit_test(stuck_units_are_given_up),
		cmocka_unit_test(faults),
	};

	return cmocka_run_group_tests_name("vtd", tests, NULL, NULL);
}
