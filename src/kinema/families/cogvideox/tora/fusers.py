"""The three fusers that the paper compares (arXiv 2407.21705, section 3.3 and table 3), by name.

Adaptive normalisation is that of the published weights (networks.py). Of the other two no weights or code are
published: they are built from the paper's equations with the published fuser's inner width (a quarter of the
transformer's), so that the comparison is one of about equal sizes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .networks import CHANNELS, Fuser, MotionGuidanceFuser, State, over_space_and_time, repeated, temporal

HEAD = 64
"""Channels of an attention head; narrower fusers have one head."""


class ExtraChannelsFuser(Fuser):
    """Extra channels (paper, equation 4): x + conv([x, features]), the features as more channels of the tokens.

    conv: 3x3 in space, then 3 taps in time with replicated ends, which start at zero."""

    def __init__(self, width: int, channels: int = CHANNELS) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(width + channels, width // 4, 3, padding=1)
        self.temporal = temporal(width // 4, width)

    def state(self, features_BTKhw: torch.Tensor) -> State:
        """(features,), as they are."""
        return (features_BTKhw,)

    def fuse(self, tokens_BLD: torch.Tensor, state: State) -> torch.Tensor:
        features = repeated(state[0], len(tokens_BLD))
        batch, frames, _, rows, columns = features.shape
        grid = tokens_BLD.reshape(batch, frames, rows, columns, -1).permute(0, 1, 4, 2, 3)  # (B, T, D, h, w)
        both = torch.cat([grid, features.type_as(grid)], dim=2)
        return tokens_BLD + over_space_and_time(both, self.spatial, self.temporal).reshape(tokens_BLD.shape)


class CrossAttentionFuser(Fuser):
    """Cross-attention (paper, equation 6): x + attention of the tokens to the features, those of the same frame.

    Attention runs at a quarter of the width; its output layer starts at zero."""

    def __init__(self, width: int, channels: int = CHANNELS) -> None:
        super().__init__()
        inner = width // 4
        self.heads = inner // HEAD if inner % HEAD == 0 else 1
        self.norm = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, inner)
        self.to_k, self.to_v = nn.Linear(channels, inner), nn.Linear(channels, inner)
        self.to_out = nn.Linear(inner, width)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)

    def state(self, features_BTKhw: torch.Tensor) -> State:
        """(keys, values), each (B, T, heads, h w, D / 4 / heads)."""
        x = features_BTKhw.flatten(3).transpose(2, 3)  # (B, T, h w, K)
        return self._by_head(self.to_k(x)), self._by_head(self.to_v(x))

    def fuse(self, tokens_BLD: torch.Tensor, state: State) -> torch.Tensor:
        keys, values = (repeated(each, len(tokens_BLD)) for each in state)
        batch, frames, _, places = keys.shape[:4]
        x = tokens_BLD.reshape(batch, frames, places, -1)
        queries = self._by_head(self.to_q(self.norm(x)))
        found = F.scaled_dot_product_attention(queries, keys, values)  # (B, T, heads, h w, d)
        return tokens_BLD + self.to_out(found.transpose(2, 3).flatten(3)).reshape(tokens_BLD.shape)

    def _by_head(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(2, 3)


FUSERS: dict[str, type[Fuser]] = {
    "adaptive_norm": MotionGuidanceFuser,
    "extra_channels": ExtraChannelsFuser,
    "cross_attention": CrossAttentionFuser,
}
"""By the names of the ablation; the first is that of the published weights."""
