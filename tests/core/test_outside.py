"""Untrusted data: for any bytes, a value or a typed error within a second and 200 MB."""

from __future__ import annotations

import json
import os
import resource
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.core.errors import KinemaError, RequestError
from kinema.core.outside import bounded, for_terminal, of_kind, parse_json, parse_yaml, read_bytes, read_json

BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 9)
)
BAD_JSON = {
    "deep list": b"[" * 100_000,
    "deep closed list": b"[" * 900 + b"]" * 900,
    "deep object": b'{"a":' * 100_000,
    "long number": b"1" * 100_000,
    "NaN": b'{"a": NaN}',
    "Infinity": b"[-Infinity]",
    "half a surrogate": rb'{"a": "\ud800"}',
    "half a surrogate as a key": rb'{"\udfff": 1}',
    "no UTF-8": b'{"a": "\xff"}',
    "empty": b"",
    "many values": b"[" + b"0," * 1_100_000 + b"0]",
    "too large": b'"' + b"x" * (16 * 2**20) + b'"',
}
BAD_YAML = {
    "bomb": BOMB,
    "bomb of merges": MERGE_BOMB,
    "itself": "&a [*a]",
    "deep": "[" * 5000,
    "deep blocks": "\n".join(" " * n + "a:" for n in range(200)),
    "a tag": "!!python/object/apply:os.system [true]",
    "too large": "a: " + "x" * 300_000,
    "bad date": "2026-99-99",
    "list as a key": "? [a]\n: b",
    "NUL": "a\0b",
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json_is_refused_by_name(name):
    with pytest.raises(RequestError, match=r"^note\.json: "):
        parse_json(BAD_JSON[name], "note.json", error=RequestError)


@pytest.mark.parametrize("name", BAD_YAML)
def test_bad_yaml_is_refused_by_name(name):
    started = time.process_time()
    with pytest.raises(RequestError, match=r"^wish\.yaml: "):
        parse_yaml(BAD_YAML[name], "wish.yaml", error=RequestError)
    assert time.process_time() - started < 1


def test_a_yaml_bomb_costs_no_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for text in (BOMB, MERGE_BOMB):
        with pytest.raises(KinemaError, match="aliases"):
            parse_yaml(text, "bomb")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


@pytest.mark.parametrize("text", ["5_0", "1:30", "010", "0b11", "1_0.5", "1:30.5", "!!int 5_0", "!!float 1_0.5"])
def test_what_only_old_yaml_takes_for_a_number_is_text(text):
    """YAML 1.1 reads 1:30 as 90 and 010 as 8."""
    assert parse_yaml(f"a: {text}", "w") == {"a": text.rpartition(" ")[2]}


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("-7", -7), ("+12", 12), ("10", 10), ("0x10", 16), ("0.5", 0.5), ("1.0e+3", 1000.0)]
)
def test_plain_numbers_of_yaml(text, value):
    assert parse_yaml(f"a: {text}", "w") == {"a": value}


def test_yaml_with_honest_aliases_is_read():
    assert parse_yaml("a: &a {x: 1}\nb: [*a, *a]\nc: {<<: *a, y: 2}", "w") == {
        "a": {"x": 1}, "b": [{"x": 1}, {"x": 1}], "c": {"x": 1, "y": 2},
    }  # fmt: skip


@settings(max_examples=150, deadline=2000)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
def test_any_text_gives_a_value_or_a_typed_error(data):
    for parse in (parse_json, parse_yaml):
        try:
            parse(data, "it")
        except KinemaError as error:
            assert str(error).startswith("it: ")


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=30,
)


@settings(max_examples=100, deadline=2000)
@given(PLAIN)
def test_good_json_comes_back(value):
    assert parse_json(json.dumps(value), "it") == value


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("[]", dict, "expected an object, got a list"), ("{}", list, "expected a list, got an object"),
        ("true", (int, float), "expected a whole number or a number, got true or false"),
        ("null", str, "expected text, got null"), ('"5"', int, "expected a whole number, got text"),
    ],
)  # fmt: skip
def test_kinds(text, kind, says):
    with pytest.raises(KinemaError, match=says):
        parse_json(text, "it", kind)


def test_true_is_true():
    assert of_kind(True, "it", bool) is True


def test_files(tmp_path):
    good = tmp_path / "good.json"
    good.write_text('{"a": 1}')
    assert read_json(good, dict) == {"a": 1}
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")
    with pytest.raises(KinemaError, match="not a regular file"):
        read_bytes(tmp_path)
    with pytest.raises(KinemaError, match="larger than the limit of 3 bytes"):
        read_bytes(good, max_bytes=3)
    os.mkfifo(tmp_path / "pipe")
    for endless in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(KinemaError, match="not a regular file"):
            read_bytes(tmp_path / endless)


def test_values_that_hold_themselves_end():
    loop: list = []
    loop.append(loop)
    with pytest.raises(KinemaError, match="nested more than 64 deep"):
        bounded(loop, "it")


def test_text_of_strangers_cannot_write_on_the_terminal():
    shown = for_terminal("a\x1b[31mred\x9b2J\rfake\nline\x07\u202eright\ud800")
    assert shown == "a\\x1b[31mred\\x9b2J\\x0dfake\n  line\\x07\\u202eright\\ud800"
    assert len(for_terminal("x" * 5000)) == 2000
