"""Filling the masked area of an in-place edit from other frames of the clip (propagation/), before or without a model.

Frames are read forward, once, in a sliding range: memory does not grow with the length of the clip.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, tee
from typing import Any

import numpy as np

from ..core.closing import closed_after
from ..core.conditions import Mask
from ..core.events import OnEvent, Progress, ignore
from ..core.plan import Plan
from ..media.cut import is_cut
from ..propagation.fill import REACH, SceneFill, fill
from ..propagation.frame import FilledFrame, Origin
from ..propagation.mend import RADIUS, mended
from ..propagation.patch import Patching
from .fill_state import Keeping
from .shadow import Masked, with_shadows

Frame = tuple[np.ndarray, np.ndarray | None]
"""(frame uint8 (H, W, 3), sound or None)."""
WORDS = {"propagated": "from other frames", "patched": "from patches of the surroundings",
         "generated": "by the model", "unchanged": "unchanged, because nothing shows what is behind it"}  # fmt: skip


@dataclass
class Shares:
    """Pixels of the masked area by the source of their fill. refused: those that other frames show, but do not fit,
    because something moves behind the area. fine: those times the fraction of alignments that were fine (see
    FilledFrame), not in saved states. model: whether a model generates what is not filled."""

    model: bool = True
    pixels: Counter[str] = field(default_factory=Counter)
    refused: float = 0.0
    fine: float = 0.0

    def add(self, found: FilledFrame, hole_HW: np.ndarray) -> None:
        count = np.bincount(found.origin_HW[hole_HW], minlength=len(Origin))
        for name, origin in (("propagated", Origin.PROPAGATED), ("patched", Origin.PATCHED),
                             ("generated" if self.model else "unchanged", Origin.UNFILLED)):  # fmt: skip
            self.pixels[name] += int(count[origin])
        self.refused += found.refused * float(hole_HW.sum())
        self.fine += found.fine * float(hole_HW.sum())

    def fractions(self) -> dict[str, float]:
        """Return fractions that sum to 1, without the sources that are not used. Empty if no pixel was masked."""
        total = self.pixels.total()
        return {name: round(count / total, 4) for name, count in self.pixels.items() if count} if total else {}

    @property
    def moving(self) -> float:
        """The fraction of the area where something moves behind it."""
        total = self.pixels.total()
        return round(self.refused / total, 4) if total else 0.0

    @property
    def aligned(self) -> float:
        """The mean fraction of alignments that were fine, weighted by the area."""
        total = self.pixels.total()
        return round(self.fine / total, 4) if total else 0.0

    def facts(self) -> dict[str, Any]:
        """Return the fields of the clip's manifest."""
        return {"filled": self.fractions(), "moving": self.moving}

    def text(self) -> str:
        """Return "83 % from other frames, 17 % from patches of the surroundings"."""
        moving = round(100 * self.moving)
        end = f"; in {moving} % of the area something moves behind it" if moving else ""
        return described(self.fractions()) + end

    def counts(self) -> dict[str, float]:
        """Return the counts, for a saved state."""
        return {**self.pixels, "refused": self.refused}

    def resume(self, counts: dict[str, float]) -> None:
        """Take over the counts of a saved state."""
        self.pixels = Counter({name: int(count) for name, count in counts.items() if name in WORDS})
        self.refused = counts.get("refused", 0.0)


def described(fractions: dict[str, float]) -> str:
    """Return "83 % from other frames, 17 % from patches of the surroundings": whole percents, 100 in all, at least 1
    each."""
    percents = {name: max(1, round(100 * share)) for name, share in fractions.items()}
    if percents:
        largest = max(fractions, key=lambda name: fractions[name])
        percents[largest] += 100 - sum(percents.values())
    return ", ".join(f"{percent} % {WORDS[name]}" for name, percent in percents.items())


def frames_ahead(plan: Plan) -> int:
    """Return the number of frames that are read before the first one is filled."""
    ahead = REACH + RADIUS + 1
    return min(plan.frames, 2 * ahead if shadows(plan) else ahead)


def shadows(plan: Plan) -> bool:
    """Whether the shadow of an object is filled too."""
    return any(isinstance(each, Mask) and each.shadow for each in plan.conditions)


def filled(
    frames: Iterable[Frame], masks: Iterable[np.ndarray], plan: Plan, shares: Shares, on_event: OnEvent = ignore,
    keeping: Keeping | None = None,
) -> Iterator[tuple[Frame, np.ndarray]]:  # fmt: skip
    """Yield each frame with its masked area filled, and what is left to generate: (H, W) float32, 1 = generate, zero
    everywhere if the plan uses no model.

    frames, masks: of the source, masks float32 (H, W) in [0, 1]; every pixel above 0 is filled. on_event: reports the
    frames that are read before the first one is filled (stage "read"), then the filled ones. keeping: saves states of
    the fill, and resumes one: finished frames are then read, not filled again.
    """
    sounds: deque[np.ndarray | None] = deque()
    given: deque[np.ndarray] = deque()
    keeping = keeping or Keeping(plan)
    done = 0 if keeping.state is None else keeping.state.done
    ahead = min(plan.frames, done + frames_ahead(plan))

    def objects() -> Iterator[Masked]:
        for number, ((frame_HWC, sound), mask_HW) in enumerate(zip(frames, masks), 1):
            sounds.append(sound)
            if number <= ahead and not begun:
                on_event(Progress("read", number, ahead))
            yield frame_HWC, mask_HW > 0

    def holes() -> Iterator[Masked]:
        found = mended(objects())
        if shadows(plan):
            found = mended(with_shadows(found))
        for frame_HWC, hole_HW in found:
            given.append(hole_HW)
            yield frame_HWC, hole_HW

    patch: Patching | None = "sharp" if plan.fill == "propagate" else None
    begun = False
    stream, filler, known = holes(), SceneFill(patch), list[Masked]()
    if keeping.state is not None:
        shares.resume(keeping.state.pixels)
        scene = _Scene()
        for hole_HW, pixels_N3 in keeping.state.filled():
            frame_HWC = next(stream)[0]
            given.popleft()
            scene.add(frame_HWC, hole_HW)
            yield (_pasted(frame_HWC, hole_HW, pixels_N3), sounds.popleft()), np.zeros(hole_HW.shape, np.float32)
        after = next(stream)
        stream = chain([after], stream)
        if scene.continues(after[0]):
            filler, known = keeping.state.filler(filler), list(scene.frames)
    source = fill(
        chain(known, stream), patch=patch, on_event=on_event, num_frames=plan.frames - done, filler=filler,
        first=done - len(known), num_filled=len(known),
    )  # fmt: skip
    with closed_after(source):
        for found in source:
            done, begun = done + 1, True
            hole_HW = given.popleft()
            shares.add(found, hole_HW)
            keeping.add(done, hole_HW, found.frame_HWC, shares.counts(), filler)
            yield (found.frame_HWC, sounds.popleft()), (found.origin_HW == Origin.UNFILLED).astype(np.float32)


class _Scene:
    """The last frames of a scene with their masks, as many as the fill looks back."""

    def __init__(self) -> None:
        self.frames: deque[Masked] = deque(maxlen=REACH)

    def continues(self, frame_HWC: np.ndarray) -> bool:
        """Whether a frame belongs to the scene."""
        return bool(self.frames) and not is_cut(self.frames[-1][0], frame_HWC)

    def add(self, frame_HWC: np.ndarray, hole_HW: np.ndarray) -> None:
        if not self.continues(frame_HWC):
            self.frames.clear()
        self.frames.append((frame_HWC, hole_HW))


def _pasted(frame_HWC: np.ndarray, hole_HW: np.ndarray, pixels_N3: np.ndarray) -> np.ndarray:
    out_HWC = frame_HWC.copy()
    out_HWC[hole_HW] = pixels_N3
    return out_HWC


def before_model(
    frames: Iterable[Frame], masks: Iterable[np.ndarray], plan: Plan, shares: Shares, on_event: OnEvent = ignore
) -> tuple[Iterator[Frame], Iterator[np.ndarray]]:
    """Return the frames and masks of an edit whose model generates only what no frame shows. shares: counts the
    pixels."""
    one, other = tee(filled(frames, masks, plan, shares, on_event))
    return (frame for frame, _ in one), (mask_HW for _, mask_HW in other)
