"""`kinema direct -o` and `kinema make-film`: from a theme to a film."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_tools import answer, run

from kinema.workflow.film_plan import FilmPlan


def direct(*arguments: str) -> FilmPlan:
    result = run("direct", "a red ball at sea", "--seed", "3", "-o", "plan.json", *arguments)
    assert result.exit_code == 0, result.output
    assert "make-film plan.json" in result.stdout
    return FilmPlan.from_file("plan.json")


def test_a_theme_becomes_a_plan() -> None:
    found = direct("--shots", "6")
    told = answer(run("direct", "a red ball at sea", "--seed", "3", "--shots", "6", "--json"))["episodes"][0]
    assert (found.title, found.subtitle, found.ending) == (told["title"], "a red ball at sea", "The end")
    assert [shot.request.prompt for shot in found.shots] == [shot["prompt"] for shot in told["shots"]]
    joins = {"cut": "cut", "match": "crossfade", "continue": "continue"}
    assert [shot.join for shot in found.shots] == [joins[shot["continuity"]] for shot in told["shots"]]


def test_several_episodes_have_a_card_each() -> None:
    found = direct("--shots", "2", "--episodes", "3")
    assert found.title == "a red ball at sea"
    assert [bool(shot.title) for shot in found.shots] == [False, False, True, False, True, False]


def test_direct_replaces_no_other_file() -> None:
    Path("package.json").write_text("{}")
    for name, words in (
        ("package.json", "is not a film plan"),
        ("plan.txt", "is a .json file"),
        ("no/plan.json", "does not exist"),
    ):
        result = run("direct", "the sea", "-o", name)
        assert result.exit_code == 2
        assert words in result.stderr


def test_a_film_by_the_miniature(model: str) -> None:
    """The whole way, as small as it gets, and what the file says of itself."""
    shots = [
        {"request": {"prompt": f"a {color} ball rolls left", "seed": 1, "frames": 5, "width": 32, "height": 32}}
        for color in ("red", "blue")
    ]
    Path("plan.json").write_text(json.dumps({"title": "Balls", "music": "calm", "card_s": 0.5, "shots": shots}))
    result = run("make-film", "plan.json", "--model", model, "--steps", "1", "--sheet", "sheet.png", "--json")
    assert result.exit_code == 0, result.output
    found = answer(result)
    assert (found["path"], found["shots"], found["frames"], found["lufs"]) == ("plan.mp4", 2, 4 + 10, -16.0)
    assert Path("sheet.png").exists() and not Path("plan.mp4.parts").exists()
    assert answer(run("inspect", "plan.mp4", "--json"))["film"]["plan"]["title"] == "Balls"
    assert "shot 2" in run("inspect", "plan.mp4").stdout
    again = run("rerun", "plan.mp4")
    assert again.exit_code == 2
    assert "make-film" in again.stderr


SHOT = {"request": {"prompt": "a red ball rolls left"}}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.json"], "no such film plan"),
        (["bad.json"], "not valid JSON"),
        (["empty.json"], "has no shots"),
        (["plan.json", "-o", "film.avi"], "no such output format"),
        (["plan.json", "-o", "no/film.mp4"], "does not exist"),
        (["plan.json", "--size", "65x65"], "Shot 1: kinema-mini-wan cannot generate 65x65"),
        (["plan.json", "--fps", "0"], "fps = 0"),
        (["plan.json", "--steps", "0"], "steps"),
        (["plan.json", "--title", "a\nb"], "one line"),
        (["long.json"], "seconds"),
    ],
)
def test_refusals_come_before_work(arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from kinema.cli import work

    monkeypatch.setattr(work, "load_engine", lambda *_: pytest.fail("weights are loaded"))
    Path("bad.json").write_text("{")
    Path("empty.json").write_text("{}")
    Path("plan.json").write_text(json.dumps({"shots": [SHOT]}))
    many = {"request": {"prompt": "a red ball", "frames": 17, "fps": 0.25}}
    Path("long.json").write_text(json.dumps({"music": "calm", "shots": [many] * 30}))
    result = run("make-film", *arguments)
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert not list(Path().glob("*.parts"))


def test_an_unknown_model_is_told() -> None:
    Path("plan.json").write_text(json.dumps({"shots": [SHOT]}))
    result = run("make-film", "plan.json", "--model", "kinema-mini-wam")
    assert result.exit_code == 2
    assert "Did you mean kinema-mini-wan?" in result.stderr


@pytest.mark.parametrize(("num", "words"), [(0, ""), (1, "1 finished shot is kept"), (3, "3 finished shots are kept")])
def test_a_run_that_is_stopped_says_what_is_kept(num: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from kinema.workflow import film

    def stopped(*_: object, **__: object) -> None:
        Path("film.mp4.parts").mkdir()
        for number in range(num):
            Path(f"film.mp4.parts/shot-{number:020x}.mp4").touch()
            Path(f"film.mp4.parts/shot-{number:020x}.mp4.json").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(film, "make_film", stopped)
    Path("plan.json").write_text(json.dumps({"shots": [SHOT]}))
    result = run("make-film", "plan.json", "-o", "film.mp4")
    assert result.exit_code == 130
    assert words in result.stderr
    assert ("the same command resumes" in result.stderr) == bool(num)


def test_a_film_of_so_many_seconds() -> None:
    found = direct("--shots", "6", "--seconds", "20")
    told = answer(run("direct", "a red ball at sea", "--seed", "3", "--shots", "6", "--seconds", "20", "--json"))
    assert told["length_s"] == pytest.approx(20, abs=0.4)
    assert [shot["seconds"] for shot in told["episodes"][0]["shots"]] == [shot.request.seconds for shot in found.shots]
    as_it_was = direct("--shots", "6")
    assert [shot.request.prompt for shot in found.shots] == [shot.request.prompt for shot in as_it_was.shots]
    result = run("direct", "a red ball at sea", "--shots", "6", "--seconds", "2", "-o", "short.json")
    assert result.exit_code == 2 and "Nearest legal value" in result.stderr and not Path("short.json").exists()


@pytest.mark.parametrize("theme", ["a storm at sea", "racing cars", "a sleepy star", "robots dancing in Tokyo"])
def test_words_of_the_director_are_no_remarks(theme: str) -> None:
    """make-film says nothing of words that `direct` wrote itself; words of one's own it does name."""
    from kinema.cli.film import _all_remarks, _remarks
    from kinema.workflow.film import plan_film

    assert run("direct", theme, "--shots", "8", "--seed", "1", "-o", "plan.json").exit_code == 0
    film = FilmPlan.from_file("plan.json")
    shots = plan_film(film)
    assert any("slowly" in line or "steadily" in line or "quickly" in line for line in _all_remarks(shots))
    for word in ("Not understood", "training data", "Read as", "steadily", "slowly", "quickly"):
        assert not any(word in line for line in _remarks(shots)), word
    plan = json.loads(film.to_json())
    plan["shots"][0]["request"]["prompt"] = "a zebra slowly moves left over the sea"
    assert any("zebra" in line for line in _remarks(plan_film(FilmPlan.from_dict(plan))))
