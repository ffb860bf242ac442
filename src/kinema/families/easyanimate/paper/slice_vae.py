"""EasyAnimate's slice autoencoder (arXiv 2405.18991): 8 times in space, 4 in time, in bounded memory for any length.

The first frame is encoded alone, then slices of eight frames, each alone, to two latent frames. The decoder takes the
latents slice by slice: with their neighbours through its first convolution and middle block, which are then cropped to
the slice, so that slices share features before the up-sampling blocks, which see one slice. The temporal reach of the
first layers is two latent frames, a whole neighbour; so the features are those of the whole clip, and decoding slice by
slice is decoding at once. Shapes: B batch, C channels, F frames (8n + 1), T latent frames (2n + 1), H W, h w.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from torch import Tensor, nn

from .slice_layers import SliceDown, SliceResidual, SliceUp, neighbours

FRAMES, LATENTS = 8, 2
"""Of a slice."""


class SliceEncoder(nn.Module):
    def __init__(self, patch: int, channels: tuple[int, ...], layers: int, groups: int, latent_channels: int) -> None:
        super().__init__()
        self.patch = patch
        self.conv_in = nn.Conv2d(3 * patch**2, channels[0], 3, padding=1)
        self.blocks, self.downs = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(channels):
            self.blocks.extend(SliceResidual(width, width, groups, temporal=level > 0) for _ in range(layers))
            if level + 1 < len(channels):
                self.downs.append(SliceDown(width, channels[level + 1], temporal=_halves(level)))
        self.layers, self.mid = layers, SliceResidual(channels[-1], channels[-1], groups)
        self.norm_out = nn.GroupNorm(groups, channels[-1], 1e-5)
        self.conv_out = nn.Conv2d(channels[-1], 2 * latent_channels, 3, padding=1)

    def forward(self, x_NCHW: Tensor, num_frames: int) -> Tensor:
        x: Tensor = self.conv_in(F.pixel_unshuffle(x_NCHW, self.patch))
        for level in range(len(self.downs) + 1):
            for block in self.blocks[level * self.layers : (level + 1) * self.layers]:
                x = block(x, num_frames)
            if level < len(self.downs):
                x, num_frames = self.downs[level](x, num_frames)
        found: Tensor = self.conv_out(F.silu(self.norm_out(self.mid(x, num_frames))))
        return found


class SliceDecoder(nn.Module):
    def __init__(self, patch: int, channels: tuple[int, ...], layers: int, groups: int, latent_channels: int) -> None:
        super().__init__()
        self.patch, wide = patch, channels[::-1]
        self.conv_in = nn.Conv2d(3 * latent_channels, wide[0], 3, padding=1)
        self.mid = SliceResidual(wide[0], wide[0], groups)
        self.blocks, self.ups = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(wide):
            full = len(wide) - 1 - level
            self.blocks.extend(SliceResidual(width, width, groups, temporal=full > 0) for _ in range(layers))
            if full:
                self.ups.append(SliceUp(width, wide[level + 1], temporal=_halves(full - 1)))
        self.layers, self.norm_out = layers, nn.GroupNorm(groups, wide[-1], 1e-5)
        self.conv_out = nn.Conv2d(wide[-1], 3 * patch**2, 3, padding=1)

    def start(self, z_BCTHW: Tensor) -> Tensor:
        """First convolution and middle block over all given latent frames, (B, C, T, h, w); reach: two frames."""
        count = z_BCTHW.shape[2]
        x = neighbours(_frames(z_BCTHW), count)
        return _clips(self.mid(self.conv_in(x), count), count)

    def finish(self, x_BCTHW: Tensor) -> Tensor:
        """Up-sampling blocks on slices (B, C, 2, h, w), or on single frames (B, C, 1, h, w)."""
        num_frames = x_BCTHW.shape[2]
        x = _frames(x_BCTHW)
        for level in range(len(self.ups) + 1):
            for block in self.blocks[level * self.layers : (level + 1) * self.layers]:
                x = block(x, num_frames)
            if level < len(self.ups):
                x, num_frames = self.ups[level](x, num_frames)
        return _clips(F.pixel_shuffle(self.conv_out(F.silu(self.norm_out(x))), self.patch), num_frames)


class SliceVae(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """channels: of the levels, from the finest. patch: side of the squares of pixels that the first convolution takes
    as channels. Space is halved between levels, time between the first two pairs of them. share: decode with the
    features of neighbouring slices. scaling_factor: the transformer's latents are the autoencoder's times it."""

    @register_to_config
    def __init__(
        self, latent_channels: int = 16, channels: tuple[int, ...] = (32, 64, 128), patch: int = 2,
        encoder_layers: int = 1, decoder_layers: int = 1, norm_groups: int = 8, share: bool = True,
        scaling_factor: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if len(channels) < 3:
            raise ValueError(f"channels: {len(channels)} levels; time is halved twice, so at least 3 are needed.")
        self.encoder = SliceEncoder(patch, tuple(channels), encoder_layers, norm_groups, latent_channels)
        self.decoder = SliceDecoder(patch, tuple(channels), decoder_layers, norm_groups, latent_channels)
        self.space = patch * 2 ** (len(channels) - 1)
        self.share = share

    def encode(self, x_BCFHW: Tensor, at_once: int | None = None) -> AutoencoderKLOutput:
        """Encode frames in [-1, 1]. at_once: number of slices in a batch; default: all. Raises ValueError for a number
        of frames that is not 8n + 1."""
        batch, _, count = x_BCFHW.shape[:3]
        if (count - 1) % FRAMES:
            raise ValueError(f"{count} frames: the autoencoder takes 8n + 1.")
        parts = [_clips(self.encoder(_frames(x_BCFHW[:, :, :1]), 1), 1)]
        step = FRAMES * (at_once or max(1, (count - 1) // FRAMES))
        for first in range(1, count, step):
            slices = _apart(x_BCFHW[:, :, first : first + step], FRAMES)
            parts.append(_together(_clips(self.encoder(_frames(slices), FRAMES), LATENTS), batch))
        return AutoencoderKLOutput(latent_dist=DiagonalGaussianDistribution(torch.cat(parts, 2)))

    def decode(self, z_BCTHW: Tensor) -> Any:
        """Decode latents (not scaled) to frames around [-1, 1], all slices as one batch."""
        batch, _, count = z_BCTHW.shape[:3]
        x = self.decoder.start(z_BCTHW) if self.share else self._start_apart(z_BCTHW)
        frames = [self.decoder.finish(x[:, :, :1])]
        if count > 1:
            frames.append(_together(self.decoder.finish(_apart(x[:, :, 1:], LATENTS)), batch))
        return DecoderOutput(sample=torch.cat(frames, 2))

    def decode_slices(self, z_BCTHW: Tensor) -> Iterator[Tensor]:
        """Decode slice by slice: one frame, then eight at a time; together they are `decode`'s. The memory does not
        grow with the number of slices."""
        count = z_BCTHW.shape[2]
        edges = [0, *range(1, count + 1, LATENTS)]
        for start, stop in pairwise(edges):
            low, high = (max(0, start - LATENTS), min(count, stop + LATENTS)) if self.share else (start, stop)
            x = self.decoder.start(z_BCTHW[:, :, low:high])
            yield self.decoder.finish(x[:, :, start - low : stop - low])

    def _start_apart(self, z_BCTHW: Tensor) -> Tensor:
        parts = [self.decoder.start(z_BCTHW[:, :, :1])]
        if z_BCTHW.shape[2] > 1:
            parts.append(_together(self.decoder.start(_apart(z_BCTHW[:, :, 1:], LATENTS)), len(z_BCTHW)))
        return torch.cat(parts, 2)


def _halves(level: int) -> bool:
    """Whether time is halved below a level."""
    return level < 2


def _frames(x_BCTHW: Tensor) -> Tensor:
    return x_BCTHW.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)


def _clips(x_NCHW: Tensor, num_frames: int) -> Tensor:
    return x_NCHW.unflatten(0, (-1, num_frames)).transpose(1, 2)


def _apart(x_BCTHW: Tensor, size: int) -> Tensor:
    """Slices of a clip as a batch, (B * n, C, size, H, W)."""
    return x_BCTHW.unflatten(2, (-1, size)).transpose(1, 2).flatten(0, 1)


def _together(x_NCTHW: Tensor, batch: int) -> Tensor:
    return x_NCTHW.unflatten(0, (batch, -1)).transpose(1, 2).flatten(2, 3)
