"""The family interface supports a very different family: two experts, three branches, two latents (video and sound).
The family is only registered; the engine plans, estimates and runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import toy_family
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinema.core import registry, windows
from kinema.core.chunk import Chunk
from kinema.core.errors import ModelError, RequestError
from kinema.core.events import Preview, Progress
from kinema.core.family import Window
from kinema.core.plan import Span
from kinema.engine import context
from kinema.engine.estimate import arithmetic, evaluations, parts
from kinema.engine.generate import generate, sample
from kinema.engine.load import Engine
from kinema.engine.resume import SamplingState
from kinema.engine.tiles import tiled


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(registry.FAMILIES, "toy", "toy_family")
    registry.family_module.cache_clear()
    registry.family_names.cache_clear()
    yield
    monkeypatch.undo()
    registry.family_module.cache_clear()
    registry.family_names.cache_clear()


@pytest.fixture
def engine() -> Engine:
    return Engine("toy", toy_family.load(toy_family.MINI, None), Path("toy"), "cpu")


def made(chunks) -> tuple[np.ndarray, np.ndarray]:
    """(frames, sound) of chunks."""
    found: list[Chunk] = list(chunks)
    return np.concatenate([each.frames for each in found]), np.concatenate([each.audio for each in found])


def same(one, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_it_makes_pictures_and_sound(engine):
    plan = engine.plan("a tune", seed=1, profile="exact")
    frames, sound = made(engine.stream(plan))
    assert frames.shape == (8, 32, 32, 3) and sound.shape == (8 * 6000, 1)
    assert np.abs(sound).max() > 0.05 and frames.std() > 1
    assert same(made(engine.stream(plan)), (frames, sound)), "seeded"
    other = made(engine.stream(engine.plan("a tune", seed=2, profile="exact")))
    assert not np.array_equal(other[0], frames) and not np.array_equal(other[1], sound)


def test_experts_take_turns_and_guidance_is_theirs(engine):
    plan = engine.plan("a tune", seed=1, profile="fast", steps=10)
    list(engine.stream(plan))
    asked = [branches for _, branches in engine.family.calls]
    assert {name.partition("/")[0] for names in asked for name in names} == {"early", "late"}
    assert [len({name.partition("/")[0] for name in names}) for names in asked] == [1] * len(asked)
    guidance = engine.family.guidance(plan, plan.spans[0], None)
    told = {f"early/{name}": {"video": torch.tensor(value)} for name, value in toy_family.TARGETS.items()}
    assert float(guidance[0].combine(told)["video"]) == pytest.approx(0.25 + 3.0 * 0.75)
    told = {name.replace("early", "late"): value for name, value in told.items()}
    assert float(guidance[6].combine(told)["video"]) == pytest.approx(0.25 + 1.5 * 0.75), "half as much"
    assert [len(each.branches) for each in guidance] == [3] * 8 + [1] * 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.integers(1, 40), every=st.integers(1, 4), passes=st.integers(1, 3), strength=st.none() | st.just(0.6))
def test_the_estimate_counts_what_is_computed(engine, steps, every, passes, strength):
    plan = engine.plan("x", seed=1, profile="fast", steps=steps, options={"free_init": passes})
    plan = plan.model_copy(update={"reuse": every})
    window = None
    if strength is not None:
        window = Window(np.zeros((8, 32, 32, 3), np.float32), np.ones((8, 32, 32), np.float32))
        plan = plan.model_copy(update={"options": plan.options | {"strength": strength}})
    family = toy_family.load(toy_family.MINI, None)
    list(generate(plan, family, window=window))
    assert sum(len(branches) for _, branches in family.calls) == evaluations(plan, from_clip=strength is not None)
    flop = arithmetic(plan, family.card, "cpu", from_clip=strength is not None).pflop
    assert flop == pytest.approx(evaluations(plan, from_clip=strength is not None) * flop_of_one(plan), rel=1e-6)
    assert sum(part.stage == "sample" for part in parts(plan, family.card, "cpu")) == passes


def flop_of_one(plan) -> float:
    """PFLOP of one evaluation: 4 N^2 d L + 2 P N."""
    tokens = plan.frames * plan.width * plan.height // 64
    return (4 * tokens**2 * 8 + 2 * 1000 * tokens) / 1e15


def test_no_step_is_forecast_across_experts(engine):
    """Of ten steps the middle ones may be forecast; the first two of each expert and of each set of branches are
    computed."""
    plan = engine.plan("x", seed=1, profile="fast", steps=40)
    list(engine.stream(plan))
    sigmas = [float(t) for t in engine.family.scheduler(plan).timesteps]
    computed = sorted(sigmas.index(t) for t, _ in engine.family.calls)
    assert len(computed) < 40
    kinds = toy_family.branches(plan)
    starts = [0] + [step for step in range(1, 40) if kinds[step] != kinds[step - 1]]
    assert len(starts) == 3 and all({step, step + 1} <= set(computed) for step in starts)


@pytest.mark.parametrize("options", [{}, {"free_init": 2}, {"context_length": 4, "context_overlap": 2}])
def test_taken_up_again_it_ends_alike(engine, tmp_path, options):
    plan, kept = engine.plan("x", seed=1, profile="fast", steps=12, options=options), []
    whole = made(engine.stream(plan, keep=kept.append, keep_every=1))
    assert {name for name in kept[0].tensors if "latents" in name} == {"latents:video", "latents:sound"}
    for state in kept:
        read = SamplingState.read(state.save(tmp_path / "state.safetensors"))
        assert same(made(engine.stream(plan, state=read)), whole), (state.span, state.step)


def test_previews_and_progress(engine):
    seen: list = []
    plan = engine.plan("x", seed=1, steps=5, profile="exact")
    whole = made(engine.stream(plan))
    shown = made(engine.stream(plan, on_event=lambda event: seen.append(event) or _look(event)))
    assert same(shown, whole), "looking changes nothing"
    assert [event.done for event in seen if isinstance(event, Progress) and event.stage == "sample"] == [1, 2, 3, 4, 5]
    last = [event for event in seen if isinstance(event, Preview)][-1].frames()
    assert last.shape == (1, 32, 32, 3) and np.abs(last.astype(int) - whole[0][:1]).max() <= 1


def _look(event) -> None:
    if isinstance(event, Preview):
        event.frames()


def test_free_init_begins_both_media_again(engine):
    once, twice = (
        made(engine.stream(engine.plan("x", seed=1, steps=6, profile="exact", options={"free_init": count})))
        for count in (1, 2)
    )
    assert not np.array_equal(once[0], twice[0]) and not np.array_equal(once[1], twice[1])


def test_the_estimate_counts_context_windows(engine):
    """A clip of 40 frames goes through a context of 16 in three windows: three times one of 16, in no more memory."""
    short, long = (engine.plan("x", seed=1, frames=count, profile="exact") for count in (16, 40))
    list(engine.stream(short))
    calls = len(engine.family.calls)
    list(engine.stream(long))
    assert len(engine.family.calls) - calls == 3 * calls, "what the loop computes is what is counted"
    one, three = (arithmetic(plan, engine.family.card, "cpu") for plan in (short, long))
    assert three.pflop == pytest.approx(3 * one.pflop) and three.gb == one.gb


def test_windows_cut_both_media(engine):
    plan = engine.plan("x", seed=1, steps=3, frames=12, profile="exact", options={"context_length": 8})
    cond = engine.family.encode(plan, engine.family.prepare(plan))
    shapes: list = []

    class Looking(toy_family.ToyFamily):
        def predict(self, cond, span):
            def run(x, t, branches):
                shapes.append((span.start, span.stop, x["video"].shape[2], x["sound"].shape[2]))
                return {name: {key: torch.full_like(part, span.start) for key, part in x.items()} for name in branches}

            return run

    predict = context.predictor(plan, Looking(engine.family.card), cond, Span(start=0, stop=12))
    x = {"video": torch.zeros(1, 3, 12, 4, 4), "sound": torch.zeros(1, 1, 12 * toy_family.RATE)}
    said = predict(x, torch.tensor(1.0), ("early/words",))["early/words"]
    assert shapes == [(0, 8, 8, 96), (4, 12, 8, 96)]
    video, sound = said["video"][0, 0, :, 0, 0], said["sound"][0, 0]
    assert video[:4].eq(0).all() and video[8:].eq(4).all() and (video.diff() >= 0).all()
    assert sound[:48].eq(0).all() and sound[96:].eq(4).all() and (sound.diff() >= 0).all()


def test_tiles_cut_the_pictures_and_share_the_sound(engine):
    tiling = windows.over_picture((56, 32), (32, 32), 8)
    family = tiled(engine.family, tiling)
    plan = engine.plan("x", seed=1, steps=3, profile="exact").model_copy(
        update={"options": engine.plan("x").options | {"strength": 0.6}}
    )
    pixels = np.random.default_rng(0).uniform(-1, 1, (8, 32, 56, 3)).astype(np.float32)
    window = Window(pixels, np.ones(pixels.shape[:3], np.float32))
    frames = np.concatenate([chunk.frames for chunk in generate(plan, family, window=window)])
    assert frames.shape == (8, 32, 56, 3)
    cond = family.encode(plan, family.prepare(plan, window))
    found = sample(plan, family, cond, plan.spans[0])
    assert found["video"].shape == (1, 3, 8, 4, 7) and found["sound"].shape == (1, 1, 96)


def test_a_part_that_stops_being_finite_ends_the_run(engine, monkeypatch):
    original = engine.family.predict

    def broken(cond, span):
        run = original(cond, span)
        return lambda x, t, names: {
            name: {**said, "sound": said["sound"] * float("nan")} for name, said in run(x, t, names).items()
        }

    monkeypatch.setattr(engine.family, "predict", broken)
    with pytest.raises(ModelError, match="become non-finite at step 1"):
        list(engine.stream(engine.plan("x", seed=1)))


def test_options_are_typed_and_refused(engine):
    with pytest.raises(RequestError, match=r"Option voice = .loud. is not legal.*one of low, high"):
        engine.plan("x", options={"voice": "loud"})
    assert toy_family.OPTIONS.of(engine.plan("x", options={"pull": 1})).pull == 1.0
