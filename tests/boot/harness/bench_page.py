# SPDX-License-Identifier: BSD-2-Clause
"""docs/figures.md, the one place of measured figures: its two tables, between marks."""

import re

from . import host

PAGE = host.ROOT / "docs" / "figures.md"


def table(heads, lines):
    """A table in Markdown; all columns but the first hold numbers."""
    rule = ["---"] + ["--:"] * (len(heads) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rule, *lines))


def operations(rows):
    """Of bench_probe.rows(): ticks, and what Umbra executes for it with VMCS shadowing."""
    lines = []
    for row in rows:
        exits, l2_exits, *instructions = row.counts["umbra"]
        lines.append((row.operation.title, f"{row.ticks['native']:,}", f"{row.ticks['umbra']:,}",
                      f"{row.ticks['no-shadow']:,}", f"{exits} + {l2_exits}",
                      " / ".join(map(str, instructions))))
    return table(("operation, ticks", "bare", "Umbra", "Umbra without shadowing", "exits of L1 + L2",
                  "VMREAD / VMWRITE / VMPTRLD / VMCLEAR"), lines)


def machines(figures):
    """Of bench.Figure: what was measured in Linux."""
    return table(("figure", "bare", "Umbra"), [figure.cells()[:3] for figure in figures])


def write(rows, figures):
    """Put new tables into the page; without figures of Linux those of the last full run stay."""
    text = PAGE.read_text(encoding="utf-8")
    tables = {"operations": operations(rows)}
    if figures:
        tables["machines"] = machines(figures)
    for name, lines in tables.items():
        text, found = re.subn(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
                              lambda match, lines=lines: f"{match[1]}\n{lines}\n\n{match[2]}", text,
                              flags=re.S)
        if not found:
            raise host.Failure(f"{PAGE} has no place for {name}")
    PAGE.write_text(text, encoding="utf-8")
