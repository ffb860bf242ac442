"""Mistyped field names are refused with the nearest known one, in every model class."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from kinema.channel.config import ChannelConfig
from kinema.channel.writing.shots import StyleBible, parsed
from kinema.core.conditions import MAX_PATH_POINTS, Trajectory, Value
from kinema.core.errors import RequestError
from kinema.core.fields import refused
from kinema.core.near import nearest
from kinema.core.plan import Manifest
from kinema.core.request import Request


@pytest.mark.parametrize(
    ("data", "field", "near"),
    [
        ({"promt": "x"}, "promt", "prompt"),
        ({"conditions": [{"kind": "image", "imag": "a.png", "image": "a.png"}]}, "conditions.0.image.imag", "image"),
        ({"conditions": [{"kind": "mask", "boxs": [], "nothing": True}]}, "conditions.0.mask.boxs", "boxes"),
        ({"upscale": [{"by": "xl", "strenght": 0.5}]}, "upscale.0.strenght", "strength"),
        ({"strength": 0.5}, "strength", "upscale.strength"),
        ({"negative-prompt": "x"}, "negative-prompt", "negative_prompt"),
    ],
)
def test_requests(data: dict[str, Any], field: str, near: str) -> None:
    with pytest.raises(RequestError) as error:
        Request.from_dict(data)
    assert (error.value.field, error.value.nearest) == (field, near)
    assert "Unknown field" in str(error.value) and near.rpartition(".")[2] in error.value.legal + near


@pytest.mark.parametrize(
    ("data", "near"),
    [
        ({"titel": "x"}, "title"),
        ({"making": {"modle": "x"}}, "model"),
        ({"port": 80}, "page.port"),
        ({"part": [{"from": "06:00", "untl": "08:00", "theme": "x"}]}, None),
        ({"bible": {"stile": "x"}}, "style"),
    ],
)
def test_channel_files(data: dict[str, Any], near: str | None) -> None:
    with pytest.raises(RequestError) as error:
        parsed(ChannelConfig, data, "channel file")
    assert "Extra inputs" not in str(error.value)
    if near is not None:
        assert error.value.nearest == near


def test_bibles_manifests_and_python() -> None:
    with pytest.raises(RequestError, match="did you mean style"):
        parsed(StyleBible, {"stylle": "x"}, "style bible")
    with pytest.raises(RequestError) as error:
        Manifest.from_dict({"kinema": "1", "plan": {"modell": "x"}})
    assert "plan" in error.value.field
    from kinema.engine.load import as_request

    with pytest.raises(RequestError) as error:
        as_request("a ball", sed=1)
    assert error.value.nearest == "seed"


def _every(kind: type[BaseModel]) -> list[type[BaseModel]]:
    return [kind, *(found for each in kind.__subclasses__() for found in _every(each))]


def test_no_value_anywhere_says_extra_inputs() -> None:
    """Every model class with each of its fields mistyped: the nearest name is that field."""
    for kind in _every(Value):
        if kind.__module__.startswith("kinema."):
            for field in kind.model_fields:
                wrong = f"{field}x"
                near = nearest(wrong, kind.model_fields)
                assert near == field or wrong in kind.model_fields, (kind, field, near)


def test_short_forms_are_read_everywhere(tmp_path) -> None:
    from PIL import Image

    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    file = tmp_path / "request.yaml"
    file.write_text("prompt: a ball\nsize: 64x48\nimage: a.png\nlast: b.png\nreferences: [a.png, b.png]\n")
    a, b = str(tmp_path / "a.png"), str(tmp_path / "b.png")
    from kinema.engine.load import as_request

    typed = as_request("a ball", size="64x48", image=a, last=b, references=[a, b])
    assert Request.from_file(file) == typed
    assert (typed.width, typed.height) == (64, 48)
    assert [each.kind for each in typed.conditions] == ["image", "image", "reference"]
    assert Request.from_dict({"prompt": "x", "size": [64, 48]}).height == 48
    assert {"size", "image", "last", "references"} <= set(Request.json_schema()["properties"])


def test_fields_over_a_base() -> None:
    base = Request.from_dict(
        {
            "prompt": "x",
            "frames": 9,
            "size": "64x48",
            "options": {"shift": 2.0},
            "image": "a.png",
            "references": ["r.png"],
        }
    )
    found = Request.from_dict(
        {"seconds": 1, "size": "32x32", "options": {"decoder": "tiny"}, "image": "b.png"}, base=base
    )
    assert (found.prompt, found.frames, found.seconds, found.width) == ("x", None, 1, 32)
    assert found.options == {"shift": 2.0, "decoder": "tiny"}
    assert [(each.kind, getattr(each, "image", "")) for each in found.conditions] == [
        ("reference", ""),
        ("image", "b.png"),
    ]
    assert Request.from_dict({}, base=base) is base
    assert base.changed(size="8x8", last="c.png").conditions[:2] == base.conditions


@pytest.mark.parametrize("data", [{"size": "big"}, {"size": "8x8", "width": 8}, {"image": 3}, {"references": "a.png"}])
def test_short_forms_of_another_kind_are_refused(data: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as error:
        Request.from_dict(data)
    assert error.value.field in data and error.value.legal


def test_too_many_entries_are_counted_in_words():
    """pydantic's own sentence names a type of Python."""
    points = [(0.5, 0.5)] * (MAX_PATH_POINTS + 1)
    with pytest.raises(ValidationError) as found:
        Trajectory(points=points)
    assert "200,001 entries, at most 200,000 are legal" in str(refused(found.value.errors(), Trajectory))
