"""Atomic writes, and leftovers of killed processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from kinema.core import leftovers
from kinema.core import whole as whole_file
from kinema.core.whole import whole


@pytest.fixture(autouse=True)
def nothing_swept_yet(monkeypatch):
    monkeypatch.setattr(leftovers, "_swept", set())


def names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def write(target: Path, text: str, **settings: bool) -> None:
    with whole(target, **settings) as beside:
        beside.write_text(text)


def test_threads_on_one_target_do_not_meet(tmp_path):
    """Every call writes to its own temporary name, so the target is always one complete text."""
    target, failures, together = tmp_path / "x.json", [], threading.Barrier(2)

    def work(text: str) -> None:
        try:
            for _ in range(20):
                with whole(target) as beside:
                    beside.write_text(text)
                    together.wait(10)
        except BaseException as error:
            failures.append(error)
            together.abort()

    threads = [threading.Thread(target=work, args=(letter * 1000,)) for letter in "ab"]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failures
    assert target.read_text() in ("a" * 1000, "b" * 1000)
    assert names(tmp_path) == ["x.json"]


def test_a_failure_leaves_the_old_file(tmp_path):
    target = tmp_path / "x.txt"
    write(target, "old")
    with pytest.raises(ZeroDivisionError), whole(target) as beside:
        beside.write_text("half")
        raise ZeroDivisionError
    with pytest.raises(FileNotFoundError), whole(tmp_path / "none"):
        pass  # a block that writes nothing
    assert (target.read_text(), names(tmp_path)) == ("old", ["x.txt"])


def test_the_disk_is_waited_for_in_the_right_order(tmp_path, monkeypatch):
    """The content is synced before the rename, the folder after; otherwise a power failure may leave an empty file."""
    told = []
    real_sync, real_replace = whole_file.sync, Path.replace
    monkeypatch.setattr(whole_file, "sync", lambda path: (told.append(path.is_dir()), real_sync(path)))
    monkeypatch.setattr(Path, "replace", lambda self, target: (told.append("rename"), real_replace(self, target))[1])
    write(tmp_path / "x", "a")
    assert told == [False, "rename", True]
    told.clear()
    write(tmp_path / "x", "a", durable=False)
    assert told == ["rename"]


@pytest.mark.parametrize("name", ["n" * 255, "n" * 251 + ".mp4", "\u00e9" * 127, "a." + "s" * 250])
def test_the_longest_names(tmp_path, name):
    write(tmp_path / name, "long")
    assert names(tmp_path) == [name]
    assert len(os.fsencode(whole_file.hidden(tmp_path / name).name)) + 8 <= 255


def test_permissions_follow_the_umask_and_the_replaced_file(tmp_path):
    """Writers that make their own temporary file (safetensors) leave 0600."""
    before = os.umask(0o027)
    try:
        target = tmp_path / "x"
        with whole(target) as beside:
            beside.touch(0o600)
        assert target.stat().st_mode & 0o777 == 0o640
        target.chmod(0o604)
        write(target, "again")
        assert target.stat().st_mode & 0o777 == 0o604
    finally:
        os.umask(before)


KILLED = """
import sys, time
from pathlib import Path
from kinema.core.leftovers import temporary_folder
from kinema.core.whole import hidden, whole
folder = Path(sys.argv[1])
with whole(folder / "x.mp4") as beside, temporary_folder("test") as place:
    beside.write_text("half")
    (place / "in.bin").write_text("half")
    frames = hidden(folder / "frames")
    frames.mkdir()
    (frames / "00000.png").touch()
    print("there", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path, monkeypatch):
    out, temp = tmp_path / "out", tmp_path / "tmp"
    out.mkdir(), temp.mkdir()
    strangers = [".x.partial-1-2.mp4", ".kept.partial", ".y.partial-ffffff-1-1.mp4", "kinema-1.mp4"]
    for name in strangers:
        (out / name).touch()
    (temp / "kinema-mine").mkdir()
    running = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(out)], stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(temp)}
    )
    assert running.stdout is not None and running.stdout.readline() == b"there\n"
    monkeypatch.setattr(tempfile, "tempdir", str(temp))
    try:
        write(out / "y.mp4", "whole")
        with leftovers.temporary_folder("test"):
            assert len(names(temp)) == 3, "a running process keeps its own"
        assert len(names(out)) == len(strangers) + 3
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    leftovers._swept.clear()
    write(out / "z.mp4", "whole")
    with leftovers.temporary_folder("test"):
        pass
    assert sorted(names(out)) == sorted([*strangers, "y.mp4", "z.mp4"])
    assert names(temp) == ["kinema-mine"]


def test_a_number_that_another_process_has_by_now(tmp_path):
    """In a container the next process may reuse the pid of the killed one; it started after the file was changed."""
    left, fresh = (whole_file.hidden(tmp_path / name) for name in ("old.mp4", "new.mp4"))
    left.touch(), fresh.touch()
    hours_ago = time.time() - 86_400 * 365
    os.utime(left, (hours_ago, hours_ago))
    leftovers._swept.clear()
    leftovers.sweep(tmp_path)
    assert names(tmp_path) == [fresh.name]


def test_other_machines_are_given_time(tmp_path):
    young, old = tmp_path / ".a.partial-ffffff-1-1.mp4", tmp_path / ".b.partial-ffffff-1-1.mp4"
    young.touch(), old.touch()
    long_ago = time.time() - 8 * 86_400
    os.utime(old, (long_ago, long_ago))
    leftovers.sweep(tmp_path)
    assert names(tmp_path) == [young.name]


def test_links_are_not_followed(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    out = tmp_path / "out"
    out.mkdir()
    link = out / f".x.partial-{leftovers._machine()}-999999999-1"
    link.symlink_to(tmp_path / "precious")
    leftovers.sweep(out)
    assert (tmp_path / "precious" / "file").exists()
