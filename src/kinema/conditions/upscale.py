"""Planning of `canvas="upscale"`: upscaling a clip by a model, in tiles and windows. Reads headers of files; no torch.

The clip determines frame rate, length and aspect; tiles have a size that the model was trained on, or less if the
output is smaller.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core import windows
from ..core.card import Card
from ..core.errors import RequestError
from ..core.plan import Plan, PlannedStep, size_after
from ..core.request import Request
from ..core.resolve import check_canvas, resolve
from ..core.upscale import AUTO, NETWORK, NETWORK_SCALE, PIXEL_METHODS, SCALE, STRENGTH, Upscale
from . import inputs
from .in_place import WORDLESS, check_kinds

TAKES = ("source", "style")
STRENGTH_IN_TILES = 0.3
"""Default strength when the clip is processed in tiles: low, because a tile lacks the context of the whole."""


def plan(request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """Resolve the request. Raises RequestError, or MediaError for a clip that cannot be read."""
    check_canvas(request, card, known)
    _check(request)
    source = next(condition for condition in request.conditions if condition.kind == "source")
    bare = request.changed(
        prompt=request.prompt or WORDLESS, options={"strength": STRENGTH} | request.options
    )  # fmt: skip
    resolve(bare, card, known)  # raises errors of the request before the clip is opened
    inputs.refuse_array(source.video)
    given = inputs.info(source.video)
    steps = pixel_steps(request)
    size = size_after((given.width, given.height), steps)
    tile = _tile(request, card, size)
    found = resolve(bare.changed(width=tile[0], height=tile[1]), card, known)
    return found.model_copy(
        update={
            "frames": given.num_frames, "fps": given.fps, "output": size, "upscale": steps,
            "spans": windows.over_clip(given.num_frames, card.frames),
            "notes": (*found.notes, *inputs.remarks(given)),
        }
    )  # fmt: skip


def _tile(request: Request, card: Card, size: tuple[int, int]) -> tuple[int, int]:
    """The requested size; else the trained size with the nearest aspect, reduced to the output if that is smaller."""
    if request.width is not None and request.height is not None:
        return request.width, request.height
    width, height = card.size.trained_like(*size)
    step = card.size.multiple
    needed = [min(side, -(-length // step) * step) for side, length in zip((width, height), size)]
    return (needed[0], needed[1]) if card.size.legal(*needed) else (width, height)


def pixel_steps(request: Request) -> tuple[PlannedStep, ...]:
    """The resampling steps of a request, with their scales."""
    return tuple(planned(step) for step in request.upscale)


def planned(step: Upscale, by: str = "lanczos") -> PlannedStep:
    """Plan a step that takes nothing but frames. by: the method that AUTO stands for, up to the scale it reaches."""
    default = NETWORK_SCALE if step.by == NETWORK else SCALE
    scale = default if step.scale is None else step.scale
    if step.by == AUTO:
        return PlannedStep(by="lanczos" if scale > NETWORK_SCALE else by, scale=scale)
    return PlannedStep(by=step.by, scale=scale)


def _check(request: Request) -> None:
    kinds = check_kinds(request, TAKES, "An upscale")
    if "source" not in kinds:
        raise RequestError("No clip to upscale.", field="conditions", value=kinds, legal="a source")
    if any(next(each for each in request.conditions if each.kind == "source").grow):
        raise RequestError("An upscale does not support outpainting (grow).", field="conditions.source.grow")
    if len(request.upscale) > 1:
        raise RequestError(
            f"The source of an upscale is resampled in one step, got {len(request.upscale)}.", field="upscale",
            value=[step.by for step in request.upscale], legal="one step, or none to keep the size",
        )  # fmt: skip
    for index, step in enumerate(request.upscale):
        if step.by not in (AUTO, *PIXEL_METHODS):
            raise RequestError(
                f"With canvas = upscale, steps only resample, got {step.by}; name the model in `model`.",
                field=f"upscale.{index}.by", value=step.by, legal=", ".join(PIXEL_METHODS),
            )  # fmt: skip
    for name in ("frames", "seconds", "fps"):
        if (value := getattr(request, name)) is not None:
            raise RequestError(f"An upscale keeps the clip's own {name}.", field=name, value=value, legal=f"no {name}")
