"""Camera poses from files in RealEstate10K's layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from kinema.cli.options import PromptOptions
from kinema.cli.request import typed_conditions
from kinema.conditions.pose_file import read_poses
from kinema.conditions.rays import poses, track
from kinema.core.conditions import Camera, feature
from kinema.core.errors import MediaError, RequestError
from kinema.core.request import Request

LENS = (0.5, 0.9, 0.5, 0.4)


def written(folder, matrices_F34, first="https://example.com/clip"):
    rows = [
        " ".join(map(str, [time * 33333, *LENS, 0, 0, *matrix.ravel()])) for time, matrix in enumerate(matrices_F34)
    ]
    file = folder / "poses.txt"
    file.write_text("\n".join([first, *rows, ""]))
    return file


@pytest.mark.parametrize("move", ("pan_left", "zoom_out", "roll_right"))
def test_a_file_with_a_move_is_the_move(tmp_path, move):
    """In a world that is turned and shifted, at every second frame."""
    square = np.tile(np.eye(4), (9, 1, 1))
    square[:, :3] = poses(move, 2.0, 9).double().numpy()
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    world = np.eye(4)
    world[:3, :3], world[:3, 3] = turn * np.linalg.det(turn), (3, -2, 5)
    camera = read_poses(written(tmp_path, (np.linalg.inv(square) @ world)[:, :3]), stride=2)
    assert len(camera.poses) == 5 and feature(camera) == "camera:poses"
    found, wanted = track(camera, 5, 1.0, (1, 1, 0, 0)), track(Camera(move=move), 9, 2.0, LENS)
    assert found.lenses == (LENS,) * 5
    for frame in range(5):
        assert torch.allclose(found.rays(frame, 16, 9), wanted.rays(2 * frame, 16, 9), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: ["", "1 2 3"], "line 2: no pose"),
        (lambda rows: [*rows[:2], rows[2].replace("0.5", "x", 1)], "line 3: no pose. Legal: 19 numbers"),
        (lambda rows: rows[:1], "0 poses"),
        (lambda rows: [rows[0], " ".join(map(str, [0, *LENS, 0, 0, *[1] * 12]))], r"poses\[0\] is no camera"),
        (lambda rows: [rows[0], rows[1].replace("0.5 0.9", "0 0.9")], "focal lengths above 0"),
    ],
)
def test_refused_files(tmp_path, change, words):
    file = written(tmp_path, np.tile(np.eye(4)[:3], (3, 1, 1)))
    file.write_text("\n".join(change(file.read_text().splitlines())))
    with pytest.raises(MediaError, match=words):
        read_poses(file)


@pytest.mark.parametrize(
    ("given", "found"), [("pan_left", {"move": "pan_left"}), ("zoom_in:2.5", {"move": "zoom_in", "amount": 2.5})]
)
def test_typed_moves(given, found):
    assert typed_conditions(PromptOptions(camera=given)) == [{"kind": "camera", **found}]


@pytest.mark.parametrize(("given", "words"), [("pan", "pan_left, pan_right"), ("pan_left:much", "pan_left:1.5")])
def test_refused_moves(given, words):
    with pytest.raises(RequestError) as caught:
        typed_conditions(PromptOptions(camera=given))
    assert words in caught.value.legal


def test_a_typed_file(tmp_path):
    file = written(tmp_path, np.tile(np.eye(4)[:3], (2, 1, 1)))
    (found,) = typed_conditions(PromptOptions(camera=str(file)))
    assert Camera(**found) == read_poses(file)


def test_a_camera_has_a_move_or_poses(tmp_path):
    posed = read_poses(written(tmp_path, np.tile(np.eye(4)[:3], (2, 1, 1)), first=""))
    again = Request.from_json(Request(prompt="a hill", conditions=(posed,)).to_json())
    assert again.conditions == (posed,)
    assert "poses" not in Camera(move="still").model_dump()
    with pytest.raises(ValidationError, match="a move and its amount, or poses"):
        Camera(move="pan_left", poses=posed.poses)
