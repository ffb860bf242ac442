"""Prompts outside the miniature's vocabulary: reworded, or noted; never ignored silently.

Expectations follow the shipped tokenizer.json and card.json, so that a new edition with other words keeps passing.
"""

import json
import re
from importlib.resources import files
from itertools import cycle, product
from pathlib import Path

import pytest

import kinema
from kinema.core.errors import RequestError
from kinema.families.wan import planning, vocabulary
from kinema.families.wan.cards import CARDS, MINI
from kinema.toyland import words
from kinema.toyland.reword import pieces, reword
from kinema.toyland.scene import BACKGROUNDS, COLORS, KINDS

FOLDER = Path(str(files("kinema"))) / str(MINI.builtin)
if not (FOLDER / "tokenizer" / "tokenizer.json").exists():
    pytest.skip("the miniature is not in this tree", allow_module_level=True)
WORDS = vocabulary.vocabulary(FOLDER)
WORLD = json.loads((FOLDER / "card.json").read_text(encoding="utf-8"))["world"]
UNTAUGHT = [kind for kind in KINDS if kind not in WORLD["kinds"]]


def plan(prompt, **options):
    return kinema.plan(prompt, seed=1, options=options)


def notes(found, start):
    return [note for note in found.notes if note.startswith(start)]


def note(found, start):
    (only,) = notes(found, start)
    return only


def test_a_crimson_sphere_is_a_red_ball():
    found = plan("a crimson sphere")
    assert found.prompt == "a red ball"
    assert note(found, "Read as") == 'Read as: "a red ball" (crimson = red, sphere = ball).'
    assert not notes(found, "Not understood") and not notes(found, "Not in this model's training data")
    assert kinema.Plan.from_dict(json.loads(found.model_dump_json())) == found, "the manifest has the notes too"


def test_what_it_knows_stays_as_it_is():
    for prompt in ("a red ball rolls left over a green hill at sunset", "A red ball, at night."):
        found = plan(prompt)
        assert found.prompt == prompt and not notes(found, "Read as")
    again = plan(plan("a huge azure orb soaring above the moonlit beach").prompt)
    assert not notes(again, "Read as") and not notes(again, "Not")


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("a huge azure orb soaring above the moonlit beach", "a big blue ball rises above the night sea"),
        ("A cherry-red truck doesn't move", "a red car rests"),
        ("an amber cube", "an orange square"),
        ("hearts drifting", "heart moves"),
        ("a red ball on a table", "a red ball"),
        ("a shiny red ball", "a red ball"),
        ("a golden star ascends leftwards", "a yellow star rises left"),
        ("\U0001f534 at \U0001f305", "big red ball at sunset"),
    ],
)
def test_readings(said, read):
    assert plan(said).prompt == read


def test_nothing_understood_still_plans_a_film_and_says_what_it_knows():
    found = plan("un ballon rouge")
    assert found.prompt == "" and found.frames == MINI.frames.trained
    assert note(found, "Not understood") == "Not understood: un, ballon, rouge."
    told = note(found, "Nothing in the prompt is understood")
    for name in (*WORLD["kinds"], *WORLD["colors"], *WORLD["backgrounds"]):
        assert name in told


@pytest.mark.parametrize(
    ("prompt", "listed"),
    [
        (
            "\u043a\u0440\u0430\u0441\u043d\u044b\u0439 \u043c\u044f\u0447",
            "\u043a\u0440\u0430\u0441\u043d\u044b\u0439, ",
        ),
        ("\u0643\u0631\u0629 \u062d\u0645\u0631\u0627\u0621", "\u0643\u0631\u0629, "),
        ("\u7ea2\u8272\u7684\u7403" * 9, "..."),
        ("\U0001f389", "\U0001f389 (party popper)"),
        ("\U0001f469\u200d\U0001f680", "\U0001f469 (woman)"),
        ("x" * 300, "x" * 24 + "..."),
        ("zxq\u200b\x07\u202e", "zxq"),
    ],
)
def test_other_scripts_and_emoji_are_listed_readably(prompt, listed):
    found = plan(prompt)
    told = note(found, "Not understood")
    assert listed in told and told.isprintable() and len(told) < 200
    assert notes(found, "Nothing in the prompt")


def test_an_empty_prompt_is_said_to_be_empty():
    for prompt in ("", "  \n "):
        assert "the model chooses the content" in note(plan(prompt), "The prompt is empty")
    drawn = kinema.plan("", conditions=[{"kind": "trajectory", "points": [(0.1, 0.5), (0.9, 0.5)]}])
    assert not notes(drawn, "The prompt is empty")


def test_a_long_prompt_says_how_much_was_used():
    limit = MINI.network.text_length - 1
    found = plan("a red ball rolls left " * 400)
    used = len(found.prompt.split())
    assert len(pieces(found.prompt)) <= limit and used > limit - 8
    assert note(found, "The prompt is too long").startswith(
        f"The prompt is too long: {used} of its 2,000 words were used"
    )
    assert len(note(found, "Read as")) < 300
    found = plan(" ".join(f"word{n}" for n in range(2000)))
    assert found.prompt == "" and note(found, "Not understood").endswith("word7 and 1,992 more.")
    assert not notes(plan("a red ball " + "gleaming " * 300), "The prompt is too long"), (
        "what was left out takes no room"
    )
    assert len(pieces(plan("a red ball at night " * 9, text_length=16).prompt)) <= 15


@pytest.mark.skipif(not UNTAUGHT, reason="this edition was taught every object")
def test_objects_it_was_never_shown_are_named():
    for kind in UNTAUGHT:
        told = note(plan(f"a red {kind} at night"), "Not in this model's training data")
        assert told.startswith(f"Not in this model's training data: {kind}.") and WORLD["kinds"][0] in told
    alone = plan(f"a {UNTAUGHT[0]}")
    assert alone.prompt == "" and notes(alone, "Nothing in the prompt is known to this model")


def test_motion_is_read_from_what_was_said():
    """A path is derived from the full sentence, including objects that are dropped."""
    assert plan("a crimson sphere rolls rightwards").conditions[0].object == "red ball"


def test_the_option_keeps_the_prompt():
    found = plan("a crimson sphere", unknown_words="keep")
    assert found.prompt == "a crimson sphere" and not notes(found, "Read as")
    with pytest.raises(RequestError):
        plan("a ball", unknown_words="guess")


def test_models_that_read_any_text_are_left_alone():
    for card in CARDS:
        if card is not MINI and not card.needs:
            found = planning.plan(kinema.Request(prompt="un ballon rouge"), card)
            assert found.prompt == "un ballon rouge" and not notes(found, "Not understood")


def test_folders_without_a_word_list_are_left_alone(tmp_path):
    (tmp_path / "tokenizer").mkdir()
    card = MINI.model_copy(update={"builtin": None, "path": str(tmp_path)})
    request = kinema.Request(prompt="un ballon rouge")
    for text in (
        None,
        "{",
        "[]",
        '{"model": {"type": "Unigram", "vocab": [["a", 0]]}}',
        '{"model": {"type": "WordLevel"}}',
    ):
        if text is not None:
            (tmp_path / "tokenizer" / "tokenizer.json").write_text(text)
        assert planning.plan(request, card).prompt == request.prompt
    file = tmp_path / "tokenizer" / "tokenizer.json"
    file.write_text(json.dumps({"model": {"type": "WordLevel", "vocab": {"un": 3, "ball": 4, "a": 5}}}))
    assert planning.plan(request, card).notes[-1] == "Not understood: ballon, rouge.", "its own list, and no card.json"
    assert planning.plan(kinema.Request(prompt="a boat"), card).prompt == "", "no word for it"


def test_every_word_of_toyland_is_read_or_named():
    """Colours, objects and places of `understand`, synonyms included: each is read as a taught word of the same
    meaning, or reported."""
    tables = (("kinds", words.KIND_WORDS), ("colors", words.COLOR_WORDS), ("backgrounds", words.BACKGROUND_WORDS))
    for key, table in tables:
        for value, pattern in table.items():
            for word in re.findall(r"(?<![\w?:])[a-z]{3,}(?=s?\?|\||$)", pattern):
                found = plan(f"a {word} zzz")
                said = " ".join(found.notes)
                assert found.prompt or "Not in this model's training data" in said or "Not understood" in said, (
                    key,
                    value,
                    word,
                )


def test_the_tokenizer_reads_what_is_left():
    """The real tokenizer knows all words of a reworded prompt, and truncates none."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(FOLDER / "tokenizer")
    prompts = [
        "A scarlet orb (very shiny!) & 3 boats: spinning... <pad> </s> <unk>", "dolly in on the snow-covered alps",
        "a red ball's shadow / at 5 o'clock", "\uff21 \uff52\uff45\uff44 \uff42\uff41\uff4c\uff4c", "a red_ball",
        "a small cube getting bigger, spinning, beside a heart, in the rain; pixel art", "a red ball - moving",
        "a red ball " * 90,
        *(f"a {color} {kind} over the {place}"
          for (color, kind), place in zip(product(COLORS, KINDS), cycle(BACKGROUNDS), strict=False)),
    ]  # fmt: skip
    for prompt in prompts:
        read = plan(prompt).prompt
        ids = tokenizer(read).input_ids
        assert 2 not in ids and len(ids) <= MINI.network.text_length, (prompt, read)


def test_rewording_alone():
    found = reword("an azure sphere in Paris!", {"a", "an", "in", "blue", "ball"}.__contains__, lambda *_: True)
    assert found.text == "a blue ball" and found.unknown == ("paris",) and found.num_words == 5
    assert found.replaced == (("azure", "blue"), ("sphere", "ball")) and found.untaught == ()
    barred = reword("a crimson boat", {"a", "red", "boat"}.__contains__, lambda group, value: value != "red")
    assert barred.untaught == ("crimson",) and barred.text == "a boat"
    assert reword("", {"a"}.__contains__, lambda *_: True).text == ""


UNSEEN = ("\ufe0f", "\u200d", "\u200b", "\u2060", "\ufeff", "\u00ad", "\u3164", "\u2800", "\U000e0100", "\u034f")


@pytest.mark.parametrize("blank", UNSEEN)
def test_what_nobody_sees_is_no_word(blank):
    """Selectors, joiners, zero-width spaces and fillers, alone or next to words and marks."""
    assert notes(plan(blank), "The prompt is empty")
    plain = plan("a red ball, at night")
    for text in (f"a red ball{blank}, at night", f"a red ball,{blank} at night", f"{blank}a red ball, at night{blank}",
                 f"a red {blank} ball, at night"):  # fmt: skip
        found = plan(text)
        assert " ".join(found.prompt.split()) == plain.prompt
        assert found.notes == plain.notes
    assert "Not understood: zebra." in plan(f"a red ball and a zebra{blank}").notes


def test_parts_of_an_emoji_are_no_words():
    assert plan("a \u2764\ufe0f ball").notes == plan("a \u2764 ball").notes
    assert pieces("\U0001f469\u200d\U0001f680!\ufe0f") == ["\U0001f469\u200d\U0001f680", "!"]
