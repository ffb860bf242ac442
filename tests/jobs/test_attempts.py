"""Attempts of a worker in the test's own process, with a kind without a model, on both databases."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest
from echo_kind import KINDS, check

from kinema.core.errors import KinemaError
from kinema.core.sqlite_state import StateBusy
from kinema.jobs import attempts, claims
from kinema.jobs.attempts import Worker
from kinema.jobs.claims import MAX_STUCK, Claim, ClaimLost, Claims, Kept, release_worker, workers
from kinema.jobs.context import GivenUp, TryLater
from kinema.jobs.database import outlast
from kinema.jobs.kinds import JobKind, Kinds
from kinema.jobs.pool import EnginePool
from kinema.jobs.retention import Retention, clean
from kinema.jobs.store import JobStore


class Running:
    """A worker in a thread, until the block ends."""

    def __init__(self, store: JobStore, id: str = "w1") -> None:
        self.stop = threading.Event()
        self.worker = Worker(store, id, EnginePool("cpu"), keep_s=0.0)
        self.thread = threading.Thread(target=self.worker.run, args=(self.stop,))

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()


def until(store: JobStore, id: str, *states: str, limit_s: float = 20.0):
    end, seen = time.monotonic() + limit_s, ""
    while (job := store.get(id)).state not in states:
        assert time.monotonic() < end, job
        seen = store.wait(seen, 1.0)
    return job


def states(store: JobStore, id: str) -> list[str]:
    return [event.data["state"] for event in store.events(id) if event.kind == "state"]


def test_jobs_run_in_order_and_end_once(store):
    ids = [store.submit("echo", {"n": n})[0].id for n in range(3)]
    first = store.submit("echo", {"n": 9}, priority=1)[0].id
    wrong = store.submit("echo", {"fail": "It cannot be done."}, priority=-1)[0].id
    paused = store.submit("echo", {})[0].id
    store.pause(paused)
    with Running(store):
        job = until(store, wrong, "failed")
        assert job.reason == "It cannot be done." and job.attempts == 1
        assert store.events(wrong)[-1].data["error"] == {"error": "RequestError", "message": "It cannot be done."}
        began = [until(store, id, "succeeded").started_at for id in (first, *ids)]
        assert began == sorted(began)
        assert store.get(ids[2]).result == {"said": {"n": 2}}
        assert states(store, ids[0]) == ["queued", "running", "succeeded"]
        assert store.get(paused).state == "queued"
        assert workers(store)[0].facts["kinds"] == ["clip", "echo"]
        store.resume(paused)
        until(store, paused, "succeeded")
    assert workers(store) == []


def test_running_jobs_are_canceled_and_paused_between_steps(store):
    endless = {"steps": 10_000, "step_s": 0.01}
    one, other, third = (store.submit("echo", endless)[0].id for _ in range(3))
    with Running(store):
        until(store, one, "running")
        assert store.cancel(one, "changed my mind").state in ("canceling", "canceled")
        assert until(store, one, "canceled").reason == "changed my mind"
        until(store, other, "running")
        store.pause(other)
        assert until(store, other, "queued").paused
        until(store, third, "running")
    job = store.get(third)  # the worker stopped
    assert (job.state, job.failures, job.attempts) == ("queued", [], 1)
    assert store.get(other).state == "queued"


def test_errors_that_may_pass_cost_one_attempt(store):
    memory = store.submit("echo", {"error": "memory", "times": 1})[0].id
    leaving = store.submit("echo", {"error": "exit", "times": 1})[0].id
    with Running(store):
        assert until(store, leaving, "succeeded").failures[0]["reason"] == "SystemExit: 3"
        job = until(store, memory, "succeeded")
        assert job.attempts == 2 and [each["reason"] for each in job.failures] == ["Not enough memory: 16 GB"]
    gpu = store.submit("echo", {"error": "gpu", "times": 1})[0].id
    with pytest.raises(RuntimeError, match="CUDA error"):  # its process ends
        Worker(store, "w2", EnginePool("cpu")).run(threading.Event())
    assert store.get(gpu).state == "queued" and "illegal memory access" in store.get(gpu).failures[0]["reason"]
    assert workers(store) == []


def test_a_kind_decides_about_its_attempts(store):
    def run(context, body):
        tried = sum(failure.get("times", 1) for failure in context.job.failures)
        if tried == body["times"]:
            raise GivenUp(f"{tried} attempts")
        raise TryLater("not yet", 0.0, number=tried // 2)

    once_more = JobStore(store.database, store.media, Kinds([JobKind("later", check, lambda _: set(), run)]))
    id = once_more.submit("later", {"times": 2 * MAX_STUCK}, key="k")[0].id
    with Running(once_more):
        job = until(once_more, id, "failed")
    assert job.reason == f"{2 * MAX_STUCK} attempts" and job.attempts == 2 * MAX_STUCK + 1
    equal = [(each["reason"], each["number"], each["times"]) for each in job.failures]
    assert equal == [("not yet", number, 2) for number in range(MAX_STUCK)]
    assert once_more.keyed(["k", "none"]) == {"k": job} and once_more.keyed([]) == {}


def test_a_result_outlasts_the_database_and_needs_its_media(store, monkeypatch):
    monkeypatch.setattr(attempts, "outlast", lambda action: action())
    succeed, times = Claim.succeed, []

    def away(claim, result, media):
        times.append(len(times))
        if len(times) < 3:
            raise StateBusy("away")
        gone = [f"sha256:{'a' * 64}"] if len(times) == 3 else media
        succeed(claim, result, gone)

    monkeypatch.setattr(Claim, "succeed", away)
    id = store.submit("echo", {"n": 1})[0].id
    with Running(store):
        job = until(store, id, "succeeded")
    assert job.attempts == 2 and "not in the store" in job.failures[0]["reason"] and len(times) == 4


def test_the_work_goes_on_while_the_database_is_away(postgres):
    with JobStore.open(postgres.new_database(), kinds=KINDS) as store:
        id = store.submit("echo", {"steps": 60, "step_s": 0.01})[0].id
        with Running(store):
            until(store, id, "running")
            for _ in range(3):
                time.sleep(0.1)
                with contextlib.suppress(KinemaError), store.database.work() as do:
                    do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()")
            end = time.monotonic() + 30
            while (job := outlast(lambda: store.get(id))).state != "succeeded":
                assert time.monotonic() < end, job
                time.sleep(0.05)
        assert job.attempts == 1 and job.failures == []


def test_a_lost_claim_changes_nothing_and_the_job_is_requeued(store):
    job, _ = store.submit("echo", {})
    dead, alive = Claims(store, "dead", lost_s=0.05), Claims(store, "alive", lost_s=0.05)
    dead.begin({})
    old = dead.take()
    assert old is not None and old.job.id == job.id and alive.take() is None
    time.sleep(0.1)
    alive.beat({})
    assert alive.look_after() == ["dead"]
    new = alive.take()
    assert new is not None and new.job.failures[0]["reason"] == "The worker dead sends no heartbeats."
    for change in (
        lambda: old.succeed({}, []), lambda: old.fail(KinemaError("x")), lambda: old.again("x"), old.give_back,
        old.cancel,
        lambda: old.report({"fraction": 1.0}, []), lambda: old.keep(Kept({}, {})),
    ):  # fmt: skip
        with pytest.raises(ClaimLost):
            change()
    new.succeed({"ok": True}, [])
    assert store.get(job.id).result == {"ok": True}
    assert states(store, job.id) == ["queued", "running", "queued", "running", "succeeded"]


def test_a_job_that_kills_its_workers_fails_in_the_end(store, monkeypatch):
    """Only attempts since the last kept state count: one that goes further each time is not given up."""
    monkeypatch.setattr(claims, "PAUSE_S", 0.0)
    job, _ = store.submit("echo", {})
    worker = Claims(store, "w")
    for number in range(2 * MAX_STUCK):
        claim = worker.take()
        assert claim is not None and store.get(job.id).attempts == number + 1
        if number < MAX_STUCK:
            claim.keep(Kept({"state": store.media.put(bytes([number])).sha256}, {"n": number}))
        else:
            assert claim.kept == Kept({"state": store.media.put(bytes([MAX_STUCK - 1])).sha256}, {"n": MAX_STUCK - 1})
        assert release_worker(store, "w", f"death {number}") == 1
    found = store.get(job.id)
    assert found.state == "failed" and f"death {2 * MAX_STUCK - 1}" in found.reason
    assert [each["reason"] for each in found.failures] == [f"death {n}" for n in range(2 * MAX_STUCK)]
    assert store.media.collect(1e11, 0) == 0  # replaced states are gone, the last one stays for `retry`
    assert store.retry(job.id).state == "queued" and worker.take().kept.facts == {"n": MAX_STUCK - 1}


def test_late_jobs_expire_and_a_canceling_one_ends_with_its_worker(store):
    late = store.submit("echo", {}, expires_s=0.01)[0].id
    time.sleep(0.05)
    worker = Claims(store, "w")
    worker.look_after()
    assert until(store, late, "expired").reason == "It did not start in time."
    job, _ = store.submit("echo", {})
    worker.take()
    store.cancel(job.id, "stop")
    release_worker(store, "w", "death")
    assert store.get(job.id).state == "canceled" and store.get(job.id).reason == "stop"


def test_retention_deletes_the_oldest_ended_jobs_only(store):
    def ended(content: bytes) -> str:
        job, _ = store.submit("echo", {})
        claim = Claims(store, "w").take()
        media = store.media.put(content)
        claim.succeed({"media": str(media)}, [str(media)])
        return job.id

    old, shared, new = ended(b"a" * 1000), ended(b"b" * 1000), ended(b"c" * 1000)
    waiting = store.submit("echo", {"image": str(store.media.put(b"b" * 1000))})[0].id
    assert clean(store, Retention(max_bytes=3000), upload_s=-1) == 0
    assert clean(store, Retention(max_bytes=2500)) == 1  # although its clip is younger than uploads are kept
    assert [job.id for job in store.list()] == [waiting, new, shared]
    assert old not in {job.id for job in store.list()} and store.media.total_bytes() == 2000
    assert clean(store, Retention(max_bytes=100), upload_s=-1) == 2
    assert [job.id for job in store.list()] == [waiting] and store.media.total_bytes() == 1000
    assert clean(store, Retention(max_age_s=-1), upload_s=-1) == 0
    store.cancel(waiting)
    assert clean(store, Retention(max_age_s=-1), upload_s=-1) == 1 and store.media.total_bytes() == 0


def test_a_warm_worker_starts_a_job_at_once(tmp_path):
    with JobStore.open(f"sqlite:///{tmp_path / 'jobs.sqlite'}", kinds=KINDS) as store, Running(store):
        waits = []
        for _ in range(5):
            time.sleep(0.13)
            id = store.submit("echo", {})[0].id
            job = until(store, id, "succeeded")
            waits.append(job.started_at - job.created_at)
    assert sorted(waits)[2] < 0.15, waits
