"""A name is suggested only if it is similar, and is always one of the legal ones."""

from __future__ import annotations

import pytest

from kinema.core.errors import ModelError, RequestError
from kinema.core.near import nearest
from kinema.core.request import Request
from kinema.engine.plan import plan
from kinema.weights import store
from kinema.workflow.film_plan import FilmPlan


@pytest.mark.parametrize(
    ("typed", "near"),
    [("stesp", "steps"), ("Prompts", "prompt"), ("negative-prompt", "negative_prompt"), ("colour", None),
     ("json", None), ("", None), ("x", None), ("shfit", "shift"), ("motion", "motion_words"), ("gudance", "guidance")],
)  # fmt: skip
def test_options_of_a_model(typed: str, near: str | None) -> None:
    with pytest.raises(RequestError) as refused:
        plan(Request(options={typed: 1}))
    assert refused.value.nearest == near
    assert near is None or near in refused.value.legal.replace(":", ",").replace(";", ",").split(", ")


@pytest.mark.parametrize(
    ("typed", "near"),
    [("foo", None), ("xyz", None), ("wan", "kinema-mini-wan"), ("zeroscop", "zeroscope"),
     ("wan2.1-t2v-14", "wan2.1-t2v-14b"), ("sora", "tora"), ("veo", None), ("json", None)],
)  # fmt: skip
def test_models(typed: str, near: str | None) -> None:
    with pytest.raises(ModelError) as refused:
        store.find(typed)
    assert (f"Did you mean {near}?" in str(refused.value)) if near else ("Did you mean" not in str(refused.value))


def test_fields_of_a_film() -> None:
    for typed, near in (("muzic", "music"), ("json", None)):
        with pytest.raises(RequestError) as refused:
            FilmPlan.from_dict({typed: 1, "shots": [{}]})
        assert refused.value.nearest == near


def test_a_part_of_a_name() -> None:
    assert nearest("wan", ["svd", "kinema-mini-wan", "wanderer"]) == "kinema-mini-wan"
    assert nearest("ab", ["ab-cdefgh"]) is None, "two letters are a part of anything"
