"""Kinema generates video from text, images, drawn paths and masks.

    import kinema
    clip = kinema.generate("a red ball rolls left over a green hill at sunset")
    clip.save("ball.mp4")

Importing this package takes milliseconds: torch and other large packages are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .core.threads import settle

settle()  # has an effect only before torch is imported; this module is imported before all others

_WHERE = {
    "Request": "kinema.core.request",
    "Plan": "kinema.core.plan",
    "Card": "kinema.core.card",
    "Chunk": "kinema.core.chunk",
    "Clip": "kinema.engine.clip",
    "Engine": "kinema.engine.load",
    "load": "kinema.engine.load",
    **dict.fromkeys(
        (
            "Image",
            "Reference",
            "Source",
            "Mask",
            "Control",
            "Trajectory",
            "Camera",
            "Continue",
            "Style",
            "Audio",
        ),
        "kinema.core.conditions",
    ),
    **dict.fromkeys(
        (
            "KinemaError",
            "RequestError",
            "ModelError",
            "WeightsMissing",
            "MediaError",
            "Cancelled",
            "OutsideDomainWarning",
        ),
        "kinema.core.errors",
    ),
}

__all__ = ["__version__", "evaluate", "generate", "models", "plan", *_WHERE]
__version__ = "0.1.0"

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .core.card import Card
    from .core.chunk import Chunk
    from .core.conditions import Audio, Camera, Continue, Control, Image, Mask, Reference, Source, Style, Trajectory
    from .core.errors import (
        Cancelled,
        KinemaError,
        MediaError,
        ModelError,
        OutsideDomainWarning,
        RequestError,
        WeightsMissing,
    )
    from .core.events import OnEvent
    from .core.plan import Plan
    from .core.request import Request
    from .engine.clip import Clip
    from .engine.load import Engine, load
    from .evaluation.yardsticks.result import Evaluation


def generate(
    request: Request | str, *, device: Any = None, dtype: Any = None, progress: bool | None = None, **fields: Any
) -> Clip:
    """Return a clip for a prompt or a request. fields: those of `Request` (and `image`, `last`, `references`, `size`).

    The clip is lazy: its first use loads the model, which is kept for the next clips. RequestError and WeightsMissing
    are raised immediately. An OutsideDomainWarning reports a request outside the model's training domain.
    progress: show progress bars on stderr if loading or generating takes more than two seconds: True always, False
    never, None on a terminal and in a notebook.
    """
    from .core.events import planned
    from .engine.clip import Clip
    from .engine.estimate import device_name, parts
    from .engine.load import as_request
    from .engine.opener import stand_in
    from .engine.plan import plan as make_plan
    from .engine.plan import warn_outside
    from .weights import store

    wanted = as_request(request, **fields)
    place = None if device is None else str(device)
    found = make_plan(wanted, None, place)
    warn_outside(found, 2)
    card, key = store.find(wanted.model), (wanted.model, str(device), str(dtype))
    if found.uses_model:
        store.locate(card)  # raises WeightsMissing

    def loaded(on_event: OnEvent) -> Engine:
        if key not in _ENGINES:
            _load_alone(key, device, dtype, on_event)
        return _ENGINES[key]

    if (other := stand_in(found, loaded, wanted.model, place)) is not None:
        return other.generate(found, progress=progress)

    def engine(on_event: OnEvent) -> Engine:
        """Load the engine on first use: a clip without frames keeps no model in memory."""
        if key not in _ENGINES:  # report all parts of the work before the first one
            on_event(planned(*parts(found, card, device_name(place), start=True)))
        return loaded(on_event)

    def make(on_event: OnEvent) -> Iterator[Chunk]:
        yield from engine(on_event).stream(found, on_event=on_event)

    return Clip(found, make, lambda on_event: engine(on_event).describe(found), progress=progress)


def plan(request: Request | str, **fields: Any) -> Plan:
    """Resolve the request against its model, with the estimated cost. Requires neither weights nor torch."""
    from .engine.load import as_request
    from .engine.plan import plan as make_plan

    return make_plan(as_request(request, **fields))


def evaluate(
    clips: Path | str,
    against: Path | str | None = None,
    *,
    metrics: str | Sequence[str],
    out: Path | str | None = None,
    workers: int | None = None,
    resume: bool = False,
    progress: bool | None = None,
    **settings: str | None,
) -> Evaluation:
    """Measure a folder of clips, or one clip, alone or against another (docs/yardsticks.md).

    metrics: names from `kinema evaluate --list`, or all. out: folder for report.html, report.json and the rows of a
    run that `resume` continues. workers: processes; the result is the same for any number. settings: device, features,
    pictures, protocol, tracker. Raises RequestError before any frame is read, ModelError, MediaError if no clip can be
    measured; clips that cannot be are named in `failed`. progress: as for `generate`.
    """
    from pathlib import Path

    from .core.display import python_display
    from .evaluation.yardsticks import report_page, run
    from .evaluation.yardsticks.contract import YardstickSettings

    place = None if out is None else Path(out)
    with python_display(progress) as on_event:
        found = run.evaluate(
            clips, against, metrics=metrics, settings=YardstickSettings(**settings), out=place, workers=workers,
            resume=resume, on_event=on_event,
        )  # fmt: skip
        if place is not None:
            report_page.save(found, place)
    return found


def models() -> list[Card]:
    """Return the cards of all known models."""
    from .weights.store import known_cards

    return known_cards()


_ENGINES: dict[tuple[str, str, str], Engine] = {}


def _load_alone(key: tuple[str, str, str], device: Any, dtype: Any, on_event: OnEvent) -> None:
    """Load one engine and drop the others. To keep several models in memory, use `load`."""
    import gc

    from .engine.load import load

    _ENGINES.clear()
    gc.collect()
    _ENGINES[key] = load(key[0], device=device, dtype=dtype, progress=False, on_event=on_event)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'kinema' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
