"""Conditions that may occur once: a second one is refused with both names, for every card and canvas."""

from __future__ import annotations

import itertools

import pytest

import kinema
from kinema.core.condition_rules import MANY
from kinema.core.conditions import KINDS, feature
from kinema.core.errors import RequestError
from kinema.core.registry import built_in_cards
from kinema.core.request import Request
from kinema.core.resolve import resolve

ONE_OF_EACH = (
    {"kind": "image", "image": "a.png"},
    {"kind": "image", "image": "a.png", "at": "last"},
    {"kind": "image", "image": "a.png", "at": 3},
    {"kind": "reference", "images": ("a.png",)},
    {"kind": "source", "video": "a.mp4"},
    {"kind": "mask", "boxes": ((0.1, 0.1, 0.5, 0.5),)},
    {"kind": "mask", "video": "a.mp4"},
    {"kind": "control", "control": "edge", "video": "a.mp4"},
    {"kind": "control", "control": "depth", "video": "b.mp4"},
    {"kind": "control", "control": "layout", "video": "c.mp4"},
    {"kind": "trajectory", "points": ((0, 0), (1, 1))},
    {"kind": "camera", "move": "pan_left"},
    {"kind": "camera", "move": "tilt_up"},
    {"kind": "continue", "clip": "a.mp4"},
    {"kind": "continue", "clip": "a.mp4", "place": "end"},
    {"kind": "style", "adapter": "a.safetensors"},
    {"kind": "audio", "track": "a.wav"},
)
PAIRS = [
    (one, two)
    for one, two in itertools.combinations_with_replacement(ONE_OF_EACH, 2)
    if one["kind"] == two["kind"] and one["kind"] not in MANY
    and one.get("at") == two.get("at") and one.get("place") == two.get("place")
]  # fmt: skip
ALL = {feature(condition) for condition in Request(conditions=ONE_OF_EACH).conditions}


def test_every_kind_is_tried():
    assert {condition["kind"] for condition in ONE_OF_EACH} == set(KINDS)
    assert {pair[0]["kind"] for pair in PAIRS} == set(KINDS) - set(MANY)


@pytest.mark.parametrize("card", built_in_cards(), ids=lambda card: card.id)
def test_two_for_one_place_are_refused_by_name(card):
    able = card.model_copy(update={"accepts": (*card.accepts, *ALL), "needs": ()})
    for one, two in PAIRS:
        with pytest.raises(RequestError, match=r"takes at most one .*, got 2") as refused:
            resolve(Request(prompt="x", conditions=(one, two)), able)
        assert refused.value.field == "conditions.1"
        names = [feature(condition) for condition in Request(conditions=(one, two)).conditions]
        assert all(name in str(refused.value) for name in names)
        for media in {one.get("video"), two.get("video")} - {None}:
            assert media in str(refused.value)


@pytest.mark.parametrize(
    "at, frames, number",
    [(("first", 0), 17, 0), (("last", 16), 17, 16), ((5, 5), 17, 5), (("first", "last"), 1, 0), (("last", 0), 1, 0)],
)
def test_two_pictures_for_one_frame_are_refused(at, frames, number):
    pictures = [{"kind": "image", "image": f"{index}.png", "at": place} for index, place in enumerate(at)]
    with pytest.raises(RequestError, match=f"at most one 'picture for frame {number}'") as refused:
        kinema.plan(Request(prompt="x", frames=frames, conditions=pictures))
    assert "0.png" in str(refused.value) and "1.png" in str(refused.value)


def test_what_goes_together_is_taken():
    card = next(card for card in built_in_cards() if card.id == "wan2.1-vace-1.3b")
    together = [
        {"kind": "image", "image": "a.png"}, {"kind": "image", "image": "b.png", "at": "last"},
        {"kind": "image", "image": "c.png", "at": 4}, {"kind": "reference", "images": ("d.png",)},
        {"kind": "reference", "images": ("e.png",)}, {"kind": "style", "adapter": "f"},
        {"kind": "style", "adapter": "g"},
    ]  # fmt: skip
    assert len(resolve(Request(prompt="x", conditions=together), card).conditions) == 7


@pytest.mark.parametrize("canvas", ["source", "upscale"])
def test_also_where_the_clip_decides(canvas, tmp_path):
    import numpy as np

    from kinema.core.chunk import Chunk
    from kinema.media.write import write

    clip = str(write([Chunk(np.zeros((17, 64, 64, 3), np.uint8), 0, 8.0)], tmp_path / "a.mp4"))
    source = {"kind": "source", "video": clip}
    twice = [source, source] if canvas == "upscale" else [source, *(
        {"kind": "control", "control": "layout", "video": video} for video in (clip, "b.mp4")
    )]  # fmt: skip
    with pytest.raises(RequestError, match=r"takes at most one .*, got 2"):
        kinema.plan(Request(prompt="x", canvas=canvas, conditions=twice))
