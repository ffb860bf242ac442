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
from ..core.plan import Plan
from ..propagation.fill import Source, fill
from .shadow import around, with_shadow

Frame = tuple[np.ndarray, np.ndarray | None]
"""(frame uint8 (H, W, 3), sound or None)."""
WORDS = {"propagated": "from other frames", "patched": "from patches of the surroundings", "generated": "by the model"}


@dataclass
class Shares:
    """Pixels of the masked area by the source of their fill."""

    pixels: Counter[str] = field(default_factory=Counter)

    def add(self, source_HW: np.ndarray, hole_HW: np.ndarray) -> None:
        count = np.bincount(source_HW[hole_HW], minlength=len(Source))
        for name, source in (("propagated", Source.PROPAGATED), ("patched", Source.PATCHED),
                             ("generated", Source.UNFILLED)):  # fmt: skip
            self.pixels[name] += int(count[source])

    def fractions(self) -> dict[str, float]:
        """Fractions that sum to 1, without the sources that are not used. Empty if no pixel was masked."""
        total = self.pixels.total()
        return {name: round(count / total, 4) for name, count in self.pixels.items() if count} if total else {}


def described(fractions: dict[str, float]) -> str:
    """Return "83 % from other frames, 17 % from patches of the surroundings"."""
    return ", ".join(f"{100 * share:.0f} % {WORDS[name]}" for name, share in fractions.items())


def filled(
    frames: Iterable[Frame], masks: Iterable[np.ndarray], plan: Plan, shares: Shares
) -> Iterator[tuple[Frame, np.ndarray]]:
    """Yield each frame with its masked area filled, and what is left to generate: (H, W) float32, 1 = generate, zero
    everywhere if the plan uses no model.

    frames, masks: of the source, masks float32 (H, W) in [0, 1]; every pixel above 0 is filled.
    """
    shadow = any(isinstance(each, Mask) and each.shadow for each in plan.conditions)
    sounds: deque[np.ndarray | None] = deque()
    given: deque[tuple[np.ndarray, np.ndarray, np.ndarray]] = deque()

    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for (frame_HWC, sound), mask_HW in zip(frames, masks):
            object_HW = mask_HW > 0
            hole_HW = around(object_HW) if shadow else object_HW
            sounds.append(sound)
            given.append((frame_HWC, object_HW, hole_HW))
            yield frame_HWC, hole_HW

    source = fill(pairs(), patch=plan.fill == "propagate")
    try:
        for found in source:
            frame_HWC, object_HW, hole_HW = given.popleft()
            made_HWC, source_HW = found.frame_HWC, found.source_HW
            if shadow:
                made_HWC, source_HW, object_HW = with_shadow(frame_HWC, made_HWC, source_HW, object_HW, hole_HW)
            shares.add(source_HW, object_HW)
            left_HW = (source_HW == Source.UNFILLED) & object_HW
            yield (made_HWC, sounds.popleft()), left_HW.astype(np.float32)
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
