"""Points tracked with Lucas and Kanade's flow: known motions, Toyland's exact tracks, occlusion, loss."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.core.errors import MediaError, RequestError
from kinema.evaluation.cases import ClipShape, cases, one_object
from kinema.segmentation.point_track import PointTrack, track_points
from kinema.toyland.scene import WORLD_SMALL

SIDE = 160


def textured(seed: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (height // 8 + 2, width // 8 + 2, 3))
    return np.kron(coarse, np.ones((8, 8, 1)))[:height, :width].astype(np.uint8)


def moving(path_F2, size=44, hidden=(), seed=1) -> list[np.ndarray]:
    """A textured square whose centre follows a path (pixel indices) on a calm background; hidden: frames without it."""
    patch = textured(seed, size, size)
    frames = []
    for index, (x, y) in enumerate(path_F2):
        frame = np.full((SIDE, SIDE, 3), (70, 110, 90), np.uint8)
        left, top = round(x - (size - 1) / 2), round(y - (size - 1) / 2)
        if index not in hidden:
            frame[top : top + size, left : left + size] = patch
        frames.append(frame)
    return frames


LINE = np.stack([np.linspace(40, 110, 15).round() + 0.5, np.linspace(50, 92, 15).round() + 0.5], 1)


def test_a_known_motion_is_followed_to_a_fraction_of_a_pixel():
    start = (LINE[0] + 0.5) / SIDE
    (track,) = track_points(moving(LINE), [tuple(start)])
    assert track.seen_F.all() and track.lost() == []
    assert np.hypot(*(track.positions_F2 - LINE).T).max() < 0.3
    left, top = (LINE[0] - 21.5) / SIDE
    (boxed,) = track_points(moving(LINE), boxes=[(left, top, left + 44 / SIDE, top + 44 / SIDE)])
    assert np.hypot(*(boxed.positions_F2 - LINE).T).max() < 0.8
    again = track_points(moving(LINE), [tuple(start)])[0]
    assert (again.positions_F2 == track.positions_F2).all(), "deterministic"


def test_several_points_of_one_clip():
    still = np.repeat(LINE[:1], len(LINE), 0)
    tracks = track_points(
        [np.concatenate([a, b], 1) for a, b in zip(moving(LINE), moving(still, seed=2))],
        [((LINE[0, 0] + 0.5) / (2 * SIDE), (LINE[0, 1] + 0.5) / SIDE),
         ((SIDE + LINE[0, 0] + 0.5) / (2 * SIDE), (LINE[0, 1] + 0.5) / SIDE)],
    )  # fmt: skip
    assert np.hypot(*(tracks[0].positions_F2 - LINE).T).max() < 0.5
    assert np.hypot(*(tracks[1].positions_F2 - still - (SIDE, 0)).T).max() < 0.3


def test_a_hidden_object_is_marked_and_found_again():
    (track,) = track_points(moving(LINE, hidden=(6, 7, 8)), [tuple((LINE[0] + 0.5) / SIDE)])
    assert track.lost() == [(6, 8)]
    error_F = np.hypot(*(track.positions_F2 - LINE).T)
    assert error_F[track.seen_F].max() < 0.6
    assert (track.positions_F2[6] == track.positions_F2[5]).all(), "the last position, while it is hidden"


def test_an_object_that_does_not_come_back_stays_lost():
    (track,) = track_points(moving(LINE, hidden=range(9, 15)), [tuple((LINE[0] + 0.5) / SIDE)])
    assert track.lost() == [(9, 14)]
    assert PointTrack(np.zeros((4, 2)), np.array([True, False, True, False])).lost() == [(1, 1), (3, 3)]


def test_toyland_s_exact_tracks():
    """Held-out clips: the centre of the object is clicked on the first frame."""
    medians, seen = [], []
    for case in cases(WORLD_SMALL, 5, ClipShape(17, 64, 64, 8.0), one_object, first=20_500_000):
        path_F2 = case.path_F2()
        (track,) = track_points(case.frames_FHWC, [tuple(path_F2[0])])
        error_F = np.hypot(*((track.positions_F2 + 0.5) / 64 - path_F2).T) * 100
        medians.append(np.median(error_F[track.seen_F]))
        seen.append(track.seen_F.mean())
    assert np.median(medians) < 0.5, medians
    assert np.mean(seen) > 0.85


def test_what_cannot_be_followed_is_refused():
    blank = [np.full((SIDE, SIDE, 3), 90, np.uint8)] * 3
    with pytest.raises(RequestError, match=r"0\.500,0\.500 lies in an area without details"):
        track_points(blank, [(0.5, 0.5)])
    with pytest.raises(RequestError, match=r"box .* has no details"):
        track_points(blank, boxes=[(0.2, 0.2, 0.4, 0.4)])
    with pytest.raises(RequestError, match="requires a point or a box"):
        track_points(blank)
    with pytest.raises(MediaError, match="no frames"):
        track_points([], [(0.5, 0.5)])
