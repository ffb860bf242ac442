"""`kinema evaluate`: a tiny scorecard with two workers, sets of clips, and errors in words."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from cli_tools import answer, run


def test_a_tiny_scorecard(model: str, tmp_path: Path, monkeypatch) -> None:
    from kinema.evaluation import scorecard

    monkeypatch.setattr(scorecard, "check", lambda *_, **__: {})
    words = ["--count", "2", "--task-count", "1", "--profile", "fast", "--task", "text", "--model", model]
    found = answer(run("evaluate", "miniature", "wan", *words, "-o", str(tmp_path / "card"), "--json"))
    assert found["table"]["text"]["count"]["fast"]["n"] == 2
    assert found["command"][:4] == ["kinema", "evaluate", "miniature", "wan"]
    assert (tmp_path / "card" / "scorecard.md").exists()
    again = run("evaluate", "miniature", "wan", *words, "-o", str(tmp_path / "card"), "--resume", "--workers", "2")
    assert again.exit_code == 0 and "scorecard.md" in again.stdout
    assert "0 cases" in again.stderr, "how much there is to do is said before it is done"


def test_errors_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for code, message, words in (
        (2, "No miniature 'svg'", ["svg"]),
        (2, "no such folder", ["wan", "--model", "./nothing-here"]),
        (2, "not a supported checkpoint", ["wan", "--model", str(tmp_path / "empty")]),
        (2, "No such profile: slow", ["wan", "--profile", "slow"]),
        (2, "No such task: dance", ["wan", "--task", "dance"]),
        (2, "count = 0", ["wan", "--count", "0"]),
        (2, "is a file", ["wan", "-o", str(tmp_path / "file")]),
    ):
        result = run("evaluate", "miniature", *words, "--json")
        assert result.exit_code == code, result.output
        assert message in answer(result)["message"]


@pytest.fixture(scope="module")
def two_sets(tmp_path_factory) -> Path:
    """Two folders of four clips each; the second is darker."""
    import numpy as np

    from kinema.core.chunk import Chunk
    from kinema.media.write import write

    root = tmp_path_factory.mktemp("sets")
    for name, darker in (("a", 0), ("b", 30)):
        (root / name).mkdir()
        for number in range(4):
            frames = np.full((5, 32, 32, 3), 100 + 20 * number - darker, np.uint8)
            write([Chunk(frames, 0, 8.0)], str(root / name / f"{number}.mp4"))
    return root


def test_a_folder_is_measured_against_another(two_sets: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    a, b = str(two_sets / "a"), str(two_sets / "b")
    found = run("evaluate", a, "--against", b, "--metrics", "psnr", "-o", "report")
    assert found.exit_code == 0 and "report.html" in found.stdout and "worst" in found.stdout
    data = answer(run("evaluate", "set", a, "--against", b, "--metrics", "psnr", "-o", "report", "--resume", "--json"))
    assert data["figures"]["psnr"]["value"] == pytest.approx(10 * math.log10(255**2 / 30**2), abs=0.6)
    assert data["command"] == ["kinema", "evaluate", a, "--against", b, "--metrics", "psnr"]
    one = answer(run("evaluate", f"{a}/1.mp4", "--against", f"{b}/1.mp4", "--metrics", "psnr", "--json"))
    assert one["clips"]["count"] == 1 and one["figures"]["psnr"]["low"] is None


def test_two_folders_are_compared(two_sets: Path, tmp_path: Path) -> None:
    a, b = str(two_sets / "a"), str(two_sets / "b")
    words = ["--compare", a, b, "--against", b, "--metrics", "psnr", "-o", str(tmp_path / "out")]
    found = answer(run("evaluate", *words, "--json"))
    assert found["figures"]["psnr"]["pairs"] == 4 and found["a"] == a
    assert (tmp_path / "out" / "comparison.html").exists() and (tmp_path / "out" / "a" / "report.html").exists()
    again = run("evaluate", "--compare", str(tmp_path / "out" / "a"), str(tmp_path / "out" / "b"))
    assert again.exit_code == 0 and "psnr" in again.stdout


def test_clips_that_are_left_out_are_named_with_an_exit_code(two_sets: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number in range(3):
        (tmp_path / "a" / f"{number}.mp4").write_bytes((two_sets / "a" / f"{number}.mp4").read_bytes())
    (tmp_path / "a" / "3.mp4").write_bytes(b"no video")
    found = run("evaluate", str(tmp_path / "a"), "--against", str(two_sets / "b"), "--metrics", "psnr")
    assert found.exit_code == 3 and "Left out: 3.mp4: " in found.stdout


def test_metrics_are_listed_and_wrong_words_refused(two_sets: Path, tmp_path: Path) -> None:
    listed = {each["name"]: each for each in answer(run("evaluate", "--list", "--json"))["metrics"]}
    assert listed["psnr"]["against"] == "pairs" and listed["fvd"]["better"] == "lower"
    a, b = str(two_sets / "a"), str(two_sets / "b")
    (tmp_path / "file").write_text("")
    for message, words in (
        ("No metric 'psrn'", [a, "--metrics", "psrn"]),
        ("No metrics were given", [a]),
        ("psnr compares with clips of the same names", [a, "--metrics", "psnr"]),
        ("no such file or folder", [f"{a}/none", "--against", b, "--metrics", "psnr"]),
        ("no such file or folder", [a, "--against", f"{b}/none", "--metrics", "psnr"]),
        ("--resume requires -o", [a, "--against", b, "--metrics", "psnr", "--resume"]),
        ("is a file", [a, "--against", b, "--metrics", "psnr", "-o", str(tmp_path / "file")]),
        ("is an input", [a, "--against", b, "--metrics", "psnr", "-o", a]),
        ("Nothing to evaluate", ["--metrics", "psnr", "--uniform"]),
        ("exclude each other", [a, "--compare", a, b]),
        ("has none of the names", [a, "--against", str(two_sets), "--metrics", "psnr"]),
        ("None of the metrics has statistics", [a, "--against", b, "--metrics", "psnr", "--save-statistics", "s.npz"]),
    ):
        result = run("evaluate", *words, "--json")
        assert result.exit_code == 2, (words, result.output)
        assert message in answer(result)["message"], result.output
