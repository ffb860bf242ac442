"""Plans and manifests as tables."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

from ..core.outside import for_terminal
from ..core.threads import CROWDED, crowd
from .say import colored, fitting, frames_text, note, say

if TYPE_CHECKING:
    from rich.table import Table

    from ..core.plan import Manifest, Plan

MAX_TEXT = 300
MAX_NAME = 32
"""Columns for the names of facts, which leaves room for the values at 80 columns."""


class Trimmed:
    """Standard output without the trailing spaces of tables, for pipes."""

    def __init__(self) -> None:
        self.stream = sys.stdout

    def write(self, text: str) -> int:
        self.stream.write("\n".join(line.rstrip(" ") for line in text.split("\n")))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def console() -> Any:
    from rich.console import Console

    file: Any = None if sys.stdout.isatty() else Trimmed()
    return Console(highlight=False, color_system="auto" if colored() else None, file=file)


def facts(rows: Iterable[tuple[str, Any]], title: str | None = None) -> Table:
    """Return a table of two columns without lines."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, title=title, title_justify="left", title_style="bold", pad_edge=False)
    named = [(for_terminal(name), fitting(for_terminal(shortened(value)), sys.stdout)) for name, value in rows]
    width = min(MAX_NAME, max((len(name) for name, _ in named), default=0))
    table.add_column(style="cyan", overflow="fold", min_width=width, max_width=width)
    table.add_column(overflow="fold")
    for name, value in named:
        table.add_row(Text(name), Text(value))
    return table


def compact(value: Any) -> str:
    """Return a value as short text: numbers without needless digits, lists without brackets, the beginning of a
    SHA-256."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(compact, value))
    text = str(value)
    return text[:16] if len(text) == 64 and set(text) <= set("0123456789abcdef") else text


def shortened(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."


def plan(found: Plan) -> None:
    """Print the resolved plan, its cost, its changes and notes."""
    screen = console()
    screen.print(facts(plan_rows(found)))
    for kind, lines in (("Changed", found.changes), ("Outside", found.outside), ("Note", found.notes)):
        for line in lines:
            say(f"{kind}: {line}", color=typer.colors.YELLOW)


def plan_rows(found: Plan) -> list[tuple[str, Any]]:
    low, high = found.guidance_interval
    interval = "" if (low, high) == (0.0, 1.0) else f", in the steps from {low:.0%} to {high:.0%}"
    wide, tall = found.size
    length = f"{frames_text(found.frames)}, {found.seconds:.2f} s at {found.fps:g} fps"
    if not found.uses_model:
        rows: list[tuple[str, Any]] = [("model", "none"), ("fill", found.fill), ("size", f"{wide}x{tall}")]
        return [*rows, ("length", length), *_last_rows(found)]
    rows = [
        ("model", f"{found.model} ({found.family})"),
        ("prompt", found.prompt),
        ("negative", found.negative_prompt or "none"),
        *([("fill", found.fill)] if found.fill != "generate" else []),
        ("size", size_words(found)),
        ("length", length),
        ("seed", found.seed),
        (
            "steps",
            f"{found.steps}" + (f", in the middle one in {found.reuse} is computed" if found.reuse > 1 else ""),
        ),
        ("guidance", f"{found.guidance:g}{interval}"),
        (
            "profile",
            found.profile + (", bfloat16 where the device computes it fast" if found.low_precision else ""),
        ),
        ("options", ", ".join(f"{name}={value}" for name, value in found.options.items()) or "none"),
    ]
    rows += [
        ("upscale", f"{step.model}, {step.width}x{step.height}, strength {step.options['strength']}")
        for step in found.by_model
    ]
    return rows + _last_rows(found)


def _last_rows(found: Plan) -> list[tuple[str, Any]]:
    """Return the rows of every plan, with a model or without: conditions and estimate."""
    rows: list[tuple[str, Any]] = [("condition", condition_words(condition)) for condition in found.conditions]
    if found.estimate is not None:
        cost = found.estimate
        start = f", plus a start of {duration(cost.start)}" if cost.start else ""
        basis = "measured on this machine" if cost.measured else "calculated, within a factor of two"
        times = crowd()
        basis += f"; the machine is busy: about {times:.2g} times as long" if times >= CROWDED else ""
        rows.append(("estimate", f"{duration(cost.seconds)} and {cost.gb:g} GB on {cost.device}{start} ({basis})"))
        if cost.way:
            waiting = f"; {cost.ram_gb:g} GB of weights wait in the CPU's memory" if cost.ram_gb else ""
            rows.append(("weights", f"{cost.way} on the GPU{waiting}"))
    return rows


def size_words(found: Plan) -> str:
    """Return "832x480, upscaled to 1664x960" or, for an edit, "1920x1080, generated at 832x480 in 3 windows"."""
    wide, tall = found.size
    if found.canvas != "model":
        windows = f" in {len(found.spans)} windows" if len(found.spans) > 1 else ""
        return f"{wide}x{tall}, generated at {found.width}x{found.height}{windows}"
    upscaled = f", upscaled to {wide}x{tall}" if found.upscale else ""
    return f"{found.width}x{found.height}{upscaled}"


def condition_words(condition: Any) -> str:
    """Return a condition as text: "trajectory: 17 points, object=red ball"."""
    parts = []
    for name, value in condition.model_dump(exclude={"kind"}, exclude_defaults=True).items():
        if name in ("points", "poses"):
            parts.append(f"{len(value)} {name}")
        else:
            parts.append(f"{name}={rounded(value)}")
    return condition.kind + (": " + ", ".join(parts) if parts else "")


def rounded(value: Any) -> Any:
    """Return a value with its numbers, nested ones too, rounded to 6 decimals, for display."""
    if isinstance(value, float):
        return round(value, 6)
    return type(value)(rounded(each) for each in value) if isinstance(value, tuple | list) else value


def remarks(found: Plan) -> None:
    """Print the changes and notes of a plan on stderr, before the work."""
    for line in (*found.changes, *found.outside, *found.notes):
        note(line)


def manifest(found: Manifest) -> None:
    """Print a manifest."""
    screen = console()
    screen.print(facts(plan_rows(found.plan), title="Plan"))
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    environment: list[tuple[str, Any]] = [
        ("kinema", found.kinema),
        ("device", found.device),
        ("versions", versions),
    ]
    environment += [("weights", f"{name} {digest[:16]}") for name, digest in found.weights.items()]
    environment += [("input", f"{name} {digest[:16]}") for name, digest in found.inputs.items()]
    screen.print()
    screen.print(facts(environment, title="Environment"))


def duration(seconds: float) -> str:
    """Return a duration in a readable unit."""
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "minutes"), (172_800, 3600, "hours")):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86_400:.3g} days"
