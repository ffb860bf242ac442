"""The denoiser's forward pass over diffusers' blocks, with the results that do not change between steps cached.

Between steps only the latents and the timestep change. The rotary table, the projected text, its keys and values in
every block, and the patches of VACE's context are computed once (`bind`). The result equals the library's forward to
rounding (tested against diffusers). Suffixes: core/shapes.py.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import nn

from . import two_times
from .two_times import TwoTimes

KEEP_BYTES = 1 << 28
"""Maximum size of the cached text keys and values of all blocks; above it, blocks recompute them."""


class TextStates:
    """Projected text (and image) tokens with a cache of their keys and values.

    Passed to blocks in place of the tensor `encoder_hidden_states`; `TextAttention` reads it.
    """

    def __init__(self, text_BLD: torch.Tensor, image_BLD: torch.Tensor | None, keep: bool) -> None:
        self.text_BLD, self.image_BLD, self.keep = text_BLD, image_BLD, keep
        self.cache: dict[int, tuple[torch.Tensor, ...]] = {}

    def of(self, attn: Any) -> tuple[torch.Tensor, ...]:
        """Return the keys and values of one attention: (k, v) or (k, v, image_k, image_v), each (B, L, heads,
        D/heads)."""
        found = self.cache.get(id(attn))
        if found is None:
            key = attn.norm_k(attn.to_k(self.text_BLD)).unflatten(2, (attn.heads, -1))
            value = attn.to_v(self.text_BLD).unflatten(2, (attn.heads, -1))
            found = (key, value)
            if self.image_BLD is not None:
                image_key = attn.norm_added_k(attn.add_k_proj(self.image_BLD)).unflatten(2, (attn.heads, -1))
                image_value = attn.add_v_proj(self.image_BLD).unflatten(2, (attn.heads, -1))
                found = (key, value, image_key, image_value)
            if self.keep:
                self.cache[id(attn)] = found
        return found


class TextAttention:
    """Cross-attention of a Wan block over `TextStates`: the library's arithmetic with cached keys and values."""

    def __call__(
        self, attn: Any, hidden_states: torch.Tensor, encoder_hidden_states: TextStates, *_: Any, **__: Any
    ) -> torch.Tensor:
        key, value, *image = encoder_hidden_states.of(attn)
        query = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))  # B L heads D/heads
        out = dispatch_attention_fn(query, key, value).flatten(2, 3).type_as(query)  # B L D
        if image:
            out = out + dispatch_attention_fn(query, *image).flatten(2, 3).type_as(query)
        return attn.to_out[1](attn.to_out[0](out))


class MixedRMSNorm(nn.RMSNorm):
    """An RMS norm for inputs of another dtype than its weight (float32 weights under autocast to bfloat16). Computes in
    float32 and returns the input's dtype, as torch's own does; but torch warns, because it has no fused kernel for two
    dtypes."""

    def __init__(self, norm: nn.RMSNorm) -> None:
        super().__init__(norm.normalized_shape, norm.eps, elementwise_affine=False)
        self.weight = norm.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.weight is None or x.dtype == self.weight.dtype:
            return super().forward(x)
        wide = nn.functional.rms_norm(x.float(), self.normalized_shape, self.weight.float(), self.eps)
        return wide.type_as(x)


def blocks_of(model: Any) -> list[nn.Module]:
    """All blocks of a transformer in the order in which `forward` calls them."""
    return [*getattr(model, "vace_blocks", ()), *model.blocks]


def prepare(model: nn.Module) -> None:
    """Replace the norms of a loaded transformer's attentions, and the processors of its cross-attentions, by those
    above, and the forwards of its blocks (two_times.py). Parameter names do not change."""
    two_times.prepare(model)
    for block in blocks_of(model):
        block.attn2.set_processor(TextAttention())
        for attention in (block.attn1, block.attn2):
            for name in ("norm_q", "norm_k", "norm_added_k"):
                if type(norm := getattr(attention, name, None)) is nn.RMSNorm:
                    setattr(attention, name, MixedRMSNorm(norm))


@dataclass(frozen=True)
class Bound:
    """The cached inputs of a branch (or a batch of branches)."""

    text: TextStates
    control_BLD: torch.Tensor | None
    control_scale: tuple[float, ...]
    rope: tuple[torch.Tensor, torch.Tensor]
    camera_BLD: torch.Tensor | None = None
    """Added to the patch embeddings."""
    reference_BLD: torch.Tensor | None = None
    """Tokens before the video's."""


def bind(
    model: Any,
    text_BLD: torch.Tensor,
    shape: tuple[int, ...],
    *,
    image_BLD: torch.Tensor | None = None,
    control_BCTHW: torch.Tensor | None = None,
    control_scale: tuple[float, ...] = (),
    camera_BLD: torch.Tensor | None = None,
    reference_BCHW: torch.Tensor | None = None,
) -> Bound:
    """Compute the inputs that do not change between steps. text_BLD: padded text states, one row per branch. shape: of
    the denoiser's input (1, C, T, H, W). control_BCTHW: VACE's context (1, 96, T, H, W), shared by the branches.
    camera_BLD, reference_BCHW: an addition to the patch embeddings, and the latents of a reference picture (fun.py)."""
    embedder = model.condition_embedder
    text_BLD = embedder.text_embedder(text_BLD)
    if image_BLD is not None:
        image_BLD = _image_tokens(embedder.image_embedder, image_BLD).expand(len(text_BLD), -1, -1)
    blocks = len(model.blocks) + len(getattr(model, "vace_blocks", ()))
    keep = 2 * blocks * text_BLD.numel() * text_BLD.element_size() <= KEEP_BYTES
    control_BLD = None
    if control_BCTHW is not None:
        control_BLD = model.vace_patch_embedding(control_BCTHW).flatten(2).transpose(1, 2)
        control_BLD = control_BLD.expand(len(text_BLD), -1, -1)
    reference_BLD = None
    if reference_BCHW is not None:
        reference_BLD = model.ref_conv(reference_BCHW).flatten(2).transpose(1, 2)
        shape = (*shape[:2], shape[2] + 1, *shape[3:])
    rope = model.rope(torch.empty(shape, device="meta"))
    states = TextStates(text_BLD, image_BLD, keep)
    return Bound(states, control_BLD, control_scale, rope, camera_BLD, reference_BLD)


def _image_tokens(embedder: Any, image_BLD: torch.Tensor) -> torch.Tensor:
    """Projected image states, (1, L, D). One picture takes the first half of the places of two."""
    if embedder.pos_embed is not None:
        image_BLD = image_BLD + embedder.pos_embed[:, : image_BLD.shape[1]]
    tokens: torch.Tensor = embedder.norm2(embedder.ff(embedder.norm1(image_BLD)))
    return tokens


def forward(
    model: Any, x_BCTHW: torch.Tensor, t: torch.Tensor, bound: Bound, known: int = 0, skipped: Container[int] = ()
) -> torch.Tensor:  # fmt: skip
    """Run the denoiser once. x_BCTHW: (1, C, T, H, W), shared by the branches in `bound`. t: timestep in [0, 1000].
    known: number of first latent frames that are clean, at time 0. skipped: numbers of blocks to leave out; the hints
    of VACE after them are added all the same.

    Returns the flow, (branches, C_out, T, H, W), in x's dtype.
    """
    p_t, p_h, p_w = model.config.patch_size
    _, _, num_frames, height, width = x_BCTHW.shape
    num_branches = len(bound.text.text_BLD)

    hidden = model.patch_embedding(x_BCTHW).flatten(2).transpose(1, 2)  # 1 L D
    if bound.camera_BLD is not None:
        hidden = hidden + bound.camera_BLD
    before = 0
    if bound.reference_BLD is not None:
        before = bound.reference_BLD.shape[1]
        hidden = torch.cat([bound.reference_BLD, hidden], dim=1)
    hidden = hidden.expand(num_branches, -1, -1)  # B L D

    embedder = model.condition_embedder
    times = t.reshape(1) if not known else torch.stack([t.reshape(()), torch.zeros_like(t.reshape(()))])
    time = embedder.timesteps_proj(times)  # 1 freq, or 2 freq
    time = time.to(next(iter(embedder.time_embedder.parameters())).dtype)
    temb = embedder.time_embedder(time).type_as(bound.text.text_BLD)  # 1 D
    modulation = embedder.time_proj(embedder.act_fn(temb)).unflatten(1, (6, -1))  # 1 6 D
    places = slice(before, before + known * (height // p_h) * (width // p_w))
    if known:
        modulation = TwoTimes(modulation, places)

    hints: dict[int, torch.Tensor] = {}
    if bound.control_BLD is not None:
        control = bound.control_BLD  # B L D
        for layer, block, scale in zip(model.config.vace_layers, model.vace_blocks, bound.control_scale, strict=True):
            hint, control = block(hidden, bound.text, control, modulation, bound.rope)
            hints[layer] = hint if scale == 1.0 else hint * scale

    for layer, block in enumerate(model.blocks):
        if layer not in skipped:
            hidden = block(hidden, bound.text, modulation, bound.rope)  # B L D
        if layer in hints:
            hidden = hidden + hints.pop(layer)

    if known:
        last = TwoTimes(temb.unsqueeze(1), places).plus(model.scale_shift_table)
        hidden = last.scaled(model.norm_out(hidden.float()), 0, 1).type_as(hidden)
    else:
        shift, scale = (model.scale_shift_table + temb.unsqueeze(1)).chunk(2, dim=1)  # 1 1 D
        hidden = (model.norm_out(hidden.float()) * (1 + scale) + shift).type_as(hidden)
    out = model.proj_out(hidden[:, before:])  # B L (p_t p_h p_w C)
    out = out.reshape(num_branches, num_frames // p_t, height // p_h, width // p_w, p_t, p_h, p_w, -1)
    return out.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)  # B C T H W
