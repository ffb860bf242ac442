"""Who makes a clip from a shot: a model on this machine, Toyland's renderer, another Kinema, a Gradio Space. One
protocol, one table.

A maker is kept between shots, so a model is loaded once. One shot at a time.
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
from ...core.upscale import PIXEL_METHODS
from .job import KNOWN_FRAMES, ShotOrder
from .seam import in_whole_seconds, part

if TYPE_CHECKING:
    from ...core.request import Request
    from ...engine.load import Engine


class Maker(Protocol):
    """Makes clips of one model. `check` refuses, before any work, what could never work (KinemaError). `make` writes
    the clip to `target` (.mp4): KinemaError for what is wrong with this shot, Down where it could work later.

    One that also has `continues()`, and says True there, is given jobs with a tail, and writes what comes after it:
    none of the tail's frames."""

    def check(self, job: ShotOrder) -> None: ...

    def make(self, job: ShotOrder, target: Path) -> None: ...


class KinemaMaker:
    """A model of Kinema's, warm."""

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
        """The clip of a request, on the job's device and in its time, with its manifest. Frames of a continued clip are
        not in it; with whole_seconds, neither are the few that are over at its end."""
        from ...media.write import write

        engine = self._loaded(job.device)
        planned = engine.plan(request)
        known = sum(condition.frames for condition in planned.conditions if isinstance(condition, Continue))
        new = planned.frames - known
        kept = in_whole_seconds(new, planned.fps) if whole_seconds else new
        chunks = engine.stream(planned, on_event=deadline(job.making["slowest_s"]))
        if kept < planned.frames:
            chunks = part(chunks, known, known + kept)
            note = f"Frames {known} to {known + kept - 1} of {planned.frames} are in the file; {known} were known."
            planned = planned.model_copy(update={"notes": (*planned.notes, note)})
        write(chunks, target, quality="best", manifest=engine.manifest(planned))

    def _loaded(self, device: str | None) -> Engine:
        from ...engine.load import load

        if self._engine is None:
            self._engine = load(self.model, device=device)
        return self._engine


class ToylandMaker:
    """What Toyland understands of the prompt, drawn by rules: no model, milliseconds. For trying a channel out."""

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
    """`python:module:name`, a callable of your own that gives a Maker."""
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
"""By a model's name, or its beginning where that ends with a colon; all other names are models of Kinema's."""
KEPT = 2  # a model, and the one that upscales its clips
_KEPT: dict[str, Maker] = {}


def maker(model: str) -> Maker:
    """The maker of a model, the same one each time; few are kept, for models are large."""
    if model not in _KEPT:
        found = made_by(model)
        while len(_KEPT) >= KEPT:
            del _KEPT[next(iter(_KEPT))]
        _KEPT[model] = found(model)
    return _KEPT[model]


def made_by(model: str) -> Callable[[str], Maker]:
    """What makes the maker of a model; nothing is imported or called."""
    return next(
        (make for name, make in MAKERS.items() if model == name or (name.endswith(":") and model.startswith(name))),
        KinemaMaker,
    )


def can_continue(model: str) -> bool:
    """Can a model's maker go on from a clip? KinemaError where the model is not known here."""
    asked = getattr(maker(model), "continues", None)
    return asked is not None and bool(asked())


def deadline(seconds: float) -> Callable[[Event], None]:
    """A listener that stops work which takes longer than this."""
    end = time.monotonic() + seconds

    def check(_event: Event) -> None:
        if time.monotonic() > end:
            raise Cancelled(f"It took longer than {seconds:g} s (making.slowest_s).")

    return check


def check_upscale(how: str) -> None:
    """RequestError where a model cannot upscale a clip, or its weights are not here."""
    from ...weights import store

    if how in ("none", *PIXEL_METHODS):
        return
    card = store.find(how)
    if not card.begins_with_clip:
        raise RequestError(
            f"making.upscale = {how!r} does not begin with a clip.", field="making.upscale", value=how,
            legal=", ".join(("none", *PIXEL_METHODS, *(c.id for c in store.known_cards() if c.begins_with_clip))),
        )  # fmt: skip
    store.locate(card)
