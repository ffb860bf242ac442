"""Stages share one budget; finished stages do not run again."""

import json
import time

import pytest

from kinema.core.errors import KinemaError
from kinema.training.core import stages
from kinema.training.core.budget import Budget, FixedCost
from kinema.training.core.stages import Settings, Stage


def test_each_stage_gets_its_share_of_what_is_left(tmp_path):
    given, clock = {}, [50.0]

    def work(name, seconds):
        def run(minutes):
            given[name] = minutes
            clock[0] += seconds
            return {"name": name, "event": "finished"}

        return run

    plan = [
        Stage("a", 1, work("a", 30.0)),
        Stage("b", 0, work("b", 0)),
        Stage("c", 2, work("c", 0)),
        Stage("d", 1, work("d", 0)),
    ]
    events = []
    settings = Settings(tmp_path, minutes=1.0, show=events.append, budget=Budget(clock=lambda: clock[0]))
    done = stages.run(plan, settings)
    assert given["a"] == pytest.approx(0.25) and given["b"] == 0
    assert given["c"] == pytest.approx(0.5 * 2 / 3)  # a took twice its share, at the expense of c and d
    assert given["d"] == pytest.approx(0.5)
    assert done["c"]["name"] == "c" and [e["stage"] for e in events if e["event"] == "stage"] == list("abcd")
    assert [e["stage"] for e in events if e["event"] == "stage_done"] == list("abcd"), (
        "a loop's event does not replace it"
    )
    written = json.loads((tmp_path / "stages.json").read_text())
    assert written["settings"]["minutes"] == 1.0 and written["a"]["minutes"] == 0.5


def test_resume_skips_finished_stages_and_names_choose(tmp_path):
    ran = []
    plan = [Stage(name, 1, lambda minutes, name=name: ran.append((name, minutes))) for name in "abc"]
    stages.run(plan[:1], Settings(tmp_path, minutes=1))
    stages.run(plan, Settings(tmp_path, minutes=1, resume=True))
    assert [name for name, _ in ran] == ["a", "b", "c"]
    stages.run(plan, Settings(tmp_path, minutes=2), only=["b"])
    assert ran[-1] == ("b", pytest.approx(2, rel=0.01))
    with pytest.raises(ValueError, match=r"z\. Legal: a, b, c"):
        stages.run(plan, Settings(tmp_path), only=["z"])


def test_what_is_no_recipe_is_refused(tmp_path):
    with pytest.raises(ValueError, match="No such recipe"):
        stages.load_recipe(tmp_path / "nothing.py")
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1\n")
    with pytest.raises(ValueError, match="not a recipe"):
        stages.load_recipe(empty)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"a": 5}', '{"a": {}}', '{"a": {"minutes": "5"}}', '{"a": {"minutes": true}}', "[" * 100_000],
)
def test_a_damaged_record_is_named_and_nothing_is_trained_anew(tmp_path, text):
    (tmp_path / "stages.json").write_text(text)
    work = Stage("a", 1, lambda minutes: pytest.fail("it was begun anew"))
    with pytest.raises(KinemaError, match=r"stages\.json"):
        stages.run([work], Settings(tmp_path, resume=True))
    assert (tmp_path / "stages.json").read_text() == text


def test_what_cannot_be_shortened_is_named_before_it_begins(tmp_path):
    shown = []
    settings = Settings(out=tmp_path / "run", minutes=0.0001, show=shown.append)
    parts = [
        Stage("data", 0.0, lambda _: time.sleep(0.02), fixed_cost=FixedCost(30.0)),
        Stage("learn", 1.0, lambda _: None, fixed_cost=FixedCost(10.0, 80.0)),
    ]
    stages.run(parts, settings)
    notes = [(number, event[""]) for number, event in enumerate(shown) if event["event"] == "note"]
    assert notes[0][0] == 0 and "need about 120 s (learn 90 s, data 30 s)" in notes[0][1]
    assert "about 120 s late, with" in notes[0][1] and "more than --minutes" in notes[-1][1]
