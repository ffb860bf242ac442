"""What of a prompt a model does not read as it was meant: ends that are cut off, weights in parentheses. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

WEIGHTED = re.compile(r"(?<!\\)\(([^()]{1,200}):\s{0,4}(?:\d(?:\.\d{0,6})?|\.\d{1,6})\)")
"""`(word:1.3)`, the emphasis of other programs."""
SHOWN_CHARS, LISTED = 60, 8
NO_SPEED = "How fast is not read by this model: "
"""Begins the note of words for speed that were left out. Writers of shots say one in every prompt; who makes a film of
such shots need not hear of it (cli/film.py)."""


def weights(text: str) -> tuple[str, ...]:
    """The weighted parts of a prompt, each once, as they are written."""
    return tuple(dict.fromkeys(match.group(0) for match in WEIGHTED.finditer(text)))


def weight_notes(prompt: str, negative_prompt: str) -> Iterator[str]:
    """A note where prompts weigh words."""
    if found := tuple(dict.fromkeys(weights(prompt) + weights(negative_prompt))):
        more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
        yield f"Weights in a prompt are not applied; it is read as it is written: {', '.join(found[:LISTED])}{more}."


def cut_notes(name: str, text: str, tokenizer: Any, limit: int) -> Iterator[str]:
    """A note where a text has more tokens (those at its ends included) than a text encoder is given.

    tokenizer: of transformers, as it is called to encode. name: as in `plan.encoded`. limit: tokens in all.
    """
    ids = tokenizer([text], truncation=False, verbose=False)["input_ids"][0]
    if len(ids) <= limit:
        return
    words = tokenizer([text], truncation=False, verbose=False, add_special_tokens=False)["input_ids"][0]
    lost = words[max(0, limit - (len(ids) - len(words))) :]
    rest = tokenizer.decode(lost).strip()
    shown = rest if len(rest) <= SHOWN_CHARS else f"{rest[:SHOWN_CHARS]}..."
    yield f'The {name} is cut: the text encoder reads {limit} tokens, {len(lost)} more are lost, from "{shown}" on.'
