"""A second pass over a finished clip: enlarged, taken back to noise, denoised with the same prompt (Zeroscope XL's).

The second plan is a plan like any other, inside the first; the frames of the first clip stand in for its source.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from ..core.card import Card
from ..core.chunk import Chunk
from ..core.errors import RequestError
from ..core.events import OnEvent
from ..core.family import Family, Window
from ..core.plan import Plan
from ..core.registry import family_module
from ..core.request import Request
from ..weights import store

PARTNER = "xl"
"""A word for the model that was made for a clip of this one."""


def plan_second(request: Request, first: Plan, card: Card) -> Plan:
    """The plan of the second pass that a request asks for. RequestError where that model cannot take a clip or the size
    is smaller than the clip's."""
    wish = request.second_pass
    assert wish is not None
    other = store.find(_named(wish.model, card))
    if not other.begins_with_clip:
        raise RequestError(
            f"{other.id} cannot make a second pass: it does not begin with a clip.",
            field="second_pass.model", value=wish.model,
            legal=", ".join(each.id for each in store.known_cards() if each.begins_with_clip),
        )  # fmt: skip
    if first.canvas == "source":
        raise RequestError(
            "An edit in place keeps the size of its clip; a second pass makes another one.",
            field="second_pass", value=wish.model, legal="a request with canvas = model",
        )  # fmt: skip
    width, height = (wish.width, wish.height) if wish.width and wish.height else _grown(first, other)
    said = {name: value for name in ("steps", "guidance") if (value := getattr(wish, name)) is not None}
    asked = Request(
        prompt=first.prompt, negative_prompt=request.negative_prompt, model=other.id, width=width, height=height,
        frames=first.frames, fps=first.fps, seed=first.seed, profile=request.profile, fit="nearest",
        options=wish.options, **said,
    )  # fmt: skip
    found: Plan = family_module(other.family).plan(asked, other, store.known_cards())
    if found.frames != first.frames:
        raise RequestError(
            f"{other.id} makes {found.frames} frames, the clip has {first.frames}.",
            field="second_pass.model", value=wish.model, legal=f"a clip of {found.frames} frames",
        )  # fmt: skip
    if found.width * found.height < first.width * first.height:
        raise RequestError(
            f"The second pass would make {found.width}x{found.height} of {first.width}x{first.height}.",
            field="second_pass.width", value=found.width, legal=f"{first.width}x{first.height} or more",
        )  # fmt: skip
    place = other.path or other.id  # a folder is opened again where it is, not by its name
    return found.model_copy(update={"model": place, "options": {**found.options, "strength": wish.strength}})


def second_pass(chunks: Iterable[Chunk], plan: Plan, family: Family, on_event: OnEvent) -> Iterator[Chunk]:
    """The clip again, through the second model. All of the first clip is held; it is small."""
    from ..media.resize import resize_frames
    from .generate import generate

    frames = np.concatenate([chunk.frames for chunk in chunks])
    large = resize_frames(frames, plan.height, plan.width).astype(np.float32) / 127.5 - 1
    yield from generate(plan, family, on_event=on_event, window=Window(large, np.ones(large.shape[:3], np.float32)))


def _named(model: str, card: Card) -> str:
    if model != PARTNER:
        return model
    if card.second_pass is None:
        raise RequestError(
            f"{card.id} has no model of its own for a second pass.",
            field="second_pass.model", value=model,
            legal=", ".join(each.id for each in store.known_cards() if each.begins_with_clip),
        )  # fmt: skip
    return card.second_pass


def _grown(first: Plan, other: Card) -> tuple[int, int]:
    """The clip's shape at the area that the model was trained on, at least its own size."""
    area = max(width * height for width, height in other.size.trained)
    scale = max(1.0, math.sqrt(area / (first.width * first.height)))
    step = other.size.multiple
    width, height = (max(step, round(side * scale / step) * step) for side in (first.width, first.height))
    return width, height
