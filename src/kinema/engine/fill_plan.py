"""Planning of `fill`: which pixels of the masked area come from other frames, from patches, or from the model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from ..conditions import inputs
from ..conditions.domain import is_foreign
from ..core.card import Card
from ..core.conditions import Mask, Source
from ..core.errors import RequestError
from ..core.plan import Plan
from ..core.request import Request
from ..core.resolve import REMOVAL_NOTE
from .fill import WORDS, Shares, described, filled
from .timeline import source_streams

SIDE_PX, FRAMES = 192, 60
"""The survey scales frames to this longer side, and reads this many."""
SLOW = ("sam2",)
"""Trackers that are too slow for a survey."""


def resolved(
    plan: Plan, request: Request, card: Card, surveyed: Plan | None = None, of_family: Sequence[str] = ()
) -> Plan:
    """Return the plan with its `fill`, the expected sources of the pixels, and notes. surveyed: an earlier plan of the
    request; without it the clip is surveyed. of_family: the notes of the family's plan, which are on the model, except
    those on the clip; they are left out if the model generates nothing. Raises MediaError, or RequestError if nothing
    can be filled."""
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
        used = [name for name, value in (("prompt", request.prompt.strip()),) if value]
        used += [each.kind for each in plan.conditions if each.kind in ("style", "reference")]
        if used:
            notes.append(f"Not used by fill = propagate: {', '.join(dict.fromkeys(used))}.")
    found = plan.model_copy(update={"fill": fill})
    if surveyed is None or surveyed.fill != fill or not set(surveyed.sources) <= set(WORDS):
        sources, masked, aligned = survey(found, source)
    else:
        sources, masked, aligned = surveyed.sources, surveyed.masked, surveyed.aligned
    if set(sources) == {"unchanged"} and plan.frames <= FRAMES:
        drawn = any(isinstance(each, Mask) and (each.image or each.video) for each in plan.conditions)
        legal = "a smaller mask" + (" (white and transparent pixels are masked)" if drawn else "")
        raise RequestError(
            "The mask covers the whole frame in every frame, so the clip shows nothing to fill it with.", field="fill",
            value=fill, legal=f'{legal}, or fill = "generate"',
        )  # fmt: skip
    generates = fill == "both" and (not sources or "generated" in sources)
    if not generates:
        of_model = {*of_family}.difference(inputs.remarks(inputs.info(source.video)))
        notes = [note for note in notes if note not in of_model]
    notes = [_of_fill(note, plan.negative_prompt) for note in notes]
    if sources:
        notes.append(f"Expected fill: {described(sources)}.")
    if fill == "both" and not generates and request.prompt.strip():
        notes.append("Other frames show the whole area: neither model nor prompt is used. fill = generate uses both.")
    facts = {"sources": sources, "masked": masked, "aligned": aligned}
    return found.model_copy(update={**facts, "notes": tuple(notes)})


def _of_fill(note: str, negative: str) -> str:
    """Return a note, that on the negative prompt for the part of the area that the model generates."""
    if not note.startswith(REMOVAL_NOTE):
        return note
    return f"No prompt for what the model generates, so objects are kept out there by the negative prompt: {negative}."


def survey(plan: Plan, source: Source) -> tuple[dict[str, float], float, float]:
    """Return the expected fractions of the masked area by source, the fraction of the clip's pixels that it covers, and
    the fraction of the alignments that are fine (`Plan.aligned`), from the first frames at a low resolution. For a
    tracker that is too slow they are empty, 0 and 1."""
    if any(each.kind == "mask" and each.tracker in SLOW and each.follows for each in plan.conditions):
        return {}, 0.0, 1.0
    width, height = plan.size
    scale = min(1.0, SIDE_PX / max(width, height))
    small = plan.model_copy(update={
        "output": (max(16, round(scale * width)), max(16, round(scale * height))), "frames": min(FRAMES, plan.frames),
    })  # fmt: skip
    shares = Shares(plan.uses_model)
    for _ in islice(filled(*source_streams(small, source), small, shares), small.frames):
        pass
    pixels = small.frames * small.size[0] * small.size[1]
    return shares.fractions(), round(min(1.0, shares.pixels.total() / pixels), 4), shares.aligned
