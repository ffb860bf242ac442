"""Train a small CLIP image encoder against the frozen text encoder of an image model (Radford et al. 2021, arXiv
2103.00020), with the contrastive loss over the captions of a batch.

The text encoder's pooled output goes through a trained projection.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...families.svd.prepare import for_clip
from ..data.captioner import Captioner
from ..data.frame_latents import to_network
from ..data.store import ClipStore


class ImageTextTask:
    """vision: a CLIPVisionModelWithProjection, trained in place."""

    names_for_adam = ("position_embedding", "class_embedding", "patch_embedding", "norm", "scale")

    def __init__(
        self, vision: Any, words: Captioner, clips: ClipStore, held_out: ClipStore, *, clip_mean: list[float],
        clip_std: list[float], device: str = "cpu", batch: int = 64,
    ):  # fmt: skip
        self.vision, self.words, self.clips, self.held_out = vision.to(device), words, clips, held_out
        words.text_encoder.eval().requires_grad_(False)
        width = words.text_encoder.config.hidden_size
        self.head = nn.ModuleDict({"projection": nn.Linear(width, vision.config.projection_dim, bias=False)}).to(device)
        self.head.register_parameter("scale", nn.Parameter(torch.tensor(2.6, device=device)))
        self.modules: dict[str, nn.Module] = {"vision": vision, "head": self.head}
        self.clip_mean, self.clip_std, self.device, self.batch_size = clip_mean, clip_std, device, batch

    def scores(self, frames_BHWC: Tensor, captions: list[str]) -> Tensor:
        """Cosine similarities times the learned scale, (B, B): images along rows, captions along columns."""
        pixels = for_clip(to_network(frames_BHWC).to(self.device), self.clip_mean, self.clip_std)
        pictures = F.normalize(self.vision(pixels).image_embeds.float(), dim=-1)
        with torch.no_grad():
            ids = self.words.tokenizer(
                captions, padding="max_length", truncation=True, return_tensors="pt",
                max_length=self.words.tokenizer.model_max_length,
            ).to(self.device)  # fmt: skip
            last = self.words.text_encoder(ids.input_ids).pooler_output
        texts = F.normalize(self.head["projection"](last).float(), dim=-1)
        scale: Any = self.head.scale
        return scale.exp() * pictures @ texts.T

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        index = torch.randperm(len(self.clips), generator=generator)[: self.batch_size].tolist()
        when = int(torch.randint(self.clips.num_frames, (), generator=generator))
        frames, _ = self.clips.take(index)
        captions = self.words.draw([self.clips.seed(i) for i in index], generator)
        scores = self.scores(frames[:, when], captions)
        own = torch.arange(len(index), device=self.device)
        loss = (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2
        return loss, {"found": float((scores.argmax(1) == own).float().mean())}

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, Any]:
        """Return the retrieval accuracy in per cent: the caption of a held-out image among 64."""
        index = list(range(min(64, len(self.held_out))))
        frames, _ = self.held_out.take(index)
        captions = [self.words.caption_of(self.held_out.seed(i), 0, False) for i in index]
        scores = self.scores(frames[:, 0], captions)
        right = (scores.argmax(1).cpu() == torch.arange(len(index))).float().mean()
        return {"found_percent": round(100 * float(right), 1), "among": len(index)}
