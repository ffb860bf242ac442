"""Objects that move by themselves behind a hole, against exact truth: a textured disc over a textured picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from kinema.propagation.camera import step, view
from kinema.propagation.fill import SceneFill, fill
from kinema.propagation.frame import Origin
from kinema.propagation.hole import around
from kinema.propagation.moving import MovingObject
from kinema.propagation.sources import chained_homographies
from kinema.propagation.track import ObjectTemplate, extrapolated, followed, interpolated

SPEED = (5.0, 1.0)


def texture(height: int, width: int, seed: int, blur_px: float = 2.5) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)
    return (128 + 160 * cv2.GaussianBlur(noise, (0, 0), blur_px)).clip(0, 255)


def scene(count: int, pan_px: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Frames of a disc that goes over a picture at SPEED (seen from the picture), before a camera that pans; where the
    disc is."""
    back, disc = texture(120, 200, 1), 0.4 * texture(41, 41, 2) + np.array([140.0, 10, 20], np.float32)
    frames, objects = [], []
    y, x = np.mgrid[:96, :144]
    for k in range(count):
        ground = cv2.warpAffine(back, np.array([[1, 0, -8 - k * pan_px], [0, 1, -8]], np.float32), (144, 96))
        at = (30 + k * SPEED[0] - k * pan_px, 40 + k * SPEED[1])
        drawn = cv2.warpAffine(disc, np.array([[1, 0, at[0] - 20], [0, 1, at[1] - 20]], np.float32), (144, 96))
        where = (x - at[0]) ** 2 + (y - at[1]) ** 2 < 18**2
        frames.append(np.where(where[..., None], drawn, ground).round().clip(0, 255).astype(np.uint8))
        objects.append(where)
    return np.stack(frames), np.stack(objects)


def crossing(clip: np.ndarray) -> np.ndarray:
    """A hole that goes the other way, faster than the disc."""
    masks = np.zeros(clip.shape[:3], bool)
    for k, mask in enumerate(masks):
        mask[22:52, 104 - 6 * k : 134 - 6 * k] = True
    return masks


def filled(clip: np.ndarray, masks: np.ndarray) -> np.ndarray:
    given = clip.copy()
    given[masks] = (0, 250, 0)
    return np.stack([each.frame_HWC for each in fill(zip(given, masks))])


def psnr(frames: np.ndarray, clip: np.ndarray, where: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-3, np.square(frames.astype(np.float32) - clip)[where].mean())))


def without_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MovingObject, "layer", lambda *_: None)


@pytest.mark.parametrize("pan_px", [0.0, 2.0])
def test_an_object_that_moves_behind_a_hole_is_brought_back(monkeypatch, pan_px):
    clip, objects = scene(15, pan_px)
    masks = crossing(clip)
    where = masks & objects
    made = filled(clip, masks)
    assert psnr(made, clip, masks) > 27
    assert psnr(made, clip, where) > 24
    without_layers(monkeypatch)
    plain = filled(clip, masks)
    assert psnr(made, clip, masks) > psnr(plain, clip, masks) + 5


def test_where_nothing_moves_by_itself_every_byte_stays(monkeypatch):
    wide = texture(96, 240, 3).astype(np.uint8)
    clip = np.stack([wide[:, 3 * k : 3 * k + 144] for k in range(12)])
    masks = crossing(clip)
    made = filled(clip, masks)
    without_layers(monkeypatch)
    assert (made == filled(clip, masks)).all()


def test_a_run_with_an_object_is_continued_with_equal_results():
    clip, _ = scene(14)
    masks = crossing(clip)
    clip[masks] = (0, 250, 0)
    pairs = list(zip(clip, masks))
    whole = [each.frame_HWC for each in fill(iter(pairs), reach=6)]
    filler = SceneFill("sharp")
    stream = fill(iter(pairs), reach=6, filler=filler)
    part = [next(stream).frame_HWC for _ in range(9)]
    stream.close()
    assert filler.moving.mask_HW is not None
    rest = fill(iter(pairs[3:]), reach=6, filler=filler, first=3, num_filled=6)
    assert (np.stack([*part, *(each.frame_HWC for each in rest)]) == np.stack(whole)).all()


def test_a_template_is_followed_through_frames_that_hide_it():
    """The camera pans by 2 px a frame; displacements are those over the ground. Frames 4 to 6 hide the disc."""
    clip, objects = scene(10, 2.0)
    masks = np.zeros(clip.shape[:3], bool)
    masks[4:7] = objects[4:7]
    views = []
    for k, (frame, mask) in enumerate(zip(clip, masks)):
        views.append(view(k, frame, mask))
        if k:
            views[k].step_33 = step(views[k - 1], views[k])
    linked = [(views[k], to_33) for k, to_33 in chained_homographies(views, 2).items()]
    hole = around(views[2], objects[2], 12)
    moved = np.full(hole.mask_HW.shape, 40, np.float32)
    found = followed(ObjectTemplate.of(hole, hole.mask_HW, moved), 2, linked, {})
    assert set(found) == {0, 1, 2, 3, 7, 8, 9}
    for index, place in found.items():
        assert np.abs(place - np.array(SPEED) * (index - 2)).max() < 0.5, index
    between = interpolated(found, range(10))
    assert np.abs(between[5] - np.array(SPEED) * 3).max() < 0.5


def test_positions_between_and_beyond_known_ones_are_linear():
    found = {2: np.array([0.0, 0.0]), 4: np.array([6.0, -2.0]), 8: np.array([18.0, -6.0])}
    between = interpolated(found, range(12))
    assert sorted(between) == [2, 3, 4, 5, 6, 7, 8]
    for index in (0, 3, 7, 10):
        place = between.get(index, extrapolated(found, index))
        assert np.allclose(place, ((index - 2) * 3, 2 - index))
    assert extrapolated({3: np.zeros(2)}, 5) is None and extrapolated({}, 5) is None


def test_its_pixels_count_as_propagated():
    clip, objects = scene(12)
    masks = crossing(clip)
    given = clip.copy()
    given[masks] = (0, 250, 0)
    found = list(fill(zip(given, masks)))
    origins = np.stack([each.origin_HW for each in found])
    assert (origins[masks & objects] == Origin.PROPAGATED).mean() > 0.9
    assert (origins[~masks] == Origin.KEPT).all()
    assert all((each.frame_HWC[~mask] == frame[~mask]).all() for each, frame, mask in zip(found, clip, masks))
