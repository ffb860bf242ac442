"""Typed numbers are plain decimal ones, in every interface."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinema.core import numerals
from kinema.core.errors import KinemaError

ODD = ("5_0", "\uff15\uff10", "\u0665\u0660", "\u00b2", "1e400", "0x10", "nan", "inf", "5 0", "--5", "", "1,5")
"""Groups, full-width, Arabic-Indic and superscript digits, too large, hexadecimal, no number, two, a comma."""


@pytest.mark.parametrize("text", ODD)
def test_nothing_else_is_a_number(text: str) -> None:
    for read in (numerals.integer, numerals.decimal):
        with pytest.raises(ValueError, match="number"):
            read(text)


def test_numbers_are() -> None:
    assert [numerals.integer(text) for text in ("50", "-3", "+7", "007", 9, 64.0, np.int64(4))] == [
        50, -3, 7, 7, 9, 64, 4,
    ]  # fmt: skip
    assert [numerals.decimal(text) for text in ("50", "-.5", "5.", "1e-4", 2, np.float32(0.5))] == [
        50, -0.5, 5, 1e-4, 2, 0.5,
    ]  # fmt: skip
    for value in (True, None, 64.5, math.nan, math.inf, [5]):
        with pytest.raises(ValueError, match="number"):
            numerals.integer(value)


def _points(folder: Path, text: str) -> Any:
    from kinema.conditions.trajectory import read_points

    (folder / "path.txt").write_text(f"{text},10\n20,20\n", encoding="utf-8")
    return read_points(folder / "path.txt")


def _set(text: str) -> Any:
    from kinema.cli.request import settings
    from kinema.core.request import Request

    return Request().changed(**settings([f"steps={text}"]))


def _yaml(folder: Path, text: str) -> Any:
    from kinema.core.request import Request

    (folder / "request.yaml").write_text(f"prompt: x\nsteps: {text}\n", encoding="utf-8")
    return Request.from_file(folder / "request.yaml")


def _size(text: str) -> Any:
    from kinema.core.request import parse_size

    return parse_size(f"{text}x64")


def _click(text: str) -> Any:
    from kinema.cli.where import parse_click

    return parse_click(f"{text},10", 640, 480)


def _box(text: str) -> Any:
    from kinema.cli.where import parse_corners

    return parse_corners(f"0.1,0.1,0.9,{text}")


def _seeds(text: str) -> Any:
    from kinema.workflow.many import seeds

    return seeds(text)


def _channel(folder: Path, line: str) -> Any:
    from kinema.channel.config import read

    (folder / "channel.toml").write_text(line, encoding="utf-8")
    return read(folder / "channel.toml")


def _day(text: str) -> Any:
    from kinema.channel.day import DayPart

    return DayPart.model_validate({"from": f"{text}:10", "until": "23:00", "theme": "the sea"})


def _lora(text: str) -> Any:
    from kinema.training.core.settings import number
    from kinema.training.recipes._lora_options import NUMBERS

    return number("rank", text, NUMBERS["rank"])


PLACES: dict[str, Callable[[Path, str], Any]] = {
    "a path": _points,
    "--set": lambda _, text: _set(text),
    "a request in YAML": _yaml,
    "--size": lambda _, text: _size(text),
    "--click": lambda _, text: _click(text),
    "--mask": lambda _, text: _box(text),
    "--seeds": lambda _, text: _seeds(text),
    "a size in a channel's file": lambda folder, text: _channel(folder, f'[disk]\nquota = "{text} GB"\n'),
    "a time of day": lambda _, text: _day(text),
    "train --set": lambda _, text: _lora(text),
}


@pytest.mark.parametrize("place", sorted(PLACES))
def test_a_plain_one_is_taken(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert PLACES[place](tmp_path, "1")


@pytest.mark.parametrize("place", sorted(PLACES))
@pytest.mark.parametrize("text", ["5_0", "\uff15\uff10", "\u0665\u0660", "\u00b2"])
def test_nowhere(place: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((KinemaError, ValueError)):
        PLACES[place](tmp_path, text)
