"""The composer: seeded, exact, in the mode and at the tempo of the words."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from kinema import music
from kinema.core.errors import RequestError
from kinema.music.theory import MODE_WORDS, SCALES

THEMES = (
    "calm, 90 bpm",
    "a tense storm at night",
    "happy summer party",
    "sad piano",
    "dreamy space",
    "a waltz in G minor",
)


@pytest.mark.parametrize("words", THEMES)
@pytest.mark.parametrize("seed", [0, 7, 123456789])
def test_a_score_is_whole(words, seed):
    score = music.compose(words, 61.3, seed)
    assert score == music.compose(words, 61.3, seed)
    assert score.procedural
    scale = {(score.tonic + step) % 12 for step in SCALES[score.mode]}
    for part in score.parts:
        assert part.notes, part.role
        assert list(part.notes) == sorted(part.notes, key=lambda note: (note.start, note.pitch))
        for note in part.notes:
            assert note.start >= 0
            assert note.beats > 0
            assert score.second(note.start + note.beats) <= 61.3 + 1e-6
            assert 0 < note.loud <= 1
            if part.role != "drums":
                assert note.pitch % 12 in scale, f"{part.role} leaves {score.mode}"
                assert 24 <= note.pitch <= 100
    assert [a.stop_bar for a in score.sections[:-1]] == [b.start_bar for b in score.sections[1:]]
    assert score.sections[0].start_bar == 0
    ending = score.second(score.sections[-1].start_bar * score.beats_a_bar)
    assert 0.9 * score.bar_s <= 61.3 - ending < 2 * score.bar_s
    json.dumps(score.to_dict(), allow_nan=False)


def test_seeds_and_words_change_the_notes():
    notes = {
        (words, seed): tuple(part.notes for part in music.compose(words, 30, seed).parts)
        for words in THEMES for seed in (1, 2)
    }  # fmt: skip
    assert len(set(notes.values())) == len(notes)


def test_there_is_an_arrangement():
    score = music.compose("adventure", 90, 4)
    names = [section.name for section in score.sections]
    assert names[0] == "intro" and names[-2:] == ["close", "ending"]
    assert len({name[0] for name in names if re.fullmatch(r"[ABC]\d+", name)}) >= 2
    playing = {
        section.name: {
            part.role for part in score.parts for note in part.notes
            if section.start_bar <= note.start / score.beats_a_bar < section.stop_bar
        } for section in score.sections
    }  # fmt: skip
    assert "lead" not in playing["intro"]
    assert max(len(roles) for roles in playing.values()) > len(playing["close"])


@pytest.mark.parametrize(("words", "key", "mode"), [
    ("calm in D minor", 2, "aeolian"), ("F# dorian groove", 6, "dorian"), ("Bb major", 10, "ionian"),
    ("in E-flat lydian", 3, "lydian"), ("a harmonic minor", 9, "harmonic-minor"),
])  # fmt: skip
def test_a_named_key_is_kept(words, key, mode):
    score = music.compose(words, 20, 0)
    assert (score.tonic, score.mode) == (key, mode)


def test_moods_choose_modes_and_tempi():
    def drawn(words):
        return [music.compose(words, 30, seed) for seed in range(12)]

    assert {score.mode for score in drawn("happy")} <= {"ionian", "mixolydian", "lydian"}
    assert {score.mode for score in drawn("sad and lonely")} <= {"aeolian", "dorian", "harmonic-minor"}
    assert {score.mode for score in drawn("scary, tense")} <= {"phrygian", "harmonic-minor"}
    assert max(score.bpm for score in drawn("calm")) < min(score.bpm for score in drawn("energetic chase"))
    assert all("drums" not in {part.role for part in score.parts} for score in drawn("calm"))


def test_instruments_by_name():
    def roles(words):
        return {part.role: part.instrument for part in music.compose(words, 20, 0).parts}

    assert "drums" not in roles("fast rock without drums")
    assert roles("calm with drums")["drums"] == "drums"
    assert roles("epic, with choir and harp") | {"pad": "choir", "keys": "harp"} == roles("epic, with choir and harp")
    assert set(roles("solo piano").values()) == {"piano"}
    assert {part.instrument for part in music.compose("waltz", 20, 0).parts} and music.compose(
        "waltz", 20, 0
    ).beats_a_bar == 3


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.3, 5.0, 12.0, 33.333, 180.0, 1800.0])
def test_any_length(seconds):
    for words in ("calm, 90 bpm", "fast"):
        score = music.compose(words, seconds, 3)
        assert score.seconds == seconds
        assert score.sections[-1].name == "ending"
        if words == "calm, 90 bpm":
            assert score.bpm == 90


def test_a_free_tempo_bends_so_that_the_piece_ends_with_a_bar():
    score = music.compose("calm", 60, 3)
    bars = 60 / score.bar_s
    assert bars == pytest.approx(round(bars), abs=1e-6)
    assert score.sections[-1].stop_bar == round(bars)


@pytest.mark.parametrize(("words", "seconds", "seed", "field"), [
    ("", 10, 0, "theme"), ("  ", 10, 0, "theme"), ("calm, 900 bpm", 10, 0, "theme"), ("calm, 10 bpm", 10, 0, "theme"),
    ("calm", 0, 0, "seconds"), ("calm", -3, 0, "seconds"), ("calm", float("nan"), 0, "seconds"),
    ("calm", 1e9, 0, "seconds"), ("calm", 10, -1, "seed"), ("calm", 10, 2**63, "seed"),
])  # fmt: skip
def test_refusals_name_the_value(words, seconds, seed, field):
    with pytest.raises(RequestError, match="Legal") as caught:
        music.make(words, seconds, seed, sound="own")
    assert caught.value.field == field


def test_mode_words_are_modes():
    assert set(MODE_WORDS.values()) <= set(SCALES)
    assert all(scale[0] == 0 and np.all(np.diff(scale) > 0) for scale in SCALES.values())
