"""Requests: JSON round trips, and a typed error for every illegal value."""

from __future__ import annotations

import json

import pytest

import kinema
from kinema import Request, RequestError
from kinema.core.conditions import KINDS

FULL = Request(
    prompt="a red ball",
    negative_prompt="snow",
    width=64,
    height=64,
    seconds=2.0,
    fps=8,
    seed=7,
    steps=12,
    guidance=3.5,
    profile="exact",
    fit="nearest",
    conditions=(
        kinema.Image(image="a.png", at="last"),
        kinema.Image(image="b.png", at=3),
        kinema.Reference(images=("c.png", "d.png")),
        kinema.Source(video="e.mp4"),
        kinema.Mask(boxes=((0.1, 0.2, 0.5, 0.6),)),
        kinema.Control(control="depth", video="f.mp4"),
        kinema.Trajectory(points=((0.1, 0.5), (0.9, 0.5)), object="ball", color=(255, 0, 0)),
        kinema.Camera(move="pan_left", amount=0.5),
        kinema.Continue(clip="g.mp4", frames=9),
        kinema.Style(adapter="h.safetensors", weight=0.8),
        kinema.Audio(track="i.wav"),
    ),
    options={"shift": 5.0},
)


def test_round_trip_through_json():
    assert Request.from_json(FULL.to_json()) == FULL
    assert {condition.kind for condition in FULL.conditions} == set(KINDS), "every kind of condition round-trips"


def test_frozen():
    with pytest.raises(ValueError, match="frozen"):
        FULL.seed = 3


def test_schema_names_every_field_and_kind():
    text = json.dumps(Request.json_schema())
    assert all(f'"{name}"' in text for name in Request.model_fields)
    assert all(f'"const": "{kind}"' in text for kind in KINDS)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": "many"}, "steps"),
        ({"seed": -1}, "seed"),
        ({"guidance": float("nan")}, "guidance"),
        ({"frames": 17, "seconds": 2.0}, "frames"),
        ({"width": 64}, "width"),
        ({"profile": "quick"}, "profile"),
        ({"colour": "red"}, "colour"),
        ({"prompt": "x" * 20_001}, "prompt"),
        ({"conditions": [{"kind": "hologram"}]}, "conditions"),
        ({"conditions": [{"kind": "mask"}]}, "conditions"),
        ({"conditions": [{"kind": "mask", "everything": True, "nothing": True}]}, "conditions"),
        ({"conditions": [{"kind": "mask", "boxes": [[0.5, 0.0, 0.2, 1.0]]}]}, "conditions"),
        ({"conditions": [{"kind": "trajectory", "points": [[0.5, 0.5]]}]}, "conditions"),
        ({"conditions": [{"kind": "trajectory", "points": [[0.5, 0.5], [2.0, 0.5]]}]}, "conditions"),
    ],
)
def test_illegal_values_are_named(fields, named):
    with pytest.raises(RequestError) as caught:
        Request(**fields)
    assert caught.value.field.startswith(named)
    assert json.dumps(caught.value.to_dict())


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "{1: 2}"])
def test_text_that_is_no_request(text):
    with pytest.raises(RequestError):
        Request.from_json(text)


def test_files(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "r.yaml").write_text("prompt: a red ball\nseed: 4\nconditions:\n- {kind: image, image: a.png}\n")
    found = Request.from_file(tmp_path / "r.yaml")
    assert (found.prompt, found.seed) == ("a red ball", 4)
    assert found.conditions[0].image == str(tmp_path / "a.png"), "paths are relative to the file"
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "r.json").write_text(FULL.to_json())
    assert Request.from_file(tmp_path / "else" / "r.json") == FULL, "what is not there stays as it was written"
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi")
    )
    deep = '{"options": {"x": ' + "[" * 100_000
    bad = {
        "bad.yaml": "a: [1", "bad.json": "{", "list.json": "[]", "bomb.yaml": bomb, "deep.json": deep,
        "deep.yaml": deep,
        "nan.json": '{"seconds": NaN}', "binary.yaml": "prompt: !!binary AAAA",
        "code.yaml": "a: !!python/name:os.system",
    }  # fmt: skip
    for name, text in bad.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(RequestError):
            Request.from_file(tmp_path / name)
    for odd in ("n" * 999, "\0", "a/" * 3000):
        (tmp_path / "r.json").write_text(json.dumps({"conditions": [{"kind": "image", "image": odd}]}))
        assert Request.from_file(tmp_path / "r.json").conditions[0].image == odd
    with pytest.raises(RequestError, match=r"nothing\.json"):
        Request.from_file(tmp_path / "nothing.json")
