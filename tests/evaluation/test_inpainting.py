"""Inpainting experiments of the miniature on a few clips, and their table."""

from __future__ import annotations

import json

import pytest

from kinema.evaluation.inpainting import EXPERIMENTS, experiments, table


@pytest.mark.parametrize("count", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_gray_and_words_remove_and_an_outline_over_the_source_does_not(mini, mini_path, count):
    card = json.loads((mini_path / "card.json").read_text(encoding="utf-8"))
    alike = ("A", "B") if count > 1 else ("B",)  # A is B with a picture of the place
    found = experiments(mini, card, count=count, names=(*alike, "E", "G"))
    values = {name: {key: value["value"] for key, value in row["measures"].items()} for name, row in found.items()}
    assert {values[name]["removed"] for name in alike} == {100.0}
    assert values["G"]["removed"] < 50 and values["G"]["psnr_box"] < values["B"]["psnr_box"] - 5
    assert min(values[name]["psnr_rest"] for name in (*alike, "G")) > 27
    assert found["E"]["measures"]["reproduced"]["value"] == 100.0, "an empty mask keeps the clip"
    lines = table(found).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(found)
    assert [experiment.name for experiment in EXPERIMENTS] == ["A", "B", "C", "C2", "D", "E", "F", "G"]
