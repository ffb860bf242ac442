"""Rerun: generate a clip again from its manifest. Manifests are untrusted: the plan is resolved again, and nothing is
loaded before the plan, the inputs and the weights have been verified.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..conditions import inputs
from ..core.card import Card
from ..core.errors import ModelError, RequestError, WeightsMissing
from ..core.events import OnEvent, ignore
from ..core.options import Sampling
from ..core.plan import Manifest, Plan
from ..core.request import Request
from ..core.threads import use_threads
from ..weights import store
from .clip import Clip
from .estimate import this_device
from .manifest import find_inputs, verify, verify_inputs, verify_weights
from .opener import stand_in
from .plan import plan as make_plan

if TYPE_CHECKING:
    from .load import Engine

LONGEST_S = 86_400.0
"""Longer work requires `force`."""
PLANNED = ("family", "width", "height", "frames", "fps", "canvas", "fill", "output", "spans", "student", "sigmas")
"""Fields that follow from the request; those of the manifest's plan must be equal."""


@dataclass(frozen=True)
class Rerun:
    """A verified manifest. plan: with its inputs at their present paths. model: the argument for `load`."""

    found: Manifest
    plan: Plan
    model: str

    def open(
        self, load: Callable[[OnEvent], Engine], device: Any = None, on_event: OnEvent = ignore, *, force: bool = False
    ) -> Any:
        """Return what generates the clip: an engine with verified weights, or its stand-in. load, device: see
        `opener.stand_in`. Raises RequestError for weights that are not those of the manifest, except with `force`."""

        def loaded(on_event: OnEvent) -> Engine:
            if not force and not self.found.weights:  # the model did nothing, so that `prepare` has not verified it
                verify_weights(self.found, store.digests(store.locate(store.find(self.model))), only=True)
            engine = load(on_event)
            if not force:
                verify(self.found, engine.digests(self.plan), self.plan)
            return engine

        place = None if device is None else str(device)
        return stand_in(self.plan, loaded, self.model, place) or loaded(on_event)


def rerun(
    file: str | Path, *, model: str | None = None, device: Any = None, dtype: Any = None, force: bool = False
) -> Clip:
    """Generate the clip of a file's manifest again, as a lazy Clip: the same frames on the same machine. Arguments are
    those of `prepare` and `load`. Raises MediaError (no manifest), RequestError, ModelError."""
    from ..media.manifest import read_manifest
    from .load import load

    file = Path(file)
    ready = prepare(Manifest.from_dict(read_manifest(file)), file.parent, model=model, device=device, force=force)

    def loaded(on_event: OnEvent) -> Engine:
        return load(ready.model, device=device, dtype=dtype, on_event=on_event)

    clip: Clip = ready.open(loaded, device, force=force).generate(ready.plan)
    return clip


def prepare(
    found: Manifest, folder: Path, *, model: str | None = None, device: Any = None, force: bool = False
) -> Rerun:
    """Verify a manifest before anything is loaded.

    folder: searched for inputs that are missing at their recorded paths. model: the present name or path of the model.
    force: continue if weights or inputs differ from the manifest or cannot be compared, or if the work takes longer
    than a day; values that are not legal for the model are still refused. Raises RequestError, ModelError or
    MediaError.
    """
    plan = find_inputs(found.plan, folder)
    if plan.canvas != "source":
        request_of(plan)  # refuses illegal values before any file is opened
    verify_inputs(found, plan, force=force)
    card = _card(found, model, "" if model is None else "--model", force)
    check_plan(plan, card, device, force=force, others=_other_cards(found, force))
    use_threads(found.threads)
    return Rerun(found, plan, model or found.plan.model)


def check_plan(
    plan: Plan, card: Card, device: Any = None, *, force: bool = False, others: Sequence[Card] = ()
) -> None:  # fmt: skip
    """Raise RequestError if the plan does not result from a legal request to this model, or takes longer than a day
    (unless `force`). others: cards of its upscale models, in order."""
    today = make_plan(
        request_of(plan, card, others), card, "cpu" if str(device or "").startswith("cpu") else this_device(),
        surveyed=plan,
    )  # fmt: skip
    kinds_now, kinds_then = ([(step.plan is None, step.scale) for step in each.upscale] for each in (today, plan))
    if kinds_now != kinds_then:
        raise RequestError("The plan's upscale steps do not match its request.", field="plan.upscale")
    places = [f"upscale.{number}.plan." for number, step in enumerate(plan.upscale) if step.plan is not None]
    for now, then, where in zip((today, *today.by_model), (plan, *plan.by_model), ("", *places)):
        for name in (*PLANNED, *(("conditions", "profile", "seed", "upscale") if where else ())):
            if (wrong := getattr(then, name)) != (right := getattr(now, name)):
                raise RequestError(
                    f"The plan does not match its request to {card.id}.", field=f"plan.{where}{name}",
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
            f"This would take about {cost.seconds / 3600:,.0f} hours and {cost.gb:g} GB on {cost.device}; run it with "
            "--force (force=True).",
            field="plan", value=f"{plan.size[0]}x{plan.size[1]}, {plan.frames} frames, {plan.steps} steps",
        )  # fmt: skip


def request_of(plan: Plan, card: Card | None = None, others: Sequence[Card] = ()) -> Request:
    """The request of a plan, with all resolved fields. card, others: cards of its model and upscale models, whose
    default options are omitted. Raises RequestError for a value out of range."""
    fields = {
        name: getattr(plan, name)
        for name in ("prompt", "negative_prompt", "width", "height", "seed", "steps", "guidance", "profile", "canvas",
                     "fill", "conditions")
    }  # fmt: skip
    fields["options"] = _own_options(plan, card)
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
    """The upscale step of a request, from a model's plan."""
    if "strength" not in plan.options:
        field = f"plan.upscale.{number}.plan.options.strength"
        raise RequestError("An upscale by a model requires a strength.", field=field, legal="0.05 to 1")
    return {
        "by": (card and (card.path or card.id)) or plan.model, "strength": Sampling.of(plan).strength,
        "width": plan.width, "height": plan.height, "steps": plan.steps, "guidance": plan.guidance,
        "options": {name: value for name, value in _own_options(plan, card).items() if name != "strength"},
    }  # fmt: skip


def _own_options(plan: Plan, card: Card | None) -> dict[str, Any]:
    """The options of a plan that differ from the card's defaults."""
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


def _card(found: Manifest, model: str | None, option: str, force: bool) -> Card:
    """The card of the model, with its weights verified. option: the option that named it, or "". Without it, a path in
    the manifest is not opened unless the digests of its weights match."""
    name = model or found.plan.model
    ran = found.plan.uses_model and (bool(found.weights) or found.plan.fill == "generate")
    try:
        card = store.find(name)
        own = store.digests(store.locate(card)) if ran else {}
    except ModelError as error:
        if option:
            raise
        kind = WeightsMissing if isinstance(error, WeightsMissing) else ModelError
        raise kind(f"{error} Or give the path of its files with --model PATH.") from None
    if card.family != found.plan.family:
        raise ModelError(f"{name}: the family is {card.family}, but the clip was generated by {found.plan.family}.")
    if not ran:
        return card
    if not force:
        verify_weights(found, own, only=True)
    elif not option and name not in {known.id for known in store.known_cards()}:
        raise ModelError(f"{name}: not a known model; --force also requires --model.")
    return card


def _other_cards(found: Manifest, force: bool) -> tuple[Card, ...]:
    """The cards of the upscale models, with their weights verified."""
    cards = tuple(store.find(step.model) for step in found.plan.by_model)
    for number, card in enumerate(cards):
        own = {f"upscale/{number}/{name}": value for name, value in store.digests(store.locate(card)).items()}
        if card.id != store.find(found.plan.model).id and not force:
            verify_weights(found, own, only=True)
    return cards


def _short(value: Any) -> Any:
    text = str(value)
    return value if len(text) <= 120 else text[:117] + "..."
