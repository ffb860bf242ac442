"""Makers generate the clip of a shot: a model on this machine, Toyland's renderer, another Kinema, a Gradio Space.

Makers are cached between shots, so that a model is loaded once. One shot at a time.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ...core.conditions import Continue
from ...core.errors import Cancelled, RequestError
from ...core.events import Event
from ...core.upscale import FRAME_METHODS, NETWORK
from .job import KNOWN_FRAMES, ShotOrder
from .seam import in_whole_seconds, part

if TYPE_CHECKING:
    from ...core.request import Request
    from ...engine.load import Engine


class Maker(Protocol):
    """Generates clips with one model. `check` raises KinemaError, before any work, for jobs that can never succeed.
    `make` writes the clip to `target` (.mp4): KinemaError for a problem with this shot, Unavailable if a retry may
    succeed.

    A maker whose optional method `continues()` returns True gets jobs with a tail, and writes the frames after it,
    without those of the tail."""

    def check(self, job: ShotOrder) -> None: ...

    def make(self, job: ShotOrder, target: Path) -> None: ...


class KinemaMaker:
    """A Kinema model, which stays loaded."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._engine: Engine | None = None

    def check(self, job: ShotOrder) -> None:
        from ...engine.plan import plan
        from ...weights import store

        plan(job.request())
        store.locate(store.find(self.model))

    def continues(self) -> bool:
        from ...weights import store

        card = store.find(self.model)
        return "continue" in card.accepts and card.frames.maximum > KNOWN_FRAMES

    def make(self, job: ShotOrder, target: Path) -> None:
        self.write(job.request(), job, target, whole_seconds=job.keeps)

    def write(self, request: Request, job: ShotOrder, target: Path, *, whole_seconds: bool = False) -> None:
        """Write the clip of a request with its manifest, on the job's device and within its time limit. Context frames
        are removed; with whole_seconds, also the last few frames beyond whole seconds."""
        from ...media.write import write

        engine = self._loaded(job.device)
        planned = engine.plan(request)
        context = sum(condition.frames for condition in planned.conditions if isinstance(condition, Continue))
        new = planned.frames - context
        kept = in_whole_seconds(new, planned.fps) if whole_seconds else new
        chunks = engine.stream(planned, on_event=deadline(job.making["slowest_s"]))
        if kept < planned.frames:
            chunks = part(chunks, context, context + kept)
            last = context + kept - 1
            note = (
                f"The file has frames {context} to {last} of {planned.frames}; the first {context} are context frames."
            )
            planned = planned.model_copy(update={"notes": (*planned.notes, note)})
        write(chunks, target, quality="best", manifest=engine.manifest(planned))

    def _loaded(self, device: str | None) -> Engine:
        from ...engine.load import load

        if self._engine is None:
            self._engine = load(self.model, device=device)
        return self._engine


class ToylandMaker:
    """Toyland's renderer: draws what it understands of the prompt in milliseconds, without a model. For trials."""

    def check(self, job: ShotOrder) -> None:
        pass

    def make(self, job: ShotOrder, target: Path) -> None:
        from ...media.write import write
        from .toyland_clip import draw

        write(draw(job.prompt, job.seconds, job.seed, job.height, job.width), target, quality="best")


def _space(model: str) -> Maker:
    from .spaces import SpaceMaker

    return SpaceMaker(model)


def _remote(model: str) -> Maker:
    from .remote import RemoteMaker

    return RemoteMaker(model)


def _own(model: str) -> Maker:
    """`python:module:name`: your own callable that returns a Maker."""
    module, _, name = model.removeprefix("python:").partition(":")
    try:
        return getattr(importlib.import_module(module), name)()  # type: ignore[no-any-return]
    except (ImportError, AttributeError, ValueError) as error:
        raise RequestError(
            f"making.model = {model!r}: {error}.", field="making.model", value=model, legal="python:module:name"
        ) from None


MAKERS: dict[str, Callable[[str], Maker]] = {
    "toyland": lambda _model: ToylandMaker(), "space:": _space, "kinema:": _remote, "python:": _own,
}  # fmt: skip
"""By model name, or by prefix if the key ends with a colon; all other names are Kinema models."""
CACHED = 2  # a model and its upscale model
_CACHE: dict[str, Maker] = {}


def maker(model: str) -> Maker:
    """The maker of a model, from a small cache."""
    if model not in _CACHE:
        create = factory_of(model)
        while len(_CACHE) >= CACHED:
            del _CACHE[next(iter(_CACHE))]
        _CACHE[model] = create(model)
    return _CACHE[model]


def factory_of(model: str) -> Callable[[str], Maker]:
    """The function that creates the maker of a model. It is not called, and nothing is imported."""
    return next(
        (make for name, make in MAKERS.items() if model == name or (name.endswith(":") and model.startswith(name))),
        KinemaMaker,
    )


def can_continue(model: str) -> bool:
    """Whether the maker of a model can continue a clip. KinemaError: unknown model."""
    continues = getattr(maker(model), "continues", None)
    return continues is not None and bool(continues())


def deadline(seconds: float) -> Callable[[Event], None]:
    """An event callback that cancels the work after this many seconds."""
    end = time.monotonic() + seconds

    def check(_event: Event) -> None:
        if time.monotonic() > end:
            raise Cancelled(f"Cancelled after {seconds:g} s (making.slowest_s).")

    return check


def check_upscale(how: str) -> None:
    """Check `making.upscale`. RequestError: the model cannot upscale a clip, or its weights are missing."""
    from ...post.super_resolution.files import network_file
    from ...weights import store

    if how == NETWORK:
        network_file()
    if how in ("none", *FRAME_METHODS):
        return
    card = store.find(how)
    if not card.begins_with_clip:
        raise RequestError(
            f"making.upscale = {how!r} cannot upscale a clip.", field="making.upscale", value=how,
            legal=", ".join(("none", *FRAME_METHODS, *(c.id for c in store.known_cards() if c.begins_with_clip))),
        )  # fmt: skip
    store.locate(card)
