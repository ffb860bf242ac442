"""Planning of `fill`: which pixels of the masked area come from other frames, from patches, or from the model."""

from __future__ import annotations

from itertools import islice

from ..conditions.domain import is_foreign
from ..core.card import Card
from ..core.conditions import Source
from ..core.errors import RequestError
from ..core.plan import Plan
from ..core.request import Request
from .fill import Shares, described, filled
from .timeline import source_streams

SIDE_PX, FRAMES = 192, 60
"""The survey scales frames to this longer side, and reads this many."""
SLOW = ("sam2",)
"""Trackers that are too slow for a survey."""


def resolved(plan: Plan, request: Request, card: Card) -> Plan:
    """Return the plan with its `fill`, the expected sources of the pixels, and notes. Raises MediaError, or
    RequestError if nothing can be filled."""
    source = next(each for each in plan.conditions if isinstance(each, Source))
    fill, notes = request.fill, list(plan.notes)
    if fill == "auto":
        fill = "propagate" if is_foreign(source.video, card) else "both"
        if fill == "propagate":
            notes.append(
                f"{card.id} was trained on {card.domain.capitalize()} only, and {source.video[:200]} is outside it: "
                "the area is filled from the clip itself, without the model. --fill both --anyway uses the model."
            )
    if fill == "propagate":
        notes = [note for note in notes if not plan.negative_prompt or plan.negative_prompt not in note]
        used = [name for name, value in (("prompt", request.prompt.strip()),) if value]
        used += [each.kind for each in plan.conditions if each.kind in ("style", "reference")]
        if used:
            notes.append(f"Not used by fill = propagate: {', '.join(dict.fromkeys(used))}.")
    found = plan.model_copy(update={"fill": fill, "notes": tuple(notes)})
    if any(each.kind == "mask" and each.tracker in SLOW and each.follows for each in plan.conditions):
        return found
    sources = survey(found, source)
    if set(sources) == {"unchanged"} and plan.frames <= FRAMES:
        raise RequestError(
            "The mask covers the whole frame in every frame, so the clip shows nothing to fill it with.", field="fill",
            value=fill, legal='a smaller mask, or fill = "generate"',
        )  # fmt: skip
    if sources:
        notes.append(f"Expected fill: {described(sources)}.")
    return found.model_copy(update={"sources": sources, "notes": tuple(notes)})


def survey(plan: Plan, source: Source) -> dict[str, float]:
    """Return the expected fractions of the masked area by source, from the first frames at a low resolution."""
    width, height = plan.size
    scale = min(1.0, SIDE_PX / max(width, height))
    small = plan.model_copy(update={
        "output": (max(16, round(scale * width)), max(16, round(scale * height))), "frames": min(FRAMES, plan.frames),
    })  # fmt: skip
    shares = Shares(plan.uses_model)
    for _ in islice(filled(*source_streams(small, source), small, shares), small.frames):
        pass
    return shares.fractions()
