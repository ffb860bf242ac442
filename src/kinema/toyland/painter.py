"""A canvas with depth: layers that the camera moves past, each on its own plane.

Suffixes: B scenes, F frames (1 where nothing moves), C colour channels, H W pixels.
Each layer's plane has the frame's height as unit and (0, 0) in the middle of the frame at rest. The
camera moves far planes less than near ones, so that a walk past them shows depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class CameraView:
    """The cameras of B scenes as columns. shift_x, shift_y, zoom, roll, time_s: [B, F] (F = 1 when it
    stands still, but for time_s); xs, ys: where the pixels are, [W] and [H], in pixels from the middle of
    the frame; unit_px: pixels per frame height. rolling: whether any camera rolls. sharp: 1 for smooth
    edges of one pixel, more for harder ones.
    """

    shift_x: Tensor
    shift_y: Tensor
    zoom: Tensor
    roll: Tensor
    time_s: Tensor
    xs: Tensor
    ys: Tensor
    unit_px: float
    rolling: bool
    sharp: float


class Painter:
    """Paints layers, back to front, on canvas_BFCHW (float32, [0, 1]); C is 3. Remembers which layer covers
    what."""

    def __init__(
        self, view: CameraView, colors_BK3: Tensor, light_B: Tensor, chance_BR: Tensor, *, star: int, labelled: bool
    ) -> None:
        """light_B: 0 day, 1 sunset, 2 night. chance_BR: random numbers in [0, 1). star: which colour stars
        have."""
        self.view = view
        self.colors_BK3 = colors_BK3
        self.sunset = (light_B == 1).float()[:, None, None, None]
        self.night = (light_B == 2).float()[:, None, None, None]
        self.star = star
        self.chance_BR = chance_BR
        self.canvas_BFCHW = torch.zeros(1, device=view.xs.device)
        self.layers: list[tuple[float, float]] = []
        self.labels_BFHW: Tensor | None = None
        self.labelled = labelled
        self.scale = torch.ones(1, device=view.xs.device)

    def layer(self, depth: float, drift: float = 0.0) -> tuple[Tensor, Tensor]:
        """Begins a layer; (u, v) of every pixel on its plane, broadcastable to [B, F, H, W].

        depth: how much of the camera's move it makes (0 far away, 1 where the actors are). drift: its own
        speed to the right, frame heights per second.
        """
        view = self.view
        self.layers.append((depth, drift))
        zoom = 1.0 + (view.zoom - 1.0) * depth if depth else torch.ones_like(view.zoom[:, :1])
        self.scale = (zoom * (view.unit_px * view.sharp))[:, :, None, None]
        inverse = 1.0 / (zoom * view.unit_px)
        shift_x, shift_y = view.shift_x * depth, view.shift_y * depth
        if not depth:
            shift_x, shift_y = shift_x[:, :1], shift_y[:, :1]
        if drift:
            shift_x = shift_x - drift * view.time_s
        if not view.rolling:
            u = view.xs * inverse[:, :, None, None] + shift_x[:, :, None, None]
            v = view.ys[:, None] * inverse[:, :, None, None] + shift_y[:, :, None, None]
            return u, v
        cos = (torch.cos(view.roll) * inverse)[:, :, None, None]
        sin = (torch.sin(view.roll) * inverse)[:, :, None, None]
        u = (view.xs * cos + shift_x[:, :, None, None]) + view.ys[:, None] * sin
        v = (view.ys[:, None] * cos + shift_y[:, :, None, None]) - view.xs * sin
        return u, v

    def chance(self, index: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """A number per scene between low and high, [B, 1, 1, 1]; the same index gives the same chance."""
        return (self.chance_BR[:, index] * (high - low) + low)[:, None, None, None]

    def cover(self, distance: Tensor) -> Tensor:
        """How much of each pixel lies inside (distance < 0, in frame heights), [0, 1], with a one-pixel
        edge."""
        return (distance * -self.scale + 0.5).clamp(0.0, 1.0)

    def under(self, top: Tensor, v: Tensor, steep: float = 1.0) -> Tensor:
        """How much of each pixel lies below the line v = top. steep: how much nearer the line is than
        straight up."""
        scale = self.scale * steep
        return ((v * scale + 0.5) - top * scale).clamp(0.0, 1.0)

    def mix(self, first: int, second: int, part: float) -> Tensor:
        """A colour between two of the place's."""
        return torch.lerp(self.color(first), self.color(second), part)

    def color(self, index: int) -> Tensor:
        """One of the place's colours, [B, 1, 3, 1, 1]."""
        return self.colors_BK3[:, index][:, None, :, None, None]

    def paint(self, cover: Tensor, color: Tensor | int, *, solid: bool = True) -> None:
        """Lays a colour on the canvas where cover is 1. solid: the layer owns these pixels (for truth)."""
        tint = self.color(color) if isinstance(color, int) else color
        self.canvas_BFCHW = torch.lerp(self.canvas_BFCHW, tint, cover[:, :, None])
        if self.labelled and solid:
            layer = torch.full((), len(self.layers) - 1, dtype=torch.uint8, device=cover.device)
            below = layer * 0 if self.labels_BFHW is None else self.labels_BFHW
            self.labels_BFHW = torch.where(cover > 0.5, layer, below)


def wave(x: Tensor) -> Tensor:
    """A smooth wave of period 1 between -1 and 1 (a sine to within 6 per cent, but cheaper)."""
    turn = x - torch.floor(x + 0.5)
    return turn * (8.0 - 16.0 * turn.abs())


def scatter(index: Tensor, salt: Tensor | float = 0.0) -> Tensor:
    """Evenly scattered numbers in [0, 1) for whole numbers."""
    value = index * 0.6180340 + salt
    value = value - torch.floor(value)
    value = value * 37.719 + value * value * 11.13
    return value - torch.floor(value)
