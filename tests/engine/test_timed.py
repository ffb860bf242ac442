"""Work without a model's plan: the second estimate follows the first measurement and the present load."""

from __future__ import annotations

import pytest

from kinema.core.events import Event, Planned, Progress
from kinema.engine import measured, timed
from kinema.engine.timed import Work


class Clock:
    def __init__(self) -> None:
        self.wall_s = self.processor_s = 0.0

    def perf_counter(self) -> float:
        return self.wall_s

    def process_time(self) -> float:
        return self.processor_s

    def passes(self, seconds: float, busy: float = 1.0) -> None:
        self.wall_s += seconds * busy
        self.processor_s += seconds


@pytest.fixture
def clock(tmp_path, monkeypatch) -> Clock:
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))
    found = Clock()
    monkeypatch.setattr(timed, "time", found)
    monkeypatch.setattr(timed, "crowd", lambda: 1.0)
    monkeypatch.setattr(timed, "is_crowded", lambda: timed.crowd() >= 1.5)
    return found


def work(units: float = 1024.0, name: str = "x") -> Work:
    return Work(name, (("interpolate", 0.8), ("write", 0.2)), 1.0, 0.01 * units, units, loads=True)


def do(clock: Clock, start_s: float, each_s: float, units: float = 1024.0, name: str = "x", busy: float = 1.0) -> float:
    """Runs the work and returns its estimated seconds."""
    heard: list[object] = []
    with timed.timed(work(units, name), heard.append) as tell:
        clock.passes(start_s, busy)
        tell(Progress("write", 0, 10, 0.0))
        for done in range(1, 11):
            tell(Progress("interpolate", done, 10, 0.0))
            clock.passes(each_s, busy)
    assert isinstance(heard[0], Planned) and isinstance(heard[1], Event) and heard[1].stage == "load"
    assert [part.stage for part in heard[0].parts] == ["load", "interpolate", "write"]
    return sum(part.seconds for part in heard[0].parts)


def test_the_second_time_it_is_known(clock: Clock) -> None:
    assert do(clock, 4.0, 0.5) == pytest.approx(1.0 + 10.24)
    assert do(clock, 4.0, 0.5) == pytest.approx(4.0 + 5.0)
    assert do(clock, 4.0, 1.0, units=2048.0) == pytest.approx(4.0 + 10.0), "twice the units, twice as long"
    assert do(clock, 4.0, 0.5, name="y") == pytest.approx(1.0 + 10.24), "another work is not like it"


def test_a_start_that_holds_most_of_the_work_counts_as_work(clock: Clock) -> None:
    """A filter that reads ahead finishes its first frame late: a longer clip is not expected to take no time."""

    def reading_ahead(units: float) -> Work:
        return Work("ahead", (("fill", 1.0),), 1.0, 0.01 * units, units, ahead=True)

    with timed.timed(reading_ahead(1024.0), lambda _: None) as tell:
        clock.passes(20.0)
        for done in range(1, 11):
            tell(Progress("fill", done, 10, 0.0))
            clock.passes(0.1)
    assert reading_ahead(1024.0).expected() == pytest.approx((1.0, 20.0))
    assert reading_ahead(10240.0).expected() == pytest.approx((1.0, 200.0), rel=0.01)


def test_beside_other_work(clock: Clock, monkeypatch) -> None:
    """Stored durations are those of an idle machine, estimates include the present load."""
    monkeypatch.setattr(timed, "alone", lambda wall_s, processor_s: processor_s)
    monkeypatch.setattr(timed, "crowd", lambda: 3.0)
    do(clock, 4.0, 0.5, busy=3.0)
    assert do(clock, 4.0, 0.5, busy=3.0) == pytest.approx(3 * 9.0)
    monkeypatch.setattr(timed, "crowd", lambda: 1.0)
    assert do(clock, 4.0, 0.5) == pytest.approx(4.0 + 5.0 / measured.CROWDED_FACTOR), "alone, caches are not shared"
    assert do(clock, 4.0, 0.5) == pytest.approx(9.0), "as it was alone"


def test_what_breaks_off_teaches_nothing(clock: Clock) -> None:
    with pytest.raises(KeyboardInterrupt), timed.timed(work(), lambda event: None) as tell:
        tell(Progress("interpolate", 1, 10, 0.0))
        clock.passes(9.0)
        raise KeyboardInterrupt
    with timed.timed(work(), lambda event: None):
        clock.passes(9.0)
    assert measured.read().runs == ()


def test_where_no_model_is_loaded_none_is_named(clock: Clock) -> None:
    heard: list[object] = []
    with timed.timed(Work("music", (("compose", 0.7), ("write", 0.3)), 1.0, 10.0, 60.0), heard.append):
        pass
    assert isinstance(heard[0], Planned) and len(heard) == 1, "the work itself speaks first"
    assert [(part.stage, part.seconds) for part in heard[0].parts] == [
        ("compose", pytest.approx(8.0)), ("write", pytest.approx(3.0)),
    ]  # fmt: skip
