"""The network of the probes: a small convolutional network that classifies an image and locates its objects.

Legend: B images, C channels, H W the image's 64 x 64 pixels, R S the 16 x 16 cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..toyland.scene import BACKGROUNDS, COLORS, KINDS, LIGHTS, STYLES

SIDE = 64
CELLS = 16
CELL_PX = SIDE // CELLS
MAX_COUNT = 2
PLACE_HEADS = {"background": len(BACKGROUNDS), "light": len(LIGHTS), "style": len(STYLES), "count": MAX_COUNT + 1}
"""Outputs for the whole image, and their numbers of classes. count: 0, 1 or 2 objects."""
OBJECT_HEADS = {"heat": 1, "offset": 2, "box": 4, "kind": len(KINDS), "color": len(COLORS)}
"""Outputs for each cell. heat: logit that an object's centre is here. offset: (x, y) from the cell's centre to the
object's, in cells. box: distances from the object's centre to the left, top, right and bottom of its visible part, in
cells, all positive."""


@dataclass(frozen=True)
class Answers:
    """Logits: picture[name] is (B, n), cells[name] is (B, n, R, S)."""

    picture: dict[str, Tensor]
    cells: dict[str, Tensor]


class ProbeNet(nn.Module):
    """Maps images, float32 in [0, 1], (B, 3, 64, 64), to Answers."""

    def __init__(self, narrow: int = 48, wide: int = 96, num_blocks: int = 2):
        super().__init__()
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), _conv(12, 32), _conv(32, narrow, stride=2))
        self.fine = nn.Sequential(*[_Block(narrow) for _ in range(2)])
        self.down = _conv(narrow, wide, stride=2)
        self.coarse = nn.Sequential(*[_Block(wide) for _ in range(num_blocks)])
        self.up = nn.Conv2d(wide, narrow, 1)
        self.join = _Block(narrow)
        self.object_head = nn.Conv2d(narrow, sum(OBJECT_HEADS.values()), 1)
        self.picture_head = nn.Linear(2 * wide, sum(PLACE_HEADS.values()))
        nn.init.constant_(self.object_head.bias[:1], -3.0)  # type: ignore[index]  # most cells are not a centre

    def forward(self, x_BCHW: Tensor) -> Answers:
        fine = self.fine(self.stem(x_BCHW * 2.0 - 1.0))  # B narrow 16 16
        coarse = self.coarse(self.down(fine))  # B wide 8 8
        pooled = torch.cat([coarse.mean((2, 3)), coarse.amax((2, 3))], 1)  # B 2*wide
        up = nn.functional.interpolate(self.up(coarse), scale_factor=2.0, mode="nearest")  # B narrow 16 16
        cells = self.object_head(self.join(fine + up))  # B 27 16 16
        return Answers(
            dict(zip(PLACE_HEADS, self.picture_head(pooled).split(list(PLACE_HEADS.values()), 1), strict=True)),
            dict(zip(OBJECT_HEADS, cells.split(list(OBJECT_HEADS.values()), 1), strict=True)),
        )


class _Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.first = _conv(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return nn.functional.relu(x_BCHW + self.second(self.first(x_BCHW)))


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    parts: list[Any] = [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*parts)
