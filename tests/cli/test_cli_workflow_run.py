"""`kinema workflow run`: an official workflow file to a clip, on a miniature."""

from __future__ import annotations

from pathlib import Path

from cli_tools import answer, run

WAN = ("--model", "wan2.1_t2v_1.3B_fp16.safetensors=kinema-mini-wan")
TEXT = "CLIP Text Encode (Positive Prompt).text"
WORDS = ("--set", f"{TEXT}=a red ball", "--set", "KSampler.steps=1")


def test_a_workflow_file_becomes_a_clip_that_is_a_workflow_file(real_data: Path) -> None:
    file = str(real_data / "workflows" / "wan_text_to_video.json")
    small = ("--set", "EmptyHunyuanLatentVideo.width=32", "--set", "EmptyHunyuanLatentVideo.height=32",
             "--set", "EmptyHunyuanLatentVideo.length=5")  # fmt: skip
    (found,) = answer(run("workflow", "run", file, *WAN, *WORDS, *small, "-o", "a.webp", "--json"))["clips"]
    assert (found["path"], found["frames"], found["plan"]["prompt"]) == ("a.webp", 5, "a red ball")
    assert found["plan"]["options"]["sampler"] == "uni_pc" and not found["cached"]
    assert answer(run("history", "--json"))["shown"][0]["prompt"] == "a red ball"

    result = run("workflow", "run", "a.webp", *WAN)  # the file carries its graph; nothing is computed
    assert result.exit_code == 0 and "a.webp" in result.stdout and "from the cache" in result.stdout
    assert run("workflow", "run", "a.webp", *WAN, "-o", "b.webp").exit_code == 0
    assert Path("b.webp").read_bytes() == Path("a.webp").read_bytes()
    assert answer(run("workflow", "cache", "--json"))["results"] == 4
    cleared = answer(run("workflow", "cache", "--clear", "--json"))
    assert (cleared["results"], cleared["removed"]) == (0, 4) and cleared["removed_bytes"] > 5 * 32 * 32 * 3 * 4


def test_a_refusal_comes_before_any_file(real_data: Path) -> None:
    file = str(real_data / "workflows" / "wan_text_to_video.json")
    result = run("workflow", "run", file)
    assert result.exit_code == 2 and "kinema models pull wan2.1-t2v-1.3b" in result.stderr
    for typed in (("--model", "x"), ("--set", "x")):
        assert run("workflow", "run", file, *typed, "--json").exit_code == 2
    strange = run("workflow", "run", file, *WAN, "--set", f"{TEXT}=an opera singer")
    assert strange.exit_code == 2 and "--anyway" in strange.stderr, "words that the miniature does not know"
    other = run("workflow", "run", file, *WAN, *WORDS, "-o", "a.mp4")
    assert other.exit_code == 2 and "writes .webp" in other.stderr
    for folder in ("/proc/none", "/proc/none.webp/"):  # no folder can be made there, even by root
        nowhere = run("workflow", "run", file, *WAN, *WORDS, "-o", folder)
        assert nowhere.exit_code == 2 and "/proc cannot be written to" in nowhere.stderr
    assert not list(Path().glob("*.webp")) and not list(Path().glob("*.mp4"))
