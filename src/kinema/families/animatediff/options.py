"""Options of AnimateDiff. No torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ...sd.options import ClipOptions


class AnimateDiffOptions(ClipOptions):
    """The maximum of `context_length` depends on the adapter's file; cards set it."""

    strength: Annotated[float, Field(ge=0.05, le=1.0)] = Field(0.8, description="how far a source is noised")
    context_length: Annotated[int, Field(ge=2)] = Field(
        16, description="frames per window; longer clips are generated in overlapping windows"
    )
    controlnet: str = Field(
        "",
        description="folder or hub id of a ControlNet (control clips) or SparseCtrl (images)",
    )
    control_scale: Annotated[float, Field(ge=0.0, le=4.0)] = Field(1.0, description="strength of the ControlNet")
