"""FILM's network: a feature extractor shared by all levels, coarse-to-fine flow, and a fusion decoder.

Images are RGB in [0, 1], BCHW; pyramids are lists, finest first; flows are (x, y) in px of their level.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import FilmConfig
from .warp import best_match, compare, pyramid, upscale_flow, warp

SLOPE = 0.2
RGB, FLOW = 3, 2
SHARPNESS = 10.0
"""Initial softmax sharpness of the search; training scales it."""
WINDOW, FEWEST = 64, 16
"""Window in px of the local mean that is subtracted before features are compared: on the finest level, and at least.
Training pictures are not larger; the mean of a large picture (sky and road) would represent neither."""


class Conv(nn.Module):
    """A convolution that keeps the size; even kernels extend one px further to the right and down."""

    def __init__(self, inside: int, outside: int, side: int = 3, active: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, side, padding=side // 2 if side % 2 else 0)
        self.even, self.active = side % 2 == 0, active

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW = self.conv(F.pad(x_BCHW, (0, 1, 0, 1)) if self.even else x_BCHW)
        return F.leaky_relu(y_BCHW, SLOPE) if self.active else y_BCHW


class Extractor(nn.Module):
    """Scale-agnostic features: one small extractor is applied to each level of the image pyramid, and its features of
    equal size are concatenated."""

    def __init__(self, config: FilmConfig) -> None:
        super().__init__()
        widths = [config.filters << k for k in range(config.sub_levels)]
        self.steps = nn.ModuleList(
            nn.Sequential(Conv(inside, width), Conv(width, width))
            for inside, width in zip([RGB, *widths], widths, strict=False)
        )

    def forward(self, images: list[Tensor]) -> list[Tensor]:
        found: list[list[Tensor]] = [[] for _ in images]
        for start, image in enumerate(images):
            x = image
            for k, step in enumerate(self.steps[: len(images) - start]):
                x = step(F.avg_pool2d(x, 2) if k else x)
                found[start + k].insert(0, x)
        return [torch.cat(parts, 1) for parts in found]


class Predictor(nn.Module):
    """Predicts a flow residual from two images' features; 3 x 3 convolutions, then two of 1 x 1."""

    def __init__(self, inside: int, convs: int, filters: int, outside: int) -> None:
        super().__init__()
        widths = [inside] + [filters] * convs
        self.convs = nn.ModuleList(Conv(a, b) for a, b in pairwise(widths))
        self.convs.append(Conv(filters, filters // 2, 1))
        self.convs.append(Conv(filters // 2, outside, 1, active=False))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        for conv in self.convs:
            x_BCHW = conv(x_BCHW)
        return x_BCHW


class EndFlow(nn.Module):
    """As published: the flow from each image to the other, on its own grid."""

    def __init__(self, config: FilmConfig) -> None:
        super().__init__()
        self.predictors = nn.ModuleList(
            Predictor(2 * config.features(level), convs, filters, FLOW)
            for level, (convs, filters) in enumerate(zip(config.flow_convs, config.flow_filters, strict=True))
        )

    def one_way(self, source: list[Tensor], target: list[Tensor]) -> list[Tensor]:
        """Flow from `source` to `target` on each level."""
        flows: list[Tensor] = []
        for level in range(len(source) - 1, -1, -1):
            predictor = self.predictors[min(level, len(self.predictors) - 1)]
            if not flows:
                flows = [predictor(torch.cat([source[level], target[level]], 1))]
                continue
            flow = upscale_flow(flows[0])
            flows.insert(0, flow + predictor(torch.cat([source[level], warp(target[level], flow)], 1)))
        return flows

    def forward(self, first: list[Tensor], second: list[Tensor], time_B111: Tensor) -> list[Tensor]:
        """For each level (B, 4, H, W): the sampling offsets in the first and in the second image."""
        ahead, back = self.one_way(first, second), self.one_way(second, first)
        return [torch.cat([b * time_B111, a * (1 - time_B111)], 1) for a, b in zip(ahead, back, strict=True)]


class MiddleFlow(nn.Module):
    """Both flows at once, on the middle frame's grid, where object edges are at their positions of that time."""

    def __init__(self, config: FilmConfig) -> None:
        super().__init__()
        self.search = config.search
        compared = (2 * config.search + 1) ** 2 if config.search else 0
        predictors = [
            Predictor(2 * config.features(k) + compared + 2 * FLOW + 1, convs, filters, 2 * FLOW)
            for k, (convs, filters) in enumerate(zip(config.flow_convs, config.flow_filters, strict=True))
        ]
        for predictor in predictors:
            for parameter in predictor.convs[-1].parameters():
                nn.init.zeros_(parameter)
        self.predictors = nn.ModuleList(predictors)
        if config.search:
            self.sharpness = nn.Parameter(torch.ones(len(config.flow_convs)))

    def forward(self, first: list[Tensor], second: list[Tensor], time_B111: Tensor) -> list[Tensor]:
        """For each level (B, 4, H, W): the sampling offsets in the first and in the second image."""
        size = first[-1].shape[-2:]
        motion = first[-1].new_zeros(len(first[-1]), 2 * FLOW, *size)
        share = torch.cat([time_B111, time_B111, 1 - time_B111, 1 - time_B111], 1)
        flows: list[Tensor] = []
        for level in range(len(first) - 1, -1, -1):
            if flows:
                motion = upscale_flow(motion)
            flow = motion * share
            before, after = warp(first[level], flow[:, :FLOW]), warp(second[level], flow[:, FLOW:])
            parts = [before, after, motion * 0.25, time_B111.expand(-1, 1, *motion.shape[-2:])]
            kind = min(level, len(self.predictors) - 1)
            if self.search:
                alike = compare(before, after, self.search, max(FEWEST, WINDOW >> level))
                found = best_match(alike, self.sharpness[kind] * SHARPNESS, self.search)
                parts.append(alike)
                motion = motion + torch.cat([found * -2, found * 2], 1)
            motion = motion + self.predictors[kind](torch.cat(parts, 1))
            flows.insert(0, motion * share)
        return flows


class Fusion(nn.Module):
    """A U-Net decoder on the aligned pyramid: upscale, 2 x 2 convolution, concatenate the finer level, two of 3 x 3."""

    def __init__(self, config: FilmConfig) -> None:
        super().__init__()
        widths = config.fusion_filters
        aligned = [2 * (RGB + config.features(level) + FLOW) for level in range(len(widths) + 1)]
        below = [*widths[1:], aligned[-1]]
        self.levels = nn.ModuleList(
            nn.ModuleList([Conv(below[k], width, 2, active=False), Conv(aligned[k] + width, width), Conv(width, width)])
            for k, width in enumerate(widths)
        )
        self.paint = nn.Conv2d(widths[0], RGB if config.shrink == 1 else (RGB + 1) * config.shrink**2, 1)

    def forward(self, aligned: list[Tensor]) -> Tensor:
        x = aligned[len(self.levels)]
        for level in range(len(self.levels) - 1, -1, -1):
            parts: Any = self.levels[level]
            grow, join, smooth = parts
            x = smooth(join(torch.cat([aligned[level], grow(F.interpolate(x, scale_factor=2, mode="nearest"))], 1)))
        return self.paint(x)


class FilmNetwork(nn.Module):
    """Interpolates a frame between two. Sides must be multiples of shrink * 2 ** (levels - 1)."""

    def __init__(self, config: FilmConfig) -> None:
        super().__init__()
        self.config = config
        self.extractor = Extractor(config)
        self.flow = MiddleFlow(config) if config.middle else EndFlow(config)
        self.fusion = Fusion(config)
        if config.shrink > 1:
            for parameter in self.fusion.paint.parameters():
                nn.init.zeros_(parameter)

    def forward(self, first_BCHW: Tensor, second_BCHW: Tensor, time_B: Tensor) -> Tensor:
        """The frame at time_B, in (0, 1), between the first and the second; not clamped."""
        return self.with_flows(first_BCHW, second_BCHW, time_B)[0]

    def with_flows(self, first_BCHW: Tensor, second_BCHW: Tensor, time_B: Tensor) -> tuple[Tensor, list[Tensor]]:
        """As `forward`, with the flows of every level, (B, 4, H, W): sampling offsets in both images."""
        count, time_B111, shrink = len(first_BCHW), time_B.view(-1, 1, 1, 1), self.config.shrink
        whole = torch.cat([first_BCHW, second_BCHW])
        images = pyramid(whole if shrink == 1 else F.avg_pool2d(whole, shrink), self.config.levels)
        features = self.extractor(images)
        flows = self.flow([each[:count] for each in features], [each[count:] for each in features], time_B111)
        aligned = []
        for level in range(len(self.fusion.levels) + 1):
            both = torch.cat([images[level], features[level]], 1)
            back, ahead = flows[level][:, :FLOW], flows[level][:, FLOW:]
            aligned.append(torch.cat([warp(both[:count], back), warp(both[count:], ahead), back, ahead], 1))
        painted = self.fusion(aligned)
        return (painted if shrink == 1 else self.mix(first_BCHW, second_BCHW, flows[0], painted, time_B111)), flows

    def mix(
        self, first_BCHW: Tensor, second_BCHW: Tensor, flow_B4HW: Tensor, painted_BCHW: Tensor, time_B111: Tensor
    ) -> Tensor:
        """Warp both images to the middle at full size, mix them by weights, and add corrections."""
        shrink = self.config.shrink
        for _ in range(shrink.bit_length() - 1):
            flow_B4HW = upscale_flow(flow_B4HW)
        before, after = warp(first_BCHW, flow_B4HW[:, :FLOW]), warp(second_BCHW, flow_B4HW[:, FLOW:])
        fine = F.pixel_shuffle(painted_BCHW, shrink)
        weight = torch.sigmoid(fine[:, RGB:] + torch.log((1 - time_B111) / time_B111))
        return after + (before - after) * weight + fine[:, :RGB]
