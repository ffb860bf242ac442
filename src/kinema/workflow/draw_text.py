"""A workflow as text: its nodes in order of execution, their inputs, and what each becomes in Kinema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.outside import for_terminal
from .findings import Examined
from .formats.api import is_link

MARKS = {"maps": "->", "lacks": "!", "unread": "!", "unknown": "?"}
MAX_VALUE, SHORT, MAX_SHOWN = 100, 50, 500
"""Characters of a value, and of one that shares its line; nodes."""


def lines(found: Examined) -> list[str]:
    """Return the drawing, one node after the other: "id  title -> what it becomes", below it its inputs."""
    shown = [f"{found.source}: {_count(len(found.prompt), 'node')}, {len(found.nodes)} of them run"]
    for node in found.nodes[:MAX_SHOWN]:
        named = node.title if node.title == node.kind else f"{node.title} ({node.kind})"
        shown += ["", f"{node.id}  {named}  {MARKS[node.state]} {node.becomes}"]
        shown += [f"    {row}" for row in _rows(found.running[node.id]["inputs"])]
    if len(found.nodes) > MAX_SHOWN:
        shown += ["", f"... and {len(found.nodes) - MAX_SHOWN:,} more nodes"]
    return [*shown, "", *verdict(found)]


def _rows(inputs: Mapping[str, Any]) -> list[str]:
    """The inputs of a node: its links on one line, its short values on another, each long text on its own."""
    linked: list[str] = []
    short: list[str] = []
    long: list[str] = []
    for name, value in inputs.items():
        row = f"{for_terminal(name, 60)} {value_text(value)}"
        (linked if is_link(value) else short if len(row) <= SHORT else long).append(row)
    return [", ".join(each) for each in (linked, short) if each] + long


def verdict(found: Examined) -> list[str]:
    """Return what is missing, all of it, or that nothing is."""
    if found.maps():
        first = "Every node that runs has a counterpart in Kinema."
    else:
        states = [node.state for node in found.nodes]
        first = (
            f"{_count(states.count('maps'), 'node')} of {len(states)} that run have a counterpart in Kinema."
            if states
            else "No node of it runs."
        )
    return [first, *(f"  {line}" for line in (*found.missing(), *found.wrong))]


def value_text(value: Any, limit: int = MAX_VALUE) -> str:
    """Return a value of an input in few characters, or the node and output that it is linked to."""
    if is_link(value):
        return f"<- {for_terminal(value[0], 60)}" + (f" output {value[1]}" if value[1] else "")
    if isinstance(value, dict | list):
        return f"({_count(len(value), 'value')})"
    text = value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    return for_terminal(" ".join(text[: 4 * limit].split()), limit)


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")
