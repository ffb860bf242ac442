"""`kinema models remove` and `rename`: asked for twice, or with --yes."""

from __future__ import annotations

import shutil

import pytest
from cli_tools import answer, run

from kinema.weights import store


@pytest.fixture
def added(model, tmp_path) -> str:
    shutil.copytree(store.locate(store.find(model)), tmp_path / "mine")
    assert run("models", "add", "mine").exit_code == 0
    return "mine"


def test_rename_and_remove(added, tmp_path):
    assert answer(run("models", "rename", added, "better", "--json"))["model"] == "better"
    asked = run("models", "remove", "better")
    assert asked.exit_code == 2 and "--yes" in asked.stderr and str(tmp_path / "mine") in asked.stderr
    done = run("models", "remove", "better", "--yes")
    assert done.exit_code == 0 and "its files stay" in done.stdout
    assert (tmp_path / "mine").is_dir()
    assert "better" not in run("models", "list").stdout
    assert run("models", "remove", "better", "--yes").exit_code == 2
