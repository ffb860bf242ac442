"""Test cases for a model: held-out Toyland scenes with captions, stated facts and ground truth.

Legend: F frames, N actor slots, H W pixels. Boxes are (left, top, right, bottom), fractions of the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from ..toyland.caption import describe_fully
from ..toyland.scene import Scene, World, sample_scene, without_objects
from ..toyland.understand import Understanding

HELD_OUT = 10_000_000
"""First scene seed for evaluating models; never used in training."""
HELD_OUT_PROBES = 20_000_000
"""First scene seed for evaluating the probes."""

LEAST_SEEN_PX = 24  # objects with fewer visible pixels do not count


@dataclass(frozen=True)
class ClipShape:
    """Shape of the clips that a model generates by default: frames, height and width in px, fps."""

    frames: int
    height: int
    width: int
    fps: float


@dataclass(frozen=True)
class Case:
    """One test case. index: number of the case in its task, and seed of the clip. scene_seed: seed of the scene."""

    index: int
    scene_seed: int
    scene: Scene
    shape: ClipShape

    @cached_property
    def _description(self) -> tuple[str, Understanding]:
        return describe_fully(self.scene, 0)

    @property
    def caption(self) -> str:
        return self._description[0]

    @property
    def stated(self) -> Understanding:
        return self._description[1]

    @cached_property
    def _rendered(self) -> Any:
        return _render(self.scene, self.shape)

    @property
    def frames_FHWC(self) -> np.ndarray:
        """The true clip, uint8."""
        return self._rendered.frames_BFHWC[0].numpy()

    @property
    def masks_NFHW(self) -> np.ndarray:
        return self._rendered.masks_BNFHW[0].numpy()

    def path_F2(self, slot: int = 0) -> np.ndarray:
        """The true path of an object's centre, in fractions of the frame."""
        return (self._rendered.tracks_BNF2[0, slot].numpy() + 0.5) / (self.shape.width, self.shape.height)

    @cached_property
    def empty_FHWC(self) -> np.ndarray:
        """The true clip without its objects."""
        return _render(without_objects(self.scene), self.shape).frames_BFHWC[0].numpy()

    def boxes_F4(self, margin_px: int, slot: int = 0) -> np.ndarray:
        """A box around the visible part of an object in each frame; if it is hidden, the box of the frame before."""
        height, width = self.shape.height, self.shape.width
        found: list[Any] = []
        for mask_HW in self.masks_NFHW[slot]:
            rows, columns = np.nonzero(mask_HW)
            if len(rows):
                low = np.array([columns.min(), rows.min()]) - margin_px
                high = np.array([columns.max(), rows.max()]) + 1 + margin_px
                found.append(np.concatenate([low / (width, height), high / (width, height)]).clip(0, 1))
            else:
                found.append(found[-1] if found else None)
        first = next((box for box in found if box is not None), np.array([0.0, 0.0, 1.0, 1.0]))
        return np.stack([first if box is None else box for box in found])


def _render(scene: Scene, shape: ClipShape) -> Any:
    from ..toyland.render import render

    return render([scene], num_frames=shape.frames, height=shape.height, width=shape.width, fps=shape.fps)


def cases(
    world: World,
    count: int,
    shape: ClipShape,
    fits: Callable[[Scene], bool] = lambda scene: True,
    first: int = HELD_OUT,
) -> Iterator[Case]:
    """Yield the first `count` scenes of the world, from seed `first` on, for which `fits` is true."""
    found, seed = 0, first
    while found < count:
        scene = sample_scene(seed, world)
        if fits(scene):
            yield Case(found, seed, scene, shape)
            found += 1
        seed += 1


def one_object(scene: Scene) -> bool:
    return len(scene.actors) == 1


def two_objects(scene: Scene) -> bool:
    return len(scene.actors) == 2


def one_object_still_camera(scene: Scene) -> bool:
    return len(scene.actors) == 1 and scene.camera == "still"


def world_from(card: dict[str, Any]) -> World:
    """Return the world of a model's card.json. Unknown fields are ignored. Raises ValueError if there is none."""
    given = card.get("world")
    if not isinstance(given, dict):
        raise ValueError("the card has no world")
    known = {field.name for field in fields(World)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if name in known
    }
    return World(**values)


def object_picture(case: Case, slot: int = 0, margin_px: int = 2) -> np.ndarray | None:
    """Cut out an object on white, square, as a reference image (uint8, H W 3), from the frame with its largest visible
    area; None if that is less than 30 pixels."""
    masks_FHW = case.masks_NFHW[slot]
    frame = int(masks_FHW.sum((1, 2)).argmax())
    rows, columns = np.nonzero(masks_FHW[frame])
    if len(rows) < 30:
        return None
    cut_HWC = np.where(masks_FHW[frame][..., None], case.frames_FHWC[frame], np.uint8(255))
    middle = (rows.min() + rows.max() + 1) // 2, (columns.min() + columns.max() + 1) // 2
    half = (int(max(np.ptp(rows), np.ptp(columns))) + 2) // 2 + margin_px
    padded = np.pad(cut_HWC, ((half, half), (half, half), (0, 0)), constant_values=255)
    return padded[middle[0] : middle[0] + 2 * half, middle[1] : middle[1] + 2 * half]
