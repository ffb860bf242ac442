"""Compare two evaluations: which differences of their figures are real.

Clips of the same names are compared as pairs. The p values of several figures are adjusted together (Holm, "A simple
sequentially rejective multiple test procedure", 1979): among twelve figures of equal sets, one in two comparisons would
otherwise find a difference at 5 %.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import RequestError
from .bootstrap import LEVEL, Difference, difference_of_means
from .contract import Row, Score, Yardstick, YardstickSettings
from .result import GIVEN, OTHER
from .run import ordered, scored
from .store import FILE, RowStore
from .table import YARDSTICKS, chosen

LEAST_PAIRED = 0.5
"""Share of the clips of each side that must have a partner, for the others to be left out."""
Members = dict[str, dict[str, str]]


@dataclass(frozen=True)
class ComparedFigure:
    """A figure of both evaluations. difference: A minus B; None, with a reason, if they cannot be compared. p: adjusted
    for the number of figures. verdict: "A" or "B" (better), "A higher" or "B higher" for figures without a better
    direction, "" if no difference is shown."""

    name: str
    title: str
    unit: str
    better: str
    a: Score
    b: Score
    difference: Difference | None
    num_pairs: int
    reason: str = ""
    p: float = 1.0

    @property
    def verdict(self) -> str:
        if self.difference is None or self.p >= 1.0 - LEVEL:
            return ""
        higher = "A" if self.difference.value > 0 else "B"
        if self.better == "neither":
            return f"{higher} higher"
        return higher if self.better == "higher" else "AB".replace(higher, "")


@dataclass(frozen=True)
class Comparison:
    """Two evaluations and their figures."""

    a: Path
    b: Path
    figures: tuple[ComparedFigure, ...]


def is_report(path: Path) -> bool:
    """Whether a folder holds the rows of an evaluation."""
    return (path / FILE).is_file()


def compare(a: Path, b: Path, metrics: Sequence[str] = (), shown: tuple[Path, Path] | None = None) -> Comparison:
    """Compare the evaluations in two folders that `evaluate` has written rows to. metrics: only these. shown: the paths
    that the result names instead. Raises RequestError if a folder has no rows, or the two have no figure in common."""
    with contextlib.ExitStack() as stack:
        stores = []
        for path in (a, b):
            if not is_report(path):
                raise RequestError(
                    f"{path}: has no rows of an evaluation ({FILE}).", field="compare", value=str(path),
                    legal="two folders that `kinema evaluate -o` has written, or two folders of clips with --metrics",
                )  # fmt: skip
            stores.append(stack.enter_context(contextlib.closing(RowStore(path))))
        known = [store.figures() for store in stores]
        names = [name for name in YARDSTICKS if all(name in figures for figures in known)]
        wanted = [part.strip() for each in metrics for part in each.split(",") if part.strip()] or names
        missing = [name for name in wanted if name not in names]
        if missing or not names:
            raise RequestError(
                f"{a} and {b} do not both have {missing[0] if missing else 'any figure'}.", field="metrics",
                value=missing[0] if missing else None, legal=", ".join(names) or "evaluations with the same metrics",
            )  # fmt: skip
        found = [_compared(name, stores, [figures[name] for figures in known]) for name in wanted]
    return Comparison(*(shown or (a, b)), tuple(_adjusted(found)))


def _compared(
    name: str, stores: Sequence[RowStore], figures: Sequence[tuple[dict[str, Any], Members]]
) -> ComparedFigure:
    (about_a, keys_a), (about_b, keys_b) = figures
    yardstick = chosen([name], YardstickSettings(**about_a["settings"]))[0]
    a, b = scored(yardstick, stores[0], keys_a), scored(yardstick, stores[1], keys_b)

    def made(difference: Difference | None, pairs: int, reason: str = "") -> ComparedFigure:
        p = difference.p if difference is not None else 1.0
        return ComparedFigure(
            name, yardstick.title, a.unit, yardstick.better, a, b, difference, pairs, reason, p
        )  # fmt: skip

    if about_a["protocol"] != about_b["protocol"]:
        parts = sorted(about_a["protocol"].keys() | about_b["protocol"].keys())
        other = [part for part in parts if about_a["protocol"].get(part) != about_b["protocol"].get(part)]
        return made(None, 0, f"measured with another {' and '.join(other)}")
    if sorted(keys_a.get(OTHER, {}).values()) != sorted(keys_b.get(OTHER, {}).values()):
        return made(None, 0, "compared with different clips (--against)")
    own_a, own_b = keys_a.get(GIVEN, {}), keys_b.get(GIVEN, {})
    names = paired(own_a, own_b)
    rows_a = ordered(stores[0], {each: own_a[each] for each in names} if names else own_a)
    rows_b = ordered(stores[1], {each: own_b[each] for each in names} if names else own_b)
    if not rows_a or not rows_b:
        return made(None, 0, "not measured on both sides")
    found = difference(yardstick, rows_a, rows_b, ordered(stores[0], keys_a.get(OTHER, {})), bool(names))
    return made(found, len(names), "" if found is not None else "too few clips that can be measured")


def difference(
    yardstick: Yardstick, a: Sequence[Row], b: Sequence[Row], against: Sequence[Row], pairs: bool
) -> Difference | None:
    """The difference of a figure of two sets. Figures that are no means of their clips bring a `difference` of their
    own."""
    if (own := getattr(yardstick, "difference", None)) is not None:
        return own(a, b, against, pairs)  # type: ignore[no-any-return]
    values = [yardstick.score(rows, against).per_clip for rows in (a, b)]
    if values[0] is None or values[1] is None:
        return None
    return difference_of_means(values[0], values[1], pairs)


def paired(a: dict[str, str], b: dict[str, str]) -> list[str]:
    """The names of the pairs: those in both sets, if they are most of each; else none."""
    both = sorted(a.keys() & b.keys())
    return both if len(both) >= 2 and len(both) >= LEAST_PAIRED * max(len(a), len(b)) else []


def _adjusted(found: Sequence[ComparedFigure]) -> list[ComparedFigure]:
    """Holm's adjusted p values."""
    from dataclasses import replace

    tested = sorted((each.p, place) for place, each in enumerate(found) if each.difference is not None)
    least, result = 0.0, list(found)
    for rank, (p, place) in enumerate(tested):
        least = max(least, min(1.0, p * (len(tested) - rank)))
        result[place] = replace(found[place], p=least)
    return result


def to_dict(found: Comparison, command: Sequence[str] = ()) -> dict[str, Any]:
    """A comparison as plain JSON."""
    from .report import FORMAT, clean

    return {
        "format": FORMAT, "command": list(command), "a": str(found.a), "b": str(found.b),
        "figures": {
            each.name: {
                "title": each.title, "unit": each.unit, "better": each.better,
                "a": _score(each.a), "b": _score(each.b), "pairs": each.num_pairs,
                "difference": None if each.difference is None else clean(each.difference.to_dict()),
                "p": each.p, "verdict": each.verdict, "reason": each.reason,
            }
            for each in found.figures
        },
    }  # fmt: skip


def _score(score: Score) -> dict[str, Any]:
    values = {"value": score.value, "low": score.low, "high": score.high}
    return {name: value if value is not None and math.isfinite(value) else None for name, value in values.items()}


def verdict_text(each: ComparedFigure) -> str:
    """The verdict as words."""
    if each.difference is None:
        return f"not compared: {each.reason}"
    if not each.verdict:
        return "no difference shown"
    return each.verdict if each.better == "neither" else f"{each.verdict} is better"


def as_text(found: Comparison) -> str:
    """A comparison as a table."""
    from ..plots import number

    head = ("metric", "A", "B", "A - B", "95 % interval", "p", "pairs", "")
    rows = []
    for each in found.figures:
        gap = each.difference
        cells = ("-", "", "-", "") if gap is None else (
            number(gap.value), f"{number(gap.low)} to {number(gap.high)}", f"{each.p:.4f}", str(gap.num_pairs or "none")
        )  # fmt: skip
        rows.append((each.name, number(each.a.value), number(each.b.value), *cells, verdict_text(each)))
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [f"A: {found.a}", f"B: {found.b}", ""]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in (head, *rows)]
    return "\n".join(lines)
