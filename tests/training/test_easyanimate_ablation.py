"""The ablation driver with two steps a row: all rows train, at equal steps, and differ."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ablation(monkeypatch):
    for folder in ("recipes", "benchmarks"):
        monkeypatch.syspath_prepend(str(ROOT / folder))
    import easyanimate_ablation
    import mini_easyanimate_networks as networks

    small = {"num_attention_heads": 1, "motion_heads": 1, "num_layers": 3}
    monkeypatch.setattr(networks, "TRANSFORMER", {**networks.TRANSFORMER, **small})
    monkeypatch.setattr(networks, "VAE", {**networks.VAE, "channels": (8, 8, 8)})
    monkeypatch.setattr(networks, "CAPTIONS", 50)
    yield easyanimate_ablation
    for name in ("easyanimate_ablation", "mini_easyanimate_networks"):
        sys.modules.pop(name)


def test_both_tables_at_equal_steps(ablation, tmp_path, capsys, monkeypatch):
    steps = []
    train = ablation.train
    monkeypatch.setattr(ablation, "train", lambda task, config: steps.append(config.max_steps) or train(task, config))
    numbers = {"steps": 2, "clips": 2, "held-out": 2, "samples": 1, "batch": 2, "sampling": 1}
    small = [part for name, value in numbers.items() for part in (f"--{name}", str(value))]
    assert ablation.main(["--out", str(tmp_path), *small]) == 0
    found, shown = json.loads((tmp_path / "ablation.json").read_text()), capsys.readouterr().out
    assert steps == [2] * 6
    files = [tmp_path / f"vae_{title}" / "vae" / "config.json" for title in ablation.AUTOENCODERS]
    shares = [json.loads(file.read_text())["share"] for file in files]
    assert shares == [True, False]
    assert len({row["held_out_error"] for row in found["transformer"].values()}) >= 3
    counts = {title: row["parameters"] for title, row in found["transformer"].items()}
    assert counts["no motion modules"] < counts["no long skips"] < counts["all parts"] == counts["grid motion modules"]
    for title in (*ablation.AUTOENCODERS, *ablation.TRANSFORMERS):
        assert f"| {title} |" in shown
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_transformers_alone_need_an_autoencoder(ablation, tmp_path, capsys):
    with pytest.raises(SystemExit):
        ablation.main(["--out", str(tmp_path), "--tables", "transformer"])
    assert "needs --vae" in capsys.readouterr().err
