"""All stages by name: one line per stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core.errors import RequestError
from ..core.near import nearest
from .stage import ClipStage, CurationSettings

STAGES: dict[str, Callable[[CurationSettings], ClipStage]] = {}
"""A constructor is cheap: models are loaded by `open`."""


def make_stages(names: Sequence[str], settings: CurationSettings) -> list[ClipStage]:
    """The stages of these names, in this order. Raises RequestError for an unknown name."""
    for name in names:
        if name not in STAGES:
            raise RequestError(
                f"Unknown stage {name!r}.", field="stages", value=name, legal=", ".join(STAGES),
                nearest=nearest(name, STAGES),
            )  # fmt: skip
    return [STAGES[name](settings) for name in names]
