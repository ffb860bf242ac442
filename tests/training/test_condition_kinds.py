"""Each kind of condition shows what its name says, and the rest is gray."""

import numpy as np
import pytest

from kinema.conditions.layout import draw_boxes
from kinema.toyland.palette import OBJECT_COLORS
from kinema.toyland.render import render
from kinema.toyland.scene import Actor, Scene
from kinema.training.data import condition_kinds

SCENE = Scene(actors=(Actor("ball", "red", "right", radius=0.15),), background="meadow", detail="plain")


@pytest.fixture(scope="module")
def clip():
    out = render([SCENE], num_frames=17, height=64, width=64)
    return condition_kinds.GroundTruthClip(
        SCENE, out.frames_BFHWC[0].numpy(), out.masks_BNFHW[0].numpy(), out.tracks_BNF2[0].numpy()
    )


def told(clip, kind, seed=0):
    return condition_kinds.KINDS[kind][1](clip, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", condition_kinds.NAMES)
def test_what_is_kept_is_the_clip_and_the_rest_is_gray_or_a_drawing(clip, kind):
    for seed in range(6):
        source, mask = told(clip, kind, seed)
        assert source.shape == (17, 64, 64, 3) and source.dtype == np.float32 and np.abs(source).max() <= 1
        assert mask.shape == (17, 64, 64) and mask.dtype == bool
        assert np.array_equal(source[~mask], clip.unit[~mask])
        if kind not in ("dots", "first_and_dots", "layout", "source"):
            assert not source[mask].any()


def test_frames_that_are_kept(clip):
    kept = {name: ~told(clip, name)[1].any((1, 2)) for name in ("first", "last", "first_last")}
    assert list(np.flatnonzero(kept["first"])) == [0]
    assert list(np.flatnonzero(kept["last"])) == [16]
    assert list(np.flatnonzero(kept["first_last"])) == [0, 16]
    after, before = ~told(clip, "extend_after")[1].any((1, 2)), ~told(clip, "extend_before")[1].any((1, 2))
    assert after[:5].all() and not after[9:].any()
    assert before[-4:].all() and not before[:8].any()


def test_boxes_silhouettes_and_empty_places_know_where_the_object_is(clip):
    seen = clip.masks_NFHW[0]
    for seed in range(20):
        _, mask = told(clip, "silhouette", seed)
        assert mask[seen].all() and mask.mean() < 0.3
        _, mask = told(clip, "empty_place", seed)
        assert not (mask & seen.any(0)).any()
    boxes = [told(clip, "box", seed)[1] for seed in range(40)]
    assert sum(bool(mask[seen].all()) for mask in boxes) > 25
    assert any(not np.array_equal(mask[0], mask[-1]) for mask in boxes) and all(mask.any() for mask in boxes)


def test_a_removal_hides_the_object_in_every_frame_and_a_source_is_answered_as_it_is(clip):
    seen = clip.masks_NFHW[0]
    masks = [told(clip, "removal", seed)[1] for seed in range(12)]
    assert all(mask[seen].all() and mask.mean() < 0.7 for mask in masks)
    assert {np.array_equal(mask[0], mask[-1]) for mask in masks} == {True, False}
    shown = condition_kinds.TARGETS["removal"](clip, told(clip, "removal"))
    near = np.any([np.roll(seen, (y, x), (1, 2)) for y in range(-2, 3) for x in range(-2, 3)], axis=0)
    outside = ~near  # the outline of an object is a little wider than its mask
    assert np.array_equal(shown[outside], clip.unit[outside]) and not np.allclose(shown[seen], clip.unit[seen])
    gray = 0
    for seed in range(20):
        hint, mask = told(clip, "source", seed)
        kept = hint.any(-1)
        assert mask.all() and np.array_equal(hint[kept], clip.unit[kept]) and kept.mean() > 0.3
        assert condition_kinds.TARGETS["source"](clip, (hint, mask)) is hint
        gray += not kept.all()
    assert 3 < gray < 15


def test_kinds_can_be_left_out():
    rng = np.random.default_rng(0)
    drawn = {condition_kinds.choose(rng, leave_out=("removal", "first")) for _ in range(2000)}
    assert drawn == set(condition_kinds.NAMES) - {"removal", "first"}


def test_outpainting_keeps_one_window(clip):
    for seed in range(20):
        _, mask = told(clip, "outpaint", seed)
        rows, columns = np.nonzero(~mask[0])
        assert mask.any() and not mask[0, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].any()
        assert (mask == mask[0]).all()


def test_dots_walk_with_the_object(clip):
    frames = condition_kinds.draw_dots(clip, np.random.default_rng(1))
    x, y = clip.tracks_NF2[0, 8]
    assert tuple(frames[8, round(y), round(x)]) in (OBJECT_COLORS["red"], (255, 255, 255))
    source, mask = told(clip, "first_and_dots")
    assert not mask[0].any() and mask[1:].all() and np.array_equal(source[0], clip.unit[0])


def test_boxes_are_thin_lines_on_white():
    frames = draw_boxes(np.array([[[0.25, 0.25, 0.75, 0.5], [np.nan] * 4]]), 64, 64)
    assert frames.shape == (2, 64, 64, 3) and (frames[1] == 255).all()
    assert tuple(frames[0, 16, 16]) == (0, 0, 0) == tuple(frames[0, 32, 48]) and tuple(frames[0, 20, 20]) == (255,) * 3
    assert (frames[0, ..., 0] == 0).sum() == 2 * (33 + 15)
    red = draw_boxes(np.array([[[0, 0, 1, 1]]]), 64, 64, [(200, 0, 0)])
    assert tuple(red[0, 0, 0]) == (200, 0, 0) == tuple(red[0, 63, 63])
