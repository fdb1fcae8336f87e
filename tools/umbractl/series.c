/* SPDX-License-Identifier: BSD-2-Clause */
#include "series.h"

#include <math.h>
#include <stdlib.h>

#include "chart.h"
#include "html.h"
#include "text.h"
#include "view.h"

enum { STACKED = 6 };

static const char style[] =
	"<style>\n"
	":root{color-scheme:light dark;--bg:#f7f7f5;--card:#fff;--ink:#1d2129;--dim:#667085;"
	"--rule:#e3e5e8;--c0:#2f6fdf;--c1:#e0792b;--c2:#2a9d6f;--c3:#b0468f;--c4:#c9a227;--c5:#"
	"5b61c9;"
	"--c6:#9aa3af}\n"
	"@media(prefers-color-scheme:dark){:root{--bg:#14171c;--card:#1d2128;--ink:#e6e9ee;"
	"--dim:#98a2b3;--rule:#343a45;--c0:#6ea2ff;--c1:#f2a261;--c2:#5ccf9f;--c3:#e086c4;--c4:#"
	"e5c95a;"
	"--c5:#9a9ff5;--c6:#7d8794}}\n"
	"body{margin:0 auto;max-width:60rem;padding:2rem 1.2rem 4rem;background:var(--bg);"
	"color:var(--ink);font:15px/1.5 system-ui,sans-serif}\n"
	"h1{margin:0;font-size:1.6rem}h2{margin:2.2rem 0 .6rem;font-size:1.1rem}\n"
	"p{margin:.2rem 0;color:var(--dim)}code{font-size:.92em}\n"
	".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.7rem;"
	"margin-top:1.4rem}\n"
	".tile,.chart{background:var(--card);border:1px solid var(--rule);border-radius:.6rem;"
	"padding:.7rem .9rem}\n"
	".tile b{display:block;font-size:1.45rem;font-variant-numeric:tabular-nums}\n"
	".tile span{color:var(--dim);font-size:.85rem}\n"
	"svg{display:block;width:100%;height:auto}svg text{fill:var(--dim);font-size:12px}\n"
	"svg .grid{stroke:var(--rule)}\n"
	".key{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin-top:.4rem;font-size:.85rem}\n"
	".key i{display:inline-block;width:.8em;height:.8em;border-radius:.2em;margin-right:.4em}\n"
	"table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\n"
	"th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--rule)}\n"
	"th{color:var(--dim);font-weight:500}th:first-child,td:first-child{text-align:left}\n"
	"td.bar{width:22%}td.bar div{height:.7em;border-radius:.2em;background:var(--c0)}\n"
	"</style>\n";

static void tile(FILE *out, const char *value, const char *what)
{
	fprintf(out, "<div class=\"tile\"><b>%s</b><span>%s</span></div>\n", value, what);
}

static void tiles(FILE *out, const struct series *s)
{
	const struct change *w = s->whole;
	char share[32];

	fputs("<div class=\"tiles\">\n", out);
	tile(out, text_rate(change_rate(w, w->all_exits)).of, "exits a second");
	tile(out, text_count(w->all_exits).of, "exits in all");
	tile(out, text_rate(change_rate(w, w->l2_entries)).of, "L2 entries a second");
	snprintf(share, sizeof(share), "%.0f %%",
		 w->all_l2_exits ? (double)w->by_umbra * 100 / (double)w->all_l2_exits : 0);
	tile(out, share, "of L2’s exits by Umbra alone");
	tile(out, text_count(w->ept02_pages).of, "pages of ept02 at the end");
	tile(out, text_count(w->evicted).of, "VMCSs evicted");
	fputs("</div>\n", out);
}

/* The rates of one thing, or of all reasons but the first ones, over the time. */
struct curve {
	const char *name;
	int reason; /* of the guest's exits; OTHERS; or a function of a change */
	uint64_t (*of)(const struct change *change);
};

enum { OTHERS = -1, BY_FUNCTION = -2 };

static uint64_t l2_entries(const struct change *c)
{
	return c->l2_entries;
}

static uint64_t by_umbra(const struct change *c)
{
	return c->by_umbra;
}

static uint64_t vmcs_access(const struct change *c)
{
	return c->vmcs_access;
}

static uint64_t pool_used(const struct change *c)
{
	return c->pool_used;
}

static uint64_t ept02_pages(const struct change *c)
{
	return c->ept02_pages;
}

static double value_of(const struct change *c, const struct curve *curve,
		       const struct curve *stacked, unsigned int count, bool rate)
{
	uint64_t value = 0;

	if (curve->reason == BY_FUNCTION) {
		value = curve->of(c);
	} else if (curve->reason == OTHERS) {
		value = c->all_exits;
		for (unsigned int i = 0; i < count; i++)
			value -= stacked[i].reason >= 0 ? c->exits[stacked[i].reason] : 0;
	} else {
		value = c->exits[curve->reason];
	}
	return rate ? change_rate(c, value) : (double)value;
}

static void draw(FILE *out, const struct series *s, const char *title, const char *unit,
		 const struct curve *curves, unsigned int count, bool stacked, bool rate)
{
	struct chart chart = {.lines = count, .points = s->count, .stacked = stacked, .unit = unit};

	chart.value = calloc((size_t)count * s->count + 1, sizeof(double));
	chart.until = calloc(s->count + 1, sizeof(double));
	if (!chart.value || !chart.until) {
		free(chart.value);
		free(chart.until);
		return;
	}
	for (unsigned int i = 0; i < s->count; i++) {
		chart.until[i] = (i ? chart.until[i - 1] : 0) + s->of[i].seconds;
		for (unsigned int k = 0; k < count; k++)
			chart.value[k * s->count + i] =
				value_of(&s->of[i], &curves[k], curves, count, rate);
	}
	fprintf(out, "<h2>%s</h2>\n<div class=\"chart\">\n", title);
	chart_svg(out, &chart, title);
	fputs("<div class=\"key\">", out);
	for (unsigned int k = 0; k < count; k++) {
		fprintf(out, "<span><i style=\"background:var(--c%u)\"></i>", k);
		html_text(out, curves[k].name);
		fputs("</span>", out);
	}
	fputs("</div>\n</div>\n", out);
	free(chart.value);
	free(chart.until);
}

static void exits_chart(FILE *out, const struct series *s)
{
	struct curve curves[STACKED + 1];
	unsigned int order[REASON_COUNT];
	const unsigned int n = change_reasons(s->whole, order);
	unsigned int count = 0, guests = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (!s->whole->exits[order[i]])
			continue;
		guests++;
		if (count < STACKED)
			curves[count++] =
				(struct curve){reason_name(order[i]), (int)order[i], NULL};
	}
	if (guests > STACKED)
		curves[count++] = (struct curve){"others", OTHERS, NULL};
	if (count)
		draw(out, s, "Exits of the guest, by reason", "/s", curves, count, true, true);
}

static void reasons_table(FILE *out, const struct series *s)
{
	const struct change *w = s->whole;
	const double total = (double)(w->all_exits + w->all_l2_exits);
	unsigned int order[REASON_COUNT];
	const unsigned int n = change_reasons(w, order);

	fputs("<h2>By reason</h2>\n<table><tr><th>reason</th><th>guest</th><th>a second</th>"
	      "<th>L2</th><th>a second</th><th></th></tr>\n",
	      out);
	for (unsigned int i = 0; i < n; i++) {
		const uint64_t exits = w->exits[order[i]], l2 = w->l2_exits[order[i]];

		fputs("<tr><td>", out);
		html_text(out, reason_name(order[i]));
		fprintf(out,
			"</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td>"
			"<td class=\"bar\"><div style=\"width:%.1f%%\"></div></td></tr>\n",
			text_count(exits).of, text_rate(change_rate(w, exits)).of,
			text_count(l2).of, text_rate(change_rate(w, l2)).of,
			(double)(exits + l2) * 100 / total);
	}
	fputs("</table>\n", out);
}

static void cpus_table(FILE *out, const struct series *s)
{
	fputs("<h2>By CPU</h2>\n<table><tr><th>CPU</th><th>exits a second</th>"
	      "<th>L2 entries</th><th>L2 exits</th><th>by Umbra</th><th>VMREAD, VMWRITE</th>"
	      "<th>ept02 pages</th><th>evicted</th></tr>\n",
	      out);
	for (uint32_t i = 0; i < s->cpus; i++) {
		const struct change *c = &s->of_cpu[i];

		fprintf(out,
			"<tr><td>%u</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td>"
			"<td>%s</td><td>%s</td></tr>\n",
			i, text_rate(change_rate(c, c->all_exits)).of, text_count(c->l2_entries).of,
			text_count(c->all_l2_exits).of, text_count(c->by_umbra).of,
			text_count(c->vmcs_access).of, text_count(c->ept02_pages).of,
			text_count(c->evicted).of);
	}
	fputs("</table>\n", out);
}

void series_html(FILE *out, const struct series *s)
{
	static const struct curve l2[] = {
		{"entries of L2 by L1", BY_FUNCTION, l2_entries},
		{"exits of L2 that Umbra handled alone", BY_FUNCTION, by_umbra},
		{"VMREADs and VMWRITEs past the shadow VMCS", BY_FUNCTION, vmcs_access},
	};
	static const struct curve memory[] = {
		{"pages of the pool in use", BY_FUNCTION, pool_used},
		{"of these in tables of ept02", BY_FUNCTION, ept02_pages},
	};

	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	      "<title>Umbra on ",
	      out);
	html_text(out, s->host);
	fprintf(out, "</title>\n%s</head><body>\n<h1>Umbra on ", style);
	html_text(out, s->host);
	fputs("</h1>\n<p>", out);
	html_text(out, s->when);
	fprintf(out, ", %s for %s on %u CPUs; Umbra ", s->count == 1 ? "one sample" : "samples",
		text_duration(s->whole->seconds).of, s->cpus);
	html_text(out, s->version);
	if (*s->options) {
		fputs(", options <code>", out);
		html_text(out, s->options);
		fputs("</code>", out);
	}
	fputs("</p>\n", out);
	tiles(out, s);
	exits_chart(out, s);
	if (s->whole->all_l2_exits || s->whole->l2_entries)
		draw(out, s, "Virtual machines of the guest", "/s", l2, 3, false, true);
	draw(out, s, "Memory", " pages", memory, 2, false, false);
	reasons_table(out, s);
	cpus_table(out, s);
	fputs("</body></html>\n", out);
}

void series_json(FILE *out, const struct series *s)
{
	struct json json = {.out = out};

	json_open(&json, NULL, '{');
	json_string(&json, "version", s->version);
	json_string(&json, "options", s->options);
	json_string(&json, "host", s->host);
	json_string(&json, "when", s->when);
	json_number(&json, "cpus", s->cpus);
	view_json(&json, "whole", s->whole);
	json_open(&json, "samples", '[');
	for (unsigned int i = 0; i < s->count; i++)
		view_json(&json, NULL, &s->of[i]);
	json_close(&json, ']');
	json_close(&json, '}');
}
