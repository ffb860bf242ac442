"""Blocked words in all spellings, and harmless text that resembles them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.channel.writing.director import Director
from kinema.channel.writing.moderation import Moderation, Refused
from kinema.channel.writing.shots import StyleBible
from kinema.core.errors import RequestError

MODERATION = Moderation()


@pytest.mark.parametrize(
    "text",
    [
        "porn", "a PORN film", "p0rn", "p.o.r.n", "p o r n", "po-rn", "pooooorn", "\uff50\uff4f\uff52\uff4e", "porns",
        "p\u043ern", "\u0440\u043erno", "p\u00f6rn", "p\u0336o\u0336r\u0336n\u0336", "naz1", "NAZ!S", "kill  yourself",
        "kill-yourself", "$ex", "self-harm", "h1tler", "a nice day, then g.o.r.e",
    ],
)  # fmt: skip
def test_blocked_however_it_is_spelt(text):
    with pytest.raises(Refused, match="blocked word"):
        MODERATION.theme(text, "viewer")


@pytest.mark.parametrize(
    "text",
    [
        "a storm at sea", "Scunthorpe, Essex and Sussex", "a classic raccoon", "24 hours in 1984",
        "spices and retardant",
        "grapes", "a drapery shop", "analysis", "a gorgeous gorge", "U F O", "\u00e9t\u00e9 \u00e0 la mer",
        "\u6d77\u306e\u5d50", "\u043c\u043e\u0440\u0435", "\U0001f680", "\U0001f469\u200d\U0001f680 in space",
        "a \u2764\ufe0f and \U0001f469\U0001f3fd\u200d\U0001f680", "\U0001f3f3\ufe0f\u200d\U0001f308 flag",
        "key 1\ufe0f\u20e3",
        "!!! look 100%",
    ],
)  # fmt: skip
def test_harmless(text):
    assert MODERATION.theme(text, "viewer").text == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * 201, "has 201 characters. Legal: 200 at most"),
        ("a\x07b", "control character U+0007 at position 1"),
        ("a\nb", "control character U+000A"),
        ("a\u202eb", "U+202E"),
        ("zero\u200bwidth", "U+200B"),
        ("a\u2028b", "U+2028"),
        ("tag\U000e0041", "U+E0041"),
        ("a boat\ufe0f", "U+FE0F at position 6"),
        ("a boat" + "\U000e0100" * 3, "U+E0100"),
        ("a\ufe01 boat", "U+FE01"),
        ("a\u200d boat", "U+200D"),
        ("\U0001f680\u200d\u200d\U0001f680", "U+200D"),
        ("\U0001f680\ufe0f\ufe0f", "U+FE0F at position 2"),
        ("a \u3164 boat", "U+3164"),
        ("a\u034f boat", "U+034F"),
        ("\u2800", "U+2800"),
        ("half \ud83d", "U+D83D"),
        ("", "contains no words"),
        ("  ?! ", "contains no words"),
        ("Z" + "\u0335" * 9, "too many accents"),
    ],
)
def test_other_reasons(text, reason):
    with pytest.raises(Refused) as refused:
        MODERATION.theme(text, "viewer")
    assert reason in str(refused.value) and str(refused.value).isprintable()
    assert refused.value.field == "theme"


ODD = "\ufe0f\u200d\U0001f680a 1\u3000\u00a0\ud83d\U000e0100"


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40) | st.text(st.sampled_from(ODD), max_size=8))
def test_any_text_is_a_theme_or_refused(text):
    try:
        theme = MODERATION.theme(text, "viewer")
    except Refused as refused:
        str(refused).encode()
        return
    theme.text.encode()
    assert "\U000e0100" not in theme.text and theme.text.splitlines() == [theme.text]


def test_titles_and_prompts_too():
    with pytest.raises(Refused, match="The title has 81 characters"):
        MODERATION.check("x" * 81, "title")
    with pytest.raises(Refused, match="The prompt contains a blocked word"):
        MODERATION.check("a red ball and gore", "prompt")


def test_a_file_of_ones_own(tmp_path):
    own = tmp_path / "words.txt"
    own.write_text("# ours\nbroccoli\nrival station*  # them\n", encoding="utf-8")
    ours = Moderation(own)
    for text in ("Br0cc0li", "the rival stations"):
        with pytest.raises(Refused):
            ours.theme(text)
    assert ours.theme("broccolini") and ours.blocked("porn"), "the shipped words stay"
    with pytest.raises(RequestError, match=r"none\.txt"):
        Moderation(tmp_path / "none.txt")


def test_an_episode_with_a_word_of_ones_own_is_written_again():
    strict = Moderation(entries=["ball", "star", "circle"])
    takes = Director("quiet", moderation=strict, seed=4, shots=2).takes()
    prompts = [next(takes).prompt for _ in range(20)]
    assert not any(strict.blocked(prompt) for prompt in prompts) and len(set(prompts)) == 20
    with pytest.raises(Refused, match="'camera'"):
        next(Director("quiet", StyleBible(), moderation=Moderation(entries=["camera"])).episodes())


def test_a_long_text_is_read_quickly():
    assert MODERATION.blocked("a1!b|" * 140) is None
