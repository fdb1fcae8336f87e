/* SPDX-License-Identifier: BSD-2-Clause */
#include "probe.h"

#include "attack/others.h"
#include "digest.h"
#include "string.h"
#include "vmx/vmx.h"

enum { PATTERNS_SIZE = 512 };

extern const struct probe_case __cases_start[], __cases_end[];

static char selected[PATTERNS_SIZE], skipped[PATTERNS_SIZE];
static u64 random_state;
static bool transcribe, digests, watch_all;
static u64 digest; /* of what the checks of this case saw */

u64 probe_random(void)
{
	/* xorshift64; the state is never 0. */
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

void run_fail(struct run *t, int line, const char *format, ...)
{
	va_list args;

	t->failures++;
	print("# %s:%d: CPU %u: ", t->c->name, line, this_cpu()->index);
	va_start(args, format);
	vprint(format, args);
	va_end(args);
	print("\n");
}

void transcript(struct run *t, int line, const char *what, u64 value)
{
	if (transcribe)
		print("= %s:%d CPU %u %s %lx\n", t->c->name, line, this_cpu()->index, what, value);
	if (!digests)
		return;
	digest = digest_add(digest_add(digest, (u64)line), value);
	for (; *what; what++)
		digest = digest_add(digest, (u8)*what);
}

void run_skip(struct run *t, const char *reason)
{
	t->skip_reason = reason;
}

void check_fault(struct run *t, int line, const char *what, struct fault f, u8 vector, u32 error)
{
	transcript(t, line, what, f.raised ? (u64)f.vector << 32 | f.error : ~0ull);
	if (!f.raised)
		run_fail(t, line, "%s: no fault, expected %s(%x)", what, vector_name(vector),
			 error);
	else if (f.vector != vector || f.error != error)
		run_fail(t, line, "%s: %s(%x) at %lx, expected %s(%x)", what, vector_name(f.vector),
			 f.error, f.rip, vector_name(vector), error);
}

void check_no_fault(struct run *t, int line, const char *what, struct fault f)
{
	transcript(t, line, what, f.raised ? (u64)f.vector << 32 | f.error : ~0ull);
	if (f.raised)
		run_fail(t, line, "%s: %s(%x) at %lx, CR2 %lx", what, vector_name(f.vector),
			 f.error, f.rip, f.cr2);
}

void check_equal(struct run *t, int line, const char *what, u64 got, u64 want)
{
	transcript(t, line, what, got);
	if (got != want)
		run_fail(t, line, "%s: is %lx, expected %lx", what, got, want);
}

static void call_case(void *arg)
{
	struct run *t = arg;

	t->c->fn(t);
}

static void reset_cpu(void *unused)
{
	(void)unused;
	vmx_cleanup();
	cpu_baseline(this_cpu());
}

static void call_on(struct run *t, unsigned i)
{
	if (smp_run_on(smp_cpu(i), call_case, t))
		return;
	print("# %s: CPU %u: did not end well\n", t->c->name, i);
	t->failures++;
}

static void run_watched(struct run *t)
{
	static struct attacker watched;

	watched = (struct attacker){.t = t, .alone = true};
	SKIP_UNLESS(t, others_begin(&watched), "one CPU");
	call_on(t, 0);
	others_end(&watched);
}

static void run_case(struct run *t)
{
	bool each = t->c->flags & CASE_EACH_CPU;

	digest = DIGEST_EMPTY;
	if (watch_all || (t->c->flags & CASE_WATCHED))
		run_watched(t);
	else
		for (unsigned i = 0; i < (each ? smp_count() : 1); i++)
			call_on(t, i);
	for (unsigned i = 0; i < smp_count(); i++)
		if (!smp_run_on(smp_cpu(i), reset_cpu, NULL))
			t->failures++;
	if (digests)
		print("= %s digest %lx\n", t->c->name, digest);
}

static bool is_selected(const struct probe_case *c)
{
	return glob_list_match(selected, c->name, c->flags & CASE_EXPLICIT) &&
	       !glob_list_match(skipped, c->name, false);
}

static void count(struct results *r, const struct run *t)
{
	enum { PASSED, FAILED, SKIPPED } result = PASSED;

	if (t->failures) {
		result = FAILED;
		if (r->failed < FAILED_NAMES)
			r->first_failed[r->failed] = t->c->name;
		r->failed++;
	} else if (t->skip_reason) {
		result = SKIPPED;
		r->skipped++;
	} else {
		r->passed++;
	}
	for (const char *p = t->c->name; *p; p++)
		r->digest = digest_add(r->digest, (u8)*p);
	r->digest = digest_add(r->digest, result);
}

const struct results *probe_run(void)
{
	static struct results results = {.digest = DIGEST_EMPTY};
	unsigned number = 0;
	bool list = cmdline_flag("list"), trace = cmdline_flag("trace");

	if (!cmdline_value("cases", selected, sizeof(selected)))
		memcpy(selected, "*", 2);
	cmdline_value("skip", skipped, sizeof(skipped));
	transcribe = cmdline_flag("transcript");
	digests = cmdline_flag("digest");
	watch_all = cmdline_flag("watched");
	random_state = cmdline_number("seed", 1) | BIT(63);

	for (const struct probe_case *c = __cases_start; c < __cases_end; c++) {
		struct run t = {.c = c};

		if (!is_selected(c))
			continue;
		if (list) {
			print("%s%s\n", c->name, c->flags & CASE_EXPLICIT ? " (explicit)" : "");
			continue;
		}
		if (trace)
			print("# running %s\n", c->name);
		run_case(&t);
		number++;
		count(&results, &t);
		if (t.failures)
			print("not ok %u - %s\n", number, c->name);
		else if (t.skip_reason)
			print("ok %u - %s # SKIP %s\n", number, c->name, t.skip_reason);
		else
			print("ok %u - %s\n", number, c->name);
	}
	if (!list)
		print("1..%u\n# passed %u, failed %u, skipped %u\n", number, results.passed,
		      results.failed, results.skipped);
	return &results;
}
