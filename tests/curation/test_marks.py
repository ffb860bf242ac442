"""Thresholds and marks: pure functions of the table's rows."""

from __future__ import annotations

import math

import pytest

from kinema.core.errors import RequestError
from kinema.curation.dataset import changed_thresholds
from kinema.curation.marks import Threshold, reasons, resolved

TEXT = Threshold("text_area", "<=", 0.07, "too much text", "a paper")
STILL = Threshold("motion", "above_share", 0.25, "still")
COPY = Threshold("duplicate_of", "empty", 0.0, "a copy")


def test_reasons_come_in_the_order_of_the_thresholds():
    row = {"text_area": 0.1, "motion": 0.0, "duplicate_of": "a", "error": None}
    thresholds = (TEXT, Threshold("motion", ">", 0.5, "still"), COPY)
    assert reasons(row, thresholds) == ["too much text", "still", "a copy"]
    assert reasons({"text_area": 0.07, "motion": 0.6, "duplicate_of": None}, thresholds) == []
    assert reasons({**row, "error": "broken"}, thresholds) == ["broken"]


@pytest.mark.parametrize("figure", [None, math.nan])
def test_a_missing_figure_passes(figure):
    assert reasons({"text_area": figure}, (TEXT,)) == []
    assert reasons({}, (TEXT,)) == []


def test_relative_thresholds_are_quantiles_of_the_whole_table():
    figures = [float(value) for value in range(100)]
    (still,) = resolved((STILL,), {"motion": [*figures, None]})
    assert (still.op, still.value) == (">", 24.75)
    assert sum(not reasons({"motion": value}, (still,)) for value in figures) == 75
    (most,) = resolved((Threshold("text", "below_share", 0.75, "text"),), {"text": figures})
    assert sum(not reasons({"text": value}, (most,)) for value in figures) == 75
    assert resolved((STILL,), {"motion": []}) == ()


def test_typed_changes():
    columns = ["text_area", "motion", "seconds", "duplicate_of"]
    changed = changed_thresholds((TEXT, STILL), ["text_area=0.05", "motion>=0.1", "seconds<=8"], columns)
    assert [each.text() for each in changed] == ["text_area <= 0.05", "motion >= 0.1", "seconds <= 8"]
    assert changed[0].source == ""  # no longer the paper's
    assert changed_thresholds((TEXT, STILL), ["text_area=off"], columns) == (STILL,)
    assert changed_thresholds((), ["duplicate_of=empty"], columns)[0].op == "empty"
    both = (TEXT, Threshold("text_area", "below_share", 0.75, "most text"))
    assert changed_thresholds(both, ["text_area=0.02"], columns)[0].value == 0.02


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("text_are=1", "text_area"),
        ("text_area", "COLUMN=VALUE"),
        ("text_area=much", "a number"),
        ("seconds=3", "no thresh"),
    ],
)
def test_changes_that_cannot_be_made_are_refused(change, named):
    with pytest.raises(RequestError, match=named):
        changed_thresholds((TEXT,), [change], ["text_area", "seconds"])
