"""A canvas of layers with parallax, each on its own plane.

Suffixes: B scenes, F frames (1 if static), C colour channels, H W pixels.
The unit of a layer's plane is the frame's height, and (0, 0) is the centre of the frame at rest. A camera move shifts
far planes less than near ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class CameraView:
    """The cameras of B scenes. shift_x, shift_y, zoom, roll, time_s: [B, F] (F = 1 for still cameras, except for
    time_s). xs, ys: pixel positions [W] and [H], in pixels from the centre of the frame. unit_px: pixels per frame
    height. rolling: does any camera roll? sharp: 1 for smooth edges of one pixel, more for harder ones.
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
    """Paints layers, back to front, on canvas_BFCHW (float32, [0, 1]); C is 3. With `labelled`, records the visible
    layer of each pixel in labels_BFHW."""

    def __init__(
        self, view: CameraView, colors_BK3: Tensor, light_B: Tensor, chance_BR: Tensor, *, star: int, labelled: bool
    ) -> None:
        """light_B: 0 day, 1 sunset, 2 night. chance_BR: random numbers in [0, 1). star: index of the colour of
        stars."""
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
        """Begin a layer; returns (u, v) of every pixel on its plane, broadcastable to [B, F, H, W].

        depth: share of the camera's move (0 far away, 1 at the actors). drift: own speed to the right, in frame heights
        per second.
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
        """A random number per scene between low and high, [B, 1, 1, 1]; constant for an index."""
        return (self.chance_BR[:, index] * (high - low) + low)[:, None, None, None]

    def cover(self, distance: Tensor) -> Tensor:
        """Coverage of each pixel by the inside (distance < 0, in frame heights), [0, 1], with a one-pixel edge."""
        return (distance * -self.scale + 0.5).clamp(0.0, 1.0)

    def under(self, top: Tensor, v: Tensor, steep: float = 1.0) -> Tensor:
        """Coverage of each pixel by the area below the line v = top. steep: ratio of the distance to the line and the
        vertical distance."""
        scale = self.scale * steep
        return ((v * scale + 0.5) - top * scale).clamp(0.0, 1.0)

    def mix(self, first: int, second: int, part: float) -> Tensor:
        """A mix of two of the place's colours."""
        return torch.lerp(self.color(first), self.color(second), part)

    def color(self, index: int) -> Tensor:
        """One of the place's colours, [B, 1, 3, 1, 1]."""
        return self.colors_BK3[:, index][:, None, :, None, None]

    def paint(self, cover: Tensor, color: Tensor | int, *, solid: bool = True) -> None:
        """Blend a colour onto the canvas by `cover`. solid: label these pixels with the layer (for ground truth)."""
        tint = self.color(color) if isinstance(color, int) else color
        self.canvas_BFCHW = torch.lerp(self.canvas_BFCHW, tint, cover[:, :, None])
        if self.labelled and solid:
            layer = torch.full((), len(self.layers) - 1, dtype=torch.uint8, device=cover.device)
            below = layer * 0 if self.labels_BFHW is None else self.labels_BFHW
            self.labels_BFHW = torch.where(cover > 0.5, layer, below)


def wave(x: Tensor) -> Tensor:
    """A smooth wave of period 1 between -1 and 1 (within 6 % of a sine, but cheaper)."""
    turn = x - torch.floor(x + 0.5)
    return turn * (8.0 - 16.0 * turn.abs())


def scatter(index: Tensor, salt: Tensor | float = 0.0) -> Tensor:
    """Pseudorandom numbers in [0, 1) for integers."""
    value = index * 0.6180340 + salt
    value = value - torch.floor(value)
    value = value * 37.719 + value * value * 11.13
    return value - torch.floor(value)
