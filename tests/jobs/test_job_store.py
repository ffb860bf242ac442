"""The store of jobs on SQLite and PostgreSQL: submitting, listing, the order of the queue, media, and what is kept."""

from __future__ import annotations

import hashlib
import io
import threading
import time

import pytest
from echo_kind import KINDS

from kinema.core.errors import RequestError
from kinema.core.sqlite_state import SqliteState
from kinema.jobs import records, several
from kinema.jobs.claims import Claims
from kinema.jobs.job import KeyReused, NoSuchJob, NoSuchMedia, WrongState
from kinema.jobs.media import MediaStore
from kinema.jobs.schema import MIGRATIONS
from kinema.jobs.store import JobStore


def queue(store) -> list[str]:
    """The names of the queued jobs in the order of their positions."""
    jobs = sorted((job for job in store.list(states=["queued"])), key=lambda job: job.position)
    assert [job.position for job in jobs] == list(range(len(jobs)))
    return [job.name for job in jobs]


def test_a_job_is_stored_once_for_each_key(store):
    body = {"prompt": "a ball", "n": [1, 2.5, None]}
    job, new = store.submit("echo", body, key="k1", name="first", priority=2)
    assert new and job.state == "queued" and job.position == 0 and job.body == body and job.priority == 2
    assert store.submit("echo", dict(reversed(body.items())), key="k1") == (job, False)
    with pytest.raises(KeyReused):
        store.submit("echo", {"prompt": "a car"}, key="k1")
    other, new = store.submit("echo", body)
    assert new and other.id != job.id
    assert store.get(job.id) == job
    assert [each.id for each in store.list()] == [other.id, job.id]
    assert store.list(before=other.id) == [job] and store.list(kinds=["clip"]) == []
    assert store.counts()["queued"] == 2 and store.counts()["failed"] == 0
    with pytest.raises(NoSuchJob):
        store.get("nothing")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "eco"}, "kind"), ({"body": [1]}, "body"), ({"key": ""}, "key"), ({"priority": "high"}, "priority"),
        ({"name": "a\nb"}, "name"), ({"expires_s": -1}, "expires_s"),
        ({"kind": "clip", "body": {"prompt": 5}}, "prompt"),
        ({"kind": "clip", "body": {"image": "/etc/passwd"}}, "conditions"),
        ({"kind": "clip", "body": {"prompt": "a", "shown_as": {"a": "b"}}}, "shown_as"),
    ],
)  # fmt: skip
def test_illegal_jobs_are_refused_before_they_are_stored(tmp_path, change, field):
    with JobStore.open(f"sqlite:///{tmp_path / 'jobs.sqlite'}", kinds=KINDS) as store:
        with pytest.raises(RequestError) as refused:
            store.submit(**{"kind": "echo", "body": {}} | change)
        assert refused.value.field == field
        assert store.list() == []


def test_order_pause_and_cancel_of_the_queue(store):
    jobs = {name: store.submit("echo", {}, name=name)[0].id for name in "abcd"}
    jobs["e"] = store.submit("echo", {}, name="e", priority=5)[0].id
    assert queue(store) == list("eabcd")
    assert store.move(jobs["d"], before=jobs["b"]).position == 2
    assert queue(store) == list("eadbc")
    assert store.move(jobs["c"], to="front").priority == 5
    assert queue(store) == list("ceadb")
    assert store.move(jobs["c"], to="back").priority == 0
    assert queue(store) == list("eadbc")
    store.move(jobs["a"], before=jobs["a"])
    assert store.pause(jobs["e"]).paused and queue(store) == list("eadbc")
    assert not store.resume(jobs["e"]).paused
    assert store.cancel(jobs["a"], "no longer needed").reason == "no longer needed"
    assert store.cancel(jobs["a"]).state == "canceled"
    assert queue(store) == list("edbc")
    for wrong in (
        lambda: store.move(jobs["a"], to="front"), lambda: store.move(jobs["b"], before=jobs["a"]),
        lambda: store.pause(jobs["a"]), lambda: store.delete(jobs["b"]), lambda: store.retry(jobs["b"]),
    ):  # fmt: skip
        with pytest.raises(WrongState):
            wrong()
    with pytest.raises(RequestError):
        store.move(jobs["b"], to="middle")
    again = store.retry(jobs["a"])
    assert again.state == "queued" and [each["reason"] for each in again.failures] == ["no longer needed"]
    assert queue(store) == list("edbca")
    store.cancel(jobs["d"])
    store.delete(jobs["d"])
    with pytest.raises(NoSuchJob):
        store.events(jobs["d"])


def test_events_are_numbered_and_a_listener_learns_of_them(store):
    seen = store.version()
    job, _ = store.submit("echo", {})
    assert (now := store.version()) != seen
    assert store.wait(now, 0.02) == now
    threading.Timer(0.1, lambda: store.pause(job.id)).start()
    assert store.wait(now, 10) != now
    store.cancel(job.id, "enough")
    events = store.events(job.id)
    assert [event.number for event in events] == [1, 2, 3]
    assert [(event.data["state"], event.data["paused"]) for event in events] == [
        ("queued", False), ("queued", True), ("canceled", False)
    ]  # fmt: skip
    assert events[2].data["reason"] == "enough" and events[0].at <= events[2].at
    assert store.events(job.id, after=2) == events[2:] and store.events(job.id, after=3) == []


def test_media_are_stored_once_and_never_collected_while_referenced(store, tmp_path):
    content = bytes(range(256)) * 40_000  # more than two parts
    sha = hashlib.sha256(content).hexdigest()
    kept = store.media.put(io.BytesIO(content), "video/mp4")
    assert (kept.sha256, kept.bytes, kept.media_type) == (sha, len(content), "video/mp4")
    assert store.media.put(content, "image/png", sha256=sha) == kept
    loose = store.media.put(b"loose")
    empty = store.media.put(b"")
    with pytest.raises(RequestError):
        store.media.put(b"x", sha256=sha)
    with pytest.raises(RequestError):
        store.media.put(content, max_bytes=1000)
    with pytest.raises(NoSuchMedia):
        store.submit("echo", {"image": f"sha256:{'0' * 64}"})
    job, _ = store.submit("echo", {"image": str(kept)})
    other, _ = store.submit("echo", {"image": str(kept)})
    assert store.media.collect(1e11, 10) == len(b"loose")
    assert not store.media.has(loose.sha256) and not store.media.has(str(empty))
    elsewhere = MediaStore(store.database, tmp_path / "other machine", in_tables=store.media.in_tables)
    if store.media.in_tables:
        assert elsewhere.path(str(kept)).read_bytes() == content
    for each in (job, other):
        assert store.media.path(str(kept)).read_bytes() == content
        assert store.media.collect(1e11, 10) == 0
        store.cancel(each.id)
        store.delete(each.id)
    assert store.media.collect(0, 10) == 0  # it is too new
    assert store.media.collect(1e11, 10) == len(content)
    assert not any(list(store.media.folder.rglob(each.sha256)) for each in (kept, loose, empty))
    assert store.media.total_bytes() == 0


def test_media_lost_from_the_disk_are_stored_again(tmp_path):
    with JobStore.open(f"sqlite:///{tmp_path / 'jobs.sqlite'}", kinds=KINDS) as store:
        one = store.media.put(b"one")
        store.media.path(one.sha256).unlink()
        assert not store.media.has(one.sha256)
        assert store.media.put(b"one") == one and store.media.path(one.sha256).read_bytes() == b"one"
        stray = store.media.folder / "ab" / ("ab" * 32)
        stray.parent.mkdir()
        stray.write_bytes(b"of a crash")
        assert store.media.sweep(-1) == 1 and not stray.exists() and store.media.has(one.sha256)


def test_databases_that_are_refused(tmp_path):
    for url in ("mysql://a/b", "sqlite://", "jobs.sqlite"):
        with pytest.raises(RequestError):
            JobStore.open(url)


def test_media_that_a_job_begins_to_refer_to_are_not_deleted_in_this_moment(store):
    media, job = str(store.media.put(b"the same clip")), store.submit("echo", {})[0]
    deletes = threading.Thread(target=store.media.drop_unused, args=([media],))
    with store.database.work() as do:
        store.media.use(do, [media])
        deletes.start()
        time.sleep(0.3)  # it waits for this transaction
        records.refer(do, job.id, "result", [media])
    deletes.join(20)
    assert store.media.has(media)
    store.cancel(job.id)
    store.delete(job.id)
    store.media.drop_unused([media])
    assert not store.media.has(media)


def test_jobs_of_the_first_schema_stay(tmp_path):
    file = tmp_path / "jobs.sqlite"
    state = SqliteState(file, MIGRATIONS[:1])
    with state.work() as db:
        db.execute("INSERT INTO kinema_jobs (id, kind, body, name, digest, state, place, created_at) "
                   "VALUES ('0123456789', 'echo', '{}', '', '', 'queued', 1, 1.0)")  # fmt: skip
    state.close()
    with JobStore.open(f"sqlite:///{file}", kinds=KINDS) as store:
        assert [job.id for job in store.list()] == ["0123456789"]
        assert not several.is_paused(store, "echo")


def test_several_jobs_of_a_kind_at_once(store):
    claims = Claims(store, "w")
    ids = [store.submit("echo", {"n": n})[0].id for n in range(5)]
    assert several.cancel_running(store, "echo") is None
    claim = claims.take()
    assert claim is not None and claim.job.id == ids[0]
    assert several.cancel_running(store, "clip") is None
    assert several.cancel_running(store, "echo", "enough") == ids[0] and several.cancel_running(store, "echo") is None
    assert several.cancel_queued(store, "echo", [ids[0], ids[1], "x"]) == [ids[1]]
    several.pause_kind(store, "echo", True)
    several.pause_kind(store, "echo", True)
    assert several.is_paused(store, "echo") and claims.take() is None
    later = store.submit("echo", {"n": 9})[0].id
    several.pause_kind(store, "echo", False)
    second = claims.take()
    assert second is not None and second.job.id == ids[2]
    assert several.cancel_queued(store, "echo") == [*ids[3:], later]
    claim.cancel()
    assert several.remove_ended(store, "clip") == 0 and several.remove_ended(store, "echo", [ids[1]]) == 1
    assert several.remove_ended(store, "echo") == 4 and [job.id for job in store.list()] == [ids[2]]
