"""Upscaling by a model: consistent tiles, windows in time, the clip's colours, frame rate and sound."""

from __future__ import annotations

import numpy as np
import pytest

import kinema
from kinema.core import windows
from kinema.core.chunk import Chunk
from kinema.core.errors import RequestError
from kinema.core.family import Window
from kinema.core.plan import Plan, Span
from kinema.engine.generate import generate
from kinema.engine.load import load
from kinema.engine.tiles import tiled
from kinema.engine.upscale import upscale
from kinema.media.manifest import read_manifest
from kinema.media.read import read_chunks
from kinema.media.write import write
from kinema.post.composite import match_colors
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, sample_scene

MODEL = "kinema-mini-zeroscope"
FEW = {"model": MODEL, "steps": 4, "seed": 5, "profile": "exact", "guidance": 1.0}


@pytest.fixture(scope="module")
def engine():
    return load(MODEL, device="cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """20 frames with sound."""
    frames = render([sample_scene(8, WORLD_MINI)], num_frames=20, height=48, width=64, fps=8.0).frames_BFHWC[0].numpy()
    sound = np.sin(np.arange(20 * 6000) / 20)[:, None].astype(np.float32) / 4
    path = tmp_path_factory.mktemp("upscale") / "clip.mp4"
    write([Chunk(frames, 0, 8.0, sound)], path, quality="best", manifest={"plan": {"prompt": "a red ball", "seed": 9}})
    return path


def test_one_tile_is_the_model_itself(engine):
    plan = engine.plan("a red ball", frames=2, **FEW).model_copy(
        update={"options": engine.plan("x").options | {"strength": 0.6}}
    )
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
    window = Window(pixels, np.ones((2, 64, 64), np.float32))
    alone, in_tiles = (
        np.concatenate([chunk.frames for chunk in generate(plan, family, window=window)])
        for family in (engine.family, tiled(engine.family, windows.over_picture((64, 64), (64, 64), 8)))
    )
    assert np.abs(alone.astype(int) - in_tiles).max() <= 1


def test_tiles_agree_at_their_edges(engine):
    """Two tiles side by side: the picture changes no more where one begins or ends than elsewhere, although tiles that
    are made apart differ where they meet."""
    scene = render([sample_scene(21, WORLD_MINI)], num_frames=2, height=96, width=144, fps=8.0).frames_BFHWC[0].numpy()
    pixels = scene[:, :64, :112].astype(np.float32) / 127.5 - 1
    tiling = windows.over_picture((112, 64), (64, 64), 8)
    assert tiling.places == ((0, 0), (48, 0))
    plan = engine.plan("a meadow", frames=2, **{**FEW, "steps": 6})
    plan = plan.model_copy(update={"width": 112, "options": plan.options | {"strength": 0.85}})
    window = Window(pixels, np.ones(pixels.shape[:3], np.float32))
    together = next(generate(plan, tiled(engine.family, tiling), window=window)).frames.astype(float)
    apart = []
    for left, _ in tiling.places:
        part = Window(pixels[:, :, left : left + 64], np.ones((2, 64, 64), np.float32))
        tile = plan.model_copy(update={"width": 64, "seed": left})
        apart.append(
            np.concatenate([chunk.frames for chunk in generate(tile, engine.family, window=part)]).astype(float)
        )
    shared = np.abs(apart[0][:, :, 48:] - apart[1][:, :, :16]).mean()

    def step(frames, column):
        return np.abs(np.diff(frames, axis=2))[:, :, column].mean()

    elsewhere = np.median([step(together, column) for column in range(8, 104)])
    assert shared > 2 * elsewhere, "made apart, tiles differ: there is something to agree on"
    for column in (47, 48, 63, 64):
        assert step(together, column) < 2 * elsewhere


def test_the_plan_says_windows_and_tiles(clip):
    request = upscale(clip, scale=1.5, **{**FEW, "steps": 3}, strength=0.4)
    assert (request.prompt, request.seed, request.options["strength"]) == ("", 5, 0.4), "in tiles, without its words"
    plan = kinema.plan(request)
    assert plan.size == (96, 72) and (plan.width, plan.height) == (64, 64)
    assert plan.frames == 20 and plan.fps == 8.0
    assert [(span.start, span.stop) for span in plan.spans] == [(0, 16), (4, 20)]
    whole = kinema.plan(request.changed(width=96, height=80)).estimate
    assert whole.pflop < plan.estimate.pflop < 4 * whole.pflop, "tiles overlap"


def test_windows_sound_colours_and_rerun(engine, clip, tmp_path):
    """20 frames in two windows of 12 that share 4, and the metadata of the file."""
    request = upscale(clip, scale=1, width=32, height=48, **{**FEW, "steps": 3}, strength=0.4)
    spans = (Span(start=0, stop=12), Span(start=8, stop=20))
    plan = engine.plan(request).model_copy(update={"spans": spans})
    chunks = list(engine.stream(plan))
    assert [(chunk.start, len(chunk.frames)) for chunk in chunks] == [(0, 8), (8, 12)]
    frames = np.concatenate([chunk.frames for chunk in chunks])
    assert frames.shape == (20, 48, 64, 3) and sum(len(chunk.audio) for chunk in chunks) == 20 * 6000
    given = np.concatenate([chunk.frames for chunk in read_chunks(clip)]).astype(float)
    assert 0.5 < np.abs(frames - given).mean() < 12, "it is the same clip, drawn anew"
    assert np.abs((frames - given).mean((1, 2))).max() < 2.5, "in its own colours"
    changes = np.abs(np.diff(frames.astype(float), axis=0)).mean((1, 2, 3))
    assert changes[7:12].max() < 2 * np.median(changes), "windows pass into each other"

    path = write(chunks, tmp_path / "large.mp4", manifest=engine.manifest(plan))
    noted = read_manifest(path)
    again = engine.generate(Plan.from_dict(noted["plan"])).frames()
    assert np.array_equal(again, frames) and noted["inputs"]


def test_colours_that_change_slowly_are_the_clips():
    rng = np.random.default_rng(0)
    true = np.full((2, 64, 64, 3), 120, np.uint8)
    made = (true + 30 + rng.integers(-20, 20, true.shape)).astype(np.uint8)
    found = match_colors(made, true, 8.0)
    assert abs(found.astype(float).mean() - 120) < 1 and 0.8 * made.std() < found.std() < 1.1 * made.std()


def test_what_cannot_be_is_refused(clip, tmp_path):
    source = {"kind": "source", "video": str(clip)}
    upscaled = {"canvas": "upscale", "conditions": [source]}
    with pytest.raises(RequestError, match="canvas = upscale") as refused:
        kinema.plan("x", model="kinema-mini-svd", **upscaled)
    assert MODEL in refused.value.models
    with pytest.raises(RequestError, match="No clip"):
        kinema.plan("x", model=MODEL, canvas="upscale")
    with pytest.raises(RequestError, match="the clip's own frames"):
        kinema.plan("x", model=MODEL, frames=8, **upscaled)
    with pytest.raises(RequestError, match="does not support outpainting"):
        kinema.plan("x", model=MODEL, canvas="upscale", conditions=[{**source, "grow": (0.2, 0, 0, 0)}])
    with pytest.raises(RequestError, match=r"scale.* = 0\.5"):
        kinema.plan("x", model=MODEL, upscale=0.5, **upscaled)
    with pytest.raises(RequestError, match="strength"):
        kinema.plan("x", model=MODEL, options={"strength": 3}, **upscaled)
    bare = tmp_path / "bare.mp4"
    write([Chunk(np.zeros((2, 32, 32, 3), np.uint8), 0, 8.0)], bare)
    with pytest.raises(RequestError, match="no manifest with a prompt"):
        upscale(bare)
    assert upscale(bare, "").model == MODEL


@pytest.mark.parametrize("model", ["kinema-mini-animatediff", "kinema-mini-wan"])
def test_any_family_that_begins_with_a_clip(clip, model):
    plan = kinema.plan(upscale(clip, model=model, steps=2))
    assert plan.size == (128, 96) and plan.estimate.seconds > 0
