"""Upscale: planning the steps of a request, applying them to the frames of a clip, and `upscale`, the request that
upscales an existing clip by a model. torch is imported only when a model runs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..conditions import inputs
from ..conditions.upscale import planned
from ..core.card import Card
from ..core.chunk import Chunk
from ..core.closing import closed_after
from ..core.errors import KinemaError, RequestError
from ..core.events import OnEvent, ignore
from ..core.family import Family
from ..core.plan import Plan, PlannedStep, size_after
from ..core.registry import family_module
from ..core.request import Request
from ..core.upscale import FRAME_METHODS, NETWORK, NETWORK_SCALE, PARTNER, SCALE, STRENGTH, Upscale
from ..media.resize import Resample, resize_frames
from ..post.super_resolution.files import Network, network_file
from ..weights import store

if TYPE_CHECKING:
    from .windows import Windows

MODEL = "kinema-mini-zeroscope"
"""The default upscale model: the one shipped in the package."""

Sized = tuple[int, int]


# The steps of a request


def plan_steps(request: Request, first: Plan, card: Card) -> tuple[PlannedStep, ...]:
    """Plan the upscale steps of a request whose clip is that of `first`, a plan of `card`. Raises RequestError if a
    model cannot upscale the clip, or would reduce its size."""
    if request.upscale and first.canvas == "source":
        raise RequestError(
            "An in-place edit keeps the size of its clip.", field="upscale", value=request.upscale[0].by,
            legal="a request with canvas = model",
        )  # fmt: skip
    found: list[PlannedStep] = []
    for number, step in enumerate(request.upscale):
        size = size_after((first.width, first.height), found)
        if step.is_model:
            found.append(_by_model(step, number, request, first, size, card))
            continue
        found.append(planned(step, card.upscale_by if size == (first.width, first.height) else "lanczos"))
        if found[-1].by == NETWORK:
            network_file()  # raises WeightsMissing
    return tuple(found)


def _by_model(step: Upscale, number: int, request: Request, first: Plan, size: Sized, card: Card) -> PlannedStep:
    field = f"upscale.{number}"
    other = store.find(_named(step.by, card, field))
    if not other.begins_with_clip:
        raise RequestError(
            f"{other.id} cannot upscale: it does not accept a source clip.", field=f"{field}.by", value=step.by,
            legal=_legal(),
        )  # fmt: skip
    width, height = (step.width, step.height) if step.width and step.height else _scaled(size, step.scale, other)
    given = {name: value for name in ("steps", "guidance") if (value := getattr(step, name)) is not None}
    asked = Request(
        prompt=first.prompt, negative_prompt=request.negative_prompt, model=other.id, width=width, height=height,
        frames=first.frames, fps=first.fps, seed=first.seed, profile=request.profile, fit="nearest",
        options=step.options, **given,
    )  # fmt: skip
    found: Plan = family_module(other.family).plan(asked, other, store.known_cards())
    if found.frames != first.frames:
        raise RequestError(
            f"{other.id} generates {found.frames} frames, but the clip has {first.frames}.", field=f"{field}.by",
            value=step.by, legal=f"a clip of {found.frames} frames",
        )  # fmt: skip
    if found.width * found.height < size[0] * size[1]:
        raise RequestError(
            f"{found.width}x{found.height} is smaller than the clip's {size[0]}x{size[1]}.", field=f"{field}.width",
            value=found.width, legal=f"{size[0]}x{size[1]} or more",
        )  # fmt: skip
    place = other.path or other.id  # a folder is reopened by its path, not by its name
    strength = STRENGTH if step.strength is None else step.strength
    return PlannedStep(
        by=place, plan=found.model_copy(update={"model": place, "options": {**found.options, "strength": strength}})
    )


def _named(model: str, card: Card, field: str) -> str:
    if model != PARTNER:
        return model
    if card.upscaler is None:
        raise RequestError(
            f"No upscale model is known for clips of {card.id}.", field=f"{field}.by", value=model, legal=_legal()
        )
    return card.upscaler


def _legal() -> str:
    return ", ".join((*FRAME_METHODS, *(each.id for each in store.known_cards() if each.begins_with_clip)))


def _scaled(size: Sized, scale: float | None, other: Card) -> Sized:
    """The size times `scale`; without a scale, the clip's aspect at the area the model was trained on, at least the
    clip's size."""
    if scale is None:
        area = max(width * height for width, height in other.size.trained)
        scale = max(1.0, math.sqrt(area / (size[0] * size[1])))
    step = other.size.multiple
    width, height = (max(step, round(side * scale / step) * step) for side in size)
    return width, height


def upscaled(
    chunks: Iterator[Chunk], steps: Iterable[PlannedStep], family_of: Callable[[Plan], Family], windows: Windows,
    on_event: OnEvent = ignore, device: Any = None,
) -> Iterator[Chunk]:  # fmt: skip
    """Apply upscale steps to a clip. family_of: returns the loaded model of a step's plan. windows: of the whole run;
    the clip is the first window, each step by a model one more. device: of the super-resolution network."""
    number = 0
    for step in steps:
        if step.plan is None:
            chunks = upscaled_frames(chunks, step.scale, step.by, device=device)
        else:
            from .upscale_by_model import over_frames

            number += 1
            chunks = over_frames(chunks, step.plan, family_of(step.plan), number, windows, on_event)
    return chunks


def upscaled_frames(
    chunks: Iterable[Chunk], scale: float | None, method: str, network: Network = None, device: Any = None
) -> Iterator[Chunk]:
    """Upscale a clip by one of FRAME_METHODS. network, device: of the method "network"; None: the shipped one, the best
    device. scale: None: the network's own. Raises what `resampled`, `open_network` and `upscaled_by` raise."""
    if method != NETWORK:
        return resampled(chunks, SCALE if scale is None else scale, method)
    from ..post.super_resolution.upscale import upscaled_by
    from ..post.super_resolution.weights import open_network

    return upscaled_by(chunks, open_network(network), scale, device=device)


def resampled(chunks: Iterable[Chunk], scale: float | Sized, method: Resample | str = "lanczos") -> Iterator[Chunk]:
    """Scale a clip up by `scale`, or to exactly (height, width), where the aspect is kept and the rest cropped.

    method: one of PIXEL_METHODS. Start, fps and sound are unchanged. One chunk is read for each one yielded; closing
    the result closes `chunks`. Raises RequestError for a scale below 1 or a size smaller than the frames."""
    if not isinstance(scale, tuple) and scale < 1:
        raise RequestError(f"scale = {scale}.", field="scale", value=scale, legal="1 or more", nearest=1)
    return _resampled(chunks, scale, method)


def _resampled(chunks: Iterable[Chunk], scale: float | Sized, method: Any) -> Iterator[Chunk]:
    source = iter(chunks)
    with closed_after(source):
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


# An existing clip


def upscale(
    clip: str | Path, prompt: str | None = None, *, scale: float = 2, strength: float | None = None,
    model: str | None = None, **fields: Any,
) -> Request:  # fmt: skip
    """Return the request that upscales a clip by `scale` with a model.

    Defaults come from the clip's manifest: prompt, negative prompt, seed, and the model: the `upscaler` of the card
    that generated the clip, that model itself, or the shipped one. Further fields are those of Request. If the model
    processes the clip in tiles, the prompt defaults to "", because each tile would generate everything in it, and the
    default strength is lower.
    Raises RequestError if there is no prompt, neither given nor in the clip; "" is one.
    """
    from ..conditions.upscale import STRENGTH_IN_TILES

    request = _asked(clip, _plan_of(Path(clip)), prompt, scale, model, fields)
    in_tiles = not _fits_one_tile(request)
    if in_tiles and prompt is None:
        request = request.changed(prompt="")
    default = STRENGTH_IN_TILES if in_tiles else STRENGTH
    options = {"strength": default if strength is None else strength} | request.options
    return request.changed(options=options)


def _asked(
    clip: str | Path, plan: dict[str, Any], prompt: str | None, scale: float, model: str | None, fields: dict[str, Any]
) -> Request:  # fmt: skip
    """The request from the arguments and the clip's plan, before the number of tiles is known."""
    if prompt is None and "prompt" not in plan:
        raise RequestError(
            f"{clip}: no manifest with a prompt; give --prompt, or resample the clip with --by lanczos.",
            field="prompt", legal="the prompt of the clip",
        )  # fmt: skip
    for name in ("negative_prompt", "seed"):
        if name in plan:
            fields.setdefault(name, plan[name])
    own = {
        "prompt": plan["prompt"] if prompt is None else prompt, "model": model or _upscaler(plan.get("model")),
        "canvas": "upscale", "upscale": () if scale == 1 else (Upscale(scale=scale),),
        "conditions": ({"kind": "source", "video": str(clip)},),
    }  # fmt: skip
    return Request.from_dict({**own, **fields})


def _fits_one_tile(request: Request) -> bool:
    """Whether one tile holds the whole result."""
    from ..conditions import upscale as planning

    found = planning.plan(request, store.find(request.model), store.known_cards())
    return found.width >= found.size[0] and found.height >= found.size[1]


def default_method(clip: str | Path, scale: float = 2) -> tuple[Literal["model", "network", "lanczos"], str]:
    """The default method to upscale a clip, and the reason.

    "network" for a clip at the size at which a model with that method (`Card.upscale_by`) generated it. "model" (the
    `upscaler` of the card that generated the clip) if its weights are on this machine and one tile holds the whole
    result. Else "lanczos": a model that processes a clip in tiles, or was trained for other clips, invents content.
    """
    plan = _plan_of(Path(clip))
    card = _card(plan.get("model"))
    if card is not None and card.upscale_by == NETWORK and scale <= NETWORK_SCALE:
        given = inputs.info(str(clip))
        if (given.width, given.height) == (plan.get("width"), plan.get("height")):
            return NETWORK, f"the network was trained on clips of {card.id}"
    upscaler = None if card is None or card.upscaler is None else _card(card.upscaler)
    if upscaler is None:
        return "lanczos", "no upscale model is known for this clip"
    if not store.here(upscaler):
        return "lanczos", f"its upscaler, {upscaler.id}, is not on this machine"
    if not _fits_one_tile(_asked(clip, plan, None, scale, None, {})):
        return "lanczos", f"{upscaler.id} would process the clip in tiles"
    return "model", f"{upscaler.id} is the upscaler of this clip's model"


def _plan_of(clip: Path) -> dict[str, Any]:
    """The plan in a clip's manifest; empty without one."""
    from ..media.manifest import carried

    plan = carried(clip).get("plan")
    return plan if isinstance(plan, dict) and isinstance(plan.get("prompt"), str) else {}


def _upscaler(model: Any) -> str:
    card = _card(model)
    if card is None:
        return MODEL
    if card.upscaler is not None:
        return card.upscaler
    return str(model) if card.begins_with_clip else MODEL


def _card(model: Any) -> Card | None:
    if not isinstance(model, str):
        return None
    try:
        return store.find(model)
    except KinemaError:
        return None
