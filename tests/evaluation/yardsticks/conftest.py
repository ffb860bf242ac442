"""Sets of clips and yardsticks of the tests of `evaluation/yardsticks`."""

from __future__ import annotations

import pytest
from fake_yardsticks import Brightness, FarFrom, Gap, write_set

from kinema.evaluation.yardsticks import table


@pytest.fixture(scope="session")
def bright_set(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("sets") / "bright")


@pytest.fixture(scope="session")
def dark_set(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("sets") / "dark", darker=25)


@pytest.fixture()
def fakes(monkeypatch):
    for each in (Brightness, Gap, FarFrom):
        monkeypatch.setitem(table.YARDSTICKS, each.name, each)
        monkeypatch.setattr(each, "measured", [])
    return Brightness
