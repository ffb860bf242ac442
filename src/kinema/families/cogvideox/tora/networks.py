"""The networks that Tora adds to CogVideoX (arXiv 2407.21705, section 3): the trajectory extractor, the motion-guidance
fuser, and both together under the names of the published weights.

    traj_extractor.{conv_in, body.{n}.{block1, block2, bn1, bn2}}        n: 2 per block of the transformer
    fuser.{i}.{flow_gamma_spatial, flow_gamma_temporal, flow_beta_spatial, flow_beta_temporal, flow_cond_norm}

Shapes: B batch, C latent channels, T latent time after the transformer's patches in time, H, W latent rows and columns,
h, w the rows and columns of its patches, L = T h w video tokens, D the transformer's width, K the extractor's channels.
All sizes are free; the published ones are 42 blocks, D = 3072, K = 128, C = 16.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

CHANNELS = 128
"""Channels of the extractor in the published weights."""
DEPTH = 2
"""Residual blocks of the extractor per block of the transformer."""
GROUPS = 32
"""Groups of the fuser's normalisation."""

State = tuple[torch.Tensor, ...]
"""What a fuser computes from the motion features alone: it is the same in all steps of a clip."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each after batch normalisation and ReLU, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.block1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.block2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x_NKhw: torch.Tensor) -> torch.Tensor:
        inner = self.block1(F.relu(self.bn1(x_NKhw)))
        return x_NKhw + self.block2(F.relu(self.bn2(inner)))


class TrajectoryExtractor(nn.Module):
    """Motion features for every block of the transformer, from the latents of a motion map.

    The latents are cut into the transformer's patches (their values become channels, in the order C, time, row, column:
    for patches without time this is `PixelUnshuffle`); then follow one convolution and a stack of residual blocks on
    every frame alone, without downsampling. The features of block i are those after (i + 1) `depth` residual blocks.

    blocks: of the transformer. patch, patch_t: its patches in space and time (patch_t: 2 in CogVideoX 1.5, else 1).
    """

    def __init__(
        self,
        blocks: int,
        channels: int = CHANNELS,
        latent_channels: int = 16,
        patch: int = 2,
        patch_t: int = 1,
        depth: int = DEPTH,
    ) -> None:
        super().__init__()
        self.blocks, self.depth, self.patches = blocks, depth, (patch_t, patch, patch)
        self.conv_in = nn.Conv2d(latent_channels * patch_t * patch * patch, channels, 3, padding=1)
        self.body = nn.ModuleList(ResidualBlock(channels) for _ in range(blocks * depth))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, latents_BCTHW: torch.Tensor) -> list[torch.Tensor]:
        """One tensor (B, T, K, h, w) per block. Sides that are no multiples of the patch are padded with zeros at their
        ends, as in the published code."""
        x = patchify(latents_BCTHW, self.patches)  # (B, C', T, h, w)
        batch, _, frames = x.shape[:3]
        x = self.conv_in(x.transpose(1, 2).flatten(0, 1))  # (B T, K, h, w)
        found = []
        for number, block in enumerate(self.body, start=1):
            x = block(x)
            if number % self.depth == 0:
                found.append(x.unflatten(0, (batch, frames)))
        return found


def patchify(x_BCTHW: torch.Tensor, patches: tuple[int, int, int]) -> torch.Tensor:
    """Cut into patches (time, rows, columns): (B, C p_t p_h p_w, T / p_t, H / p_h, W / p_w), padded with zeros."""
    lengths = x_BCTHW.shape[2:]
    missing = [-length % patch for length, patch in zip(lengths, patches)]
    if any(missing):
        x_BCTHW = F.pad(x_BCTHW, (0, missing[2], 0, missing[1], 0, missing[0]))
    x = x_BCTHW.unflatten(4, (-1, patches[2])).unflatten(3, (-1, patches[1])).unflatten(2, (-1, patches[0]))
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).flatten(1, 4)


class Fuser(nn.Module):
    """The interface of the fusers (paper, figure 4): how motion features enter a block of the transformer.

    `state` computes what depends on the features only, `fuse` adds it to the block's video tokens. A fuser that has
    just been initialised returns the tokens unchanged, bit for bit.
    """

    def state(self, features_BTKhw: torch.Tensor) -> State:
        raise NotImplementedError

    def fuse(self, tokens_BLD: torch.Tensor, state: State) -> torch.Tensor:
        """The batch of the tokens is that of the state or, for guidance branches, a multiple of it."""
        raise NotImplementedError

    def forward(self, tokens_BLD: torch.Tensor, features_BTKhw: torch.Tensor) -> torch.Tensor:
        return self.fuse(tokens_BLD, self.state(features_BTKhw))


class MotionGuidanceFuser(Fuser):
    """Adaptive normalisation, the fuser of the published weights (paper, equation 5): x + norm(x) gamma + beta.

    gamma and beta come from the features by a 3x3 convolution in space and a 3-tap convolution in time with replicated
    ends; the latter starts at zero. norm: GroupNorm(32) of each frame's tokens.

    Raises ValueError if the width is not a multiple of 32.
    """

    def __init__(self, width: int, channels: int = CHANNELS) -> None:
        super().__init__()
        if width % GROUPS:
            raise ValueError(f"The width of a motion-guidance fuser is a multiple of {GROUPS}, got {width}.")
        inner = width // 4
        self.flow_gamma_spatial = nn.Conv2d(channels, inner, 3, padding=1)
        self.flow_gamma_temporal = temporal(inner, width)
        self.flow_beta_spatial = nn.Conv2d(channels, inner, 3, padding=1)
        self.flow_beta_temporal = temporal(inner, width)
        self.flow_cond_norm = nn.GroupNorm(GROUPS, width)

    def state(self, features_BTKhw: torch.Tensor) -> State:
        """(gamma, beta), each (B, T, h w, D)."""
        gamma = over_space_and_time(features_BTKhw, self.flow_gamma_spatial, self.flow_gamma_temporal)
        beta = over_space_and_time(features_BTKhw, self.flow_beta_spatial, self.flow_beta_temporal)
        return gamma, beta

    def fuse(self, tokens_BLD: torch.Tensor, state: State) -> torch.Tensor:
        gamma, beta = (repeated(each, len(tokens_BLD)) for each in state)  # (B, T, h w, D)
        x = tokens_BLD.reshape(gamma.shape)
        flat = x.flatten(0, 1).transpose(1, 2)  # (B T, D, h w)
        norm = self.flow_cond_norm(flat.to(self.flow_cond_norm.weight.dtype)).type_as(x)
        norm = norm.transpose(1, 2).reshape(gamma.shape)
        return (x + norm * gamma + beta).reshape(tokens_BLD.shape)


def temporal(inner: int, width: int) -> nn.Conv1d:
    """A 3-tap convolution in time with replicated ends; zero at first, so that a new fuser changes nothing."""
    made = nn.Conv1d(inner, width, 3, padding=1, padding_mode="replicate")
    assert made.bias is not None
    nn.init.zeros_(made.weight)
    nn.init.zeros_(made.bias)
    return made


def over_space_and_time(features_BTKhw: torch.Tensor, spatial: nn.Conv2d, along: nn.Conv1d) -> torch.Tensor:
    """Convolve every frame, then every position over time: (B, T, h w, D)."""
    batch, frames = features_BTKhw.shape[:2]
    x = spatial(features_BTKhw.flatten(0, 1)).flatten(2).unflatten(0, (batch, frames))  # (B, T, D / 4, h w)
    places = x.shape[-1]
    x = along(x.permute(0, 3, 2, 1).flatten(0, 1))  # (B h w, D, T)
    return x.unflatten(0, (batch, places)).permute(0, 3, 1, 2)


def repeated(x: torch.Tensor, batch: int) -> torch.Tensor:
    """A state for a larger batch: guidance branches share one motion map (it is not zeroed for the negative prompt)."""
    times = batch // len(x)
    return x.expand(batch, *x.shape[1:]) if len(x) == 1 else x.repeat(times, *[1] * (x.dim() - 1))


class MotionGuidance(nn.Module):
    """Tora's part of a model: an extractor and one fuser per block, with the published names of the weights."""

    def __init__(self, extractor: TrajectoryExtractor, fusers: Sequence[Fuser]) -> None:
        super().__init__()
        if len(fusers) != extractor.blocks:
            raise ValueError(f"{extractor.blocks} blocks take as many fusers, got {len(fusers)}.")
        self.traj_extractor, self.fuser = extractor, nn.ModuleList(fusers)

    @classmethod
    def of(cls, config: Any, channels: int = CHANNELS, fuser: type[Fuser] = MotionGuidanceFuser) -> MotionGuidance:
        """New parts for a transformer with this configuration (a CogVideoXTransformer3DModel's `config`, or a dict)."""
        values = dict(config)
        blocks, width = values["num_layers"], values["num_attention_heads"] * values["attention_head_dim"]
        latent = values.get("out_channels") or values["in_channels"]
        extractor = TrajectoryExtractor(blocks, channels, latent, values["patch_size"], values.get("patch_size_t") or 1)
        return cls(extractor, [fuser(width, channels) for _ in range(blocks)])  # type: ignore[call-arg]

    def forward(self, latents_BCTHW: torch.Tensor) -> list[torch.Tensor]:
        """Motion features (B, T, K, h, w) for every block."""
        return self.traj_extractor(latents_BCTHW)
