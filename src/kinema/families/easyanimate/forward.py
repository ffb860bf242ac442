"""Run EasyAnimateTransformer3DModel with everything that is equal in all steps computed once: the projected text and
the rotary tables. The blocks are diffusers'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

Rotary = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class BoundText:
    """text_BLD: projected states of the branches. rotary: cosines and sines (L, D) of the video tokens."""

    text_BLD: torch.Tensor
    rotary: Rotary


def prepare(model: Any) -> None:
    """Replace the blocks' attention by one without copies of all queries and keys for the rotary tables."""
    for block in model.transformer_blocks:
        block.attn1.set_processor(JointAttention())


def bind(model: Any, text_BLD: torch.Tensor, shape: tuple[int, ...]) -> BoundText:
    """Project the text states. shape: of the latents, (1, C, T, h, w)."""
    rotary = model.rope_embedding(torch.empty(shape, device="meta"))
    table = tuple(part.to(text_BLD.device) for part in rotary)
    return BoundText(model.text_proj(text_BLD), (table[0], table[1]))


def forward(
    model: Any, x_BCTHW: torch.Tensor, t_B: torch.Tensor, bound: BoundText, beside_BCTHW: torch.Tensor | None
) -> torch.Tensor:  # fmt: skip
    """The network's output, (B, C, T, h, w). t_B: timesteps. beside_BCTHW: channels next to the latents."""
    batch, channels, frames, height, width = x_BCTHW.shape
    patch = model.config.patch_size
    temb = model.time_embedding(model.time_proj(t_B).to(x_BCTHW.dtype), None)
    x = x_BCTHW if beside_BCTHW is None else torch.cat([x_BCTHW, beside_BCTHW.expand(batch, -1, -1, -1, -1)], dim=1)
    x = model.proj(x.transpose(1, 2).flatten(0, 1))  # BT D h/p w/p
    x = x.flatten(2).transpose(1, 2).unflatten(0, (batch, frames)).flatten(1, 2)  # B L D
    text = bound.text_BLD
    for block in model.transformer_blocks:
        x, text = block(x, text, temb, bound.rotary)
    x = model.proj_out(model.norm_out(model.norm_final(x), temb=temb))
    x = x.reshape(batch, frames, height // patch, width // patch, channels, patch, patch)
    return x.permute(0, 4, 1, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4)


class JointAttention:
    """Attention over text and video tokens; rotary positions turn the video's. Called as diffusers calls its
    processors, and replaces EasyAnimateAttnProcessor2_0."""

    def __call__(
        self, attn: Any, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None, image_rotary_emb: Rotary | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        x, text = hidden_states, encoder_hidden_states
        own = attn.add_q_proj is None  # text and video share their projections
        query, key, value = (_heads(attn, layer(x)) for layer in (attn.to_q, attn.to_k, attn.to_v))
        layers = (attn.to_q, attn.to_k, attn.to_v) if own else (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj)
        text_query, text_key, text_value = (_heads(attn, layer(text)) for layer in layers)
        if attn.norm_q is not None:
            query, key = attn.norm_q(query), attn.norm_k(key)
        norm_q, norm_k = (attn.norm_q, attn.norm_k) if own else (attn.norm_added_q, attn.norm_added_k)
        if norm_q is not None:
            text_query, text_key = norm_q(text_query), norm_k(text_key)
        if image_rotary_emb is not None:
            query, key = _turned(query, image_rotary_emb), _turned(key, image_rotary_emb)
        found = F.scaled_dot_product_attention(
            torch.cat([text_query, query], 2), torch.cat([text_key, key], 2), torch.cat([text_value, value], 2)
        )
        found = found.transpose(1, 2).flatten(2, 3).to(query.dtype)
        text_out, out = found[:, : text.shape[1]], found[:, text.shape[1] :]
        return attn.to_out[1](attn.to_out[0](out)), text_out if own else attn.to_add_out(text_out)


def _heads(attn: Any, x_BLD: torch.Tensor) -> torch.Tensor:
    return x_BLD.unflatten(2, (attn.heads, -1)).transpose(1, 2)


def _turned(x_BHLD: torch.Tensor, rotary: Rotary) -> torch.Tensor:
    """Rotate neighbouring pairs of channels by the tables (L, D)."""
    cosine, sine = rotary
    pairs = x_BHLD.unflatten(-1, (-1, 2))
    turned = torch.stack([-pairs[..., 1], pairs[..., 0]], dim=-1).flatten(-2)
    return (x_BHLD.float() * cosine + turned.float() * sine).to(x_BHLD.dtype)
