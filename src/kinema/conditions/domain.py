"""Checks for inputs outside the domain of a model that was trained on a narrow one.

A card names its model's domain (`Card.domain`); each domain measures how unlike it pictures are, and whether it
understands a prompt. Checked while planning: reads pixels of a few frames, no weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ..core.card import Card
from ..core.conditions import Condition, feature
from ..core.plan import Plan
from . import inputs

if TYPE_CHECKING:
    import numpy as np

FIRST_FRAMES, SAMPLES = 25, 3
"""Of a clip, SAMPLES frames spread over the first FIRST_FRAMES are checked."""
NAMED = 2
"""Maximum number of suggested models."""


@dataclass(frozen=True)
class Domain:
    """A narrow training domain. title: for messages. draws: the content of all generated clips. unlike: above 0 if
    pictures are outside the domain. understands: whether a prompt contains known words."""

    title: str
    draws: str
    unlike: Callable[[Sequence[np.ndarray]], float]
    understands: Callable[[str], bool]


def _toyland_unlike(pictures: Sequence[np.ndarray]) -> float:
    from ..toyland.likeness import foreignness

    return foreignness(pictures)


def _toyland_understands(prompt: str) -> bool:
    from ..toyland.understand import Understanding, understand

    return understand(prompt) != Understanding()


DOMAINS = {
    "toyland": Domain(
        "Toyland", "simple shapes before hills, sea, desert, city, snow or space", _toyland_unlike, _toyland_understands
    )
}


def outside(plan: Plan, prompt: str, card: Card, known: Sequence[Card] = ()) -> tuple[str, ...]:
    """A warning for each input outside the card's domain, and one if the domain understands nothing of `prompt` (as
    given); empty if all inputs are within it, or the model is general. Raises MediaError if an input cannot be read."""
    if card.domain not in DOMAINS:
        return ()
    domain = DOMAINS[card.domain]
    strange = [
        name for name, pictures in _pictures(plan.conditions) if pictures and domain.unlike(pictures) > 0
    ]  # fmt: skip
    others = _others(plan, card, known)
    found = [
        f"{name} does not look like {domain.title}, and {card.id} was trained on nothing else: it generates "
        f"{domain.draws}.{others}"
        for name in dict.fromkeys(strange)
    ]
    if prompt.strip() and not domain.understands(prompt):
        found.append(
            f"{card.id} was trained on {domain.title} only and knows no words of the prompt: it generates random "
            f"{domain.draws}.{others}"
        )
    return tuple(found)


def is_foreign(clip: str, card: Card) -> bool:
    """Whether a clip is outside the card's domain. False for a card without a domain. Raises MediaError."""
    return is_outside(clip, card.domain)


def is_outside(clip: str, domain: str) -> bool:
    """Whether a clip is outside a domain, by its name in `Card.domain`. False for an unknown one. Raises MediaError."""
    return domain in DOMAINS and DOMAINS[domain].unlike(_frames(clip)) > 0


def _pictures(conditions: Sequence[Condition]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yield (name, frames) of all pictures and clips among the conditions."""
    for condition in conditions:
        if condition.kind == "image":
            yield _name(condition.image), [_eight_bits(inputs.picture(condition.image))]
        elif condition.kind == "reference":
            yield from ((_name(image), [_eight_bits(inputs.picture(image))]) for image in condition.images)
        elif condition.kind == "source":
            yield _name(condition.video), _frames(condition.video)
        elif condition.kind == "continue":
            yield _name(condition.clip), _frames(condition.clip)


def _frames(clip: str) -> list[np.ndarray]:
    if inputs.array_file(clip) is not None:
        frames = [_eight_bits(frame) for frame in inputs.clip(clip, FIRST_FRAMES)[0]]
    else:
        frames = _read(clip)
    last = len(frames) - 1
    return [frames[index] for index in sorted({round(last * part / (SAMPLES - 1)) for part in range(SAMPLES)})]


def _read(clip: str) -> list[np.ndarray]:
    from ..media.read import read_chunks

    with inputs.as_file(clip) as path:
        chunks = read_chunks(path, stop=FIRST_FRAMES, audio=False)
        return [frame.copy() for frame in islice((frame for chunk in chunks for frame in chunk.frames), FIRST_FRAMES)]


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    """uint8, of pixels in [0, 1] too."""
    if pixels.dtype.name == "uint8":
        return pixels
    rounded: np.ndarray = (pixels * 255).round().clip(0, 255).astype("uint8")
    return rounded


def _name(media: str) -> str:
    return "The picture" if media.startswith("data:") else media


def _others(plan: Plan, card: Card, known: Sequence[Card]) -> str:
    """A sentence that suggests general models with the same conditions; "" if there are none."""
    wanted = {feature(condition) for condition in plan.conditions}
    able = [
        other.id
        for other in known
        if not other.domain and not other.stage and wanted <= {*other.accepts} and {*other.needs} <= wanted
        and (other.edits_in_place or plan.canvas != "source") and (other.begins_with_clip or plan.canvas != "upscale")
    ]  # fmt: skip
    if not able:
        return ""
    return f" General models: {', '.join(able[:NAMED])} (`kinema models pull {able[0]}`)."
