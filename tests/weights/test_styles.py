"""Styles by name: listed, found, refused before weights load. No torch is needed for any of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import kinema
from kinema.core.errors import RequestError
from kinema.weights import styles

MOTION = "kinema-mini-animatediff"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    (tmp_path / "adapters").mkdir()
    return tmp_path / "adapters"


def adapter(path: Path, **notes: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    down, up = np.zeros((4, 8), np.float32), np.zeros((8, 4), np.float32)
    save_file({"unet.a.lora_A.weight": down, "unet.a.lora_B.weight": up}, path, metadata=notes)
    return path


def test_the_shipped_ones_are_listed() -> None:
    found = styles.named()
    assert {style.name for style in found} == {
        f"mini-{move}" for move in ("pan-left", "pan-right", "tilt-up", "tilt-down", "zoom-in", "zoom-out")
    }
    assert all(style.ships and style.description and style.model == MOTION and not style.problem for style in found)


def test_own_ones_come_first_with_what_they_say(home: Path) -> None:
    adapter(home / "oil.safetensors", base="kinema-mini-wan", title="oil paint", trigger="oil_style")
    adapter(home / "folder" / "adapter_model.safetensors")
    (home / "broken.safetensors").write_bytes(b"no adapter")
    (home / "notes.txt").write_text("not listed")
    found = {style.name: style for style in styles.named()}
    assert [*found][:3] == ["broken", "folder", "oil"]
    oil = found["oil"]
    assert (oil.model, oil.description, oil.trigger, oil.rank, oil.ships) == (
        "kinema-mini-wan", "oil paint", "oil_style", 4, False,
    )  # fmt: skip
    assert found["folder"].model is None
    assert "not a safetensors file" in found["broken"].problem


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("mini-pan-lft", "mini-pan-left"),
        ("pan_left", "mini-pan-left"),
        ("Mini-Zoom-In.safetensors", "mini-zoom-in"),
        ("adapters/zoomin", "mini-zoom-in"),
        ("watercolour", None),
    ],
)
def test_an_unknown_style_is_refused_with_the_nearest(typed: str, near: str | None) -> None:
    with pytest.raises(RequestError) as refused:
        kinema.plan("a car", model=MOTION, conditions=[{"kind": "style", "adapter": typed}])
    error = refused.value
    assert (error.field, error.value, error.nearest) == ("conditions.0.adapter", typed, near)
    assert "mini-pan-left" in error.legal


def test_a_style_for_another_kind_of_model_is_refused() -> None:
    with pytest.raises(RequestError, match="trained on kinema-mini-animatediff") as refused:
        kinema.plan("a car", model="kinema-mini-wan", conditions=[{"kind": "style", "adapter": "mini-pan-left"}])
    assert refused.value.models == (MOTION,)


def test_a_file_that_is_no_adapter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"x")
    (tmp_path / "cut.safetensors").write_bytes(adapter(tmp_path / "whole.safetensors").read_bytes()[:-20])
    for name, words in (("photo.png", "pickled"), ("cut.safetensors", "truncated")):
        with pytest.raises(RequestError, match=words):
            kinema.plan("a car", conditions=[{"kind": "style", "adapter": str(tmp_path / name)}])
    kinema.plan("a car", conditions=[{"kind": "style", "adapter": str(tmp_path / "whole.safetensors")}])


def test_it_is_refused_before_torch_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; from kinema.cli.main import app; from typer.testing import CliRunner\n"
        "for line in (['generate', 'a car', '--style', 'typo:1'], ['styles']):\n"
        "    print(CliRunner().invoke(app, line).exit_code)\n"
        "print({'torch', 'diffusers', 'transformers', 'peft'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert run.stdout.split("\n")[:3] == ["2", "0", "set()"]


def test_the_command(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from kinema.cli.main import app

    adapter(home / "evil.safetensors", title="\x1b[2Jgone")
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(app, ["styles"]).stdout
    assert "\x1b" not in shown and "mini-pan-left" in shown and "the camera pans left" in shown
    table = shown.partition("\n\n")[0]
    assert max(map(len, table.splitlines())) <= 80
    found = json.loads(CliRunner().invoke(app, ["styles", "--json"]).stdout)
    assert found["folder"] == str(home)
    assert {"name", "model", "what", "trigger", "rank", "bytes", "path", "ships", "problem"} == set(found["styles"][0])
