"""The library: round trips, eviction that spares upcoming clips, waiting for a locked database."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest

from kinema.channel.conform import Conformed
from kinema.channel.library import Aired, Library, LibraryBusy, LibraryClip
from kinema.core.errors import MediaError, RequestError


@pytest.fixture
def library(tmp_path):
    with Library.open(tmp_path) as opened:
        yield opened


def put(library, id, num_bytes=1000, **more):
    path = library.clip_path(id)
    path.write_bytes(id.encode().ljust(num_bytes, b"."))
    return library.add(LibraryClip.of(id, Conformed(path, 48, "f" * 64, 2.0, 0, ""), f"Title of {id}", **more))


def test_a_clip_comes_back_as_it_was_put_in(library, tmp_path):
    clip = put(library, "one", prompt="a boat", theme="sea", made_at=5.0, shot={"seed": 3})
    again = Library.open(tmp_path).get("one")
    assert again == clip
    assert (again.frames, again.fps, again.seconds, again.bytes, again.theme) == (48, 24.0, 2.0, 1000, "sea")
    assert again.shot == {"seed": 3} and again.path == tmp_path / "clips" / "one.mp4" and len(again.sha256) == 64


def test_adding_again_keeps_what_became_of_the_clip(library):
    put(library, "one", made_at=5.0)
    library.aired("one", 100.0)
    library.ban("one", "ugly")
    clip = put(library, "one", made_at=5.0, theme="new")
    assert (clip.state, clip.reason, clip.aired, clip.last_aired, clip.theme) == ("banned", "ugly", 1, 100.0, "new")
    assert len(library.clips()) == 1
    library.allow("one")
    library.broken("one", "truncated")
    assert library.ready() == [] and put(library, "one").state == "ready"


def test_ready_is_of_one_encoding_and_counts_add_up(library):
    put(library, "a"), put(library, "b", fingerprint="e" * 64), put(library, "c")
    library.ban("c", "no")
    assert [clip.id for clip in library.ready("f" * 64)] == ["a"]
    assert [clip.id for clip in library.ready()] == ["a", "b"]
    library.aired("a", 1.0)
    counts = library.counts()
    assert (counts["ready"], counts["banned"], counts["fresh"], counts["bytes"], counts["seconds"]) == (
        2,
        1,
        1,
        3000,
        4.0,
    )


def test_illegal_ids_files_and_queue_entries_are_refused(library, tmp_path):
    for id in ("", "../x", ".x", "a/b", "x" * 200):
        with pytest.raises(RequestError, match="clip id"):
            library.clip_path(id)
    outside = tmp_path.parent / "outside.mp4"
    outside.write_bytes(b"x")
    with pytest.raises(MediaError, match="outside"):
        library.add(LibraryClip("x", outside, "X", frames=24))
    with pytest.raises(MediaError, match="Cannot read"):
        library.add(LibraryClip("x", library.clip_path("x"), "X", frames=24))
    with pytest.raises(RequestError, match="not in the library"):
        library.insert("x")
    with pytest.raises(RequestError, match="No channel"):
        Library.open(tmp_path / "nowhere", create=False)


def test_the_owner_queues_and_skips(library):
    for id in "abc":
        put(library, id)
    library.insert("a"), library.insert("b"), library.insert("c", 0), library.insert("a")
    assert library.queue == ["c", "a", "b", "a"]
    assert library.unqueue("a") and library.queue == ["c", "b", "a"]
    library.ban("b", "no")
    assert library.queue == ["c", "a"] and not library.unqueue("b")
    assert not library.take_skip()
    library.request_skip()
    assert library.take_skip() and not library.take_skip()


def test_eviction_takes_the_least_recently_aired_and_spares_what_is_next(library):
    for number, id in enumerate("abcdefg"):
        put(library, id, made_at=float(number + 1))
    for id, at in (("a", 50.0), ("b", 10.0), ("c", 20.0), ("d", 30.0), ("f", 5.0)):
        library.aired(id, at)
    library.broken("g", "damaged")
    library.insert("f"), library.note("upcoming", ["b"])
    assert library.evict(4000, keep={"c"}) == ["g", "d", "a"]  # e has never aired and is evicted last
    assert {clip.id for clip in library.clips()} == {"b", "c", "e", "f"}
    assert not library.clip_path("d").exists() and library.clip_path("b").exists()
    assert library.evict(0, keep={"c"}) == ["e"]


def test_a_banned_clip_loses_its_file_and_stays_known(library):
    put(library, "a"), library.ban("a", "no")
    assert library.evict(0) == ["a"] and library.get("a").state == "banned" and library.evict(0) == []


def test_the_log_holds_each_airing_once(library):
    put(library, "a")
    line = Aired(100.0, "a", "fresh", "Title of a", "sea", 480, 48, 24.0)
    library.note_aired(line), library.note_aired(line)
    library.note_aired(Aired(102.0, "ident", "filler", "Ident", "", 528, 48, 24.0))
    assert [entry.id for entry in library.as_run()] == ["ident", "a"] and library.as_run(1)[0].until == 104.0
    assert library.get("a").aired == 1 and library.get("a").last_aired == 100.0


def test_a_locked_database_is_waited_for(library, tmp_path):
    put(library, "a")
    other = sqlite3.connect(tmp_path / "library.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    assert [clip.id for clip in library.ready()] == ["a"], "another writer does not block readers"
    impatient = Library.open(tmp_path, create=False, patience_s=0.2)
    with pytest.raises(LibraryBusy, match=r"locked for 0.2 s"):
        impatient.ban("a", "no")
    threading.Timer(0.5, lambda: other.execute("COMMIT")).start()
    began = time.monotonic()
    library.ban("a", "no")
    assert time.monotonic() - began > 0.3 and impatient.get("a").state == "banned"
