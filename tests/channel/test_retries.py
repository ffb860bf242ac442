"""Retries of a shot's jobs and of a producer's rounds, without processes and pauses."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from running_channel import channel_file, config_of
from shot_runner import ShotRunner

from kinema.channel.making import kinds, producer
from kinema.channel.making.job import ClipTimeout, Unavailable
from kinema.channel.making.ledger import Ledger, LedgerBusy
from kinema.channel.making.makers import MAKERS
from kinema.channel.making.pipeline import Next, next_step
from kinema.channel.making.producer import Producer
from kinema.channel.making.publish import recorded
from kinema.channel.state_file import read_state
from kinema.core.errors import KinemaError, RequestError
from kinema.jobs.claims import Claims
from kinema.jobs.job import Job
from kinema.jobs.store import JobStore


class Attempts:
    """A shot whose first step fails with these errors, and the pauses between its attempts, without waiting."""

    def __init__(self, folder, monkeypatch, errors, **making) -> None:
        left = list(errors)

        class Failing:
            def check(self, job) -> None:
                pass

            def make(self, job, target) -> None:
                if left:
                    raise left.pop(0)
                raise RequestError("the end of the test")

        monkeypatch.setitem(MAKERS, "toyland", lambda _model: Failing())
        runner = ShotRunner(folder, ["cut"], model="toyland", **{"pause_s": 5.0} | making)
        self.now, self.pauses = 1e9, []
        monkeypatch.setattr(runner.store.database, "now", lambda _do: self.now)
        runner.begin()
        while (job := runner.step()) is not None and job.state == "queued":
            with runner.store.database.look() as do:
                due_at = do("SELECT due_at FROM kinema_jobs")[0]["due_at"]
            self.pauses.append(due_at - self.now)
            self.now = due_at
        runner.step()
        self.left, self.shot = left, runner.ledger.get(runner.ids[0])


def test_a_maker_that_is_away_uses_up_no_try(tmp_path, monkeypatch):
    away = [Unavailable("cannot be reached")] * 20
    found = Attempts(tmp_path / "a", monkeypatch, away, slowest_s=3600.0)
    assert len(found.pauses) == 20 and max(found.pauses) == 60.0
    assert found.shot.reason == "generate: the end of the test"
    found = Attempts(tmp_path / "b", monkeypatch, away * 10, pause_s=0.0, slowest_s=10.0)
    assert found.shot.reason == "generate: cannot be reached" and found.left  # unavailable for longer than slowest_s
    assert 10.0 <= sum(found.pauses) <= 15.0
    mixed = [Unavailable("away"), KinemaError("bad"), Unavailable("away"), KinemaError("bad"), KinemaError("bad")]
    found = Attempts(tmp_path / "c", monkeypatch, mixed, tries=3)
    assert found.shot.reason == "generate: bad" and not found.left  # three counted attempts


def test_a_shot_that_fails_has_its_tries_with_pauses_that_double(tmp_path, monkeypatch):
    errors = [OSError("disk"), KinemaError("bad"), KinemaError("bad"), KinemaError("bad"), KinemaError("worse")]
    found = Attempts(tmp_path, monkeypatch, errors, tries=4)
    assert found.pauses == [5.0, 10.0, 20.0]
    assert (found.shot.state, found.shot.reason) == ("aside", "generate: bad") and len(found.left) == 1


@pytest.mark.parametrize(
    "error", [ClipTimeout("longer than 3600 s"), ClipTimeout("no clip within 3600 s"), RequestError("no")]
)
def test_what_took_too_long_is_not_tried_again(tmp_path, monkeypatch, error):
    found = Attempts(tmp_path, monkeypatch, [error, error])
    assert found.shot.reason == f"generate: {error}" and found.pauses == []


ORDER = {
    "quality": "full", "before": "e00001s01", "tail": "sha256:t",
    "making": {"upscale": "lanczos", "interpolate": "film"},
}  # fmt: skip


def ended(step: str, reason: str = "") -> Job:
    result = {"media": f"sha256:{step}", "goes_on": True}
    return Job("1", step, {}, state="failed", reason=reason) if reason else Job(
        "1", step, {}, state="succeeded", result=result
    )  # fmt: skip


@pytest.mark.parametrize(
    ("upscaled", "between", "clip"),
    [("", "", "interpolate"), ("x", "", "interpolate"), ("", "y", "upscale"), ("x", "y", "generate")],
)
def test_a_step_that_makes_a_clip_better_does_not_cost_the_clip(upscaled, between, clip):
    jobs = {"generate": ended("generate")}
    assert next_step(ORDER, {}).step == "generate" and next_step(ORDER, {}).body == ORDER
    found = next_step(ORDER, jobs)
    assert (found.step, found.body["clip"], found.body["tail"]) == ("upscale", "sha256:generate", "")
    jobs["upscale"] = ended("upscale", upscaled)
    found = next_step(ORDER, jobs)
    assert (found.step, found.body["clip"]) == ("interpolate", f"sha256:{'generate' if upscaled else 'upscale'}")
    jobs["interpolate"] = ended("interpolate", between)
    found = next_step(ORDER, jobs)
    assert (found.step, found.body["clip"]) == ("publish", f"sha256:{clip}")
    left = {name: reason for name, reason in (("upscale", upscaled), ("interpolate", between)) if reason}
    assert found.body["how"] == {"goes_on": True, "left_out": left}
    recorded_ = recorded(found.body)  # in the clip's record
    assert recorded_.get("left_out", {}) == left and recorded_["goes_on_from"] == "e00001s01"
    jobs["publish"] = ended("publish")
    assert next_step(ORDER, jobs).done
    assert next_step(ORDER | {"quality": "draft"}, {"generate": ended("generate")}).step == "publish"
    for running in ("running", "queued", "canceling"):
        assert next_step(ORDER, {"generate": Job("1", "generate", {}, state=running)}) == Next()
    assert next_step(ORDER, {"generate": ended("generate", "z")}).failed == "generate: z"


FAKE = "python:fake_maker:FakeMaker"


@pytest.fixture
def fake(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("FAKE_SECONDS", "0")


def test_jobs_of_another_version_are_made_again_and_what_they_ended_is_used(tmp_path, monkeypatch, fake):
    runner = ShotRunner(tmp_path, ["cut", "cut"], model=FAKE)
    first, second = runner.begin(), runner.begin()
    drawn = runner.step()
    monkeypatch.setattr(kinds, "VERSION", 2)
    again = ShotRunner(tmp_path, model=FAKE)
    names = [job.name for job in again.finish()]
    assert names.count(f"{first} generate") == 0 and names.count(f"{second} generate") == 1
    assert again.ledger.counts()["published"] == 2 and again.left() == []
    assert drawn.kind == "shot-generate-1"


def test_a_shot_that_is_banned_while_it_is_made_is_canceled(tmp_path, fake):
    runner = ShotRunner(tmp_path, ["cut", "cut"], model=FAKE)
    waits, runs = runner.begin(), runner.begin()
    runner.producer.dispatch.advance()
    for id in (waits, runs):
        runner.ledger.ban(id, "ugly")
    claim = Claims(runner.store, "w").take()
    runner.producer.dispatch.advance()
    assert [job.state for job in runner.store.list()] == ["canceling"]  # the other one had not begun
    runner.worker._attempt(claim, threading.Event())
    assert runner.left() == [] and runner.library.ready() == []


def test_other_jobs_go_before_shots_for_the_stock_and_started_shots_before_new_ones(tmp_path, fake):
    making = {"model": FAKE, "upscale": "lanczos", "interpolate": "none"}
    runner = ShotRunner(tmp_path, ["cut", "cut", "cut"], quality="full", **making)
    runner.begin()
    assert runner.step().name == f"{runner.ids[0]} generate"
    runner.begin()
    runner.quality = "draft"
    runner.begin()
    runner.producer.dispatch.advance()
    queue = sorted((job for job in runner.store.list() if job.state == "queued"), key=lambda job: job.position)
    first, second, third = runner.ids
    assert [job.name for job in queue] == [f"{third} generate", f"{first} upscale", f"{second} generate"]
    assert queue[0].priority == 0 > queue[1].priority


def test_two_channels_share_a_worker_and_a_database_in_one_process(tmp_path, fake):
    one, two = (ShotRunner(tmp_path / name, ["cut", "cut"], model=FAKE) for name in ("one", "two"))
    two.producer.store = two.store = JobStore(one.store.database, one.store.media, two.store.kinds)
    two.producer.dispatch.store, two.worker.store = two.store, two.store
    assert one.producer.token != two.producer.token
    for runner in (one, two):
        runner.begin()
        runner.begin()
        runner.producer.dispatch.advance()
    done = [runner.step() for _ in range(8) for runner in (one, two)]
    assert all(job is None or job.state == "succeeded" for job in done)
    for runner in (one, two):
        assert [clip.id for clip in runner.library.ready()] == runner.ids and runner.ledger.counts()["published"] == 2
    assert two.left() == []


def test_shots_in_progress_of_an_earlier_version_are_generated_again(tmp_path, fake, monkeypatch, caplog):
    runner = ShotRunner(tmp_path, ["cut", "cut"], model=FAKE)
    old = [tmp_path / "state" / "steps.sqlite", tmp_path / "state" / "steps.sqlite-wal"]
    old.append(tmp_path / "work" / f"{runner.producer.token}-{runner.begin()}" / "generate.mp4")
    for path in old:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"steps")
    monkeypatch.setattr(runner.producer.crew, "start", lambda: None)
    runner.producer.launch()
    assert not any(path.exists() for path in old) and "1 shots in progress are generated again" in caplog.text
    runner.finish()
    assert runner.ledger.counts()["published"] == 1 and runner.left() == []


def test_a_ledger_that_cannot_be_used_says_so(tmp_path):
    ledger = Ledger(tmp_path)
    ledger._state._db.execute("DROP TABLE shots")
    for use in (
        ledger.counts,
        lambda: ledger.begin("x", "full"),
        lambda: ledger.end("a", "aside"),
        lambda: ledger.get("a"),
    ):
        with pytest.raises(LedgerBusy, match="no such table"):
            use()
    assert ledger.token  # other tables still work; no transaction is left open
    ledger.close()
    with pytest.raises(LedgerBusy):
        ledger.counts()
    (tmp_path / "other" / "state" / "ledger.db").mkdir(parents=True)
    with pytest.raises(LedgerBusy):
        Ledger(tmp_path / "other")


class Stop(threading.Event):
    """Records the pauses without waiting."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.pauses = most, []

    def wait(self, timeout=None):
        self.pauses.append(timeout)
        if len(self.pauses) >= self.most:
            self.set()
        return self.is_set()


def test_a_round_that_fails_is_noted_and_done_again_and_many_end_the_process(tmp_path, monkeypatch):
    config = config_of(channel_file(tmp_path))
    made = Producer(config)
    errors: list[Exception] = [sqlite3.OperationalError("disk I/O error"), KeyError("x"), OSError("full")]

    def step() -> None:
        if errors:
            raise errors.pop(0)

    monkeypatch.setattr(made, "step", step)
    stop = Stop(2)
    made.run(stop)
    state = read_state(config.root / "state" / "producer.json")
    assert "KeyError" in state["trouble"] and "retrying" in state["doing"] and stop.pauses[1] == 2 * stop.pauses[0]
    made.run(Stop(3))
    assert not errors
    errors += [RuntimeError("a bug")] * 100
    with pytest.raises(KinemaError, match="a bug"):
        made.run(Stop(1000))
    assert len(errors) == 100 - producer.MOST_FAILED
    errors[:] = [KinemaError("the database is away")] * 50
    made.run(Stop(50))  # expected errors are retried without end
    made.close()


def test_a_producer_that_fails_ends_though_threads_of_it_draw(tmp_path, monkeypatch):
    """The parent restarts it only after the process has exited."""
    ended: list[int] = []

    class Gone(BaseException):
        pass

    def leave(code: int) -> None:
        ended.append(code)
        raise Gone

    def fail(_config) -> None:
        raise sqlite3.DatabaseError("malformed")

    monkeypatch.setattr(producer.os, "_exit", leave)
    monkeypatch.setattr(producer.signal, "signal", lambda *_: None)
    monkeypatch.setattr(producer, "Producer", fail)
    with pytest.raises(Gone):
        producer.main([str(channel_file(tmp_path))])
    assert ended == [1]
