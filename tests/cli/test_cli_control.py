"""`kinema control`: what it writes, what it says, what it refuses, and what Ctrl-C leaves behind."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from cli_tools import answer, process, run

from kinema.core.chunk import Chunk
from kinema.media.read import probe
from kinema.media.write import write


@pytest.fixture
def clip(tmp_path: Path) -> str:
    """A bright square that moves, 9 frames of 80x64 at 10 fps, in the folder of the test."""
    frames = np.full((9, 64, 80, 3), 40, np.uint8)
    for index, frame in enumerate(frames):
        frame[20:40, 10 + 3 * index : 34 + 3 * index] = 200
    write([Chunk(frames, 0, 10.0)], tmp_path / "clip.mp4")
    return "clip.mp4"


def test_control_as_json(clip: str) -> None:
    made = answer(run("control", clip, "--kind", "edge", "-o", "edge.mp4", "--preview", "both.mp4", "--json"))
    assert {name: made[name] for name in ("path", "kind", "preview", "width", "height", "frames", "fps")} == {
        "path": "edge.mp4", "kind": "edge", "preview": "both.mp4", "width": 80, "height": 64, "frames": 9, "fps": 10.0,
    }  # fmt: skip
    found = probe("edge.mp4")
    assert (found.width, found.height, found.num_frames, found.fps) == (80, 64, 9, 10.0)
    both = probe("both.mp4")
    assert (both.width, both.height, both.num_frames, both.fps) == (160, 64, 9, 10.0)


def test_control_in_words(clip: str) -> None:
    result = run("control", clip, "--kind", "layout", "--mask", clip, "--preview", "both.png")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("clip-layout.mp4  (layout, 80x64, 9 frames, 10 fps, ")
    assert Path("both.png").is_file()
    run("control", clip, "--kind", "layout", "--mask", clip)
    assert Path("clip-layout-2.mp4").is_file(), "nothing is overwritten"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["clip.mp4"], 2, "kind"),
        (["clip.mp4", "--kind", "canny"], 2, "canny"),
        (["none.mp4", "--kind", "edge"], 2, "none.mp4: no such file"),
        (["clip.mp4", "--kind", "layout"], 2, "mask clip"),
        (["clip.mp4", "--kind", "edge", "--mask", "clip.mp4"], 2, "does not take a mask"),
        (["clip.mp4", "--kind", "edge", "--model", "x"], 2, "no option model"),
        (["clip.mp4", "--kind", "depth"], 1, "kinema models pull depth-anything"),
        (["clip.mp4", "--kind", "pose"], 1, "kinema models pull usyd-community"),
        (["clip.mp4", "--kind", "edge", "-o", "edge.txt"], 2, "edge.mp4"),
        (["clip.mp4", "--kind", "edge", "-o", "no/edge.mp4"], 2, "does not exist"),
        (["clip.mp4", "--kind", "edge", "-o", "edge.png"], 2, "one frame"),
        (["clip.mp4", "--kind", "edge", "-o", "clip.mp4"], 2, "is an input"),
        (["clip.mp4", "--kind", "edge", "-o", "a.mp4", "--preview", "a.mp4"], 2, "two names"),
        (["clip.mp4", "--kind", "edge", "--preview", "a.txt"], 2, "a.gif"),
    ],
)
def test_control_refuses(clip: str, arguments: list[str], code: int, told: str) -> None:
    result = run("control", *arguments)
    assert result.exit_code == code, result.output
    assert told in " ".join(result.stderr.split())
    assert sorted(path.name for path in Path().iterdir() if path.is_file()) == ["clip.mp4"]


def test_control_ctrl_c(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (24, 120, 160, 3), np.uint8)
    write([Chunk(np.tile(frames, (12, 1, 1, 1)), 0, 10.0)], tmp_path / "long.mp4", quality="draft")
    code = "from kinema.cli.main import main; main()"
    going = process("-c", code, "control", "long.mp4", "--kind", "scribble", "-o", "out.mp4", "--json", cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not any(tmp_path.glob(".out.partial-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    going.send_signal(signal.SIGINT)
    out, _ = going.communicate(timeout=60)
    assert going.returncode == 130
    assert json.loads(out)["error"] == "Cancelled"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["long.mp4"]
