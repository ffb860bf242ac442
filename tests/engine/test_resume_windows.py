"""Clips in several windows (upscales, edits, steps by models) are saved, resumed and previewed like plain ones."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kinema.core.chunk import Chunk
from kinema.core.conditions import Source
from kinema.core.errors import MediaError, RequestError
from kinema.core.events import Preview
from kinema.core.plan import Span
from kinema.core.request import Request
from kinema.engine.finished_windows import FinishedWindows, discard, folder_of, remove_others, work_of
from kinema.engine.load import check_keeping, load
from kinema.engine.resume import SamplingState
from kinema.media.write import write
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, sample_scene

MODEL, EDITOR = "kinema-mini-zeroscope", "kinema-mini-wan"


@cache
def engine(model):
    return load(model, device="cpu")


def engine_of(request):
    return engine(request.model)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    frames = render([sample_scene(8, WORLD_MINI)], num_frames=7, height=48, width=64, fps=8.0).frames_BFHWC[0].numpy()
    path = tmp_path_factory.mktemp("resume") / "clip.mp4"
    write([Chunk(frames, 0, 8.0)], path, quality="best")
    return {"kind": "source", "video": str(path)}


def requests(source):
    box = {"kind": "mask", "boxes": ((0.2, 0.3, 0.6, 0.8),)}
    noise = {"strength": 0.7}
    return {
        "tiles": (Request(seed=5, model=MODEL, steps=3, guidance=1.0, canvas="upscale", width=32, height=48,
                          conditions=(source,), options=noise), 3, ((0, 4), (3, 7))),
        "steps": (Request(prompt="a red ball", seed=5, model=MODEL, frames=2, steps=3,
                          upscale=[{"by": MODEL, "strength": 0.6, "width": 64, "height": 64, "steps": 5}, 2]), 3, None),
        "edit": (Request(prompt="a star", seed=5, steps=3, canvas="source", conditions=(source, box)), 3,
                 ((0, 5), (2, 7))),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["tiles", "steps", "edit"])
def test_resumed_is_identical_from_every_state(name, source, tmp_path):
    request, num_states, windows = requests(source)[name]
    maker = engine_of(request)
    plan, places, looks = _in_windows(maker.plan(request), windows), [], []

    def keep(state):
        places.append(state.save(tmp_path / f"{len(places)}.state"))

    def look(event):
        if isinstance(event, Preview):
            looks.append(event.span)

    whole = np.concatenate([c.frames for c in maker.stream(plan, keep=keep, keep_every=2, on_event=look)])
    assert len(places) == num_states
    assert set(looks) == {0, 1}, "previews name their window"
    for place in places:
        state = SamplingState.read(place)
        again = np.concatenate([chunk.frames for chunk in maker.stream(plan, state=state)])
        assert np.array_equal(again, whole), (place.name, state.window, state.step)
    assert state.window == 1 and 0 in state.windows
    if name == "edit":
        assert maker.generate(plan).frames().tobytes() == whole.tobytes(), "keeping changes nothing"


def test_previews_of_tiles_have_the_size_of_the_canvas(source):
    request, *_ = requests(source)["tiles"]
    seen = []

    def look(event):
        if isinstance(event, Preview):
            seen.append(event.frames())
            raise StopAsyncIteration

    with pytest.raises(StopAsyncIteration):
        list(engine_of(request).stream(request, on_event=look))
    assert seen[0].shape == (1, 48, 64, 3) and seen[0].std() > 10


@pytest.mark.parametrize("model", [MODEL, "kinema-mini-animatediff"])
def test_a_clip_that_begins_from_one_resumes_from_a_file_identically(model, source, tmp_path):
    """The memory layout of a clip's latents differs from that of noise, which affects rounding in networks."""
    request = Request(prompt="a red ball", seed=5, model=model, frames=3, steps=5, fit="nearest", profile="exact",
                      conditions=(source,), options={"strength": 0.8})  # fmt: skip
    maker, kept = engine_of(request), []
    plan = maker.plan(request)
    whole = np.concatenate([chunk.frames for chunk in maker.stream(plan, keep=kept.append, keep_every=2)])
    assert any(not tensor.is_contiguous() for tensor in kept[0].tensors.values())
    read = SamplingState.read(kept[0].save(tmp_path / "a.state"))
    assert {name: t.stride() for name, t in read.tensors.items()} == {
        name: t.stride() for name, t in kept[0].tensors.items()
    }
    assert np.array_equal(np.concatenate([chunk.frames for chunk in maker.stream(plan, state=read)]), whole)


@pytest.fixture
def state(source):
    """The state of an edit with one finished window, without generating it."""
    request, _, windows = requests(source)["edit"]
    plan = _in_windows(engine(EDITOR).plan(request), windows)
    kept = FinishedWindows()
    kept.add(0, np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3))
    return SamplingState(plan, 0, 0, {}, {}, 1, kept)


def test_windows_are_written_once_beside_the_state(state, tmp_path):
    path = tmp_path / "a.state"
    state.save(path)
    (file,) = folder_of(path).iterdir()
    written = file.stat().st_mtime_ns
    state.save(path)
    assert file.stat().st_mtime_ns == written
    read = SamplingState.read(path)
    assert np.array_equal(read.windows.frames(0), np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3))
    read.windows.frames(0)[:] = 0
    assert read.windows.frames(0).any(), "what is given out may be changed"
    elsewhere = tmp_path / "b.state"
    read.save(elsewhere)
    assert SamplingState.read(elsewhere).windows.frames(0).any()
    remove_others(folder_of(elsewhere), work_of(state.plan))
    assert [*folder_of(elsewhere).iterdir()]
    (folder_of(elsewhere) / "mine.txt").touch()
    remove_others(folder_of(elsewhere), "0" * 16)
    assert [each.name for each in folder_of(elsewhere).iterdir()] == ["mine.txt"]


def test_a_finished_clip_leaves_no_windows(state, tmp_path):
    path = tmp_path / "a.state"
    state.save(path)
    (folder_of(path) / "mine.txt").touch()
    discard(path)
    assert not path.exists() and [each.name for each in folder_of(path).iterdir()] == ["mine.txt"]
    replace(state, windows=FinishedWindows(), window=0).save(path)
    discard(path)
    assert path.exists(), "a state without windows stays"


def test_another_plan_in_the_same_file_leaves_no_windows_of_the_first(state, tmp_path):
    path = tmp_path / "a.state"
    state.save(path)
    other = SamplingState(state.plan.model_copy(update={"seed": 6}), 0, 0, {}, {}, 1, FinishedWindows())
    other.windows.add(0, np.zeros((2, 4, 4, 3), np.uint8))
    other.save(path)
    assert len([*folder_of(path).iterdir()]) == 1 and not SamplingState.read(path).windows.frames(0).any()


def test_an_input_that_has_changed_is_refused(state, source, tmp_path):
    moved = tmp_path / "clip.mp4"
    moved.write_bytes(Path(source["video"]).read_bytes())
    plan = state.plan.model_copy(update={"conditions": (Source(video=str(moved)), *state.plan.conditions[1:])})
    path = replace(state, plan=plan).save(tmp_path / "a.state")
    check_keeping(plan, SamplingState.read(path))
    write([Chunk(np.zeros((10, 48, 64, 3), np.uint8), 0, 8.0)], moved)
    with pytest.raises(RequestError, match="has changed since the state was saved"):
        check_keeping(plan, SamplingState.read(path))
    moved.unlink()
    with pytest.raises(MediaError, match=r"clip\.mp4"):
        check_keeping(plan, SamplingState.read(path))


def test_damaged_states_are_refused(state, tmp_path):
    path = tmp_path / "a.state"
    state.save(path)
    (file,) = folder_of(path).iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(MediaError, match="not a finished window"):
        SamplingState.read(path).windows.frames(0)
    file.unlink()
    with pytest.raises(MediaError, match="no such file"):
        SamplingState.read(path)


@pytest.mark.parametrize(
    "wrong", [{"window": 2}, {"window": -1}, {"window": "0"}, {"windows": 3}, {"windows": ["x"]}, {"windows": [7]},
              {"strides": {"latents": [1, 2]}}, {"strides": {"latents": [-1]}}, {"strides": {"latents": [2**40]}},
              {"strides": {"nobody": [1]}}, {"strides": []}, {"inputs": 3}, {"span": 1}, {"step": 99}],
)  # fmt: skip
def test_hostile_states_are_refused(wrong, state, tmp_path):
    path = tmp_path / "a.state"
    state.save(path)
    facts = json.loads(_facts(path)) | wrong
    save_file({"latents": torch.zeros(4)}, path, metadata={"kinema": json.dumps(facts)})
    with pytest.raises(MediaError):
        SamplingState.read(path)


def test_states_of_the_version_before_are_read(state, tmp_path):
    path = tmp_path / "a.state"
    state.save(path)
    facts = {
        name: value for name, value in json.loads(_facts(path)).items() if name in ("span", "step", "values", "plan")
    }
    save_file({"latents": torch.zeros(4)}, path, metadata={"kinema": json.dumps(facts)})
    read = SamplingState.read(path)
    assert (read.window, read.span, read.step) == (0, 0, 0) and load_file(path)["latents"].shape == (4,)


def test_a_state_of_a_repeated_pass_is_read(tmp_path):
    """FreeInit's passes are counted beyond the plan's spans."""
    plan = engine("kinema-mini-animatediff").plan(
        Request(prompt="x", model="kinema-mini-animatediff", seed=1, options={"free_init": 3})
    )
    path = SamplingState(plan, 2, 1, {"latents": torch.zeros(4)}, {"history": []}).save(tmp_path / "a.state")
    assert SamplingState.read(path).span == 2
    with pytest.raises(MediaError, match="pass 3"):
        SamplingState.read(SamplingState(plan, 3, 1, {"latents": torch.zeros(4)}, {"history": []}).save(path))


def _in_windows(plan, windows):
    """The plan with shorter windows than its model's, to save time."""
    spans = tuple(Span(start=start, stop=stop) for start, stop in windows or ())
    return plan.model_copy(update={"spans": spans}) if spans else plan


def _facts(path):
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        return file.metadata()["kinema"]
