"""Train diffusers' video UNets two times faster on a CPU, with equal results up to rounding.

Measured on two cores with AVX512-BF16 (4 clips of 16 frames, 16 x 16 latents, one forward and backward pass): 4.7 s
unchanged, 3.6 s with temporal convolutions as 2D convolutions, 2.4 s also with bfloat16 and attention in float32.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention:
    """Attention processor for diffusers that computes scaled_dot_product_attention in float32 also under autocast (on
    CPUs its backward pass takes three times as long in bfloat16)."""

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None, **unused: Any,
    ) -> Tensor:  # fmt: skip
        others = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        projected = (attn.to_q(hidden_states), attn.to_k(others), attn.to_v(others))
        q, k, v = (each.unflatten(-1, (attn.heads, -1)).transpose(1, 2).float() for each in projected)
        with torch.autocast(hidden_states.device.type, enabled=False):
            mixed = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = attn.to_out[1](attn.to_out[0](mixed.transpose(1, 2).flatten(2)))
        return out


def optimize_for_cpu(network: Any) -> Any:
    """Replace the attention and temporal convolutions of a UNet in place. Of no use on a GPU."""
    network.set_attn_processor(Attention())
    for module in network.modules():
        if isinstance(module, nn.Conv3d) and tuple(module.kernel_size) == (3, 1, 1):
            module.forward = MethodType(_over_time, module)  # type: ignore[method-assign]
    return network


def _over_time(conv: Any, x_BCTHW: Tensor) -> Tensor:
    """Compute a (3, 1, 1) convolution as a 2D one over (time, flattened space), which has a fast CPU kernel."""
    flat = F.conv2d(x_BCTHW.flatten(3), conv.weight.squeeze(-1), conv.bias, padding=(conv.padding[0], 0))
    return flat.unflatten(3, x_BCTHW.shape[3:])
