/* SPDX-License-Identifier: BSD-2-Clause */
/* umbractl: numbers, rates, screens, pages and JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <x86/types.h>

#include "chart.h"
#include "html.h"
#include "json.h"
#include "lines.h"
#include "series.h"
#include "text.h"
#include "view.h"

/* What a function prints. */
struct printed {
	char *text;
	size_t size;
	FILE *file;
};

static struct printed printed;

static FILE *begin(void)
{
	free(printed.text);
	printed.file = open_memstream(&printed.text, &printed.size);
	assert_non_null(printed.file);
	return printed.file;
}

static const char *end(void)
{
	assert_int_equal(fclose(printed.file), 0);
	return printed.text;
}

static void test_text(void **state)
{
	static const struct {
		double rate;
		const char *text;
	} rates[] = {{0, "0"},           {-5, "0"},           {0.25, "0.25"},
		     {9.99, "9.99"},     {9.996, "10"},       {12.4, "12"},
		     {999.5, "1,000"},   {123456, "123,456"}, {999999.4, "999,999"},
		     {999999.6, "1.0M"}, {1234567, "1.2M"},   {3.4e9, "3.4G"},
		     {5e12, "5.0T"},     {1e18, "many"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		assert_string_equal(text_rate(rates[i].rate).of, rates[i].text);
		assert_true(strlen(text_rate(rates[i].rate).of) <= 7);
	}
	assert_string_equal(text_rate(0.0 / 0.0 + 0).of, "0");
	assert_string_equal(text_seconds(0).of, "0");
	assert_string_equal(text_seconds(0.001).of, "0");
	assert_string_equal(text_seconds(0.25).of, "0.25");
	assert_string_equal(text_seconds(0.5).of, "0.5");
	assert_string_equal(text_seconds(5.01).of, "5");
	assert_string_equal(text_seconds(7.52).of, "7.5");
	assert_string_equal(text_seconds(10.02).of, "10");
	assert_string_equal(text_seconds(3600).of, "3,600");
	assert_string_equal(text_count(0).of, "0");
	assert_string_equal(text_count(1000).of, "1,000");
	assert_string_equal(text_count(~0ull).of, "18,446,744,073,709,551,615");
	assert_string_equal(text_duration(3723.9).of, "1:02:03");
	assert_string_equal(text_duration(4 * 86400 + 59).of, "4d 0:00:59");
	assert_string_equal(text_duration(-1).of, "0:00:00");
	assert_string_equal(text_size(512).of, "512 bytes");
	assert_string_equal(text_size(64 << 10).of, "64 KiB");
	assert_string_equal(text_size(5 << 19).of, "2.5 MiB");
	assert_string_equal(text_size(~0ull).of, "16777216 TiB");
}

static void test_json(void **state)
{
	struct json json = {.out = begin()};

	(void)state;
	json_open(&json, NULL, '{');
	json_string(&json, "a \"b\"", "c\\d\n\x1b\xff");
	json_open(&json, "empty", '[');
	json_close(&json, ']');
	json_open(&json, "list", '[');
	json_number(&json, NULL, ~0ull);
	json_decimal(&json, NULL, 1.0 / 3);
	json_bool(&json, NULL, false);
	json_close(&json, ']');
	json_decimal(&json, "none", 0.0 / 0.0);
	json_close(&json, '}');
	assert_string_equal(end(),
			    "{\n  \"a \\\"b\\\"\": \"c\\\\d\\u000a\\u001b\\u00ff\",\n"
			    "  \"empty\": [],\n"
			    "  \"list\": [\n    18446744073709551615,\n    0.333,\n    false\n"
			    "  ],\n  \"none\": 0.000\n}\n");
}

static char line_seen[4096];

static void see_line(void *context, const char *text)
{
	assert_ptr_equal(context, line_seen);
	strcat(strcat(line_seen, text), "|");
}

static void test_lines(void **state)
{
	static const char text[] = "umbra: one\numbra: tw\x1bo\n\nlast";

	(void)state;
	/* However it is cut into pieces. */
	for (size_t cut = 1; cut < sizeof(text); cut++) {
		struct lines lines = {.each = see_line, .context = line_seen};

		line_seen[0] = '\0';
		for (size_t i = 0; i < sizeof(text) - 1; i += cut)
			lines_add(&lines, text + i,
				  sizeof(text) - 1 - i < cut ? sizeof(text) - 1 - i : cut);
		lines_end(&lines);
		assert_string_equal(line_seen, "umbra: one|umbra: tw?o||last|");
	}
	struct lines lines = {.each = see_line, .context = line_seen};
	char many[LINES_LONGEST + 1];

	line_seen[0] = '\0';
	memset(many, 'x', sizeof(many));
	lines_add(&lines, many, sizeof(many));
	lines_end(&lines);
	assert_int_equal(strlen(line_seen), sizeof(many) + 2);
	assert_true(line_seen[LINES_LONGEST - 1] == '|');
}

/* Samples of so many CPUs. */
static struct sample *sample(uint32_t cpus, double time)
{
	struct sample *s = calloc(1, sizeof(*s) + cpus * sizeof(s->cpu[0]));

	assert_non_null(s);
	s->cpus = cpus;
	s->time = time;
	s->fact[UMBRA_FACT_PAGES] = 1000;
	s->fact[UMBRA_FACT_PAGES_LEFT] = 900;
	return s;
}

static struct sample *before, *after;

static int setup(void **state)
{
	(void)state;
	before = sample(2, 10);
	after = sample(2, 12);
	before->cpu[0].exits[REASON_CPUID] = 100;
	after->cpu[0].exits[REASON_CPUID] = 300;
	after->cpu[1].exits[REASON_CPUID] = 50;
	after->cpu[0].exits[REASON_VMLAUNCH] = 10;
	after->cpu[0].exits[REASON_VMRESUME] = 90;
	after->cpu[0].exits[REASON_VMREAD] = 7;
	after->cpu[0].exits[REASON_VMWRITE] = 3;
	after->cpu[0].l2_exits[REASON_EPT_VIOLATION] = 130;
	after->cpu[0].word[UMBRA_CPU_EPT02_PAGES] = 24;
	after->cpu[1].word[UMBRA_CPU_EPT02_PAGES] = 1;
	after->cpu[0].word[UMBRA_CPU_VMCS_EVICTED] = 4;
	after->cpu[0].word[UMBRA_CPU_SHADOWING] = 1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(before);
	free(after);
	return 0;
}

static void test_change(void **state)
{
	unsigned int order[REASON_COUNT];
	struct change c = change_between(before, after, ALL_CPUS);

	(void)state;
	assert_int_equal(c.exits[REASON_CPUID], 250);
	assert_int_equal(c.all_exits, 360);
	assert_int_equal(c.all_l2_exits, 130);
	assert_int_equal(c.l2_entries, 100);
	assert_int_equal(c.by_umbra, 30);
	assert_int_equal(c.vmcs_access, 10);
	assert_int_equal(c.ept02_pages, 25);
	assert_int_equal(c.evicted, 4);
	assert_int_equal(c.pool_used, 100);
	assert_true(c.shadowing);
	assert_true(change_rate(&c, c.all_exits) > 179.9 && change_rate(&c, c.all_exits) < 180.1);
	assert_int_equal(change_reasons(&c, order), 6);
	assert_int_equal(order[0], REASON_CPUID);
	assert_int_equal(order[1], REASON_EPT_VIOLATION);
	assert_int_equal(order[2], REASON_VMRESUME);

	c = change_between(before, after, 1);
	assert_int_equal(c.all_exits, 50);
	assert_int_equal(c.ept02_pages, 1);
	assert_false(c.shadowing);
	/* No time has gone by, or counters have gone back: no rate, and no huge number. */
	c = change_between(after, before, ALL_CPUS);
	assert_int_equal(c.all_exits, 0);
	assert_true(change_rate(&c, 5) < 1 && change_rate(&c, 5) > -1);
	c = change_between(after, after, ALL_CPUS);
	assert_true(change_rate(&c, 5) < 1);
	/* An L2 that was entered and has not exited yet. */
	after->cpu[0].l2_exits[REASON_EPT_VIOLATION] = 99;
	assert_int_equal(change_between(before, after, 0).by_umbra, 0);
}

/* JSON keys are reasons' names, so each name is one reason's. */
static void test_reason_names(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < REASON_COUNT; i++) {
		for (unsigned int k = 0; k < i; k++)
			assert_true(strcmp(reason_name(i), reason_name(k)) != 0 ||
				    strcmp(reason_name(i), "unknown") == 0);
	}
	assert_string_equal(reason_name(REASON_CPUID), "CPUID");
	assert_string_equal(reason_name(REASON_COUNT), "unknown");
}

static unsigned int rows_of(const char *text, int columns)
{
	unsigned int rows = 1, column = 0;

	for (; *text; text++) {
		if (*text == '\033') {
			while (*text != 'm' && *text != 'K')
				text++;
			continue;
		}
		column = *text == '\n' ? 0 : column + 1;
		rows += *text == '\n';
		assert_true(column <= (unsigned int)columns);
	}
	return rows;
}

/* It fits whatever the size, and the number of CPUs. */
static void test_screen(void **state)
{
	static const uint32_t cpus[] = {1, 2, 8, 64, 300};
	const char *text;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
		struct sample *a = sample(cpus[i], 1), *b = sample(cpus[i], 2);

		for (uint32_t cpu = 0; cpu < cpus[i]; cpu++) {
			for (unsigned int reason = 0; reason < REASON_COUNT; reason++)
				b->cpu[cpu].exits[reason] = 1000000007ull * (cpu + 1) + reason;
		}
		for (int columns = 20; columns < 200; columns += 30) {
			for (int rows = 1; rows < 60; rows += 7) {
				const struct view view = {"0.1.0", "hv-leaves=on", 3723, a, b};

				view_screen(begin(), &view, columns, rows, rows % 2);
				assert_true(rows_of(end(), columns) <= (unsigned int)rows);
			}
		}
		free(a);
		free(b);
	}
	view_screen(begin(), &(const struct view){"0.1.0", "hv-leaves=on", 3723, before, after}, 80,
		    24, false);
	text = end();
	assert_non_null(strstr(text, "Umbra 0.1.0   2 CPUs   up 1:02:03   180 exits/s"));
	assert_non_null(strstr(text, "L2: 50 in/s, 65 out/s, 77 % to L1"));
	assert_non_null(
		strstr(text, "\n   0       155        50        65        15      5.00      24"));
	assert_non_null(strstr(text, "\nCPUID                                125         0    51 "
				     "##########"));
	assert_null(strstr(text, "refused"));
	after->cpu[1].word[UMBRA_CPU_HIDDEN_WRITES] = 3;
	view_screen(begin(), &(const struct view){"0.1.0", "", 0, before, after}, 80, 24, false);
	assert_non_null(strstr(end(), "refused: 3 writes to Umbra's memory"));
}

/* A busy machine's lines are whole at 80 columns. */
static void test_large_numbers(void **state)
{
	struct sample *a = sample(1, 1), *b = sample(1, 2);
	const char *text;

	(void)state;
	a->time = 0;
	b->time = 1;
	a->fact[UMBRA_FACT_PAGES] = b->fact[UMBRA_FACT_PAGES] = 2048;
	b->fact[UMBRA_FACT_PAGES_LEFT] = 1;
	memset(a->cpu, 0, sizeof(*a->cpu));
	memset(b->cpu, 0, sizeof(*b->cpu));
	b->cpu->l2_exits[REASON_EPT_VIOLATION] = 999999;
	b->cpu->exits[REASON_VMRESUME] = 999999;
	b->cpu->word[UMBRA_CPU_EPT02_FAULTS] = 999999;
	b->cpu->word[UMBRA_CPU_EPT02_PAGES] = 2047;
	b->cpu->word[UMBRA_CPU_VMCS_CACHED] = 512;
	b->cpu->word[UMBRA_CPU_VMCS_EVICTED] = 99999;
	b->cpu->word[UMBRA_CPU_SHADOWING] = 1;
	view_screen(begin(), &(const struct view){"0.1.0", "", 0, a, b}, 80, 24, false);
	text = end();
	assert_non_null(strstr(text, "\nL2: 999,999 in/s, 999,999 out/s, 100 % to L1; "
				     "999,999 EPT faults/s by Umbra\n"));
	assert_non_null(strstr(text, "\npool: 2,047/2,048 pages, ept02 2,047; VMCSs 512, "
				     "evicted 99,999/s; shadowing on\n"));
	free(a);
	free(b);
}

/* The busiest CPUs come first where not all have room; each is shown once. */
static void test_busiest_cpus(void **state)
{
	struct sample *a = sample(40, 1), *b = sample(40, 2);
	const char *text;

	(void)state;
	b->cpu[33].exits[REASON_HLT] = 500;
	b->cpu[2].exits[REASON_HLT] = 400;
	view_screen(begin(), &(const struct view){"0", "", 0, a, b}, 80, 24, false);
	text = end();
	assert_non_null(strstr(text, "\n  33       500"));
	assert_true(strstr(text, "\n  33 ") < strstr(text, "\n   2 "));
	assert_true(strstr(text, "\n   2 ") < strstr(text, "\n   0 "));
	assert_non_null(strstr(text, "CPUs with fewer"));
	free(a);
	free(b);
}

static void test_cost(void **state)
{
	const struct change c = change_between(before, after, ALL_CPUS);
	const char *text;

	(void)state;
	view_cost(begin(), &c, "make");
	text = end();
	assert_non_null(strstr(text, "while 'make' ran"));
	assert_non_null(strstr(text, "                 360  exits of the guest"));
	assert_non_null(strstr(text, "                 250    CPUID "));
	assert_non_null(strstr(text, "                  30  of these by Umbra alone"));
	assert_non_null(strstr(text, "               2.000  seconds"));
}

static void test_chart(void **state)
{
	double value[] = {1, 3, 2, 2}, until[] = {1, 2};
	struct chart chart = {2, 2, value, until, true, "/s"};
	const char *text;

	(void)state;
	assert_true(chart_scale(0) <= 1 && chart_scale(1) <= 1 && chart_scale(1.1) <= 2);
	assert_true(chart_scale(3) > 4.9 && chart_scale(3) < 5.1);
	assert_true(chart_scale(99) > 99.9 && chart_scale(99) < 100.1);
	assert_true(chart_scale(0.0 / 0.0) <= 1);
	chart_svg(begin(), &chart, "a <b>");
	text = end();
	assert_non_null(strstr(text, "aria-label=\"a &lt;b&gt;\""));
	/* The sums are 3 and 5; the scale ends at 5, at the top. */
	assert_non_null(strstr(text, ">5.00/s<"));
	assert_non_null(strstr(text, "fill=\"var(--c1)\""));
	assert_non_null(strstr(text, "M70.0 100.0H469.0L469.0 12.0H868.0"));
	chart.stacked = false;
	chart_svg(begin(), &chart, "");
	assert_non_null(strstr(end(), "stroke=\"var(--c1)\""));
	/* Nothing at all. */
	chart.points = 0;
	chart_svg(begin(), &chart, "");
	assert_null(strstr(end(), "<path"));
}

/* Tags are closed in the order in which they were opened. */
static void assert_balanced(const char *html)
{
	static const char *const single[] = {"meta", "line", "!DOCTYPE"};
	static const char *const names[] = {"html", "head", "title", "style", "body", "h1",  "h2",
					    "p",    "code", "div",   "b",     "span", "svg", "text",
					    "path", "i",    "table", "tr",    "th",   "td"};
	const char *open[64];
	size_t depth = 0;

	for (const char *at = strchr(html, '<'); at; at = strchr(at + 1, '<')) {
		const bool closes = at[1] == '/';
		const char *name = at + 1 + closes, *found = NULL;
		const size_t length = strcspn(name, " />");
		bool skip = strchr(at, '>')[-1] == '/';

		for (size_t i = 0; i < ARRAY_SIZE(single); i++)
			skip |= strncmp(name, single[i], length) == 0 && !single[i][length];
		if (skip)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			if (strncmp(name, names[i], length) == 0 && !names[i][length])
				found = names[i];
		}
		assert_non_null(found);
		if (closes) {
			assert_true(depth > 0);
			assert_ptr_equal(open[--depth], found);
		} else {
			assert_true(depth < ARRAY_SIZE(open));
			open[depth++] = found;
		}
	}
	assert_int_equal(depth, 0);
}

static struct series series(const struct change *changes, unsigned int count)
{
	static struct change whole, of_cpu[2];

	whole = change_between(before, after, ALL_CPUS);
	of_cpu[0] = change_between(before, after, 0);
	of_cpu[1] = change_between(before, after, 1);
	return (struct series){
		.version = "0.1.0",
		.options = "serial=<com1>&\"x\"",
		.when = "2026-01-02 03:04:05 UTC",
		.host = "here",
		.cpus = 2,
		.count = count,
		.of = changes,
		.whole = &whole,
		.of_cpu = of_cpu,
	};
}

static void test_page(void **state)
{
	const struct change change = change_between(before, after, ALL_CPUS);
	const struct change changes[] = {change, change, change};
	const char *text;

	(void)state;
	for (unsigned int count = 0; count <= ARRAY_SIZE(changes); count++) {
		const struct series s = series(changes, count);

		series_html(begin(), &s);
		text = end();
		assert_balanced(text);
		assert_non_null(strstr(text, "serial=&lt;com1&gt;&amp;&quot;x&quot;"));
		assert_non_null(strstr(text, "<td>CPUID</td><td>250</td>"));
		assert_non_null(strstr(text, "Virtual machines of the guest"));
		/* Nothing is fetched from anywhere, and nothing runs. */
		assert_null(strstr(text, "http"));
		assert_null(strstr(text, "<script"));
		assert_null(strstr(text, "nan"));
		assert_null(strstr(text, "inf\""));
	}
	const struct series s = series(changes, 2);

	series_json(begin(), &s);
	text = end();
	assert_non_null(strstr(text, "\"samples\": ["));
	assert_non_null(strstr(text, "\"l2_exits_by_umbra\": 30"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_lines),
		cmocka_unit_test_setup_teardown(test_change, setup, teardown),
		cmocka_unit_test(test_reason_names),
		cmocka_unit_test_setup_teardown(test_screen, setup, teardown),
		cmocka_unit_test(test_large_numbers),
		cmocka_unit_test(test_busiest_cpus),
		cmocka_unit_test_setup_teardown(test_cost, setup, teardown),
		cmocka_unit_test(test_chart),
		cmocka_unit_test_setup_teardown(test_page, setup, teardown),
	};
	const int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(printed.text);
	return failed;
}
