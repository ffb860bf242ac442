"""Aggregate entries: each measure of each task in each column, and the losses of the fast profiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .uncertainty import bootstrap, summary

Entry = dict[str, Any]


def build_table(entries: Sequence[Entry]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return {task: {measure: {column: {"value", "low", "high", "n"}}}}."""
    gathered: dict[str, dict[str, dict[str, list[Any]]]] = {}
    for entry in entries:
        for name, value in entry["measures"].items():
            values = gathered.setdefault(entry["task"], {}).setdefault(name, {}).setdefault(entry["column"], [])
            values.extend(_as_list(value))
    return {
        task: {
            name: {column: summary(values) for column, values in columns.items() if values}
            for name, columns in measures.items()
            if any(columns.values())
        }
        for task, measures in gathered.items()
    }


def differences(entries: Sequence[Entry], profiles: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return {"fast - exact": {"task measure": {"value", "low", "high", "n"}}}: the mean difference per case to the
    first profile, in percentage points or the measure's unit."""
    by_key = {(entry["column"], entry["task"], entry["index"]): entry["measures"] for entry in entries}
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for profile in profiles[1:]:
        gathered: dict[str, list[float]] = {}
        for (column, task, index), measures in by_key.items():
            other = by_key.get((profiles[0], task, index))
            if column != profile or other is None:
                continue
            for name in measures.keys() & other.keys():
                both = _mean(measures[name]), _mean(other[name])
                if None not in both:
                    gathered.setdefault(f"{task} {name}", []).append(both[0] - both[1])  # type: ignore[operator]
        rows = found.setdefault(f"{profile} - {profiles[0]}", {})
        for name, values in sorted(gathered.items()):
            low, high = bootstrap(values)
            mean = sum(values) / len(values)
            rows[name] = {"value": round(mean, 3), "low": round(low, 3), "high": round(high, 3), "n": len(values)}
    return found


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _mean(value: Any) -> float | None:
    values = _as_list(value)
    if not values:
        return None
    points = [100.0 * each if isinstance(each, bool) else float(each) for each in values]
    return sum(points) / len(points)
