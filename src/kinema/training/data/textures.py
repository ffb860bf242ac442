"""Procedural textures and shape masks for moving_pictures.py. No photographs are used."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

SIDE = 256
"""Side of a texture in px."""


def noise_texture(rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """Coloured noise with a spectrum of 1 / f ** a; float32 (side, side, 3) in [0, 1]."""
    freq = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) + 0.5 / side
    power = freq ** -rng.uniform(0.7, 2.2)
    planes = []
    for _ in range(3):
        phase = rng.standard_normal(power.shape) + 1j * rng.standard_normal(power.shape)
        plane = np.fft.irfft2(power * phase, (side, side))
        planes.append((plane - plane.mean()) / (plane.std() + 1e-6))
    mix = np.eye(3) * rng.uniform(0.1, 0.6) + rng.uniform(-0.6, 0.6, (1, 3)).repeat(3, 0) * np.ones((3, 1))
    picture = np.stack(planes, -1) @ mix * rng.uniform(0.1, 0.3) + rng.uniform(0.2, 0.8, 3)
    return picture.clip(0, 1).astype(np.float32)


def leaves_texture(rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """Dead leaves: overlapping opaque discs, lines and polygons of all sizes, with the edge statistics of
    photographs."""
    large = side * 2
    picture = np.zeros((large, large, 3), np.float32)
    picture[:] = rng.uniform(0, 1, 3)
    base = rng.uniform(0.1, 0.9, 3)
    spread = rng.uniform(0.1, 0.45)
    for _ in range(int(rng.integers(60, 500))):
        radius = min(large * 0.3, 6 / (rng.random() + 0.02) ** 0.9)
        colour = tuple(float(c) for c in (base + rng.normal(0, spread, 3)).clip(0, 1))
        x, y = rng.uniform(0, large, 2)
        kind = rng.integers(4)
        if kind == 0:
            cv2.circle(picture, (int(x), int(y)), int(radius), colour, -1, cv2.LINE_AA)
        elif kind == 1:
            axes = (int(radius * rng.uniform(0.3, 2)) + 1, int(radius * rng.uniform(0.1, 1)) + 1)
            cv2.ellipse(picture, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
        elif kind == 2:
            turn = rng.uniform(0, 2 * math.pi)
            away = np.array([math.cos(turn), math.sin(turn)]) * radius * rng.uniform(1, 6)
            ends: Any = [tuple(int(v) for v in np.array([x, y]) + sign * away) for sign in (-1, 1)]
            cv2.line(picture, ends[0], ends[1], colour, int(rng.integers(1, 8)), cv2.LINE_AA)
        else:
            cv2.fillPoly(picture, [polygon(rng, x, y, radius)], colour, cv2.LINE_AA)
    picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.6:
        picture += noise_texture(rng, side) * rng.uniform(0.1, 0.4) - 0.1
    return picture.clip(0, 1)


def wave_texture(rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """Stripes, checks and distorted waves in two colours, with noise."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    bend = rng.uniform(0, 30)
    x, y = x + bend * np.sin(y / rng.uniform(15, 60)), y + bend * np.sin(x / rng.uniform(15, 60))
    turn, period = rng.uniform(0, math.pi), rng.uniform(10, 70)
    u, v = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    value = np.sin(u * 2 * math.pi / period)
    if rng.random() < 0.5:
        value = value * np.sin(v * 2 * math.pi / (period * rng.uniform(0.5, 2)))
    share = (0.5 + 0.5 * np.tanh(value * rng.uniform(0.5, 4)))[..., None]
    one, other = rng.uniform(0, 1, (2, 3))
    picture = one * share + other * (1 - share) + (noise_texture(rng, side) - 0.5) * rng.uniform(0.1, 0.6)
    return picture.clip(0, 1).astype(np.float32)


def plain_texture(rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """A smooth gradient between two colours with little grain, like walls and skies."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    turn = rng.uniform(0, 2 * math.pi)
    share = (0.5 + (x - 0.5) * math.cos(turn) + (y - 0.5) * math.sin(turn))[..., None]
    one = rng.uniform(0, 1, 3)
    other = one + rng.normal(0, 0.2, 3)
    grain = rng.normal(0, 1, (side, side, 1)) * rng.uniform(0, 0.02)
    return (one * share + other * (1 - share) + grain).clip(0, 1).astype(np.float32)


def polygon(rng: np.random.Generator, x: float, y: float, radius: float) -> np.ndarray:
    """Corners of a random polygon with 3 to 24 corners, int32 (N, 2)."""
    count = int(rng.choice([3, 4, 5, 7, 12, 24]))
    angles = np.sort(rng.uniform(0, 2 * math.pi, count))
    reach = radius * rng.uniform(0.4, 1.2, count)
    return np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], 1).astype(np.int32)


def shape_mask(rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """Coverage of each px by a shape, float32 (side, side): a blob, a polygon, bars, or several small polygons."""
    large = side * 2
    mask = np.zeros((large, large), np.float32)
    kind = rng.integers(4)
    if kind == 0:
        plane = cv2.resize(
            rng.standard_normal((7, 7)).astype(np.float32), (large, large), interpolation=cv2.INTER_CUBIC
        )
        y, x = np.mgrid[:large, :large] / large - 0.5
        mask = (plane * 0.4 + 1.0 - 2.6 * np.hypot(x, y) > 0).astype(np.float32)
    elif kind == 1:
        cv2.fillPoly(mask, [polygon(rng, large / 2, large / 2, large * rng.uniform(0.25, 0.45))], 1.0, cv2.LINE_AA)
    elif kind == 2:
        for _ in range(int(rng.integers(1, 5))):
            ends: Any = (rng.uniform(0.1, 0.9, (2, 2)) * large).astype(int).tolist()
            cv2.line(mask, ends[0], ends[1], 1.0, int(rng.integers(4, 50)), cv2.LINE_AA)
    else:
        for _ in range(int(rng.integers(2, 7))):
            x, y = rng.uniform(0.2, 0.8, 2) * large
            cv2.fillPoly(mask, [polygon(rng, x, y, large * rng.uniform(0.05, 0.2))], 1.0, cv2.LINE_AA)
    return cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA).clip(0, 1)


@dataclass
class Bank:
    """Textures uint8 (N, 3, SIDE, SIDE) and masks uint8 (M, 1, SIDE, SIDE) of triplets."""

    textures: Tensor
    masks: Tensor


def make_bank(seed: int, textures: int, masks: int) -> Bank:
    """Create a bank: three sevenths dead leaves, two sevenths noise, the rest waves and gradients."""
    rng = np.random.default_rng(seed)
    makers = (leaves_texture, noise_texture, leaves_texture, wave_texture, noise_texture, leaves_texture, plain_texture)
    made = np.stack([makers[n % len(makers)](rng) for n in range(textures)])
    shapes = np.stack([shape_mask(rng) for _ in range(masks)])[:, None]
    return Bank(
        torch.from_numpy((made * 255).round().astype(np.uint8).transpose(0, 3, 1, 2).copy()),
        torch.from_numpy((shapes * 255).round().astype(np.uint8)),
    )
