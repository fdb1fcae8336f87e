/* SPDX-License-Identifier: BSD-2-Clause */
/* How a case is written. */
#pragma once

#include "cmdline.h"
#include "console.h"
#include "cpu.h"
#include "insn.h"
#include "smp.h"
#include "trap.h"

enum case_flags {
	CASE_ONCE = 0,
	CASE_EACH_CPU = 1, /* run on every CPU in turn; passes if it does on all */
	CASE_EXPLICIT = 2, /* only if the command line names it */
	CASE_WATCHED = 4,  /* while the second CPU counts, and watches that the case ends */
};

struct run;

struct probe_case {
	const char *name;
	void (*fn)(struct run *t);
	u32 flags;
	u32 reserved;
	u64 pad; /* the linker script lays the cases out as an array of 32 bytes each */
};
_Static_assert(sizeof(struct probe_case) == 32, "an array in the linker section");

/* A case being run. */
struct run {
	const struct probe_case *c;
	unsigned failures;
	const char *skip_reason;
};

/* PROBE_CASE(function, "group.name", flags) { … uses t … } */
#define PROBE_CASE(id, dotted, case_flags)                                      \
	static void id(struct run *t);                                          \
	static const struct probe_case case_##id                                \
		__attribute__((section(".probe_cases"), used, aligned(32))) = { \
			.name = (dotted), .fn = (id), .flags = (case_flags)};   \
	static void id(struct run *t)

/* Counts a failure and says where and what; the case goes on. */
void run_fail(struct run *t, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * What a check saw: with the option `transcript` a line, with `digest` a part of its case's. Line 0
 * is for none.
 */
void transcript(struct run *t, int line, const char *what, u64 value);

/* The result of the whole case. */
void run_skip(struct run *t, const char *reason);

void check_fault(struct run *t, int line, const char *what, struct fault f, u8 vector, u32 error);
void check_no_fault(struct run *t, int line, const char *what, struct fault f);
void check_equal(struct run *t, int line, const char *what, u64 got, u64 want);

#define CHECK(t, condition, ...)                            \
	do {                                                \
		if (!(condition))                           \
			run_fail(t, __LINE__, __VA_ARGS__); \
	} while (0)

/* The expression raised exactly that exception with that error code (0 where there is none). */
#define CHECK_FAULT(t, expression, vector, error) \
	check_fault(t, __LINE__, #expression, expression, vector, error)
/* Not by way of each other: the text is the expression as written, its macros not expanded. */
#define CHECK_GP(t, expression) check_fault(t, __LINE__, #expression, expression, VECTOR_GP, 0)
#define CHECK_UD(t, expression) check_fault(t, __LINE__, #expression, expression, VECTOR_UD, 0)
#define CHECK_OK(t, expression) check_no_fault(t, __LINE__, #expression, expression)
#define CHECK_EQ(t, got, want)  check_equal(t, __LINE__, #got, got, want)

#define SKIP_UNLESS(t, condition, reason)    \
	do {                                 \
		if (!(condition)) {          \
			run_skip(t, reason); \
			return;              \
		}                            \
	} while (0)

/* Pseudo-random, from seed= on the command line; same sequence on every run. */
u64 probe_random(void);

enum { FAILED_NAMES = 18 }; /* the page has room for so many */

struct results {
	unsigned passed, failed, skipped;
	const char *first_failed[FAILED_NAMES];
	u64 digest; /* of each case's name and result: runs with the same ones have the same */
};

/* Runs or lists the cases the command line selects. */
const struct results *probe_run(void);

/* The measurements of `bench`. */
void bench_run(void);

/* The end of a run with `coverage`. */
void coverage_report(void);
