"""Track an object through a clip with the probes' heat.

Legend: F frames, R S cells. Points are (x, y) pixel indices of the clip: (0, 0) is the centre of the top left pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..toyland.scene import COLORS, KINDS
from .network import CELLS
from .probes import Reading, likeliest

SEEN = 0.3  # heat from which a frame counts as showing an object


@dataclass(frozen=True)
class ObjectTrack:
    """points_F2 (px), boxes_F4 (left, top, right, bottom, px), heat_F (0 to 1), kind_FK and color_FK (probabilities
    at the object). size: the clip's (height, width)."""

    points_F2: np.ndarray
    boxes_F4: np.ndarray
    heat_F: np.ndarray
    kind_FK: np.ndarray
    color_FK: np.ndarray
    size: tuple[int, int]

    @property
    def seen_F(self) -> np.ndarray:
        return self.heat_F >= SEEN

    def part(self, span: slice) -> ObjectTrack:
        """Return the track of some of the frames."""
        names = ("points_F2", "boxes_F4", "heat_F", "kind_FK", "color_FK")
        return replace(self, **{name: getattr(self, name)[span] for name in names})

    def fractions_F2(self) -> np.ndarray:
        """The points as fractions of the frame, as in requests."""
        height, width = self.size
        return (self.points_F2 + 0.5) / (width, height)

    def belief(self, name: str) -> np.ndarray:
        """Probabilities of the kind or color: the mean over the frames, weighted by heat."""
        p_FK = self.kind_FK if name == "kind" else self.color_FK
        weight_F = np.maximum(self.heat_F, 1e-3)
        return (p_FK * weight_F[:, None]).sum(0) / weight_F.sum()

    def word(self, name: str, among: Sequence[str] = ()) -> str:
        """The most probable kind or color of the object, of those in `among` (empty: all)."""
        return likeliest(self.belief(name), KINDS if name == "kind" else COLORS, among)


def track_object(reading: Reading, kind: str | None = None, color: str | None = None) -> ObjectTrack:
    """Track the object with the highest heat, weighted by the probabilities of this kind and colour, if given. The
    object may have another kind or colour; check the track."""
    score_FRS = reading.heat_FRS.copy()
    if kind is not None:
        score_FRS *= 0.1 + reading.kind_FKRS[:, KINDS.index(kind)]
    if color is not None:
        score_FRS *= 0.1 + reading.color_FKRS[:, COLORS.index(color)]
    frames = np.arange(len(score_FRS))
    row_F, column_F = np.unravel_index(score_FRS.reshape(len(frames), -1).argmax(1), score_FRS.shape[1:])
    return _read_at(reading, row_F, column_F)


def _read_at(reading: Reading, row_F: np.ndarray, column_F: np.ndarray) -> ObjectTrack:
    """Average the outputs of the cells around the selected ones, weighted by heat."""
    frames = np.arange(len(row_F))
    height, width = reading.size
    total_F1 = np.full((len(frames), 1), 1e-9)
    sums: dict[str, np.ndarray] = {}
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            r, c = row_F + dy, column_F + dx
            inside = (r >= 0) & (r < CELLS) & (c >= 0) & (c < CELLS)
            r, c = r.clip(0, CELLS - 1), c.clip(0, CELLS - 1)
            weight_F1 = (reading.heat_FRS[frames, r, c] * inside)[:, None]
            total_F1 += weight_F1
            middle_F2 = reading.offset_F2RS[frames, :, r, c] + np.stack([c, r], 1)
            found = {
                "middle": middle_F2,
                "box": reading.box_F4RS[frames, :, r, c],
                "kind": reading.kind_FKRS[frames, :, r, c],
                "color": reading.color_FKRS[frames, :, r, c],
            }
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + weight_F1 * value
    mean = {name: value / total_F1 for name, value in sums.items()}
    scale = np.array([width / CELLS, height / CELLS])
    points_F2 = (mean["middle"] + 0.5) * scale - 0.5
    low, high = mean["box"][:, :2], mean["box"][:, 2:]
    boxes_F4 = np.concatenate([mean["middle"] + 0.5 - low, mean["middle"] + 0.5 + high], 1) * np.tile(scale, 2)
    limit = np.array([width, height, width, height])
    heat_F = reading.heat_FRS[frames, row_F, column_F]
    return ObjectTrack(points_F2, boxes_F4.clip(0, limit), heat_F, mean["kind"], mean["color"], reading.size)


def iou(a_F4: np.ndarray, b_F4: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (left, top, right, bottom) per frame; 0 for empty boxes."""
    low, high = np.maximum(a_F4[:, :2], b_F4[:, :2]), np.minimum(a_F4[:, 2:], b_F4[:, 2:])
    common = np.prod(np.maximum(high - low, 0), 1)
    areas = [np.prod(np.maximum(box[:, 2:] - box[:, :2], 0), 1) for box in (a_F4, b_F4)]
    return common / np.maximum(areas[0] + areas[1] - common, 1e-9)


def heat_inside(reading: Reading, boxes_F4: np.ndarray) -> np.ndarray:
    """The maximum heat of the cells with centres in each frame's box (left, top, right, bottom, fractions), (F,)."""
    at = (np.arange(CELLS) + 0.5) / CELLS
    across = (at >= boxes_F4[:, 0, None]) & (at <= boxes_F4[:, 2, None])
    down = (at >= boxes_F4[:, 1, None]) & (at <= boxes_F4[:, 3, None])
    return (reading.heat_FRS * (down[:, :, None] & across[:, None, :])).max((1, 2))
