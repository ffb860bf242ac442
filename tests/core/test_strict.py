"""Every numeric field of every model read from outside accepts numbers only, not lookalikes."""

from __future__ import annotations

import importlib
import math
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import BaseModel, BeforeValidator, TypeAdapter, ValidationError

import kinema
from kinema.core.conditions import Value
from kinema.core.request import Request

ROOT = Path(kinema.__file__).parent
NOT_NUMBERS = [True, False, "5", "5_0", b"5", math.nan, math.inf, -math.inf, float("1e400"), 10**400, "1e400", "0x10"]


def models() -> list[type[BaseModel]]:
    """Every model class of the package."""
    for path in ROOT.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "(Value)" in text or "(BaseModel)" in text:
            importlib.import_module(".".join(path.relative_to(ROOT.parent).with_suffix("").parts))
    found, left = [], [BaseModel]
    while left:
        below = left.pop().__subclasses__()
        found += [one for one in below if one.__module__.startswith("kinema.")]
        left += below
    return sorted(set(found), key=lambda one: (one.__module__, one.__name__))


Make = Callable[[Any], Any]


def numbers_in(hint: Any, legal: tuple[type, ...] = ()) -> Iterator[tuple[Make, tuple[type, ...]]]:
    """Of each number in a hint: a function from it to a value of the hint's shape that holds it, and the other kinds
    that may stand in its place."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in (int, float):
        yield lambda number: number, legal
    elif origin is Annotated:
        # A field with a reader of its own takes text as "5 GB".
        reads = any(isinstance(one, BeforeValidator) for one in inner[1:])
        yield from numbers_in(inner[0], (*legal, str) if reads else legal)
    elif origin in (typing.Union, UnionType):
        for one in inner:
            yield from numbers_in(one, (*legal, *(other for other in inner if other in (str, bool))))
    elif origin in (tuple, list):
        if inner[-1] is ... or origin is list:
            for make, also in numbers_in(inner[0], legal):
                yield lambda number, make=make: [make(number)], also
        else:
            for place, one in enumerate(inner):
                for make, also in numbers_in(one, legal):
                    yield (
                        lambda number, make=make, place=place: [
                            make(number) if at == place else 0 for at in range(len(inner))
                        ],
                        also,
                    )
    elif origin is dict:
        for make, also in numbers_in(inner[1], legal):
            yield lambda number, make=make: {"x": make(number)}, also


FIELDS = [(model, name) for model in models() for name in model.model_fields]


def test_they_are_found():
    assert {"Request", "Plan", "Card", "Mask", "ChannelConfig", "Shot", "DraftShot"} <= {
        one.__name__ for one in models()
    }
    assert sum(1 for model, name in FIELDS for _ in numbers_in(whole_hint(model, name))) > 80
    assert all(issubclass(one, Value) for one in models()), "values derive from Value, which is strict"


def whole_hint(model: type[BaseModel], name: str) -> Any:
    return typing.get_type_hints(model, include_extras=True)[name]


@pytest.mark.parametrize("model", models(), ids=lambda one: one.__name__)
def test_no_number_is_read_from_what_is_none(model):
    for name in model.model_fields:
        for make, legal in numbers_in(whole_hint(model, name)):
            for wrong in NOT_NUMBERS:
                if type(wrong) in legal:
                    continue
                with pytest.raises(Exception) as caught:
                    model(**{name: make(wrong)})
                told = caught.value.errors() if isinstance(caught.value, ValidationError) else None
                if told is not None:
                    assert any(error["loc"][:1] == (name,) for error in told), (model, name, wrong)
                else:
                    assert getattr(caught.value, "field", "").startswith(name), (model, name, wrong)


@pytest.mark.parametrize("number", [5, 5.0, np.int64(5), np.float32(5)])
def test_numbers_of_any_kind_are_numbers(number):
    found = Request(steps=number, guidance=number, seconds=number, upscale=number)
    assert (found.steps, found.guidance, found.upscale[0].scale) == (5, 5.0, 5)
    assert type(found.steps) is int
    assert type(found.guidance) is float


def test_other_kinds_are_kept_too():
    for fields in ({"prompt": 5}, {"prompt": b"x"}, {"conditions": [{"kind": "mask", "everything": 1}]}, {"fit": 1}):
        with pytest.raises(kinema.RequestError):
            Request(**fields)
    with pytest.raises(kinema.RequestError, match=r"upscale\.0\.scale\.int = 'x'"):
        Request(upscale={"scale": "x"})


def test_the_schema_for_others_is_as_before():
    assert Request.json_schema()["properties"]["steps"]["anyOf"][0] == {
        "maximum": 1000,
        "minimum": 1,
        "type": "integer",
    }
    assert TypeAdapter(Request).validate_json('{"steps": 5}').steps == 5
