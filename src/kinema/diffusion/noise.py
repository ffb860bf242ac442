"""Noise from named streams: independent of the device, the batch and the number of windows."""

from __future__ import annotations

import hashlib

import torch


def stream_seed(seed: int, stream: str) -> int:
    """A 63-bit seed for a named stream, so that the streams of one request do not overlap."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:8], "big") >> 1


def noise(seed: int, stream: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Standard normal noise, float32, drawn on the CPU. `stream` names its purpose: "init/0", "augment", ..."""
    generator = torch.Generator("cpu").manual_seed(stream_seed(seed, stream))
    return torch.randn(shape, generator=generator, dtype=torch.float32)


class NoiseInTurn:
    """Noise as ComfyUI draws it: from one generator of torch, draw after draw, on the device that is given.

    frames_first: the frames of a clip are its batch, so noise is drawn as (T, C, H, W) for latents (1, C, T, H, W)."""

    def __init__(self, seed: int, device: torch.device | str = "cpu", *, frames_first: bool = False) -> None:
        self.seed, self.device, self.frames_first = seed, torch.device(device), frames_first
        self.generator, self.num_drawn = torch.Generator(self.device).manual_seed(seed), 0

    def draw(self, shape: tuple[int, ...]) -> torch.Tensor:
        """The next noise, float32."""
        self.num_drawn += 1
        turned = self.frames_first and len(shape) == 5
        drawn_as = (shape[0] * shape[2], shape[1], *shape[3:]) if turned else shape
        drawn = torch.randn(drawn_as, generator=self.generator, dtype=torch.float32, device=self.device)
        return drawn.unflatten(0, (shape[0], shape[2])).transpose(1, 2) if turned else drawn

    def numbered(self, number: int, shape: tuple[int, ...]) -> torch.Tensor:
        """Noise number `number`, from 1; those before it are drawn if they were not, so that a resumed run agrees."""
        if number <= self.num_drawn:
            self.generator, self.num_drawn = torch.Generator(self.device).manual_seed(self.seed), 0
        while self.num_drawn < number - 1:
            self.draw(shape)
        return self.draw(shape)


def of_batch(seed: int, shape: tuple[int, ...], item: int, items: int, *, frames_first: bool) -> torch.Tensor:
    """The initial noise of one item of a batch, all of whose noise is drawn at once. shape: of one item, (1, ...)."""
    drawn = NoiseInTurn(seed, frames_first=frames_first).draw((items, *shape[1:]))
    return drawn[item : item + 1]
