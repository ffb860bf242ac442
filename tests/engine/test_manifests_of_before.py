"""Manifests that were written before there was `upscale` (`enlarge`, `second`, `canvas="larger"`) still rerun."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinema.conditions.inputs import digest
from kinema.core.chunk import Chunk
from kinema.core.plan import Manifest, Plan
from kinema.core.request import Request
from kinema.engine import rerun as rerunning
from kinema.engine.load import load
from kinema.engine.plan import plan as make_plan
from kinema.media.write import write
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, sample_scene
from kinema.weights.store import find

WRITTEN: dict[str, Any] = json.loads(
    (Path(__file__).parent / "manifests_before_upscale.json").read_text(encoding="utf-8")
)
WORDS = {"prompt": "a red ball in a meadow", "seed": 5}
MODEL = "kinema-mini-zeroscope"
SOURCE = {"kind": "source", "video": "clip.mp4"}
NOW = {
    "pixel": Request(**WORDS, frames=5, steps=2, upscale="lanczos:2"),
    "second-zeroscope-then-pixel": Request(
        **WORDS, model=MODEL, frames=4, steps=3,
        upscale=[{"by": "xl", "strength": 0.6, "steps": 5, "guidance": 3.0}, 2],
    ),
    "tiles": Request(
        seed=5, model=MODEL, steps=4, canvas="upscale", upscale=1.5, conditions=(SOURCE,), options={"strength": 0.4}
    ),
}  # fmt: skip


@pytest.fixture
def manifests(tmp_path, monkeypatch) -> dict[str, Any]:
    """As they were written, but for the digests of inputs: those of the clip beside them."""
    monkeypatch.chdir(tmp_path)
    frames = render([sample_scene(8, WORLD_MINI)], num_frames=20, height=48, width=64, fps=8.0).frames_BFHWC[0].numpy()
    write([Chunk(frames, 0, 8.0)], "clip.mp4", quality="best")
    found = json.loads(json.dumps(WRITTEN))
    for data in found.values():
        data["inputs"] = {name: digest(name) for name in data["inputs"]}
    return found


@pytest.mark.parametrize("name", NOW)
def test_an_old_manifest_is_the_plan_of_the_same_request_today(name, manifests):
    assert {"enlarge", "second"} <= {*WRITTEN[name]["plan"]}, "written before"
    ready = rerunning.prepare(Manifest.from_dict(manifests[name]), Path(), device="cpu", force=True)  # other miniatures
    today = make_plan(NOW[name], device="cpu")
    assert with_newer_options(ready.plan).deciding() == today.deciding()


def with_newer_options(plan: Plan) -> Plan:
    """A plan, and those in its steps, with the defaults of options that are newer."""
    defaults = {name: option.default for name, option in find(plan.model).options.items()}
    steps = tuple(
        step.model_copy(update={"plan": with_newer_options(step.plan)}) if step.plan is not None else step
        for step in plan.upscale
    )
    return plan.model_copy(update={"options": defaults | plan.options, "upscale": steps})


def test_the_frames_are_those_of_the_new_request(manifests, tmp_path):
    name, engine = "second-zeroscope-then-pixel", load(MODEL, device="cpu")
    today = engine.digests(engine.plan(NOW[name]))
    manifests[name]["weights"] = {each.replace("upscale/0/", "second/"): value for each, value in today.items()}
    assert {*manifests[name]["weights"]} == {*WRITTEN[name]["weights"]}
    blank = np.zeros((4, 192, 192, 3), np.uint8)
    file = write([Chunk(blank, 0, 8.0)], tmp_path / "old.mp4", manifest=manifests[name])
    rerun = rerunning.rerun(file, device="cpu").frames()
    assert rerun.shape == (4, 192, 192, 3) and rerun.any()
    assert np.array_equal(rerun, engine.generate(NOW[name]).frames())
