"""`kinema models`, `kinema doctor`, `kinema toyland`, the progress lines and the documentation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cli_tools import answer, run

from kinema.cli import docs
from kinema.cli.output import unused
from kinema.cli.progress import Bar, Lines, rate
from kinema.core.events import Event, Progress

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
    assert answer(run("models", "check", "my-model", "--json")) == {"ok": True, "problems": {"my-model": []}}
    weights = next((copy / "vae").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-100])
    result = run("models", "check")
    assert result.exit_code == 1
    assert "cut short" in result.stdout


def test_pull_of_nothing_tells_why(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def fail(*_: object, **__: object) -> str:
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    result = run("models", "pull", "wan2.1-t2v-1.3b")
    assert result.exit_code == 1
    assert "no network" in result.stderr


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
    assert problem["fix"] == "pip install 'kinema[lora]'"
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


def test_lines_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lines, "QUIET_S", 0.0)
    with Lines() as on_event:
        on_event(Event("load"))
        for step in range(1, 41):
            on_event(Progress("sample", step, 40, step * 0.5))
    told = capfd.readouterr().err.splitlines()
    assert told[:2] == ["loading the model ...", "sampling ..."]
    assert told[2] == "sample 10/40 steps, 2.0 it/s, 15 s left"
    assert len(told) == 6


def test_bar_follows_the_stages() -> None:
    with Bar() as on_event:
        on_event(Event("load"))
        on_event(Progress("sample", 1, 4, 2.0))
        on_event(Progress("decode", 4, 4, 2.0))
        assert [task.fields["count"] for task in on_event.bar.tasks] == ["4/4"]


def test_rates() -> None:
    assert (rate(0, 1.0), rate(4, 2.0), rate(2, 4.0)) == ("", "2.0 it/s", "2.0 s/it")


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
    assert set(docs.commands()) - {"kinema models", "kinema toyland"} <= documented
