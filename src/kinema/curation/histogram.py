"""Histograms of the columns of a table, drawn as SVG with their thresholds."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from .marks import Threshold
from .stage import Column

BINS = 40
WIDTH_PX, HEIGHT_PX, MARGIN_PX = 320, 110, 18


@dataclass
class ColumnHistogram:
    """Values of a column, counted in BINS equal bins between the smallest and the largest. Filled in two passes:
    `widen` with all values, then `count`."""

    column: Column
    thresholds: tuple[Threshold, ...] = ()
    low: float = math.inf
    high: float = -math.inf
    num: int = 0
    kept: list[int] = field(default_factory=lambda: [0] * BINS)
    dropped: list[int] = field(default_factory=lambda: [0] * BINS)

    def widen(self, value: float | None) -> None:
        if value is not None and math.isfinite(value):
            self.low, self.high, self.num = min(self.low, value), max(self.high, value), self.num + 1

    def count(self, value: float | None, kept: bool) -> None:
        if value is None or not math.isfinite(value):
            return
        wide = self.high - self.low
        place = min(BINS - 1, int((value - self.low) / wide * BINS)) if wide > 0 else 0
        (self.kept if kept else self.dropped)[place] += 1

    def svg(self) -> str:
        """The picture: kept clips dark, the others light, thresholds as lines with their comparison."""
        tall = max(a + b for a, b in zip(self.kept, self.dropped, strict=True)) or 1
        room, base = WIDTH_PX - 2 * MARGIN_PX, HEIGHT_PX - MARGIN_PX
        step, parts = room / BINS, list[str]()
        for place, (kept, dropped) in enumerate(zip(self.kept, self.dropped, strict=True)):
            left, height, part = MARGIN_PX + place * step, base - MARGIN_PX, 0.0
            for count, name in ((kept, "kept"), (dropped, "dropped")):
                if count:
                    size = max(0.6, count / tall * height)
                    parts.append(
                        f'<rect class="{name}" x="{left:.1f}" y="{base - part - size:.1f}" width="{step - 0.8:.1f}" '
                        f'height="{size:.1f}"/>'
                    )
                    part += size
        for each in self.thresholds:
            parts.append(self._line(each, room, base))
        ends = ((self.low, MARGIN_PX, "start"), (self.high, WIDTH_PX - MARGIN_PX, "end"))
        for value, left, anchor in ends:
            parts.append(f'<text x="{left}" y="{HEIGHT_PX - 4}" text-anchor="{anchor}">{value:.4g}</text>')
        title = html.escape(f"{self.column.title}: {self.num} values from {self.low:.4g} to {self.high:.4g}")
        return (
            f'<svg viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" width="{WIDTH_PX}" height="{HEIGHT_PX}" role="img" '
            f'aria-label="{title}"><path class="axis" d="M{MARGIN_PX} {base}H{WIDTH_PX - MARGIN_PX}"/>'
            f"{''.join(parts)}</svg>"
        )

    def _line(self, threshold: Threshold, room: float, base: int) -> str:
        share = (threshold.value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        outside = not 0 <= share <= 1
        place = MARGIN_PX + min(1.0, max(0.0, share)) * room
        anchor = "end" if share > 0.6 else "start"
        shift = -3 if anchor == "end" else 3
        dash = ' stroke-dasharray="3 3"' if outside else ""
        return (
            f'<path class="limit" d="M{place:.1f} {MARGIN_PX - 6}V{base}"{dash}/><text class="limit" '
            f'x="{place + shift:.1f}" y="{MARGIN_PX - 7}" text-anchor="{anchor}">'
            f"{html.escape(threshold.op)} {threshold.value:.4g}</text>"
        )


def histograms(columns: Sequence[Column], thresholds: Sequence[Threshold]) -> list[ColumnHistogram]:
    """Empty histograms of the columns of numbers, those with thresholds first."""
    left_out = ("start", "stop", "fps", "width", "height")
    found = [
        ColumnHistogram(column, tuple(each for each in thresholds if each.column == column.name))
        for column in columns
        if column.kind in ("float", "int") and column.name not in left_out
    ]
    return sorted(found, key=lambda each: not each.thresholds)
