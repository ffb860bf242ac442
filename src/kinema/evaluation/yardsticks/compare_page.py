"""The page of a comparison: a table of both evaluations and a plot of the differences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .. import page
from ..page import text
from ..plots import forest, number
from .compare import Comparison, verdict_text

JSON, PAGE = "comparison.json", "comparison.html"


def save(found: Comparison, data: dict[str, Any], folder: Path) -> None:
    """Write comparison.json and comparison.html into a folder. data: of `compare.to_dict`. Raises MediaError."""
    page.write(folder / PAGE, html(found, data))
    page.write(folder / JSON, json.dumps(data, indent=1, allow_nan=False) + "\n")


def html(found: Comparison, data: dict[str, Any]) -> str:
    rows, lines = [], []
    for each in found.figures:
        gap, kind = each.difference, "good" if each.verdict else "soft"
        cells = ["", "", ""]
        if gap is not None:
            cells = [
                f"<b>{number(gap.value)}</b> ({number(gap.low)} to {number(gap.high)})", f"{each.p:.4f}",
                str(gap.num_pairs or "none"),
            ]  # fmt: skip
            lines.append((each.name, gap.value, gap.low, gap.high, kind))
        rows.append([
            text(each.name), f"{number(each.a.value)} {text(each.unit)}", f"{number(each.b.value)} {text(each.unit)}",
            *cells, f'<span class="{kind}">{text(verdict_text(each))}</span>',
        ])  # fmt: skip
    sides = [("A", f"<code>{text(found.a)}</code>"), ("B", f"<code>{text(found.b)}</code>")]
    if data["command"]:
        sides.append(("command", f"<code>{text(' '.join(data['command']))}</code>"))
    head = ["metric", "A", "B", "A - B (95 %)", "p", "pairs", "verdict"]
    body = [
        "<h1>Comparison of two sets of clips</h1>", page.facts(sides),
        f"<section>{page.table(head, rows, (1, 2, 3, 4))}</section>",
        f"<section><h2>Differences</h2>{forest(lines)}"
        '<p class="soft">Each line has its own scale; left of the middle, A is lower. p values are adjusted '
        " for the number of figures (Holm); below 0.05 a difference counts as real.</p></section>",
    ]  # fmt: skip
    return page.document("Comparison of two sets of clips", "\n".join(body))
