"""Speed up the convolutions of AutoencoderKLCogVideoX; results equal the library's to rounding.

The decoder's norms are modulated by the latents, enlarged to the size of the activations and then convolved with
1x1x1 kernels. Nearest-neighbour enlargement copies values, so it can follow the convolutions, which then run on the
latents: up to 256 times fewer cells, and nothing to cache for the next time slice. On a CPU, PyTorch runs small 3-D
convolutions with an unblocked kernel that is several times slower than oneDNN's; there they use oneDNN.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch.nn import functional as F


def prepare(vae: Any, device: torch.device) -> None:
    """Replace the forwards of the modulated norms and, on a CPU, of the 3-D convolutions."""
    from diffusers.models.autoencoders import autoencoder_kl_cogvideox as library

    on_cpu = device.type == "cpu" and torch.backends.mkldnn.is_available()
    for module in vae.modules():
        if isinstance(module, library.CogVideoXSpatialNorm3D):
            module.forward = MethodType(_modulated, module)
        elif isinstance(module, library.CogVideoXSafeConv3d) and on_cpu:
            module.forward = MethodType(_convolved, module)


def _modulated(
    norm: Any, f: torch.Tensor, zq: torch.Tensor, conv_cache: Any = None
) -> tuple[torch.Tensor, dict[str, Any]]:  # fmt: skip
    """Normalise f, (B, C, T, H, W), and modulate it by zq, (B, Z, t, h, w). Of an odd number of frames the first is
    enlarged alone, because it stands for one frame and each other for several."""
    scale, shift = (_enlarged(convolution.conv(zq), f.shape[-3:]) for convolution in (norm.conv_y, norm.conv_b))
    return norm.norm_layer(f) * scale + shift, {}


def _enlarged(x: torch.Tensor, size: torch.Size) -> torch.Tensor:
    frames, *area = size
    if frames > 1 and frames % 2 == 1:
        first, rest = F.interpolate(x[:, :, :1], size=(1, *area)), F.interpolate(x[:, :, 1:], size=(frames - 1, *area))
        return torch.cat([first, rest], dim=2)
    return F.interpolate(x, size=size)


def _convolved(conv: Any, x: torch.Tensor) -> torch.Tensor:
    if x.dtype != torch.float32 or conv.weight.dtype != torch.float32:
        return F.conv3d(x, conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)
    return torch.mkldnn_convolution(
        x, conv.weight, conv.bias, conv.padding, conv.stride, conv.dilation, conv.groups
    )  # fmt: skip
