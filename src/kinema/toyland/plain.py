"""The places of Toyland without small details: a sky, a sun or moon, and one or two large shapes.

For models and VAEs that are too small for clouds, stars and lit windows. Colours, random numbers and lights are those
of the full places, so that a plain scene shows the same place as its full version. No shape is thinner than a tenth of
the frame.
"""

from __future__ import annotations

from collections.abc import Callable

from .painter import Painter, scatter, wave


def _sky(painter: Painter, *, low: float = 0.12) -> None:
    u, v = painter.layer(0.0)
    height = ((v + 0.5) / (0.5 + low)).clamp(0.0, 1.0)
    painter.canvas_BFCHW = painter.color(0).expand(-1, -1, -1, 1, 1)
    painter.paint(height * (2.0 - height) + u * 0.0 if painter.view.rolling else height * (2.0 - height), 1)
    cx, cy = painter.chance(0, -0.36, 0.36), -0.28 + 0.16 * painter.sunset
    away = ((u - cx) * (u - cx) + (v - cy) * (v - cy)).sqrt()
    painter.paint(painter.cover(away - 0.1 - 0.03 * painter.sunset), 2)


def _hill(painter: Painter, depth: float, low: float, tall: float, rate: float, salt: int, color: int) -> None:
    u, v = painter.layer(depth)
    painter.paint(painter.under(low + tall * wave(u * rate + painter.chance(salt)), v), color)


def _meadow(painter: Painter) -> None:
    _sky(painter)
    _hill(painter, 0.5, 0.08, 0.06, 0.8, 11, 5)
    _hill(painter, 1.0, 0.25, 0.04, 0.6, 13, 6)


def _sea(painter: Painter) -> None:
    _sky(painter, low=-0.02)
    _, v = painter.layer(0.15)
    painter.paint(painter.cover(0.02 - v), 4)
    painter.paint(((v + 0.02) * 2.2).clamp(0.0, 0.8), 5, solid=False)
    u, v = painter.layer(1.0)
    turn = u / 0.34 + painter.chance(9)
    crest = (turn - turn.floor() - 0.5).abs() * 2.0
    painter.paint(painter.under(0.27 + 0.08 * (1.0 - crest * crest), v), 6)


def _desert(painter: Painter) -> None:
    _sky(painter)
    u, v = painter.layer(0.25)
    du = u - painter.chance(9, -0.3, 0.3)
    stone = painter.under(-0.12 + du.abs() * 0.95, v, 0.72)
    painter.paint(stone, 4)
    painter.paint(stone * painter.cover(-du) * 0.5, 7, solid=False)
    _hill(painter, 0.6, 0.13, 0.05, 0.85, 12, 5)
    _hill(painter, 1.0, 0.3, 0.05, 0.7, 13, 6)


def _city(painter: Painter) -> None:
    _sky(painter)
    u, v = painter.layer(0.6)
    x = u / 0.27
    column = x.floor()
    top = 0.28 - 0.4 * (0.35 + 0.65 * scatter(column, painter.chance(10)))
    painter.paint(painter.cover(top - v), 5)
    _, v = painter.layer(1.0)
    painter.paint(painter.cover(0.28 - v), 6)


def _snow(painter: Painter) -> None:
    _sky(painter)
    u, v = painter.layer(0.22)
    x = u / 0.62 + painter.chance(9)
    peak = 0.12 - 0.3 * (0.7 + 0.3 * scatter(x.floor(), painter.chance(9)))
    rock = painter.under(peak + (x - x.floor() - 0.5).abs() * 0.62 * 1.05, v, 0.7)
    painter.paint(rock, 4)
    painter.paint(rock * painter.cover((v - peak - 0.1) * 0.8), 5, solid=False)
    _hill(painter, 0.7, 0.18, 0.035, 0.7, 14, 6)
    _hill(painter, 1.0, 0.31, 0.04, 0.6, 15, 5)


def _space(painter: Painter) -> None:
    u, v = painter.layer(0.0)
    painter.canvas_BFCHW = painter.color(0).expand(-1, -1, -1, 1, 1)
    cloud = wave(u * 0.7 + v * 0.5 + painter.chance(9)) + wave(v * 0.9 - u * 0.35 + painter.chance(10)) * 0.8
    painter.paint((cloud * 0.4 + 0.45).clamp(0.0, 1.0), 1)
    u, v = painter.layer(0.3)
    dx, dy = u - painter.chance(0, -0.34, 0.34), v - painter.chance(1, -0.3, -0.16)
    globe = painter.cover((dx * dx + dy * dy).sqrt() - 0.16)
    painter.paint(globe, 4)
    _hill(painter, 1.0, 0.34, 0.03, 0.6, 11, 6)


PLAIN_PLACES: dict[str, Callable[[Painter], None]] = {
    "meadow": _meadow,
    "sea": _sea,
    "desert": _desert,
    "city": _city,
    "snow": _snow,
    "space": _space,
}
