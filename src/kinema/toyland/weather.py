"""Rain and snow as an overlay. Suffixes: B scenes, F frames, C colour channels, H W pixels.

Masks, tracks and flow ignore weather.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .painter import scatter

_RAIN = (0.74, 0.83, 0.95)
_GLOOM = (0.5, 0.55, 0.64)


def add_gloom(canvas_BFCHW: Tensor) -> Tensor:
    """Make the background paler and greyer, as under an overcast sky. Call it before painting the actors."""
    gloom = torch.tensor(_GLOOM, device=canvas_BFCHW.device)[:, None, None]
    return torch.lerp(canvas_BFCHW, gloom, 0.24)


def add_weather(canvas_BFCHW: Tensor, weather: str, time_F: Tensor, xs: Tensor, ys: Tensor, unit_px: float) -> Tensor:
    """Add rain or snow to the canvas. xs [W], ys [H]: pixels from the centre; unit_px: pixels per frame height."""
    u, v = xs / unit_px, (ys / unit_px)[:, None]
    time = time_F[:, None, None]
    if weather == "rain":
        cover = _drops(u + 0.22 * v, v, time, pitch=0.105, gap=0.42, speed=1.15, half=0.0115, unit_px=unit_px)
        color = torch.tensor(_RAIN, device=xs.device)[:, None, None]
        return torch.lerp(canvas_BFCHW, color, (cover * 0.62)[:, None])
    white = torch.ones(3, 1, 1, device=xs.device)
    small, size = _flakes(u, v, time, 0.17, 0.2, 0.02), 0.75
    large = _flakes(u + 0.31, v, time * 1.5, 0.29, 0.2, 0.03)
    return torch.lerp(canvas_BFCHW, white, (torch.maximum(small * size, large) * 0.85)[:, None])


def _drops(
    u: Tensor, v: Tensor, time: Tensor, *, pitch: float, gap: float, speed: float, half: float, unit_px: float
) -> Tensor:
    x = u / pitch
    column = torch.floor(x)
    chance = scatter(column)
    y = v / gap - time * (speed * (0.9 + 0.2 * chance) / gap) + chance * 7.0
    y = (y - torch.floor(y) - 0.5).abs() * gap - 0.075
    x = (x - column - 0.5).abs() * pitch - half
    return (0.5 - torch.maximum(x, y) * unit_px).clamp(0.0, 1.0)


def _flakes(u: Tensor, v: Tensor, time: Tensor, cell: float, speed: float, radius: float) -> Tensor:
    """Coverage by soft round flakes, one in each cell of a lattice of falling columns."""
    x = u / cell
    column = torch.floor(x)
    chance = scatter(column)
    y = v / cell - time * (speed / cell) + chance * 5.0
    row = torch.floor(y)
    dx = (x - column - 0.3 - 0.4 * scatter(row + column * 3.0)) * cell
    dy = (y - row - 0.5) * cell
    return (1.6 - ((dx * dx + dy * dy).sqrt() / radius)).clamp(0.0, 1.0)
