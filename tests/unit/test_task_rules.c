/* SPDX-License-Identifier: BSD-2-Clause */
/* Expectations from SDM "Task Management" and "Protected-Mode Memory Management". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmx/task_rules.h"

enum { TS = 10, NP = 11, SS = 12, GP = 13, PASS = TASK_CHECK_PASSED };

/* A descriptor by its parts, laid out as in SDM figure "Segment Descriptor". */
static u64 descriptor(u32 base, u32 limit, u32 type, u32 s, u32 dpl, u32 p, u32 db, u32 g)
{
	u32 low = (base & 0xffff) << 16 | (limit & 0xffff);
	u32 high = (base >> 16 & 0xff) | type << 8 | s << 12 | dpl << 13 | p << 15 |
		   (limit >> 16 & 0xf) << 16 | db << 22 | g << 23 | (base & 0xff000000);

	return (u64)high << 32 | low;
}

static struct segment_descriptor segment(u32 type, u32 s, u32 dpl, u32 p)
{
	return segment_decode(descriptor(0, 0xffff, type, s, dpl, p, 0, 0));
}

static struct segment_descriptor tss(u32 type, u32 limit, u32 p)
{
	return segment_decode(descriptor(0x1000, limit, type, 0, 0, p, 0, 0));
}

static void test_decode(void **state)
{
	(void)state;
	struct segment_descriptor d =
		segment_decode(descriptor(0x12345678, 0xabcde, 11, 1, 3, 1, 1, 0));

	assert_int_equal(d.base, 0x12345678);
	assert_int_equal(d.limit, 0xabcde);
	assert_int_equal(d.access_rights, 11 | 1 << 4 | 3 << 5 | 1 << 7 | 1 << 14);

	/* "When G is set, … the twelve least significant bits … are not tested": all ones. */
	d = segment_decode(descriptor(0xff000000, 0xfffff, 2, 1, 0, 0, 0, 1));
	assert_int_equal(d.base, 0xff000000);
	assert_int_equal(d.limit, 0xffffffff);
	assert_int_equal(d.access_rights, 2 | 1 << 4 | 1 << 15);
	d = segment_decode(descriptor(0, 0, 2, 1, 0, 1, 0, 1));
	assert_int_equal(d.limit, 0xfff);

	/* AVL and L are bits 52 and 53, 12 and 13 of the VMCS's access rights. */
	d = segment_decode(1ull << 52);
	assert_int_equal(d.access_rights, 1 << 12);
	d = segment_decode(1ull << 53);
	assert_int_equal(d.access_rights, 1 << 13);
	/* The limit's upper bits do not show up among them. */
	d = segment_decode(0xfull << 48);
	assert_int_equal(d.access_rights, 0);
	assert_int_equal(d.limit, 0xf0000);
}

static void test_virtual_8086(void **state)
{
	(void)state;
	/* SDM "Checks on Guest Segment Registers": selector << 4, FFFFH, F3H. */
	struct segment_descriptor d = segment_virtual_8086(0xf123);

	assert_int_equal(d.base, 0xf1230);
	assert_int_equal(d.limit, 0xffff);
	assert_int_equal(d.access_rights, 0xf3);
}

static void put16(u8 *image, size_t at, u16 value)
{
	memcpy(image + at, &value, sizeof(value));
}

static void put32(u8 *image, size_t at, u32 value)
{
	memcpy(image + at, &value, sizeof(value));
}

/* SDM figure "32-Bit Task-State Segment (TSS)": ES, CS, SS, DS, FS, GS from 72 on. */
static void test_load_32bit(void **state)
{
	(void)state;
	u8 raw[TASK_IMAGE_SIZE];
	struct task_state t;

	memset(raw, 0xa5, sizeof(raw));
	put32(raw, 28, 0x00345000);
	put32(raw, 32, 0xc0001234);
	put32(raw, 36, 0xffffffff);
	for (u32 i = 0; i < 8; i++)
		put32(raw, 40 + 4 * i, 0x11110000 + i);
	for (u32 i = 0; i < 6; i++)
		put16(raw, 72 + 4 * i, (u16)(0x80 + 8 * i));
	put16(raw, 96, 0x28);
	put16(raw, 100, 0xfffe);
	task_load(&task_layout32, raw, &t);
	assert_int_equal(t.cr3, 0x00345000);
	assert_int_equal(t.eip, 0xc0001234);
	/* All flags of figure "EFLAGS Register"; bits 3, 5, 15 and 31:22 are reserved, 0. */
	assert_int_equal(t.eflags, 0x003f7fd7);
	for (u32 i = 0; i < 8; i++)
		assert_int_equal(t.gpr[i], 0x11110000 + i);
	for (u32 i = 0; i < 6; i++)
		assert_int_equal(t.segment[i].selector, 0x80 + 8 * i);
	assert_int_equal(t.ldt, 0x28);
	assert_false(t.trap);
	put16(raw, 100, 1);
	put32(raw, 36, 0);
	task_load(&task_layout32, raw, &t);
	assert_true(t.trap);
	assert_int_equal(t.eflags, 2);
}

/* SDM figure "16-Bit TSS Format": IP at 14, AX at 18, ES at 34, LDT at 42. */
static void test_load_16bit(void **state)
{
	(void)state;
	u8 raw[TASK_IMAGE_SIZE];
	struct task_state t;

	memset(raw, 0xff, sizeof(raw));
	put16(raw, 14, 0x1234);
	put16(raw, 16, 0x0202);
	for (u32 i = 0; i < 8; i++)
		put16(raw, 18 + 2 * i, (u16)(0x2200 + i));
	for (u32 i = 0; i < 4; i++)
		put16(raw, 34 + 2 * i, (u16)(0x80 + 8 * i));
	put16(raw, 42, 0x30);
	task_load(&task_layout16, raw, &t);
	assert_int_equal(t.eip, 0x1234);
	assert_int_equal(t.eflags, 0x0202);
	for (u32 i = 0; i < 8; i++)
		assert_int_equal(t.gpr[i], 0x2200 + i);
	for (u32 i = 0; i < 4; i++)
		assert_int_equal(t.segment[i].selector, 0x80 + 8 * i);
	assert_int_equal(t.segment[SEG_FS].selector, 0);
	assert_int_equal(t.segment[SEG_GS].selector, 0);
	assert_int_equal(t.ldt, 0x30);
	assert_false(t.trap);
}

static const struct task_state busy_task = {
	.eip = 0xc0de1234,
	.eflags = 0x00010246,
	.gpr = {0xa0000001, 0xa0000002, 0xa0000003, 0xa0000004, 0xa0000005, 0xa0000006, 0xa0000007,
		0xa0000008},
	.segment = {{.selector = 0x10},
		    {.selector = 0x18},
		    {.selector = 0x20},
		    {.selector = 0x28},
		    {.selector = 0x33},
		    {.selector = 0x3b}},
	.ldt = 0x40,
	.cr3 = 0x1000,
};

static u32 get(const void *image, size_t at, size_t size)
{
	u32 value = 0;

	memcpy(&value, (const u8 *)image + at, size);
	return value;
}

static void test_save_32bit(void **state)
{
	(void)state;
	u8 saved[TASK_IMAGE_SIZE];
	const size_t from = 32;

	assert_int_equal(task_layout32.saved, from);
	assert_int_equal(task_layout32.saved + task_saved_size(&task_layout32), 96);
	memset(saved, 0xff, sizeof(saved));
	task_save(&task_layout32, &busy_task, saved);
	assert_int_equal(get(saved, 32 - from, 4), 0xc0de1234);
	assert_int_equal(get(saved, 36 - from, 4), 0x00010246);
	for (u32 i = 0; i < 8; i++)
		assert_int_equal(get(saved, 40 + 4 * i - from, 4), 0xa0000001 + i);
	for (u32 i = 0; i < 6; i++)
		assert_int_equal(get(saved, 72 + 4 * i - from, 4), busy_task.segment[i].selector);
}

static void test_save_16bit(void **state)
{
	(void)state;
	u8 saved[TASK_IMAGE_SIZE];
	const size_t from = 14;

	assert_int_equal(task_layout16.saved, from);
	assert_int_equal(task_layout16.saved + task_saved_size(&task_layout16), 42);
	memset(saved, 0xff, sizeof(saved));
	task_save(&task_layout16, &busy_task, saved);
	assert_int_equal(get(saved, 14 - from, 2), 0x1234);
	assert_int_equal(get(saved, 16 - from, 2), 0x0246);
	for (u32 i = 0; i < 8; i++)
		assert_int_equal(get(saved, 18 + 2 * i - from, 2), 1 + i);
	for (u32 i = 0; i < 4; i++)
		assert_int_equal(get(saved, 34 + 2 * i - from, 2), busy_task.segment[i].selector);
}

static void test_tss_selector(void **state)
{
	(void)state;
	/* "references the GDT and is within the limits of the table": #GP, or #TS for IRET. */
	static const enum task_source sources[] = {TASK_CALL, TASK_JMP, TASK_GATE, TASK_IRET};

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		const int vector = sources[i] == TASK_IRET ? TS : GP;

		assert_int_equal(task_check_tss_selector(sources[i], 0x28, 0x2f), PASS);
		assert_int_equal(task_check_tss_selector(sources[i], 0x2b, 0x2f), PASS);
		assert_int_equal(task_check_tss_selector(sources[i], 0x28, 0x2e), vector);
		assert_int_equal(task_check_tss_selector(sources[i], 0x2c, 0xffff), vector);
		assert_int_equal(task_check_tss_selector(sources[i], 0x0003, 0xffff), vector);
		assert_int_equal(task_check_tss_selector(sources[i], 0xfff8, 0xffff), PASS);
	}
}

static void test_tss_type(void **state)
{
	(void)state;
	/* Of the system types 1 and 9 are available TSSs, 3 and 11 busy ones. */
	for (u32 type = 0; type < 16; type++) {
		const struct segment_descriptor system = tss(type, 0xfff, 1);
		const struct segment_descriptor code_or_data = segment(type, 1, 0, 1);
		const int fresh = type == 1 || type == 9 ? PASS : GP;
		const int back = type == 3 || type == 11 ? PASS : TS;

		assert_int_equal(task_check_tss(TASK_CALL, &system, false), fresh);
		assert_int_equal(task_check_tss(TASK_JMP, &system, false), fresh);
		assert_int_equal(task_check_tss(TASK_GATE, &system, false), fresh);
		assert_int_equal(task_check_tss(TASK_IRET, &system, false), back);
		assert_int_equal(task_check_tss(TASK_JMP, &code_or_data, false), GP);
		assert_int_equal(task_check_tss(TASK_IRET, &code_or_data, false), TS);
	}
}

static void test_tss_presence_and_limit(void **state)
{
	(void)state;
	static const struct {
		enum task_source source;
		u32 type, limit, present;
		bool cet;
		int expected;
	} cases[] = {
		{TASK_JMP, 9, 103, 1, false, PASS},
		{TASK_JMP, 9, 102, 1, false, TS},
		{TASK_JMP, 9, 103, 0, false, NP},
		{TASK_JMP, 9, 0, 0, false, NP},
		{TASK_JMP, 11, 103, 0, false, GP},
		{TASK_IRET, 11, 103, 1, false, PASS},
		{TASK_IRET, 11, 102, 1, false, TS},
		{TASK_IRET, 11, 103, 0, false, NP},
		{TASK_IRET, 9, 103, 1, false, TS},
		{TASK_CALL, 1, 43, 1, false, PASS},
		{TASK_CALL, 1, 42, 1, false, TS},
		{TASK_IRET, 3, 43, 1, false, PASS},
		{TASK_IRET, 3, 42, 1, false, TS},
		/* "If CR4.CET = 1, then the TSS must be a 32 bit TSS and the limit … 6BH." */
		{TASK_GATE, 9, 0x6b, 1, true, PASS},
		{TASK_GATE, 9, 0x6a, 1, true, TS},
		{TASK_GATE, 1, 0xfff, 1, true, TS},
		{TASK_IRET, 3, 0xfff, 1, true, TS},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct segment_descriptor d =
			tss(cases[i].type, cases[i].limit, cases[i].present);

		assert_int_equal(task_check_tss(cases[i].source, &d, cases[i].cet),
				 cases[i].expected);
	}
}

static int check(enum segment seg, u16 selector, u32 cpl, u32 type, u32 s, u32 dpl, u32 p)
{
	const struct segment_descriptor d = segment(type, s, dpl, p);

	return task_check_segment(seg, selector, &d, cpl);
}

static void test_ldt(void **state)
{
	(void)state;
	for (u32 type = 0; type < 16; type++) {
		assert_int_equal(check(SEG_LDTR, 0x30, 0, type, 0, 0, 1), type == 2 ? PASS : TS);
		assert_int_equal(check(SEG_LDTR, 0x30, 0, type, 1, 0, 1), TS);
	}
	/* "LDT of new task is present in memory: #TS"; and it is in the GDT. */
	assert_int_equal(check(SEG_LDTR, 0x30, 0, 2, 0, 0, 0), TS);
	assert_int_equal(check(SEG_LDTR, 0x34, 0, 2, 0, 0, 1), TS);
}

static void test_code(void **state)
{
	(void)state;
	for (u32 type = 0; type < 16; type++) {
		assert_int_equal(check(SEG_CS, 0x08, 0, type, 1, 0, 1), type >= 8 ? PASS : TS);
		assert_int_equal(check(SEG_CS, 0x08, 0, type, 0, 0, 1), TS);
	}
	for (u32 rpl = 0; rpl < 4; rpl++) {
		for (u32 dpl = 0; dpl < 4; dpl++) {
			const u16 selector = (u16)(0x08 | rpl);

			/* Non-conforming: DPL equals RPL; conforming: it is not greater. */
			assert_int_equal(check(SEG_CS, selector, rpl, 10, 1, dpl, 1),
					 dpl == rpl ? PASS : TS);
			assert_int_equal(check(SEG_CS, selector, rpl, 14, 1, dpl, 1),
					 dpl <= rpl ? PASS : TS);
		}
	}
	assert_int_equal(check(SEG_CS, 0x08, 0, 10, 1, 0, 0), NP);
	assert_int_equal(check(SEG_CS, 0x0b, 3, 15, 1, 3, 0), NP);
}

static void test_stack(void **state)
{
	(void)state;
	for (u32 type = 0; type < 16; type++) {
		const bool writable_data = type < 8 && (type & 2);

		assert_int_equal(check(SEG_SS, 0x10, 0, type, 1, 0, 1), writable_data ? PASS : TS);
		assert_int_equal(check(SEG_SS, 0x10, 0, type, 0, 0, 1), TS);
	}
	for (u32 cpl = 0; cpl < 4; cpl++) {
		for (u32 rpl = 0; rpl < 4; rpl++) {
			for (u32 dpl = 0; dpl < 4; dpl++) {
				const int expected = rpl == cpl && dpl == cpl ? PASS : TS;

				assert_int_equal(
					check(SEG_SS, (u16)(0x10 | rpl), cpl, 3, 1, dpl, 1),
					expected);
			}
		}
	}
	assert_int_equal(check(SEG_SS, 0x10, 0, 3, 1, 0, 0), SS);
	assert_int_equal(check(SEG_SS, 0x10, 0, 1, 1, 0, 0), TS);
}

static void test_data(void **state)
{
	(void)state;
	static const enum segment segments[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};

	for (size_t i = 0; i < ARRAY_SIZE(segments); i++) {
		for (u32 type = 0; type < 16; type++) {
			const bool readable = type < 8 || (type & 2);

			assert_int_equal(check(segments[i], 0x10, 0, type, 1, 0, 1),
					 readable ? PASS : TS);
			assert_int_equal(check(segments[i], 0x10, 0, type, 0, 0, 1), TS);
		}
		for (u32 cpl = 0; cpl < 4; cpl++) {
			for (u32 rpl = 0; rpl < 4; rpl++) {
				for (u32 dpl = 0; dpl < 4; dpl++) {
					const u16 selector = (u16)(0x10 | rpl);
					const int expected = dpl >= cpl && dpl >= rpl ? PASS : TS;

					assert_int_equal(
						check(segments[i], selector, cpl, 1, 1, dpl, 1),
						expected);
					assert_int_equal(
						check(segments[i], selector, cpl, 10, 1, dpl, 1),
						expected);
					/* Conforming code is readable from everywhere. */
					assert_int_equal(
						check(segments[i], selector, cpl, 14, 1, dpl, 1),
						PASS);
				}
			}
		}
		assert_int_equal(check(segments[i], 0x10, 0, 3, 1, 0, 0), NP);
	}
}

static void test_selectors(void **state)
{
	(void)state;
	for (u16 selector = 0; selector < 4; selector++)
		assert_true(selector_is_null(selector));
	assert_false(selector_is_null(4));
	assert_false(selector_is_null(8));
	assert_true(selector_in_ldt(4));
	assert_false(selector_in_ldt(0xfffb));
	assert_true(selector_in_limit(0, 7));
	assert_false(selector_in_limit(0, 6));
	assert_true(selector_in_limit(0xffff, 0xffff));
	assert_false(selector_in_limit(0x10, 0x16));
}

static void test_contains(void **state)
{
	(void)state;
	struct segment_descriptor up = {.limit = 0xffff, .access_rights = 0x93};
	struct segment_descriptor down = {.limit = 0x0fff, .access_rights = 0x97};

	assert_true(segment_contains(&up, 0xfffc, 4));
	assert_false(segment_contains(&up, 0xfffd, 4));
	assert_true(segment_contains(&up, 0xfffe, 2));
	up.limit = 0xffffffff;
	assert_true(segment_contains(&up, 0xfffffffc, 4));
	assert_false(segment_contains(&up, 0xfffffffe, 4));

	/* Expand-down: beyond the limit, up to FFFFH, or FFFFFFFFH with B set. */
	assert_false(segment_contains(&down, 0x0fff, 2));
	assert_true(segment_contains(&down, 0x1000, 2));
	assert_true(segment_contains(&down, 0xfffe, 2));
	assert_false(segment_contains(&down, 0xffff, 2));
	assert_false(segment_contains(&down, 0x10000, 2));
	down.access_rights |= 1 << 14;
	assert_true(segment_contains(&down, 0x10000, 4));
	assert_true(segment_contains(&down, 0xfffffffc, 4));
	assert_false(segment_contains(&down, 0xfffffffd, 4));
	/* Conforming is another meaning of the same type bit. */
	down.access_rights = 0x9f;
	assert_true(segment_contains(&down, 0x0ffe, 2));
	assert_false(segment_contains(&down, 0x1000, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_virtual_8086),
		cmocka_unit_test(test_load_32bit),
		cmocka_unit_test(test_load_16bit),
		cmocka_unit_test(test_save_32bit),
		cmocka_unit_test(test_save_16bit),
		cmocka_unit_test(test_tss_selector),
		cmocka_unit_test(test_tss_type),
		cmocka_unit_test(test_tss_presence_and_limit),
		cmocka_unit_test(test_ldt),
		cmocka_unit_test(test_code),
		cmocka_unit_test(test_stack),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_selectors),
		cmocka_unit_test(test_contains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
