"""`kinema plan`: arguments to a resolved plan, without torch and without weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_tools import answer, process, run

LOADED = (
    "import sys\n"
    "from kinema.cli.main import app\n"
    "try:\n    app(sys.argv[1:])\n"
    "except SystemExit as end:\n    code = end.code\n"
    "print('LOADED', sorted({'torch', 'av', 'diffusers', 'transformers'} & set(sys.modules)), code)\n"
)


def plan(*arguments: str, text: str | None = None) -> dict[str, Any]:
    result = run("plan", *arguments, "--json", text=text)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = answer(result)
    return found


def toy_style() -> None:
    """An adapter file in this folder; planning reads its header."""
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"transformer.a.lora_A.weight": np.zeros((1, 1), np.float32)}, "toy.safetensors")


@pytest.mark.parametrize("prompt", ["x", "a red ball rolls left over a green hill at sunset"])
def test_plan_needs_no_torch(prompt: str, tmp_path: Path) -> None:
    with process("-c", LOADED, "plan", prompt, cwd=tmp_path) as command:
        out, told = command.communicate(timeout=60)
    assert out.splitlines()[-1] == "LOADED [] 0", (out, told)


def test_help_is_quick(tmp_path: Path) -> None:
    """Under a second of processor time, the best of up to four (half of it on an idle machine)."""
    import resource

    def used() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return children.ru_utime + children.ru_stime

    times = []
    for _ in range(4):
        before = used()
        with process("-m", "kinema", "--help", cwd=tmp_path) as command:
            command.communicate(timeout=60)
        times.append(used() - before)
        if times[-1] < 1.0:
            break
    assert min(times) < 1.0, times


def test_every_argument_arrives(picture: Callable[..., str]) -> None:
    Path("path.txt").write_text("0,128\n128,128\n256,0\n")
    toy_style()
    found = plan(
        "a red ball", "--size", "64x48", "--frames", "9", "--fps", "12", "--seed", "5", "--steps", "7",
        "--guidance", "2.5", "--negative", "rain", "--profile", "exact", "--upscale", "nearest:2",
        "--image", picture("a.png"), "--last", picture("b.png"), "--reference", picture("c.png"),
        "--reference", picture("d.png"), "--trajectory", "path.txt", "--style", "toy.safetensors:0.5",
        "--set", "shift=2", "--set", "conditioning_scale=[0.5]",
    )  # fmt: skip
    wanted = {
        "prompt": "a red ball", "width": 64, "height": 48, "frames": 9, "fps": 12, "seed": 5, "steps": 7,
        "guidance": 2.5, "negative_prompt": "rain", "profile": "exact",
        "upscale": [{"by": "nearest", "scale": 2, "plan": None}],
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted
    assert found["options"]["shift"] == 2
    assert found["options"]["conditioning_scale"] == [0.5]
    kinds = {condition["kind"]: condition for condition in found["conditions"]}
    assert [c["at"] for c in found["conditions"] if c["kind"] == "image"] == ["first", "last"]
    assert kinds["reference"]["images"] == ["c.png", "d.png"]
    assert kinds["trajectory"]["points"] == [[0, 0.5], [0.5, 0.5], [1, 0]]
    assert (kinds["style"]["adapter"], kinds["style"]["weight"]) == ("toy.safetensors", 0.5)
    assert found["estimate"]["seconds"] > 0


def test_masks(picture: Callable[..., str]) -> None:
    Path("source").mkdir()
    picture("source/00000.png")
    for mask, field in (("0,0.1,0.5,1", "boxes"), ("nothing", "nothing"), (picture("m.png"), "image")):
        found = plan("a car", "--source", "source", "--mask", mask)
        condition = next(each for each in found["conditions"] if each["kind"] == "mask")
        assert condition[field], mask


def test_a_moving_mask_is_a_clip(picture: Callable[..., str]) -> None:
    from PIL import Image

    Path("source").mkdir()
    picture("source/00000.png")
    frames = [Image.new("L", (32, 32), value) for value in (0, 128, 255)]
    frames[0].save("mask.gif", save_all=True, append_images=frames[1:], duration=100)
    found = plan("a car", "--source", "source", "--mask", "mask.gif")
    assert next(each for each in found["conditions"] if each["kind"] == "mask")["video"] == "mask.gif"


def test_nearest_fit_says_what_it_changed() -> None:
    found = plan("x", "--size", "65x64", "--frames", "18", "--fit", "nearest")
    assert (found["width"], found["frames"]) == (64, 17)
    assert found["changes"] == ["size 65x64 -> 64x64", "frames 18 -> 17"]
    shown = run("plan", "x", "--size", "65x64", "--fit", "nearest").output
    assert "size 65x64 -> 64x64" in shown


def test_set_takes_fields_and_options() -> None:
    found = plan(
        "--set", "prompt=123", "--set", "seed=9", "--set", "fit=nearest", "--set", "size=65x64",
        "--set", "options.shift=4.5", "--set", 'negative_prompt="rain"', "--set", "unknown_words=keep",
    )  # fmt: skip
    assert (found["prompt"], found["seed"], found["width"]) == ("123", 9, 64)
    assert found["options"]["shift"] == 4.5
    assert found["negative_prompt"] == "rain"


@pytest.mark.parametrize("language", ["json", "yaml"])
def test_request_file_and_what_overrides_it(language: str, picture: Callable[..., str]) -> None:
    Path("folder").mkdir()
    picture("folder/from_file.png")
    toy_style()
    wish = {
        "prompt": "a blue ball",
        "seed": 1,
        "frames": 9,
        "options": {"shift": 2.0},
        "conditions": [
            {"kind": "image", "image": "from_file.png"},
            {"kind": "style", "adapter": "toy.safetensors"},
        ],
    }
    file = Path("folder") / f"wish.{language}"
    if language == "json":
        file.write_text(json.dumps(wish))
    else:
        import yaml

        file.write_text(yaml.safe_dump(wish))
    found = plan("--request", str(file))
    assert (found["prompt"], found["seed"], found["frames"]) == ("a blue ball", 1, 9)
    assert found["conditions"][0]["image"] == str(Path("folder") / "from_file.png")
    found = plan(
        "a red ball", "--request", str(file), "--seconds", "1", "--set", "text_length=32",
        "--image", picture("typed.png"),
    )  # fmt: skip
    assert (found["prompt"], found["seed"], found["frames"]) == ("a red ball", 1, 9)
    assert (found["options"]["shift"], found["options"]["text_length"]) == (2.0, 32)
    assert [each.get("image", each["kind"]) for each in found["conditions"]] == ["style", "typed.png"]


@pytest.mark.parametrize("text", ['{"prompt": "a star", "seed": 4}', "prompt: a star\nseed: 4\n"])
def test_request_from_standard_input(text: str) -> None:
    found = plan("--request", "-", text=text)
    assert (found["prompt"], found["seed"]) == ("a star", 4)


@pytest.mark.parametrize("text", ["{", "a: [", "just words", "[1]", '{"nope": 1}'])
def test_broken_standard_input(text: str) -> None:
    assert run("plan", "--request", "-", text=text).exit_code == 2


def test_schema_is_that_of_a_request() -> None:
    schema = answer(run("plan", "--schema"))
    assert {"prompt", "conditions", "seed"} <= set(schema["properties"])


def test_table_for_people() -> None:
    shown = run("plan", "a red ball", "--seed", "12345").output
    for word in ("kinema-mini-wan", "a red ball", "64x64", "12345", "GB on"):
        assert word in shown


def test_words_outside_the_vocabulary_are_told(model: str) -> None:
    """In the plan, as a note of the command, and without torch."""
    if model != "kinema-mini-wan":
        pytest.skip("only the shipped miniature has a vocabulary of its own")
    found = plan("a crimson sphere beside a chandelier")
    assert found["prompt"] == "a red ball"
    assert "Not understood: beside, chandelier." in found["notes"]
    shown = run("plan", "a crimson sphere")
    assert 'Read as: "a red ball"' in shown.stdout
    assert run("plan", "").exit_code == 0


def test_an_upscale_is_planned_and_shown():
    found = run("plan", "a boat", "--model", "zeroscope", "--upscale", "xl", "--upscale-strength", "0.8", "--json")
    assert found.exit_code == 0, found.output
    second = json.loads(found.stdout)["upscale"][0]["plan"]
    assert (second["model"], second["width"], second["options"]["strength"]) == ("zeroscope-xl", 1024, 0.8)
    told = run("plan", "a boat", "--model", "zeroscope", "--upscale", "xl").output
    assert "576x320, upscaled to 1024x576" in told and "zeroscope-xl, 1024x576, strength 0.7" in told
    refused = run("plan", "a boat", "--upscale", "xl")
    assert refused.exit_code == 2 and "zeroscope-xl" in refused.output
    alone = run("plan", "a boat", "--upscale-strength", "0.8")
    assert alone.exit_code == 2 and "with --upscale" in alone.output
