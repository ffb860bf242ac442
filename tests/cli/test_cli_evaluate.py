"""`kinema evaluate`: a tiny scorecard with two workers, and errors in words."""

from __future__ import annotations

from pathlib import Path

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
