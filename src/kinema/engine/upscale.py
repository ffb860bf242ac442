"""A clip's second pass as a request: the same prompt, the model that was made for it. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    RequestError where neither the clip nor anybody names a prompt; "" is one.
    """
    from ..conditions.larger import STRENGTH

    made = _plan_of(Path(clip))
    if prompt is None and "prompt" not in made:
        raise RequestError(
            f"{clip}: has no manifest that names its prompt.", field="prompt", legal="the words that it was made from"
        )
    for name in ("negative_prompt", "seed"):
        if name in made:
            fields.setdefault(name, made[name])
    options = {"strength": STRENGTH if strength is None else strength} | fields.pop("options", {})
    return Request(
        prompt=made["prompt"] if prompt is None else prompt, model=model or _partner(made.get("model")),
        canvas="larger", enlarge=scale, options=options, conditions=({"kind": "source", "video": str(clip)},), **fields,
    )  # fmt: skip


def _plan_of(clip: Path) -> dict[str, Any]:
    """The plan in the manifest of a clip of Kinema's; of one with a second pass, the first. Empty without one."""
    from ..media.manifest import carried

    plan = carried(clip).get("plan")
    return plan if isinstance(plan, dict) and isinstance(plan.get("prompt"), str) else {}


def _partner(made_by: Any) -> str:
    if not isinstance(made_by, str):
        return MODEL
    try:
        card = store.find(made_by)
    except KinemaError:
        return MODEL
    if card.second_pass is not None:
        return card.second_pass
    return made_by if card.begins_with_clip else MODEL
