"""The loop: events, cancellation, resumption, profiles, manifests."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from kinema.core.errors import Cancelled, MediaError, RequestError
from kinema.core.events import Preview, Progress
from kinema.core.plan import Manifest
from kinema.core.request import Request
from kinema.diffusion.cache import StepReuse
from kinema.diffusion.noise import noise
from kinema.diffusion.steps import classifier_free, count
from kinema.engine import manifest as manifests
from kinema.engine.generate import sample
from kinema.engine.resume import SamplingState

QUICK = Request(prompt="a red ball rolls left", steps=6, seed=5, profile="exact", options={"motion_words": "text"})


def test_noise_is_named():
    assert torch.equal(noise(1, "init/0", (2, 3)), noise(1, "init/0", (2, 3)))
    assert not torch.equal(noise(1, "init/0", (2, 3)), noise(1, "init/17", (2, 3)))
    assert not torch.equal(noise(1, "init/0", (2, 3)), noise(2, "init/0", (2, 3)))
    assert abs(float(noise(3, "x", (10_000,)).std()) - 1) < 0.03


def test_events_tell_the_whole_story(mini):
    seen = []
    chunks = list(mini.stream(QUICK, on_event=seen.append))
    steps = [event for event in seen if isinstance(event, Progress) and event.stage == "sample"]
    assert [event.done for event in steps] == [1, 2, 3, 4, 5, 6]
    assert sum(isinstance(event, Preview) for event in seen) == 6
    decoded = [event.done for event in seen if isinstance(event, Progress) and event.stage == "decode"]
    assert decoded == [chunk.stop for chunk in chunks]


def test_cancelled_between_steps(mini):
    steps = []

    def stop(event):
        if isinstance(event, Progress):
            steps.append(event.done)
            if event.done == 3:
                raise Cancelled("enough")

    with pytest.raises(Cancelled):
        list(mini.stream(QUICK, on_event=stop))
    assert steps == [1, 2, 3]


@pytest.mark.parametrize("profile", ["exact", "fast"])
def test_resumed_is_identical(mini, tmp_path, profile):
    plan = mini.plan(QUICK.changed(profile=profile, steps=7, frames=9))
    kept = []
    cond = mini.family.encode(plan, mini.family.prepare(plan))
    whole = sample(plan, mini.family, cond, plan.spans[0], keep=kept.append, keep_every=3)
    assert [state.step for state in kept] == [3, 6]
    for state in kept:
        read = SamplingState.read(state.save(tmp_path / "state.safetensors"))
        assert read.plan == plan
        assert torch.equal(sample(plan, mini.family, cond, plan.spans[0], state=read), whole)
    chunks = [chunk.frames for chunk in mini.stream(plan, state=kept[0])]
    assert np.array_equal(np.concatenate(chunks), mini.generate(plan).frames())
    (tmp_path / "bad").write_bytes(b"nothing of the kind")
    with pytest.raises(MediaError):
        SamplingState.read(tmp_path / "bad")


def test_many_steps_with_equal_timesteps(mini):
    """With this many steps some timesteps are the same whole number; the schedule still starts at its beginning."""
    plan = mini.plan(QUICK.changed(steps=900, guidance=1.0))
    scheduler = mini.family.scheduler(plan)
    assert len(scheduler.timesteps.unique()) < 900
    x = torch.zeros(1, 1, 1, 1, 1)
    for t in scheduler.timesteps:
        x = scheduler.step(torch.ones_like(x), t, x, return_dict=False)[0]
    assert float(x) == pytest.approx(-1.0, abs=0.01), "a constant flow of one from noise to picture"


def test_batched_guidance_equals_sequential(mini, monkeypatch):
    from kinema.families.wan import model

    plan = mini.plan(QUICK)
    cond = mini.family.encode(plan, mini.family.prepare(plan))
    batched = sample(plan, mini.family, cond, plan.spans[0])
    monkeypatch.setattr(model, "BATCH_TOKENS", 0)
    assert (sample(plan, mini.family, cond, plan.spans[0]) - batched).abs().max() < 1e-4


def test_step_reuse_forecasts_a_straight_line():
    reuse = StepReuse([()] * 10, 2)
    skipped = [step for step in range(10) if reuse.skips(step)]
    assert skipped == [3, 5, 7]
    reuse.begin(6)
    assert not any(reuse.skips(step) for step in (6, 7))  # a run that begins in the middle has no earlier outputs
    reuse.remember(1000.0, torch.tensor([1.0]))
    reuse.remember(900.0, torch.tensor([2.0]))
    assert float(reuse.forecast(800.0)) == pytest.approx(3.0)
    reuse.remember(900.0, torch.tensor([5.0]))
    assert float(reuse.forecast(900.0)) == 5.0, "two steps on one timestep make no line"
    assert count(classifier_free(10, 4.0, (0.0, 1.0)), 2) == 7 + 7
    assert count(classifier_free(10, 4.0, (0.0, 0.5)), 2) == 8 + 4
    assert count(classifier_free(10, 1.0, (0.0, 1.0)), 1) == 10
    assert count(classifier_free(10, 4.0, (0.0, 1.0)), 1, first=4) == 6 + 6


def test_profiles_cost_less_and_stay_close(mini):
    """Counted in evaluations of the network, which profiles reduce."""
    calls = []
    original = type(mini.family).predict

    def counting(self, cond, span):
        run = original(self, cond, span)

        def counted(x, t, branches):
            calls.append(len(branches))
            return run(x, t, branches)

        return counted

    costs = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(mini.family), "predict", counting)
        for profile in ("exact", "balanced", "fast"):
            calls.clear()
            list(mini.stream(Request(prompt="a red ball", seed=5, frames=5, profile=profile, options=QUICK.options)))
            costs[profile] = sum(calls)
    assert costs["exact"] == 2 * mini.family.card.defaults.steps
    assert costs["balanced"] <= 0.7 * costs["exact"]
    assert costs["fast"] < 0.3 * costs["exact"]


def test_clip_is_lazy_and_made_once(mini):
    clip = mini.generate(QUICK.changed(steps=2, frames=5))
    assert "not generated yet" in repr(clip)
    first = clip.frames()
    assert np.array_equal(clip.frames(), first)
    assert clip.sheet().size[0] > 64
    assert "<video" in clip._repr_html_()


def test_manifest_verifies(mini, tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    plan = mini.plan(QUICK.changed(conditions=({"kind": "image", "image": str(tmp_path / "a.png")},)))
    found = Manifest.from_dict(json.loads(json.dumps(mini.manifest(plan))))
    assert found.plan == plan.model_copy(update={"estimate": None}), "two runs write the same bytes"
    assert len(found.weights) >= 3
    manifests.verify(found, mini.digests(plan))
    Image.new("RGB", (64, 64), "blue").save(tmp_path / "a.png")
    with pytest.raises(RequestError, match="changed"):
        manifests.verify(found, mini.digests(plan))


def test_inputs_are_found_beside_the_clip(mini, tmp_path, monkeypatch):
    from PIL import Image

    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    plan = mini.plan(QUICK.changed(conditions=({"kind": "image", "image": "a.png"},)))
    assert manifests.find_inputs(plan, tmp_path) == plan, "what is there stays as it was said"
    monkeypatch.chdir("/")
    moved = manifests.find_inputs(plan, tmp_path)
    assert moved.conditions[0].image == str(tmp_path / "a.png")
    found = Manifest(kinema="0", plan=plan, inputs={"a.png": manifests.inputs.digest(str(tmp_path / "a.png"))})
    manifests.verify(found, {}, moved)
    Image.new("RGB", (64, 64), "blue").save(tmp_path / "a.png")
    with pytest.raises(RequestError, match=r"a\.png has changed"):
        manifests.verify(found, {}, moved)


def test_engine_refuses_another_model(mini):
    with pytest.raises(RequestError, match=r"wan2\.1"):
        mini.plan(Request(model="wan2.1-t2v-1.3b"))


def test_out_of_vocabulary_prompts_are_fine(mini):
    for prompt in (
        "",
        "un ballon rouge",
        "\U0001f680\U0001f525",
        "word " * 2000,
        "a & b &lt;c&gt;",
        "\x00\x07",
    ):
        clip = mini.generate(QUICK.changed(prompt=prompt, steps=1, frames=5))
        assert len(clip.frames()) == 5


@pytest.mark.parametrize("progress, listens, shown", [(None, False, True), (None, True, False), (True, True, True),
                                                      (False, False, False)])  # fmt: skip
def test_python_shows_how_far_it_is(mini, monkeypatch, progress, listens, shown, tmp_path):
    """Shown on a terminal by default; not with an `on_event` callback, unless requested."""
    import io

    from kinema.core import display

    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(display, "LONG_S", 0.0)
    monkeypatch.setattr(display, "_python", True)
    monkeypatch.setattr(display.Line, "EVERY_S", 0.01)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    heard = []
    more = {"on_event": heard.append} if listens else {}
    clip = mini.generate(QUICK.changed(steps=2, frames=5), progress=progress, **more)
    clip.save(tmp_path / "a.mp4")
    assert ("sampling" in stream.getvalue()) == shown and bool(heard) == listens
    if not shown:
        assert stream.getvalue() == ""
    elif not listens:
        before = stream.getvalue()
        clip.save(tmp_path / "b.mp4", progress=True)
        assert stream.getvalue() == before, "it is made already"
