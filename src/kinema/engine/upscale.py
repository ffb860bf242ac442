"""A clip's second pass as a request: the same prompt, the model that was made for it; and whether it is the better way.
No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ..core.card import Card
from ..core.errors import KinemaError, RequestError
from ..core.request import Request
from ..weights import store

MODEL = "kinema-mini-zeroscope"
"""Where a clip tells of no model that can: the one that is always here."""


def upscale(
    clip: str | Path, prompt: str | None = None, *, scale: float = 2, strength: float | None = None,
    model: str | None = None, **fields: Any,
) -> Request:  # fmt: skip
    """The request that makes a clip `scale` times as large, by noise of `strength` and `model`.

    What is not said comes from the clip's manifest: prompt, negative prompt, seed, and the partner of the model that
    made it (its card's `second_pass`), that model itself, or the shipped one. More fields are those of Request.
    Where the model sees the clip in several tiles, the clip's own words are left out, since every tile would draw all
    that they name, and the usual strength is lower.
    RequestError where neither the clip nor anybody names a prompt; "" is one.
    """
    from ..conditions.larger import STRENGTH, STRENGTH_IN_TILES

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
    return Request(
        prompt=made["prompt"] if prompt is None else prompt, model=model or _partner(made.get("model")),
        canvas="larger", enlarge=scale, conditions=({"kind": "source", "video": str(clip)},), **fields,
    )  # fmt: skip


def _seen_whole(request: Request) -> bool:
    """Does one tile hold the whole result?"""
    from ..conditions import larger

    found = larger.plan(request, store.find(request.model), store.known_cards())
    return found.width >= found.size[0] and found.height >= found.size[1]


def best_way(clip: str | Path, scale: float = 2) -> tuple[Literal["second-pass", "lanczos"], str]:
    """How a clip is made larger where nobody chooses, and why.

    The second pass that the clip's own model names (its card's `second_pass`) where its weights are here and one tile
    of it holds the whole result; plain resampling otherwise: a pass that sees a clip in pieces, or that was made for
    other clips, draws what is not there.
    """
    made = _plan_of(Path(clip))
    partner = _named_partner(made.get("model"))
    if partner is None:
        return "lanczos", "the clip's model names no second pass"
    if not store.here(partner):
        return "lanczos", f"its second pass, {partner.id}, is not on this machine"
    if not _seen_whole(_asked(clip, made, None, scale, None, {})):
        return "lanczos", f"{partner.id} would see the clip in tiles"
    return "second-pass", f"{partner.id} was made for clips of this model"


def _plan_of(clip: Path) -> dict[str, Any]:
    """The plan in the manifest of a clip of Kinema's; of one with a second pass, the first. Empty without one."""
    from ..media.manifest import carried

    plan = carried(clip).get("plan")
    return plan if isinstance(plan, dict) and isinstance(plan.get("prompt"), str) else {}


def _partner(made_by: Any) -> str:
    card = _card(made_by)
    if card is None:
        return MODEL
    if card.second_pass is not None:
        return card.second_pass
    return str(made_by) if card.begins_with_clip else MODEL


def _named_partner(made_by: Any) -> Card | None:
    card = _card(made_by)
    return None if card is None or card.second_pass is None else _card(card.second_pass)


def _card(model: Any) -> Card | None:
    if not isinstance(model, str):
        return None
    try:
        return store.find(model)
    except KinemaError:
        return None
