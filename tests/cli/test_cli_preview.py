"""`kinema generate --preview`: looks at a clip in the making."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_tools import answer, run

from kinema.cli.preview import Previews
from kinema.core.events import Event, Preview

SMALL = ("a red ball", "--frames", "5", "--steps", "2", "--seed", "7", "--size", "32x32", "-o", "clip.mp4", "--json")


@pytest.mark.parametrize("target", ["look.png", "look.gif", "look.mp4", "looks/"])
def test_previews_are_written(target: str, model: str) -> None:
    from kinema.media.read import probe

    said = answer(run("generate", *SMALL, "--model", model, "--preview", target))
    assert said["preview"] == target
    found = sorted(Path(target).iterdir()) if target.endswith("/") else [Path(target)]
    assert found[0].stat().st_size > 100
    if target.endswith("/"):
        assert found[0].name == "step-0001.png"
    else:
        assert probe(target).num_frames >= 1
    assert not [each for each in Path().rglob("*partial*") if "home" not in each.parts]


@pytest.mark.parametrize(
    ("target", "complaint"), [("look.txt", "format"), ("nowhere/look.gif", "nowhere"), ("clip.mp4", "itself")]
)
def test_previews_that_cannot_be_are_refused_before_work(target: str, complaint: str) -> None:
    result = run("generate", *SMALL, "--preview", target)
    assert result.exit_code == 2
    assert complaint in result.output


def preview(step: int, asked: list[int]) -> Preview:
    def frames() -> np.ndarray:
        asked.append(step)
        return np.full((5, 32, 32, 3), 20 * step, np.uint8)

    return Preview("preview", step, 9, 0, frames)


def test_they_take_a_small_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked, passed = [100.0], [], []

    def clock() -> float:
        now[0] += 0.5
        return now[0]

    monkeypatch.setattr("kinema.cli.preview.time.monotonic", clock)
    previews = Previews(str(tmp_path / "look.png"), 8.0, passed.append)
    for step in range(1, 10):
        previews(preview(step, asked))
        now[0] += 1.0
    assert asked[0] == 1, "the first at once"
    assert len(asked) < 5
    assert len(passed) == 9, "every event is passed on"
    previews(Event("decode"))


def test_a_preview_that_fails_never_stops_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder").mkdir()
    asked: list[int] = []
    previews = Previews(str(tmp_path / "gone" / "look.png"), 8.0, lambda event: None)
    for step in (1, 2):
        previews(preview(step, asked))
    assert asked == [1] and previews.offered and not previews.written
    assert "Previews stopped" in capsys.readouterr().err
