"""All stages by name: one line per stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core.errors import RequestError
from ..core.near import nearest
from .stage import ClipStage, CurationSettings
from .stages.aesthetic import Aesthetic
from .stages.camera import CameraMotion
from .stages.captions import ClipCaptions
from .stages.clip_score import ClipScore
from .stages.duplicates import Duplicates
from .stages.flow_motion import FLOW_MEASURES, flow_stage
from .stages.look import Look
from .stages.motion_vectors import VectorMotion
from .stages.similar import Similar
from .stages.text_area import TextArea

STAGES: dict[str, Callable[[CurationSettings], ClipStage]] = {
    "motion_vectors": VectorMotion,
    **{measure.name: flow_stage(measure) for measure in FLOW_MEASURES},
    "text_area": TextArea,
    "look": Look,
    "aesthetic": Aesthetic,
    "duplicates": Duplicates,
    "similar": Similar,
    "camera": CameraMotion,
    "captions": ClipCaptions,
    "clip_score": ClipScore,
}
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
