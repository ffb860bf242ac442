"""The shapes of an SVG drawing as connected lines, each in its own units; and lengths and numbers in attributes."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from ..core.errors import MediaError
from . import svg_path
from .svg_path import Place, SubPath, arc

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_UNITS_PX = {"": 1, "px": 1, "pt": 4 / 3, "pc": 16, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96, "Q": 24 / 25.4}
_LENGTH = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)\s*(%|[A-Za-z]*)\s*")
_WORD = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[^\s,]+")


def lines(element: Element, canvas: tuple[float, float], where: str) -> list[SubPath]:
    """Return the connected lines of a shape. canvas: (width, height) that percentages refer to. A shape without an
    extent gives none. Raises MediaError for an attribute with an error."""
    return SHAPES[name_of(element)](_Attributes(element, canvas, where))


class _Attributes:
    """The attributes of a shape."""

    def __init__(self, element: Element, canvas: tuple[float, float], where: str) -> None:
        self.element, self.where = element, where
        width, height = canvas
        self.whole = {"x": width, "y": height, "r": math.hypot(width, height) / math.sqrt(2)}

    def text(self, name: str) -> str:
        return self.element.get(name, "")

    def length(self, name: str, along: str) -> float:
        """A length along x, y, or of a radius; 0 if it is not given."""
        return length_of(self.text(name), self.whole[along], f"{self.where}, {name}") or 0.0

    def radii(self) -> tuple[float, float]:
        """rx and ry; one that is not given is as the other."""
        rx, ry = (
            length_of(self.text(name), self.whole[along], f"{self.where}, {name}")
            for name, along in (("rx", "x"), ("ry", "y"))
        )
        return (rx if rx is not None else ry or 0.0), (ry if ry is not None else rx or 0.0)


def _path(given: _Attributes) -> list[SubPath]:
    return svg_path.parse(given.text("d"), given.where)


def _polyline(given: _Attributes) -> list[SubPath]:
    numbers = numbers_of(given.text("points"), f"{given.where}, points")
    if len(numbers) % 2:
        raise MediaError(f"{given.where}: points has {len(numbers)} numbers. Legal: pairs of x and y.")
    corners = list(zip(numbers[::2], numbers[1::2]))
    return [SubPath(corners)] if len(corners) > 1 else []


def _polygon(given: _Attributes) -> list[SubPath]:
    found = _polyline(given)
    for line in found:
        if line.points[-1] != line.points[0]:
            line.points.append(line.points[0])
    return found


def _line(given: _Attributes) -> list[SubPath]:
    return [SubPath([(given.length(f"x{end}", "x"), given.length(f"y{end}", "y")) for end in (1, 2)])]


def _circle(given: _Attributes) -> list[SubPath]:
    radius = given.length("r", "r")
    return _round(given, radius, radius)


def _ellipse(given: _Attributes) -> list[SubPath]:
    return _round(given, *given.radii())


def _round(given: _Attributes, rx: float, ry: float) -> list[SubPath]:
    """An ellipse: from its rightmost point, clockwise on the screen (SVG 2, 10.3)."""
    if rx <= 0 or ry <= 0:
        return []
    x, y = given.length("cx", "x"), given.length("cy", "y")
    right, left = (x + rx, y), (x - rx, y)
    halves = [*arc(right, left, rx, ry, 0, False, True), *arc(left, right, rx, ry, 0, False, True)]
    return [SubPath([right, *halves], True)]


def _rect(given: _Attributes) -> list[SubPath]:
    """A rectangle: from its upper left corner (with round corners, from the end of that corner), clockwise."""
    left, top = given.length("x", "x"), given.length("y", "y")
    wide, tall = given.length("width", "x"), given.length("height", "y")
    if wide <= 0 or tall <= 0:
        return []
    right, bottom = left + wide, top + tall
    rx, ry = given.radii()
    rx, ry = min(rx, wide / 2), min(ry, tall / 2)
    if rx <= 0 or ry <= 0:
        return [SubPath([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)])]
    sides: list[tuple[Place, Place]] = [
        ((left + rx, top), (right - rx, top)),
        ((right, top + ry), (right, bottom - ry)),
        ((right - rx, bottom), (left + rx, bottom)),
        ((left, bottom - ry), (left, top + ry)),
    ]
    points: list[Place] = []
    for (begin, end), (following, _) in zip(sides, [*sides[1:], sides[0]]):
        straight = [begin, end] if begin != end else [begin]
        points += [*straight, *arc(end, following, rx, ry, 0, False, True)[:-1]]
    return [SubPath([*points, points[0]], True)]


SHAPES = {
    "path": _path, "polyline": _polyline, "polygon": _polygon, "line": _line, "rect": _rect, "circle": _circle,
    "ellipse": _ellipse,
}  # fmt: skip


def name_of(element: Element) -> str:
    """Return the name of an element without its namespace; comments and the like have none."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def numbers_of(text: str, where: str) -> list[float]:
    """Return numbers separated by spaces or commas. Raises MediaError."""
    found = []
    for word in _WORD.findall(text):
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise MediaError(f"{where}: {word[:40]!r} is not a finite number.")
        found.append(value)
    return found


def length_of(text: str, whole: float | None, where: str) -> float | None:
    """Return a length in px; a percentage is a part of `whole`. None: no length, or a percentage of nothing (of a
    drawing with width="100%"). Raises MediaError."""
    if text.strip() in ("", "auto"):
        return None
    match = _LENGTH.fullmatch(text)
    if match is None or (match[2] != "%" and match[2] not in _UNITS_PX):
        units = ", ".join(filter(None, _UNITS_PX))
        raise MediaError(f"{where} = {text[:40]!r}. Legal: a number, with one of {units} or %.")
    value = float(match[1])
    if match[2] == "%":
        return None if whole is None else value / 100 * whole
    return value * _UNITS_PX[match[2]]
