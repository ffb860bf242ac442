"""Engine: one loaded model, ready for any number of requests."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.chunk import Chunk
from ..core.deferred_imports import deferred_imports
from ..core.display import python_display
from ..core.errors import ModelError, RequestError
from ..core.events import Event, Note, OnEvent, Part, both, ignore, planned
from ..core.plan import Plan
from ..core.quiet import quietly
from ..core.registry import family_module
from ..core.request import Request
from ..core.threads import alone, free_cores, sample_load
from ..core.upscale import NETWORK
from ..post.super_resolution.files import mini_folder
from ..weights import store
from . import placement
from .clip import Clip
from .estimate import device_name, start_s
from .keeping import check_keeping
from .manifest import without_estimate
from .opener import stand_in
from .plan import check_whole, warn_outside
from .plan import plan as make_plan

if TYPE_CHECKING:
    import numpy as np

    from .generate import Keep
    from .resume import SamplingState
    from .segment import Segment


class Engine:
    """A loaded model. One request at a time: the networks are shared, schedulers and noise are not."""

    def __init__(self, model: str, family: Any, location: Path, device: str, dtype: Any = None) -> None:
        """dtype: the requested dtype of the networks; None: the device's default."""
        self.model, self.family, self.location, self.device, self.dtype = model, family, location, device, dtype
        self.start_s: float | None = None
        self._other: Engine | None = None
        self._other_mark: tuple[Any, ...] = ()

    @cached_property
    def device_name(self) -> str:
        """The driver's name of a GPU, else "cpu" or "mps", as in `estimate.this_device`."""
        from ..weights.device import name_of

        return name_of(self.device)

    def plan(self, request: Request | str, **fields: Any) -> Plan:
        """Resolve a request for this model. A string is a prompt; fields are those of `Request`."""
        full = as_request(request, **fields)
        if "model" in full.model_fields_set and store.find(full.model).id != self.family.card.id:
            raise RequestError(
                f"This engine runs {self.family.card.id}, but the request names {full.model}.",
                field="model",
                value=full.model,
                legal=self.family.card.id,
            )
        return make_plan(full, self.family.card, self.device_name)

    def _planned(self, request: Request | Plan | str, fields: dict[str, Any]) -> Plan:
        """Return a plan unchanged; resolve a request, with a warning about inputs outside the model's domain."""
        if isinstance(request, Plan):
            return request
        check_whole(self.family.card)
        plan = self.plan(request, **fields)
        warn_outside(plan, 3)
        return plan

    def generate(
        self,
        request: Request | Plan | str,
        *,
        on_event: OnEvent = ignore,
        progress: bool | None = None,
        **fields: Any,
    ) -> Clip:
        """Return a lazy clip: frames are generated on first access (frames, save, sheet). It holds this engine until
        then. progress: as in `kinema.generate`; None shows nothing if `on_event` is given."""
        plan = self._planned(request, fields)
        if progress is None and on_event is not ignore:
            progress = False

        def make(shown: OnEvent) -> Iterator[Chunk]:
            return self.stream(plan, on_event=both(on_event, shown))

        return Clip(plan, make, lambda on_event: self.describe(plan), progress=progress)

    def stream(
        self,
        request: Request | Plan | str,
        *,
        on_event: OnEvent = ignore,
        state: SamplingState | None = None,
        keep: Callable[[SamplingState], None] | None = None,
        keep_every: int = 0,
        **fields: Any,
    ) -> Iterator[Chunk]:
        """Yield chunks as they are decoded; memory does not grow with length. Close the iterator to stop.

        state, keep, keep_every: see `windows.Windows`; of a plan that uses no model, see `fill_state.Keeping`. Raises
        RequestError if they do not match the plan."""
        plan = self._planned(request, fields)
        if (other := stand_in(plan)) is not None:
            return other.stream(plan, on_event=on_event, state=state, keep=keep, keep_every=keep_every)  # type: ignore[arg-type]
        check_keeping(plan, state, keep, keep_every)
        return self._measured(plan, on_event, state, keep, keep_every)

    def _measured(
        self, plan: Plan, on_event: OnEvent, state: SamplingState | None, keep: Any, keep_every: int
    ) -> Iterator[Chunk]:  # fmt: skip
        """Yield the chunks, and record their durations for later estimates."""
        from .estimate import arithmetic, parts
        from .stopwatch import Stopwatch

        watch = Stopwatch(on_event)
        expected = parts(plan, self.family.card, self.device_name)
        watch(planned(*expected))
        yield from watch.timed(self._noting(plan, self._stream(plan, watch, state, keep, keep_every), watch))
        if state is None and not plan.by_model and self.dtype is None:
            passes = sum(part.stage == "sample" for part in expected)
            watch.keep(arithmetic(plan, self.family.card, self.device_name), passes, self.start_s)
            self.start_s = None

    @quietly
    def _noting(self, plan: Plan, chunks: Iterator[Chunk], on_event: OnEvent) -> Iterator[Chunk]:
        """Report the loaded model's notes on the plan, then yield the chunks."""
        for note in self.notes(plan):
            on_event(Note("encode", note))
        yield from chunks

    def _stream(
        self, plan: Plan, on_event: OnEvent, state: SamplingState | None, keep: Any, keep_every: int
    ) -> Iterator[Chunk]:  # fmt: skip
        from .windows import Windows

        placement.fit(self.family, plan)
        windows = Windows(plan, state, keep, keep_every)
        if plan.canvas == "source":
            from .edit import edit

            return edit(plan, lambda: self.family, on_event=on_event, windows=windows)
        if plan.canvas == "upscale":
            from .upscale_by_model import over_source

            return over_source(plan, self.family, on_event=on_event, windows=windows)
        chunks = windows.chunks(0, plan, lambda: self.family, on_event=on_event)
        if not plan.upscale:
            return chunks
        from .upscale import upscaled

        return upscaled(chunks, plan.upscale, lambda step: self.other(step).family, windows, on_event, self.device)

    # -- parts of a run, for graphs (engine/segment.py) -------------------------------------------------------------

    @quietly
    def sample_latents(
        self, plan: Plan, segment: Segment, latents: Any = None, *, on_event: OnEvent = ignore,
        state: SamplingState | None = None, keep: Keep | None = None, keep_every: int = 0,
    ) -> Any:  # fmt: skip
        """Run a part of a plan's steps; see `segment.sample_latents`."""
        from .segment import sample_latents

        return sample_latents(self.family, plan, segment, latents, on_event, state, keep, keep_every)

    @quietly
    def decode_latents(self, plan: Plan, latents: Any, *, on_event: OnEvent = ignore) -> Iterator[Chunk]:
        """Decode latents from `sample_latents` or `encode_pictures` to frames, as `decode_pictures`; values are cut
        to uint8, not rounded, as ComfyUI does when it saves them."""
        from .segment import decode_latents

        yield from decode_latents(self.family, plan, latents, on_event)

    @quietly
    def decode_pictures(self, plan: Plan, latents: Any, *, on_event: OnEvent = ignore) -> Iterator[np.ndarray]:
        """Decode latents to float32 frames (n, H, W, 3) in [0, 1], in slices of time."""
        from .segment import decode_pictures

        yield from decode_pictures(self.family, plan, latents, on_event)

    @quietly
    def encode_pictures(self, plan: Plan, frames_FHWC: np.ndarray) -> Any:
        """Encode float frames (F, H, W, 3) in [0, 1] to latents for `sample_latents`."""
        from .segment import encode_pictures

        return encode_pictures(self.family, plan, frames_FHWC)

    def manifest(self, plan: Plan) -> dict[str, Any]:
        """The manifest of a clip of this plan, as JSON."""
        return self.describe(plan)()

    @quietly
    def describe(self, plan: Plan) -> Callable[[], dict[str, Any]]:
        """Return a function that builds the manifest without this engine: weights are located now and hashed when it is
        called."""
        if (other := stand_in(plan)) is not None:
            return other.describe(plan)
        places, device = self._weights(plan), self.device_name
        plan = without_estimate(plan).model_copy(update={"notes": (*plan.notes, *self.notes(plan))})

        def make() -> dict[str, Any]:
            from .manifest import manifest

            return manifest(plan, _digests(places), device)

        return make

    @quietly
    def notes(self, plan: Plan) -> tuple[str, ...]:
        """The loaded model's notes on a plan that are not among the plan's own."""
        found = self.family.notes(plan)
        for step in plan.by_model:
            found += self.other(step).family.notes(step)
        return tuple(note for note in dict.fromkeys(found) if note not in plan.notes)

    def digests(self, plan: Plan) -> dict[str, str]:
        """SHA-256 of the weight files of a plan, by name; none if it uses no model."""
        if (other := stand_in(plan)) is not None:
            return other.digests(plan)
        return _digests(self._weights(plan))

    def _weights(self, plan: Plan) -> list[tuple[str, Path, tuple[Path, ...]]]:
        """(prefix of the names, checkpoint, additional files) of every model of the plan."""
        found = [("", self.location, self.family.weight_files(plan))]
        for number, step in enumerate(plan.by_model):
            again = self.other(step)._weights(step)
            found += [(f"upscale/{number}/{name}", place, more) for name, place, more in again]
        if any(step.by == NETWORK for step in plan.upscale):
            found.append(("network/", mini_folder(), ()))
        return found

    def other(self, plan: Plan) -> Engine:
        """The engine of an upscale step, on the same device and in the same dtype; cached until its files
        change."""
        if plan.model == self.model:
            return self
        mark = store.mark(store.locate(store.find(plan.model)))
        if self._other is None or self._other.model != plan.model or self._other_mark != mark:
            self._other = None  # free the previous one first: at most two are loaded
            self._other = load(plan.model, device=self.device, dtype=self.dtype, progress=False)
            self._other_mark = mark
        return self._other


def _digests(places: Iterable[tuple[str, Path, tuple[Path, ...]]]) -> dict[str, str]:
    return {
        prefix + name: value for prefix, place, more in places for name, value in store.digests(place, more).items()
    }


def as_request(request: Request | str, **fields: Any) -> Request:
    """Return a request from a prompt or a request, with fields changed. `image`, `last` and `references` are short
    forms of conditions and may be paths, PIL images or uint8 arrays; `size` may be "WxH" or (W, H)."""
    base = Request(prompt=request) if isinstance(request, str) else request
    for name in ("image", "last"):
        if fields.get(name) is not None:
            fields[name] = _media(fields[name])
    if fields.get("references"):
        fields["references"] = tuple(_media(each) for each in fields["references"])
    return base.changed(**fields) if fields else base


def _media(picture: Any) -> str:
    if isinstance(picture, str | Path):
        return str(picture)
    from ..conditions.inputs import inline_png

    return inline_png(picture)


@quietly
def load(
    model: str = "kinema-mini-wan", *, device: Any = None, dtype: Any = None, progress: bool | None = None,
    on_event: OnEvent = ignore,
) -> Engine:  # fmt: skip
    """Load a model: a known name, hub id, alias, checkpoint folder or file.

    device: "cuda", "cuda:1", "mps", "cpu"; None: the best available. dtype: "bfloat16", "float32", ...; None:
    bfloat16 on a GPU, float32 on a CPU. progress: as in `kinema.generate`; None shows nothing if `on_event` is given.
    Raises ModelError, or WeightsMissing with instructions to download them.
    """
    if progress is None and on_event is not ignore:
        progress = False
    card = store.find(model)
    location = store.locate(card)
    first, began_s, processor_s = "torch" not in sys.modules, time.perf_counter(), time.process_time()
    with python_display(progress) as shown:
        report = both(on_event, shown)
        report(planned(Part("load", start_s(card, device_name(None if device is None else str(device))))))
        report(Event("load"))
        before = sample_load()
        try:
            with deferred_imports():
                family = family_module(card.family).load(card, location, device, dtype)
        except (RuntimeError, AssertionError) as error:
            raise ModelError(f"{card.id} cannot be loaded on {device or 'the default device'}: {error}") from error
    engine = Engine(card.id, family, location, str(family.device), dtype)
    if family.device.type == "cpu":
        import torch

        if (threads := free_cores(before)) < torch.get_num_threads():  # never more than were set before
            torch.set_num_threads(threads)
    took_s = alone(time.perf_counter() - began_s, time.process_time() - processor_s)
    engine.start_s = took_s if first else None
    return engine
