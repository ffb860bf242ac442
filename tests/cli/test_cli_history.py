"""`kinema history --since DATE --until DATE`: by this machine's clock, both ends included."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from cli_tools import answer, run

# By the clock of Kolkata, 5.5 hours ahead of UTC.
WHEN = {
    "2026-10-31T18:29:59+00:00": "a",  # 2026-10-31 23:59
    "2026-10-31T18:30:00+00:00": "b",  # 2026-11-01 00:00
    "2026-11-29T09:00:30+00:00": "c",  # 2026-11-29 14:30
    "2026-11-29T18:29:59+00:00": "d",  # 2026-11-29 23:59
    "2026-11-30T18:30:00+00:00": "e",  # 2026-12-01 00:00
}


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> object:
    Path("home").mkdir()
    lines = [
        json.dumps({"schema": 1, "when": when, "made": "generated", "path": f"/{name}.mp4", "prompt": name})
        for when, name in WHEN.items()
    ]
    Path("home/history.jsonl").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("--since", "2026-11-01"), "edcb"),
        (("--until", "2026-10-31"), "a"),
        (("--since", "2026-11-29", "--until", "2026-11-29"), "dc"),
        (("--since", "2026-11", "--until", "2026-11"), "dcb"),
        (("--until", "2026-11-29 14:30"), "cba"),
        (("--since", "2026-11-29T14:31"), "ed"),
        (("--since", "2026-11-29 14:31", "--search", "e.mp4"), "e"),
        (("--until", "2026-12", "--limit", "2"), "ed"),
        ((), "edcba"),
    ],
)
def test_a_range_of_dates(words: tuple[str, ...], shown: str) -> None:
    assert "".join(each["prompt"] for each in answer(run("history", *words, "--json"))["shown"]) == shown


@pytest.mark.parametrize("text", ["yesterday", "2026", "2026-13", "2026-02-30", "29.11.2026", "2026-11-29 25:00", "",
                                  "\uff12\uff10\uff12\uff16-11-29", "0000-01-01"])  # fmt: skip
@pytest.mark.parametrize("option", ["--since", "--until"])
def test_what_is_no_date_is_refused(option: str, text: str) -> None:
    result = run("history", option, text)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is not a date. Legal: a month, a day or a minute, as 2026-11" in result.stderr


def test_words() -> None:
    turned = run("history", "--since", "2026-11-30", "--until", "2026-11-01")
    assert turned.exit_code == 2 and "before --since" in turned.stderr
    assert run("history", "--since", "2027-01").stdout == "Nothing in the history since 2027-01.\n"
    none = run("history", "--until", "2025-01-01", "--search", "x").stdout
    assert none == "Nothing in the history until 2025-01-01 with 'x' in it.\n"
    assert run("history", "--clear", "--since", "2026-11").exit_code == 2
