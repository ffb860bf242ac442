"""The path data of SVG (the attribute `d`): a parser that turns it into points.

The grammar is that of SVG 1.1, section 8.3, and SVG 2, section 9.3: all commands, absolute and relative, repeated
parameters, numbers without separators, and arc flags of one digit. Elliptical arcs follow SVG 1.1, appendix F.6.
Curves become chords: `STEPS` for a Bezier curve, and one for each 1/`STEPS` of half a turn of an arc, so that points
lie within 2e-4 of the radius of a circle.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..core.errors import MediaError

STEPS = 80
MAX_POINTS = 200_000
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_BETWEEN = re.compile(r"[ \t\r\n\f]*,?[ \t\r\n\f]*")
_PARAMETERS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}
"""Commands, and how many numbers each takes."""
Place = tuple[float, float]


@dataclass
class SubPath:
    """One connected line: its points, in the units of the path data. curved: whether any part of it is a curve."""

    points: list[Place] = field(default_factory=list)
    curved: bool = False


def parse(text: str, what: str) -> list[SubPath]:
    """Parse path data. Returns each of its connected lines; one that draws nothing (a lone `M`) is left out.

    Raises MediaError at the first error, with its position: unlike a browser, which draws the path up to there.
    """
    reader = _Reader(text, what)
    pen = _Pen()
    for command, numbers in reader.commands():
        pen.run(command, numbers)
        if pen.count > MAX_POINTS:
            raise MediaError(f"{what}: the path has more than {MAX_POINTS:,} points.")
    return [each for each in pen.found if len(each.points) > 1]


class _Reader:
    """Splits path data into commands with their numbers."""

    def __init__(self, text: str, what: str) -> None:
        self.text, self.what, self.at = text, what, 0

    def commands(self) -> Iterator[tuple[str, list[float]]]:
        """Yield each command with the numbers of one use; further numbers repeat it (after M as L)."""
        self._space()
        command = ""
        while self.at < len(self.text):
            letter = self.text[self.at]
            if letter.upper() in _PARAMETERS:
                self.at += 1
                command, fresh = letter, True
            elif not command or command in "zZ":
                raise self._wrong("a command such as M, L, C or Z")
            else:
                fresh = False
                command = {"M": "L", "m": "l"}.get(command, command)
            if not fresh or letter.upper() != "Z":
                self._space()
            if not self._begun and command not in "mM":
                raise self._wrong("M first")
            self._begun = True
            yield command, self._numbers(command.upper())

    _begun = False

    def _numbers(self, command: str) -> list[float]:
        found = []
        for index in range(_PARAMETERS[command]):
            if index:
                self._space()
            flag = command == "A" and index in (3, 4)
            found.append(self._flag() if flag else self._number())
        self._space()
        return found

    def _number(self) -> float:
        match = _NUMBER.match(self.text, self.at)
        if match is None or not math.isfinite(value := float(match[0])):
            raise self._wrong("a number")
        self.at = match.end()
        return value

    def _flag(self) -> float:
        if self.text[self.at : self.at + 1] not in ("0", "1"):
            raise self._wrong("an arc flag, 0 or 1")
        self.at += 1
        return float(self.text[self.at - 1])

    def _space(self) -> None:
        match = _BETWEEN.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _wrong(self, wanted: str) -> MediaError:
        rest = self.text[self.at : self.at + 20]
        got = repr(rest) if rest else "the end"
        return MediaError(f"{self.what}: path data, character {self.at + 1}: expected {wanted}, got {got}.")


class _Pen:
    """Draws commands; `found` holds the connected lines."""

    def __init__(self) -> None:
        self.found: list[SubPath] = []
        self.start: Place = (0.0, 0.0)
        self.now: Place = (0.0, 0.0)
        self.handle: Place | None = None
        self.last = ""
        self.count = 0

    def run(self, command: str, numbers: list[float]) -> None:
        upper = command.upper()
        if command.islower() and upper not in "AZHV":
            numbers = [number + self.now[index % 2] for index, number in enumerate(numbers)]
        if upper == "M":
            self.start = self.now = (numbers[0], numbers[1])
            self.found.append(SubPath([self.now]))
        elif upper == "Z":
            if self.now != self.start:
                self._to([self.start])
        else:
            if self.last == "Z":  # without an M, the next line begins where the closed one did
                self.found.append(SubPath([self.now]))
            self._draw(upper, numbers, command.islower())
        if upper not in "CSQT":
            self.handle = None
        self.last = upper

    def _draw(self, command: str, numbers: list[float], relative: bool) -> None:
        x, y = self.now
        if command == "L":
            self._to([(numbers[0], numbers[1])])
        elif command == "H":
            self._to([(numbers[0] + x * relative, y)])
        elif command == "V":
            self._to([(x, numbers[0] + y * relative)])
        elif command == "A":
            rx, ry, turn, large, sweep = numbers[:5]
            end = (numbers[5] + x * relative, numbers[6] + y * relative)
            self._curve(arc(self.now, end, abs(rx), abs(ry), math.radians(turn), large > 0, sweep > 0))
        else:
            pairs = list(zip(numbers[::2], numbers[1::2]))
            if command in "ST":
                smooth = self.handle if self.last in {"S": "CS", "T": "QT"}[command] else None
                pairs.insert(0, (2 * x - smooth[0], 2 * y - smooth[1]) if smooth else self.now)
            self.handle = pairs[-2]
            self._curve(_bezier([self.now, *pairs]))

    def _to(self, points: list[Place]) -> None:
        self.found[-1].points += points
        self.now = points[-1]
        self.count += len(points)

    def _curve(self, points: list[Place]) -> None:
        self.found[-1].curved |= len(points) > 1
        self._to(points)


def _bezier(control: list[Place]) -> list[Place]:
    """Points of a quadratic or cubic Bezier curve after its start, ending exactly at its last control point."""
    weights = (1.0, 2.0, 1.0) if len(control) == 3 else (1.0, 3.0, 3.0, 1.0)
    degree = len(control) - 1
    found = []
    for step in range(1, STEPS):
        t = step / STEPS
        basis = [w * t**k * (1 - t) ** (degree - k) for k, w in enumerate(weights)]
        found.append((sum(b * x for b, (x, _) in zip(basis, control)), sum(b * y for b, (_, y) in zip(basis, control))))
    return [*found, control[-1]]


def arc(start: Place, end: Place, rx: float, ry: float, turn: float, large: bool, sweep: bool) -> list[Place]:
    """Points of an elliptical arc after its start. rx, ry: 0 or above; too small ones are scaled up. turn: of the x
    axis, in radians. An arc without a radius is a line; one that ends where it begins draws nothing (SVG 1.1, F.6)."""
    if rx == 0 or ry == 0 or start == end:
        return [end]
    cos, sin = math.cos(turn), math.sin(turn)
    dx, dy = (start[0] - end[0]) / 2, (start[1] - end[1]) / 2
    x1, y1 = cos * dx + sin * dy, cos * dy - sin * dx
    over = (x1 / rx) ** 2 + (y1 / ry) ** 2
    if over > 1:
        rx, ry = rx * math.sqrt(over), ry * math.sqrt(over)
    square = max(0.0, 1 / max(over, 1e-300) - 1) if over < 1 else 0.0
    factor = math.sqrt(square) * (-1 if large == sweep else 1)
    cx1, cy1 = factor * rx * y1 / ry, -factor * ry * x1 / rx
    cx, cy = cos * cx1 - sin * cy1 + (start[0] + end[0]) / 2, sin * cx1 + cos * cy1 + (start[1] + end[1]) / 2
    first = math.atan2((y1 - cy1) / ry, (x1 - cx1) / rx)
    swept = (math.atan2((-y1 - cy1) / ry, (-x1 - cx1) / rx) - first) % (2 * math.pi)
    swept -= 0 if sweep else 2 * math.pi
    steps = max(1, math.ceil(abs(swept) / math.pi * STEPS))
    found = []
    for step in range(1, steps):
        angle = first + swept * step / steps
        x, y = rx * math.cos(angle), ry * math.sin(angle)
        found.append((cx + cos * x - sin * y, cy + sin * x + cos * y))
    return [*found, end]
