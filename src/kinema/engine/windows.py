"""How a clip that is made in several windows is kept while it is made, and taken up again.

A window is what `generate` makes at once: a window in time of an edit or an upscale, or of a clip with an upscale by
models the clip itself and then each step. Everything after it (blending, colours, putting back) is arithmetic that is
done again, so a resumed clip is the identical one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from ..core.chunk import Chunk
from ..core.events import OnEvent, ignore
from ..core.family import Family, Window
from ..core.plan import Plan
from .generate import Keep, generate
from .resume import SamplingState
from .windows_kept import WindowsKept, num_windows


@dataclass
class Windows:
    """The windows of one run of a plan. state: what it goes on from. keep: told a SamplingState after every
    `keep_every` steps, and after every window but the last."""

    plan: Plan
    state: SamplingState | None = None
    keep: Keep | None = None
    keep_every: int = 0
    kept: WindowsKept = field(default_factory=WindowsKept)

    def __post_init__(self) -> None:
        if self.state is not None:
            self.kept = self.state.windows

    def frames(
        self, number: int, part: Plan, family: Family, *, on_event: OnEvent = ignore, window: Window | None = None
    ) -> np.ndarray:
        """All frames of a window, uint8 (F, H, W, 3), as `generate` makes them, or as they are kept."""
        chunks = self.chunks(number, part, family, on_event=on_event, window=window)
        return np.concatenate([chunk.frames for chunk in chunks])

    def chunks(
        self, number: int, part: Plan, family: Family, *, on_event: OnEvent = ignore, window: Window | None = None
    ) -> Iterator[Chunk]:
        """The same as it is decoded. part: the plan of this window alone."""
        if number in self.kept:
            yield Chunk(self.kept.frames(number), part.spans[0].start, part.fps)
            return
        begun = self.state if self.state is not None and self.state.window == number and self.state.step else None
        keep = None if self.keep is None else partial(self._keep, number)
        chunks = generate(
            part, family, state=begun, on_event=on_event, keep=keep, keep_every=self.keep_every, window=window
        )
        more = number + 1 < num_windows(self.plan)
        made: list[np.ndarray] = []
        for chunk in chunks:
            if self.keep is not None and more:
                made.append(chunk.frames.copy())
            yield chunk
        if self.keep is not None and more:
            self.kept.add(number, np.concatenate(made))
            self.keep(SamplingState(self.plan, 0, 0, {}, {}, number + 1, self.kept))

    def _keep(self, number: int, state: SamplingState) -> None:
        assert self.keep is not None
        self.keep(replace(state, plan=self.plan, window=number, windows=self.kept))
