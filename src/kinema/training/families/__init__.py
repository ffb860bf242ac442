"""LoRA training by model family: the network that is trained, the encoding of clips, and the training objective. A
family is one class in this package and one entry in `LEARNERS`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ...core.card import Card
    from ..data.buckets import Bucket
    from ..data.captioner import CaptionOf


@dataclass(frozen=True)
class Kind:
    """module, name: of the learner class. where: default part of the names of trained layers ("": all attention
    layers). part: the network's name in a pipeline. dtype: of the frozen network on a GPU. checkpointing: does the
    network support gradient checkpointing? images: can models that start from an image be trained? still: loss weight
    of the time-symmetric part (ddpm.weighted_error). variants: that can be trained; empty: all."""

    module: str
    name: str
    where: str
    part: str = "unet"
    dtype: str = "float32"
    checkpointing: bool = True
    images: bool = True
    still: float = 1.0
    variants: tuple[str, ...] = ()


LEARNERS = {
    "animatediff": Kind("clips", "MotionLearner", "motion_modules.", still=0.1),
    "zeroscope": Kind("clips", "TemporalLearner", "temp_", checkpointing=False, still=0.1),
    "svd": Kind("svd", "SvdLearner", "temporal_transformer_blocks.", dtype="bfloat16"),
    "wan": Kind(
        "wan",
        "WanLearner",
        "",
        part="transformer",
        dtype="bfloat16",
        images=False,
        variants=("t2v", "vace", "t2v-a14b-high", "t2v-a14b-low"),
    ),
    "cogvideox": Kind("cogvideox", "CogVideoXLearner", "", part="transformer", dtype="bfloat16", images=False),
    "easyanimate": Kind(
        "easyanimate", "EasyAnimateLearner", "", part="transformer", dtype="bfloat16", images=False, variants=("t2v",)
    ),
}


class Learner(Protocol):
    """network: gets the low-rank layers. engine: the model that contains it, for samples."""

    network: Any
    engine: Any

    def encode(self, frames_FHWC: np.ndarray) -> Tensor:
        """Encode uint8 frames to latents (T, C, h, w), scaled for the network."""

    def task(
        self, clips: Bucket, held_out: Bucket, caption_of: CaptionOf, *, batch: int, drop: float, still: float
    ) -> Any:
        """Return the task (loop.Task) for clips of one size. caption_of: the caption of an item. drop: share of
        captions that are dropped. still: as in ddpm.weighted_error."""

    def sample(self, caption: str, picture: str, **fields: Any) -> np.ndarray:
        """Generate a clip with the network's current weights, uint8 (F, H, W, 3), from a prompt or an image file,
        depending on the model. fields: of a request."""


def why_not(card: Card, frames: int, checkpointing: bool) -> str | None:
    """Why a model cannot be trained with clips of so many frames, or None."""
    if card.family not in LEARNERS:
        return f"LoRA training supports {', '.join(LEARNERS)}; {card.id} is of the family {card.family}."
    if card.variant == "i2v" and not LEARNERS[card.family].images:
        return f"{card.id} starts from an image; LoRA training for {card.family} does not support that."
    if (variants := LEARNERS[card.family].variants) and card.variant not in variants:
        return f"{card.id} is of the kind {card.variant}; LoRA training for {card.family} takes {', '.join(variants)}."
    if not card.frames.legal(frames):
        return f"frames = {frames}: {card.id} takes {card.frames.words()}; nearest is {card.frames.nearest(frames)}."
    if checkpointing and not LEARNERS[card.family].checkpointing:
        return f"{card.id} does not support checkpointing; reduce batch or area to save memory."
    return None


def learner(card: Card, base: str, device: str, frames: int, fps: float) -> Learner:
    """Load a model and return its learner. base: its image model, or ""."""
    from ...engine.load import load

    kind = LEARNERS[card.family]
    engine = load(card.path or card.id, device=device, dtype="float32" if device == "cpu" else kind.dtype)
    module = import_module(f".{kind.module}", __name__)
    found: Learner = getattr(module, kind.name)(engine, base, device, frames, fps)
    return found
