"""What nodes that compute nothing say to a sampler: models with their patches, words, conditions, empty latents.

A sampler turns them into a request (requests.py). Pictures among them stay lazy until a run writes them to files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .values import Masks, Pictures

Link = tuple[str, int]
"""(node, output slot)."""


@dataclass(frozen=True)
class ModelUse:
    """A model and what is patched on it.

    model: its id, path or name. file: that the graph names. replaced: the user named another model for that file.
    styles: (adapter, weight), the first one nearest to the model. options: of the request, from patches.
    """

    model: str
    file: str
    replaced: bool = False
    styles: tuple[tuple[str, float], ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def with_style(self, adapter: str, weight: float) -> ModelUse:
        return replace(self, styles=(*self.styles, (adapter, weight)))

    def with_options(self, **options: Any) -> ModelUse:
        """A patch nearer to the sampler replaces one before it."""
        return replace(self, options={**self.options, **options})


@dataclass(frozen=True)
class ModelPart:
    """A text encoder, autoencoder or image encoder: part of the sampler's own model. kind: CLIP, VAE or CLIP_VISION."""

    kind: str
    file: str


@dataclass(frozen=True)
class MediaUse:
    """Pictures or masks that a condition names, resized to the clip's size as they are written.

    link: where they come from. is_clip: as many frames as the clip has, from the front; else the first one. pad: the
    value of the frames after its end; None: it stays shorter. empty: only its length and size count, all is `pad`.
    seen: the picture as an image encoder reads it, see `vision.py`: "center" or "none" is its crop.
    """

    stream: Pictures | Masks
    link: Link
    is_clip: bool = False
    pad: float | None = None
    empty: bool = False
    method: str = "bilinear"
    crop: str = "center"
    seen: str = ""


@dataclass(frozen=True)
class VisionUse:
    """What an image encoder reads. It is computed from the pictures of the condition that uses it."""

    link: Link
    stream: Pictures
    crop: str


@dataclass(frozen=True)
class Joined:
    """What a conditioning node joins to words.

    conditions: of the request as plain values, with `MediaUse` in place of paths. options, fields: of the request.
    notes: how the result differs from ComfyUI's.
    """

    node: str
    conditions: tuple[Mapping[str, Any], ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conditioning:
    """Words, and what nodes joined to them. text: None is no words (Stable Video Diffusion)."""

    text: str | None
    guides: tuple[Joined, ...] = ()

    def joined(self, guide: Joined) -> Conditioning:
        return replace(self, guides=(*self.guides, guide))


@dataclass(frozen=True)
class LatentClip:
    """Latents of a clip.

    width, height, frames: in pixels, without references. references: latent frames before it. trimmed: latent frames
    dropped from the front. node: the sampler that computes them; "": they are empty, or the pictures `encoded`.
    batch: clips at once. joined: what their node adds to the conditions.
    """

    width: int
    height: int
    frames: int
    references: int = 0
    trimmed: int = 0
    node: str = ""
    encoded: MediaUse | None = None
    batch: int = 1
    joined: Joined | None = None


@dataclass(frozen=True)
class CameraUse:
    """A camera move. lens: focal lengths and centre, (fx, fy, cx, cy). size: (width, height, length) that it is for."""

    move: str
    speed: float
    lens: tuple[float, float, float, float]
    size: tuple[int, int, int]


@dataclass(frozen=True)
class Noise:
    """The noise of a sampler composed of parts. seed: None adds none."""

    seed: int | None


@dataclass(frozen=True)
class SamplerName:
    name: str


@dataclass(frozen=True)
class Levels:
    """Noise levels by a name, without the rule by which some samplers drop the last one but one."""

    schedule: str
    steps: int
    denoise: float


@dataclass(frozen=True)
class Guider:
    model: ModelUse
    positive: Conditioning
    negative: Conditioning | None
    guidance: float
