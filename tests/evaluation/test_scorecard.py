"""A small scorecard of the shipped miniature: valid files, resumable, with a list of unsupported tasks."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kinema.core.errors import ModelError, RequestError
from kinema.evaluation.cases import ClipShape, cases, world_from
from kinema.evaluation.probes import load_probes
from kinema.evaluation.results import Results
from kinema.evaluation.scorecard import ScorecardSettings, scorecard
from kinema.evaluation.steadiness import steadiness
from kinema.evaluation.table import build_table, differences
from kinema.evaluation.tasks import BY_NAME, TASKS
from kinema.evaluation.track import track_object
from kinema.evaluation.uncertainty import bootstrap, summary, wilson
from kinema.evaluation.worker import Subject
from kinema.toyland.scene import WORLD_SMALL

TINY = ScorecardSettings(
    count=2, task_count=1, profiles=("exact", "fast"), tasks=("text", "remove"), check_count=2,
    fields=(("steps", 2), ("guidance", 1.0)),
)  # fmt: skip


@pytest.fixture(scope="module")
def made(mini_path, tmp_path_factory):
    out = tmp_path_factory.mktemp("scorecard")
    return out, scorecard(str(mini_path), out, TINY, command=("kinema", "evaluate"))


def test_files(made):
    out, found = made
    assert json.loads((out / "scorecard.json").read_text()) == json.loads(json.dumps(found))
    text = found["table"]["text"]
    assert text["object"]["exact"]["n"] >= 2 and text["object"]["renders"]["value"] == 100.0
    assert {"renders", "autoencoder", "exact", "fast"} <= set(text["color"])
    assert found["table"]["remove"]["removed"]["renders"]["value"] == 100.0
    assert found["weights_sha256"] and found["probe_accuracy"]["renders"]["object"]["value"] > 90
    assert found["differences"]["fast - exact"]["text object"]["n"] == 2
    page = (out / "scorecard.md").read_text()
    for word in (
        "everything stated right",
        "## remove",
        "autoencoder",
        "Accuracy of the probes",
        "sheet-exact-text.png",
    ):
        assert word in page
    assert (out / "sheet-exact-text.png").exists() and (out / "sheet-fast-tasks.png").exists()
    assert not list(out.rglob("*.partial*"))


def test_resume_makes_nothing_twice(made, mini_path):
    out, before = made
    lines = (out / "results.jsonl").read_text().splitlines(keepends=True)
    (out / "results.jsonl").write_text("".join(lines[:-1]) + lines[-1][:20])  # killed while writing the last line
    seen = []
    again = scorecard(
        str(mini_path),
        out,
        TINY,
        resume=True,
        on_event=lambda event: seen.append((event.stage, getattr(event, "total", 0))),
    )
    assert [total for stage, total in seen if stage == "judge"] == [1]
    assert again["table"] == before["table"]
    other = ScorecardSettings(**{**TINY.__dict__, "fields": ()})
    with pytest.raises(RequestError, match="another fields"):
        scorecard(str(mini_path), out, other, resume=True)


def test_interrupted_keeps_what_is_done(mini_path, tmp_path):
    def stop(event):
        if event.stage == "judge":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scorecard(str(mini_path), tmp_path, TINY, on_event=stop)
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 2
    assert not (tmp_path / "scorecard.json").exists()


def test_every_task_asks_something_legal(mini_path, tmp_path):
    """A model that accepts everything accepts each task's request; nothing is generated."""
    from kinema.engine.load import as_request
    from kinema.engine.plan import plan

    card = Subject(str(mini_path)).card
    features = sorted({need for task in TASKS for need in task.needs} | set(card.accepts))
    card = card.model_copy(update={"accepts": tuple(features)})
    for task in TASKS:
        world = world_from(Subject(str(mini_path)).facts)
        case = next(cases(world, 1, Subject(str(mini_path)).shape, task.scenes))
        if task.option and task.option not in card.options:
            continue
        found = plan(as_request("", seed=0, **task.ask(case, tmp_path / task.name)), card)
        assert found.conditions or not task.needs


def test_what_a_model_refuses_is_listed(mini_path):
    card = Subject(str(mini_path)).card.model_copy(update={"accepts": ("style",), "options": {}})
    refused = {task.name for task in TASKS if task.why_not(card, WORLD_SMALL)}
    assert refused == set(BY_NAME) - {"text", "picture"}
    assert "control:layout" in BY_NAME["layout"].why_not(card, WORLD_SMALL)


def test_steadiness_does_not_pay_for_stillness():
    """A true moving clip has the score of a still one; a clip that flickers or changes its object has not."""
    scores = {"moving": [], "still": [], "changing": []}
    two = list(cases(WORLD_SMALL, 8, ClipShape(9, 64, 64, 4.0), lambda scene: len(scene.actors) == 1))
    for case, other in zip(two, two[1:] + two[:1], strict=True):
        mixed = case.frames_FHWC.copy()
        mixed[1::2] = other.frames_FHWC[1::2]
        clips = {"moving": case.frames_FHWC, "still": np.repeat(case.frames_FHWC[:1], 9, 0), "changing": mixed}
        for name, frames in clips.items():
            reading = load_probes().read(frames)
            scores[name].append(steadiness(frames, reading, track_object(reading))["score"])
    means = {name: np.mean(values) for name, values in scores.items()}
    assert means["still"] - means["moving"] < 4 and means["moving"] - means["changing"] > 20


def test_errors(tmp_path, mini_path):
    with pytest.raises(RequestError, match="No such task: dance"):
        ScorecardSettings(tasks=("dance",))
    with pytest.raises(RequestError, match="count = 0"):
        ScorecardSettings(count=0)
    with pytest.raises(ModelError):
        scorecard(str(tmp_path / "nothing"), tmp_path)
    copy = tmp_path / "copy"
    copy.mkdir()
    for part in mini_path.iterdir():
        if part.name != "card.json":
            (copy / part.name).symlink_to(part)
    with pytest.raises(ModelError, match=r"card\.json\. It specifies"):
        scorecard(str(copy), tmp_path / "out")
    (copy / "card.json").write_text(json.dumps({"name": "kinema-mini-wan"}))
    with pytest.raises(ModelError, match="has no world"):
        scorecard(str(copy), tmp_path / "out")


def test_numbers():
    assert summary([True, False]) == {"value": 50.0, "low": 9.453, "high": 90.547, "n": 2}
    assert wilson(0, 0) == (0.0, 100.0) and bootstrap([3.0]) == (3.0, 3.0)
    low, high = bootstrap([1.0, 2.0, 3.0, 4.0])
    assert low < 2.5 < high
    entries = [
        {"column": column, "task": "text", "index": index, "measures": {"color": [right], "steadiness": 90.0 + index}}
        for column, right in (("exact", True), ("fast", False))
        for index in range(3)
    ]
    assert build_table(entries)["text"]["color"]["exact"]["value"] == 100.0
    lost = differences(entries, ("exact", "fast"))["fast - exact"]
    assert lost["text color"]["value"] == -100.0 and lost["text steadiness"]["value"] == 0.0


def test_results_of_something_else_are_left_alone(tmp_path):
    Results(tmp_path / "results.jsonl", {"weights": "a"}, resume=False).close()
    with pytest.raises(RequestError, match="another weights"):
        Results(tmp_path / "results.jsonl", {"weights": "b"}, resume=True)
    assert json.loads((tmp_path / "results.jsonl").read_text()) == {"weights": "a"}
