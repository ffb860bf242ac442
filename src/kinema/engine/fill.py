"""Filling the masked area of an in-place edit from other frames of the clip (propagation/), before or without a model.

Frames are read forward, once, in a sliding range: memory does not grow with the length of the clip.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import tee

import numpy as np

from ..core.conditions import Mask
from ..core.events import OnEvent, ignore
from ..core.plan import Plan
from ..propagation.fill import fill
from ..propagation.frame import FilledFrame, Origin
from ..propagation.mend import mended
from ..propagation.patch import Patching
from .shadow import Masked, with_shadows

Frame = tuple[np.ndarray, np.ndarray | None]
"""(frame uint8 (H, W, 3), sound or None)."""
WORDS = {"propagated": "from other frames", "patched": "from patches of the surroundings",
         "generated": "by the model", "unchanged": "unchanged, because nothing shows what is behind it"}  # fmt: skip


@dataclass
class Shares:
    """Pixels of the masked area by the source of their fill. refused: those that other frames show, but do not fit,
    because something moves behind the area. model: whether a model generates what is not filled."""

    model: bool = True
    pixels: Counter[str] = field(default_factory=Counter)
    refused: float = 0.0

    def add(self, found: FilledFrame, hole_HW: np.ndarray) -> None:
        count = np.bincount(found.origin_HW[hole_HW], minlength=len(Origin))
        for name, origin in (("propagated", Origin.PROPAGATED), ("patched", Origin.PATCHED),
                             ("generated" if self.model else "unchanged", Origin.UNFILLED)):  # fmt: skip
            self.pixels[name] += int(count[origin])
        self.refused += found.refused * float(hole_HW.sum())

    def fractions(self) -> dict[str, float]:
        """Return fractions that sum to 1, without the sources that are not used. Empty if no pixel was masked."""
        total = self.pixels.total()
        return {name: round(count / total, 4) for name, count in self.pixels.items() if count} if total else {}

    def text(self) -> str:
        """Return "83 % from other frames, 17 % from patches of the surroundings"."""
        moving = round(100 * self.refused / max(1, self.pixels.total()))
        end = f"; in {moving} % of the area something moves behind it" if moving else ""
        return described(self.fractions()) + end


def described(fractions: dict[str, float]) -> str:
    """Return "83 % from other frames, 17 % from patches of the surroundings": whole percents, 100 in all, at least 1
    each."""
    percents = {name: max(1, round(100 * share)) for name, share in fractions.items()}
    if percents:
        largest = max(fractions, key=lambda name: fractions[name])
        percents[largest] += 100 - sum(percents.values())
    return ", ".join(f"{percent} % {WORDS[name]}" for name, percent in percents.items())


def filled(
    frames: Iterable[Frame], masks: Iterable[np.ndarray], plan: Plan, shares: Shares, on_event: OnEvent = ignore
) -> Iterator[tuple[Frame, np.ndarray]]:
    """Yield each frame with its masked area filled, and what is left to generate: (H, W) float32, 1 = generate, zero
    everywhere if the plan uses no model.

    frames, masks: of the source, masks float32 (H, W) in [0, 1]; every pixel above 0 is filled. on_event: reports the
    progress in frames.
    """
    sounds: deque[np.ndarray | None] = deque()
    given: deque[np.ndarray] = deque()

    def objects() -> Iterator[Masked]:
        for (frame_HWC, sound), mask_HW in zip(frames, masks):
            sounds.append(sound)
            yield frame_HWC, mask_HW > 0

    def holes() -> Iterator[Masked]:
        found = mended(objects())
        if any(isinstance(each, Mask) and each.shadow for each in plan.conditions):
            found = mended(with_shadows(found))
        for frame_HWC, hole_HW in found:
            given.append(hole_HW)
            yield frame_HWC, hole_HW

    patch: Patching | None = "sharp" if plan.fill == "propagate" else None
    source = fill(holes(), patch=patch, on_event=on_event, num_frames=plan.frames)
    try:
        for found in source:
            hole_HW = given.popleft()
            shares.add(found, hole_HW)
            yield (found.frame_HWC, sounds.popleft()), (found.origin_HW == Origin.UNFILLED).astype(np.float32)
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


def before_model(
    frames: Iterable[Frame], masks: Iterable[np.ndarray], plan: Plan
) -> tuple[Iterator[Frame], Iterator[np.ndarray]]:
    """Return the frames and masks of an edit whose model generates only what no frame shows."""
    one, other = tee(filled(frames, masks, plan, Shares()))
    return (frame for frame, _ in one), (mask_HW for _, mask_HW in other)
