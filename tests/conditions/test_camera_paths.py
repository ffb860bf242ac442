"""Camera moves as dense paths: the directions are Toyland's, and every frame is covered."""

import numpy as np
import pytest

from kinema.conditions.camera import dense_paths
from kinema.core.conditions import Camera, CameraMove
from kinema.core.errors import RequestError
from kinema.toyland.pose import pose
from kinema.toyland.scene import Actor, Scene

MOVES = CameraMove.__args__
SIZE = (96, 64)


def of_toyland(move: str, amount: float, start_N2: np.ndarray, frames: int) -> np.ndarray:
    """Where points of the first frame go in Toyland (N, F, 2), by the formula of its renderer."""
    width, height = SIZE
    scene = Scene(
        actors=(Actor("ball", "red"),), camera=move.replace("_", "-"), camera_amount=amount, duration=(frames - 1) / 8
    )
    at = pose(scene, num_frames=frames, height=height, width=width, fps=8)
    middle = np.array(SIZE) / 2

    def turned(points, angle):
        cos, sin = np.cos(angle), np.sin(angle)
        return points @ np.array([[cos, sin], [-sin, cos]])

    plane = turned(start_N2 - middle, -at.roll_F[0]) / (at.zoom_F[0] * height) + at.shift_F2[0]
    return np.stack([
        turned((plane - at.shift_F2[f]) * at.zoom_F[f] * height, at.roll_F[f]) + middle for f in range(frames)
    ], 1)  # fmt: skip


@pytest.mark.parametrize("move", [move for move in MOVES if move != "still"])
def test_a_move_is_that_of_toyland(move):
    amounts = {"pan": 0.27, "tilt": 0.25, "zoom": 0.45, "roll": 0.08}
    found = dense_paths(Camera(move=move), 9, SIZE)
    assert found.shape[1:] == (9, 2) and found.dtype == np.float64
    want = of_toyland(move, amounts[move.split("_")[0]], found[:, 0], 9)
    np.testing.assert_allclose(found, want, atol=1e-9)
    twice = dense_paths(Camera(move=move, amount=2.0), 9, SIZE)
    assert np.abs(np.diff(twice, axis=1)).max() > 1.2 * np.abs(np.diff(found, axis=1)).max()


@pytest.mark.parametrize("move", MOVES)
def test_every_frame_is_covered_and_a_still_camera_moves_nothing(move):
    found = dense_paths(Camera(move=move), 5, SIZE, cells=8)
    for frame in range(5):
        for x in np.linspace(0, 95, 12):
            for y in np.linspace(0, 63, 12):
                nearest = np.hypot(*(found[:, frame] - (x, y)).T).min()
                assert nearest < 0.75 * 8 * 1.5, "a point of the grid is near every place of every frame"
    assert (np.ptp(found, axis=1).max() == 0) == (move == "still")
    one = dense_paths(Camera(move=move), 1, SIZE)
    assert one.shape == (16 * 24, 1, 2), "the grid of the first frame"


def test_wrong_numbers_are_refused():
    for frames, size, cells in ((0, SIZE, 4), (5, (0, 64), 4), (5, SIZE, 0)):
        with pytest.raises(RequestError, match="1 or more each"):
            dense_paths(Camera(move="still"), frames, size, cells)
