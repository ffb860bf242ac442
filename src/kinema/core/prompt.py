"""Notes on prompts that a model reads differently than intended: truncated ends, weights in parentheses. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

WEIGHTED = re.compile(r"(?<!\\)\(([^()]{1,200}):\s{0,4}(?:\d(?:\.\d{0,6})?|\.\d{1,6})\)")
"""`(word:1.3)`, the emphasis syntax of other programs."""
SHOWN_CHARS, LISTED = 60, 8
NO_SPEED = "This model ignores words for speed: "
"""Prefix of the note on ignored words for speed. Shot writers put one into every prompt, so films omit the note
(cli/film.py)."""


def weights(text: str) -> tuple[str, ...]:
    """The distinct weighted parts of a prompt, as written."""
    return tuple(dict.fromkeys(match.group(0) for match in WEIGHTED.finditer(text)))


def weight_notes(prompt: str, negative_prompt: str) -> Iterator[str]:
    """Yield a note if a prompt contains weights."""
    if found := tuple(dict.fromkeys(weights(prompt) + weights(negative_prompt))):
        more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
        yield f"Prompt weights are not applied; the text is read literally: {', '.join(found[:LISTED])}{more}."


def cut_notes(name: str, text: str, tokenizer: Any, limit: int) -> Iterator[str]:
    """Yield a note if a text has more tokens, special tokens included, than the text encoder reads.

    tokenizer: a transformers tokenizer. name: as in `plan.encoded`. limit: maximum number of tokens.
    """
    ids = tokenizer([text], truncation=False, verbose=False)["input_ids"][0]
    if len(ids) <= limit:
        return
    words = tokenizer([text], truncation=False, verbose=False, add_special_tokens=False)["input_ids"][0]
    lost = words[max(0, limit - (len(ids) - len(words))) :]
    rest = tokenizer.decode(lost).strip()
    shown = rest if len(rest) <= SHOWN_CHARS else f"{rest[:SHOWN_CHARS]}..."
    yield f'The {name} is truncated to {limit} tokens; the last {len(lost)} are lost, from "{shown}" on.'
