"""A loaded checkpoint's networks, and the inputs that a request has for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class WanCond:
    """The conditions of a request: text states of each branch (1, L, D), channels concatenated to the noise, VACE's
    context, latents of the source clip (reference images first), the transformer's adapters (styles, and the files of
    a student), and the latents' size."""

    text: dict[str, torch.Tensor]
    image_BLD: torch.Tensor | None
    concat_BCTHW: torch.Tensor | None
    control_BCTHW: torch.Tensor | None
    control_scale: tuple[float, ...]
    source_BCTHW: torch.Tensor | None
    styles: tuple[tuple[str, float], ...]
    students: tuple[Path, ...]
    num_references: int
    grid: tuple[int, int]
    low_precision: bool
    known_BCTHW: torch.Tensor | None = None
    """Latents of the first frame, which stay as they are (TI2V-5B)."""
    levels: dict[float, float] | None = None
    """The sigma of each timestep of the plan's scheduler, if the known frame needs it."""
    cameras_BLD: dict[str, torch.Tensor | None] = field(default_factory=dict)
    """Of each expert ("" for a model with one network), the addition to its patch embeddings."""
    reference_BCHW: torch.Tensor | None = None
    """The latents of the picture for Fun's `ref_conv` (fun.py)."""
    skipped: frozenset[int] = frozenset()
    """Blocks left out in the branch SKIPPED."""


@dataclass
class WanParts:
    """The networks of a checkpoint, as diffusers and transformers classes."""

    tokenizer: Any
    text_encoder: Any
    transformer: Any
    vae: Any
    scheduler: Any
    image_encoder: Any = None
    image_processor: Any = None
    tiny_decoder: Any = None
    transformer_2: Any = None
    """The expert for low noise, if `transformer` is one for high noise."""
    folder: Path | None = None
    """The checkpoint's folder, if it is one; it may contain a few-step student."""
    files: tuple[Path, ...] = ()
    """The weight files of the other parts, if the checkpoint is a single file."""
