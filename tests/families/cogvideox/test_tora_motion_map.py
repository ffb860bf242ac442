"""Motion maps against OpenCV's filter, the published wheel, and the formulas of torchvision's `flow_to_image`."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from kinema.families.cogvideox.tora import motion_map


def path(*points):
    return np.array(points, float)


def line(frames, start, step):
    return np.array(start, float) + np.arange(frames)[:, None] * np.array(step, float)


def filtered(impulses_HW2, sigma=10.0, size=99):
    """As in the published code: OpenCV's filter with a Gaussian kernel divided by its middle."""
    away = np.arange(size) - size // 2
    kernel = np.exp(-(away[:, None] ** 2 + away**2) / (2 * sigma**2))
    return cv2.filter2D(impulses_HW2.astype(np.float32), -1, kernel / kernel[size // 2, size // 2])


def test_a_displacement_stands_in_the_next_frame_at_its_place_and_frame_0_is_still():
    first, second, third = motion_map.flow([path((100.7, 60.2), (104, 57), (104, 57))], 120, 200)
    assert not first.any() and not third.any()
    assert np.allclose(second[60, 100], (3.3, -3.2), atol=1e-5)
    assert np.abs(second).max(axis=(0, 1)) == pytest.approx((3.3, 3.2), abs=1e-5)  # the peak is 1
    assert second[60, 110] == pytest.approx(second[60, 100] * np.exp(-0.5), abs=1e-5)
    assert second[60, 149, 0] > 0 and second[60, 150, 0] == 0  # 99 x 99 pixels


@pytest.mark.parametrize("at", [(200, 150), (0, 0), (3, 476), (719, 479), (700, 20)])
def test_spread_equals_opencv_at_every_border(at):
    impulses = np.zeros((480, 720, 2), np.float32)
    impulses[at[1], at[0]] = (5, -2)
    got = motion_map.spread({(at[1], at[0]): np.array((5.0, -2.0))}, 480, 720)
    assert np.abs(got - filtered(impulses)).max() < 2e-5


@pytest.mark.parametrize(("side", "sigma"), [(64, 10.0), (32, 10.0), (64, 4 / 3), (16, 10.0)])
def test_spread_on_small_canvases(side, sigma):
    """Kernels larger than the canvas are mirrored more than once; other widths have kernels in proportion."""
    points = {(5, 3): np.array((1.0, 2.0)), (side - 1, side - 2): np.array((-3.0, 0.5))}
    impulses = np.zeros((side, side, 2), np.float32)
    for place, moved in points.items():
        impulses[place] = moved
    size = 2 * int(4.95 * sigma) + 1
    got = motion_map.spread(points, side, side, sigma)
    assert size == {10.0: 99}.get(sigma, 13) and np.abs(got - filtered(impulses, sigma, size)).max() < 1e-4


def test_frames_equal_the_published_procedure():
    """Positions in whole pixels: impulses of integer differences, filtered, drawn as torchvision does."""
    paths = [np.round(line(5, (300, 200), (7, -3))), np.round(line(5, (30, 460), (0, 4)))]
    flow = np.zeros((5, 480, 720, 2), np.float32)
    for points in paths:
        for i in range(4):
            (x, y), after = points[i].astype(int), points[i + 1].astype(int)
            flow[i + 1, y, x] = after - (x, y)
    for i in range(1, 5):
        flow[i] = filtered(flow[i])
    got = motion_map.draw(paths, 480, 720)
    want = colours(flow)
    assert got.shape == (5, 480, 720, 3) and got.dtype == np.uint8 and (got[0] == 255).all()
    off = np.abs(got.astype(int) - want)
    assert off.max() <= 1 and (off > 0).mean() < 2e-3  # rounding of the filter
    assert (got[1:] < 128).any()


def colours(flow_FHW2):
    """The formulas of torchvision's `flow_to_image`, in float64: the longest motion of all frames has full colour."""
    wheel = np.array(HUES)
    unit = flow_FHW2 / (np.sqrt((flow_FHW2**2).sum(-1)).max() + np.finfo(np.float32).eps)
    length = np.sqrt((unit.astype(np.float64) ** 2).sum(-1))[..., None]
    place = (np.arctan2(-unit[..., 1], -unit[..., 0]) / np.pi + 1) / 2 * 54
    low = np.floor(place).astype(int)
    part = (place - low)[..., None]
    hue = (1 - part) * wheel[low] + part * wheel[(low + 1) % 55]
    return np.floor(255 - length * (255 - hue) + 1e-6).astype(int)


HUES = (
    [(255, 17 * i, 0) for i in range(15)]
    + [(255 - int(42.5 * i), 255, 0) for i in range(6)]
    + [(0, 255, int(63.75 * i)) for i in range(4)]
    + [(0, 255 - 255 * i // 11, 255) for i in range(11)]
    + [(255 * i // 13, 0, 255) for i in range(13)]
    + [(255, 0, 255 - int(42.5 * i)) for i in range(6)]
)
"""Middlebury's wheel: 15, 6, 4, 11, 13 and 6 hues between red, yellow, green, cyan, blue, magenta and red."""


@pytest.mark.parametrize(
    ("direction", "color"),
    [((1, 0), (255, 0, 0)), ((0, 1), (255, 229, 0)), ((-1, 0), (0, 209, 255)), ((0, -1), (88, 0, 255))],
)
def test_directions_have_the_colours_of_the_published_wheel(direction, color):
    still, moved = motion_map.draw_dense(np.full((1, 4, 6, 2), direction, np.float32) * 3)
    assert (still == 255).all() and np.abs(moved.astype(int) - color).max() <= 1


def test_the_longest_motion_of_the_clip_has_full_colour():
    slow, fast = np.full((2, 4, 6, 2), (1, 0), np.float32) * np.array([1, 4])[:, None, None, None]
    frames = motion_map.draw_dense(np.stack([slow, fast]))
    assert frames[:, 0, 0].tolist() == [[255, 255, 255], [255, 191, 191], [255, 0, 0]]
    alone = motion_map.draw_dense(slow[None])
    assert alone[1, 0, 0].tolist() == [255, 0, 0]


def test_several_paths_add_and_the_later_wins_at_one_pixel():
    one, other = path((50, 50), (54, 50)), path((60, 50), (60, 53))
    both = list(motion_map.flow([one, other], 100, 100))[1]
    alone = [list(motion_map.flow([each], 100, 100))[1] for each in (one, other)]
    assert np.allclose(both, alone[0] + alone[1], atol=1e-6)
    same = list(motion_map.flow([one, path((50.5, 50.5), (50.5, 56.5))], 100, 100))[1]
    assert np.allclose(same[50, 50], (0, 6))


def test_pauses_and_points_off_the_canvas_draw_nothing():
    frames = motion_map.draw([path((10, 10), (10, 10), (20, 10), (-5, 10), (8, 12), (100, 40), (100, 30))], 40, 100)
    moving = [bool((frame < 255).any()) for frame in frames]
    assert moving == [False, False, True, True, False, True, True]  # (100, 40): the border counts as inside


def test_moving_a_point_changes_only_later_frames_if_another_motion_is_the_longest():
    """The colours of all frames depend on the clip's longest motion: only while it stays, are frames before the moved
    point unchanged."""
    points = line(9, (20, 50), (3, 0))
    other = line(9, (250, 20), (0, 9))
    changed = points.copy()
    changed[5] += (1, 4)
    before, after = (motion_map.draw([each, other], 100, 300) for each in (points, changed))
    assert [bool((a != b).any()) for a, b in zip(before, after)] == [False] * 5 + [True] * 2 + [False] * 2
    alone, moved = motion_map.draw([points], 100, 100), motion_map.draw([changed], 100, 100)
    assert (alone[1] != moved[1]).any()


def test_no_motion_at_all_and_bad_paths():
    assert (motion_map.draw([path((5, 5), (5, 5))], 16, 16) == 255).all()
    with pytest.raises(ValueError, match=r"one position per frame each, all as many; got \[2, 3\]"):
        motion_map.draw([path((5, 5), (5, 5)), path((1, 1), (2, 2), (3, 3))], 16, 16)
    with pytest.raises(ValueError, match="one position per frame"):
        motion_map.draw([], 16, 16)
    with pytest.raises(ValueError, match="not finite"):
        motion_map.draw([path((5, 5), (np.nan, 5))], 16, 16)
