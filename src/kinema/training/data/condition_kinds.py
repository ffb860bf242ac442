"""VACE training conditions, drawn from Toyland clips and their ground truth.

Each kind of condition (KINDS) gives a source clip in [-1, 1] and a mask (True = generate). VACE's two streams follow:
the inactive stream is the source outside the mask, the reactive stream the source inside it; 0, mid gray, is empty. The
target is the clip itself, except for the kinds in TARGETS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...conditions.layout import draw_boxes
from ...conditions.trajectory import draw
from ...toyland.palette import OBJECT_COLORS
from ...toyland.render import render
from ...toyland.scene import Scene, without_objects

Condition = tuple[np.ndarray, np.ndarray]
"""(source (F, H, W, 3) float32 in [-1, 1], mask (F, H, W) bool, True where the model must generate)."""


@dataclass(frozen=True)
class GroundTruthClip:
    """A clip and its ground truth: frames_FHWC uint8, masks_NFHW bool, tracks_NF2 px (NaN where not visible)."""

    scene: Scene
    frames_FHWC: np.ndarray
    masks_NFHW: np.ndarray
    tracks_NF2: np.ndarray
    fps: float = 8.0

    @property
    def unit(self) -> np.ndarray:
        """Frames as float32 in [-1, 1]."""
        return self.frames_FHWC.astype(np.float32) / 127.5 - 1

    def kept(self, mask_FHW: np.ndarray) -> Condition:
        """Condition of the clip itself, gray inside the mask."""
        return np.where(mask_FHW[..., None], np.float32(0), self.unit), mask_FHW

    def everything(self) -> np.ndarray:
        return np.ones(self.masks_NFHW.shape[1:], bool)


def kept_frames(clip: GroundTruthClip, *frames: int | slice) -> Condition:
    mask = clip.everything()
    for each in frames:
        mask[each] = False
    return clip.kept(mask)


def extend_after(clip: GroundTruthClip, rng: np.random.Generator) -> Condition:
    return kept_frames(clip, slice(0, int(rng.choice([5, 5, 9]))))


def extend_before(clip: GroundTruthClip, rng: np.random.Generator) -> Condition:
    return kept_frames(clip, slice(-int(rng.choice([4, 8])), None))


def bounds(mask_HW: np.ndarray, margin_px: int) -> tuple[slice, slice]:
    """Rows and columns of the mask's bounding box with a margin. The mask must not be empty."""
    rows, columns = np.nonzero(mask_HW)
    top, left = max(rows.min() - margin_px, 0), max(columns.min() - margin_px, 0)
    return slice(top, rows.max() + 1 + margin_px), slice(left, columns.max() + 1 + margin_px)


def box(clip: GroundTruthClip, rng: np.random.Generator) -> Condition:
    """A box around the first object's whole path, a box that follows it, or a box at a random position."""
    seen_FHW = clip.masks_NFHW[0]
    mask = np.zeros_like(seen_FHW)
    choice, margin = rng.random(), int(rng.integers(2, 8))
    if choice < 0.85 and seen_FHW.any():
        whole = seen_FHW.any(0)
        for frame, seen in enumerate(seen_FHW):
            mask[(frame, *bounds(seen if choice > 0.45 and seen.any() else whole, margin))] = True
        return clip.kept(mask)
    return clip.kept(anywhere(mask, rng))


def anywhere(mask_FHW: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    _, height, width = mask_FHW.shape
    mask = mask_FHW.copy()
    tall, wide = (int(rng.integers(side // 4, side * 5 // 8)) for side in (height, width))
    top, left = rng.integers(0, height - tall), rng.integers(0, width - wide)
    mask[:, top : top + tall, left : left + wide] = True
    return mask


def empty_place(clip: GroundTruthClip, rng: np.random.Generator) -> Condition:
    """A box without an object in any frame. It teaches that the prompt decides whether an object appears (removal)."""
    seen, mask = clip.masks_NFHW.any((0, 1)), np.zeros_like(clip.masks_NFHW[0])
    for _ in range(20):
        tried = anywhere(mask, rng)
        if not (tried[0] & seen).any():
            return clip.kept(tried)
    return clip.kept(mask)


def removal(clip: GroundTruthClip, rng: np.random.Generator) -> Condition:
    """A box around each object's whole path, or one that follows it. The target shows no object."""
    mask = np.zeros_like(clip.masks_NFHW[0])
    for seen_FHW in clip.masks_NFHW[: len(clip.scene.actors)]:
        follows, margin = rng.random() < 0.5, int(rng.integers(2, 8))
        for frame, seen in enumerate(seen_FHW):
            if seen_FHW.any():
                mask[(frame, *bounds(seen if follows and seen.any() else seen_FHW.any(0), margin))] = True
    return clip.kept(mask)


def place(clip: GroundTruthClip, condition: Condition) -> np.ndarray:
    """Render the clip's place without its objects."""
    frames, height, width = clip.frames_FHWC.shape[:3]
    out = render([without_objects(clip.scene)], num_frames=frames, height=height, width=width, fps=clip.fps)
    return out.frames_BFHWC[0].numpy().astype(np.float32) / 127.5 - 1


def source(clip: GroundTruthClip, rng: np.random.Generator) -> Condition:
    """The whole clip in the reactive stream with a mask of ones; the target is the source. Some sources have a gray
    box, which must stay gray."""
    pixels = clip.unit
    if rng.random() < 0.4:
        hidden = box(clip, rng)[1] if rng.random() < 0.6 else anywhere(np.zeros_like(clip.masks_NFHW[0]), rng)
        pixels[hidden] = 0
    return pixels, clip.everything()


def silhouette(clip: GroundTruthClip, rng: np.random.Generator) -> Condition:
    """The outline of the objects, grown by a few pixels."""
    mask = np.asarray(clip.masks_NFHW.any(0))
    grow = int(rng.integers(1, 5))
    for _ in range(grow):
        padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
        mask = padded[:, 1:-1, 1:-1] | padded[:, :-2, 1:-1] | padded[:, 2:, 1:-1]
        mask |= padded[:, 1:-1, :-2] | padded[:, 1:-1, 2:]
    return clip.kept(mask)


def outpaint(clip: GroundTruthClip, rng: np.random.Generator) -> Condition:
    """A window of context, with one to four sides to generate."""
    mask = clip.everything()
    _, height, width = mask.shape
    cut = [int(rng.integers(side // 8, side * 3 // 8)) if rng.random() < 0.5 else 0 for side in (height, width) * 2]
    if not any(cut):
        cut[int(rng.integers(4))] = width // 4
    mask[:, cut[0] : height - cut[2], cut[1] : width - cut[3]] = False
    return clip.kept(mask)


def colors_of(clip: GroundTruthClip, rng: np.random.Generator) -> list[tuple[int, int, int]]:
    """The colours of the objects; each is white with a probability of 0.15."""
    return [OBJECT_COLORS[actor.color] if rng.random() < 0.85 else (255, 255, 255) for actor in clip.scene.actors]


def draw_dots(clip: GroundTruthClip, rng: np.random.Generator) -> np.ndarray:
    """Draw control frames (F, H, W, 3) uint8 with the paths of one or all objects; hidden objects have no dot."""
    count, height, width = clip.masks_NFHW.shape[1:]
    frames = np.zeros((count, height, width, 3), np.uint8)
    num = len(clip.scene.actors) if rng.random() < 0.5 else 1
    for track_F2, color in zip(clip.tracks_NF2[:num], colors_of(clip, rng)[:num], strict=True):
        points = (track_F2 + 0.5) / np.array([width, height])
        frames = np.maximum(frames, draw(np.where(np.isnan(points), -1.0, points), height, width, color))
    return frames


def dots(clip: GroundTruthClip, rng: np.random.Generator) -> Condition:
    return draw_dots(clip, rng).astype(np.float32) / 127.5 - 1, clip.everything()


def first_and_dots(clip: GroundTruthClip, rng: np.random.Generator) -> Condition:
    """The first frame, and the path of its object."""
    source, mask = dots(clip, rng)
    source[0], mask[0] = clip.unit[0], False
    return source, mask


def layout(clip: GroundTruthClip, rng: np.random.Generator) -> Condition:
    """The boxes of the objects, drawn on white."""
    count, height, width = clip.masks_NFHW.shape[1:]
    num = len(clip.scene.actors) if rng.random() < 0.5 else 1
    boxes = np.full((num, count, 4), np.nan)
    for slot in range(num):
        for frame, seen in enumerate(clip.masks_NFHW[slot]):
            if seen.any():
                rows, columns = bounds(seen, 1)
                boxes[slot, frame] = (
                    columns.start / width,
                    rows.start / height,
                    columns.stop / width,
                    rows.stop / height,
                )
    black = rng.random() < 0.5
    colors = [(0, 0, 0) if black else OBJECT_COLORS[actor.color] for actor in clip.scene.actors[:num]]
    return draw_boxes(boxes, height, width, colors).astype(np.float32) / 127.5 - 1, clip.everything()


KINDS: dict[str, tuple[float, Callable[[GroundTruthClip, np.random.Generator], Condition]]] = {
    "first": (0.15, lambda clip, rng: kept_frames(clip, 0)),
    "last": (0.03, lambda clip, rng: kept_frames(clip, -1)),
    "first_last": (0.05, lambda clip, rng: kept_frames(clip, 0, -1)),
    "extend_after": (0.07, extend_after),
    "extend_before": (0.06, extend_before),
    "box": (0.14, box),
    "empty_place": (0.05, empty_place),
    "removal": (0.12, removal),
    "source": (0.14, source),
    "silhouette": (0.04, silhouette),
    "outpaint": (0.07, outpaint),
    "dots": (0.18, dots),
    "first_and_dots": (0.04, first_and_dots),
    "layout": (0.07, layout),
}
"""Name to (share of the clips, function)."""
NAMES = tuple(KINDS)
TARGETS: dict[str, Callable[[GroundTruthClip, Condition], np.ndarray]] = {
    "removal": place,
    "source": lambda clip, condition: condition[0],
}
"""The target, (F, H, W, 3) in [-1, 1], of kinds whose target is not the clip itself."""
WITHOUT_OBJECTS = ("removal",)
"""Kinds whose captions describe only the place, and whose reference images show the place."""
HIDE_OBJECTS = ("box", "silhouette")
"""Kinds whose mask hides objects that the target shows."""
NEEDS_CONDITION = ("source",)
"""Kinds whose target does not follow from the prompt; these clips always have their condition."""


def choose(rng: np.random.Generator, leave_out: Sequence[str] = ()) -> str:
    shares = np.array([0.0 if name in leave_out else share for name, (share, _) in KINDS.items()])
    return str(rng.choice(NAMES, p=shares / shares.sum()))
