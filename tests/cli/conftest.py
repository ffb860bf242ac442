"""What the tests of the command line share: a home of their own, a model, a clip."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from cli_tools import answer, run


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the person's own list of models, and files land in a folder of the test."""
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def model() -> str:
    """The shipped miniature, or the folder that KINEMA_TEST_MODEL names."""
    if given := os.environ.get("KINEMA_TEST_MODEL"):
        return given
    if (Path(str(files("kinema"))) / "miniatures" / "mini_wan" / "model_index.json").exists():
        return "kinema-mini-wan"
    pytest.skip("the miniature is not in this tree")


@pytest.fixture(scope="session")
def made(model: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A small clip made once by the command, and what it said."""
    target = tmp_path_factory.mktemp("made") / "clip.mp4"
    arguments = [
        "--frames",
        "5",
        "--steps",
        "2",
        "--seed",
        "7",
        "--size",
        "32x32",
        "--sheet",
        f"{target}.png",
    ]
    result = run("generate", "a red ball", "--model", model, *arguments, "-o", str(target), "--json")
    assert result.exit_code == 0, result.output
    return target, answer(result)


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., str]:
    """Writes a small picture and gives its name."""

    def write(name: str = "first.png", size: tuple[int, int] = (64, 48)) -> str:
        from PIL import Image

        Image.new("RGB", size, (200, 40, 40)).save(tmp_path / name)
        return name

    return write
