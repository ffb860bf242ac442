"""The commands in README and the docs run as printed.

By default every shell line is only parsed: the command exists, its options and values are legal, and an earlier line of
the page writes its input files. The slow test runs README from its first line to its last in a new folder, with
the installed package: `pytest -m slow tests/test_readme.py`. KINEMA_README_MINUTES (1) replaces the minutes of its
training.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shell_blocks import blocks, commands, files, parsed, shell_lines

from kinema.workflow.samples import SAMPLES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def name_of(page: Path) -> str:
    """Return README.md, docs/README.md, or the name of another page."""
    name = page.relative_to(ROOT).as_posix()
    return name if page.name == "README.md" else page.name


OTHER_PROGRAMS = {"make", "pip", "python", "printf", "eval", ".", "curl"}
USER_FILES = {
    "README.md": {"cat.png"},
    "animate.md": {"photo.jpg", "~/models/svd_xt.safetensors"},
    "mini_motion.md": {"runs/fish/export"},
    "animatediff.md": {"~/models/toonyou.safetensors", "pan_left.safetensors", "first.png", "last.png"},
    "checkpoints.md": {
        "wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors",
        "~/ComfyUI",
        "~/ComfyUI/extra_model_paths.yaml",
    },
    "cli.md": {"runs/mini_wan/export"},  # written by the training further down
    "comfyui.md": {
        "clip.mp4",
        "flow.json",
        "request.json",
        "svd_image_to_video.json",
        "text_to_video_wan.json",
        "LoadImage.image=photo.png",
    },
    "cogvideox.md": {"watercolour.safetensors"},
    "easyanimate.md": {
        "runs/mini_easyanimate/export",  # written by the training above them
        "pond.png",
        "path.txt",
        "city.png",
        "poses.txt",
        "models/EasyAnimateV5.1-7b-zh.safetensors",
    },
    "director.md": {"bible.yaml"},  # printed below on the page
    "interpolate.md": {"film_net_fp32.pt"},
    "mini_tora.md": {"wave.txt"},
    "tora.md": {"wave.txt", "a.txt", "b.txt", "pond.png", "wave.svg", "ckpts/tora/i2v/mp_rank_00_model_states.pt"},
    "trajectories.md": {"paths.json", "curve.svg"},  # printed on the page
}
"""Input files that the user provides, or that a page itself prints."""
SKIPPED = {
    ". .venv/bin/activate": "the installed package is tested",
    "pip install -e '.[lora]'": "tests install nothing",
    "pip install -e '.[server]'": "tests install nothing",
    "kinema serve": "runs until Ctrl-C; tests/server/test_serve.py",
    "kinema train recipes/mini_wan.py --minutes 150 --processes 2 --out runs/mini_wan": "takes hours",
    "kinema evaluate miniature wan --model runs/mini_wan/export -o runs/mini_wan/scorecard": "requires that training",
    "kinema models pull wan2.1-vace-1.3b": "downloads published weights",
    'kinema generate "a cat walks through snow" --model wan2.1-vace-1.3b --image cat.png -o cat.mp4': "requires them",
}
"""Lines of README that the slow test does not run, with the reason."""
UNTIL_CTRL_C = {
    "make demo-channel": "kinema channel demo",  # as make runs it after installing
    "kinema channel init my.toml && kinema channel start my.toml": "kinema channel init my.toml && "
    "kinema channel start my.toml",
}
"""Lines that run until Ctrl-C, with the command that the slow test runs until its page is reachable."""


def kinema_lines(page: Path) -> list[tuple[int, list[str], str | None]]:
    """Return (line, command, redirected output file) of each command in the shell blocks of a page."""
    return [
        (line.number, command, target)
        for line in shell_lines(page.read_text(encoding="utf-8"))
        for command, target in commands(line.text)
    ]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_line_is_a_command_with_legal_options_and_existing_inputs(page: Path) -> None:
    written: set[str] = set()
    allowed = USER_FILES.get(name_of(page), set())
    used: set[str] = set()
    for number, command, target in kinema_lines(page):
        at = f"{page.name}:{number}"
        if command and command[0] != "kinema":
            assert command[0] in OTHER_PROGRAMS or "=" in command[0], f"{at}: unknown program {command[0]}"
        elif command:
            try:
                name, parameters = parsed(command[1:])
            except ValueError as error:
                pytest.fail(f"{at}: {' '.join(command)}: {error}")
            reads, writes = files(name, parameters)
            for each in reads:
                if each in allowed:
                    used.add(each)
                else:
                    assert exists(each, written), f"{at}: no earlier line writes {each}"
            written |= set(writes)
            if name == "samples":
                written |= {f"{parameters['folder']}/{sample.name}" for sample in SAMPLES}
                written -= {str(parameters["folder"])}
        if target:
            written.add(target)
    assert used == allowed, f"{page.name} no longer reads {allowed - used}"


def exists(name: str, written: set[str]) -> bool:
    """True if an earlier line writes the file or its folder, or if it is in the repository."""
    folders = {str(parent) for parent in (Path(name), *Path(name).parents)}
    return bool(folders & {each.rstrip("/") for each in written}) or (ROOT / name).exists()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_in_checked_blocks(page: Path) -> None:
    """No command is in an indented block, and Python blocks compile."""
    text = page.read_text(encoding="utf-8")
    outside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    if page.name not in ("mac_and_windows.md",):
        assert not re.findall(r"^ {4}kinema .*", outside, re.MULTILINE)
    for first, block in blocks(text, ("python",)):
        compile(block, f"{page.name}:{first}", "exec")


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub builds them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_link_targets_exist() -> None:
    for page in PAGES:
        for link, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
            target = page.parent / link if link else page
            assert target.exists(), f"{page.name}: {link}"
            assert not anchor or anchor in anchors(target), f"{page.name}: {link}#{anchor}"


SOURCE = re.compile(r"`((?:[a-z_]+/)*[a-z_]+\.py)(?:: ([A-Za-z_.]+))?`")
"""A file in the text, and the function, class or method that is named in it: `core/plan.py: resolve`."""


def test_the_architecture_page_names_existing_code() -> None:
    sources = [path.relative_to(ROOT).as_posix() for path in (ROOT / "src" / "kinema").rglob("*.py")]
    for file, name in SOURCE.findall((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")):
        found = [path for path in sources if path.endswith(f"/{file}")]
        assert found or (ROOT / file).exists() or file.startswith("test_"), f"no file {file}"
        texts = [(ROOT / path).read_text(encoding="utf-8") for path in found]
        for part in filter(None, name.split(".")):
            assert any(re.search(rf"(def|class) {part}\b", text) for text in texts), f"no {name} in {file}"


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    missing = [page.name for page in PAGES[1:] if page.name != "README.md" and f"({page.name})" not in index]
    assert not missing


def test_skipped_lines_are_in_the_readme() -> None:
    lines = {line.text for line in shell_lines((ROOT / "README.md").read_text(encoding="utf-8"))}
    assert set(SKIPPED) | set(UNTIL_CTRL_C) <= lines


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kinema nope", "No such command"),
        ("kinema generate x --nope 1", "No such option"),
        ("kinema control samples/road.mp4 edge -o e.mp4", "kind"),
        ("kinema generate x --profile exakt", "exakt"),
        ("kinema remove", "VIDEO"),
    ],
)
def test_invalid_lines_are_detected(text: str, problem: str) -> None:
    (command, _), = commands(text)  # fmt: skip
    with pytest.raises(ValueError, match=problem):
        parsed(command[1:])


def test_input_and_output_files_of_a_line() -> None:
    (command, target), = commands("KEY=1 kinema edit a.mp4 'x.mp4' --mask m.png -o e.mp4 > log.txt  # why")  # fmt: skip
    assert target == "log.txt"
    assert files(*parsed(command[1:])) == (["m.png", "a.mp4"], ["e.mp4"])


@pytest.mark.slow
def test_the_readme_runs_from_its_first_line_to_its_last(tmp_path: Path) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    environment = {
        **os.environ,
        "KINEMA_HOME": str(tmp_path / "home"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    minutes = os.environ.get("KINEMA_README_MINUTES", "1")
    ran = []
    for line in shell_lines(page):
        if line.text in SKIPPED:
            sys.stdout.write(f"skipped, {SKIPPED[line.text]}: {line.text}\n")
            continue
        if line.text in UNTIL_CTRL_C:
            watch(UNTIL_CTRL_C[line.text], tmp_path, environment)
            ran.append(line.text)
            continue
        text = re.sub(r"--minutes \d+", f"--minutes {minutes}", line.text)
        done = subprocess.run(
            ["bash", "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"README.md:{line.number}: {text}\n{done.stdout}\n{done.stderr}"
        ran.append(text)
        for command, _ in commands(text):
            if command[0] == "kinema":
                for each in files(*parsed(command[1:]))[1]:
                    check_written(tmp_path / each)
    for _, block in blocks(page, ("python",)):
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert len(ran) > 20


def watch(text: str, cwd: Path, environment: dict[str, str]) -> None:
    """Run a channel until its page and its stream are reachable, then send SIGINT; the log ends with 'Stopped.'"""
    log = cwd / "channel.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["bash", "-c", text], cwd=cwd, env={**environment, "PYTHONUNBUFFERED": "1"}, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
            # a test in the background of a shell ignores SIGINT, and the child would inherit that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    try:
        page = wait_for(lambda: re.search(r"http://\S+:\d+/(?=\s)", log.read_text()), process, log)[0]
        name = wait_for(lambda: re.search(r"^[^#\s].*m3u8.*$", fetched(f"{page}live.m3u8"), re.MULTILINE), process, log)
        wait_for(lambda: "#EXTINF" in fetched(f"{page}{name[0]}"), process, log)
        assert "<video" in fetched(page)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) in (0, 130), log.read_text()
        assert log.read_text().rstrip().endswith("Stopped."), log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(look: Callable[[], Any], process: subprocess.Popen[bytes], log: Path) -> Any:
    for _ in range(240):
        assert process.poll() is None, log.read_text()
        if found := look():
            return found
        time.sleep(0.5)
    pytest.fail(f"not reachable after two minutes: {log.read_text()}")


def fetched(address: str) -> str:
    """Return the response text, or an empty string if the address is not reachable."""
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def check_written(path: Path) -> None:
    """Check that the file exists and, for a clip, that it has several frames that are not blank."""
    assert path.exists(), path
    if path.suffix in (".mp4", ".webm"):
        from kinema.media.read import read_video

        frames_FHWC, _ = read_video(path)
        assert len(frames_FHWC) > 1 and frames_FHWC.std() > 5, path
