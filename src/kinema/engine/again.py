"""A clip made again from its manifest. A manifest from outside is a request from outside: whoever wrote it, it is
planned anew, and nothing is loaded before its plan, its inputs and the weights are known to be what it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..conditions import inputs
from ..core.card import Card
from ..core.errors import ModelError, RequestError, WeightsMissing
from ..core.options import Sampling
from ..core.plan import Manifest, Plan
from ..core.request import Request
from ..core.threads import use_threads
from ..weights import store
from .clip import Clip
from .estimate import this_device
from .manifest import find_inputs, verify, verify_inputs, verify_weights
from .plan import plan as make_plan
from .without_model import WithoutModel

LONGEST_S = 86_400.0
"""What is expected to take longer than a day is only begun by who insists."""
PLANNED = ("family", "width", "height", "frames", "fps", "canvas", "fill", "output", "spans", "student", "sigmas")
"""What a request decides: the plan in a manifest may not say anything else."""


@dataclass(frozen=True)
class Again:
    """A manifest's plan that may be run. plan: with its inputs where they are. model: what `load` is given."""

    found: Manifest
    plan: Plan
    model: str


def rerun(
    file: str | Path, *, model: str | None = None, device: Any = None, dtype: Any = None, force: bool = False
) -> Clip:
    """The clip of a file's manifest again, as a lazy Clip: the same frames on the same machine. Arguments are those of
    `prepare` and `load`. Raises MediaError (no manifest), RequestError, ModelError."""
    from ..media.manifest import read_manifest
    from .load import load

    file = Path(file)
    ready = prepare(Manifest.from_dict(read_manifest(file)), file.parent, model=model, device=device, force=force)
    if not ready.plan.uses_model:
        return WithoutModel().generate(ready.plan)
    engine = load(ready.model, device=device, dtype=dtype)
    if not force:
        verify(ready.found, engine.digests(ready.plan), ready.plan)
    return engine.generate(ready.plan)


def prepare(
    found: Manifest, folder: Path, *, model: str | None = None, device: Any = None, force: bool = False
) -> Again:
    """Check a manifest before anything is loaded. folder: where inputs are looked for that are not where it says.
    model: where the model is now, in the place of the one that it names. force: go on although weights or inputs are
    not those of the manifest or cannot be compared with it, or the work takes longer than a day; what is not legal for
    the model stays refused. RequestError, ModelError or MediaError."""
    plan = find_inputs(found.plan, folder)
    if plan.canvas != "source":
        request_of(plan)  # what no model could make is refused before any file is opened
    verify_inputs(found, plan, force=force)
    card = _card(found, model, "" if model is None else "--model", force)
    check_plan(plan, card, device, force=force, others=_other_cards(found, force))
    use_threads(found.threads)
    return Again(found, plan, model or found.plan.model)


def check_plan(
    plan: Plan, card: Card, device: Any = None, *, force: bool = False, others: Sequence[Card] = ()
) -> None:  # fmt: skip
    """RequestError where the plan is not one of a request that this model takes, or takes longer than a day (unless
    `force`). others: cards of the models that upscale it, in order."""
    today = make_plan(
        request_of(plan, card, others), card, "cpu" if str(device or "").startswith("cpu") else this_device()
    )
    kinds_now, kinds_then = ([(step.plan is None, step.scale) for step in each.upscale] for each in (today, plan))
    if kinds_now != kinds_then:
        raise RequestError("An upscale that the request does not lead to.", field="plan.upscale")
    places = [f"upscale.{number}.plan." for number, step in enumerate(plan.upscale) if step.plan is not None]
    for now, then, where in zip((today, *today.by_model), (plan, *plan.by_model), ("", *places)):
        for name in (*PLANNED, *(("conditions", "profile", "seed", "upscale") if where else ())):
            if (wrong := getattr(then, name)) != (right := getattr(now, name)):
                raise RequestError(
                    f"The plan is not what {card.id} makes of its request.", field=f"plan.{where}{name}",
                    value=_short(wrong), legal=_short(right),
                )  # fmt: skip
        low, high = then.guidance_interval
        if low > high:
            raise RequestError(
                "Guidance ends before it begins.", field=f"plan.{where}guidance_interval", value=[low, high],
                legal="two fractions of the steps, rising",
            )  # fmt: skip
    cost = today.estimate
    if cost is not None and cost.seconds > LONGEST_S and not force:
        raise RequestError(
            f"This would take about {cost.seconds / 3600:,.0f} hours and {cost.gb:g} GB on {cost.device}; --force "
            "(force=True) begins it.",
            field="plan", value=f"{plan.size[0]}x{plan.size[1]}, {plan.frames} frames, {plan.steps} steps",
        )  # fmt: skip


def request_of(plan: Plan, card: Card | None = None, others: Sequence[Card] = ()) -> Request:
    """The request that a plan answers, with all that it settled said. card, others: of its model and of those that
    upscale it; what is their own default is not said. RequestError where a value is out of range."""
    fields = {
        name: getattr(plan, name)
        for name in ("prompt", "negative_prompt", "width", "height", "seed", "steps", "guidance", "profile", "canvas",
                     "fill", "conditions")
    }  # fmt: skip
    fields["options"] = _said(plan, card)
    if plan.canvas == "model":
        fields |= {"frames": plan.frames, "fps": plan.fps}
    elif not any(condition.kind == "source" for condition in plan.conditions):
        given = [condition.clip for condition in plan.conditions if condition.kind == "continue"]
        fields |= {"frames": plan.frames - sum(inputs.info(clip).num_frames for clip in given)}
    cards = iter(others)
    fields["upscale"] = tuple(
        {"by": step.by, "scale": step.scale} if step.plan is None else _step_of(step.plan, number, next(cards, None))
        for number, step in enumerate(plan.upscale)
    )
    return Request(**fields)


def _step_of(plan: Plan, number: int, card: Card | None) -> dict[str, Any]:
    """The step of a request that a model's plan answers."""
    if "strength" not in plan.options:
        field = f"plan.upscale.{number}.plan.options.strength"
        raise RequestError("An upscale by a model has a strength.", field=field, legal="0.05 to 1")
    return {
        "by": (card and (card.path or card.id)) or plan.model, "strength": Sampling.of(plan).strength,
        "width": plan.width, "height": plan.height, "steps": plan.steps, "guidance": plan.guidance,
        "options": {name: value for name, value in _said(plan, card).items() if name != "strength"},
    }  # fmt: skip


def _said(plan: Plan, card: Card | None) -> dict[str, Any]:
    """The options of a plan that are not what the card has them be."""
    if card is None or plan.profile not in card.profiles:
        return dict(plan.options)
    rule = card.profiles[plan.profile]
    own = {name: option.default for name, option in card.options.items()} | rule.options
    own |= rule.in_place if plan.canvas == "source" else {}
    return {
        name: value
        for name, value in plan.options.items()
        if name not in own or type(value) is not type(own[name]) or value != own[name]
    }


def _card(found: Manifest, model: str | None, told: str, force: bool) -> Card:
    """The card of the model, its weights compared. A path that only the manifest names is not opened for its sake."""
    name = model or found.plan.model
    try:
        card = store.find(name)
        own = store.digests(store.locate(card)) if found.plan.uses_model else {}
    except ModelError as error:
        if told:
            raise
        kind = WeightsMissing if isinstance(error, WeightsMissing) else ModelError
        raise kind(f"{error} Or tell where its files are with --model PATH.") from None
    if card.family != found.plan.family:
        raise ModelError(f"{name}: is of the family {card.family}, the clip was made by one of {found.plan.family}.")
    if not found.plan.uses_model:
        return card
    if not force:
        verify_weights(found, own, only=True)
    elif not told and name not in {known.id for known in store.known_cards()}:
        raise ModelError(f"{name}: not a model that is known here by its name; with --force, name it with --model.")
    return card


def _other_cards(found: Manifest, force: bool) -> tuple[Card, ...]:
    """The cards of the models that upscale the clip, their weights compared."""
    cards = tuple(store.find(step.model) for step in found.plan.by_model)
    for number, card in enumerate(cards):
        own = {f"upscale/{number}/{name}": value for name, value in store.digests(store.locate(card)).items()}
        if card.id != store.find(found.plan.model).id and not force:
            verify_weights(found, own, only=True)
    return cards


def _short(value: Any) -> Any:
    text = str(value)
    return value if len(text) <= 120 else text[:117] + "..."
