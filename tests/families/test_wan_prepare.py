"""Conditions on Wan's canvas: kept pixels have priority over inpainted ones, and these over controls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import kinema
from kinema.core.request import Request
from kinema.engine.plan import plan as make_plan
from kinema.families.wan import vace
from kinema.families.wan.prepare import prepare

LEFT_HALF = kinema.Mask(boxes=((0.0, 0.0, 0.5, 1.0),))


@pytest.fixture
def media(tmp_path):
    Image.new("RGB", (64, 64), (255, 0, 0)).save(tmp_path / "red.png")
    (tmp_path / "clip").mkdir()
    for index in range(9):
        Image.new("RGB", (64, 64), (0, 255, 10 * index)).save(tmp_path / "clip" / f"{index:05d}.png")
    return tmp_path


def prepared(*conditions, frames=17):
    return prepare(make_plan(Request(prompt="x", frames=frames, fps=8, seed=1, conditions=conditions), device="cpu"))


def test_text_alone_leaves_the_canvas_empty():
    found = prepared()
    assert found.source_BCFHW is None
    assert found.mask_BCFHW is None


def test_masked_pixels_become_gray_and_the_rest_stays(media):
    found = prepared(kinema.Source(video=str(media / "clip")), LEFT_HALF, frames=9)
    assert (found.source_BCFHW[..., :32] == 0).all(), "mid-gray is empty"
    assert (found.source_BCFHW[:, 1, :, :, 32:] == 1).all()
    assert found.mask_BCFHW[..., :32].all()
    assert not found.mask_BCFHW[..., 32:].any()


def test_frames_after_the_source_are_generated(media):
    found = prepared(kinema.Source(video=str(media / "clip")), LEFT_HALF)
    assert found.mask_BCFHW[:, :, 9:].all()
    assert (found.source_BCFHW[:, :, 9:] == 0).all()


def test_a_kept_frame_wins_over_mask_and_source(media):
    red = kinema.Image(image=str(media / "red.png"), at=3)
    found = prepared(red, LEFT_HALF, kinema.Source(video=str(media / "clip")), frames=9)
    assert found.source_BCFHW[0, :, 3].flatten(1).unique(dim=1).squeeze().tolist() == [1, -1, -1]
    assert not found.mask_BCFHW[:, :, 3].any()


def test_continue_begins_with_the_end_of_the_clip(media):
    found = prepared(kinema.Continue(clip=str(media / "clip"), frames=5))
    blue = found.source_BCFHW[0, 2, :5, 0, 0]
    assert blue.tolist() == pytest.approx([10 * index / 127.5 - 1 for index in range(4, 9)])
    assert not found.mask_BCFHW[:, :, :5].any()
    assert found.mask_BCFHW[:, :, 5:].all()


def test_paths_lie_on_black_and_over_each_other():
    one = kinema.Trajectory(points=((0.2, 0.5), (0.2, 0.5)), color=(255, 0, 0))
    two = kinema.Trajectory(points=((0.8, 0.5), (0.8, 0.5)), color=(0, 255, 0))
    found = prepared(one, two)
    assert found.mask_BCFHW.all()
    assert found.source_BCFHW[0, :, 0, 32, 12].tolist() == [1, -1, -1]
    assert found.source_BCFHW[0, :, 0, 32, 51].tolist() == [-1, 1, -1]
    assert found.source_BCFHW[0, :, 0, 0, 0].tolist() == [-1, -1, -1]


def test_lengths_come_from_what_was_given(media):
    source = kinema.Source(video=str(media / "clip"))
    assert make_plan(Request(conditions=(source,)), device="cpu").frames == 9
    with pytest.raises(kinema.RequestError, match="source"):
        make_plan(Request(conditions=(LEFT_HALF,)))
    with pytest.raises(kinema.RequestError, match="9 frames"):
        make_plan(Request(conditions=(kinema.Continue(clip=str(media / "clip"), frames=10),)))
    with pytest.raises(kinema.RequestError, match="Frame 17 is out of range"):
        make_plan(Request(conditions=(kinema.Image(image=str(media / "red.png"), at=17),)))
    with pytest.raises(kinema.MediaError, match="missing"):
        make_plan(Request(conditions=(kinema.Source(video="missing.mp4"),)))


def test_mask_packing_is_row_major_and_soft():
    soft = torch.rand(1, 1, 5, 32, 16)
    packed = vace.pack_mask(soft, 2, 8, 2)
    assert packed.shape == (1, 64, 2, 4, 2)
    # nearest-exact over time: five frames to two picks frames 1 and 3.
    for row, column in ((0, 0), (3, 5), (7, 7)):
        assert torch.equal(packed[0, 8 * row + column, 0], soft[0, 0, 1, row::8, column::8])
        assert torch.equal(packed[0, 8 * row + column, 1], soft[0, 0, 3, row::8, column::8])


def test_real_inputs(mini, real_data):
    """Any picture as first frame, a real clip with a mask: planned, prepared, generated."""
    picture = kinema.Image(image=str(real_data / "doll.png"))
    frames = mini.generate(Request(prompt="a doll", steps=1, seed=1, conditions=(picture,))).frames()
    assert frames.shape == (17, 64, 64, 3)
    source = kinema.Source(video=str(real_data / "cat.mp4"))
    silhouette = kinema.Mask(image=str(real_data / "cat_mask.png"))
    plan = mini.plan(Request(prompt=" ", steps=1, seed=1, width=64, height=96, conditions=(source, silhouette)))
    assert (plan.frames, plan.fps) == (25, 25)
    assert np.concatenate([chunk.frames for chunk in mini.stream(plan)]).shape == (25, 96, 64, 3)
