"""`kinema models`, `kinema doctor`, `kinema toyland`, the progress lines and the documentation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cli_tools import answer, run

from kinema.cli import docs
from kinema.cli.output import unused
from kinema.core.events import Progress
from kinema.core.extras import install_command

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_models_list() -> None:
    found = answer(run("models", "list", "--json"))
    assert found[0]["id"] == "kinema-mini-wan"
    assert {"id", "family", "title", "accepts", "here", "licence", "hub"} <= set(found[0])
    shown = run("models", "list").output
    assert all(entry["id"] in shown for entry in found)


def test_models_show() -> None:
    found = answer(run("models", "show", "mini", "--json"))
    assert found["id"] == "kinema-mini-wan"
    assert isinstance(found["here"], bool)
    shown = run("models", "show", "mini").output
    for word in ("64x64", "multiples of 16", "--set shift=", "trajectory"):
        assert word in shown


def test_models_add_and_check(model: str, tmp_path: Path) -> None:
    from kinema.weights import store

    copy = tmp_path / "my-model"
    shutil.copytree(store.locate(store.find(model)), copy)
    added = answer(run("models", "add", str(copy), "--json"))
    assert added["id"] == "my-model"
    assert "my-model" in [entry["id"] for entry in answer(run("models", "list", "--json"))]
    found = answer(run("models", "check", "my-model", "--json"))
    assert (found["ok"], found["problems"], found["model"]["family"]) == (True, {"my-model": []}, "wan")
    weights = next((copy / "vae").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-100])
    result = run("models", "check")
    assert result.exit_code == 1
    assert "truncated" in result.stdout


def test_pull_of_nothing_tells_why(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def fail(*_: object, **__: object) -> str:
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    result = run("models", "pull", "wan2.1-t2v-1.3b")
    assert result.exit_code == 1
    assert "no network" in result.stderr


def test_pull_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the calls that huggingface_hub makes of its bars, and none of them drawn."""
    import huggingface_hub

    def fetch(*_: object, tqdm_class: type, **__: object) -> str:
        bars = [tqdm_class(desc=each, total=0, initial=0, unit="B", unit_scale=True) for each in ("got", "written")]
        files = tqdm_class(range(2), total=2, desc="Fetching 2 files")
        for _ in files:
            for each in bars:
                each.total += 60_000_000
                each.refresh()
                each.update(60_000_000)
                each.refresh()
        for each in bars:
            each.close()
        raise ConnectionError("stopped here")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    told = run("models", "pull", "wan2.1-t2v-1.3b").stderr.splitlines()
    assert told[0] == "fetching" and told[-1].startswith("Wan-AI/")
    from kinema.weights import store

    heard: list[Progress] = []
    with pytest.raises(Exception, match="stopped here"):
        store.pull("wan2.1-t2v-1.3b", heard.append)
    assert {(each.stage, each.done, each.total) for each in heard} == {
        ("fetch", 0, 60), ("fetch", 60, 60), ("fetch", 60, 120), ("fetch", 120, 120),
    }  # fmt: skip


def test_doctor() -> None:
    result = run("doctor", "--json")
    found = answer(result)
    assert result.exit_code == (0 if found["ok"] else 1)
    assert found["versions"]["torch"]
    assert found["devices"][0]["device"] == "cpu"
    assert found["devices"][0]["memory_gb"] > 0
    assert found["codecs"]["libx264"]
    assert found["places"]["free_disk_gb"] > 0
    assert all({"missing", "needed_for", "fix", "essential"} == set(each) for each in found["problems"])


def test_doctor_says_what_a_missing_package_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError, version

    from kinema.cli import doctor

    def without_peft(name: str) -> str:
        if name == "peft":
            raise PackageNotFoundError
        return version(name)

    monkeypatch.setattr(doctor, "version", without_peft)
    problem = next(each for each in doctor.examine()["problems"] if each["missing"] == "peft")
    assert "LoRA" in problem["needed_for"]
    assert problem["fix"] == install_command("lora")
    assert not problem["essential"]


def test_toyland_render() -> None:
    result = run(
        "toyland",
        "render",
        "--num",
        "2",
        "--size",
        "32x32",
        "--frames",
        "3",
        "--fps",
        "8",
        "-o",
        "clips",
        "--json",
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"path": "clips", "num": 2}
    assert len(list(Path("clips").rglob("*.mp4"))) == 2


def test_unused_names() -> None:
    Path("a-1.mp4").touch()
    Path("a-1-2.mp4").touch()
    assert unused(Path("a-1.mp4")) == Path("a-1-3.mp4")
    assert unused(Path("b.mp4")) == Path("b.mp4")


def test_help_in_the_documentation_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert docs.refreshed(page) == page, "run `python -m kinema.cli.docs`"


def test_documentation_names_every_command() -> None:
    documented = {found[1] for found in docs.BLOCK.findall(PAGE.read_text(encoding="utf-8"))}
    assert set(docs.commands()) - {"kinema models", "kinema path", "kinema toyland"} <= documented
