"""Old names are read for one more version, with a warning that gives the new name."""

from __future__ import annotations

import warnings

import pytest

from kinema.channel.config import Making
from kinema.core.errors import RenamedWarning, RequestError
from kinema.core.plan import Plan
from kinema.core.renamed import upscale_of
from kinema.core.request import Request
from kinema.core.upscale import Upscale

OLD = {
    "enlarge": ({"enlarge": 2}, {"upscale": 2}),
    "not at all": ({"enlarge": 1}, {}),
    "second pass": ({"second_pass": {"model": "xl", "strength": 0.5}}, {"upscale": {"by": "xl", "strength": 0.5}}),
    "none": ({"second_pass": None}, {}),
    "both": ({"enlarge": 1.5, "second_pass": {"model": "xl"}}, {"upscale": ["xl", 1.5]}),
    "canvas": ({"canvas": "larger", "enlarge": 3}, {"canvas": "upscale", "upscale": 3}),
}


@pytest.mark.parametrize("name", OLD)
def test_old_fields_are_read_with_a_warning_at_the_users_line(name):
    old, new = OLD[name]
    with pytest.warns(RenamedWarning, match="the next version reads the new name only") as told:
        found = Request(prompt="x", **old)
    assert found == Request(prompt="x", **new)
    assert {warning.filename for warning in told} == {__file__}
    with pytest.warns(RenamedWarning):
        assert Request.from_dict({"prompt": "x", **old}) == found
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Request.from_json(found.to_json()) == found, "what is written has the new names"


def test_a_change_by_an_old_name_leaves_the_steps_of_the_other_kind():
    base = Request(prompt="x", upscale=["xl", "nearest:2"])
    with pytest.warns(RenamedWarning):
        assert base.changed(enlarge=4).upscale == (Upscale(by="xl"), Upscale(scale=4))
        assert base.changed(enlarge=1).upscale == (Upscale(by="xl"),)
        assert base.changed(second_pass=None).upscale == (Upscale(by="nearest", scale=2),)


@pytest.mark.parametrize(
    "old", [{"enlarge": 0.5}, {"enlarge": "2x"}, {"enlarge": True}, {"second_pass": 3}, {"second_pass": {"by": ""}},
            {"second_pass": {}}, {"second_pass": {"model": "xl", "strength": 2}}],
)  # fmt: skip
def test_what_was_wrong_stays_wrong(old):
    with pytest.warns(RenamedWarning), pytest.raises(RequestError):
        Request(prompt="x", **old)


@pytest.mark.parametrize(
    "wrong",
    [True, [True], "", [""], {"by": "lanczos", "strength": 0.5}, {"by": "xl", "scale": 2, "width": 64, "height": 64},
     {"by": "xl", "width": 64}, 0.5, 17, [2] * 9, {"scale": float("nan")}, {"times": 2}, None.__class__],
)  # fmt: skip
def test_steps_that_cannot_be_are_refused(wrong):
    with pytest.raises(RequestError, match="upscale"):
        Request(prompt="x", upscale=wrong)


def test_short_forms_are_the_long_ones():
    long = {
        4: Upscale(by="auto", scale=4), "2.5": Upscale(by="auto", scale=2.5),
        "nearest:4": Upscale(by="nearest", scale=4),
        "bicubic": Upscale(by="bicubic"), "xl": Upscale(by="xl"), "C:/models/a": Upscale(by="C:/models/a"),
    }  # fmt: skip
    for short, step in long.items():
        assert Request(upscale=short).upscale == Request(upscale=[short]).upscale == (step,)
    assert Request(upscale=None).upscale == Request(upscale=[]).upscale == ()


def test_a_channels_old_setting():
    with pytest.warns(RenamedWarning, match=r"making\.upscale"):
        assert Making(second_pass="lanczos") == Making(upscale="lanczos")
    assert upscale_of({"second_pass": "xl"}) == upscale_of({"upscale": "xl"}) == "xl"
    assert upscale_of({}) == "none"


def test_old_plans_say_nothing():
    data = {**PLAN, "enlarge": 3, "second": {**PLAN, "width": 96, "height": 96, "enlarge": 1, "second": None}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Plan.from_dict(data)
    assert [(step.by, step.scale) for step in found.upscale] == [("m", 1), ("lanczos", 3)]
    assert found.size == (288, 288) and Plan.from_dict(found.model_dump(mode="json")) == found
    for wrong in ({"enlarge": True}, {"enlarge": 40}, {"second": []}, {"second": 3}, {"second": {"model": "m"}}):
        with pytest.raises(RequestError):
            Plan.from_dict({**PLAN, **wrong})


PLAN = {
    "model": "m", "family": "f", "prompt": "x", "negative_prompt": "", "width": 64, "height": 64, "frames": 1, "fps": 8,
    "seed": 1, "steps": 1, "guidance": 1, "guidance_interval": [0, 1], "reuse": 1, "low_precision": False,
    "profile": "exact", "fit": "strict", "spans": [{"start": 0, "stop": 1}], "conditions": [], "options": {},
    "output": [192, 192],
}  # fmt: skip
