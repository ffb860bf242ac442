"""Adapt prompts to a model with a small vocabulary: replace unknown words by known ones, and note the changes.

The vocabulary is the word-level tokenizer.json in the model's folder; the trained concepts are the "world" in its
card.json. Both are read at planning time, without torch. Prompts of models with other tokenizers are not changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...core.card import Card
from ...core.errors import KinemaError
from ...core.invisible import without_invisible
from ...core.outside import read_json
from ...core.plan import Plan
from ...core.prompt import NO_SPEED
from ...toyland.reword import Reworded, is_word, pieces, reword
from ...toyland.understand import Understanding, understand
from ...weights.store import own_place
from .options import WanOptions

LISTED = 8  # words listed in a note; the others are counted
TAUGHT = {
    "kind": "kinds", "color": "colors", "background": "backgrounds", "light": "lights", "weather": "weathers",
    "style": "styles", "camera": "cameras",
}  # fmt: skip


def read_prompt(plan: Plan, card: Card) -> Plan:
    """The plan with its prompt in words that the model knows, and notes about replaced, dropped and truncated words."""
    folder = own_place(card)
    words = vocabulary(folder) if folder is not None else None
    if folder is None or words is None:
        return plan
    world = _world(folder)
    prompt = without_invisible(plan.prompt)
    if not prompt.strip():
        chosen = any(condition.kind != "style" for condition in plan.conditions)
        note = f"The prompt is empty: the model chooses the content. {_knows(world)}"
        return plan if chosen else _with(plan, plan.prompt, [note])
    limit = WanOptions.of(plan).text_length - 1  # the last token ends the text
    tokens = re.findall(r"\w+|[^\w\s]", prompt.lower())
    if len(tokens) <= limit and all(token in words for token in tokens):
        return plan if prompt == plan.prompt else _with(plan, prompt, ())
    read = _reword(prompt, words, world)
    text, notes, knows = read.text, [], _knows(world)
    if understand(text) == Understanding():
        text = ""
        state = "known to this model" if read.untaught else "understood"
        notes.append(f"Nothing in the prompt is {state}: the model chooses the content. {knows}")
        knows = ""
    tokens = pieces(text)
    if len(tokens) > limit:
        text = _cut(text, limit)
        used = len([piece for piece in pieces(text) if is_word(piece)])
        notes.append(
            f"The prompt is too long: {used:,} of its {read.num_words:,} words were used (the model reads {limit} "
            "words and marks)."
        )
    without = [piece for piece in pieces(prompt) if piece not in read.speeds]
    if text and pieces(text) != without:
        swaps = ", ".join(f"{word} = {known}" for word, known in read.replaced[:LISTED])
        notes.append(f'Read as: "{_short(text)}"' + (f" ({swaps})." if swaps else "."))
    if read.untaught:
        notes.append(f"Not in this model's training data: {_listed(read.untaught)}. {knows}")
    if read.unknown:
        notes.append(f"Not understood: {_listed(read.unknown)}.")
    if read.speeds and text:
        notes.append(f"{NO_SPEED}{_listed(read.speeds)}.")
    return _with(plan, text, notes)


def _reword(text: str, words: frozenset[str], world: dict[str, Any]) -> Reworded:
    def taught(group: str, value: str) -> bool:
        return group not in TAUGHT or value in world.get(TAUGHT[group], (value,))

    return reword(text, words.__contains__, taught)


def vocabulary(folder: Path) -> frozenset[str] | None:
    """The words of a model's tokenizer; None if it is missing or not word-level."""
    model = _json(folder / "tokenizer" / "tokenizer.json").get("model") or {}
    if model.get("type") != "WordLevel" or not isinstance(model.get("vocab"), dict):
        return None
    return frozenset(model["vocab"])


def _world(folder: Path) -> dict[str, Any]:
    world = _json(folder / "card.json").get("world")
    return world if isinstance(world, dict) else {}


def _json(file: Path) -> dict[str, Any]:
    try:
        return read_json(file, dict)
    except (OSError, KinemaError):
        return {}


def _knows(world: dict[str, Any]) -> str:
    """A sentence that lists the concepts of the model's training data."""
    parts = (("objects", "kinds"), ("colours", "colors"), ("places", "backgrounds"))
    listed = [f"{name} {', '.join(map(str, world[key]))}" for name, key in parts if world.get(key)]
    return f"It reads plain English and knows the {'; the '.join(listed)}." if listed else "It reads plain English."


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - LISTED:,} more" if len(words) > LISTED else ""
    return ", ".join(words[:LISTED]) + more


def _cut(text: str, limit: int) -> str:
    """The text's first `limit` words and marks."""
    kept: list[str] = []
    count = 0
    for word in text.split(" "):
        count += len(pieces(word))
        if count > limit:
            break
        kept.append(word)
    return " ".join(kept).rstrip(",;:")


def _with(plan: Plan, prompt: str, notes: Sequence[str]) -> Plan:
    return plan.model_copy(update={"prompt": prompt, "notes": (*plan.notes, *(note.strip() for note in notes))})
