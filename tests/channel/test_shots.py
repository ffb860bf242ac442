"""Shots, casts and episodes: validation, error messages, prompts and requests."""

from __future__ import annotations

import json

import pytest

from kinema.channel.writing.prompt import prompt_of, request_of
from kinema.channel.writing.shots import Brief, CastMember, Episode, Shot, StyleBible, Theme, parsed
from kinema.core.errors import RequestError
from kinema.core.upscale import Upscale

SHOT = {
    "part": "opening", "subject": "Ada", "action": "sails", "direction": "left", "setting": "over the sea",
    "light": "at night", "camera": "pan", "camera_direction": "right", "speed": "slow", "style": "flat style",
    "seconds": 2, "seed": 7,
}  # fmt: skip
CAST = (CastMember(name="Ada", description="a white boat"), CastMember(name="Gus", description="a red bird"))


def episode(*shots, cast=CAST):
    all_shots = [SHOT | shot for shot in shots]
    return {"number": 0, "title": "T", "theme": {"text": "x"}, "writer": "me", "cast": cast, "shots": all_shots}


def test_they_are_json_both_ways():
    made = parsed(Episode, episode({}, {"continuity": "continue"}), "episode")
    assert parsed(Episode, json.loads(made.model_dump_json()), "episode") == made
    assert Brief.model_validate_json(Brief(theme=Theme(text="x")).model_dump_json()).shots == 8


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"action": "sails and turns"}, "action = 'sails and turns': must be exactly one action verb, such as 'sails'"),
        ({"action": "sail"}, "one action verb"),
        ({"camera": "tilt"}, "camera_direction of 'tilt' must be 'up' or 'down', got 'right'"),
        ({"camera": "still"}, "must be 'none'"),
        ({"camera": "fly"}, "camera = 'fly': Input should be 'still', 'pan'"),
        ({"speed": "warp"}, "'slow', 'steady' or 'fast'"),
        ({"seconds": 0}, "greater than 0"),
        ({"setting": "over\nthe sea"}, "one line of printable characters, got U+000A"),
        ({"light": " at night"}, "must not begin or end with a space"),
        ({"mood": "sad"}, "unknown field 'mood'"),
    ],
)
def test_what_is_wrong_with_a_shot_is_told(changed, told):
    with pytest.raises(RequestError) as error:
        parsed(Shot, SHOT | changed, "shot")
    assert str(error.value).startswith("Not a legal shot: ") and told in str(error.value)


@pytest.mark.parametrize(
    ("shots", "told"),
    [
        (({"subject": "Zed"},), "shots.0.subject = 'Zed' is not in the cast: Ada, Gus"),
        (({"continuity": "continue"},), "the first shot must be a 'cut'"),
        (
            ({}, {"continuity": "continue", "subject": "Gus"}),
            "its subject is 'Gus' and that of the previous shot 'Ada'; only 'cut' is legal",
        ),
        (({}, {"continuity": "match", "setting": "at home"}), "its setting is 'at home'"),
    ],
)
def test_what_is_wrong_with_an_episode_is_told(shots, told):
    with pytest.raises(RequestError) as error:
        parsed(Episode, episode(*shots), "episode")
    assert told in str(error.value)


def test_a_name_is_used_once():
    with pytest.raises(RequestError, match="two members of the cast have the name 'Ada'"):
        parsed(StyleBible, {"cast": [CAST[0], CAST[0]]}, "style bible")


def test_one_prompt_for_both_passes():
    shot, bible = Shot(**SHOT), StyleBible(look="soft paper", negative_prompt="text")
    prompt = prompt_of(shot, CAST, bible)
    assert prompt == (
        "a white boat slowly sails left over the sea at night; the camera slowly pans right; soft paper; flat style"
    )
    made = request_of(shot, CAST, bible, model="zeroscope-576w", upscale=[Upscale(by="zeroscope-xl")])
    assert made.prompt == prompt and made.upscale[0].by == "zeroscope-xl"
    assert (made.seed, made.seconds, made.fit, made.negative_prompt) == (7, 2, "nearest", "text")


def test_only_a_shot_that_continues_goes_on_from_a_clip():
    going_on = Shot(**SHOT, continuity="continue")
    (condition,) = request_of(going_on, CAST, StyleBible(), before="before.mp4").conditions
    assert condition.kind == "continue" and condition.clip == "before.mp4"
    assert not request_of(Shot(**SHOT), CAST, StyleBible(), before="before.mp4").conditions
    assert not request_of(going_on, CAST, StyleBible()).conditions


def test_prompts_that_no_encoder_reads_are_refused():
    with pytest.raises(RequestError, match=r"at most 60 words"):
        prompt_of(Shot(**SHOT | {"style": "many words " * 9 + "end"}), CAST, StyleBible(look="word " * 39 + "word"))
    with pytest.raises(RequestError, match="not in the cast"):
        prompt_of(Shot(**SHOT), CAST[1:], StyleBible())
