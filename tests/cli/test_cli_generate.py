"""`kinema generate`, `rerun`, `inspect`: clips that are really made."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_tools import answer, process, run

Made = tuple[Path, dict[str, Any]]
SMALL = ("--frames", "5", "--steps", "4", "--seed", "7", "--size", "32x32")


def frames(path: Path | str) -> np.ndarray:
    from kinema.media.read import read_video

    return read_video(path)[0]


def test_json_of_a_made_clip(made: Made) -> None:
    path, said = made
    assert said["path"] == str(path)
    assert said["bytes"] == path.stat().st_size
    assert (said["width"], said["height"], said["frames"]) == (32, 32, 5)
    assert said["seconds"] > 0
    assert said["plan"]["seed"] == 7
    assert frames(path).shape == (5, 32, 32, 3)
    assert path.with_name("clip.mp4.png").exists()
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "clip.mp4",
        "clip.mp4.json",
        "clip.mp4.png",
    ]


def test_inspect_tells_how_it_was_made(made: Made) -> None:
    found = answer(run("inspect", str(made[0]), "--json"))
    assert found["manifest"]["plan"] == made[1]["plan"] | {"estimate": None}, "which is not a fact of the clip"
    assert found["manifest"]["weights"]
    assert (found["probe"]["width"], found["probe"]["num_frames"]) == (32, 5)
    shown = run("inspect", str(made[0])).output
    assert "a red ball" in shown
    assert "h264" in shown


def test_inspect_of_a_file_that_kinema_did_not_make(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (32, 32)).save("plain.png")
    assert answer(run("inspect", "plain.png", "--json"))["manifest"] is None
    assert "No manifest" in run("inspect", "plain.png").output
    assert run("rerun", "plain.png").exit_code == 2


def test_rerun_makes_the_same_frames(made: Made, model: str) -> None:
    result = run("rerun", str(made[0]), "--model", model, "-o", "again.mp4", "--json")
    assert result.exit_code == 0, result.output
    said = answer(result)
    assert said["differences"] == []
    assert np.array_equal(frames("again.mp4"), frames(made[0]))


def test_rerun_refuses_other_weights(made: Made, model: str, tmp_path: Path) -> None:
    """A manifest whose weights have another hash is refused, unless forced."""
    copy = tmp_path / "copy.png"
    said = json.loads(made[0].with_name("clip.mp4.json").read_text())
    said["weights"] = dict.fromkeys(said["weights"], "0" * 64)
    from PIL import Image

    Image.new("RGB", (32, 32)).save(copy)
    copy.with_name("copy.png.json").write_text(json.dumps(said))
    result = run("rerun", str(copy), "--model", model, "-o", "again.mp4")
    assert result.exit_code == 2
    assert "have changed" in result.stderr
    assert not Path("again.mp4").exists()
    assert run("rerun", str(copy), "--model", model, "-o", "again.mp4", "--force").exit_code == 0
    assert Path("again.mp4").exists()


def test_default_names_overwrite_nothing(model: str) -> None:
    for name in ("kinema-red-ball-7.mp4", "kinema-red-ball-7-2.mp4"):
        result = run("generate", "A red ball, rolling!", "--model", model, *SMALL)
        assert result.exit_code == 0, result.output
        assert name in result.stdout
        assert Path(name).exists()
    assert run("rerun", "kinema-red-ball-7.mp4", "--model", model).exit_code == 0
    assert Path("kinema-red-ball-7-rerun.mp4").exists()


@pytest.mark.parametrize("target", ["x.webm", "x.gif", "x.webp", "x/"])
def test_formats(target: str, model: str) -> None:
    result = run("generate", "a red ball", "--model", model, *SMALL, "-o", target)
    assert result.exit_code == 0, result.output
    assert frames(target).shape == (5, 32, 32, 3)


def test_request_from_standard_input(model: str) -> None:
    wish = {"prompt": "a red ball", "model": model, "frames": 5, "steps": 1, "width": 32, "height": 32}
    result = run("generate", "--request", "-", "--seed", "7", "-o", "x.gif", "--json", text=json.dumps(wish))
    assert result.exit_code == 0, result.output
    assert answer(result)["plan"]["steps"] == 1


def test_resume_gives_the_identical_clip(model: str) -> None:
    first = ("generate", "a red ball", "--model", model, *SMALL)
    result = run(*first, "-o", "whole.webp", "--keep-state", "half.state", "--keep-every", "2")
    assert result.exit_code == 0, result.output
    result = run("generate", "--resume", "half.state", "--model", model, "-o", "resumed.webp", "--json")
    assert result.exit_code == 0, result.output
    assert np.array_equal(frames("whole.webp"), frames("resumed.webp"))
    result = run("generate", "--resume", "half.state", "--steps", "9", "-o", "resumed.webp")
    assert result.exit_code == 2
    assert "steps cannot be changed" in result.stderr
    result = run(*first, "--resume", "half.state", "-o", "repeated.webp")
    assert result.exit_code == 0, result.output
    assert np.array_equal(frames("whole.webp"), frames("repeated.webp"))
    result = run(*first[:-8], "--frames", "9", *first[-6:], "--resume", "half.state", "-o", "other.webp")
    assert result.exit_code == 2 and "another plan (frames, " in " ".join(result.stderr.split())
    assert json.loads(run("generate", "--resume", "half.state", "--request-only").stdout)["seed"] == 7


def test_the_request_can_be_printed_and_run() -> None:
    Path("path.txt").write_text("0,128\n256,0\n")
    typed = ("a red ball", "--size", "64x48", "--negative", "rain", "--trajectory", "path.txt", "--upscale",
             "nearest:2", "--set", "shift=4", "--set", "fps=12", "--seed", "3")  # fmt: skip
    printed = run("generate", *typed, "--request-only")
    assert printed.exit_code == 0, printed.output
    found = json.loads(printed.stdout)
    assert (found["width"], found["fps"], found["options"]) == (64, 12.0, {"shift": 4})
    assert found["conditions"] == [
        {"kind": "trajectory", "points": [[0.0, 0.5], [1.0, 0.0]], "object": "", "color": None}
    ]
    Path("request.json").write_text(printed.stdout)
    once, again = (run("plan", *each, "--json") for each in (typed, ("--request", "request.json")))
    assert [{**answer(each), "estimate": None} for each in (once,)] == [{**answer(again), "estimate": None}]


def stopped(command: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send the signal once the sampling is under way; what was told after that."""
    assert command.stderr is not None
    for line in command.stderr:
        if "sampling" in line:
            break
    time.sleep(0.3)
    command.send_signal(number)
    told = command.stderr.read()
    command.wait(timeout=60)
    return told


def test_ctrl_c_leaves_no_half_file(model: str, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    where = str(Path(model).resolve()) if Path(model).exists() else model
    long = ("--frames", "17", "--steps", "900", "--profile", "exact", "--seed", "1", "-o", "clip.mp4")
    with process("-m", "kinema", "generate", "a red ball", "--model", where, *long, cwd=folder) as command:
        told = stopped(command, signal.SIGINT)
    assert command.returncode == 130, told
    assert "Stopped." in told
    assert "Traceback" not in told
    assert list(folder.iterdir()) == []


SLOW_ENGINE = """
import time
import numpy as np
import kinema.engine.load
from kinema.cli.main import main
from kinema.core.chunk import Chunk
from kinema.core.events import Event

class Slow:
    device = "cpu"
    start_s = None

    def manifest(self, plan):
        return {}

    def stream(self, plan, on_event, **_):
        for start in range(10_000):
            yield Chunk(np.zeros((1, 32, 32, 3), np.uint8), start, 8.0)
            on_event(Event("sample"))
            time.sleep(0.02)

kinema.engine.load.load = lambda *_, **__: Slow()
main()
"""


def test_sigterm_while_encoding_keeps_the_old_file(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "clip.mp4").write_text("old")
    with process("-c", SLOW_ENGINE, "generate", "x", "--anyway", "-o", "clip.mp4", cwd=folder) as command:
        told = stopped(command, signal.SIGTERM)
    assert command.returncode == 143, told
    assert "Traceback" not in told
    assert [(each.name, each.read_text()) for each in folder.iterdir()] == [("clip.mp4", "old")]
