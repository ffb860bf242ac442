"""Thresholds, and the reasons that they give for a clip's place. Filters mark rows, they never remove them; marks are a
pure function of the table, so thresholds can change without computing anything again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Op = Literal[">=", ">", "<=", "<", "above_share", "below_share", "empty"]


@dataclass(frozen=True)
class Threshold:
    """The condition on which a clip is kept: `column op value`.

    above_share: the figure is above the quantile `value` of the whole table (0.25 drops the lowest quarter);
    below_share: at most that quantile (0.75 drops the highest quarter). empty: the column has no value (`value` is
    ignored). A row without a figure passes, except a missing value is a figure for `empty`. reason: why a clip that
    fails is marked, in a few words. source: where the number is from (paper, section), or "" for the user's own."""

    column: str
    op: Op
    value: float
    reason: str
    source: str = ""

    @property
    def relative(self) -> bool:
        return self.op in ("above_share", "below_share")

    def passes(self, figure: Any) -> bool:
        """Whether a clip with this figure is kept. A relative threshold must be resolved first."""
        if self.op == "empty":
            return figure is None or figure == "" or figure == []
        if figure is None or (isinstance(figure, float) and math.isnan(figure)):
            return True
        compared = {
            ">=": figure >= self.value, ">": figure > self.value, "<=": figure <= self.value, "<": figure < self.value
        }  # fmt: skip
        return compared[self.op]

    def text(self) -> str:
        if self.op == "empty":
            return f"{self.column} is empty"
        if self.relative:
            return f"{self.column} {'>' if self.op == 'above_share' else '<='} quantile {self.value:g}"
        return f"{self.column} {self.op} {self.value:g}"


def resolved(thresholds: Sequence[Threshold], figures: Mapping[str, Iterable[Any]]) -> tuple[Threshold, ...]:
    """Relative thresholds as absolute ones. figures: the values by column, of the relative thresholds at least. A
    column without figures leaves its threshold out."""
    import numpy as np

    found = []
    for each in thresholds:
        if not each.relative:
            found.append(each)
            continue
        values = np.array([value for value in figures.get(each.column, ()) if value is not None], np.float64)
        values = values[np.isfinite(values)]
        if len(values):
            op: Op = ">" if each.op == "above_share" else "<="
            found.append(replace(each, op=op, value=float(np.quantile(values, each.value))))
    return tuple(found)


def reasons(row: Mapping[str, Any], thresholds: Sequence[Threshold]) -> list[str]:
    """Why a clip is not kept: its error, or the reasons of the thresholds that it fails, in their order; empty for a
    kept clip. thresholds: resolved."""
    if row.get("error"):
        return [str(row["error"])]
    found = [each.reason for each in thresholds if each.column in row and not each.passes(row[each.column])]
    return list(dict.fromkeys(found))
