"""The settings of Wan's models; which of them a card has, and with what default, says cards.py. No torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ...core.options import Sampling


class WanOptions(Sampling):
    shift: Annotated[float, Field(ge=0.1, le=100.0)] = Field(
        5.0, description="timestep shift; higher spends more steps on layout and motion"
    )
    text_length: Annotated[int, Field(ge=8, le=512)] = Field(
        512, description="tokens the prompt is padded or cut to; the weights know the default"
    )

    conditioning_scale: tuple[Annotated[float, Field(ge=0.0, le=4.0)], ...] = Field(
        (1.0,), min_length=1, description="strength of the conditions: one number, or one for each VACE layer"
    )
    motion_words: Literal["path", "text"] = Field(
        "text", description="path: words for motion are turned into a drawn path; text: the words alone are used"
    )
    unknown_words: Literal["read", "keep"] = Field(
        "keep",
        description="read: words outside its small vocabulary are said in words that it knows; keep: left as they are",
    )
