"""Kinema makes video from words, pictures, drawn paths and masks.

    import kinema
    clip = kinema.generate("a red ball rolls left over a green hill at sunset")
    clip.save("ball.mp4")

Importing it costs milliseconds: torch and everything heavy is imported when it is first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .core.threads import settle

settle()  # counts only before torch is imported, and everything of Kinema's passes here first

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

__all__ = ["__version__", "generate", "models", "plan", *_WHERE]
__version__ = "0.1.0"

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def generate(
    request: Request | str, *, device: Any = None, dtype: Any = None, progress: bool | None = None, **fields: Any
) -> Clip:
    """A clip from a prompt or a request; fields are those of `Request` (and `image`, `last`, `references`, `size`).

    The clip is lazy: the model is loaded when the first clip is made, and kept for the next ones. Raises RequestError
    and WeightsMissing now. An OutsideDomainWarning says where the model has not learnt what is asked of it.
    progress: show on stderr how far loading and work are, where they take more than two seconds. None does so on a
    terminal and in a notebook, True everywhere, False nowhere.
    """
    from .core.events import planned
    from .engine.clip import Clip
    from .engine.estimate import device_name, parts
    from .engine.load import as_request
    from .engine.plan import plan as make_plan
    from .engine.plan import warn_outside
    from .weights import store

    wanted = as_request(request, **fields)
    place = None if device is None else str(device)
    found = make_plan(wanted, None, place)
    warn_outside(found, 2)
    if not found.uses_model:
        from .engine.without_model import WithoutModel

        return WithoutModel().generate(found, progress=progress)
    card = store.find(wanted.model)
    store.locate(card)  # what is missing is said now

    def engine(on_event: OnEvent) -> Engine:
        """Asked for when frames are: a clip that is not made yet keeps no model in memory."""
        key = (wanted.model, str(device), str(dtype))
        if key not in _ENGINES:  # the whole that is to come, before its first part
            on_event(planned(*parts(found, card, device_name(place), start=True)))
            _load_alone(key, device, dtype, on_event)
        return _ENGINES[key]

    def make(on_event: OnEvent) -> Iterator[Chunk]:
        yield from engine(on_event).stream(found, on_event=on_event)

    return Clip(found, make, lambda on_event: engine(on_event).describe(found), progress=progress)


def plan(request: Request | str, **fields: Any) -> Plan:
    """The request resolved against its model, with the estimated cost; needs no weights and no torch."""
    from .engine.load import as_request
    from .engine.plan import plan as make_plan

    return make_plan(as_request(request, **fields))


def models() -> list[Card]:
    """The cards of all known models."""
    from .weights.store import known_cards

    return known_cards()


_ENGINES: dict[tuple[str, str, str], Engine] = {}


def _load_alone(key: tuple[str, str, str], device: Any, dtype: Any, on_event: OnEvent) -> None:
    """One model in memory at a time; `load` is for those who want several."""
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
