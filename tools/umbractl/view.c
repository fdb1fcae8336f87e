/* SPDX-License-Identifier: BSD-2-Clause */
#include "view.h"

#include <stdarg.h>
#include <string.h>

#include "text.h"

enum { LEAST_COLUMNS = 20, REASON_ROWS = 4, BAR = 20 };

static const uint32_t NO_CPU = UINT32_MAX;

struct screen {
	FILE *out;
	int columns, rows, used;
	bool colours;
};

static bool is_full(const struct screen *s)
{
	return s->rows && s->used >= s->rows;
}

/* A line, cut to the screen's width; `style`: NULL, or an SGR sequence's numbers. */
__attribute__((format(printf, 3, 4))) static void line(struct screen *s, const char *style,
						       const char *format, ...)
{
	char text[256];
	va_list args;

	if (is_full(s))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if ((size_t)s->columns < strlen(text))
		text[s->columns] = '\0';
	if (s->used++)
		fputc('\n', s->out);
	/* First, since behind the last column it would clear that. */
	if (s->colours)
		fputs("\033[K", s->out);
	if (s->colours && style)
		fprintf(s->out, "\033[%sm%-*s\033[0m", style, s->columns, text);
	else
		fputs(text, s->out);
}

static struct text rate(const struct change *c, uint64_t count)
{
	return text_rate(change_rate(c, count));
}

static unsigned int percent(uint64_t part, uint64_t whole)
{
	return whole ? (unsigned int)((double)part * 100 / (double)whole + 0.5) : 0;
}

static void head(struct screen *s, const struct view *view, const struct change *all)
{
	const uint64_t to_l1 = all->all_l2_exits - all->by_umbra;

	line(s, "7;1", "Umbra %s   %u CPUs   up %s   %s exits/s   %s", view->version,
	     view->after->cpus, text_duration(view->uptime).of, rate(all, all->all_exits).of,
	     view->options);
	/* In the columns' words; 80 columns are enough for all but the largest numbers. */
	line(s, NULL, "L2: %s in/s, %s out/s, %u %% to L1; %s EPT faults/s by Umbra",
	     rate(all, all->l2_entries).of, rate(all, all->all_l2_exits).of,
	     percent(to_l1, all->all_l2_exits), rate(all, all->ept02_faults).of);
	line(s, NULL, "pool: %s/%s pages, ept02 %s; VMCSs %s, evicted %s/s; shadowing %s",
	     text_count(all->pool_used).of, text_count(view->after->fact[UMBRA_FACT_PAGES]).of,
	     text_count(all->ept02_pages).of, text_count(all->vmcs_cached).of,
	     rate(all, all->evicted).of, all->shadowing ? "on" : "off");
	if (all->hidden_writes || all->unexpected || view->after->dma_faults)
		line(s, "1;31", "refused: %s writes to Umbra's memory, %s DMA; %s unknown exits",
		     text_count(all->hidden_writes).of, text_count(view->after->dma_faults).of,
		     text_count(all->unexpected).of);
}

static void cpu_line(struct screen *s, const char *name, const struct change *c)
{
	line(s, NULL, "%4s %9s %9s %9s %9s %9s %7s %8s", name, rate(c, c->all_exits).of,
	     rate(c, c->l2_entries).of, rate(c, c->all_l2_exits).of, rate(c, c->by_umbra).of,
	     rate(c, c->vmcs_access).of, text_count(c->ept02_pages).of, rate(c, c->evicted).of);
}

static uint64_t exits_of(const struct view *view, uint32_t cpu)
{
	const struct change c = change_between(view->before, view->after, (int)cpu);

	return c.all_exits + c.all_l2_exits;
}

/* The CPU that comes next after this one, which has so many exits: by their number, then its own.
 */
static uint32_t next_busiest(const struct view *view, uint64_t exits, uint32_t cpu)
{
	uint32_t next = view->after->cpus;
	uint64_t most = 0;

	for (uint32_t i = 0; i < view->after->cpus; i++) {
		const uint64_t own = exits_of(view, i);
		const bool comes = own < exits || (own == exits && (i > cpu || cpu == NO_CPU));

		if (comes && (next == view->after->cpus || own > most)) {
			next = i;
			most = own;
		}
	}
	return next;
}

/* The busiest ones, if not all have room; then a line tells of the rest. */
static void cpus(struct screen *s, const struct view *view, int room)
{
	const uint32_t count = view->after->cpus;
	const bool some = s->rows && (int)count > room;
	const uint32_t shown = some ? (uint32_t)(room > 1 ? room - 1 : 0) : count;
	uint64_t exits = UINT64_MAX;
	uint32_t cpu = NO_CPU;

	line(s, "1", "%4s %9s %9s %9s %9s %9s %7s %8s", "CPU", "exits/s", "L2 in/s", "L2 out/s",
	     "by Umbra", "VMRD/WR", "ept02", "evict/s");
	for (uint32_t n = 0; n < shown; n++) {
		struct change c;
		char name[16];

		cpu = some ? next_busiest(view, exits, cpu) : n;
		exits = exits_of(view, cpu);
		c = change_between(view->before, view->after, (int)cpu);
		snprintf(name, sizeof(name), "%u", cpu);
		cpu_line(s, name, &c);
	}
	if (some)
		line(s, NULL, "     and %u CPUs with fewer", count - shown);
}

static void reasons(struct screen *s, const struct change *all)
{
	unsigned int order[REASON_COUNT];
	const unsigned int n = change_reasons(all, order);
	const uint64_t total = all->all_exits + all->all_l2_exits;

	line(s, "1", "%-30s %9s %9s %5s", "exits by reason", "guest/s", "L2/s", "%");
	for (unsigned int i = 0; i < n && !is_full(s); i++) {
		const uint64_t count = all->exits[order[i]] + all->l2_exits[order[i]];
		const unsigned int share = percent(count, total);
		char bar[BAR + 1] = "";

		memset(bar, '#', share * BAR / 100);
		line(s, NULL, "%-30.30s %9s %9s %5u %s", reason_name(order[i]),
		     rate(all, all->exits[order[i]]).of, rate(all, all->l2_exits[order[i]]).of,
		     share, bar);
	}
	if (!n)
		line(s, NULL, "none");
}

void view_screen(FILE *out, const struct view *view, int columns, int rows, bool colours)
{
	const struct change all = change_between(view->before, view->after, ALL_CPUS);
	struct screen s = {
		.out = out,
		.columns = columns > LEAST_COLUMNS ? columns : LEAST_COLUMNS,
		.rows = rows,
		.colours = colours,
	};

	head(&s, view, &all);
	line(&s, NULL, "%s", "");
	cpus(&s, view, (rows - s.used - REASON_ROWS) / 2);
	line(&s, NULL, "%s", "");
	reasons(&s, &all);
}

static void cost_of(FILE *out, const struct change *c, const char *what, const uint64_t *exits,
		    uint64_t all)
{
	unsigned int order[REASON_COUNT];
	const unsigned int n = change_reasons(c, order);

	fprintf(out, "%20s  %-32s %9s /s\n", text_count(all).of, what, rate(c, all).of);
	for (unsigned int i = 0; i < n; i++) {
		if (exits[order[i]])
			fprintf(out, "%20s    %-30s %9s /s\n", text_count(exits[order[i]]).of,
				reason_name(order[i]), rate(c, exits[order[i]]).of);
	}
}

void view_cost(FILE *out, const struct change *change, const char *command)
{
	fprintf(out, "\n Exits of the whole machine while '%s' ran:\n\n", command);
	cost_of(out, change, "exits of the guest", change->exits, change->all_exits);
	if (change->all_l2_exits) {
		fputc('\n', out);
		cost_of(out, change, "exits of its virtual machines", change->l2_exits,
			change->all_l2_exits);
		fprintf(out, "%20s  %-32s\n", text_count(change->by_umbra).of,
			"of these by Umbra alone");
		fprintf(out, "%20s  %-32s\n", text_count(change->l2_entries).of,
			"entries of virtual machines");
	}
	fprintf(out, "\n%20.3f  seconds\n\n", change->seconds);
}

static void exits_json(struct json *json, const char *key, const uint64_t exits[REASON_COUNT])
{
	json_open(json, key, '{');
	for (unsigned int i = 0; i < REASON_COUNT; i++) {
		if (exits[i])
			json_number(json, reason_name(i), exits[i]);
	}
	json_close(json, '}');
}

void view_json(struct json *json, const char *key, const struct change *change)
{
	json_open(json, key, '{');
	json_decimal(json, "seconds", change->seconds);
	json_number(json, "exits", change->all_exits);
	json_number(json, "l2_exits", change->all_l2_exits);
	json_number(json, "l2_entries", change->l2_entries);
	json_number(json, "l2_exits_by_umbra", change->by_umbra);
	json_number(json, "vmcs_access_exits", change->vmcs_access);
	json_number(json, "ept02_faults", change->ept02_faults);
	json_number(json, "vmcs_evicted", change->evicted);
	json_number(json, "ept02_pages", change->ept02_pages);
	json_number(json, "vmcs_cached", change->vmcs_cached);
	json_number(json, "pool_pages_used", change->pool_used);
	json_bool(json, "vmcs_shadowing", change->shadowing);
	json_number(json, "hidden_reads", change->hidden_reads);
	json_number(json, "hidden_writes", change->hidden_writes);
	json_number(json, "unexpected_exits", change->unexpected);
	exits_json(json, "exits_by_reason", change->exits);
	exits_json(json, "l2_exits_by_reason", change->l2_exits);
	json_close(json, '}');
}
