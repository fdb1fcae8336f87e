# SPDX-License-Identifier: BSD-2-Clause
"""The table of bench_probe.py as an SVG: three bars an operation, on a logarithmic scale."""

import math
from xml.sax.saxutils import escape

SIDES = (("native", "bare machine", "#9aa0a6"), ("umbra", "Umbra", "#1a73e8"),
         ("no-shadow", "Umbra without VMCS shadowing", "#e8710a"))
LABELS, CHART, MARGIN = 310, 400, 70   # columns, in pixels
BAR, GAP, HEAD, FOOT = 7, 9, 56, 30


def draw(rows, destination):
    """Write it; rows as bench_probe.rows() gives them."""
    decades = math.ceil(math.log10(max(max(row.ticks.values()) for row in rows)))
    group = BAR * len(SIDES) + GAP
    bottom = HEAD + group * len(rows)
    width, height = LABELS + CHART + MARGIN, bottom + FOOT

    def x(ticks):
        return LABELS + CHART * math.log10(max(ticks, 1)) / decades

    def text(at_x, at_y, words, anchor="start", size=11):
        return (f'<text x="{at_x:.0f}" y="{at_y:.0f}" text-anchor="{anchor}" '
                f'font-size="{size}">{escape(words)}</text>')

    def bar(at_x, at_y, length, colour):
        return (f'<rect x="{at_x}" y="{at_y}" width="{length:.1f}" height="{BAR - 1}" '
                f'fill="{colour}"/>')

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
             f'viewBox="0 0 {width} {height}" font-family="sans-serif" fill="#202124">',
             f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
             text(12, 20, "Ticks (instructions) an operation takes, logarithmic", size=14)]
    at = 12
    for _, words, colour in SIDES:
        parts += [bar(at, 33, 14, colour), text(at + 19, 40, words)]
        at += 44 + 6.2 * len(words)
    for decade in range(decades + 1):
        line = x(10 ** decade)
        parts += [f'<path d="M{line:.1f} {HEAD - 4}V{bottom}" stroke="#dadce0"/>',
                  text(line, bottom + 16, f"{10 ** decade:,}", "middle", 10)]
    for number, row in enumerate(rows):
        top = HEAD + group * number
        parts.append(text(LABELS - 8, top + group / 2 + 1, row.operation.title, "end"))
        for place, (side, _, colour) in enumerate(SIDES):
            end = x(row.ticks[side])
            parts += [bar(LABELS, top + BAR * place, end - LABELS, colour),
                      text(end + 4, top + BAR * (place + 1) - 1, f"{row.ticks[side]:,}", size=8)]
    destination.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")
