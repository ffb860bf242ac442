"""Motion from the codec's own vectors: nothing is estimated, only read.

Legend: N vectors of a frame.

FFmpeg exports the vectors of H.264, MPEG-1, 2 and 4 and H.263. A vector leads from a block to its source in another
frame; which frame that is, it does not say. A P frame is predicted from the I or P frame before it, so its vectors are
divided by that distance. B frames can refer to each other (pyramids), so theirs are too short, but they see what moves
to and fro between two P frames: the larger mean of both kinds counts.
Encoders choose a few long, wrong vectors where the picture is flat: lengths are limited to the 95th percentile of the
area. Clips without vectors (only I frames, other codecs) are measured by dense flow, in the same unit.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..reading import CodecFrame, FrameRequest
from ..stage import Column, CurationSettings, CutClip
from .flow_motion import PER_S, mean_flow

LIMIT = 0.95
"""Quantile of a frame's area to which lengths are limited. Measured on Toyland (docs/curation.md)."""
FALLBACK = FrameRequest(most=64, side_px=128, fps=8.0)


class VectorMotion:
    """`vector_motion`: mean speed of the picture in shorter sides a second. `vector_motion_from`: "vectors" or
    "flow"."""

    name, version = "motion_vectors", 1
    columns: tuple[Column, ...] = (
        Column("vector_motion", "float", "motion (codec vectors)", PER_S),
        Column("vector_motion_from", "text", "measured by"),
    )
    reads_vectors = True

    def __init__(self, settings: CurationSettings) -> None:
        del settings

    def open(self) -> None:
        pass

    def measure(self, clip: CutClip) -> dict[str, Any]:
        frames = list(clip.packets())
        side_px = min(clip.width, clip.height)
        means = []
        for kind in ("P", "B"):
            if found := frame_motions(frames, kind):
                lengths_N, spans_N = np.array(found).T
                means.append(float(np.average(lengths_N, weights=spans_N)))
        if means:
            return {"vector_motion": max(means) / side_px * clip.fps, "vector_motion_from": "vectors"}
        return {"vector_motion": mean_flow(clip, FALLBACK), "vector_motion_from": "flow"}


def frame_motions(frames: Sequence[CodecFrame], kind: str) -> list[tuple[float, int]]:
    """Of each frame of a kind ("P" or "B") that has vectors to a known frame, its mean motion in px per frame, and the
    number of frames that it stands for: encoders put fewer P frames where little moves."""
    anchors = sorted(frame.number for frame in frames if frame.kind in "IP")
    found = []
    for frame in frames:
        if frame.kind != kind or not len(frame.vectors):
            continue
        place = bisect_left(anchors, frame.number)
        before = anchors[place - 1] if place else None
        place += place < len(anchors) and anchors[place] == frame.number
        after = anchors[place] if place < len(anchors) else None
        parts = []
        for is_past, anchor in ((True, before), (False, after)):
            vectors_N = frame.vectors[(frame.vectors["source"] < 0) == is_past]
            if anchor is not None and len(vectors_N):
                parts.append((_lengths(vectors_N) / abs(frame.number - anchor), _areas(vectors_N)))
        if parts:
            lengths_N, areas_N = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
            span = frame.number - before if kind == "P" and before is not None else 1
            found.append((limited_mean(lengths_N, areas_N), span))
    return found


def limited_mean(lengths_N: np.ndarray, areas_N: np.ndarray) -> float:
    """The mean by area of lengths that are limited to their quantile LIMIT by area."""
    order_N = np.argsort(lengths_N, kind="stable")
    lengths_N, areas_N = lengths_N[order_N], areas_N[order_N]
    places_N = (np.cumsum(areas_N) - areas_N / 2) / areas_N.sum()
    limited_N = np.minimum(lengths_N, np.interp(LIMIT, places_N, lengths_N))
    return float((limited_N * areas_N).sum() / areas_N.sum())


def _lengths(vectors_N: np.ndarray) -> np.ndarray:
    scale_N = np.maximum(vectors_N["motion_scale"], 1).astype(np.float64)
    return np.hypot(vectors_N["motion_x"] / scale_N, vectors_N["motion_y"] / scale_N)


def _areas(vectors_N: np.ndarray) -> np.ndarray:
    return vectors_N["w"].astype(np.float64) * vectors_N["h"]
