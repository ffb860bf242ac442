"""An interrupted fill continues from its saved state, with the frames of an uninterrupted run."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

import kinema
from kinema.core.chunk import Chunk
from kinema.core.events import Outcome, Preview, Progress
from kinema.engine import fill_plan, opener, rerun
from kinema.engine.fill_state import FillState, put_together, taken_apart
from kinema.engine.finished_windows import folder_of
from kinema.engine.load import Engine
from kinema.engine.plan import plan as make_plan
from kinema.engine.resume import SamplingState
from kinema.engine.without_model import WithoutModel
from kinema.media.write import write
from kinema.propagation.fill import SceneFill

HEIGHT, WIDTH, CUT, FRAMES = 48, 64, 12, 40
EVERY = 4


def picture(seed):
    noise = np.random.default_rng(seed).normal(0, 1, (90, 200, 3))
    return np.clip(cv2.GaussianBlur(noise, (0, 0), 4) * 600 + 120, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A clip with a cut: a still scene, and a pan that is longer than the fill looks back. A disc crosses both, and a
    square is never seen."""
    frames, masks = [], []
    for index in range(FRAMES):
        still = index < CUT
        left = 10 if still else index
        frame = picture(1 if still else 2)[20 : 20 + HEIGHT, left : left + WIDTH].copy()
        mask = cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), (8 + (5 * index) % 48, 20), 6, 255, -1)
        mask[34:42, 44:52] = 255
        frame[mask > 0] = (250, 30, 40)
        frames.append(frame)
        masks.append(mask)
    folder = tmp_path_factory.mktemp("resume")
    write([Chunk(np.stack(frames), 0, 12.0)], f"{folder}/clip/")
    write([Chunk(np.repeat(np.stack(masks)[..., None], 3, -1), 0, 12.0)], f"{folder}/mask/")
    conditions = (kinema.Source(video=f"{folder}/clip/"), kinema.Mask(video=f"{folder}/mask/"))
    request = kinema.Request(canvas="source", fill="propagate", seed=1, conditions=conditions)
    return make_plan(request, device="cpu")


@pytest.fixture(scope="module")
def run(plan, tmp_path_factory):
    """(all frames, the outcome, the files of the saved states) of an uninterrupted run."""
    folder, places, events = tmp_path_factory.mktemp("states"), [], []

    def keep(state):
        places.append(state.save(folder / f"{state.done}.state"))

    chunks = WithoutModel().stream(plan, on_event=events.append, keep=keep, keep_every=EVERY)
    return frames_of(chunks), outcome(events), places


def frames_of(chunks):
    return np.concatenate([chunk.frames for chunk in chunks])


def outcome(events):
    return next(event.facts for event in events if isinstance(event, Outcome))


def test_keeping_changes_nothing(plan, run):
    whole, facts, places = run
    assert np.array_equal(frames_of(WithoutModel().stream(plan)), whole)
    assert [place.name for place in places] == [f"{done}.state" for done in range(EVERY, FRAMES, EVERY)]
    assert {"propagated", "patched"} <= set(facts["filled"]) and sum(facts["filled"].values()) == pytest.approx(
        1, abs=1e-3
    )


@pytest.mark.parametrize("done", [EVERY, CUT, pytest.param(CUT + EVERY, marks=pytest.mark.slow), 36])
def test_resumed_is_identical_and_fills_only_the_rest(plan, run, done, monkeypatch):
    whole, facts, places = run
    state = opener.read_state(next(place for place in places if place.name == f"{done}.state"))
    filled, own = [], SceneFill.filled
    monkeypatch.setattr(
        SceneFill, "filled", lambda self, views, at: filled.append(views[at].index) or own(self, views, at)
    )
    events = []
    assert np.array_equal(frames_of(WithoutModel().stream(plan, state=state, on_event=events.append)), whole)
    assert filled == list(range(done, FRAMES)), "finished frames are read, not filled again"
    assert outcome(events) == facts, "the sources of all frames are counted"
    last = [event for event in events if isinstance(event, Progress) and event.stage == "fill"][-1]
    assert (last.done, last.total) == (FRAMES - done, FRAMES - done)
    assert [event.step for event in events if isinstance(event, Preview)] == list(range(1, FRAMES + 1))


def test_a_resumed_run_is_saved_and_resumed_again(plan, run, tmp_path):
    whole, _, places = run
    kept = []
    chunks = WithoutModel().stream(plan, state=FillState.read(places[0]), keep=kept.append, keep_every=10)
    list(chunks)
    assert [state.done for state in kept] == [10, 20, 30]
    again = FillState.read(kept[1].save(tmp_path / "again.state"))
    assert np.array_equal(frames_of(WithoutModel().stream(plan, state=again)), whole)


def test_a_loaded_engine_resumes_too_and_lists_no_weights(plan, run):
    engine = Engine("kinema-mini-wan", None, None, "cpu")
    assert engine.digests(plan) == {} and engine.manifest(plan)["weights"] == {}
    state = FillState.read(run[2][-1])
    assert np.array_equal(frames_of(engine.stream(plan, state=state)), run[0])


def test_a_state_of_another_plan_or_clip_is_refused(plan, run, tmp_path):
    state = FillState.read(run[2][0])
    with pytest.raises(kinema.RequestError, match="another plan"):
        WithoutModel().stream(plan.model_copy(update={"frames": 39}), state=state)
    state.parts.inputs = dict.fromkeys(state.parts.inputs, "0" * 64)
    with pytest.raises(kinema.RequestError, match="has changed"):
        WithoutModel().stream(plan, state=state)
    with pytest.raises(kinema.RequestError, match="keep_every"):
        WithoutModel().stream(plan, keep=print)


def test_damaged_states_are_refused(plan, run, tmp_path):
    place = FillState.read(run[2][1]).save(tmp_path / "a.state")
    with pytest.raises(kinema.MediaError, match="not a saved"):
        SamplingState.read(place)
    part = sorted(folder_of(place).iterdir())[0]
    part.write_bytes(b"nothing")
    with pytest.raises(kinema.MediaError, match="not a finished window"):
        list(WithoutModel().stream(plan, state=FillState.read(place)))
    part.unlink()
    with pytest.raises(kinema.MediaError, match="no such file"):
        FillState.read(place)
    place.write_bytes(b"nothing")
    with pytest.raises(kinema.MediaError, match="not a saved"):
        opener.read_state(place)


def test_only_objects_of_the_fill_are_put_together():
    arrays = {}
    filler = SceneFill("sharp")
    values = json.loads(json.dumps(taken_apart(filler, arrays, {})))
    assert isinstance(put_together(values, arrays, SceneFill("sharp")), SceneFill)
    for name in ("candidate:cv2", "fill:grown", "os:system", "..core.whole:whole", "fill:Origin"):
        with pytest.raises((ValueError, ImportError, AttributeError)):
            put_together({"object": name, "number": 0, "parts": {}}, arrays)


def test_a_plan_that_was_surveyed_is_not_surveyed_again(plan, run, monkeypatch):
    assert plan.sources and 0 < plan.masked < 0.2
    monkeypatch.setattr(fill_plan, "survey", lambda *_: pytest.fail("surveyed again"))
    card = kinema.engine.plan.store.find(plan.model)
    rerun.check_plan(plan, card, "cpu")
    again = make_plan(rerun.request_of(plan, card), card, "cpu", surveyed=plan)
    assert (again.sources, again.masked, again.notes[-1]) == (plan.sources, plan.masked, plan.notes[-1])


def test_the_frames_ahead_are_reported(plan):
    events = []
    chunks = WithoutModel().stream(plan, on_event=events.append)
    next(chunks)
    chunks.close()
    stages = [event.stage for event in events if isinstance(event, Progress)]
    assert stages[: CUT + 1] == ["read"] * (CUT + 1), "a scene is read to its end, or as far as the fill looks ahead"
    assert set(stages[CUT + 3 :]) == {"fill"} and events[0].parts[0].stage == "read"
