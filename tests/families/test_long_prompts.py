"""Prompts that are too long for a text encoder, or weight words: notes in the plan, an event, and the manifest."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kinema
from kinema.core.events import Note
from kinema.core.prompt import cut_notes, weights
from kinema.core.registry import built_in_cards
from kinema.engine.load import load
from kinema.sd import image_file
from kinema.sd.clip_model import ClipModel

WORDS = ("red", "ball", "blue", "square", "green", "hill", "yellow", "star")


def long(count: int) -> str:
    return " ".join(WORDS[index % len(WORDS)] for index in range(count))


@pytest.mark.parametrize("model", ["kinema-mini-wan", "kinema-mini-animatediff"])
def test_what_is_cut_is_told_and_noted(model, mini):
    """Wan's miniature rewords and truncates prompts at planning time; a negative prompt is not changed."""
    engine = mini if model == "kinema-mini-wan" else load(model, device="cpu")
    limit = engine.family.card.network.text_length
    fields = {"seed": 1, "steps": 1, "frames": 1 if model == "kinema-mini-wan" else 2, "guidance": 2.0}
    told: list = []
    plan = engine.plan("a red ball", negative_prompt=long(limit + 20), **fields)
    next(engine.stream(plan, on_event=told.append))
    notes = [event.text for event in told if isinstance(event, Note)]
    assert len(notes) == 1 and notes[0].startswith(f"The negative prompt is truncated to {limit} tokens")
    assert notes[0] in engine.manifest(plan)["plan"]["notes"]
    again = plan.model_copy(update={"notes": (*plan.notes, *notes)})
    assert engine.manifest(again)["plan"]["notes"].count(notes[0]) == 1, "a rerun notes it once"
    assert not engine.notes(engine.plan("a red ball", negative_prompt=long(limit + 20), **{**fields, "guidance": 1.0}))
    assert not engine.notes(engine.plan("a red ball", negative_prompt="a blue square", **fields))


class Letters:
    """A tokenizer of single letters between a start and an end token."""

    model_max_length = 10

    def __call__(self, texts, add_special_tokens=True, **_):
        ids = [[ord(letter) for letter in text] for text in texts]
        return {"input_ids": [[1, *each, 2] if add_special_tokens else each for each in ids]}

    def decode(self, ids):
        return "".join(map(chr, ids))


def test_clips_77_tokens():
    tokenizer = image_file.tokenizer()
    assert not list(cut_notes("prompt", long(75), tokenizer, tokenizer.model_max_length))
    (note,) = cut_notes("prompt", long(75) + ", a dragon", tokenizer, tokenizer.model_max_length)
    assert note == 'The prompt is truncated to 77 tokens; the last 3 are lost, from ", a dragon" on.'


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="abc", max_size=30), st.integers(3, 20))
def test_the_first_lost_token_is_named(text, limit):
    notes = list(cut_notes("prompt", text, Letters(), limit))
    lost = text[limit - 2 :]
    assert bool(notes) == bool(lost)
    if lost:
        assert f'the last {len(lost)} are lost, from "{lost}" on' in notes[0]


def test_both_encoders_are_asked():
    """Two tokenizers that truncate at different words give two notes, at the same word one."""
    shorter = Letters()
    shorter.model_max_length = 6
    plan = SimpleNamespace(prompt="abcdefghijkl", negative_prompt="", guidance=2.0, guidance_interval=(0.0, 1.0))
    for second, count in ((Letters(), 1), (shorter, 2)):
        family = SimpleNamespace(parts=SimpleNamespace(tokenizer=Letters(), second=(second, None)))
        assert len(ClipModel.notes(family, plan)) == count


@pytest.mark.parametrize("model", [card.id for card in built_in_cards() if "image:first" not in card.needs])
def test_weights_are_named(model):
    plan = kinema.plan("a (red:1.3) ball", negative_prompt="(ugly:.8), a hill (at 10:30)", model=model, seed=1)
    (note,) = [note for note in plan.notes if "Prompt weights" in note]
    assert "(red:1.3), (ugly:.8)." in note
    assert not [note for note in kinema.plan("a red ball (or so)", model=model).notes if "Prompt weights" in note]


def test_only_weights_are_weights():
    assert weights(r"(a:1) (b c:0.5) ((d:1.25)) \(e:1.3\) (f) (12:45) [g:2] (h:) (i:2.) (a:1)") == (
        "(a:1)", "(b c:0.5)", "(d:1.25)", "(i:2.)",
    )  # fmt: skip
