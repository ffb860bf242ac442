"""Episodes about a ball with given continuities, written directly to a ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence

from kinema.channel.making.ledger import Ledger
from kinema.channel.writing.prompt import prompt_of
from kinema.channel.writing.shots import CastMember, Shot, StyleBible

CAST = (CastMember(name="Ada", description="a red ball"),)


def plan(ledger: Ledger, theme: str, continuities: Sequence[str], *, seconds: float = 1.0, seed: int = 20) -> list[str]:
    """Plan an episode and return the ids of its shots. Their seeds are ten apart."""
    shots = []
    for number, continuity in enumerate(continuities):
        shot = Shot(
            part="development", subject="Ada", action="rolls", direction="left", setting="on a meadow", light="by day",
            camera="still", camera_direction="none", speed="steady", style="flat style", seconds=seconds,
            seed=seed + 10 * number, continuity=continuity,
        )  # fmt: skip
        shots.append((prompt_of(shot, CAST, StyleBible()), json.loads(shot.model_dump_json())))
    return ledger.plan(theme, ledger.next_number(theme), "Ada", theme, "a test", shots)
