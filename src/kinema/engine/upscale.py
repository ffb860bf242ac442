"""The one upscale path: steps of a request planned, and done to the frames of a clip, and `upscale`, the request that
makes a clip larger by a model. No torch before a model works.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..conditions.upscale import planned_pixels
from ..core.card import Card
from ..core.chunk import Chunk
from ..core.errors import KinemaError, RequestError
from ..core.events import OnEvent, ignore
from ..core.family import Family
from ..core.plan import Plan, PlannedStep, size_after
from ..core.registry import family_module
from ..core.request import Request
from ..core.upscale import PARTNER, PIXEL_METHODS, STRENGTH, Upscale
from ..media.resize import Resample, resize_frames
from ..weights import store

if TYPE_CHECKING:
    from .windows import Windows

MODEL = "kinema-mini-zeroscope"
"""Where a clip tells of no model that can: the one that is always here."""

Sized = tuple[int, int]


# The steps of a request


def plan_steps(request: Request, first: Plan, card: Card) -> tuple[PlannedStep, ...]:
    """The steps of a request whose clip is that of `first`, a plan of `card`. RequestError where a model cannot take
    the clip, or would make it smaller."""
    if request.upscale and first.canvas == "source":
        raise RequestError(
            "An edit in place keeps the size of its clip.", field="upscale", value=request.upscale[0].by,
            legal="a request with canvas = model",
        )  # fmt: skip
    found: list[PlannedStep] = []
    for number, step in enumerate(request.upscale):
        size = size_after((first.width, first.height), found)
        found.append(planned_pixels(step) if step.is_pixels else _by_model(step, number, request, first, size, card))
    return tuple(found)


def _by_model(step: Upscale, number: int, request: Request, first: Plan, size: Sized, card: Card) -> PlannedStep:
    field = f"upscale.{number}"
    other = store.find(_named(step.by, card, field))
    if not other.begins_with_clip:
        raise RequestError(
            f"{other.id} cannot upscale: it does not begin with a clip.", field=f"{field}.by", value=step.by,
            legal=_legal(),
        )  # fmt: skip
    width, height = (step.width, step.height) if step.width and step.height else _grown(size, step.scale, other)
    given = {name: value for name in ("steps", "guidance") if (value := getattr(step, name)) is not None}
    asked = Request(
        prompt=first.prompt, negative_prompt=request.negative_prompt, model=other.id, width=width, height=height,
        frames=first.frames, fps=first.fps, seed=first.seed, profile=request.profile, fit="nearest",
        options=step.options, **given,
    )  # fmt: skip
    found: Plan = family_module(other.family).plan(asked, other, store.known_cards())
    if found.frames != first.frames:
        raise RequestError(
            f"{other.id} makes {found.frames} frames, the clip has {first.frames}.", field=f"{field}.by",
            value=step.by, legal=f"a clip of {found.frames} frames",
        )  # fmt: skip
    if found.width * found.height < size[0] * size[1]:
        raise RequestError(
            f"{other.id} would make {found.width}x{found.height} of {size[0]}x{size[1]}.", field=f"{field}.width",
            value=found.width, legal=f"{size[0]}x{size[1]} or more",
        )  # fmt: skip
    place = other.path or other.id  # a folder is opened again where it is, not by its name
    strength = STRENGTH if step.strength is None else step.strength
    return PlannedStep(
        by=place, plan=found.model_copy(update={"model": place, "options": {**found.options, "strength": strength}})
    )


def _named(model: str, card: Card, field: str) -> str:
    if model != PARTNER:
        return model
    if card.upscaler is None:
        raise RequestError(
            f"No model was made to upscale clips of {card.id}.", field=f"{field}.by", value=model, legal=_legal()
        )
    return card.upscaler


def _legal() -> str:
    return ", ".join((*PIXEL_METHODS, *(each.id for each in store.known_cards() if each.begins_with_clip)))


def _grown(size: Sized, scale: float | None, other: Card) -> Sized:
    """`scale` times as large; else the clip's shape at the area that the model was trained on, at least its size."""
    if scale is None:
        area = max(width * height for width, height in other.size.trained)
        scale = max(1.0, math.sqrt(area / (size[0] * size[1])))
    step = other.size.multiple
    width, height = (max(step, round(side * scale / step) * step) for side in size)
    return width, height


def upscaled(
    chunks: Iterator[Chunk], steps: Iterable[PlannedStep], family_of: Callable[[Plan], Family], windows: Windows,
    on_event: OnEvent = ignore,
) -> Iterator[Chunk]:  # fmt: skip
    """The clip after the steps. family_of: the loaded model of a step's plan. windows: of the whole; the clip is the
    first, each step by a model one more."""
    number = 0
    for step in steps:
        if step.plan is None:
            chunks = resampled(chunks, step.scale, step.by)
        else:
            from .upscale_by_model import over_frames

            number += 1
            chunks = over_frames(chunks, step.plan, family_of(step.plan), number, windows, on_event)
    return chunks


def resampled(chunks: Iterable[Chunk], scale: float | Sized, method: Resample | str = "lanczos") -> Iterator[Chunk]:
    """The clip `scale` times as large, or at exactly (height, width): then the shape is kept and the rest cut off.

    method: one of PIXEL_METHODS. Start, fps and sound pass through. One chunk is taken for each one given; closing the
    result closes `chunks`. Raises RequestError on a scale below 1 or a size smaller than the frames."""
    if not isinstance(scale, tuple) and scale < 1:
        raise RequestError(f"Scale {scale}.", field="scale", value=scale, legal="1 and up", nearest=1)
    return _resampled(chunks, scale, method)


def _resampled(chunks: Iterable[Chunk], scale: float | Sized, method: Any) -> Iterator[Chunk]:
    source = iter(chunks)
    try:
        while (chunk := next(source, None)) is not None:
            height, width = chunk.frames.shape[1:3]
            size = scale if isinstance(scale, tuple) else (round(height * scale), round(width * scale))
            if size[0] < height or size[1] < width:
                raise RequestError(
                    f"{size[1]} x {size[0]} is smaller than the clip's {width} x {height}.",
                    field="scale",
                    value=list(size),
                    legal=f"at least {width} x {height}",
                    nearest=[max(size[0], height), max(size[1], width)],
                )
            large = dataclasses.replace(chunk, frames=resize_frames(chunk.frames, size[0], size[1], resample=method))
            del chunk
            yield large
            del large
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


# A clip that is there


def upscale(
    clip: str | Path, prompt: str | None = None, *, scale: float = 2, strength: float | None = None,
    model: str | None = None, **fields: Any,
) -> Request:  # fmt: skip
    """The request that makes a clip `scale` times as large, by noise of `strength` and `model`.

    What is not said comes from the clip's manifest: prompt, negative prompt, seed, and the model that was made for
    clips of the one that made it (its card's `upscaler`), that model itself, or the shipped one. More fields are those
    of Request. Where the model sees the clip in several tiles, the clip's own words are left out, since every tile
    would draw all that they name, and the usual strength is lower.
    RequestError where neither the clip nor anybody names a prompt; "" is one.
    """
    from ..conditions.upscale import STRENGTH_IN_TILES

    request = _asked(clip, _plan_of(Path(clip)), prompt, scale, model, fields)
    in_tiles = not _seen_whole(request)
    if in_tiles and prompt is None:
        request = request.changed(prompt="")
    usual = STRENGTH_IN_TILES if in_tiles else STRENGTH
    options = {"strength": usual if strength is None else strength} | request.options
    return request.changed(options=options)


def _asked(
    clip: str | Path, made: dict[str, Any], prompt: str | None, scale: float, model: str | None, fields: dict[str, Any]
) -> Request:  # fmt: skip
    """What was typed and what the clip's plan says, before it is known whether the model sees the clip whole."""
    if prompt is None and "prompt" not in made:
        raise RequestError(
            f"{clip}: has no manifest that names its prompt; give --prompt, or resample it with --by lanczos.",
            field="prompt", legal="the words that it was made from",
        )  # fmt: skip
    for name in ("negative_prompt", "seed"):
        if name in made:
            fields.setdefault(name, made[name])
    own = {
        "prompt": made["prompt"] if prompt is None else prompt, "model": model or _upscaler(made.get("model")),
        "canvas": "upscale", "upscale": () if scale == 1 else (Upscale(scale=scale),),
        "conditions": ({"kind": "source", "video": str(clip)},),
    }  # fmt: skip
    return Request.from_dict({**own, **fields})


def _seen_whole(request: Request) -> bool:
    """Does one tile hold the whole result?"""
    from ..conditions import upscale as planning

    found = planning.plan(request, store.find(request.model), store.known_cards())
    return found.width >= found.size[0] and found.height >= found.size[1]


def best_way(clip: str | Path, scale: float = 2) -> tuple[Literal["model", "lanczos"], str]:
    """How a clip is upscaled where nobody chooses, and why.

    By the model that was made for it (the `upscaler` of its own model's card) where its weights are here and one tile
    of it holds the whole result; by plain resampling otherwise: a model that sees a clip in pieces, or that was made
    for other clips, draws what is not there.
    """
    made = _plan_of(Path(clip))
    card = _card(made.get("model"))
    upscaler = None if card is None or card.upscaler is None else _card(card.upscaler)
    if upscaler is None:
        return "lanczos", "no model was made for clips like this one"
    if not store.here(upscaler):
        return "lanczos", f"its upscaler, {upscaler.id}, is not on this machine"
    if not _seen_whole(_asked(clip, made, None, scale, None, {})):
        return "lanczos", f"{upscaler.id} would see the clip in tiles"
    return "model", f"{upscaler.id} was made for clips of this model"


def _plan_of(clip: Path) -> dict[str, Any]:
    """The plan in the manifest of a clip of Kinema's; empty without one."""
    from ..media.manifest import carried

    plan = carried(clip).get("plan")
    return plan if isinstance(plan, dict) and isinstance(plan.get("prompt"), str) else {}


def _upscaler(made_by: Any) -> str:
    card = _card(made_by)
    if card is None:
        return MODEL
    if card.upscaler is not None:
        return card.upscaler
    return str(made_by) if card.begins_with_clip else MODEL


def _card(model: Any) -> Card | None:
    if not isinstance(model, str):
        return None
    try:
        return store.find(model)
    except KinemaError:
        return None
