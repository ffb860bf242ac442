"""Options of ModelScope, Zeroscope and temporal layers. No torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ...sd.options import ClipOptions


class ZeroscopeOptions(ClipOptions):
    strength: Annotated[float, Field(ge=0.05, le=1.0)] = Field(
        1.0, description="how far a source is noised; 0.66 to 0.85 for the XL pass"
    )
