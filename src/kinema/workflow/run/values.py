"""The values on a graph's links that are not plain: pictures and masks as lazy streams, clips, and what nodes report.

Pictures and masks are batches, as in ComfyUI: a clip's frames are the batch. Nothing is computed before `blocks` is
called, and then a few frames at a time, so memory does not grow with a clip's length. A stream may be read several
times, also from its middle, and gives the same values each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

BLOCK = 8
"""Frames of a block, at most."""
Blocks = Callable[[int, int], Iterator[np.ndarray]]
"""(start, stop) -> arrays of at most BLOCK frames each, in order, together frames start to stop."""


@dataclass(frozen=True)
class Pictures:
    """A batch of pictures. blocks: float32 arrays (F, H, W, C) in [0, 1]. channels: 3, or 4 with alpha (1 = opaque)."""

    count: int
    height: int
    width: int
    channels: int
    blocks: Blocks


@dataclass(frozen=True)
class Masks:
    """A batch of masks. blocks: float32 arrays (F, H, W) in [0, 1]."""

    count: int
    height: int
    width: int
    blocks: Blocks


@dataclass(frozen=True)
class Sound:
    """Sound. read: float32 in [-1, 1], (samples, channels), at rate_hz."""

    rate_hz: int
    read: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Video:
    """A clip: what a node of type VIDEO gives. codec: none, auto, h264 or av1, as CreateVideo was told."""

    pictures: Pictures
    fps: float
    sound: Sound | None = None
    bit_depth: str = "auto"
    color_space: str = "sRGB"
    codec: str = "none"


class Inputs(Protocol):
    """The input folder of a graph."""

    def path(self, name: str, /) -> Path:
        """The file that a node names, as "photo.png" or "folder/photo.png [input]". RequestError, naming it."""
        ...


class Outputs(Protocol):
    """Where results go."""

    def reserve(self, prefix: str, suffix: str, kind: Literal["output", "temp"], /) -> Path:
        """A file of its own for a result, never given twice: PREFIX_00001_SUFFIX for the prefix "video/ComfyUI" and the
        suffix ".mp4"; the folders of the prefix exist."""
        ...


@dataclass(frozen=True)
class Written:
    """A file that a node wrote. facts: JSON-ready, as its fps and number of frames."""

    node: str
    path: Path
    kind: Literal["output", "temp"]
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeEvent:
    """What happens to a node during a run.

    kind and data: "cached" {} (its result is at hand, before anything runs); "executing" {}; "progress" {"value",
    "max"}; "preview" {"frames": a function that returns uint8 RGB (F, H, W, 3)}; "executed" {"written": [Written]}."""

    kind: Literal["cached", "executing", "progress", "preview", "executed"]
    node: str
    data: dict[str, Any] = field(default_factory=dict)
