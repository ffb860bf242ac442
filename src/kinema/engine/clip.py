"""Clip: the result of a request, made when it is first looked at."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.chunk import Chunk
from ..core.events import Event, OnEvent, Planned, planned
from ..core.leftovers import scratch
from ..core.plan import Plan
from ..core.showing import shown_in_python

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image


class Clip:
    """Frames, fps and manifest of one request. Nothing runs until frames are asked for; they are made once and kept
    (for clips too long for memory use `Engine.stream`). With its frames made, a clip holds no model any longer.

    make: gives the chunks, telling a listener. describe: looks up what the manifest needs of the model, telling the
    listener where that is loaded for it, and gives what makes it. progress: whether how far the work is is shown, as in
    `kinema.generate`: one display for each call, whatever that has to do.
    """

    def __init__(
        self,
        plan: Plan,
        make: Callable[[OnEvent], Iterator[Chunk]],
        describe: Callable[[OnEvent], Callable[[], dict[str, Any]]],
        *,
        progress: bool | None = None,
    ) -> None:
        self.plan, self.fps, self.progress = plan, plan.fps, progress
        self._make: Callable[[OnEvent], Iterator[Chunk]] | None = make
        self._describe: Callable[[OnEvent], Callable[[], dict[str, Any]]] | None = describe
        self._manifest: Callable[[], dict[str, Any]] | None = None
        self._chunks: list[Chunk] | None = None

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The plan, hashes of weights and inputs, versions; saved inside and beside the file."""
        if self._manifest is not None:
            return self._manifest()
        with shown_in_python(self.progress) as shown:
            return self._described(_loading(shown))()

    def _described(self, on_event: OnEvent) -> Callable[[], dict[str, Any]]:
        if self._manifest is None:
            assert self._describe is not None
            self._manifest, self._describe = self._describe(on_event), None
        return self._manifest

    def chunks(self) -> Iterator[Chunk]:
        """Chunks as they are decoded; the second time, as they were kept."""
        if self._chunks is not None:
            yield from self._chunks
            return
        with shown_in_python(self.progress) as shown:
            yield from self._made(shown)

    def _made(self, on_event: OnEvent) -> Iterator[Chunk]:
        """The chunks, made now and kept, or as they were kept."""
        if self._chunks is not None:
            yield from self._chunks
            return
        assert self._make is not None
        kept = []
        for chunk in self._make(on_event):
            kept.append(chunk)
            yield chunk
        self._described(on_event)
        self._chunks, self._make = kept, None

    def frames(self) -> np.ndarray:
        """All frames, uint8 RGB, (F, H, W, 3)."""
        import numpy as np

        return np.concatenate([chunk.frames for chunk in self.chunks()])

    def save(self, path: str | Path, *, progress: bool | None = None, **settings: Any) -> Path:
        """Write .mp4, .webm, .gif, .webp, .png or a folder of pictures; encoding runs while frames are decoded.
        progress: in the place of the clip's own. Other settings are those of `kinema.media.write.write`. Nothing
        half-written is ever left behind, and nothing is written over an input (RequestError)."""
        from ..core.apart import keep_apart, named
        from ..media.write import write

        keep_apart({"output": path}, named(self.plan))
        self.progress = self.progress if progress is None else progress
        with shown_in_python(self.progress) as shown:
            self._described(shown)  # a model that is loaded for it is loaded in this display, and once
            chunks = self._made(shown)
            return write(chunks, path, manifest=self.manifest, **{"quality": self.plan.quality, **settings})

    def sheet(self, **settings: Any) -> PIL.Image.Image:
        """A contact sheet of the clip. Settings are those of `kinema.media.sheet.sheet`."""
        from ..media.sheet import sheet

        return sheet(self.frames(), **settings)

    def _repr_html_(self) -> str:
        """A notebook plays it."""
        with scratch("notebook") as folder:
            file = self.save(folder / "clip.mp4")
            content = base64.b64encode(file.read_bytes()).decode("ascii")
        side = max(256, self.plan.size[0])
        return f'<video controls loop autoplay muted width="{side}" src="data:video/mp4;base64,{content}"></video>'

    def __repr__(self) -> str:
        plan = self.plan
        state = "made" if self._chunks is not None else "not made yet"
        width, height = plan.size if plan.canvas == "source" else (plan.width, plan.height)
        return f"<Clip {width}x{height}, {plan.frames} frames at {plan.fps:g} fps, {plan.model}, {state}>"


def _loading(on_event: OnEvent) -> OnEvent:
    """A listener that passes on what it hears, of plans only what they say of loading: no frames are to come."""

    def tell(event: Event) -> None:
        if isinstance(event, Planned):
            event = planned(*(part for part in event.parts if part.stage == "load"))
        on_event(event)

    return tell
