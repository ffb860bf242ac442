"""Duplicate names are refused in every format that users write; otherwise the last value would silently win."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kinema.channel import config
from kinema.cli import direct
from kinema.core.errors import KinemaError, RequestError
from kinema.core.outside import parse_json, parse_toml, parse_yaml
from kinema.core.request import Request
from kinema.workflow.film_plan import FilmPlan

JSON, YAML = '{{"{0}": 1, "a": {{"{1}": 1, "b": 2, "{2}": 3}}}}', "{0}: 1\na:\n  {1}: 1\n  b: 2\n  {2}: 3\n"
TOML = "{0} = 1\n[a]\n{1} = 1\nb = 2\n{2} = 3\n"


@pytest.mark.parametrize(("parse", "text"), [(parse_json, JSON), (parse_yaml, YAML), (parse_toml, TOML)])
def test_at_any_depth(parse: Callable[..., Any], text: str) -> None:
    for names in (("seed", "seed", "steps"), ("steps", "seed", "steps")):
        assert parse(text.format(*names).encode(), "it")["a"]["b"] == 2, "the same name in another place"
    with pytest.raises(RequestError, match=r"^it: 'seed' is given twice; names must be unique\.$"):
        parse(text.format("steps", "seed", "seed").encode(), "it", error=RequestError)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("seed = 1\nseed = 2", "seed"),
        ("seed = 1\nseed = '''x\n = y\n'''\nz = 1", "seed"),
        ("[page]\na = 1\n[page]\nb = 1", "page"),
        ("[page.x]\na = 1\n[page.x]\nb = 1", "page.x"),
        ("page = {port = 1, port = 2}", "port"),
        ("page.port = 1\npage.port = 2\n", "page.port"),
    ],
)
def test_toml_of_all_shapes(text: str, name: str) -> None:
    with pytest.raises(KinemaError, match=rf"'{name}' is given twice"):
        parse_toml(text.encode(), "it")


def test_a_merged_mapping_may_be_overridden() -> None:
    told = "a: &a {x: 1, y: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b, y: 3}\nd: *b\n"
    found = parse_yaml(told, "it")
    assert (found["b"], found["c"], found["d"]) == ({"x": 2, "y": 1}, {"x": 2, "y": 3}, {"x": 2, "y": 1})


FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "request.json": (Request.from_file, '{"prompt": "x", "seed": 1, "seed": 2}'),
    "request.yaml": (Request.from_file, "prompt: x\nseed: 1\nseed: 2\n"),
    "film.json": (FilmPlan.from_file, '{"film": 1, "seed": 1, "seed": 2, "shots": []}'),
    "film.yaml": (FilmPlan.from_file, "film: 1\nseed: 1\nseed: 2\nshots: []\n"),
    "bible.yaml": (direct._bible, "look: a\nseed: b\nseed: c\n"),
    "channel.toml": (config.read, 'title = "x"\nseed = 1\nseed = 2\n'),
}


@pytest.mark.parametrize("name", sorted(FILES))
def test_in_every_file_that_people_write(name: str, tmp_path: Path) -> None:
    read, text = FILES[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(KinemaError, match="'seed' is given twice"):
        read(tmp_path / name)
