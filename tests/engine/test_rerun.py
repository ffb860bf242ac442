"""Manifests are untrusted: hostile ones are refused before weights are loaded, valid ones rerun."""

from __future__ import annotations

import json
import os
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kinema
from kinema.core.chunk import Chunk
from kinema.core.errors import KinemaError, MediaError, ModelError, RequestError
from kinema.core.plan import Manifest
from kinema.core.request import Request
from kinema.engine import load
from kinema.engine import rerun as rerunning
from kinema.engine.manifest import manifest
from kinema.engine.plan import plan as make_plan
from kinema.media.write import write
from kinema.weights import store

MINI = "kinema-mini-wan"


@pytest.fixture(autouse=True)
def nothing_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", os.environ.get("KINEMA_HOME", str(tmp_path / "home")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(load, "load", lambda *_, **__: pytest.fail("weights were loaded"))


@pytest.fixture
def clip(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (9, 64, 64, 3), dtype=np.uint8)
    return str(write([Chunk(noise, 0, 8.0)], tmp_path / "clip.mp4"))


@pytest.fixture
def picture(tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    return "a.png"


def told(request: Request) -> dict[str, Any]:
    """The manifest of a clip of this request, as JSON, without generating the clip."""
    plan = make_plan(request, device="cpu")
    weights = store.digests(store.locate(store.find(request.model)))
    for number, step in enumerate(plan.by_model):
        own = store.digests(store.locate(store.find(step.model)))
        weights |= {f"upscale/{number}/{name}": digest for name, digest in own.items()}
    return json.loads(json.dumps(manifest(plan, weights, "cpu")))


def prepare(data: dict[str, Any], **settings: Any) -> rerunning.Rerun:
    return rerunning.prepare(Manifest.from_dict(data), Path(), device="cpu", **settings)


def requests(clip: str, picture: str) -> dict[str, Request]:
    image = {"kind": "image", "image": picture}
    source = {"kind": "source", "video": clip}
    box = {"kind": "mask", "boxes": [[0.2, 0.2, 0.8, 0.8]]}
    return {
        "words": Request(prompt="a red ball rolls left"),
        "fast": Request(prompt="a red ball", profile="fast"),
        "exact": Request(prompt="a red ball", profile="exact", steps=3, frames=5, width=32, height=48, upscale=2),
        "options": Request(prompt="a red ball", options={"shift": 2, "motion_words": "text"}),
        "image": Request(prompt="a red ball", conditions=(image,)),
        "edit": Request(prompt="a star", canvas="source", conditions=(source, box)),
        "outpaint": Request(canvas="source", conditions=({**source, "grow": [0, 0, 0.5, 0]},)),
        "extend": Request(prompt="a star", canvas="source", conditions=({"kind": "continue", "clip": clip},)),
        "masked": Request(prompt="a star", conditions=(source, box)),
        "upscale": Request(canvas="upscale", upscale=2, conditions=(source,)),
        "steps": Request(
            prompt="a red ball", upscale=["xl", 2, "kinema-mini-animatediff"], model="kinema-mini-zeroscope"
        ),
        "other steps": Request(
            prompt="a red ball",
            upscale=({"by": "xl", "strength": 0.5, "steps": 5}, "nearest:2"),
            profile="fast",
            model="kinema-mini-zeroscope",
        ),
        "windows": Request(prompt="a red ball", model="kinema-mini-animatediff", seconds=3),
        "svd": Request(model="kinema-mini-svd", conditions=(image,)),
    }


@pytest.mark.parametrize("name", list(requests("clip", "picture")))
def test_honest_manifests_go_through(name, clip, picture):
    data = told(requests(clip, picture)[name])
    ready = prepare(data)
    assert ready.plan == Manifest.from_dict(data).plan
    assert prepare(data, model=ready.plan.model, force=True).plan == ready.plan


def change(data: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**data, "plan": {**data["plan"], **fields}}


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "frames": ({"frames": 1_000_001}, "frames"),
    "size": ({"width": 16384, "height": 16384}, "16384"),
    "negative": ({"width": -64}, "width"),
    "sigmas": ({"sigmas": [0.5] * 100_000}, "sigmas"),
    "few sigmas": ({"sigmas": [0.5, 0.2]}, "sigmas"),
    "student": ({"student": "../../evil.safetensors"}, "student"),
    "true": ({"steps": True}, "steps"),
    "text": ({"steps": "5_0"}, "steps"),
    "option of another kind": ({"options": {"shift": "x"}}, "shift"),
    "true option": ({"options": {"shift": True}}, "shift"),
    "option of nobody": ({"options": {"evil": 1}}, "evil"),
    "options": ({"options": []}, "options"),
    "scale": ({"upscale": [{"by": "lanczos", "scale": 1e9}]}, "upscale"),
    "output": ({"output": [100_000, 100_000]}, "output"),
    "spans": ({"spans": [{"start": 0, "stop": 5}] * 1000}, "spans"),
    "no spans": ({"spans": []}, "spans"),
    "endless span": ({"spans": [{"start": 0, "stop": 9_999_999}]}, "spans"),
    "interval": ({"guidance_interval": [0.9, 0.1]}, "guidance_interval"),
    "canvas": ({"canvas": "source", "conditions": []}, "requires one clip"),
    "no model": ({"model": "/dev/zero"}, "--model"),
    "family": ({"family": "os"}, "family"),
    "prompt": ({"prompt": "x" * 100_000}, "prompt"),
    "device": ({"conditions": [{"kind": "image", "image": "/dev/zero"}]}, "no digest"),
    "web": ({"conditions": [{"kind": "image", "image": "http://example.com/a.png"}]}, "no digest"),
    "itself": ({"upscale": "again"}, "upscale"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("force", [False, True])
def test_hostile_manifests_end_before_weights_load(name, force):
    fields, words = HOSTILE[name]
    data = change(told(Request(prompt="a red ball", seed=1)), **fields)
    if name == "itself":
        for _ in range(3):
            data["plan"]["upscale"] = [{"by": "kinema-mini-wan", "plan": json.loads(json.dumps(data["plan"]))}]
    began = time.monotonic()
    with pytest.raises(KinemaError) as caught:
        prepare(data, force=force)
    assert time.monotonic() - began < 1
    if not (force and words in ("no digest", "--model")):
        assert words in str(caught.value) + str(getattr(caught.value, "field", ""))


@pytest.mark.parametrize("force", [False, True])
def test_inputs_that_have_no_end_are_never_read(force, tmp_path, picture):
    """Also if the manifest has a digest of them, or they replace a valid input."""
    data = told(Request(prompt="a red ball", conditions=({"kind": "image", "image": picture},)))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "frames").mkdir()
    os.mkfifo(tmp_path / "frames" / "00000.png")
    for name in ("/dev/zero", "pipe", "frames", "/dev/stdin", "a\0b", "n" * 5000):
        hostile = change(data, conditions=[{"kind": "image", "image": name}])
        hostile["inputs"] = {name: "0" * 64}
        began = time.monotonic()
        with pytest.raises(KinemaError):
            prepare(hostile, force=force)
        assert time.monotonic() - began < 1
    (tmp_path / picture).unlink()
    os.mkfifo(tmp_path / picture)
    with pytest.raises(MediaError, match="not a regular file"):
        prepare(data, force=force)


def test_an_input_is_the_one_of_the_manifest(tmp_path, picture):
    from PIL import Image

    data = told(Request(prompt="a red ball", conditions=({"kind": "image", "image": picture},)))
    without = {**data, "inputs": {}}
    with pytest.raises(RequestError, match=r"no digest of its input a\.png.*--force"):
        prepare(without)
    assert prepare(without, force=True).plan.conditions
    Image.new("RGB", (64, 64), "blue").save(tmp_path / picture)
    with pytest.raises(RequestError, match=r"a\.png has changed"):
        prepare(data)
    assert prepare(data, force=True).plan.conditions


def test_adapters_are_inputs_too(tmp_path):
    store_place = store.locate(store.find(MINI))
    adapter = next(iter(sorted(store_place.rglob("*.safetensors"))))
    (tmp_path / "style.safetensors").write_bytes(adapter.read_bytes())
    condition = {"kind": "style", "adapter": "style.safetensors"}
    data = told(Request(prompt="a red ball", conditions=(condition,)))
    assert len(data["inputs"]["style.safetensors"]) == 64
    assert prepare(data).plan.conditions
    (tmp_path / "style.safetensors").write_bytes(b"other")
    with pytest.raises(RequestError, match=r"style\.safetensors has changed"):
        prepare(data)


def test_weights_are_compared_before_they_are_loaded():
    data = told(Request(prompt="a red ball"))
    with pytest.raises(RequestError, match="no digest of"):
        prepare({**data, "weights": {}})
    with pytest.raises(RequestError, match="have changed"):
        prepare({**data, "weights": dict.fromkeys(data["weights"], "0" * 64)})
    with pytest.raises(RequestError, match="have changed"):
        weights = {**data["weights"], "more": "0" * 64}
        rerunning.verify(Manifest.from_dict({**data, "weights": weights}), data["weights"])
    assert prepare({**data, "weights": {}}, force=True).model == MINI


def test_a_path_of_the_clip_is_loaded_only_with_its_digests(tmp_path):
    place = store.locate(store.find(MINI))
    (tmp_path / "copy").symlink_to(place)
    data = change(told(Request(prompt="a red ball", model="copy")), model="copy")
    assert prepare(data).model == "copy", "with the digests of the manifest it is the same model"
    with pytest.raises(RequestError, match="no digest"):
        prepare({**data, "weights": {}})
    with pytest.raises(ModelError, match="also requires --model"):
        prepare({**data, "weights": {}}, force=True)
    assert prepare({**data, "weights": {}}, model=str(tmp_path / "copy"), force=True).model == str(tmp_path / "copy")


def test_what_takes_days_is_only_begun_by_who_insists(monkeypatch):
    data = told(Request(prompt="a red ball"))
    monkeypatch.setattr(rerunning, "LONGEST_S", 0.001)
    with pytest.raises(RequestError, match=r"about .* hours and .* GB on cpu; run it with --force"):
        prepare(data)
    assert prepare(data, force=True)


@cache
def words_only() -> str:
    return json.dumps(told(Request(prompt="a red ball rolls left", seed=3)))


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just([]), st.just({}),
    st.sampled_from(["/dev/zero", "\0", "../x", 10**30, -1, 0, 1e308, [1, 2], {"kind": "source"}]),
)  # fmt: skip


def paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [before, *(path for name, one in inner for path in paths(one, (*before, name)))][0 if before else 1 :]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_manifests_end_in_a_typed_error_or_the_same_plan(data):
    mutated = json.loads(words_only())
    for _ in range(data.draw(st.integers(1, 3))):
        places = paths(mutated)
        *way, last = data.draw(st.sampled_from(places))
        inner = mutated
        for name in way:
            inner = inner[name]
        if data.draw(st.booleans()):
            inner[last] = data.draw(VALUES)
        elif isinstance(inner, dict):
            del inner[last]
    began = time.monotonic()
    try:
        ready = prepare(mutated, force=data.draw(st.booleans()))
        assert ready.plan.frames * ready.plan.width * ready.plan.height < 1e8
    except KinemaError:
        pass
    assert time.monotonic() - began < 1


def test_from_python(tmp_path, monkeypatch):
    """The same checks, and the clip is generated by the loaded engine."""
    data = told(Request(prompt="a red ball", seed=1, frames=5, width=32, height=32, steps=1))
    target = write([Chunk(np.zeros((2, 32, 32, 3), np.uint8), 0, 8.0)], tmp_path / "x.mp4", manifest=data)
    with pytest.raises(pytest.fail.Exception, match="weights were loaded"):
        rerunning.rerun(target, device="cpu")
    hostile = {**data, "weights": {}}
    target = write([Chunk(np.zeros((2, 32, 32, 3), np.uint8), 0, 8.0)], tmp_path / "x.mp4", manifest=hostile)
    with pytest.raises(kinema.RequestError, match="force=True"):
        rerunning.rerun(target, device="cpu")
