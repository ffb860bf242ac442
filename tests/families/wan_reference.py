"""A plain forward of Wan's transformer in the original layout, written from its description: the reference for the
variants that the library has no pipeline for. Nothing of the package is used.

Legend: L tokens, D width, N heads. State: the tensors of a published file by their names.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F


def linear(state, name, x):
    return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def rms(state, name, x):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * state[f"{name}.weight"]


def layer_norm(x):
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


def heads(x, head):
    return x.unflatten(-1, (-1, head)).transpose(0, 1)  # N L head


def attention(q, k, v):
    weights = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1)
    return (weights @ v).transpose(0, 1).flatten(1)


def rotated(x_NLC, grid):
    """Rotary embedding over frame, row and column; a head is split 44 : 42 : 42 of 128."""
    frames, rows, columns = grid
    head = x_NLC.shape[-1]
    sides = [head - 2 * (head // 6) * 2, 2 * (head // 6), 2 * (head // 6)]
    places = torch.cartesian_prod(*(torch.arange(n, dtype=torch.float64) for n in (frames, rows, columns)))
    places = places.reshape(-1, 3)
    angles = torch.cat(
        [
            places[:, i : i + 1] / 10000.0 ** (torch.arange(0, n, 2, dtype=torch.float64) / n)
            for i, n in enumerate(sides)
        ],
        -1,
    )
    turns = torch.polar(torch.ones_like(angles), angles)
    pairs = torch.view_as_complex(x_NLC.double().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turns).flatten(-2).to(x_NLC.dtype)


def sinusoid(t, size):
    angles = t.double()[:, None] * 10000.0 ** (-torch.arange(size // 2, dtype=torch.float64) / (size // 2))
    return torch.cat([angles.cos(), angles.sin()], -1).float()


def camera(state, rays_CTHW):
    """Pixels to channels, a convolution, residual blocks: (D, T, H/16, W/16)."""
    x = F.pixel_unshuffle(rays_CTHW.movedim(1, 0), 8)
    x = F.conv2d(x, state["control_adapter.conv.weight"], state["control_adapter.conv.bias"], stride=2)
    block = "control_adapter.residual_blocks.0"
    inner = F.conv2d(x, state[f"{block}.conv1.weight"], state[f"{block}.conv1.bias"], padding=1).relu()
    x = x + F.conv2d(inner, state[f"{block}.conv2.weight"], state[f"{block}.conv2.bias"], padding=1)
    return x.movedim(0, 1)


def forward(state, x_CTHW, t_L, text_LD, *, head, layers, image_LD=None, reference_CHW=None, rays_CTHW=None):
    """The flow (C_out, T, H, W). t_L: the time of each latent frame (T,). The reference has the time of the last."""
    x = F.conv3d(x_CTHW[None], state["patch_embedding.weight"], state["patch_embedding.bias"], stride=(1, 2, 2))[0]
    if rays_CTHW is not None:
        x = x + camera(state, rays_CTHW)
    width, frames, rows, columns = x.shape
    x = x.flatten(1).T  # L D
    before = 0
    if reference_CHW is not None:
        place = F.conv2d(reference_CHW[None], state["ref_conv.weight"], state["ref_conv.bias"], stride=2)[0]
        x, before, t_L = torch.cat([place.flatten(1).T, x]), rows * columns, torch.cat([t_L[-1:], t_L])
    grid = (len(t_L), rows, columns)
    times = sinusoid(t_L.repeat_interleave(rows * columns), state["time_embedding.0.weight"].shape[1])
    e = linear(state, "time_embedding.2", F.silu(linear(state, "time_embedding.0", times)))  # L D
    e6 = linear(state, "time_projection.1", F.silu(e)).unflatten(-1, (6, width))
    text = linear(state, "text_embedding.2", F.gelu(linear(state, "text_embedding.0", text_LD), approximate="tanh"))
    image = None
    if image_LD is not None:
        image = F.layer_norm(
            image_LD, image_LD.shape[-1:], state["img_emb.proj.0.weight"], state["img_emb.proj.0.bias"]
        )
        image = linear(state, "img_emb.proj.3", F.gelu(linear(state, "img_emb.proj.1", image)))
        image = F.layer_norm(image, image.shape[-1:], state["img_emb.proj.4.weight"], state["img_emb.proj.4.bias"])
    for layer in range(layers):
        b = f"blocks.{layer}"
        shift, scale, gate, shift2, scale2, gate2 = (state[f"{b}.modulation"] + e6).unbind(1)
        y = layer_norm(x) * (1 + scale) + shift
        q, k = (
            rotated(heads(rms(state, f"{b}.self_attn.norm_{n}", linear(state, f"{b}.self_attn.{n}", y)), head), grid)
            for n in "qk"
        )
        y = attention(q, k, heads(linear(state, f"{b}.self_attn.v", y), head))
        x = x + linear(state, f"{b}.self_attn.o", y) * gate
        y = F.layer_norm(x, (width,), state[f"{b}.norm3.weight"], state[f"{b}.norm3.bias"], eps=1e-6)
        a = f"{b}.cross_attn"
        q = heads(rms(state, f"{a}.norm_q", linear(state, f"{a}.q", y)), head)
        k = heads(rms(state, f"{a}.norm_k", linear(state, f"{a}.k", text)), head)
        y = attention(q, k, heads(linear(state, f"{a}.v", text), head))
        if image is not None:
            k = heads(rms(state, f"{a}.norm_k_img", linear(state, f"{a}.k_img", image)), head)
            y = y + attention(q, k, heads(linear(state, f"{a}.v_img", image), head))
        x = x + linear(state, f"{a}.o", y)
        y = layer_norm(x) * (1 + scale2) + shift2
        x = x + linear(state, f"{b}.ffn.2", F.gelu(linear(state, f"{b}.ffn.0", y), approximate="tanh")) * gate2
    shift, scale = (state["head.modulation"] + e[:, None]).unbind(1)
    x = linear(state, "head.head", layer_norm(x) * (1 + scale) + shift)[before:]
    x = x.unflatten(0, (frames, rows, columns)).unflatten(-1, (1, 2, 2, -1))
    return torch.einsum("fhwpqrc->cfphqwr", x).reshape(x.shape[-1], frames, 2 * rows, 2 * columns)
