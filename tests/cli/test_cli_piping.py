"""Where `-o` leads: standard output for -, a file for a name without an ending, a folder only with its slash."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_tools import run

from kinema.core.chunk import Chunk
from kinema.media.read import probe, read_image, read_video
from kinema.media.write import write


@pytest.fixture
def clip(tmp_path: Path) -> str:
    frames_FHWC = np.full((12, 32, 48, 3), (60, 140, 70), np.uint8)
    frames_FHWC[:, 8:20, 8:20] = (210, 50, 40)
    write([Chunk(frames_FHWC, 0, 12.0, np.zeros((48000, 1), np.float32))], tmp_path / "clip.mp4")
    return "clip.mp4"


COMMANDS = {
    "upscale": ("upscale", "clip.mp4", "--by", "lanczos"),
    "interpolate": ("interpolate", "clip.mp4", "--by", "blend"),
    "control": ("control", "clip.mp4", "--kind", "edge"),
    "mask": ("mask", "clip.mp4", "--box", "8,8,12,12"),
    "score": ("score", "clip.mp4", "--theme", "calm"),
    "music": ("music", "calm", "--seconds", "5"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_the_file_and_nothing_else_goes_to_standard_output(clip, command, as_json):
    if command in ("score", "music") and as_json:
        pytest.skip("as the others, and these take seconds")
    before = {*Path().iterdir(), Path("home")}  # home: where Kinema remembers how long such work takes
    found = run(*COMMANDS[command], "-o", "-", *as_json)
    assert found.exit_code == 0, found.stderr
    assert {*Path().iterdir(), Path("home")} == before
    data = found.stdout_bytes
    if command == "music":
        assert data[:4] == b"RIFF"
    else:
        assert data[4:8] == b"ftyp" and data.index(b"moov") < data.index(b"mdat"), "a player begins before the end"
        Path("piped.mp4").write_bytes(data)
        assert probe("piped.mp4").num_frames >= 4
    assert "kinema-piped" not in found.stderr and ("-  (" in found.stderr or '"path": "-"' in found.stderr)


def test_generated_clips_too(made):
    """And the frames are those of the file."""
    source, _ = made
    found = run("rerun", str(source), "-o", "-", "--force")
    assert found.exit_code == 0, found.stderr
    Path("piped.mp4").write_bytes(found.stdout_bytes)
    assert np.array_equal(read_video("piped.mp4")[0], read_video(source)[0])


def test_formats_of_standard_output(clip):
    found = run(*COMMANDS["interpolate"], "-o", "-", "--format", "gif")
    assert found.exit_code == 0 and found.stdout_bytes.startswith(b"GIF8")
    for wrong in (("-o", "-", "--format", "avi"), ("-o", "x.mp4", "--format", "webm")):
        refused = run(*COMMANDS["interpolate"], *wrong)
        assert refused.exit_code == 2 and "mp4, webm, gif, webp" in refused.stderr


def test_errors_leave_standard_output_empty(clip):
    found = run("upscale", "no.mp4", "--by", "lanczos", "-o", "-", "--json")
    assert (found.exit_code, found.stdout) == (2, "") and "no such file" in found.stderr


def test_a_terminal_gets_no_bytes(clip, monkeypatch):
    monkeypatch.setattr("kinema.engine.upscale.resampled", lambda *_: pytest.fail("work was begun"))
    from typer.testing import CliRunner

    from kinema.cli.main import app

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    import kinema.cli.piping as piping

    monkeypatch.setattr(piping, "sys", type("Sys", (), {"stdout": Terminal(), "stderr": sys.stderr}))
    found = CliRunner().invoke(app, ["upscale", clip, "--by", "lanczos", "-o", "-"])
    assert found.exit_code == 2 and "terminal" in found.stderr


@pytest.mark.parametrize("command", ["upscale", "interpolate", "control", "mask"])
def test_a_name_without_an_ending(clip, command):
    found = run(*COMMANDS[command], "-o", "ball")
    assert found.exit_code == 0, found.output
    assert probe("ball.mp4").num_frames >= 4 and not Path("ball").exists()
    assert "writing ball.mp4" in found.stderr
    folder = run(*COMMANDS[command], "-o", "frames/")
    assert folder.exit_code == 0 and read_image("frames/00000.png").ndim == 3
    again = run(*COMMANDS[command], "-o", "frames")
    assert again.exit_code == 2 and "frames/" in again.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("toyland", "render", "-o", "-"),
        ("train", "lora", "--out", "-"),
        ("evaluate", "miniature", "wan", "-o", "-"),
        ("evaluate", "inpainting", "-o", "-"),
        ("channel", "playlist", "-o", "-"),
    ],
)
def test_folders_do_not_go_to_standard_output(arguments):
    found = run(*arguments)
    assert (found.exit_code, found.stdout) == (2, "") and "standard output" in found.stderr
    assert not Path("-").exists()
