"""Saving and resuming of clips that are generated in several windows.

A window is one call of `generate`: a window in time of an edit or an upscale, or, of a clip with upscale steps by
models, the clip itself and then each step. Later work (blending, colours, compositing) is deterministic and is repeated
on resuming, so a resumed clip is identical.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from ..core.chunk import Chunk
from ..core.events import OnEvent, ignore
from ..core.family import Family, Window
from ..core.plan import Plan
from .finished_windows import FinishedWindows, num_windows
from .generate import Keep, generate
from .resume import SamplingState


@dataclass
class Windows:
    """The windows of one run of a plan. state: the state to resume from. keep: called with a SamplingState after every
    `keep_every` steps, and after every window except the last."""

    plan: Plan
    state: SamplingState | None = None
    keep: Keep | None = None
    keep_every: int = 0
    finished: FinishedWindows = field(default_factory=FinishedWindows)

    def __post_init__(self) -> None:
        if self.state is not None:
            self.finished = self.state.windows

    def frames(
        self,
        number: int,
        part: Plan,
        family: Callable[[], Family],
        *,
        on_event: OnEvent = ignore,
        window: Window | None = None,
    ) -> np.ndarray:
        """All frames of a window, uint8 (F, H, W, 3), generated or from the finished windows."""
        chunks = self.chunks(number, part, family, on_event=on_event, window=window)
        return np.concatenate([chunk.frames for chunk in chunks])

    def chunks(
        self,
        number: int,
        part: Plan,
        family: Callable[[], Family],
        *,
        on_event: OnEvent = ignore,
        window: Window | None = None,
    ) -> Iterator[Chunk]:
        """As `frames`, in chunks as they are decoded. part: the plan of this window. family: called if the window is
        not finished."""
        if number in self.finished:
            yield Chunk(self.finished.frames(number), part.spans[0].start, part.fps)
            return
        begun = self.state if self.state is not None and self.state.window == number and self.state.step else None
        keep = None if self.keep is None else partial(self._keep, number)
        chunks = generate(
            part, family(), state=begun, on_event=on_event, keep=keep, keep_every=self.keep_every, window=window
        )
        more = number + 1 < num_windows(self.plan)
        frames: list[np.ndarray] = []
        for chunk in chunks:
            if self.keep is not None and more:
                frames.append(chunk.frames.copy())
            yield chunk
        if self.keep is not None and more:
            self.finished.add(number, np.concatenate(frames))
            self.keep(SamplingState(self.plan, 0, 0, {}, {}, number + 1, self.finished))

    def _keep(self, number: int, state: SamplingState) -> None:
        assert self.keep is not None
        self.keep(replace(state, plan=self.plan, window=number, windows=self.finished))
