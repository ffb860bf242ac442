"""Makers generate the clip of a shot: a model on this machine, Toyland's renderer, another Kinema, a Gradio Space.

They stay between shots, so that a model is loaded once. One shot at a time.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ...core.conditions import Continue
from ...core.errors import RequestError
from ...core.events import Event
from ...core.upscale import FRAME_METHODS, NETWORK
from .job import KNOWN_FRAMES, ClipTimeout, ShotOrder
from .seam import PartOfClip, in_whole_seconds

if TYPE_CHECKING:
    from ...core.plan import Plan
    from ...engine.clip_file import ClipGenerator


class Maker(Protocol):
    """Generates clips with one model. `check` raises KinemaError, before any work, for jobs that can never succeed.
    `make` writes the clip to `target` (.mp4): KinemaError for a problem with this shot, Unavailable if a retry may
    succeed.

    A maker whose optional method `continues()` returns True gets jobs with a tail, and writes the frames after it,
    without those of the tail. A maker that takes long calls `job.check()` meanwhile, which raises if it should stop."""

    def check(self, job: ShotOrder) -> None: ...

    def make(self, job: ShotOrder, target: Path) -> None: ...


class KinemaMaker:
    """A Kinema model. It generates in a job only, with the engines of its worker."""

    def __init__(self, model: str) -> None:
        self.model = model

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
        """Write the clip with its manifest, within its time limit. Context frames are removed and, if another shot
        continues this one, also the last few frames beyond whole seconds."""
        from ...jobs.clip_run import write_request

        assert job.context is not None
        request = job.request()
        if job.tail:  # by hash, which means the same on every machine
            known = Continue(clip=job.context.job.body["tail"], frames=KNOWN_FRAMES)
            request = request.changed(conditions=(known,))
        write_request(
            job.context, request, lambda _: target.name, quality="best",
            as_written=lambda engine, plan: _own_part(engine, plan, job.keeps),
            on_event=deadline(job.making["slowest_s"]),
        )  # fmt: skip


def _own_part(engine: ClipGenerator, plan: Plan, whole_seconds: bool) -> ClipGenerator:
    """What is written of a plan's clip."""
    start = sum(condition.frames for condition in plan.conditions if isinstance(condition, Continue))
    new = plan.frames - start
    kept = in_whole_seconds(new, plan.fps) if whole_seconds else new
    return engine if kept == plan.frames else PartOfClip(engine, start, start + kept)


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
CACHED = 2


class Makers:
    """The makers of a process, the last few of which are kept: their loaded models and open breakers."""

    def __init__(self) -> None:
        self._kept: dict[str, Maker] = {}

    def of(self, model: str) -> Maker:
        """The maker of a model. RequestError if there is none."""
        if model not in self._kept:
            made = factory_of(model)(model)
            while len(self._kept) >= CACHED:
                del self._kept[next(iter(self._kept))]
            self._kept[model] = made
        return self._kept[model]

    def can_continue(self, model: str) -> bool:
        """Whether the maker of a model can continue a clip. KinemaError: unknown model."""
        continues = getattr(self.of(model), "continues", None)
        return continues is not None and bool(continues())


def factory_of(model: str) -> Callable[[str], Maker]:
    """The function that creates the maker of a model. It is not called, and nothing is imported."""
    return next(
        (make for name, make in MAKERS.items() if model == name or (name.endswith(":") and model.startswith(name))),
        KinemaMaker,
    )


def deadline(seconds: float) -> Callable[[Event], None]:
    """An event callback that stops the work after this many seconds."""
    end = time.monotonic() + seconds

    def check(_event: Event) -> None:
        if time.monotonic() > end:
            raise ClipTimeout(f"Stopped after {seconds:g} s (making.slowest_s).")

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
