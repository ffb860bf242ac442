"""Captions of Toyland clips as a frozen or trained CLIP text encoder reads them, as Stable Diffusion's pipelines do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kinema.toyland.caption import describe_fully
from kinema.toyland.scene import World, sample_scene

from .video import WORDINGS, caption

Tell = Callable[[int, int, bool], str]
"""The caption of a clip: its seed, which wording, and whether only to say where it is."""


def toyland(world: World) -> Tell:
    """Captions of scenes of a world."""
    return lambda seed, number, place: caption(seed, world, number, place)


def without_camera(world: World) -> Tell:
    """The same without a word about the camera, whatever it does: what is learnt then needs no words."""
    return partial(_without_camera, world)


def _without_camera(world: World, seed: int, number: int, place: bool) -> str:
    scene = replace(sample_scene(seed, world), camera="still")
    while True:
        text, stated = describe_fully(scene, number)
        if stated.camera is None:
            return text
        number += WORDINGS


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
