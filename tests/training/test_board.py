"""`kinema train --tensorboard` logs the events of a training, read back with TensorBoard's own reader."""

from __future__ import annotations

import importlib.util

import pytest
from PIL import Image
from typer.testing import CliRunner

from kinema.cli.main import app
from kinema.training.core.board import TensorBoardLog, numbers

RECIPE = """
from PIL import Image
from kinema.training.core.stages import Stage


def stages(settings):
    def work(minutes):
        (settings.out / "sheets").mkdir(parents=True)
        for step in (10, 20):
            settings.show({"event": "step", "step": step, "seconds": 1.0, "loss": 1 / step, "progress": step / 20,
                           "step_s": 0.1})
        Image.new("RGB", (8, 4), (255, 0, 0)).save(settings.out / "sheets" / "clip_000020.png")
        settings.show({"event": "evaluated", "step": 20, "probes": {"object": 75.0}, "note": "text"})
        return {"minutes": 1}

    return [Stage("learn", 1.0, work)]
"""


def test_numbers_and_sheets_by_stage_and_step(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (tmp_path / "recipe.py").write_text(RECIPE, encoding="utf-8")
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, ["train", str(tmp_path / "recipe.py"), "--minutes", "1", "--tensorboard", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    found = EventAccumulator(str(out / "tensorboard"))
    found.Reload()
    losses = [(each.step, each.value) for each in found.Scalars("learn/loss")]
    assert losses == [(10, pytest.approx(0.1)), (20, pytest.approx(0.05))]
    assert found.Scalars("learn/probes/object")[0].value == 75.0
    picture = found.Images("learn/clip")[0]
    assert (picture.step, picture.width, picture.height) == (20, 8, 4)


def test_sheets_of_an_earlier_run_are_not_told_again(tmp_path):
    (tmp_path / "sheets").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "sheets" / "old.png")
    board = TensorBoardLog(tmp_path)
    board({"event": "stage", "stage": "learn"})
    board({"event": "step", "step": 1, "loss": 1.0})
    board.close()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert found.Tags()["images"] == [] and found.Tags()["scalars"] == ["learn/loss"]


def test_what_is_a_number():
    event = {"event": "x", "step": 3, "a": 1, "b": True, "c": "words", "d": {"e": 2.5}}
    assert dict(numbers(event)) == {"a": 1.0, "d/e": 2.5}


def test_without_tensorboard_it_says_what_to_install_before_any_work(tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "tensorboard" else real(name))
    (tmp_path / "recipe.py").write_text(RECIPE, encoding="utf-8")
    done = CliRunner().invoke(
        app, ["train", str(tmp_path / "recipe.py"), "--tensorboard", "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 2 and "[train]'" in "".join(done.output.split()).replace("|", "")
    assert not (tmp_path / "out").exists()
