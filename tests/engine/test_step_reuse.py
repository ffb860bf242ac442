"""Forecast steps: guidance keeps its meaning at every step, and the estimate counts what the loop computes."""

from __future__ import annotations

import pytest
import torch
from fake_family import FakeFamily
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.core.plan import Plan
from kinema.core.registry import built_in_cards
from kinema.core.request import Request
from kinema.core.resolve import resolve
from kinema.diffusion.steps import evaluated
from kinema.engine.estimate import evaluations
from kinema.engine.generate import generate, sample

CARDS = built_in_cards()
SPANS = ({"start": 0, "stop": 1}, {"start": 1, "stop": 2})


def plan_of(card, profile: str, steps: int | None = None, strength: float | None = None, passes: int = 1) -> Plan:
    """A plan by the card's rules alone, of two spans."""
    conditions = [
        {"kind": "image", "image": "x.png", "at": at} for at in ("first", "last") if f"image:{at}" in card.needs
    ]
    options: dict = {"free_init": passes} if "free_init" in card.options and passes > 1 else {}
    if strength is not None and card.begins_with_clip:
        conditions.append({"kind": "source", "video": "x.mp4"})
        options["strength"] = strength
    asked = Request(
        prompt="x", model=card.id, profile=profile, steps=steps, seed=1, conditions=conditions, options=options
    )
    found = resolve(asked, card)
    return Plan.from_dict({**found.model_dump(), "spans": SPANS})


def check(plan: Plan) -> None:
    family = FakeFamily()
    list(generate(plan, family))
    for scheduler in family.schedulers:
        for number, scale in enumerate(scheduler.given):
            assert min(1.0, plan.guidance) - 1e-4 <= scale <= max(1.0, plan.guidance) + 1e-4, (number, scheduler.given)
            assert min(abs(scale - 1.0), abs(scale - plan.guidance)) < 1e-4, "one or the other, never a mixture"
    assert sum(len(branches) for _, branches in family.evaluations) == evaluations(plan)


@pytest.mark.parametrize("profile", ["exact", "balanced", "fast"])
@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_guidance_of_every_card_and_profile(card, profile):
    check(plan_of(card, profile))


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(1, 60),
    every=st.integers(1, 5),
    interval=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    guidance=st.floats(0, 12),
    strength=st.none() | st.floats(0.05, 1),
    passes=st.integers(1, 3),
)
def test_guidance_of_any_plan(steps, every, interval, guidance, strength, passes):
    card = next(card for card in CARDS if card.id == "kinema-mini-animatediff")
    plan = plan_of(card, "exact", steps, strength, passes)
    check(plan.model_copy(update={"reuse": every, "guidance_interval": interval, "guidance": guidance}))


def test_the_published_fast_profile_guides_until_it_stops():
    """25 steps, guidance 5 in the first half, every second step of the middle forecast."""
    card = next(card for card in CARDS if card.id == "wan2.1-t2v-14b")
    plan = plan_of(card, "fast")
    family = FakeFamily()
    sample(plan, family, plan, plan.spans[0])
    assert family.schedulers[0].given == pytest.approx([5.0] * 13 + [1.0] * 12)


def test_a_line_is_forecast_exactly():
    """Outputs linear in the timestep are forecast exactly, also where the branches change."""
    card = next(card for card in CARDS if card.id == "wan2.1-t2v-14b")
    plan = plan_of(card, "fast")
    family = FakeFamily(says=lambda branch, t: t / 1000 + (branch == "cond"))
    sample(plan, family, plan, plan.spans[0])
    scheduler = family.schedulers[0]
    wanted = [float(t) / 1000 + (5 if step < 13 else 1) for step, t in enumerate(scheduler.timesteps)]
    assert scheduler.given == pytest.approx(wanted, abs=1e-4)
    assert len(family.evaluations) < plan.steps


@settings(max_examples=30, deadline=None)
@given(
    steps=st.integers(4, 40), every=st.integers(1, 4), passes=st.integers(1, 2), strength=st.none() | st.floats(0.3, 1)
)
def test_a_resumed_run_evaluates_the_same_steps(steps, every, passes, strength):
    card = next(card for card in CARDS if card.id == "kinema-mini-animatediff")
    plan = plan_of(card, "fast", steps, strength, passes).model_copy(update={"reuse": every})
    kept: list = []
    whole = FakeFamily()
    list(generate(plan, whole, keep=kept.append, keep_every=1))
    for state in kept[:: max(1, len(kept) // 4)]:
        again = FakeFamily()
        list(generate(plan, again, state=state))
        assert again.evaluations == whole.evaluations[len(whole.evaluations) - len(again.evaluations) :]
        assert again.schedulers[0].given == whole.schedulers[state.span].given[-len(again.schedulers[0].given) :]


def test_a_schedule_with_several_evaluations_a_step_is_guided_to_its_end():
    """Heun's method evaluates twice a step: 2 N - 1 timesteps, two of them alike."""

    class Twice(FakeFamily):
        def scheduler(self, plan):
            scheduler = super().scheduler(plan)
            for name in ("timesteps", "sigmas"):
                levels = getattr(scheduler, name)
                setattr(scheduler, name, torch.cat([levels[:1], levels[1:].repeat_interleave(2)]))
            return scheduler

    card = next(card for card in CARDS if card.id == "zeroscope")
    plan = plan_of(card, "exact").model_copy(update={"reuse": 2})
    family = Twice()
    sample(plan, family, plan, plan.spans[0])
    assert family.schedulers[0].given == pytest.approx([plan.guidance] * (2 * plan.steps - 1))


def test_evaluated():
    kinds = ["both"] * 6 + ["one"] * 6
    assert evaluated(kinds, 1) == (True,) * 12
    found = evaluated(kinds, 2)
    assert [step for step, computed in enumerate(found) if not computed] == [4, 8]
    assert evaluated(kinds, 2, first=4)[4:9] == (True, True, True, True, False), "a run begins with two computed steps"
