"""The settings of AnimateDiff. No torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ...sd.options import ClipOptions


class AnimateDiffOptions(ClipOptions):
    """How many frames an adapter sees at once is a fact of its file: cards narrow `context_length`."""

    strength: Annotated[float, Field(ge=0.05, le=1.0)] = Field(
        0.8, description="how far a given clip is taken back to noise"
    )
    context_length: Annotated[int, Field(ge=2)] = Field(
        16, description="frames that are seen at once; longer clips go through in windows of it"
    )
    controlnet: str = Field(
        "",
        description="a network that guides: a ControlNet (control clips) or SparseCtrl (pictures), a folder or hub id",
    )
    control_scale: Annotated[float, Field(ge=0.0, le=4.0)] = Field(1.0, description="how strongly it guides")
