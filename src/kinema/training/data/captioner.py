"""Captions of Toyland clips as a frozen or trained CLIP text encoder reads them, as Stable Diffusion's pipelines do."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ...toyland.caption import describe, describe_place
from ...toyland.scene import World, sample_scene

WORDINGS = 32
"""Captions that each clip is told by; remembered, since a GPU asks for thousands a second."""
Tell = Callable[[int, int, bool], str]
"""The caption of a clip: its seed, which wording, and whether only to say where it is."""


@lru_cache(maxsize=1 << 20)
def caption(seed: int, world: World, number: int, place: bool) -> str:
    return (describe_place if place else describe)(sample_scene(seed, world), number)


def toyland(world: World) -> Tell:
    """Captions of scenes of a world."""
    return lambda seed, number, place: caption(seed, world, number, place)


class Captioner:
    """drop: share of captions that are emptied (for guidance). places: share that only says where the clip is."""

    def __init__(
        self, tokenizer: Any, text_encoder: Any, tell: Tell, *, device: str = "cpu", drop: float = 0.1,
        places: float = 0.0,
    ):  # fmt: skip
        self.tokenizer, self.text_encoder, self.tell = tokenizer, text_encoder.to(device), tell
        self.device, self.drop, self.places = device, drop, places

    def embed(self, captions: list[str]) -> Tensor:
        """Text states (B, L, D) of padded captions, without a mask."""
        words = self.tokenizer(
            captions, padding="max_length", truncation=True, max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        ).to(self.device)  # fmt: skip
        return self.text_encoder(words.input_ids).last_hidden_state

    def draw(self, seeds: list[int], generator: torch.Generator) -> list[str]:
        """A fresh wording for the clip of each seed; some say only where it is, some nothing."""
        chance = torch.rand(len(seeds), generator=generator).tolist()
        number = torch.randint(WORDINGS, (len(seeds),), generator=generator).tolist()
        return [
            "" if share < self.drop else self.tell(seed, which, share < self.drop + self.places)
            for seed, which, share in zip(seeds, number, chance, strict=True)
        ]

    def held_out(self, seeds: list[int]) -> Tensor:
        """Text states of the first wording of each."""
        return self.embed([self.tell(seed, 0, False) for seed in seeds])


class Remembering(Captioner):
    """Reads each caption once: for text encoders that are large, and captions that are few."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.known: dict[str, Tensor] = {}

    def embed(self, captions: list[str]) -> Tensor:
        fresh = sorted({text for text in captions if text not in self.known})
        with torch.no_grad():
            for text in fresh:
                self.known[text] = super().embed([text])[0].cpu()
        return torch.stack([self.known[text] for text in captions]).to(self.device)
