"""The probability of each pixel in a box to belong to the object that the box was drawn around.

Logistic regression on features of a pixel: its position in the box, the strongest edge and the total colour change on
the cheapest path to it from outside the box, and the rarity of its colour around the box. Two further rounds add the
log-ratio of its colour in the object and in the background, from the round before, and smooth the result along the
picture's edges by random walks with priors (Grady, "Multilabel random walker image segmentation using prior models",
2005): the minimum of (x - p)^2 plus the squared differences of x, weighted by the similarity of neighbours.

GrabCut makes hard decisions from its first round on, and often returns nothing if object and background share colours;
this method does not, because position and edges keep their weight. Pictures are uint8 RGB (H, W, 3); boxes (left, top,
right, bottom) in pixels, half-open.
"""

from __future__ import annotations

import cv2
import numpy as np

WEIGHTS: tuple[tuple[tuple[float, ...], float], ...] = (
    ((0.7, 0.15, 0.64, 0.51, 1.27, 0.66), -9.49),
    ((0.95, 0.04, 0.13, 0.57, 0.92, -0.2, 0.93), -4.41),
    ((0.82, 0.12, 0.22, 0.6, 0.92, -0.02, 0.72), -5.29),
)
"""Weights of `_evidence` and then of the colours, and the bias. Fitted on 186 boxes around objects of 8 real clips and
16 of Toyland; held-out real clips scored as well as those in the fit (docs/masks.md)."""
AROUND = 0.5
"""Width of the ring around the box that counts as background, as a fraction of its longer side."""
BINS = 16
SCARCE = 1e-3
RARE = 3e-4
"""Frequency below which a colour is uninformative."""
PULL, ALIKE = 0.08, 6.0
"""Weight of a pixel's own probability, and the Lab difference scale of neighbours."""
ROUNDS = 30
KNOWN = 50.0
"""Weight of the pixels outside of the box."""


def likely(
    picture_HWC: np.ndarray, box_px: tuple[int, int, int, int], edges: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """The probability of each pixel to belong to the object: (H, W) float32, 0 outside of the box.

    edges: for each pixel the maximum and the sum of the colour steps on the cheapest path from outside, (H, W) float32
    each, as Lab differences.
    """
    left, top, right, bottom = box_px
    height, width = picture_HWC.shape[:2]
    lab_HWC = cv2.cvtColor(cv2.GaussianBlur(picture_HWC, (0, 0), 0.7), cv2.COLOR_RGB2LAB)
    bins_HW = _bins(lab_HWC)
    box = (slice(top, bottom), slice(left, right))
    weight_HW = _nearness(height, width, box_px)
    known = weight_HW > 0
    ground = np.bincount(bins_HW[known], weight_HW[known], BINS**3)
    evidence = _evidence(box_px, [each[box] for each in edges], _shares(ground)[bins_HW[box]])
    (factors, added), *later = WEIGHTS
    part_HW = _sigmoid(evidence @ np.array(factors, np.float32) + added)
    inside = bins_HW[box].ravel()
    for factors, added in later:
        objects = _shares(np.bincount(inside, part_HW.ravel(), BINS**3))
        others = _shares(ground + np.bincount(inside, 1 - part_HW.ravel(), BINS**3))
        ratio = np.clip(np.log((objects + RARE) / (others + RARE)), -4, 4).astype(np.float32)
        whole = np.concatenate([evidence, ratio[bins_HW[box]][..., None]], -1)
        part_HW = _along_edges(lab_HWC, box_px, _sigmoid(whole @ np.array(factors, np.float32) + added))
    likely_HW = np.zeros((height, width), np.float32)
    likely_HW[box] = np.clip(part_HW, 0, 1)
    return likely_HW


def _evidence(box_px: tuple[int, int, int, int], edges: list[np.ndarray], ground: np.ndarray) -> np.ndarray:
    """Features (h, w, 6) float32 of the box: position across, down and both; the two edge costs; the rarity of the
    colour outside."""
    left, top, right, bottom = box_px
    tall, wide = bottom - top, right - left
    across = 1 - np.square((2 * np.arange(wide)[None] + 1 - wide) / wide)
    down = 1 - np.square((2 * np.arange(tall)[:, None] + 1 - tall) / tall)
    highest, total = (np.minimum(each, 1e4) for each in edges)
    scale = 0.05 * min(tall, wide) + 1
    layers = [
        np.broadcast_to(across, (tall, wide)), np.broadcast_to(down, (tall, wide)), across * down,
        np.log1p(highest), np.log1p(total / scale), -np.log(ground + SCARCE),
    ]  # fmt: skip
    return np.stack(layers, -1).astype(np.float32)


def _nearness(height: int, width: int, box_px: tuple[int, int, int, int]) -> np.ndarray:
    """Weights of the background's pixels in a ring around the box: decreasing with distance, 0 inside and beyond."""
    left, top, right, bottom = box_px
    long_px = max(right - left, bottom - top)
    pad_px = max(8, round(AROUND * long_px))
    x_W, y_H = np.arange(width), np.arange(height)
    across_W = np.maximum(0, np.maximum(left - x_W, x_W - right + 1))
    down_H = np.maximum(0, np.maximum(top - y_H, y_H - bottom + 1))
    weight_HW = np.exp(-np.hypot(across_W[None], down_H[:, None]) / (0.2 * long_px + 4))
    weight_HW[down_H > pad_px], weight_HW[:, across_W > pad_px] = 0, 0
    weight_HW[top:bottom, left:right] = 0
    return weight_HW


def _bins(lab_HWC: np.ndarray) -> np.ndarray:
    """The colour bin of each pixel (BINS^3); a and b, which are usually near gray, are scaled by two."""
    wide = lab_HWC.astype(np.int32)
    wide[..., 1:] = np.clip(2 * (wide[..., 1:] - 128) + 128, 0, 255)
    parts = wide * BINS // 256
    return (parts[..., 0] * BINS + parts[..., 1]) * BINS + parts[..., 2]


def _shares(counts: np.ndarray) -> np.ndarray:
    """A smoothed, normalised colour histogram."""
    total = max(float(counts.sum()), 1e-6)
    cube = np.pad(counts.reshape(BINS, BINS, BINS), 1)
    for axis in range(3):
        cube = 0.5 * cube + 0.25 * (np.roll(cube, 1, axis) + np.roll(cube, -1, axis))
    return cube[1:-1, 1:-1, 1:-1].ravel() / total


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(logits, -30, 30)))


def _along_edges(lab_HWC: np.ndarray, box_px: tuple[int, int, int, int], part_HW: np.ndarray) -> np.ndarray:
    """Smooth the probabilities (h, w) of the box along the picture's edges, by preconditioned conjugate gradients."""
    left, top, right, bottom = box_px
    above, before = int(top > 0), int(left > 0)
    lab = lab_HWC[top - above : bottom + 1, left - before : right + 1].astype(np.float32)
    own = (slice(above, above + bottom - top), slice(before, before + right - left))
    given, pull = np.zeros(lab.shape[:2], np.float32), np.full(lab.shape[:2], KNOWN, np.float32)
    given[own], pull[own] = part_HW, PULL
    down = np.exp(-np.square(np.diff(lab, axis=0)).sum(-1) / (2 * ALIKE**2)) + 1e-3
    across = np.exp(-np.square(np.diff(lab, axis=1)).sum(-1) / (2 * ALIKE**2)) + 1e-3
    whole = pull.copy()
    whole[:-1] += down
    whole[1:] += down
    whole[:, :-1] += across
    whole[:, 1:] += across

    def times(x: np.ndarray) -> np.ndarray:
        y = whole * x
        y[:-1] -= down * x[1:]
        y[1:] -= down * x[:-1]
        y[:, :-1] -= across * x[:, 1:]
        y[:, 1:] -= across * x[:, :-1]
        return y

    x = given.copy()
    left_over = pull * given - times(x)
    step = left_over / whole
    direction, size = step.copy(), float((left_over * step).sum())
    for _ in range(ROUNDS):
        if size < 1e-8 * x.size:
            break
        ahead = times(direction)
        far = size / max(float((direction * ahead).sum()), 1e-12)
        x, left_over = x + far * direction, left_over - far * ahead
        step = left_over / whole
        size, was = float((left_over * step).sum()), size
        direction = step + size / was * direction
    return x[own]
