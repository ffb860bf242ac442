"""The waist: what the loop asks of a family of models. Families and the loop meet only here."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .card import Card
from .chunk import Chunk
from .plan import Plan, Span

if TYPE_CHECKING:
    import numpy as np
    import torch

Cond = Any
"""What a family's networks eat; opaque to the loop."""

Latents = Any
"""What is sampled: a tensor (1, C, T, H, W), or several by name (video and sound), see diffusion/latents.py."""

Branch = str
"""By the family's own names; of most, `cond` follows the prompt and `uncond` the negative prompt."""


@dataclass(frozen=True)
class Prepared:
    """Conditions as pixels on the plan's canvas: float32, [-1, 1], BCFHW (B = 1), on the CPU. What one family alone
    needs, it adds in a class of its own.

    source_BCFHW: the clip to edit, 0.0 (mid-gray, "no information") where nothing is given; None without any.
    first_BCHW:   a picture that the first frame must be.
    styles:       adapters and their weights.
    """

    source_BCFHW: torch.Tensor | None = None
    first_BCHW: torch.Tensor | None = None
    styles: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Window:
    """A window of a clip that is edited, cut out for the plan's canvas: it stands in for the plan's source, mask,
    continued clips and control clip.

    frames_FHWC: float32 in [-1, 1]. mask_FHW: float32, 1 = generate. control_FHWC: like the frames, or None.
    """

    frames_FHWC: np.ndarray
    mask_FHW: np.ndarray
    control_FHWC: np.ndarray | None = None


class Way(Protocol):
    """How one step is computed, see diffusion/guidance.py."""

    @property
    def branches(self) -> tuple[Branch, ...]: ...

    @property
    def combine(self) -> Callable[[dict[Branch, Any]], Any]: ...

    @property
    def kind(self) -> Hashable: ...


class Predict(Protocol):
    """The denoiser at work: `(x, t, branches) -> {branch: network output}`; it may batch the branches. x is as the
    scheduler shows it to networks."""

    def __call__(self, x: Latents, t: torch.Tensor, branches: tuple[Branch, ...], /) -> dict[Branch, Latents]: ...


class Family(Protocol):
    """A loaded model."""

    card: Card

    def weight_files(self, plan: Plan) -> tuple[Path, ...]:
        """Weight files that a plan needs beside the checkpoint's own folder or file."""
        ...

    def notes(self, plan: Plan) -> tuple[str, ...]:
        """What a person should know that planning, without the model's tokenizers, cannot: prompts that are cut."""
        ...

    def prepare(self, plan: Plan, window: Window | None = None) -> Prepared:
        """Conditions as pixels on the plan's canvas. Reads the input files that no window stands in for; no
        networks."""
        ...

    def encode(self, plan: Plan, prepared: Prepared) -> Cond:
        """Words and pixels to what the denoiser eats."""
        ...

    def latent_shape(self, cond: Cond, span: Span) -> Any:
        """Shape (1, C, T, H, W) of the noise of a span; a dict of shapes by name for several latents."""
        ...

    def scheduler(self, plan: Plan) -> Any:
        """A scheduler object of the plan's own, timesteps set. Schedulers hold state: never share one. For several
        latents, `scheduling.Several`."""
        ...

    def begin(self, plan: Plan, cond: Cond, scheduler: Any, noise: Latents, /) -> tuple[Latents, int]:
        """(latents to begin with, step to begin at): the scheduler's noisiest, or a clip's taken back to noise."""
        ...

    def guidance(self, plan: Plan, span: Span, scheduler: Any) -> Sequence[Way]:
        """For each of the scheduler's timesteps, which branches and which expert it computes and how they become one
        (diffusion/guidance.py; `classifier_free` for the usual two)."""
        ...

    def predict(self, cond: Cond, span: Span) -> Predict:
        """The denoiser bound to its conditions, for one span, which may be a window of one of the plan's."""
        ...

    def preview(self, x: Latents, output: Latents, sigma: float, plan: Plan, span: Span, /) -> np.ndarray:
        """What a span will look like, from its latents x at noise level sigma (in the scheduler's own form) and the
        (guided) output of the network there: uint8 RGB (F, H, W, 3), the whole span or, where that would take long,
        one frame of it."""
        ...

    def decode(self, latents: Latents, plan: Plan, span: Span, /) -> Iterator[Chunk]:
        """Latents of a span to frames (and sound, where the model makes it), in time slices, so that a slice can be
        written while the next is decoded."""
        ...
