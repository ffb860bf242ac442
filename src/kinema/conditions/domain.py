"""What a request asks of a model that has learnt only a small part of the world, and that lies outside of it.

A card names its model's domain (`Card.domain`); each domain tells how unlike it pictures are, and whether it knows
anything of a prompt. Checked while planning: pixels of a few frames are read, no weights.
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

LOOKED_AT, FRAMES = 25, 3
"""Of a clip, this many frames spread over its first `LOOKED_AT`."""
NAMED = 2
"""Models that know more, named at most."""


@dataclass(frozen=True)
class Domain:
    """title: for a person. draws: what the model makes of anything else. unlike: above 0 where pictures are not of the
    domain. understands: whether it knows anything that a prompt says."""

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
    """A sentence for each input that is unlike the card's domain, and one where the domain knows nothing of `prompt`
    (as it was given); empty where all is within, or the card's model knows pictures of all kinds. Raises MediaError
    where an input cannot be read."""
    if card.domain not in DOMAINS:
        return ()
    domain = DOMAINS[card.domain]
    strange = [
        name for name, pictures in _pictures(plan.conditions) if pictures and domain.unlike(pictures) > 0
    ]  # fmt: skip
    others = _others(plan, card, known)
    found = [
        f"{name} does not look like {domain.title}, and {card.id} has learnt nothing else: what it makes of it is "
        f"{domain.draws}.{others}"
        for name in dict.fromkeys(strange)
    ]
    if prompt.strip() and not domain.understands(prompt):
        found.append(
            f"{card.id} has learnt {domain.title} alone and knows nothing of what the prompt says: it makes "
            f"{domain.draws}, as it likes.{others}"
        )
    return tuple(found)


def is_foreign(clip: str, card: Card) -> bool:
    """Whether a clip is outside the card's domain. False for a card without a domain. Raises MediaError."""
    return card.domain in DOMAINS and DOMAINS[card.domain].unlike(_frames(clip)) > 0


def _pictures(conditions: Sequence[Condition]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """(name, frames) of everything that the model is shown as pictures of the world."""
    for condition in conditions:
        if condition.kind == "image":
            yield _name(condition.image), [inputs.picture(condition.image)]
        elif condition.kind == "reference":
            yield from ((_name(image), [inputs.picture(image)]) for image in condition.images)
        elif condition.kind == "source":
            yield _name(condition.video), _frames(condition.video)
        elif condition.kind == "continue":
            yield _name(condition.clip), _frames(condition.clip)


def _frames(clip: str) -> list[np.ndarray]:
    from ..media.read import read_chunks

    with inputs.as_file(clip) as path:
        chunks = read_chunks(path, stop=LOOKED_AT, audio=False)
        frames = [frame.copy() for frame in islice((frame for chunk in chunks for frame in chunk.frames), LOOKED_AT)]
    last = len(frames) - 1
    return [frames[index] for index in sorted({round(last * part / (FRAMES - 1)) for part in range(FRAMES)})]


def _name(media: str) -> str:
    return "The picture" if media.startswith("data:") else media


def _others(plan: Plan, card: Card, known: Sequence[Card]) -> str:
    """A sentence that names models without a domain that take the same conditions; "" where there is none."""
    wanted = {feature(condition) for condition in plan.conditions}
    able = [
        other.id
        for other in known
        if not other.domain and wanted <= {*other.accepts} and {*other.needs} <= wanted
        and (other.edits_in_place or plan.canvas != "source") and (other.begins_with_clip or plan.canvas != "upscale")
    ]  # fmt: skip
    if not able:
        return ""
    return f" Models that know more of the world: {', '.join(able[:NAMED])} (`kinema models pull {able[0]}`)."
