"""The playout's view of the library with concurrent writers: every interleaving, forced."""

from __future__ import annotations

import itertools
import threading
from collections import Counter

import pytest

from kinema.channel.airing.library_view import LibraryView
from kinema.channel.airing.programme import Policy, Programme
from kinema.channel.library import Library, LibraryBusy, LibraryClip

FINGERPRINT = "f"


@pytest.fixture
def library(tmp_path):
    with Library.open(tmp_path) as opened:
        for number in range(4):
            path = opened.clip_path(f"c{number}")
            path.write_bytes(b"x")
            opened.add(LibraryClip(f"c{number}", path, "T", frames=8, fps=8.0, fingerprint=FINGERPRINT, aired=1))
        yield opened


@pytest.fixture
def at(monkeypatch):
    """Called with the name of each point of a refresh where another thread may run."""
    calls = {"do": lambda place: None}

    def around(name: str, original):
        def wrapped(self, *given):
            if threading.current_thread() is not threading.main_thread() or self.patience_s != 0.1:
                return original(self, *given)
            calls["do"](f"before {name}")
            found = original(self, *given)
            calls["do"](f"after {name}")
            return found

        return wrapped

    for name in ("unqueue", "take_skip", "version", "ready", "broken"):
        monkeypatch.setattr(Library, name, around(name, getattr(Library, name)))
    monkeypatch.setattr(Library, "queue", property(around("queue", Library.queue.fget)))
    return calls


PLACES = [
    f"{when} {name}" for name in ("unqueue", "take_skip", "version", "ready", "queue") for when in ("before", "after")
]


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations_with_replacement(PLACES, 2)))
def test_a_queued_clip_airs_once_whenever_the_view_is_renewed(tmp_path, library, at, first, second):
    view = LibraryView(tmp_path, FINGERPRINT, threaded=False)
    programme = Programme(view, Policy(apart=2))
    for id in ("c1", "c2", "c1", "c3"):
        library.insert(id)
    view.refresh()
    aired: list[str] = []

    def choose() -> None:
        choice = programme.next(1000.0)
        if choice.kind == "queued":
            aired.append(choice.clip.id)

    waiting = [first, second]

    def between(place: str) -> None:
        if waiting and place == waiting[0]:
            waiting.pop(0)
            choose()

    choose()
    at["do"] = between
    for _ in range(4):
        view.refresh()
        library.note("other", 1)  # another writer: everything is read again
    at["do"] = lambda place: None
    for _ in range(6):
        choose()
        view.refresh()
    assert aired == ["c1", "c2", "c1", "c3"]
    assert library.queue == [] and view._taken == []


def test_a_database_that_is_locked_for_a_while_loses_and_repeats_nothing(tmp_path, library, monkeypatch):
    view = LibraryView(tmp_path, FINGERPRINT, threaded=False)
    programme = Programme(view, Policy(apart=2))
    for id in ("c1", "c2"):
        library.insert(id)
    view.refresh()
    original = Library.unqueue

    def locked(self, id):
        raise LibraryBusy("locked")

    monkeypatch.setattr(Library, "unqueue", locked)
    kinds = []
    for _ in range(4):
        kinds.append(programme.next(1.0).kind)
        view.refresh()
    monkeypatch.setattr(Library, "unqueue", original)
    library.insert("c1")  # queued again by the owner
    view.refresh()
    kinds += [programme.next(1.0).kind for _ in range(2)]
    assert Counter(kinds)["queued"] == 3 and kinds[:2] == ["queued", "queued"] and kinds[4] == "queued"


@pytest.mark.parametrize("place", ["before ready", "after ready", "after queue", "before broken", "after broken"])
def test_a_clip_that_was_found_broken_does_not_come_back(tmp_path, library, at, place):
    view = LibraryView(tmp_path, FINGERPRINT, threaded=False)
    library.note("other", 1)
    done: list[str] = []

    def between(now: str) -> None:
        if now == place and not done:
            done.append(now)
            view.broken("c2", "truncated")

    at["do"] = between
    if "broken" in place:
        view.broken("c1", "truncated")
    for _ in range(3):
        view.refresh()
        assert not done or not view.is_ready("c2")
        library.note("other", 2)
    at["do"] = lambda _: None
    view.refresh()
    assert done and library.get("c2").state == "broken" and not view._broken


def test_a_skip_that_is_asked_for_while_the_last_one_is_taken_is_not_lost(tmp_path, library):
    view = LibraryView(tmp_path, FINGERPRINT, threaded=False)

    class Asked(threading.Event):
        def is_set(self) -> bool:
            found = super().is_set()
            self.set()  # another thread, right after the check
            return found

    view._skip = Asked()
    assert not view.take_skip()
    assert view.take_skip()
