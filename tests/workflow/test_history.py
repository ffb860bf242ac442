"""The history: what was made is in it, within its bounds, whatever happened to its file; and it never stops a clip."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinema.workflow import history
from kinema.workflow.history import MAX_BYTES, MAX_ENTRIES, clear, place, read, record


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KINEMA_HISTORY", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("a.mp4").write_bytes(b"1234")


def add(prompt: str = "a red ball", **facts: object) -> None:
    assert record("a.mp4", "generated", prompt=prompt, model="m", seed=3, size=(64, 32), frames=17, fps=8.0) == ""


def test_the_newest_comes_first_with_all_that_is_known(tmp_path: Path) -> None:
    assert read() == history.History()
    add("one")
    add("two")
    entries = read().entries
    assert [entry.prompt for entry in entries] == ["two", "one"]
    one = entries[1]
    assert one.path == str(tmp_path / "a.mp4")
    assert (one.made, one.model, one.seed, one.width, one.height, one.frames, one.fps, one.bytes) == (
        "generated", "m", 3, 64, 32, 17, 8.0, 4,
    )  # fmt: skip
    assert json.loads(place().read_text().splitlines()[0])["schema"] == 1


def test_it_says_what_became_of_the_file() -> None:
    add()
    assert read().entries[0].state == "here"
    Path("a.mp4").write_bytes(b"12345")
    assert read().entries[0].state == "replaced"
    Path("a.mp4").unlink()
    assert read().entries[0].state == "gone"


def test_it_stays_within_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    add("first")
    line = place().read_bytes()
    place().write_bytes(line * 1249 + line.replace(b"first", b"last!"))
    add("newest")
    found = read().entries
    assert (len(found), found[0].prompt, found[1].prompt) == (MAX_ENTRIES, "newest", "last!")
    assert len(place().read_bytes().splitlines()) == MAX_ENTRIES
    monkeypatch.setattr(history, "MAX_BYTES", 5000)
    for number in range(40):
        add(f"{number} " + "x" * 600)
    assert place().stat().st_size <= 5000 * 1.25 + 1000
    assert read().entries[0].prompt.startswith("39 ")


@pytest.mark.parametrize(
    "junk",
    [b"no json\n", b"[]\n", b"{}\n", b"\xff\xfe\n", b'{"schema": 1}\n', b'{"schema": 1, "when": 3}\n', b"{" * 9000,
     b'{"schema": 1, "when": "x", "made": "m", "path": "a.mp4"}\n', b'{"schema": 1, "when": "2026-01-01", "made": "m", '
     b'"path": "a", "seed": true}\n', b'{"schema": 1, "when": "2026-01-01T00:0'],
)  # fmt: skip
def test_damaged_lines_are_left_out_and_told(junk: bytes) -> None:
    add("before")
    with place().open("ab") as file:
        file.write(junk)
    add("after")
    found = read()
    assert [entry.prompt for entry in found.entries] == ["after", "before"]
    assert "1 line skipped" in found.troubles[0]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_no_bytes_stop_a_clip_or_the_list(data: bytes) -> None:
    place().parent.mkdir(exist_ok=True)
    place().write_bytes(data)
    read()
    add("after")
    assert read().entries[0].prompt == "after"


def test_a_file_that_is_no_history_is_moved_aside() -> None:
    place().parent.mkdir()
    place().write_bytes(b"x" * (2 * MAX_BYTES + 1))
    assert "starts a new history" in read().troubles[0]
    add("after")
    assert [entry.prompt for entry in read().entries] == ["after"]
    assert len(list(place().parent.glob("history.jsonl.damaged-*"))) == 1
    place().unlink()
    place().mkdir()
    assert read().troubles
    add("again")
    assert [entry.prompt for entry in read().entries] == ["again"]


def test_lines_of_a_later_version_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    later = b'{"schema": 2, "what": "new"}\n'
    monkeypatch.setattr(history, "MAX_ENTRIES", 4)
    for number in range(3):
        add(str(number))
    with place().open("ab") as file:
        file.write(later + b"damaged\n")
    add("3")  # the sixth line: the file is rewritten
    assert later in place().read_bytes() and b"damaged" not in place().read_bytes()
    assert [entry.prompt for entry in read().entries] == ["3", "2"]


def test_it_can_be_turned_off_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    add()
    for word in ("off", "0", "No"):
        monkeypatch.setenv("KINEMA_HISTORY", word)
        add("secret")
    assert [entry.prompt for entry in read().entries] == ["a red ball"]
    assert clear() == 1
    assert not place().exists()
    assert clear() == 0


def test_where_it_cannot_be_written_the_clip_is_made_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    told = record("a.mp4", "generated")
    assert told.startswith("The clip is not in the history")
    assert "a file" in (tmp_path / "home").read_text()


def test_it_waits_while_another_process_writes() -> None:
    fcntl = pytest.importorskip("fcntl")
    add("first")
    worker = multiprocessing.get_context("fork").Process(target=add, args=("second",))
    with place().with_name(place().name + ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        worker.start()
        worker.join(0.3)
        waits = worker.is_alive() and len(read().entries) == 1
        fcntl.flock(lock, fcntl.LOCK_UN)  # the child has this descriptor too: closing would not let go
    worker.join(20)
    assert waits
    assert [entry.prompt for entry in read().entries] == ["second", "first"]


def _add_many(number: int) -> None:
    for index in range(30):
        record("a.mp4", "generated", prompt=f"{number}/{index}")


def test_two_processes_lose_no_line() -> None:
    if os.name == "nt":
        pytest.skip("there are no such locks here")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add_many, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {entry.prompt for entry in read().entries} == {f"{n}/{k}" for n in range(3) for k in range(30)}
