"""An evaluation as a text table and as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ..plots import number
from .result import GIVEN, OTHER, Evaluation, FailedClip, Figure

FORMAT = 1
"""Of report.json: a field is added without a new number, none is renamed or removed."""
SHOWN = 3
"""Worst and best clips of a figure."""
MOST_LINES = 20
"""Of failed clips in the text."""


def to_dict(found: Evaluation, command: Sequence[str] = ()) -> dict[str, Any]:
    """An evaluation as plain JSON. Numbers that could not be measured are null."""
    return {
        "format": FORMAT,
        "kinema": _version(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(command),
        "seconds": found.seconds,
        "clips": _side(found, GIVEN),
        "against": _side(found, OTHER) if found.against is not None else None,
        "figures": {figure.name: _figure(figure) for figure in found.figures},
        "not_computed": found.not_computed,
        "failed": [
            {"side": each.side, "clip": each.clip, "metric": each.yardstick, "reason": each.reason}
            for each in found.failed
        ],
        "differing": [{"side": side, "clip": clip, "how": how} for side, clip, how in found.differing],
    }


def as_text(found: Evaluation) -> str:
    """The figures as a table, their protocols, and every clip that was left out."""
    head = ("metric", "value", "95 % interval", "unit", "better", "clips")
    rows = [
        (each.name, number(each.score.value), interval(each), each.unit, each.better, str(len(each.clips)))
        for each in found.figures
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in (head, *rows)]
    lines.append("")
    lines += [f"{each.name}: {plain(each.protocol)}" for each in found.figures]
    for each in found.figures:
        if each.score.facts:
            lines.append(f"{each.name}: {plain(each.score.facts)}")
        worst, best = extremes(each)
        if worst:
            lines.append(
                f"{each.name}: {_ends(each)[0]} {_named(worst)}"
                + (f"; {_ends(each)[1]} {_named(best)}" if best else "")
            )
    lines += [f"Not computed: {name}: {why}" for name, why in found.not_computed.items()]
    lines += [f"Note: {clip}{_of(side)}: {how}" for side, clip, how in found.differing[:MOST_LINES]]
    lines += _more(len(found.differing), "differ in size or frame rate")
    lines += [f"Left out: {failed_text(each)}" for each in found.failed[:MOST_LINES]]
    lines += _more(len(found.failed), "were left out")
    return "\n".join(lines)


def interval(figure: Figure) -> str:
    """The interval of a figure, or ""."""
    low, high = figure.score.low, figure.score.high
    return "" if low is None or high is None else f"{number(low)} to {number(high)}"


def extremes(figure: Figure) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """(worst, best) clips with their figures, the most extreme first; disjoint, and at most SHOWN each. For figures
    without a better direction: the lowest and the highest."""
    values = figure.score.per_clip or ()
    pairs = [(name, value) for name, value in zip(figure.clips, values) if math.isfinite(value)]
    pairs.sort(key=lambda pair: (pair[1], pair[0]), reverse=figure.better == "lower")
    count = min(SHOWN, (len(pairs) + 1) // 2)
    rest = pairs[count:][::-1]
    return pairs[:count], rest[:count]


def plain(facts: dict[str, Any]) -> str:
    """A protocol or facts on one line. Reasons are in the list of what was not computed."""
    shown = {name: value for name, value in facts.items() if value is not None and name != "why_not"}
    return ", ".join(f"{name} {_value(value)}" for name, value in shown.items())


def failed_text(each: FailedClip) -> str:
    return f"{each.clip}{_of(each.side)}: {each.yardstick + ': ' if each.yardstick else ''}{each.reason}"


def _of(side: str) -> str:
    return " (--against)" if side == OTHER else ""


def _figure(figure: Figure) -> dict[str, Any]:
    score = figure.score
    values = score.per_clip
    return {
        "title": figure.title, "unit": figure.unit, "better": figure.better, "against": figure.against,
        "value": finite(score.value), "low": finite(score.low), "high": finite(score.high),
        "clips": len(figure.clips), "protocol": clean(figure.protocol), "facts": clean(score.facts),
        "per_clip": None if values is None else dict(zip(figure.clips, map(finite, values))),
    }  # fmt: skip


def _side(found: Evaluation, side: str) -> dict[str, Any]:
    shapes = found.shapes.get(side, {}).values()  # pairs are read with their partners: no shapes of the other set
    frames = [shape[0] for shape in shapes]
    return {
        "path": str(found.path if side == GIVEN else found.against),
        "count": len(frames) or len(found.others),
        "frames": [min(frames), max(frames)] if frames else None,
        "sizes": dict(Counter(f"{width}x{height}" for _, height, width, _ in shapes).most_common()),
        "fps": dict(Counter(f"{fps:g}" for *_, fps in shapes).most_common()),
    }


def finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def clean(value: Any) -> Any:
    """Plain JSON: numbers of numpy as Python's, and null for those that are not finite."""
    if isinstance(value, dict):
        return {str(name): clean(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [clean(each) for each in value]
    if isinstance(value, bool | str | int | None):
        return value
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return clean(value.item())
    if isinstance(value, float):
        return finite(value)
    return clean(value.tolist()) if hasattr(value, "tolist") else str(value)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name}: {_value(each)}" for name, each in value.items()) + ")"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return value[:16] if isinstance(value, str) and len(value) == 64 and " " not in value else str(value)


def _ends(figure: Figure) -> tuple[str, str]:
    return ("lowest", "highest") if figure.better == "neither" else ("worst", "best")


def _named(pairs: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{name} ({number(value)})" for name, value in pairs)


def _more(count: int, what: str) -> list[str]:
    return [f"{count - MOST_LINES} more {what}; the report names all."] if count > MOST_LINES else []


def _version() -> str:
    from ...engine.manifest import own_version

    return own_version()
