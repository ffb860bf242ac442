"""Many clips of one request: which seeds, which prompts, which names; made once, and made anew where they changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema.core.chunk import Chunk
from kinema.core.errors import KinemaError, MediaError, RequestError
from kinema.core.events import Note, Progress
from kinema.core.plan import Plan
from kinema.core.request import Request
from kinema.engine.manifest import manifest
from kinema.engine.plan import plan as make_plan
from kinema.media.read import read_video
from kinema.workflow.many import MOST, ListedRequest, make_many, names, plan_many, prompts, seeds, slug, spread

SMALL = Request(frames=5, width=32, height=32)


class Painter:
    """Paints the clip of seed N in gray 10 * N. stop_at: the seed at whose third frame it stops."""

    def __init__(self, stop_at: int | None = None, weights: str = "one") -> None:
        self.made: list[int] = []
        self.stop_at, self.weights = stop_at, weights

    def digests(self, _plan: Plan) -> dict[str, str]:
        return {"model.safetensors": self.weights}

    def manifest(self, plan: Plan) -> dict[str, Any]:
        return manifest(plan, self.digests(plan), "cpu")

    def stream(self, plan: Plan, *, on_event: Any) -> Any:
        on_event(Note("encode", "a note"))
        for index in range(plan.frames):
            if plan.seed == self.stop_at and index == 2:
                raise KeyboardInterrupt
            on_event(Progress("sample", index + 1, plan.frames, 0.1))
            yield Chunk(np.full((1, *plan.size[::-1], 3), 10 * plan.seed, np.uint8), index, plan.fps)
        self.made.append(plan.seed)


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))


def make(painter: Painter, text: str = "1-3", base: Request = SMALL, prompt: str = "a red ball", **how: Any) -> list:
    wishes = spread(base, [prompt], seeds(text))
    return list(
        make_many(plan_many(wishes, "ball.mp4", lambda request: make_plan(request, None, "cpu")), painter, **how)
    )


# -- seeds, prompts, names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["p.csv", "p.TSV", "p.jsonl", "p.yaml"])
def test_a_table_is_no_list_of_prompts(name: str) -> None:
    Path(name).write_text("prompt;seed\na red ball;1\n")
    with pytest.raises(RequestError, match=r"its lines are not prompts.* Legal: a text file"):
        prompts(Path(name))


@pytest.mark.parametrize(
    ("text", "found"),
    [("7", (7,)), ("1-3", (1, 2, 3)), ("1-3,12", (1, 2, 3, 12)), (" 4 , 2 - 3", (4, 2, 3)), ("3,1-4", (3, 1, 2, 4)),
     ("9223372036854775807", (2**63 - 1,))],
)  # fmt: skip
def test_lists_and_ranges_of_seeds(text: str, found: tuple[int, ...]) -> None:
    assert seeds(text) == found


@pytest.mark.parametrize(
    "text", ["", ",", "1-", "-1", "3-1", "1..3", "a", "1-2-3", "1.5", "9223372036854775808", "\u0661"]
)
def test_what_is_no_list_of_seeds_is_refused_by_name(text: str) -> None:
    with pytest.raises(RequestError, match="seeds") as refused:
        seeds(text)
    assert refused.value.value == text


def test_too_many_seeds_are_refused_before_they_are_counted_out() -> None:
    for text in (f"0-{MOST}", "1-9223372036854775807", ",".join(f"{k}00-{k}99" for k in range(11))):
        with pytest.raises(RequestError, match="1,000"):
            seeds(text)
    assert len(seeds(f"1-{MOST}")) == MOST


@given(st.text(alphabet="0123456789-, x", max_size=20))
def test_any_text_is_seeds_or_refused(text: str) -> None:
    try:
        found = seeds(text)
    except RequestError:
        return
    assert len(set(found)) == len(found) <= MOST
    assert found


def test_prompts_of_any_editor_with_comments_and_repetitions() -> None:
    text = "# mine\n\n  a red ball \na blue star\r\na red ball\n"
    for data in (text.encode(), b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16")):
        Path("p.txt").write_bytes(data)
        found, notes = prompts(Path("p.txt"))
        assert found == [(3, "a red ball"), (4, "a blue star")]
        assert notes == ["p.txt: line 5 repeats line 3 and is skipped."]
    Path("p.txt").write_bytes(b"a caf\xe9\n")
    assert "cp1252" in prompts(Path("p.txt"))[1][0]


@pytest.mark.parametrize(
    "data", [b"", b"# nothing\n\n", b"a\0b", b"x\n" * 2**20, b"".join(b"p%d\n" % k for k in range(1001))]
)
def test_a_file_without_prompts_or_with_too_many_is_refused(data: bytes) -> None:
    Path("p.txt").write_bytes(data)
    with pytest.raises(KinemaError, match=r"p\.txt"):
        prompts(Path("p.txt"))


def test_no_file_of_prompts() -> None:
    with pytest.raises(MediaError, match="no such file"):
        prompts(Path("none.txt"))


def test_every_prompt_with_every_seed_within_the_bound() -> None:
    wishes = spread(SMALL, ["a", "b"], (1, 2))
    assert [(wish.request.prompt, wish.request.seed) for wish in wishes] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    with pytest.raises(RequestError, match="1,020 clips"):
        spread(SMALL, [f"{k}" for k in range(102)], range(10))


def wishes_of(*said: str, numbers: tuple[int, ...] = (1, 2)) -> list[ListedRequest]:
    return spread(SMALL, said, numbers)


@pytest.mark.parametrize(
    ("pattern", "said", "found"),
    [
        ("ball.mp4", ["a red ball"], ["ball-1.mp4", "ball-2.mp4"]),
        ("ball.x.mp4", ["a red ball"], ["ball.x-1.mp4", "ball.x-2.mp4"]),
        ("s{seed}.webm", ["a red ball"], ["s1.webm", "s2.webm"]),
        ("clips/", ["The red ball, left!"], ["clips/red-ball-left-1.mp4", "clips/red-ball-left-2.mp4"]),
        ("o.mp4", ["one", "two"], ["o-one-1.mp4", "o-one-2.mp4", "o-two-1.mp4", "o-two-2.mp4"]),
        ("{number}_{seed}.mp4", ["one", "two"], ["1_1.mp4", "1_2.mp4", "2_1.mp4", "2_2.mp4"]),
    ],
)
def test_names(pattern: str, said: list[str], found: list[str]) -> None:
    assert [path.as_posix() for path in names(pattern, wishes_of(*said))] == found


@pytest.mark.parametrize("pattern", ["o-{sed}.mp4", "o-{number}.mp4", "clips", "o-{}.mp4", "{prompt}.mp4"])
def test_names_that_would_be_the_same_or_mean_nothing_are_refused(pattern: str) -> None:
    with pytest.raises(RequestError, match=r"unknown field|several clips|neither a file name"):
        names(pattern, wishes_of("a red ball"))


@given(st.lists(st.text(max_size=80), min_size=1, max_size=5, unique=True))
def test_any_prompts_have_names_of_their_own(said: list[str]) -> None:
    found = names(
        "clips/", [ListedRequest(Request.model_construct(prompt=each, seed=1), n) for n, each in enumerate(said)]
    )
    assert len({str(path).casefold() for path in found}) == len(said)
    assert all(path.parent == Path("clips") and len(path.name) < 100 for path in found)


def test_prompts_that_begin_alike_have_names_of_their_own() -> None:
    found = [path.name for path in names("clips/", wishes_of("a red ball", "The red ball!", numbers=(1,)))]
    assert len(set(found)) == 2 and all(name.startswith("red-ball-") and name.endswith("-1.mp4") for name in found)


def test_words_of_a_prompt() -> None:
    assert slug("A caf\u00e9 at the sea/../x") == "cafe-at-sea-x"
    assert slug("\u732b") == ""


# -- making ----------------------------------------------------------------------------------------------------------


def test_all_are_made_each_in_its_file() -> None:
    heard: list[Any] = []
    made = make(Painter(), on_event=heard.append)
    assert [(each.path.name, each.reused) for each in made] == [(f"ball-{n}.mp4", False) for n in (1, 2, 3)]
    for number in (1, 2, 3):
        assert abs(read_video(f"ball-{number}.mp4")[0].mean() - 10 * number) < 3
    stages = [event.stage for event in heard if isinstance(event, Progress)]
    assert list(dict.fromkeys(stages)) == ["clip 1 of 3", "clip 2 of 3", "clip 3 of 3"]
    told = [(event.done, event.total) for event in heard if isinstance(event, Progress)]
    assert told == sorted(told) and told[0] == (0, 15) and told[-1][0] >= 13
    assert [event.text for event in heard if isinstance(event, Note)] == ["a note"]


def test_a_stopped_run_keeps_what_is_whole_and_goes_on() -> None:
    first = Painter(stop_at=2)
    with pytest.raises(KeyboardInterrupt):
        make(first)
    assert first.made == [1]
    assert sorted(path.name for path in Path().glob("*.mp4*")) == ["ball-1.mp4", "ball-1.mp4.json"]
    assert not [path for path in Path().iterdir() if "partial" in path.name]
    again = Painter()
    assert [each.reused for each in make(again)] == [True, False, False]
    assert again.made == [2, 3]
    third = Painter()
    assert all(each.reused for each in make(third)) and not third.made


@pytest.mark.parametrize(
    "changed",
    [{"prompt": "a blue ball"}, {"base": SMALL.changed(steps=3)}, {"base": SMALL.changed(upscale=2)},
     {"weights": "two"}, {"file": b"no clip"}, {"file": None}],
)  # fmt: skip
def test_what_changed_is_made_anew(changed: dict[str, Any]) -> None:
    make(Painter(), "1-2")
    if "file" in changed:
        Path("ball-1.mp4").unlink() if changed["file"] is None else Path("ball-1.mp4").write_bytes(changed["file"])
        Path("ball-1.mp4.json").unlink()
    painter = Painter(weights=changed.get("weights", "one"))
    how = {name: value for name, value in changed.items() if name in ("prompt", "base")}
    made = [each.reused for each in make(painter, "1-2", **how)]
    assert made == ([False, True] if "file" in changed else [False, False])


def test_an_input_that_changed_is_seen() -> None:
    from PIL import Image

    def with_picture(color: tuple[int, int, int]) -> list[bool]:
        Image.new("RGB", (32, 32), color).save("first.png")
        base = SMALL.changed(conditions=({"kind": "image", "image": "first.png"},))
        return [each.reused for each in make(Painter(), "1", base)]

    assert with_picture((200, 0, 0)) == [False]
    assert with_picture((200, 0, 0)) == [True]
    assert with_picture((0, 0, 200)) == [False]


def test_a_clip_of_another_version_is_made_anew() -> None:
    make(Painter(), "1")
    note = json.loads(Path("ball-1.mp4.json").read_text())
    from kinema.media.read import read_chunks
    from kinema.media.write import write

    write(list(read_chunks("ball-1.mp4")), "ball-1.mp4", manifest={**note, "kinema": "0.0.1"})
    assert not make(Painter(), "1")[0].reused


def test_a_line_that_the_model_cannot_make_is_named() -> None:
    def refuse(request: Request) -> Plan:
        raise RequestError("no.", field="prompt") if request.prompt == "b" else AssertionError

    with pytest.raises(RequestError, match=r"p\.txt, line 9: no"):
        plan_many(spread(SMALL, [(9, "b"), (12, "c")], (1,), "p.txt, line"), "clips/", refuse)
