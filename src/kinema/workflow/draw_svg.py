"""A workflow as an SVG picture: its nodes in columns from left to right, coloured by what they become in Kinema."""

from __future__ import annotations

import re
from html import escape
from pathlib import PurePath
from statistics import fmean
from textwrap import wrap
from unicodedata import east_asian_width

from ..core.errors import RequestError
from .draw_text import value_text
from .findings import Examined, NodeFinding
from .formats.api import is_link

MAX_NODES = 1000
WIDTH_PX, GAP_X_PX, GAP_Y_PX, LINE_PX, PAD_PX, TOP_PX = 264, 64, 22, 17, 10, 76
CHARS, BOLD_CHARS = 34, 31
"""That fit into the width of a box; wide ones (Chinese) count twice."""

MAX_ROWS = 12
"""Of text in a box."""

_AMBER = ("#fdf1dc", "#b26a00")
COLORS = {"maps": ("#e8f5ec", "#2e7d4f"), "lacks": _AMBER, "unread": _AMBER, "unknown": ("#fbe4e4", "#b3261e")}
LEGEND = {"maps": "has a counterpart in Kinema", "lacks": "not in Kinema yet", "unknown": "unknown node"}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def svg(found: Examined) -> str:
    """Return the picture of the nodes that run. RequestError: more than MAX_NODES."""
    if len(found.nodes) > MAX_NODES:
        raise RequestError(
            f"{found.source}: {len(found.nodes):,} nodes run; too many to draw.", field="output",
            legal=f"at most {MAX_NODES:,}; without --output they are listed as text",
        )  # fmt: skip
    texts = {node.id: _texts(node, found) for node in found.nodes}
    heights = {key: 2 * PAD_PX + LINE_PX * len(rows) for key, rows in texts.items()}
    places, width, height = _layout(found, heights)
    links = [
        _curve(places[value[0]], heights[value[0]], places[key], heights[key])
        for key, node in found.running.items() for value in node["inputs"].values()
        if is_link(value) and value[0] in places
    ]  # fmt: skip
    boxes = [_box(node, texts[node.id], places[node.id], heights[node.id]) for node in found.nodes]
    name = PurePath(found.source).name
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{_safe(name)}</title>", '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="24" y="32" font-size="17" font-weight="600" fill="#1c1c1c">{_safe(name)}</text>',
        *_legend(), '<g fill="none" stroke="#8a8f98" stroke-width="1.5">', *links, "</g>", *boxes, "</svg>", "",
    ])  # fmt: skip


def _layout(found: Examined, heights: dict[str, int]) -> tuple[dict[str, tuple[int, int]], int, int]:
    """The upper left corner of each box, and the picture's size. A node's column is one behind its last input's; in a
    column, nodes are sorted by the mean height of their inputs."""
    origins = {
        key: [value[0] for value in node["inputs"].values() if is_link(value) and value[0] in found.running]
        for key, node in found.running.items()
    }
    columns: dict[str, int] = {}
    for key in found.running:  # in order of execution
        columns[key] = max((columns[origin] + 1 for origin in origins[key]), default=0)
    users: dict[str, list[str]] = {}
    for key, found_origins in origins.items():
        for origin in found_origins:
            users.setdefault(origin, []).append(key)
    for key in reversed(found.running):  # loaders stand next to what they feed
        if not origins[key] and key in users:
            columns[key] = min(columns[user] for user in users[key]) - 1
    middles: dict[str, float] = {}
    places: dict[str, tuple[int, int]] = {}
    lowest = 0
    for column in range(max(columns.values(), default=-1) + 1):
        keys = [key for key, at in columns.items() if at == column]
        keys.sort(key=lambda key: fmean([middles[origin] for origin in origins[key]] or [float("inf")]))
        y = TOP_PX
        for key in keys:
            places[key] = (24 + column * (WIDTH_PX + GAP_X_PX), y)
            middles[key] = y + heights[key] / 2
            y += heights[key] + GAP_Y_PX
        lowest = max(lowest, y)
    width = max((x for x, _ in places.values()), default=0) + WIDTH_PX + 24
    return places, max(width, 640), lowest + 8


def _texts(node: NodeFinding, found: Examined) -> list[tuple[str, str]]:
    """The rows in a box, each with its style: title, what it becomes, plain values."""
    edge = COLORS[node.state][1]
    rows = [(f'font-weight="600" fill="{edge}"', f"{_cut(node.title, BOLD_CHARS - len(node.id))} #{node.id}")]
    rows += [(f'font-style="italic" fill="{edge}"', row) for row in wrap(node.becomes, CHARS)[:4]]
    for name, value in found.running[node.id]["inputs"].items():
        if not is_link(value) and len(rows) < MAX_ROWS:
            rows.append(('fill="#333333"', _cut(f"{name}: {value_text(value)}", CHARS)))
    return rows


def _box(node: NodeFinding, rows: list[tuple[str, str]], place: tuple[int, int], height: int) -> str:
    fill, edge = COLORS[node.state]
    x, y = place
    lines = [
        f'<text x="{x + PAD_PX}" y="{y + PAD_PX + LINE_PX * (number + 1) - 4}" {style}>{_safe(row)}</text>'
        for number, (style, row) in enumerate(rows)
    ]
    box = f'<rect x="{x}" y="{y}" width="{WIDTH_PX}" height="{height}" rx="7" fill="{fill}" stroke="{edge}"/>'
    return "\n".join([f"<g><title>{_safe(node.kind)}: {_safe(node.becomes)}</title>", box, *lines, "</g>"])


def _curve(origin: tuple[int, int], origin_height: int, target: tuple[int, int], target_height: int) -> str:
    x, y = origin[0] + WIDTH_PX, origin[1] + origin_height // 2
    to_x, to_y = target[0], target[1] + target_height // 2
    bend = max(30, (to_x - x) // 2)
    return f'<path d="M{x},{y} C{x + bend},{y} {to_x - bend},{to_y} {to_x},{to_y}"/>'


def _legend() -> list[str]:
    found, x = [], 24
    for state, label in LEGEND.items():
        fill, edge = COLORS[state]
        found.append(f'<rect x="{x}" y="46" width="14" height="14" rx="3" fill="{fill}" stroke="{edge}"/>')
        found.append(f'<text x="{x + 20}" y="57" fill="#333333">{label}</text>')
        x += 40 + 7 * len(label)
    return found


def _cut(text: str, limit: int) -> str:
    """The text, cut to a width."""
    room = limit
    for at, char in enumerate(text):
        room -= 2 if east_asian_width(char) in "WF" else 1
        if room < 0:
            return text[: max(0, at - 3)] + "..."
    return text


def _safe(text: str) -> str:
    """Text for XML, which does not allow control characters."""
    return escape(_CONTROL.sub(" ", text))
