"""Surfaces, patches and masks in time."""

from __future__ import annotations

import cv2
import numpy as np

from kinema.media.read import read_chunks
from kinema.propagation.camera import view
from kinema.propagation.exemplar import exemplar, is_open
from kinema.propagation.keyframe import with_patches
from kinema.propagation.membrane import membrane
from kinema.propagation.mend import mended
from kinema.propagation.patch import is_thin, patched
from kinema.propagation.sources import EVERY, KEPT, Keyframes


def test_a_membrane_continues_a_slope_and_keeps_what_is_known():
    y, x = np.mgrid[:50, :61].astype(np.float32)
    slope = 2 * x + y
    known = np.ones((50, 61), bool)
    known[15:35, 20:45] = False
    out = membrane(np.where(known, slope, 0), known)
    assert np.abs(out - slope)[known].max() < 1e-3
    assert np.abs(out - slope).max() < 8
    assert (membrane(slope, np.zeros((50, 61), bool)) == 0).all()


def test_patches_continue_stripes():
    _, x = np.mgrid[:80, :80]
    stripes = np.repeat((np.where(x // 4 % 2, 200.0, 60.0))[..., None], 3, -1).astype(np.float32)
    hole = np.zeros((80, 80), bool)
    hole[30:50, 30:52] = True
    given = np.where(hole[..., None], 0, stripes).astype(np.float32)
    for patching in ("sharp", "close"):
        out = patched(given, hole, ~hole, patching)
        assert np.abs(out - stripes)[hole].mean() < 25, patching
        assert (patched(given, hole, ~hole, patching) == out).all()
    everything = np.ones((80, 80), bool)
    assert exemplar(given, everything, ~everything).shape == given.shape


def test_patches_at_the_border_repeat_nothing_from_far_away():
    """Outpainting: a plain wall continues as a wall, though the picture contains a ball."""
    y, x = np.mgrid[:96, :160]
    noise = np.random.default_rng(0).normal(0, 2, (96, 160, 3))
    wall = (np.stack([120 + y / 2, 110 + y / 2, 100 + y / 2], -1) + noise).astype(np.float32)
    ball = (x - 40) ** 2 + (y - 48) ** 2 < 24**2
    wall[ball] = (220, 30, 30)
    hole = x >= 120
    for patching in ("sharp", "close"):
        out = patched(np.where(hole[..., None], 0, wall).astype(np.float32), hole, ~hole, patching)
        assert np.abs(out - wall)[hole].mean() < 8 and np.abs(out - wall)[hole].max() < 40, patching
    assert is_open(hole) and not is_open(ball)


def test_patches_keep_the_texture_of_a_large_hole(real_data):
    """Flowers before a plain wall, hidden by an ellipse of 0.4 of the width: leaves and flowers continue; the middle
    does not become the smoothest part of the picture. A fill begun from a smooth surface alone
    has 0.28 of the true contrast."""
    frame = next(read_chunks(real_data / "cat.mp4", stop=1, audio=False)).frames[0]
    true = cv2.resize(frame, (256, 384), interpolation=cv2.INTER_AREA)
    hole = cv2.ellipse(np.zeros((384, 256), np.uint8), (175, 75), (55, 50), 0, 0, 360, 1, -1) > 0
    out = with_patches(np.where(hole[..., None], 0, true).astype(np.uint8), hole, ~hole, "sharp")
    contrast = [np.abs(np.diff(each.astype(np.float32).mean(-1), axis=1))[hole[:, 1:]].mean() for each in (out, true)]
    assert 0.6 < contrast[0] / contrast[1] < 1.2
    assert (out[~hole] == true[~hole]).all()


def test_thin_holes_are_bridged_and_others_patched():
    """Thin is relative to the frame: the same hole, the same choice at any resolution."""
    for scale in (1, 3):
        height, width = 60 * scale, 90 * scale
        stroke, square, border = (np.zeros((height, width), bool) for _ in range(3))
        stroke[20 * scale : 40 * scale, 40 * scale : 44 * scale] = True
        square[20 * scale : 40 * scale, 40 * scale : 60 * scale] = True
        border[:, : 2 * scale] = True
        assert is_thin(stroke, height) and not is_thin(square, height) and not is_thin(border, height)
    noise = np.random.default_rng(1).integers(0, 256, (60, 90, 3)).astype(np.uint8)
    for hole, texture in ((stroke[::3, ::3], False), (square[::3, ::3], True)):
        out = with_patches(noise, hole, ~hole, "sharp")
        assert (out[~hole] == noise[~hole]).all()
        assert (out[hole].std() > 60) == texture


def test_masks_are_closed_in_time():
    masks = np.zeros((7, 4, 4), bool)
    masks[[0, 1, 3, 6], 1, 1] = True
    frames = np.zeros((7, 4, 4, 3), np.uint8)
    for radius, wanted in ((2, [1, 1, 1, 1, 1, 1, 1]), (1, [1, 1, 1, 1, 0, 0, 1])):
        out = np.stack([mask for _, mask in mended(zip(frames, masks), radius=radius)])
        assert out[:, 1, 1].astype(int).tolist() == wanted
        assert (out >= masks).all() and out.shape == masks.shape
    assert not out[:, 0].any()
    assert list(mended([])) == []


def test_keyframes_are_bounded_and_follow_the_camera():
    frame_HWC, mask_HW = np.zeros((32, 40, 3), np.uint8), np.zeros((32, 40), bool)
    found, step_33 = Keyframes(), np.array([[1, 0, -2.0], [0, 1, 0], [0, 0, 1]])
    for k in range(300):
        found.advance(step_33)
        found.add(view(k, frame_HWC, mask_HW), np.eye(3))
        assert len(found.linked) <= KEPT
    indices = [each.index for each, _ in found.linked]
    assert len(indices) == KEPT and (np.diff(indices) >= EVERY).all()
    for keyframe, to_33 in found.linked:
        assert np.allclose(to_33[:2, 2], (2.0 * (299 - keyframe.index), 0))
    found.advance(None)
    assert found.linked == []
