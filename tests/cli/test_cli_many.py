"""`kinema generate --seeds --prompts --grid` and `kinema history`, with clips that are painted instead of generated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_tools import answer, run

from kinema.core.chunk import Chunk
from kinema.core.plan import Plan
from kinema.engine.manifest import manifest
from kinema.media.read import read_image, read_video

SMALL = ["--frames", "5", "--size", "32x32"]


class Painter:
    """Paints the clip of seed N in gray 20 * N. stop_at: the seed at which it stops."""

    device_name = "cpu"

    def __init__(self) -> None:
        self.loaded, self.made, self.stop_at = 0, 0, -1
        self.start_s: float | None = None

    def load(self, *_: Any) -> Painter:
        self.loaded += 1
        return self

    def digests(self, _plan: Plan) -> dict[str, str]:
        return {"w": "1"}

    def manifest(self, plan: Plan) -> dict[str, Any]:
        return manifest(plan, self.digests(plan), "cpu")

    def stream(self, plan: Plan, **_: Any) -> Any:
        if plan.seed == self.stop_at:
            raise KeyboardInterrupt
        self.made += 1
        yield Chunk(np.full((plan.frames, *plan.size[::-1], 3), 20 * plan.seed, np.uint8), 0, plan.fps)


@pytest.fixture(autouse=True)
def painter(monkeypatch: pytest.MonkeyPatch) -> Painter:
    painter = Painter()
    monkeypatch.setattr("kinema.cli.work.load_engine", painter.load)
    monkeypatch.delenv("KINEMA_HISTORY", raising=False)
    return painter


def test_prompts_with_seeds_by_one_model_and_a_sheet(painter: Painter) -> None:
    Path("p.txt").write_text("# two\na red ball\n\na blue star\n")
    result = run(
        "generate", "--prompts", "p.txt", "--seeds", "1-2,9", *SMALL, "-o", "clips/", "--grid", "g.png", "--json"
    )
    found = answer(result)
    assert (found["made"], found["reused"], found["grid"], painter.loaded) == (6, 0, "g.png", 1)
    assert [Path(clip["path"]).name for clip in found["clips"]] == [
        f"{words}-{seed}.mp4" for words in ("red-ball", "blue-star") for seed in (1, 2, 9)
    ]
    assert all(clip["frames"] == 5 and clip["plan"]["seed"] in (1, 2, 9) for clip in found["clips"])
    sheet = read_image("g.png")
    for row in range(2):
        for column, seed in enumerate((1, 2, 9)):
            y, x = sheet.shape[0] * (2 * row + 1) // 4, sheet.shape[1] * (2 * column + 1) // 6
            assert abs(int(sheet[y, x, 0]) - 20 * seed) < 4, (row, seed)
    again = answer(run("generate", "--prompts", "p.txt", "--seeds", "1-2,9", *SMALL, "-o", "clips/", "--json"))
    assert (again["made"], again["reused"], painter.made) == (0, 6, 6)
    assert [clip["bytes"] for clip in again["clips"]] == [clip["bytes"] for clip in found["clips"]]


def test_all_play_side_by_side() -> None:
    assert run("generate", "a ball", "--seeds", "1-3", *SMALL, "-o", "b.mp4", "--grid", "g.mp4").exit_code == 0
    frames, fps = read_video("g.mp4")
    one, _ = read_video("b-1.mp4")
    assert (len(frames), fps) == (5, 8.0) and len(one) == 5
    columns = [int(frames[2, frames.shape[1] // 2, frames.shape[2] * (2 * k + 1) // 6, 0]) for k in range(3)]
    assert np.abs(np.array(columns) - [20, 40, 60]).max() < 6


def test_after_ctrl_c_it_goes_on(painter: Painter) -> None:
    painter.stop_at = 3
    result = run("generate", "a ball", "--seeds", "1-4", *SMALL, "-o", "b.mp4")
    assert result.exit_code == 130
    assert "2 of 4 clips are finished; the same command resumes" in result.stderr
    assert sorted(path.name for path in Path().glob("*.mp4")) == ["b-1.mp4", "b-2.mp4"]
    assert not list(Path().glob(".*"))
    painter.stop_at = -1
    result = run("generate", "a ball", "--seeds", "1-4", *SMALL, "-o", "b.mp4")
    assert "b-1.mp4  (exists)" in result.stdout
    assert "2 clips generated, 2 existed" in result.stdout


def test_without_a_name_nothing_of_another_request_is_replaced() -> None:
    names = []
    for more in ([], ["--steps", "3"], []):
        found = answer(run("generate", "a ball", "--seeds", "1-2", *SMALL, *more, "--json"))
        names.append(sorted(clip["path"] for clip in found["clips"]))
    assert names[0] == names[2] == ["kinema-ball-1.mp4", "kinema-ball-2.mp4"]
    assert names[1] == ["kinema-ball-1-2.mp4", "kinema-ball-2-2.mp4"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ball", "--seeds", "5-1"], "5-1"),
        (["ball", "--seeds", "1-2000"], "1,000"),
        (["ball", "--seeds", "1-2", "--seed", "4"], "--seed or --seeds"),
        (["a", "--prompts", "p.txt"], "one of them"),
        (["--prompts", "none.txt"], "no such file"),
        (["--prompts", "empty.txt"], "holds no prompt"),
        (["a", "--grid", "g.png"], "--seeds 1-8"),
        (["ball", "--seeds", "1-2", "--grid", "g.txt"], "a grid is an image or a clip"),
        (["ball", "--seeds", "1-70", "--grid", "g.mp4"], "64 clips"),
        (["ball", "--seeds", "1-2", "--sheet", "s.png"], "--grid FILE"),
        (["ball", "--seeds", "1-2", "--keep-state", "s"], "belongs to a single clip"),
        (["ball", "--seeds", "1-2", "-o", "x-{nr}.mp4"], "unknown field {nr}"),
        (["ball", "--seeds", "1-2", "-o", "x.avi"], "no such output format"),
        (["ball", "--seeds", "1-2", "-o", "no/x.mp4"], "does not exist"),
        (["ball", "--seeds", "1-2", "-o", "no/more/"], "does not exist"),
        (["ball", "--seeds", "1-2", "-o", "p.txt/"], "is a file"),
        (["ball", "--seeds", "1-2", "-o", "x.mp4", "--grid", "x-2.mp4"], "cannot be"),
        (["--prompts", "p.txt", "--seeds", "1", "--size", "65x65"], "p.txt, line 1"),
        (["--prompts", "p.txt", "--seeds", "1", "-o", "x/", "--grid", "p.txt"], "a grid is"),
    ],
)
def test_all_is_refused_before_the_first_is_made(arguments: list[str], words: str, painter: Painter) -> None:
    Path("p.txt").write_text("ball\nstar\n")
    Path("empty.txt").write_text("# nothing\n")
    result = run("generate", *arguments)
    assert result.exit_code in (1, 2), result.output
    assert words in result.stderr
    assert painter.loaded == painter.made == 0
    assert sorted(path.name for path in Path().iterdir() if path.name != "home") == ["empty.txt", "p.txt"]


# -- the history -----------------------------------------------------------------------------------------------------


def test_what_was_made_is_listed_searched_and_shown() -> None:
    assert "yet" in run("history").stdout
    run("generate", "a red ball", "--seeds", "1-2", *SMALL, "-o", "b.mp4")
    run("generate", "a blue star", "--seed", "7", *SMALL, "-o", "star.mp4", "--json")
    found = answer(run("history", "--json"))
    assert [Path(each["path"]).name for each in found["shown"]] == ["star.mp4", "b-2.mp4", "b-1.mp4"]
    assert (found["shown"][0]["prompt"], found["shown"][0]["seed"], found["shown"][0]["state"]) == (
        "a blue star",
        7,
        "here",
    )
    Path("b-1.mp4").unlink()
    shown = run("history").stdout
    assert "b-1.mp4 (gone)" in shown and "star.mp4  32x32" in shown
    for word, num in ((shown[:10], 3), ("Seed 7", 1), ("1999-12-31", 0)):
        assert answer(run("history", "--search", word, "--json"))["clips"] == num
    found = answer(run("history", "--search", "RED", "--limit", "1", "--sheet", "h.png", "--json"))
    assert (found["clips"], len(found["shown"]), found["sheet"]) == (2, 1, "h.png")
    assert (read_image("h.png") == 40).all(2).mean() > 0.5  # the first frame of seed 2
    assert run("history", "--clear").stdout == "3 entries removed; the clips stay.\n"
    assert answer(run("history", "--json"))["clips"] == 0


def test_prompts_of_strangers_reach_no_terminal_raw() -> None:
    run("generate", "a \x1b[31mred\u202e ball\nkinema: all is well", "--seed", "1", *SMALL, "-o", "b.mp4", "--json")
    shown = run("history").stdout
    assert "\x1b" not in shown and "\u202e" not in shown
    assert len(shown.splitlines()) == 2


def test_it_is_off_where_one_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINEMA_HISTORY", "off")
    run("generate", "a ball", "--seed", "1", *SMALL, "-o", "b.mp4", "--json")
    result = run("history")
    assert "yet" in result.stdout and "KINEMA_HISTORY is off" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--limit", "0"], "1 or more"), (["--sheet", "h.mp4"], "a contact sheet is an image"),
     (["--clear", "--search", "x"], "--clear alone"), (["--sheet", "h.png"], "the sheet would be empty")],
)  # fmt: skip
def test_refusals_of_history(arguments: list[str], words: str) -> None:
    result = run("history", *arguments)
    assert result.exit_code in (1, 2)
    assert words in result.stderr and not Path("h.png").exists()


def test_a_film_and_what_was_done_to_a_clip_are_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    run("generate", "a red ball", "--seed", "1", *SMALL, "-o", "b.mp4", "--json")
    assert run("upscale", "b.mp4", "--by", "lanczos", "-o", "large.mp4").exit_code == 0
    assert run("interpolate", "b.mp4", "--by", "blend", "-o", "smooth.mp4").exit_code == 0
    assert run("score", "smooth.mp4", "-o", "scored.mp4").exit_code == 0
    shots = [{"request": {"prompt": "a blue star", "seed": 2, "frames": 5, "width": 32, "height": 32}}]
    Path("plan.json").write_text(json.dumps({"title": "Star", "card_s": 0.5, "shots": shots}))
    monkeypatch.setattr(Painter, "plan", lambda self, request: None, raising=False)
    assert run("make-film", "plan.json", "-o", "film.mp4").exit_code == 0
    found = answer(run("history", "--json"))["shown"]
    assert [(each["made"], each["prompt"]) for each in found] == [
        ("film", "Star; a blue star"), ("scored", "a red ball"), ("interpolated", "a red ball"),
        ("upscaled", "a red ball"), ("generated", "a red ball"),
    ]  # fmt: skip
    assert all(each["state"] == "here" and each["frames"] > 0 and each["width"] >= 32 for each in found)
