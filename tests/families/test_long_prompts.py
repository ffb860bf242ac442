"""Prompts that are too long for a text encoder, or weight words: notes in the plan, an event, and the manifest."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kinema
from kinema.core.errors import RequestError
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


WHOLE = [card.id for card in built_in_cards() if "image:first" not in card.needs and not card.stage]


@pytest.mark.parametrize("model", WHOLE)
def test_weights_are_named(model):
    plan = kinema.plan("a (red:1.3) ball", negative_prompt="(ugly:.8), a hill (at 10:30)", model=model, seed=1)
    (note,) = [note for note in plan.notes if "Prompt weights" in note]
    assert "(red:1.3), (ugly:.8)." in note
    assert not [note for note in kinema.plan("a red ball (or so)", model=model).notes if "Prompt weights" in note]


def test_only_weights_are_weights():
    assert weights(r"(a:1) (b c:0.5) ((d:1.25)) \(e:1.3\) (f) (12:45) [g:2] (h:) (i:2.) (a:1)") == (
        "(a:1)", "(b c:0.5)", "(d:1.25)", "(i:2.)",
    )  # fmt: skip


WEIGHED = "a (red:1.6) ball \\(round\\)\n(on (green:0.4) hill)"
PIECES = (
    ("a ", 1), ("red", 1.6), (" ball (round)", 1), ("on ", 1.1), ("green", 0.4), (" hill", 1.1)
)  # fmt: skip


def by_hand(tokenizer, encode):
    """z_empty + w (z - z_empty) for each token, with the pieces tokenised one by one."""
    import torch

    special = tokenizer([""]).input_ids[0]
    ids, weights = list(special[:-1]), [1.0] * (len(special) - 1)
    for piece, weight in PIECES:
        found = tokenizer([piece], add_special_tokens=False).input_ids[0]
        ids, weights = ids + found, weights + [weight] * len(found)
    with torch.inference_mode():
        z, empty = encode([*ids, special[-1]]), encode(list(special))
        for place, weight in enumerate(weights):
            z[:, place] = empty[:, place] + weight * (z[:, place] - empty[:, place])
    return z, len(weights) + 1


def test_weights_move_the_tokens_of_wan(mini, mini_path):
    """Text states are zero after the prompt's own tokens, those of the empty prompt after one."""
    import torch
    from transformers import AutoTokenizer, UMT5EncoderModel

    encoder = UMT5EncoderModel.from_pretrained(mini_path, subfolder="text_encoder").eval()

    def encode(ids):
        return torch.nn.functional.pad(encoder(torch.tensor([ids])).last_hidden_state, (0, 0, 0, 64 - len(ids)))

    expected, count = by_hand(AutoTokenizer.from_pretrained(mini_path, subfolder="tokenizer"), encode)
    found = mini.family.text_states(WEIGHED, 64, True)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not found[:, count:].any()
    plain = mini.family.text_states("a red ball", 64)
    torch.testing.assert_close(mini.family.text_states("a red ball", 64, True), plain)
    assert not torch.equal(mini.family.text_states("a (red) ball", 64, True), plain)


def test_weights_move_the_tokens_of_clip():
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    from kinema.sd.text import text_states, two_text_states

    torch.manual_seed(0)
    tokenizer = image_file.tokenizer()
    encoder = CLIPTextModel(CLIPTextConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2, bos_token_id=49406,
        eos_token_id=49407,
    )).eval()  # fmt: skip

    def padded(ids):
        return torch.tensor([ids + [tokenizer.pad_token_id] * (77 - len(ids))])

    cpu = torch.device("cpu")
    expected, _ = by_hand(tokenizer, lambda ids: encoder(padded(ids)).last_hidden_state.clone())
    with torch.inference_mode():
        torch.testing.assert_close(text_states(WEIGHED, tokenizer, encoder, cpu, weigh=True), expected)
    expected, _ = by_hand(
        tokenizer, lambda ids: encoder(padded(ids), output_hidden_states=True).hidden_states[-2].clone()
    )
    with torch.inference_mode():
        both, _ = two_text_states(WEIGHED, (tokenizer, tokenizer), (encoder, encoder), cpu, weigh=True)
    torch.testing.assert_close(both, torch.cat([expected, expected], -1))


def test_weights_are_an_option_and_are_not_noted_as_ignored(mini):
    def frames(prompt, **options):
        return mini.generate(prompt, seed=1, steps=2, frames=5, profile="exact", options={
            "motion_words": "text", "unknown_words": "keep", **options,
        })  # fmt: skip

    on = {"prompt_weights": "comfyui"}
    assert any("weights are not applied" in note for note in frames("a (red:2) ball").plan.notes)
    clip = frames("a (red:2) ball", **on)
    assert not any("weights" in note for note in clip.plan.notes)
    assert (clip.frames() != frames("a red ball", **on).frames()).any()
    with pytest.raises(RequestError, match="weigh 9999"):
        frames("a (red:9999) ball", **on)
