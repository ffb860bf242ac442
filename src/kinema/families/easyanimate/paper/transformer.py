"""EasyAnimate's diffusion transformer (arXiv 2405.18991): PixArt's blocks (arXiv 2310.00426: one adaptive norm for all
blocks, cross-attention to text) over the tokens of single frames, a motion module after each, and long skips as in
U-ViT (arXiv 2209.12152): the outputs of the first half are added, last in first out, through zero-initialised
layers, before the blocks of the second half.

Without motion modules it is an image model; an image is a clip of one latent frame. Positions are computed for any
number of frames, rows and columns. Shapes: B batch, C channels, T latent frames, h w cells (p by p of them a token), L
tokens of a frame, D width, S tokens of text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import PixArtAlphaTextProjection, get_timestep_embedding
from torch import Tensor, nn

from .motion_module import Form, MotionModule

FREQUENCIES = 256


class FrameAttention(nn.Module):
    """Attention of a frame's tokens to themselves, or to the text."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x_NLD: Tensor, states_NSD: Tensor | None = None) -> Tensor:
        seen = x_NLD if states_NSD is None else states_NSD
        q, k, v = (
            layer(each).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, each in ((self.to_q, x_NLD), (self.to_k, seen), (self.to_v, seen))
        )
        found: Tensor = self.to_out[0](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return found


class FrameGelu(nn.Module):
    def __init__(self, entering: int, leaving: int) -> None:
        super().__init__()
        self.proj = nn.Linear(entering, leaving)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.proj(x), approximate="tanh")


class FrameFeedForward(nn.Module):
    def __init__(self, width: int, ratio: float) -> None:
        super().__init__()
        inner = int(width * ratio)
        self.net = nn.ModuleList([FrameGelu(width, inner), nn.Identity(), nn.Linear(inner, width)])

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net[2](self.net[0](x))
        return found


class FrameBlock(nn.Module):
    """A block of PixArt, and its motion module (None in an image model)."""

    def __init__(self, width: int, heads: int, ratio: float, motion: MotionModule | None) -> None:
        super().__init__()
        self.scale_shift_table = nn.Parameter(torch.randn(6, width) / width**0.5)
        self.attn1, self.attn2 = FrameAttention(width, heads), FrameAttention(width, heads)
        self.ff = FrameFeedForward(width, ratio)
        self.attn_temporal = motion

    def forward(self, x_BTLD: Tensor, states_BSD: Tensor, time_B6D: Tensor) -> Tensor:
        batch, frames, count, width = x_BTLD.shape
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.scale_shift_table + time_B6D)[:, :, None, None].unbind(1)
        y = (_norm(x_BTLD) * (1 + scale1) + shift1).flatten(0, 1)
        x = x_BTLD + gate1 * self.attn1(y).view(x_BTLD.shape)
        y = self.attn2(x.reshape(batch, frames * count, width), states_BSD)
        x = x + y.view(x.shape)
        found: Tensor = x + gate2 * self.ff(_norm(x) * (1 + scale2) + shift2)
        return found


class PaperTransformer(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """image_input: takes the latents of a first frame and where they hold, as further channels (2C + 1 in all).
    sample_size: cells in height and width of the training; positions are relative to them. motion: the form of the
    motion modules, None for an image model. skips: long skips."""

    @register_to_config
    def __init__(
        self, num_attention_heads: int = 4, attention_head_dim: int = 32, num_layers: int = 5,
        latent_channels: int = 16, image_input: bool = True, patch_size: int = 2, sample_size: int = 8,
        caption_channels: int = 96,
        ff_ratio: float = 4.0, motion: Form | None = "hybrid", motion_heads: int = 4, motion_blocks: int = 1,
        motion_ratio: float = 1.0, motion_groups: int = 8, grid_size: int = 2, skips: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        width = num_attention_heads * attention_head_dim
        entering = 2 * latent_channels + 1 if image_input else latent_channels
        self.pos_embed = nn.ModuleDict({"proj": nn.Conv2d(entering, width, patch_size, stride=patch_size)})
        self.adaln_single = nn.ModuleDict(
            {
                "emb": nn.ModuleDict({"timestep_embedder": nn.ModuleDict(
                    {"linear_1": nn.Linear(FREQUENCIES, width), "linear_2": nn.Linear(width, width)}
                )}),
                "linear": nn.Linear(width, 6 * width),
            }
        )  # fmt: skip
        self.caption_projection = PixArtAlphaTextProjection(caption_channels, width)
        self.transformer_blocks = nn.ModuleList(
            FrameBlock(
                width, num_attention_heads, ff_ratio,
                None if motion is None else MotionModule(
                    width, motion_heads, layer, form=motion, groups=motion_groups, block=grid_size,
                    blocks=motion_blocks, ratio=motion_ratio,
                ),
            )
            for layer in range(num_layers)
        )  # fmt: skip
        self.pairs = (num_layers - 1) // 2 if skips else 0
        self.long_connect_fc = nn.ModuleList(nn.Linear(width, width) for _ in range(self.pairs))
        for p in self.long_connect_fc.parameters():
            nn.init.zeros_(p)
        self.scale_shift_table = nn.Parameter(torch.randn(2, width) / width**0.5)
        self.proj_out = nn.Linear(width, patch_size**2 * latent_channels)
        self.moving = True

    @contextmanager
    def with_motion(self, on: bool) -> Iterator[None]:
        """Context in which the motion modules are used, or not."""
        before, self.moving = self.moving, on
        try:
            yield
        finally:
            self.moving = before

    def forward(
        self, x_BCThw: Tensor, states_BSE: Tensor, t_B: Tensor, image_BCThw: Tensor | None = None
    ) -> Tensor:  # fmt: skip
        """Predict (B, C, T, h, w). t_B: timesteps, 0 to 1000. states_BSE: of the text. image_BCThw: latents of given
        frames and, as the last channel, 1 where they hold (2C + 1 - C channels); None: none. With `moving` off, the
        image model: every frame for itself."""
        batch, channels, frames, rows, columns = x_BCThw.shape
        config: Any = self.config
        size = config.patch_size
        if config.image_input:
            if image_BCThw is None:
                image_BCThw = x_BCThw.new_zeros(batch, channels + 1, frames, rows, columns)
            x_BCThw = torch.cat([x_BCThw, image_BCThw.to(x_BCThw)], 1)
        grid = (batch, frames, rows // size, columns // size)
        tokens = self.pos_embed["proj"](x_BCThw.transpose(1, 2).flatten(0, 1)).flatten(2).transpose(1, 2)
        x = (tokens + self._places(grid[2], grid[3], tokens)).view(batch, frames, -1, tokens.shape[-1])
        adaptive: Any = self.adaln_single
        embedder = adaptive["emb"]["timestep_embedder"]
        time = get_timestep_embedding(t_B, FREQUENCIES, flip_sin_to_cos=True, downscale_freq_shift=0).to(x.dtype)
        time = embedder["linear_2"](F.silu(embedder["linear_1"](time)))
        six = adaptive["linear"](F.silu(time)).unflatten(-1, (6, -1))
        states = self.caption_projection(states_BSE.to(x.dtype))
        kept: list[Tensor] = []
        count = len(self.transformer_blocks)
        block: Any
        for number, block in enumerate(self.transformer_blocks):
            if number >= count - self.pairs:
                layer = self.long_connect_fc[number - (count - self.pairs)]
                x = x + layer(kept.pop())
            x = block(x, states, six)
            if block.attn_temporal is not None and self.moving:
                x = block.attn_temporal(x.unflatten(2, grid[2:])).flatten(2, 3)
            if number < self.pairs:
                kept.append(x)
        shift, scale = (self.scale_shift_table + time[:, None])[:, :, None, None].unbind(1)
        y = self.proj_out(_norm(x) * (1 + scale) + shift)  # B T L (p p C)
        y = y.view(*grid, size, size, channels).permute(0, 6, 1, 2, 4, 3, 5)
        found: Tensor = y.reshape(batch, channels, frames, rows, columns)
        return found

    def _places(self, rows: int, columns: int, like: Tensor) -> Tensor:
        """Sinusoidal positions (L, D) of rows and columns, relative to the size of the training."""
        half = like.shape[-1] // 2
        config: Any = self.config
        base = config.sample_size // config.patch_size
        found = []
        for count in (columns, rows):
            at = torch.arange(count, device=like.device) * (base / count)
            found.append(_sinusoids(at, half))
        across, down = found[0][None].expand(rows, -1, -1), found[1][:, None].expand(-1, columns, -1)
        return torch.cat([across, down], -1).flatten(0, 1).to(like.dtype)


def _sinusoids(at: Tensor, width: int) -> Tensor:
    rate = 10_000 ** (-torch.arange(width // 2, device=at.device) / (width // 2))
    angle = at[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], -1)


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


def is_motion(name: str) -> bool:
    """Whether a parameter belongs to a motion module."""
    return ".attn_temporal." in name


def initialize_transformer(transformer: Any) -> None:
    """Initialize without an effect of the timestep, all gates at 0.5, and a first prediction near zero."""
    for block in transformer.transformer_blocks:
        nn.init.zeros_(block.scale_shift_table)
        block.scale_shift_table.data[[2, 5]] = 0.5
    nn.init.zeros_(transformer.adaln_single["linear"].weight)
    nn.init.zeros_(transformer.adaln_single["linear"].bias)
    nn.init.zeros_(transformer.scale_shift_table)
    nn.init.normal_(transformer.proj_out.weight, std=0.01)
    nn.init.zeros_(transformer.proj_out.bias)
