"""Overall progress: monotonic, weighted by expected durations, corrected by measured ones."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.core.display import words
from kinema.core.errors import KinemaError
from kinema.core.events import Event, Note, Part, Preview, Progress, planned
from kinema.core.overall import Overall, ProgressState, Reported


class Clock:
    """A clock controlled by the test."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def edit_parts(windows: int) -> list[Part]:
    """An in-place edit: every window has an encoder, steps and a decoder."""
    found = [Part("load", 8.0)]
    for number in range(windows):
        found += [Part("prepare", 0.1), Part("encode", 0.3), Part("sample", 2.0, number), Part("decode", 0.5, number)]
    return [*found, Part("edit", 0.1, windows)]


def told(windows: int, steps: int, skipped: set[int]) -> list[Event]:
    """The events of such an edit, with frames yielded between the windows."""
    found: list[Event] = [Event("load")]
    for number in range(windows):
        found.append(Progress("edit", 4 * number, 4 * windows, span=number))
        if number in skipped:
            continue
        found += [Event("prepare"), Event("encode"), Event("sample")]
        for step in range(steps):
            found.append(Progress("sample", step + 1, steps, span=number))
            found.append(Preview("preview", step + 1, steps, number))
        found += [Event("decode"), Progress("decode", 4, 4, span=number), Progress("write", 4)]
    return [*found, Progress("edit", 4 * windows, 4 * windows, span=windows)]


@settings(max_examples=60, deadline=None)
@given(
    windows=st.integers(1, 12),
    steps=st.integers(1, 5),
    skipped=st.sets(st.integers(0, 11)),
    speed=st.floats(0.1, 10),
    seed=st.integers(0, 99),
)
def test_it_never_goes_back_and_ends_at_the_end(windows, steps, skipped, speed, seed):
    clock, uneven = Clock(), random.Random(seed)
    overall = Overall(clock)
    overall(planned(*edit_parts(windows)))
    before = 0.0
    for event in told(windows, steps, skipped):
        overall(event)
        for _ in range(3):
            clock.now_s += uneven.random() * speed
            now = overall.now()
            assert before <= now.fraction <= 1
            assert now.left_s >= 0
            assert 1 <= now.part <= now.parts == windows
            assert 1 <= now.stage_number <= now.stages == 6
            before = now.fraction
    assert overall.now().fraction == 1 and overall.now().left_s == pytest.approx(0, abs=1e-6)


def test_windows_count_into_one_whole():
    """Window 3 of 4 is in the second half of the work; progress does not restart in each window."""
    clock = Clock()
    overall = Overall(clock)
    overall(planned(*edit_parts(4)))
    for event in told(4, 2, set()):
        overall(event)
        if isinstance(event, Progress) and (event.stage, event.span, event.done) == ("sample", 2, 1):
            break
    now = overall.now()
    assert (now.stage, now.part, now.parts, now.done, now.total) == ("sample", 3, 4, 1, 2)
    assert now.fraction == pytest.approx((8 + 2 * 2.9 + 0.4 + 1.0) / (8 + 4 * 2.9 + 0.1))


@pytest.mark.parametrize("times", [0.25, 1, 4])
def test_what_is_left_follows_the_pace_that_is_seen(times):
    """3 of 10 windows are done at another speed than expected: the estimate of the rest uses that speed."""
    clock = Clock()
    overall = Overall(clock)
    overall(planned(*(Part("sample", 10.0, number) for number in range(10))))
    for number in range(3):
        for step in range(5):
            clock.now_s += 2 * times
            overall(Progress("sample", step + 1, 5, span=number))
    assert overall.now().left_s == pytest.approx(70 * times, rel=0.15)


def test_a_long_part_without_news_goes_on_and_waits():
    clock = Clock()
    overall = Overall(clock)
    overall(planned(Part("load", 10), Part("sample", 10, 0)))
    overall(Event("load"))
    assert overall.now().fraction == 0
    clock.now_s += 5
    assert overall.now().fraction == pytest.approx(0.25) and overall.now().left_s == pytest.approx(15)
    clock.now_s += 500
    assert 0.45 < overall.now().fraction < 0.5 and overall.now().left_s > 10


def test_a_plan_that_comes_later_is_taken_in():
    """The command plans with loading, the engine plans again without."""
    overall = Overall(Clock())
    rest = (Part("prepare", 1), Part("sample", 8, 0))
    overall(planned(Part("load", 5), *rest))
    overall(Event("load"))
    overall(planned(*rest))
    assert [part.stage for part in overall.parts] == ["load", "prepare", "sample"]
    overall(Event("prepare"))
    overall(planned(Part("sample", 8, 0), Part("sample", 8, 1)))
    assert [part.span for part in overall.parts] == [None, None, 0, 1]


def test_without_a_plan_a_stage_is_the_whole():
    clock = Clock()
    overall = Overall(clock)
    overall(Event("judge"))
    overall(Note("judge", "x"))
    assert overall.now().fraction is None and overall.now().left_s is None
    clock.now_s += 3
    overall(Progress("judge", 3, 10))
    overall(Progress("write", 7))
    assert overall.now().stage == "judge"
    assert overall.now().fraction == pytest.approx(0.3) and overall.now().left_s == pytest.approx(7)


def test_an_upscale_is_the_rest_of_the_work():
    """Its events repeat those of the clip before."""
    overall = Overall(Clock())
    one = (Part("prepare", 1), Part("encode", 1), Part("sample", 4, 0), Part("decode", 1, 0))
    overall(planned(*one, *one))
    events = [Event("prepare"), Event("encode"), Progress("sample", 1, 2), Progress("sample", 2, 2), Event("decode"),
              Progress("decode", 4, 4)]  # fmt: skip
    seen = []
    for event in [*events, *events]:
        overall(event)
        seen.append(overall.now().fraction)
    assert seen == sorted(seen) and seen[5] == pytest.approx(0.5) and seen[-1] == 1


def test_a_count_that_goes_on_under_another_name_keeps_its_pace():
    """ "clip 2 of 3" after "clip 1 of 3": the seconds left are those of all clips. A new count, as of another kind of
    work, has its own pace."""
    clock = Clock()
    overall = Overall(clock)
    overall(Event("load"))
    clock.now_s += 50
    for clip in range(3):
        for step in range(10):
            overall(Progress(f"clip {clip + 1} of 3", 10 * clip + step, 30))
            if clip or step:
                assert overall.now().left_s == pytest.approx(30 - 10 * clip - step)
            clock.now_s += 1
    overall(Progress("joining", 0, 30))
    clock.now_s += 1
    overall(Progress("joining", 10, 30))
    assert overall.now().left_s == pytest.approx(2)


def test_a_count_that_loses_what_was_there_already_keeps_its_pace():
    clock = Clock()
    overall = Overall(clock)
    overall(Progress("clip 1 of 3", 0, 30))
    clock.now_s += 10
    overall(Progress("clip 1 of 3", 10, 30))
    overall(Progress("clip 3 of 3", 10, 20))
    assert overall.now().left_s == pytest.approx(10)


def test_progress_of_another_process_is_shown_as_it_computed_it():
    """Through JSON; between two reports the time left goes down, and other events do not disturb it."""
    import json

    clock = Clock()
    there, here = Overall(clock), Overall(clock)
    there(planned(*edit_parts(2)))
    for event in told(2, 4, set())[:9]:
        there(event)
        clock.now_s += 0.3
    state = ProgressState.from_dict(json.loads(json.dumps(there.now().to_dict())))
    here(Reported("sample", state=state))
    assert words(here.now()) == words(there.now()) and "part 1 of 2" in words(here.now())
    clock.now_s += 1.0
    here(Event("load"))
    assert here.now().stage == state.stage and here.now().left_s == pytest.approx((state.left_s or 0.0) - 1.0, abs=0.01)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers())


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(list(ProgressState("x").to_dict())), PLAIN))
def test_a_progress_of_another_form_is_refused_or_shown(data):
    try:
        state = ProgressState.from_dict(data)
    except KinemaError:
        return
    shown = Overall()
    shown(Reported("x", state=state))
    assert isinstance(words(shown.now()), str)
