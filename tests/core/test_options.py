"""A family's options are one typed model; cards generate their tables from it and plans are parsed into it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Literal

import pytest
from pydantic import Field

import kinema
from kinema.core.errors import RequestError
from kinema.core.options import Options, Sampling
from kinema.core.registry import built_in_cards, family_module

ROOT = Path(kinema.__file__).parent


class Toys(Options):
    size: Annotated[int, Field(ge=2, le=8)] = Field(4, description="how large")
    scales: tuple[Annotated[float, Field(ge=0.0)], ...] = Field((1.0,), description="by layer")
    kind: Literal["a", "b"] = Field("a", description="which")
    on: bool = Field(False, description="at all")


def test_a_table_is_drawn_from_the_fields():
    table = Toys.table(kind="b", size=3, scales=[2.0], on=True)
    assert list(table) == ["kind", "size", "scales", "on"], "in the order that the card names them"
    assert (table["size"].kind, table["size"].minimum, table["size"].maximum) == ("int", 2.0, 8.0)
    assert (table["scales"].kind, table["scales"].minimum, table["scales"].maximum) == ("floats", 0.0, None)
    assert (table["kind"].kind, table["kind"].choices, table["kind"].default) == ("str", ("a", "b"), "b")
    assert (table["on"].kind, table["size"].help) == ("bool", "how large")
    with pytest.raises(KeyError):
        Toys.table(colour=1)


def test_a_plan_is_read_back():
    plan = SimpleNamespace(options={"size": 7, "scales": [1, 2.5], "another's": 1})
    assert Toys.of(plan) == Toys(size=7, scales=(1.0, 2.5))
    for name, value, legal in (("size", 9, "2 up to 8"), ("size", True, "2 up to 8"), ("kind", "c", "one of a, b")):
        with pytest.raises(RequestError, match=f"Option {name} = .* is not legal.*{legal}") as refused:
            Toys.of(SimpleNamespace(options={name: value}))
        assert refused.value.field == f"options.{name}"


@pytest.mark.parametrize("card", built_in_cards(), ids=lambda card: card.id)
def test_cards_offer_what_their_family_knows(card):
    """Each option of a card is a field of the family's options, with its type and within its bounds; the defaults of
    cards and profiles are legal."""
    kind = family_module(card.family).OPTIONS
    for name, option in card.options.items():
        own = kind.table(**{name: option.default})[name]
        assert (option.kind, option.choices, option.help) == (own.kind, own.choices, own.help), name
        assert own.minimum is None or option.minimum >= own.minimum, name
        assert own.maximum is None or option.maximum <= own.maximum, name
    for rule in (None, *card.profiles.values()):
        chosen = {name: option.default for name, option in card.options.items()}
        chosen |= {**rule.options, **rule.in_place} if rule is not None else {}
        kind.of(SimpleNamespace(options=chosen))
        Sampling.of(SimpleNamespace(options=chosen))


def test_options_are_read_in_one_way():
    """`plan.options["x"]` and `.get("x")` are of any kind and have to be cast; `OPTIONS.of(plan).x` has its type. Only
    what copies all of a plan's options, or speaks of a request's, touches the table itself."""
    cast = re.compile(r"\b(plan|found|cond)\.options(\[|\.get\()")
    for path in sorted(ROOT.rglob("*.py")):
        if path.relative_to(ROOT).parts[0] not in ("families", "sd", "engine", "diffusion", "conditions"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Subscript | ast.Call):
                assert not cast.match(ast.unparse(node)), f"{path}:{node.lineno}: {ast.unparse(node)}"
