"""Plots as inline SVG, in the colours of page.py."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .page import text

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 440, 150, 12, 24, 10
BINS = 24
LABELS_PX, ROW_PX = 190, 26


def number(value: float | None) -> str:
    """A number with four significant digits: 0.0123, 12.35, 12350."""
    if value is None or math.isnan(value):
        return "-"
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.3e}"
    return f"{value:.{max(0, 3 - math.floor(math.log10(abs(value))))}f}" if value else "0"


def histogram(values: Sequence[float], mean: float | None, low: float | None, high: float | None, unit: str) -> str:
    """A histogram of the clips' figures, with the mean as a line and its interval as a band. "" without two values."""
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return ""
    ends = [*finite, *(each for each in (mean, low, high) if each is not None and math.isfinite(each))]
    first, last = min(ends), max(ends)
    span = last - first or max(abs(first), 1.0)
    bins = max(4, min(BINS, round(2 * math.sqrt(len(finite)))))
    counts = [0] * bins
    for value in finite:
        counts[min(bins - 1, int((value - first) / span * bins))] += 1
    wide, tall = WIDTH - 2 * LEFT, HEIGHT - BOTTOM - TOP

    def x(value: float) -> float:
        return LEFT + (value - first) / span * wide

    parts = []
    if low is not None and high is not None:
        parts.append(_rect("band", x(low), TOP, max(1.0, x(high) - x(low)), tall))
    for place, count in enumerate(counts):
        height = count / max(counts) * tall
        parts.append(_rect("bar", LEFT + place * wide / bins + 1, TOP + tall - height, wide / bins - 2, height))
    if mean is not None:
        parts.append(f'<line class="mark" x1="{x(mean):.1f}" x2="{x(mean):.1f}" y1="{TOP}" y2="{TOP + tall}"/>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - LEFT}" y1="{TOP + tall}" y2="{TOP + tall}"/>')
    base = HEIGHT - 8
    parts.append(f'<text x="{LEFT}" y="{base}">{number(first)}</text>')
    parts.append(f'<text x="{WIDTH - LEFT}" y="{base}" text-anchor="end">{number(first + span)} {text(unit)}</text>')
    label = f"Histogram of {len(finite)} clips from {number(first)} to {number(last)} {unit}"
    return _svg(WIDTH, HEIGHT, label, parts)


def forest(rows: Sequence[tuple[str, float, float, float, str]]) -> str:
    """Differences with intervals, one line each: (name, difference, low, high, class of its colour). Each line has its
    own scale, so that figures of several units fit on one plot. "" without rows."""
    if not rows:
        return ""
    width, height = 640, ROW_PX * len(rows) + 8
    middle, half = LABELS_PX + (width - LABELS_PX) / 2, (width - LABELS_PX) / 2 - 12

    parts = [f'<line class="axis" x1="{middle}" x2="{middle}" y1="0" y2="{height}"/>']
    for place, (name, *values, kind) in enumerate(rows):
        most = max(map(abs, values)) or 1.0
        x, low, high = (middle + each / most * half for each in values)
        y = ROW_PX * place + ROW_PX / 2 + 4
        parts.append(f'<text x="0" y="{y + 4:.1f}">{text(name)}</text>')
        parts.append(
            f'<g class="{kind}" stroke="currentColor" fill="currentColor"><line stroke-width="2" x1="{low:.1f}" '
            f'x2="{high:.1f}" y1="{y}" y2="{y}"/><circle cx="{x:.1f}" cy="{y}" r="4"/></g>'
        )
    return _svg(width, height, "Differences with their intervals; the line in the middle is no difference", parts)


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _svg(width: int, height: int, label: str, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {width} {height}" style="width:100%;max-width:{width}px"'
    return f'<svg {size} role="img" aria-label="{text(label)}">{"".join(parts)}</svg>'
