"""`kinema workflow run`: an official workflow file to a clip, on a miniature."""

from __future__ import annotations

from pathlib import Path

from cli_tools import answer, run

WAN = ("--model", "wan2.1_t2v_1.3B_fp16.safetensors=kinema-mini-wan")


def test_a_workflow_file_becomes_a_clip(real_data: Path) -> None:
    file = str(real_data / "workflows" / "wan_text_to_video.json")
    words = ("--set", "CLIP Text Encode (Positive Prompt).text=a red ball", "--set", "KSampler.steps=2")
    found = answer(run("workflow", "run", file, *WAN, *words, "-o", "a.webp", "--json"))["clips"][0]
    assert (found["path"], found["fps"], found["plan"]["prompt"]) == ("a.webp", 16.0, "a red ball")
    assert found["plan"]["options"]["sampler"] == "uni_pc"
    shown = answer(run("inspect", "a.webp", "--json"))
    assert shown["manifest"]["plan"]["seed"] == found["plan"]["seed"]


def test_a_refusal_comes_before_any_file(real_data: Path) -> None:
    file = str(real_data / "workflows" / "wan_text_to_video.json")
    result = run("workflow", "run", file)
    assert result.exit_code == 2 and "kinema models pull wan2.1-t2v-1.3b" in result.stderr
    for typed in (("--model", "x"), ("--set", "x")):
        assert run("workflow", "run", file, *typed, "--json").exit_code == 2
    assert not list(Path().glob("*.webp"))
