"""Sizes of clips as values: pixels, latents, and the arithmetic between them.

Suffix letters used everywhere: B batch, C channels, T latent time, F pixel frames, H W height and width, L tokens,
D width of a network, N items (objects, references).
"""

from __future__ import annotations

from typing import NamedTuple


class PixelShape(NamedTuple):
    """A clip in pixels."""

    num_frames: int
    height: int
    width: int


class Stride(NamedTuple):
    """Pixel frames, rows and columns per latent; `patch` is the transformer's spatial patch.

    Time is causal: the first pixel frame has its own latent frame, so F = time * (T - 1) + 1.
    """

    time: int
    space: int
    patch: int

    def latent_frames(self, num_frames: int) -> int:
        return (num_frames - 1) // self.time + 1

    def tokens(self, pixels: PixelShape) -> int:
        """Number of transformer tokens of a clip."""
        side = self.space * self.patch
        return self.latent_frames(pixels.num_frames) * (pixels.height // side) * (pixels.width // side)
