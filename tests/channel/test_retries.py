"""Retries of a shot's steps and of a producer's rounds, without processes and pauses."""

from __future__ import annotations

import sqlite3
import sys
import threading
from types import SimpleNamespace

import pytest
from running_channel import channel_file, config_of

from kinema.channel.making import durable, producer, steps
from kinema.channel.making.job import ClipTimeout, Unavailable
from kinema.channel.making.ledger import Ledger, LedgerBusy
from kinema.channel.making.producer import Producer
from kinema.channel.state_file import read_state
from kinema.core.errors import Cancelled, KinemaError, RequestError


@pytest.fixture
def slept(monkeypatch):
    """A fake DBOS that runs each step at once, and the requested pauses."""
    pauses: list[float] = []
    fake = SimpleNamespace(sleep=pauses.append, run_step=lambda _how, work, *given: work(*given))
    monkeypatch.setitem(sys.modules, "dbos", SimpleNamespace(DBOS=fake))
    return pauses


def job(**making) -> dict:
    known = {"tries": 3, "pause_s": 5.0, "slowest_s": 3600.0, "upscale": "none", "interpolate": "none"}
    return {"planned": "e00001s01", "making": known | making, "keeps": False, "quality": "full"}


def failing(*errors: Exception):
    left = list(errors)

    def work() -> dict:
        if left:
            raise left.pop(0)
        return {"step": "generate"}

    return work


def test_a_maker_that_is_away_uses_up_no_try(slept):
    away = [Unavailable("cannot be reached")] * 20
    assert durable._with_retries(job(), "generate", failing(*away))["step"] == "generate"
    assert len(slept) == 20 and max(slept) <= 60.0
    slept.clear()
    found = durable._with_retries(job(pause_s=0.0, slowest_s=10.0), "generate", failing(*away * 10))
    assert found["failed"] == "cannot be reached"  # unavailable for longer than slowest_s
    assert 10.0 <= sum(slept) <= 15.0
    slept.clear()
    mixed = [Unavailable("away"), KinemaError("bad"), Unavailable("away"), KinemaError("bad"), KinemaError("bad")]
    assert durable._with_retries(job(), "generate", failing(*mixed))["failed"] == "bad"  # three counted attempts


@pytest.mark.parametrize(
    "error", [Cancelled("longer than 3600 s"), ClipTimeout("no clip within 3600 s"), RequestError("no")]
)
def test_what_took_too_long_is_not_tried_again(slept, error):
    found = durable._with_retries(job(), "generate", failing(error, error))
    assert found["failed"] == str(error) and slept == []


@pytest.mark.parametrize(
    ("upscaled", "between", "step"),
    [(None, None, "between"), (KinemaError("x"), None, "between"), (None, KinemaError("y"), "upscaled"),
     (ModuleNotFoundError("x"), Cancelled("y"), "generate")],
)  # fmt: skip
def test_a_step_that_makes_a_clip_better_does_not_cost_the_clip(slept, monkeypatch, upscaled, between, step):
    taken: list[str] = []

    def made(name: str, error: Exception | None):
        def work(_workspace, _job, before: str = "") -> dict:
            taken.append(before)
            if error is not None:
                raise error
            return {"step": name}

        return work

    monkeypatch.setattr(durable, "_role", SimpleNamespace(workspace=None))
    monkeypatch.setattr(steps, "generate", made("generate", None))
    monkeypatch.setattr(steps, "upscaled", made("upscaled", upscaled))
    monkeypatch.setattr(steps, "interpolated", made("between", between))
    found = durable._draw_shot(job(upscale="lanczos", interpolate="film", tries=1))
    assert "failed" not in found and found["step"] == step
    left = {name: str(error) for name, error in (("upscale", upscaled), ("interpolate", between)) if error}
    assert set(found.get("left_out", {})) == set(left)
    assert taken[-1] == ("generate" if upscaled else "upscaled")
    assert steps._how({}, found).get("left_out", {}).keys() == left.keys()  # in the clip's record


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
