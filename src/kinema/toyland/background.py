"""The places of Toyland: layers of sky, hills, waves and houses, painted back to front.

Sizes are in frame heights. A frame of 64 pixels has no details of one pixel; finer decoration appears at higher
resolutions. `painter.chance` varies the positions of hills and houses between scenes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .painter import Painter, scatter, wave


def _sky(painter: Painter, *, sun: bool = True, clouds: bool = True, low: float = 0.12) -> None:
    u, v = painter.layer(0.0)
    height = ((v + 0.5) / (0.5 + low)).clamp(0.0, 1.0)
    painter.canvas_BFCHW = painter.color(0).expand(-1, -1, -1, 1, 1)
    painter.paint(height * (2.0 - height) + u * 0.0 if painter.view.rolling else height * (2.0 - height), 1)
    night = painter.night
    sunset = painter.sunset
    if sun:
        cx = painter.chance(0, -0.36, 0.36)
        cy = -0.3 + 0.2 * sunset
        radius = 0.085 + 0.055 * sunset
        dx, dy = u - cx, v - cy
        away = (dx * dx + dy * dy).sqrt()
        halo = (1.0 - away / (radius * 3.6)).clamp(min=0.0)
        painter.paint(halo * halo * 0.55, 2)
        bite = ((dx - 0.045) * (dx - 0.045) + (dy + 0.03) * (dy + 0.03)).sqrt()
        crescent = torch.maximum(away - radius, (0.075 - bite) * night + (night - 1.0))
        painter.paint(painter.cover(crescent), 2)
    _stars(painter, u, v, night)
    if clouds:
        u, v = painter.layer(0.12)
        for number in range(2):
            cx = painter.chance(1 + number, -0.5, 0.0) + 0.5 * number
            cy = painter.chance(3 + number, -0.36, -0.16)
            dx, dy = u - cx, v - cy
            puff = _puff(dx, dy, 0.0, 0.0, 0.085)
            puff = torch.minimum(puff, _puff(dx, dy, -0.1, 0.03, 0.06))
            puff = torch.minimum(puff, _puff(dx, dy, 0.1, 0.025, 0.065))
            puff = torch.maximum(puff, dy - 0.045)
            painter.paint(painter.cover(puff) * (0.85 - 0.25 * night), 3)


def _puff(dx: Tensor, dy: Tensor, cx: float, cy: float, radius: float) -> Tensor:
    return ((dx - cx) * (dx - cx) + (dy - cy) * (dy - cy)).sqrt() - radius


def _stars(painter: Painter, u: Tensor, v: Tensor, amount: Tensor) -> None:
    """Paint soft round stars, one in most cells of a lattice; more and smaller ones at higher resolutions."""
    levels = 1 if painter.view.unit_px < 120 else 2
    for level in range(levels):
        cell = 0.21 / (1 + level)
        radius = max((0.016, 0.007)[level] if levels > 1 else 0.0, 1.15 / painter.view.unit_px)
        x, y = u / cell + painter.chance(5 + level, 0, 9), v / cell + painter.chance(7 + level, 0, 9)
        column, row = torch.floor(x), torch.floor(y)
        chance = scatter(column + row * 7.0)
        dx = x - column - 0.25 - 0.5 * chance
        dy = y - row - 0.25 - 0.5 * scatter(row + column * 5.0, 0.37)
        away = (dx * dx + dy * dy).sqrt() * cell
        shown = (chance > 0.35) * amount * (0.3 + 0.6 * chance)
        painter.paint((1.6 - away / radius).clamp(0.0, 1.0) * shown, painter.star)


def _meadow(painter: Painter) -> None:
    _sky(painter)
    u, v = painter.layer(0.35)
    top = 0.02 + 0.055 * wave(u * 0.9 + painter.chance(9)) + 0.025 * wave(u * 2.1 + painter.chance(10))
    painter.paint(painter.under(top, v), 4)
    u, v = painter.layer(0.62)
    top = 0.13 + 0.05 * wave(u * 0.75 + painter.chance(11)) + 0.02 * wave(u * 1.7 + painter.chance(12))
    painter.paint(painter.under(top, v), 5)
    u, v = painter.layer(1.0)
    top = 0.25 + 0.04 * wave(u * 0.6 + painter.chance(13))
    ground = painter.under(top, v)
    painter.paint(ground, 6)
    stripes = wave(u * 2.2 + (v - top) * 1.5 + painter.chance(14)) * 4.0
    painter.paint(ground * stripes.clamp(0.0, 1.0) * 0.8, 7, solid=False)
    if painter.view.unit_px >= 120:
        _dots(painter, u, v, ground * (v > top + 0.03), 0.14, 0.011, 2)


def _dots(painter: Painter, u: Tensor, v: Tensor, where: Tensor, cell: float, radius: float, color: int) -> None:
    x, y = u / cell, v / cell
    column, row = torch.floor(x), torch.floor(y)
    dx = x - column - 0.2 - 0.6 * scatter(column + row * 3.0)
    dy = y - row - 0.2 - 0.6 * scatter(row * 5.0 + column)
    painter.paint(painter.cover((dx * dx + dy * dy).sqrt() * cell - radius) * where * 0.75, color, solid=False)


def _sea(painter: Painter) -> None:
    _sky(painter, low=-0.02)
    cx = painter.chance(0, -0.36, 0.36)
    _, v = painter.layer(0.15)
    painter.paint(painter.cover(0.0 - v), 4)
    painter.paint(((v + 0.02) * 2.2).clamp(0.0, 0.8), 5, solid=False)
    u, v = painter.layer(0.2)
    path = (u - cx).abs() - (0.03 + 0.22 * v)
    shine = (1.0 - path * 14.0).clamp(0.0, 1.0) * (v * 30.0).clamp(0.0, 1.0) * 0.5
    painter.paint(shine, 2, solid=False)
    bands = ((0.45, 0.07, 0.12, 0.2), (0.75, -0.09, 0.24, 0.27), (1.0, 0.12, 0.37, 0.36))
    for number, (depth, drift, low, size) in enumerate(bands):
        u, v = painter.layer(depth, drift)
        turn = u / size + painter.chance(9 + number)
        turn = turn - torch.floor(turn)
        top = low + size * 0.32 * (0.5 - 2.0 * turn * (1.0 - turn)) - 0.03
        water = painter.under(top, v)
        painter.paint(water, painter.mix(5, 6, 0.5 * number))
        steep = 16.0 - 3.0 * number
        painter.paint(water * ((1.0 + top * steep) - v * steep).clamp(0.0, 0.75), 7, solid=False)


def _desert(painter: Painter) -> None:
    _sky(painter, clouds=False)
    u, v = painter.layer(0.25)
    cx = painter.chance(9, -0.3, 0.3)
    for offset, size in ((0.0, 0.2), (0.24, 0.13)):
        du = u - cx - offset
        top = 0.12 - size + du.abs() * 0.95
        stone = painter.under(top, v, 0.72)
        painter.paint(stone, 4)
        painter.paint(stone * painter.cover(-du), 3, solid=False)
        painter.paint(stone * painter.cover(-du) * 0.88, 4, solid=False)
        painter.paint(stone * painter.cover(du) * 0.5, 7, solid=False)
    for number, (depth, low, size) in enumerate(((0.4, 0.08, 1.0), (0.68, 0.19, 0.85), (1.0, 0.31, 0.7))):
        u, v = painter.layer(depth)
        place = u * size + painter.chance(11 + number)
        top = low + 0.055 * wave(place) + 0.02 * wave(place * 2.0 + 0.2)
        sand = painter.under(top, v)
        painter.paint(sand, painter.mix(5, 6, 0.5 * number))
        lee = (0.14 * wave(place + 0.2) - 0.6 * (v - top)) * 14.0
        painter.paint(sand * lee.clamp(0.0, 1.0) * 0.6, 7, solid=False)


def _houses(
    painter: Painter, u: Tensor, v: Tensor, salt: Tensor, pitch: float, low: float, tall: float
) -> tuple[Tensor, Tensor]:
    """A row of houses: coverage of each pixel, and the random number of its house."""
    x = u / pitch
    column = torch.floor(x)
    chance = scatter(column, salt)
    top = low - tall * (0.35 + 0.65 * chance)
    wall = ((x - column - 0.5).abs() - 0.46) * pitch
    return painter.cover(torch.maximum(wall, top - v)), chance


def _city(painter: Painter) -> None:
    _sky(painter)
    u, v = painter.layer(0.3)
    far, _ = _houses(painter, u, v, painter.chance(9), 0.17, 0.25, 0.38)
    painter.paint(far, 4)
    u, v = painter.layer(0.6)
    near, chance = _houses(painter, u, v, painter.chance(10), 0.27, 0.28, 0.4)
    painter.paint(near, 5)
    x, y = u / 0.09 + 0.0, v / 0.115
    column, row = torch.floor(x), torch.floor(y)
    pane = torch.maximum((x - column - 0.5).abs() * 0.09 - 0.026, (y - row - 0.5).abs() * 0.115 - 0.032)
    lit = scatter(column * 3.0 + row * 5.0, painter.chance(11)) > 0.45
    top = 0.28 - 0.4 * (0.35 + 0.65 * chance)
    inside = near * (v > top + 0.02) * lit
    painter.paint(painter.cover(pane) * inside * 0.6, 7, solid=False)
    u, v = painter.layer(1.0)
    painter.paint(painter.cover(0.28 - v), 6)
    painter.paint(painter.cover((v - 0.305).abs() - 0.025) * 0.5, 4, solid=False)
    dash = u / 0.3 + painter.chance(12)
    dash = ((dash - torch.floor(dash) - 0.5).abs() - 0.25) * 0.3
    painter.paint(painter.cover(torch.maximum(dash, (v - 0.42).abs() - 0.013)) * 0.6, 3, solid=False)


def _snow(painter: Painter) -> None:
    _sky(painter)
    u, v = painter.layer(0.22)
    for number, pitch in enumerate((0.62, 0.44)):
        x = u / pitch + painter.chance(9 + number)
        column = torch.floor(x)
        peak = 0.12 - (0.3 - 0.1 * number) * (0.7 + 0.3 * scatter(column, painter.chance(9)))
        side = (x - column - 0.5).abs() * pitch
        top = peak + side * (1.05 - 0.1 * number)
        rock = painter.under(top, v, 0.7)
        painter.paint(rock, 4)
        cap = v - peak - 0.07 - 0.018 * wave(u * 9.0)
        painter.paint(rock * painter.cover(cap * 0.8) * 0.85, 5, solid=False)
    u, v = painter.layer(0.5)
    top = 0.1 + 0.03 * wave(u * 0.8 + painter.chance(11))
    painter.paint(painter.under(top, v), 6)
    u, v = painter.layer(0.7)
    pitch = 0.24
    x = u / pitch + painter.chance(12)
    column = torch.floor(x)
    chance = scatter(column, painter.chance(13))
    side = (x - column - 0.35 - 0.3 * chance).abs() * pitch
    foot = 0.21 + 0.03 * chance
    up = foot - v
    tall = 0.2 + 0.06 * chance
    fir = (side - (tall - up) * 0.33) * 0.95
    fir = torch.maximum(fir, -up)
    step = torch.maximum((side - (tall * 0.62 - up) * 0.5) * 0.9, -up)
    painter.paint(painter.cover(torch.minimum(fir, step)) * (chance > 0.2), 7)
    top = 0.2 + 0.035 * wave(u * 0.7 + painter.chance(14))
    painter.paint(painter.under(top, v), painter.mix(5, 6, 0.35))
    u, v = painter.layer(1.0)
    top = 0.31 + 0.04 * wave(u * 0.6 + painter.chance(15))
    ground = painter.under(top, v)
    painter.paint(ground, 5)
    painter.paint(ground * (wave(u * 1.3 + v * 2.0 + painter.chance(9)) * 2.0).clamp(0.0, 1.0) * 0.35, 6, solid=False)


def _space(painter: Painter) -> None:
    u, v = painter.layer(0.0)
    painter.canvas_BFCHW = painter.color(0).expand(-1, -1, -1, 1, 1)
    cloud = wave(u * 0.7 + v * 0.5 + painter.chance(9)) + wave(v * 0.9 - u * 0.35 + painter.chance(10)) * 0.8
    painter.paint((cloud * 0.4 + 0.45).clamp(0.0, 1.0), 1)
    painter.paint((cloud * 0.7 - 0.25).clamp(0.0, 0.7), 3)
    _stars(painter, u, v, painter.night * 0.15 + 0.75)
    u, v = painter.layer(0.3)
    cx, cy = painter.chance(0, -0.34, 0.34), painter.chance(1, -0.3, -0.16)
    dx, dy = u - cx, v - cy
    tilt = dy + dx * 0.28
    away = (dx * dx + dy * dy).sqrt()
    globe = painter.cover(away - 0.15)
    ring = (dx * dx * 0.3 + tilt * tilt * 5.0).sqrt()
    hoop = painter.cover(((ring - 0.135).abs() - 0.022) * 0.8)
    painter.paint(hoop * 0.8, 6)
    painter.paint(globe, 4)
    painter.paint(globe * (wave(tilt * 7.0) * 2.0).clamp(0.0, 1.0) * 0.7, 5, solid=False)
    shade = ((dx + 0.05) * (dx + 0.05) + (dy + 0.05) * (dy + 0.05)).sqrt() - 0.15
    painter.paint(globe * (shade * 9.0).clamp(0.0, 0.45), 0, solid=False)
    painter.paint(hoop * painter.cover(-tilt) * 0.8, 6, solid=False)
    u, v = painter.layer(1.0)
    top = 0.36 + 0.03 * wave(u * 0.6 + painter.chance(11))
    moon = painter.under(top, v)
    painter.paint(moon, 6)
    x = u / 0.34 + painter.chance(12)
    column = torch.floor(x)
    dx, dy = (x - column - 0.5) * 0.34, (v - 0.45) * 2.2
    painter.paint(moon * painter.cover((dx * dx + dy * dy).sqrt() - 0.09) * 0.3, 0, solid=False)


PLACES: dict[str, Callable[[Painter], None]] = {
    "meadow": _meadow,
    "sea": _sea,
    "desert": _desert,
    "city": _city,
    "snow": _snow,
    "space": _space,
}
