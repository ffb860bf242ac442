"""SVG drawings as paths: the shapes of a drawing, with all transforms applied, on its own canvas.

Read are path, polyline, polygon, line, rect, circle and ellipse, also within groups. Text, images, `use`, styles and
definitions draw no path. The parser is part of Kinema because a drawing is untrusted input: no entities, no references
to other files, bounded sizes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import MediaError
from . import svg_shapes
from .svg_path import Place
from .svg_shapes import length_of, name_of, numbers_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_DEPTH = 64
_GROUPS = ("svg", "g", "a", "switch")
_TRANSFORM = re.compile(r"[\s,]*(matrix|translate|scale|rotate|skewX|skewY)\s*\(([^()]*)\)")
Matrix = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f: x' = a x + c y + e, y' = b x + d y + f."""
IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


@dataclass(frozen=True)
class DrawnPath:
    """points_N2: in fractions of the drawing. curved: False for a list of straight lines. data: its `data-` attributes,
    by the name without `data-`. where: the shape, for messages. aspect: width over height of the drawing."""

    points_N2: np.ndarray
    curved: bool
    data: dict[str, str]
    where: str
    aspect: float


def parse(text: str, what: str) -> list[DrawnPath]:
    """Return the paths of a drawing, in the order in which they are drawn. A shape of several separate lines gives a
    path for each; a rect that covers the whole canvas is a background and gives none.

    Raises MediaError: no SVG, no canvas (neither viewBox nor width and height), path data or a transform with an error.
    """
    root = _root(text, what)
    canvas = _Canvas(root, what)
    found = []
    for element, matrix, where in _shapes(root, what):
        for line in svg_shapes.lines(element, (canvas.inner_width, canvas.inner_height), where):
            points_N2 = canvas.fractions(_moved(matrix, line.points))
            if not np.isfinite(points_N2).all():
                raise MediaError(f"{where}: its coordinates are too large.")
            if name_of(element) == "rect" and _is_background(points_N2):
                continue
            data = {key[5:]: value for key, value in element.attrib.items() if key.startswith("data-")}
            found.append(DrawnPath(points_N2, line.curved, data, where, canvas.width / canvas.height))
    if not found:
        raise MediaError(f"{what}: the drawing has no path. Legal shapes: {', '.join(svg_shapes.SHAPES)}.")
    return found


def _root(text: str, what: str) -> Element:
    from xml.etree import ElementTree

    if "<!ENTITY" in text:
        raise MediaError(f"{what}: XML entities are not read; save it as plain SVG.")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as reason:
        raise MediaError(f"{what}: not valid SVG ({reason}).") from None
    if name_of(root) != "svg":
        raise MediaError(f"{what}: not SVG: its outermost element is {name_of(root)[:40]!r}.")
    return root


def _shapes(root: Element, what: str) -> Iterator[tuple[Element, Matrix, str]]:
    """Yield (shape, its transform to the drawing's units, its name for messages) in the order of drawing."""
    number = 0
    waiting: list[tuple[Element, Matrix, int]] = [(root, IDENTITY, 0)]
    while waiting:
        element, matrix, depth = waiting.pop()
        name = name_of(element)
        where = f"{what}, {name} {element.get('id', '')[:40]}".rstrip()
        if element.get("display") == "none" or re.search(r"display\s*:\s*none", element.get("style", "")):
            continue
        if depth > MAX_DEPTH:
            raise MediaError(f"{what}: groups nested more than {MAX_DEPTH} deep.")
        if depth and name == "svg":
            raise MediaError(f"{what}: a drawing within a drawing is not read; ungroup it.")
        matrix = matrix if depth == 0 else times(matrix, transform(element.get("transform", ""), where))
        if name in _GROUPS:
            waiting += [(child, matrix, depth + 1) for child in reversed(element)]
        elif name in svg_shapes.SHAPES:
            number += 1
            yield element, matrix, where if element.get("id") else f"{what}, shape {number} ({name})"


class _Canvas:
    """The canvas of a drawing: its size in its outer units, and the place of its inner ones (viewBox) on it."""

    def __init__(self, root: Element, what: str) -> None:
        box = root.get("viewBox")
        sides = [length_of(root.get(name, ""), None, f"{what}, {name}") for name in ("width", "height")]
        if any(side is not None and side <= 0 for side in sides):
            raise MediaError(f"{what}: width and height of the drawing. Legal: above 0.")
        self.left = self.top = 0.0
        if box is not None:
            numbers = numbers_of(box, f"{what}, viewBox")
            if len(numbers) != 4 or numbers[2] <= 0 or numbers[3] <= 0:
                raise MediaError(f"{what}: viewBox = {box[:80]!r}. Legal: left, top, width and height above 0.")
            self.left, self.top, self.inner_width, self.inner_height = numbers
            self.width, self.height = (side or inner for side, inner in zip(sides, numbers[2:]))
            if sides[0] and not sides[1]:
                self.height = sides[0] * self.inner_height / self.inner_width
            elif sides[1] and not sides[0]:
                self.width = sides[1] * self.inner_width / self.inner_height
        elif sides[0] and sides[1]:
            self.width, self.height = self.inner_width, self.inner_height = sides[0], sides[1]
        else:
            raise MediaError(f"{what}: the drawing has no canvas. Legal: a viewBox, or width and height, on <svg>.")
        self._fit(root.get("preserveAspectRatio", ""))

    def _fit(self, how: str) -> None:
        """Set the scales and offsets of the inner units (SVG 1.1, 7.8)."""
        across, down = self.width / self.inner_width, self.height / self.inner_height
        self.scale, self.offset = (across, down), (0.0, 0.0)
        if not how.strip().startswith("none") and across != down:
            one = max(across, down) if "slice" in how else min(across, down)
            free = self.width - one * self.inner_width, self.height - one * self.inner_height
            parts = [0.0 if f"{axis}Min" in how else 1.0 if f"{axis}Max" in how else 0.5 for axis in "xY"]
            self.scale, self.offset = (one, one), (free[0] * parts[0], free[1] * parts[1])

    def fractions(self, points_N2: np.ndarray) -> np.ndarray:
        """Points in inner units as fractions of the canvas. Whole divisions stay exact: x / width."""
        at_N2 = points_N2 - (self.left, self.top)
        if self.scale == (self.width / self.inner_width, self.height / self.inner_height):
            return at_N2 / (self.inner_width, self.inner_height)
        return (at_N2 * self.scale + self.offset) / (self.width, self.height)


def _is_background(points_N2: np.ndarray) -> bool:
    return bool(np.allclose(points_N2.min(0), 0, atol=1e-3) and np.allclose(points_N2.max(0), 1, atol=1e-3))


def _moved(matrix: Matrix, points: list[Place]) -> np.ndarray:
    points_N2 = np.asarray(points, np.float64)
    if matrix == IDENTITY:
        return points_N2
    a, b, c, d, e, f = matrix
    x_N, y_N = points_N2.T
    return np.stack([a * x_N + c * y_N + e, b * x_N + d * y_N + f], 1)


def times(outer: Matrix, inner: Matrix) -> Matrix:
    """The transform that applies `inner` first, then `outer`."""
    a, b, c, d, e, f = outer
    p, q, r, s, t, u = inner
    return a * p + c * q, b * p + d * q, a * r + c * s, b * r + d * s, a * t + c * u + e, b * t + d * u + f


def transform(text: str, where: str) -> Matrix:
    """Parse the attribute `transform`: a list of functions, the first outermost. Raises MediaError."""
    found, at = IDENTITY, 0
    while text[at:].strip(" \t\r\n,"):
        match = _TRANSFORM.match(text, at)
        one = _function(match[1], numbers_of(match[2], f"{where}, transform")) if match else None
        if match is None or one is None:
            legal = "matrix (6 numbers), translate, scale, rotate (1 or 3), skewX, skewY"
            raise MediaError(f"{where}: transform = {text[at : at + 60]!r}. Legal: {legal}.")
        found, at = times(found, one), match.end()
    return found


def _function(name: str, numbers: list[float]) -> Matrix | None:
    """One transform function as a matrix; None for a wrong number of arguments."""
    count = len(numbers)
    if name == "matrix" and count == 6:
        return (*numbers,)  # type: ignore[return-value]
    if name == "translate" and count in (1, 2):
        return 1.0, 0.0, 0.0, 1.0, numbers[0], numbers[1] if count == 2 else 0.0
    if name == "scale" and count in (1, 2):
        return numbers[0], 0.0, 0.0, numbers[-1], 0.0, 0.0
    if name == "rotate" and count in (1, 3):
        angle = math.radians(numbers[0])
        cos, sin = math.cos(angle), math.sin(angle)
        x, y = numbers[1:] if count == 3 else (0.0, 0.0)
        return cos, sin, -sin, cos, x - cos * x + sin * y, y - sin * x - cos * y
    if name in ("skewX", "skewY") and count == 1:
        slope = math.tan(math.radians(numbers[0]))
        return (1.0, 0.0, slope, 1.0, 0.0, 0.0) if name == "skewX" else (1.0, slope, 0.0, 1.0, 0.0, 0.0)
    return None
