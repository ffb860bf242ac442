"""Clips for training a camera move: every one makes it, none says so."""

from __future__ import annotations

import json

import pytest
from cli_tools import run

from kinema.toyland.scene import WORLD_MINI
from kinema.toyland.understand import understand


def test_clips_of_one_move_and_style(tmp_path):
    found = run(
        "toyland", "render", "-o", str(tmp_path / "clips"), "--num", "6", "--size", "32x32", "--frames", "3", "--world",
        "mini", "--camera", "roll-left", "--style", "neon", "--motion", "stay",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    lines = [json.loads(line) for line in (tmp_path / "clips" / "metadata.jsonl").read_text().splitlines()]
    assert {line["scene"]["camera"] for line in lines} == {"roll-left"}
    assert {line["scene"]["style"] for line in lines} == {"neon"}
    assert {actor["motion"] for line in lines for actor in line["scene"]["actors"]} == {"stay"}
    assert {line["scene"]["actors"][0]["kind"] for line in lines} <= set(WORLD_MINI.kinds)
    assert all(understand(line["text"]).camera is None for line in lines)


@pytest.mark.parametrize(
    ("option", "value", "legal"),
    [("--camera", "dolly", "pan-left"), ("--style", "oil", "crayon"), ("--motion", "fly", "bounce")],
)
def test_unknown_words_are_refused(tmp_path, option, value, legal):
    found = run("toyland", "render", "-o", str(tmp_path / "clips"), option, value)
    assert found.exit_code == 2 and legal in found.output and not (tmp_path / "clips").exists()
