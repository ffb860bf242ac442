"""What masks say to the miniature: the experiments that hold on a few clips, and the table."""

from __future__ import annotations

import json

import pytest

from kinema.evaluation.inpainting import EXPERIMENTS, experiments, table


@pytest.fixture(scope="module")
def found(mini, mini_path):
    card = json.loads((mini_path / "card.json").read_text(encoding="utf-8"))
    return experiments(mini, card, count=2, names=("A", "B", "E", "G"))


def test_gray_and_words_remove_and_an_outline_over_the_source_does_not(found):
    values = {name: {key: value["value"] for key, value in row["measures"].items()} for name, row in found.items()}
    assert values["A"]["removed"] == values["B"]["removed"] == 100.0
    assert values["G"]["removed"] < 50 and values["G"]["psnr_box"] < values["B"]["psnr_box"] - 5
    assert min(values[name]["psnr_rest"] for name in "ABG") > 27


def test_a_mask_of_nothing_keeps_the_clip(found):
    assert found["E"]["measures"]["reproduced"]["value"] == 100.0


def test_the_table_has_a_row_for_each(found):
    lines = table(found).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(found)
    assert [experiment.name for experiment in EXPERIMENTS] == ["A", "B", "C", "C2", "D", "E", "F", "G"]
