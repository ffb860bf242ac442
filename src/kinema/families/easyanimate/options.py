"""Options of EasyAnimate. No torch."""

from __future__ import annotations

from pydantic import Field

from ...core.options import Sampling


class EasyAnimateOptions(Sampling):
    motion_module: bool = Field(
        True, description="use the motion modules; without them every latent frame is a picture of its own (paper)"
    )
