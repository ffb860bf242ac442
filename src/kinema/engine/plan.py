"""Planning: find the card, let the family resolve the request, add the estimate. Requires neither torch nor weights."""

from __future__ import annotations

from ..conditions import input_checks, trajectory
from ..core.card import Card
from ..core.conditions import Condition
from ..core.errors import RequestError
from ..core.plan import Plan
from ..core.registry import family_module
from ..core.request import Request
from ..weights import pairs, store, styles
from . import placement, recommend
from .estimate import device_name, estimate


def plan(
    request: Request, card: Card | None = None, device: str | None = None, *, surveyed: Plan | None = None,
    stage: bool = False,
) -> Plan:  # fmt: skip
    """Resolve a request: all fields set and legal, with the estimated cost on `device` (a GPU's name, or as for `load`;
    None: the best of this machine). surveyed: an earlier plan of this request, whose clip is then not surveyed again
    (engine/fill_plan.py). stage: for some of the steps, as a workflow's samplers run them. Raises RequestError,
    ModelError or MediaError."""
    if card is None:
        card = store.find(request.model)
    else:
        stage = True
    try:
        if not stage:
            check_whole(card)
        found = family_module(card.family).plan(request, card, store.known_cards())
    except RequestError as error:
        raise recommend.whole(error, request) from None
    if card.doubts:
        found = found.model_copy(update={"notes": (*card.doubts, *found.notes)})
    of_family = found.notes
    input_checks.check(found)
    found = trajectory.settle(found)
    if found.canvas == "source" and any(each.kind == "mask" and each.follows for each in found.conditions):
        from .mask_stream import with_tracker

        found = with_tracker(found)
    styles.check(found)
    if request.upscale and found.canvas != "upscale":
        from .upscale import plan_steps

        found = found.model_copy(update={"upscale": plan_steps(request, found, card)})
    if request.fill != "generate":
        from .fill_plan import resolved

        found = resolved(found, request, card, surveyed, of_family)
    if found.canvas == "source" and any(_marks_object(each, found.fill) for each in found.conditions):
        from .mask_stream import box_notes

        found = found.model_copy(update={"notes": (*found.notes, *box_notes(found))})
    if card.domain and found.uses_model:
        from ..conditions.domain import outside

        found = found.model_copy(update={"outside": outside(found, request.prompt, card, store.known_cards())})
    device = device_name(device)
    cost = placement.with_way(estimate(found, card, device), found, card)
    for step in found.by_model:
        again = estimate(step, store.find(step.model), device, from_clip=True)
        names = ("seconds", "pflop", "gb")
        both = {name: getattr(cost, name) + getattr(again, name) for name in names}
        both |= {"start": max(cost.start, again.start), "measured": cost.measured and again.measured}
        cost = cost.model_copy(update=both)
    return found.model_copy(update={"estimate": cost})


def check_whole(card: Card) -> None:
    """RequestError if a model computes some of the steps of a clip only."""
    if not card.stage:
        return
    files, own = pairs.both(card), (card.family, card.network.parameters, card.needs)
    wanted = "HIGH:LOW, the files of both experts" if files is None else f"{files[0]}:{files[1]}"
    raise RequestError(
        f"{card.id} is one of two experts: alone it computes only some of the steps of a clip.",
        field="model", value=card.id,
        models=[
            each.id for each in store.known_cards()
            if each.network.experts > 1 and (each.family, each.network.parameters, each.needs) == own
        ],
        legal=f"{wanted}; or a workflow with a sampler for each (`kinema workflow run`)",
    )  # fmt: skip


def _marks_object(condition: Condition, fill: str) -> bool:
    """Whether a condition is a box around an object: one that OpenCV tracks, or whose area is filled from other
    frames."""
    if condition.kind != "mask" or not condition.boxes:
        return False
    return condition.tracker != "sam2" if condition.follow else fill != "generate"


def warn_outside(plan: Plan, stacklevel: int) -> None:
    """Issue an OutsideDomainWarning for each input outside the model's domain. stacklevel: of the user's call, relative
    to the caller (1 = the caller itself)."""
    import warnings

    from ..core.errors import OutsideDomainWarning

    for sentence in plan.outside:
        warnings.warn(sentence, OutsideDomainWarning, stacklevel=stacklevel + 1)
