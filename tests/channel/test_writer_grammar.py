"""The offline writer: prompts that the miniature understands, without repeats, following the theme."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import kinema
from kinema.channel.writing.prompt import ADVERBS, prompt_of
from kinema.channel.writing.shots import Brief, CastMember, StyleBible, Theme
from kinema.channel.writing.theme_words import terms_of
from kinema.channel.writing.writer_grammar import GrammarWriter
from kinema.families.wan.vocabulary import vocabulary
from kinema.toyland.scene import WORLD, WORLD_MINI
from kinema.toyland.understand import understand

THEMES = (
    "a storm at sea", "a red ball rolls left at night over the sea, the camera pans right", "quiet", "Zq xy 1984",
    "two blue stars dance in the city in crayon style", "a red ball and a blue car",
)  # fmt: skip
MINIATURES = Path(kinema.__file__).parent / "miniatures"


def written(theme, num, shots=8, seed=1, world=WORLD_MINI, bible=None):
    writer = GrammarWriter(world)
    fields = {"theme": Theme(text=theme), "shots": shots, "seed": seed, "bible": bible or StyleBible()}
    return [writer.episode(Brief(**fields, number=number)) for number in range(num)]


def prompts(episodes, bible=None):
    return [prompt_of(shot, episode.cast, bible or StyleBible()) for episode in episodes for shot in episode.shots]


@pytest.mark.parametrize("theme", THEMES)
def test_no_shot_comes_twice_in_500(theme):
    said = prompts(written(theme, 63))
    assert len(said) == 504 and len(set(said)) == 504


@pytest.mark.parametrize(("shots", "cast"), [(1, ()), (2, ()), (3, ()), (60, ()), (8, ("a red ball", "a blue star"))])
def test_nor_in_other_forms(shots, cast):
    bible = StyleBible(cast=tuple(CastMember(name=f"N{n}", description=text) for n, text in enumerate(cast)))
    said = prompts(written("a storm at sea", -(-500 // shots), shots, bible=bible), bible)
    assert len(set(said)) == len(said) >= 500


@pytest.mark.parametrize("world", [WORLD_MINI, WORLD], ids=["mini", "full"])
@pytest.mark.parametrize("theme", THEMES)
def test_toyland_reads_back_what_each_shot_says(theme, world):
    for episode in written(theme, 12, world=world):
        for shot in episode.shots:
            prompt = prompt_of(shot, episode.cast, StyleBible())
            read = understand(prompt)
            (actor,) = read.actors
            member = next(one for one in episode.cast if one.name == shot.subject)
            assert set(member.description.split()) >= {actor.color, actor.kind}, prompt
            camera = "still" if shot.camera == "still" else f"{shot.camera}-{shot.camera_direction}"
            assert read.camera == camera, prompt
            assert read.background == understand(shot.setting).background is not None, prompt
            assert read.light == understand(shot.light).light is not None, prompt
            assert read.weather == (understand(shot.weather).weather if shot.weather else None), prompt
            assert read.style is not None
            assert actor.motion or actor.spin or actor.change, f"no motion is understood: {prompt}"


def test_the_miniatures_read_every_word_but_the_speed():
    known = vocabulary(MINIATURES / "mini_wan") or frozenset()
    card = json.loads((MINIATURES / "mini_wan" / "card.json").read_text())
    assert tuple(card["world"]["kinds"]) == WORLD_MINI.kinds, "the writer's world is the miniature's"
    for theme in THEMES:
        for prompt in prompts(written(theme, 12)):
            foreign = set(re.findall(r"[a-z]+", prompt)) - known
            assert len(foreign) == 1 and foreign <= set(ADVERBS.values()), prompt


def test_a_plan_of_a_shot_understands_it():
    (episode,) = written("a storm at sea", 1)
    for shot in episode.shots:
        prompt = prompt_of(shot, episode.cast, StyleBible())
        notes = " ".join(kinema.plan(prompt, seed=shot.seed).notes)
        assert f"This model ignores words for speed: {ADVERBS[shot.speed]}." in notes and "training data" not in notes


def test_video_words_are_always_there():
    for episode in written("quiet", 20):
        for shot, prompt in zip(episode.shots, prompts([episode]), strict=True):
            assert "the camera" in prompt and ADVERBS[shot.speed] in prompt
            assert f" {shot.action} {shot.direction} " in prompt


def test_descriptions_and_settings_are_repeated_byte_for_byte():
    for episode in written("a storm at sea", 10):
        said = {member.name: member.description.encode() for member in episode.cast}
        for shot, prompt in zip(episode.shots, prompts([episode]), strict=True):
            assert prompt.encode().startswith(said[shot.subject] + b" ")
        assert len({shot.setting for shot in episode.shots}) == 1


def test_a_cast_of_ones_own_need_not_be_toylands():
    bible = StyleBible(
        cast=(CastMember(name="Ada", description="an old  sailor with a White beard"),), look="35 mm film"
    )
    said = prompts(written("a storm at sea", 20, bible=bible), bible)
    assert all(
        prompt.startswith("an old  sailor with a White beard ") and "; 35 mm film; " in prompt for prompt in said
    )
    assert len(set(said)) == len(said)


def test_the_arc():
    for episode in written("quiet", 20):
        parts = [shot.part for shot in episode.shots]
        assert parts == ["opening"] + ["development"] * 6 + ["ending"]
        assert (episode.shots[0].camera, episode.shots[0].camera_direction) in (("zoom", "in"), ("tilt", "down"))
        assert (episode.shots[-1].camera, episode.shots[-1].camera_direction) in (("zoom", "out"), ("tilt", "up"))


def test_what_the_theme_says_is_done():
    for episode in written("two blue stars dance in the city at night", 6):
        opening = understand(prompts([episode])[0])
        assert (opening.background, opening.light) == ("city", "night")
        assert (opening.actors[0].kind, opening.actors[0].color) == ("star", "blue")
        assert {shot.speed for shot in episode.shots} <= {"fast", "steady"}
    (episode,) = written("a red ball rolls left at sunset in the desert, the camera zooms out", 1)
    opening = understand(prompts([episode])[0])
    assert (opening.actors[0].motion, opening.camera, opening.background) == ("left", "zoom-out", "desert")


def test_what_a_model_was_never_shown_is_left_out_and_said():
    (episode,) = written("a boat in the rain", 1)
    assert len(episode.notes) == 2 and "boat" in episode.notes[0] and "rain" in episode.notes[1]
    (episode,) = written("a boat in the rain", 1, world=WORLD)
    opening = understand(prompts([episode])[0])
    assert not episode.notes and opening.weather == "rain" and opening.actors[0].kind == "boat"


def test_the_same_seed_the_same_episode_whatever_came_before():
    assert written("quiet", 5)[4] == GrammarWriter().episode(Brief(theme=Theme(text="quiet"), seed=1, number=4))
    assert written("quiet", 1, seed=2) != written("quiet", 1, seed=1)


@pytest.mark.parametrize(
    ("theme", "unknown"),
    [
        ("robots dancing in Tokyo", "robots, tokyo"), ("the adventures of a blue car", "adventures"),
        ("red balls bouncing over green hills at sunset", ""), ("moon landing", ""), ("a calm winter night", ""),
    ],
)  # fmt: skip
def test_what_is_not_understood_of_a_theme_is_named(theme, unknown):
    notes = [note for note in terms_of(theme, WORLD_MINI).notes if note.startswith("Unknown words")]
    assert len(notes) == bool(unknown)
    if unknown:
        assert f"theme: {unknown}. " in notes[0] and "--llm" in notes[0]
