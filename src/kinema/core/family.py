"""The interface between the sampling loop and the model families; they meet only here."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from .card import Card
from .chunk import Chunk
from .plan import Plan, Span

if TYPE_CHECKING:
    import numpy as np
    import torch

Cond = Any
"""The inputs of a family's networks; opaque to the loop."""

Latents = Any
"""A tensor (1, C, T, H, W), or several by name (video and sound), see diffusion/latents.py."""

Branch = str
"""A guidance branch, named by the family; usually `cond` (the prompt) and `uncond` (the negative prompt)."""


@dataclass(frozen=True)
class Prepared:
    """Conditions as pixels on the plan's canvas: float32, [-1, 1], BCFHW (B = 1), on the CPU. Families extend it with
    subclasses.

    source_BCFHW: the clip to edit, 0.0 (mid-gray, "no information") in areas without input; None without a source.
    first_BCHW:   the picture for the first frame.
    styles:       adapters and their weights.
    """

    source_BCFHW: torch.Tensor | None = None
    first_BCHW: torch.Tensor | None = None
    styles: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Window:
    """A window of an edited clip, cropped to the plan's canvas. It replaces the plan's source, mask, continued clips
    and control clip.

    frames_FHWC: float32 in [-1, 1]. mask_FHW: float32, 1 = generate. control_FHWC: like the frames, or None.
    """

    frames_FHWC: np.ndarray
    mask_FHW: np.ndarray
    control_FHWC: np.ndarray | None = None


class GuidanceStep(Protocol):
    """The guidance of one step, see diffusion/guidance.py."""

    @property
    def branches(self) -> tuple[Branch, ...]: ...

    @property
    def combine(self) -> Callable[[dict[Branch, Any]], Any]: ...

    @property
    def correct(self) -> Callable[[dict[Branch, Any], Any, Any, float], Any] | None: ...

    @property
    def kind(self) -> Hashable: ...


class Predict(Protocol):
    """The denoiser: `(x, t, branches) -> {branch: network output}`; it may batch the branches. x is scaled by the
    scheduler (`scale_model_input`)."""

    def __call__(self, x: Latents, t: torch.Tensor, branches: tuple[Branch, ...], /) -> dict[Branch, Latents]: ...


class Family(Protocol):
    """A loaded model."""

    card: Card

    def weight_files(self, plan: Plan) -> tuple[Path, ...]:
        """Weight files that a plan needs in addition to the checkpoint's own folder or file."""
        ...

    def notes(self, plan: Plan) -> tuple[str, ...]:
        """Notes for the user that require the model's tokenizers, such as truncated prompts."""
        ...

    def prepare(self, plan: Plan, window: Window | None = None) -> Prepared:
        """Conditions as pixels on the plan's canvas. Reads the input files that no window replaces; runs no
        networks."""
        ...

    def encode(self, plan: Plan, prepared: Prepared) -> Cond:
        """Encode text and pixels to the inputs of the denoiser."""
        ...

    def latent_shape(self, cond: Cond, span: Span) -> Any:
        """Shape (1, C, T, H, W) of the noise of a span; a dict of shapes by name for several latents."""
        ...

    def scheduler(self, plan: Plan) -> Any:
        """A new scheduler with its timesteps set. Schedulers hold state: never share one. For several latents,
        `scheduling.SchedulerPerPart`."""
        ...

    def begin(self, plan: Plan, cond: Cond, scheduler: Any, noise: Latents, /) -> tuple[Latents, int]:
        """(initial latents, first step): pure noise, or a noised clip."""
        ...

    def guidance(self, plan: Plan, span: Span, scheduler: Any) -> Sequence[GuidanceStep]:
        """For each of the scheduler's timesteps, the branches and expert to compute and how to combine them
        (diffusion/guidance.py; `classifier_free` for two branches)."""
        ...

    def predict(self, cond: Cond, span: Span) -> Predict:
        """The denoiser bound to its conditions, for one span of the plan or a window of one."""
        ...

    def preview(self, x: Latents, output: Latents, sigma: float, plan: Plan, span: Span, /) -> np.ndarray:
        """A preview of a span from its latents x at noise level sigma (in the scheduler's form) and the guided network
        output: uint8 RGB (F, H, W, 3), the whole span, or one frame if decoding all of it would take long."""
        ...

    def decode(self, latents: Latents, plan: Plan, span: Span, /) -> Iterator[Chunk]:
        """Decode the latents of a span to frames (and sound, if the model generates it) in time slices, so that one
        slice can be written while the next is decoded."""
        ...


@runtime_checkable
class Staged(Family, Protocol):
    """A family whose runs can be cut into parts (engine/segment.py): its samplers work on sigmas, and its latents have
    one part. space: pixels per latent, in height and width. device: of the networks."""

    space: int
    device: torch.device

    def sigma_model(self, plan: Plan) -> Any:
        """The model as a sampler sees it: diffusion/prediction.py, SigmaModel."""
        ...

    def latent_scale(self) -> Any:
        """How its latents relate to the autoencoder's: diffusion/prediction.py, LatentScale."""
        ...

    def num_frames(self, latent_frames: int, /) -> int:
        """The frames of so many latent frames."""
        ...

    def part(self, cond: Cond, places: slice, /) -> Cond:
        """The conditions of some of the latent frames, for context windows."""
        ...

    def encode_pixels(self, x_BCFHW: torch.Tensor, /) -> torch.Tensor:
        """Pixels in [-1, 1], (1, 3, F, H, W), as the family's latents, float32."""
        ...

    def decode_pixels(self, latents_BCTHW: torch.Tensor, plan: Plan, /) -> Iterator[torch.Tensor]:
        """The frames of all its latents in [-1, 1], (n, 3, H, W), in time slices."""
        ...
