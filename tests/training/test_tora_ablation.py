"""The ablation driver, with a few steps on a tiny random model: all rows train, at equal steps from equal weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from small_tora import tiny

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def ablation(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import tora_ablation

    yield tora_ablation
    sys.modules.pop("tora_ablation")


def test_three_tables_of_seven_trainings(ablation, tmp_path, capsys, monkeypatch):
    model, out = tmp_path / "model", tmp_path / "out"
    tiny.pipeline("5b").save_pretrained(model)
    trained = []
    train = ablation.train
    monkeypatch.setattr(ablation, "train", lambda task, config: trained.append((task, config)) or train(task, config))
    numbers = {"steps": 2, "clips": 3, "held-out": 2, "samples": 1, "batch": 2, "channels": 8, "sampling": 1}
    small = [part for name, value in numbers.items() for part in (f"--{name}", str(value))]
    assert ablation.main([str(model), "--out", str(out), *small]) == 0
    shown = capsys.readouterr().out
    for title in ("sampling", "average pool", "3D VAE", "extra channels", "cross-attention", "adaptive norm",
                  "dense only", "sparse only", "dense, then sparse", "no path"):  # fmt: skip
        assert f"| {title} |" in shown
    found = json.loads((out / "ablation.json").read_text())
    rows = [row for name in ablation.TABLES for title, row in found[name].items() if title != "no path"]
    assert {row["steps"] for row in rows} == {2} and len({row["digest"] for row in rows}) == 7
    shared = [found["compression"]["3D VAE"], found["fuser"]["adaptive norm"], found["training"]["dense, then sparse"]]
    assert shared[0] == shared[1] == shared[2], "trained once"
    assert len(trained) == 12, "five variants with two stages, two with one"
    assert {config.max_steps for _, config in trained} == {1, 2} and {config.seed for _, config in trained} == {0}
    assert len(list(out.glob("*.png"))) == 8


def test_other_models_are_refused(ablation, tmp_path, capsys):
    with pytest.raises(SystemExit):
        ablation.main(["kinema-mini-wan", "--out", str(tmp_path)])
    assert "not a CogVideoX model" in capsys.readouterr().err
