"""Film plans: read, written, refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from film_tools import film

from kinema.core.errors import RequestError
from kinema.workflow.film_plan import FilmPlan


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    wanted = film("cut", "crossfade", "continue", title="A", ending="B", music="calm", seed=4)
    wanted.save(tmp_path / "plan.json")
    assert FilmPlan.from_file(tmp_path / "plan.json") == wanted
    wanted.save(tmp_path / "plan.json")


def test_media_are_found_beside_the_plan(tmp_path: Path) -> None:
    (tmp_path / "first.png").write_bytes(b"")
    request = {"prompt": "a", "conditions": [{"kind": "image", "image": "first.png"}]}
    (tmp_path / "plan.json").write_text(json.dumps({"shots": [{"request": request}]}))
    found = FilmPlan.from_file(tmp_path / "plan.json")
    assert found.shots[0].request.conditions[0].image == str(tmp_path / "first.png")  # type: ignore[union-attr]


def test_shots_without_a_seed_get_one_each() -> None:
    data = {"seed": 5, "shots": [{"request": {"prompt": "a"}}, {"request": {"prompt": "b", "seed": 1}}]}
    assert [request.seed for request in FilmPlan.from_dict(data).requests()] == [5, 1]


SHOT = {"request": {"prompt": "a"}}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "expected an object, got a list"),
        ({}, "has no shots"),
        ({"shots": []}, "has no shots"),
        ({"shots": {"a": 1}}, "shots: expected a list"),
        ({"shots": [7]}, "shot 1: expected an object"),
        ({"shots": [{}]}, "shot 1: A request is an object"),
        ({"shots": [SHOT, {"request": {"prompt": 3}}]}, "shot 2: prompt"),
        ({"shots": [{"request": {"promt": "a"}}]}, "shot 1: Unknown field 'promt'"),
        ({"shots": [{**SHOT, "jion": "cut"}]}, "unknown field 'jion'.*Nearest legal value: join"),
        ({"shots": [{**SHOT, "join": "wipe"}]}, "shot 1: join = 'wipe'"),
        ({"shots": [{**SHOT, "join": "crossfade"}]}, "nothing comes before it.*Nearest legal value: cut"),
        ({"shots": [SHOT], "titel": "x"}, "unknown field 'titel'.*Nearest legal value: title"),
        ({"shots": [SHOT], "title": "a\x1b[2J"}, "one line of printable characters"),
        ({"shots": [SHOT], "title": "x" * 201}, "title"),
        ({"shots": [SHOT], "card_s": 99}, "card_s = 99"),
        ({"shots": [SHOT] * 1001}, "shots"),
        ({"film": 2, "shots": [SHOT]}, "film = 2"),
        ({"seed": -1, "shots": [SHOT]}, "seed"),
    ],
)
def test_what_is_no_plan_is_refused(data: Any, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        FilmPlan.from_dict(data)


@pytest.mark.parametrize(
    ("text", "words"), [("{", "not valid JSON"), ("[" * 200 + "]" * 200, "nested"), ('{"a": NaN}', "NaN")]
)
def test_files_that_are_no_json(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(RequestError, match=words):
        FilmPlan.from_file(tmp_path / "plan.json")


def test_no_such_plan(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no such film plan.*kinema direct"):
        FilmPlan.from_file(tmp_path / "none.json")


def test_a_strangers_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"name": "mine"}')
    with pytest.raises(RequestError, match="is not a film plan"):
        film("cut").save(tmp_path / "package.json")
    assert "mine" in (tmp_path / "package.json").read_text()
