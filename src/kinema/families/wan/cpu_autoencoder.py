"""Speed up the VAE's convolutions and norms on a CPU.

PyTorch runs small 3-D convolutions with an unblocked kernel that is several times slower than oneDNN's. Here they use
oneDNN; for a single frame with only zeros before it, they use a 2-D convolution with the kernel's last tap: the same
sums without the zeros. The norm over channels, a strided reduction that PyTorch computes one number at a time, becomes
a sum of squares over full rows. Results equal the library's to rounding.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch.nn import functional as F


def prepare(vae: Any) -> None:
    """Replace the forwards of the causal convolutions and norms of a VAE on the CPU by those below."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, WanRMS_norm

    if not torch.backends.mkldnn.is_available():
        return
    for module in vae.modules():
        if isinstance(module, WanCausalConv3d):
            module.forward = MethodType(_convolve, module)
        elif isinstance(module, WanRMS_norm) and module.channel_first:
            module.forward = MethodType(_normalise, module)


def _normalise(norm: Any, x: torch.Tensor) -> torch.Tensor:
    """Normalise x, (B, C, ...), to unit length over channels, and apply the learned scale."""
    wide = x.float()
    length = (wide * wide).sum(dim=1, keepdim=True).sqrt_().clamp_min_(1e-12)
    return (wide / length).to(x.dtype) * (norm.scale * norm.gamma) + norm.bias


def _convolve(conv: Any, x: torch.Tensor, cache_x: torch.Tensor | None = None) -> torch.Tensor:
    """Convolve x, (B, C, T, H, W). cache_x: the previous frames, or None for zeros."""
    left, right, top, bottom, before, _ = conv._padding
    if cache_x is not None and before > 0:
        x = torch.cat([cache_x, x], dim=2)
        before -= cache_x.shape[2]
    if before == conv.kernel_size[0] - 1 and x.shape[2] == 1 and left == right and top == bottom:
        weight = conv.weight[:, :, -1]
        return F.conv2d(x[:, :, 0], weight, conv.bias, conv.stride[1:], (top, left))[:, :, None]
    x = F.pad(x, (left, right, top, bottom, before, 0))
    if x.dtype == torch.float32:
        return torch.mkldnn_convolution(x, conv.weight, conv.bias, (0, 0, 0), conv.stride, conv.dilation, conv.groups)
    return F.conv3d(x, conv.weight, conv.bias, conv.stride, 0, conv.dilation, conv.groups)
