"""The motion module of EasyAnimate (arXiv 2405.18991) after each block of an image transformer, in two forms: the grid
of version 1 and the hybrid of version 3. Its last layer is zero, so untrained it changes nothing.

Parameters have the names of AnimateDiff's motion modules, from which the published ones descend. Shapes: B batch, T
latent frames, h w cells of tokens, D width.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Form = Literal["grid", "hybrid"]
TEMPORAL, GLOBAL = "Temporal_Self", "Global_Self"
MOST_POSITIONS = 4096


def kinds_of(form: Form, layer: int) -> tuple[str, str]:
    """The two attentions of a layer's module: over time at each place; in odd layers of the hybrid the second is over
    all tokens."""
    return (TEMPORAL, GLOBAL) if form == "hybrid" and layer % 2 else (TEMPORAL, TEMPORAL)


def positions(count: int, width: int, like: Tensor) -> Tensor:
    """Sinusoidal positions (count, width): sines in even columns, cosines in odd ones. ValueError above 4096."""
    if count > MOST_POSITIONS:
        raise ValueError(f"{count} latent frames: the motion module knows {MOST_POSITIONS} positions.")
    rate = torch.exp(torch.arange(0, width, 2, device=like.device) * (-9.210340371976184 / width))
    angle = torch.arange(count, device=like.device)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1).to(like.dtype)


class MotionAttention(nn.Module):
    """Self-attention over time, over time and `block` by `block` neighbours, or over all tokens of the clip."""

    def __init__(self, width: int, heads: int, kind: str, block: int) -> None:
        super().__init__()
        self.heads, self.everywhere, self.block = heads, kind == GLOBAL, block
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x_BThwD: Tensor) -> Tensor:
        batch, frames, rows, columns, width = x_BThwD.shape
        x = x_BThwD + positions(frames, width, x_BThwD)[:, None, None]
        size = self.block if rows % self.block == 0 and columns % self.block == 0 else 1
        if self.everywhere:
            tokens = x.flatten(1, 3)
        else:  # B T (h n) (w m) D, a group for each h w
            x = x.view(batch, frames, rows // size, size, columns // size, size, width)
            tokens = x.permute(0, 2, 4, 1, 3, 5, 6).reshape(-1, frames * size * size, width)
        q, k, v = (
            layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.to_q, self.to_k, self.to_v)
        )
        found = self.to_out[0](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        if self.everywhere:
            return found.view(x_BThwD.shape)
        found = found.view(batch, rows // size, columns // size, frames, size, size, width)
        return found.permute(0, 3, 1, 4, 2, 5, 6).reshape(x_BThwD.shape)


class MotionGate(nn.Module):
    """A projection to twice the width, one half gated by the other (GEGLU)."""

    def __init__(self, entering: int, leaving: int) -> None:
        super().__init__()
        self.proj = nn.Linear(entering, 2 * leaving)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, -1)
        return value * F.gelu(gate)


class MotionFeedForward(nn.Module):
    def __init__(self, width: int, ratio: float) -> None:
        super().__init__()
        inner = int(width * ratio)
        self.net = nn.ModuleList([MotionGate(width, inner), nn.Identity(), nn.Linear(inner, width)])

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net[2](self.net[0](x))
        return found


class MotionBlock(nn.Module):
    def __init__(self, width: int, heads: int, kinds: tuple[str, ...], block: int, ratio: float) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList([MotionAttention(width, heads, kind, block) for kind in kinds])
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in kinds])
        self.ff, self.ff_norm = MotionFeedForward(width, ratio), nn.LayerNorm(width)

    def forward(self, x_BThwD: Tensor) -> Tensor:
        for attention, norm in zip(self.attention_blocks, self.norms, strict=True):
            x_BThwD = x_BThwD + attention(norm(x_BThwD))
        return x_BThwD + self.ff(self.ff_norm(x_BThwD))


class MotionTransformer(nn.Module):
    def __init__(
        self, width: int, heads: int, kinds: tuple[str, ...], *, groups: int, block: int, blocks: int, ratio: float
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.proj_in, self.proj_out = nn.Linear(width, width), nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList([MotionBlock(width, heads, kinds, block, ratio) for _ in range(blocks)])
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(self, x_BThwD: Tensor) -> Tensor:
        y = self.norm(x_BThwD.flatten(0, 1).movedim(-1, 1)).movedim(1, -1).view(x_BThwD.shape)
        y = self.proj_in(y)
        for block in self.transformer_blocks:
            y = block(y)
        return x_BThwD + self.proj_out(y)


class MotionModule(nn.Module):
    """form, layer: which attentions. block: side of the grid's squares ("grid" only). groups: of its first norm, over
    the channels of a frame. blocks: transformer blocks in a module. ratio: width of their feed-forward layers."""

    def __init__(
        self, width: int, heads: int, layer: int, *, form: Form = "hybrid", groups: int = 32, block: int = 2,
        blocks: int = 1, ratio: float = 4.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.temporal_transformer = MotionTransformer(
            width, heads, kinds_of(form, layer), groups=groups, block=block if form == "grid" else 1, blocks=blocks,
            ratio=ratio,
        )  # fmt: skip

    def forward(self, x_BThwD: Tensor) -> Tensor:
        found: Tensor = self.temporal_transformer(x_BThwD)
        return found
