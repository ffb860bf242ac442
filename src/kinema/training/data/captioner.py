"""Sample captions and encode them with a CLIP text encoder, frozen or trained, as Stable Diffusion's pipelines do."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ...toyland.caption import describe, describe_place
from ...toyland.scene import World, sample_scene

WORDINGS = 32
"""Number of different captions per clip. Captions are cached, since a GPU uses thousands per second."""
CaptionOf = Callable[[int, int, bool], str]
"""(seed of a clip, index of the wording, describe only the place?) to its caption."""


@lru_cache(maxsize=1 << 20)
def caption(seed: int, world: World, number: int, place: bool) -> str:
    return (describe_place if place else describe)(sample_scene(seed, world), number)


def toyland_captions(world: World) -> CaptionOf:
    """Return the caption function of a world's scenes."""
    return lambda seed, number, place: caption(seed, world, number, place)


class Captioner:
    """Samples and encodes captions. drop: share of captions replaced by "" (for guidance). places: share of captions
    that describe only the place."""

    def __init__(
        self, tokenizer: Any, text_encoder: Any, caption_of: CaptionOf, *, device: str = "cpu", drop: float = 0.1,
        places: float = 0.0,
    ):  # fmt: skip
        self.tokenizer, self.text_encoder, self.caption_of = tokenizer, text_encoder.to(device), caption_of
        self.device, self.drop, self.places = device, drop, places

    def embed(self, captions: list[str]) -> Tensor:
        """Encode padded captions to text states (B, L, D), without an attention mask."""
        words = self.tokenizer(
            captions, padding="max_length", truncation=True, max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        ).to(self.device)  # fmt: skip
        return self.text_encoder(words.input_ids).last_hidden_state

    def draw(self, seeds: list[int], generator: torch.Generator) -> list[str]:
        """Draw a wording for the clip of each seed; some describe only the place, some are empty."""
        chance = torch.rand(len(seeds), generator=generator).tolist()
        number = torch.randint(WORDINGS, (len(seeds),), generator=generator).tolist()
        return [
            "" if share < self.drop else self.caption_of(seed, which, share < self.drop + self.places)
            for seed, which, share in zip(seeds, number, chance, strict=True)
        ]

    def held_out(self, seeds: list[int]) -> Tensor:
        """Encode the first wording of each clip."""
        return self.embed([self.caption_of(seed, 0, False) for seed in seeds])


class CachedCaptioner(Captioner):
    """A Captioner that caches text states, for large text encoders and few captions."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.cache: dict[str, Tensor] = {}

    def embed(self, captions: list[str]) -> Tensor:
        fresh = sorted({text for text in captions if text not in self.cache})
        with torch.no_grad():
            for text in fresh:
                self.cache[text] = super().embed([text])[0].cpu()
        return torch.stack([self.cache[text] for text in captions]).to(self.device)
