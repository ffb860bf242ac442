"""What training a low-rank adapter must know of a family: which network learns, how clips become latents, what a step
predicts. A family is one class here and one line in `LEARNERS`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ...core.card import Card
    from ..data.buckets import Bucket
    from ..data.captioner import Tell


@dataclass(frozen=True)
class Kind:
    """module, name: of the class here. where: the part of layers' names that learns where nothing else is said ("": all
    attention). part: the network's name in a pipeline. dtype: of the frozen network on a GPU. checkpointing: can its
    class forget activations and compute them again? still: weight of what does not move (ddpm.weighted_error), 1: as
    all else."""

    module: str
    name: str
    where: str
    part: str = "unet"
    dtype: str = "float32"
    checkpointing: bool = True
    still: float = 1.0


LEARNERS = {
    "animatediff": Kind("clips", "MotionLearner", "motion_modules.", still=0.1),
    "zeroscope": Kind("clips", "TemporalLearner", "temp_", checkpointing=False, still=0.1),
    "svd": Kind("svd", "SvdLearner", "temporal_transformer_blocks.", dtype="bfloat16"),
    "wan": Kind("wan", "WanLearner", "", part="transformer", dtype="bfloat16"),
}


class Learner(Protocol):
    """network: what low-rank layers go on. engine: the model that it is a part of, for samples."""

    network: Any
    engine: Any

    def encode(self, frames_FHWC: np.ndarray) -> Tensor:
        """uint8 frames to latents (T, C, h, w) as the network sees them."""

    def task(self, clips: Bucket, held_out: Bucket, tell: Tell, *, batch: int, drop: float, still: float) -> Any:
        """The task (loop.Task) for clips of one size. tell: the caption of an item. drop: share without one. still: as
        in ddpm.weighted_error."""

    def sample(self, caption: str, picture: str, **fields: Any) -> np.ndarray:
        """A clip of the network as it is now, uint8 (F, H, W, 3), from words or the file of a picture, whichever the
        model reads. fields: of a request."""


def why_not(card: Card, frames: int, checkpointing: bool) -> str | None:
    """Why a model cannot be taught so with clips of so many frames, or None."""
    if card.family not in LEARNERS:
        return f"LoRA training is for {', '.join(LEARNERS)}; {card.id} is of the family {card.family}."
    if card.variant == "i2v" and card.family == "wan":
        return f"{card.id} starts from a picture; LoRA training for wan is for text to video and VACE models."
    if not card.frames.legal(frames):
        return f"frames = {frames}: {card.id} takes {card.frames.words()}; nearest is {card.frames.nearest(frames)}."
    if checkpointing and not LEARNERS[card.family].checkpointing:
        return f"The network of {card.id} has no checkpointing; a smaller batch or area takes less memory too."
    return None


def learner(card: Card, base: str, device: str, frames: int, fps: float) -> Learner:
    """The learner of a model, its weights read. base: the image model under it, or ""."""
    from ...engine.load import load

    kind = LEARNERS[card.family]
    engine = load(card.path or card.id, device=device, dtype="float32" if device == "cpu" else kind.dtype)
    module = import_module(f".{kind.module}", __name__)
    found: Learner = getattr(module, kind.name)(engine, base, device, frames, fps)
    return found
