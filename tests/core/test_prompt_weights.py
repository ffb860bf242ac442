"""Weights of words in ComfyUI's notation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema.core.errors import RequestError
from kinema.core.prompt_weights import weighted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a red ball", [("a red ball", 1)]),
        ("a (red) ball", [("a ", 1), ("red", 1.1), (" ball", 1)]),
        ("a (red:1.3) ball", [("a ", 1), ("red", 1.3), (" ball", 1)]),
        ("((red))", [("red", 1.21)]),
        ("((red) big:0.5)", [("red", 0.55), (" big", 0.5)]),
        ("((red:1.4) big)", [("red", 1.4), (" big", 1.1)]),
        ("((red:1.4):2)", [("red", 1.4)]),
        (r"a \(red:1.3\) ball", [("a (red:1.3) ball", 1)]),
        (r"(a \(b\):.5)", [("a (b)", 0.5)]),
        ("a (red ball", [("a (red ball", 1)]),
        ("a red) (ball)", [("a red) ", 1), ("ball", 1.1)]),
        ("(at 3:15 pm)", [("at 3:15 pm", 1.1)]),
        ("(x:y:2)", [("x:y", 2)]),
        ("(:2)", [(":2", 1.1)]),
        ("(x:nan)", [("x:nan", 1.1)]),
        ("()", []),
        ("", []),
        (r"C:\dir", [(r"C:\dir", 1)]),
    ],
)
def test_the_notation(text, expected):
    found = weighted(text)
    assert [piece for piece, _ in found] == [piece for piece, _ in expected]
    assert [weight for _, weight in found] == pytest.approx([weight for _, weight in expected])


@given(st.text(alphabet="ab ():.1\\", max_size=60))
def test_nothing_but_signs_is_lost(text):
    """All letters stay, in order; without parentheses the text stays as it is."""
    pieces = "".join(piece for piece, _ in weighted(text))
    assert [each for each in pieces if each in "ab"] == [each for each in text if each in "ab"]
    if "(" not in text and ")" not in text:
        assert pieces == text


def test_a_long_prompt_takes_no_long_time():
    depth = 20_000
    with pytest.raises(RequestError, match="'x' weigh inf"):
        weighted("(" * depth + "x" + ")" * depth)
    assert weighted("(" * depth + "x:2" + ")" * depth) == (("x", 2.0),)
    assert len(weighted("(a:1.2)" * depth)) == depth
