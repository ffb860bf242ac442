"""docs/checkpoints.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import checkpoints_page

from kinema.families.wan import CARDS


def test_the_tables_are_current():
    page = checkpoints_page.PAGE.read_text()
    assert checkpoints_page.refreshed(page) == page, "run `python tests/families/checkpoints_page.py`"


def test_every_variant_names_tests_that_exist():
    variants = {card.variant for card in CARDS if not card.builtin and not card.stage}
    assert variants == set(checkpoints_page.TESTED)
    for file, test in {where for tested in checkpoints_page.TESTED.values() for _, where in tested}:
        assert re.search(rf"^def {test}\(", (Path(__file__).parent / file).read_text(), re.MULTILINE), (file, test)


def test_reasons_are_about_models_that_are_refused():
    assert set(checkpoints_page.INSTEAD) <= set(checkpoints_page.refused())
