"""Clip: the result of a request, generated on first access."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.chunk import Chunk
from ..core.display import python_display
from ..core.events import Event, OnEvent, Planned, collecting, planned
from ..core.leftovers import temporary_folder
from ..core.plan import Plan
from .manifest import has_outcome

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image


class Clip:
    """Frames, fps and manifest of one request. Frames are generated on first access and then cached (for clips too long
    for memory use `Engine.stream`). A generated clip no longer holds its model.

    make: yields the chunks, reporting to a callback. describe: collects the manifest's facts of the model, loading it
    if necessary and reporting that to the callback, and returns a function that builds the manifest. progress: as in
    `kinema.generate`; each call has one display for all its work.
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
        self._made_manifest: dict[str, Any] | None = None
        self._facts: dict[str, Any] = {}
        self._chunks: list[Chunk] | None = None

    @property
    def manifest(self) -> dict[str, Any]:
        """The plan, hashes of weights and inputs, and versions; saved in the file and in its sidecar. Once the clip is
        generated, also what the run found out (`core.plan.Manifest`)."""
        if self._made_manifest is not None:
            return self._made_manifest
        if self._manifest is not None:
            found = self._manifest() | self._facts
        else:
            with python_display(self.progress) as shown:
                found = self._described(_loading(shown))()
        if self._chunks is not None or not has_outcome(self.plan):
            self._made_manifest = found
        return found

    def _described(self, on_event: OnEvent) -> Callable[[], dict[str, Any]]:
        if self._manifest is None:
            assert self._describe is not None
            self._manifest, self._describe = self._describe(on_event), None
        return self._manifest

    def chunks(self) -> Iterator[Chunk]:
        """Yield chunks as they are decoded; from the cache the second time."""
        if self._chunks is not None:
            yield from self._chunks
            return
        with python_display(self.progress) as shown:
            yield from self._generated(shown)

    def _generated(self, on_event: OnEvent) -> Iterator[Chunk]:
        """Yield the chunks, generated and cached, or from the cache."""
        if self._chunks is not None:
            yield from self._chunks
            return
        assert self._make is not None
        kept = []
        for chunk in self._make(collecting(self._facts, on_event)):
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

        progress: overrides the clip's own. Other settings are those of `kinema.media.write.write`. The file appears
        complete or not at all. Raises RequestError if it would overwrite an input."""
        from ..core.apart import keep_apart, named
        from ..media.write import write

        keep_apart({"output": path}, named(self.plan))
        self.progress = self.progress if progress is None else progress
        with python_display(self.progress) as shown:
            self._described(shown)  # a model that has to be loaded is loaded once, within this display
            chunks = self._generated(shown)
            amended = (lambda: self.manifest) if has_outcome(self.plan) else None
            given = {"quality": self.plan.quality, "amended": amended, **settings}
            return write(chunks, path, manifest=self.manifest, **given)

    def sheet(self, **settings: Any) -> PIL.Image.Image:
        """Return a contact sheet of the clip. Settings are those of `kinema.media.sheet.sheet`."""
        from ..media.sheet import sheet

        return sheet(self.frames(), **settings)

    def _repr_html_(self) -> str:
        """An HTML player for notebooks."""
        with temporary_folder("notebook") as folder:
            file = self.save(folder / "clip.mp4")
            content = base64.b64encode(file.read_bytes()).decode("ascii")
        side = max(256, self.plan.size[0])
        return f'<video controls loop autoplay muted width="{side}" src="data:video/mp4;base64,{content}"></video>'

    def __repr__(self) -> str:
        plan = self.plan
        state = "generated" if self._chunks is not None else "not generated yet"
        width, height = plan.size if plan.canvas == "source" else (plan.width, plan.height)
        return f"<Clip {width}x{height}, {plan.frames} frames at {plan.fps:g} fps, {plan.model}, {state}>"


def _loading(on_event: OnEvent) -> OnEvent:
    """Return a callback that passes events on, and of planned work only loading: no frames follow."""

    def report(event: Event) -> None:
        if isinstance(event, Planned):
            event = planned(*(part for part in event.parts if part.stage == "load"))
        on_event(event)

    return report
