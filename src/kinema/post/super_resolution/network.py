"""The compact super-resolution network: 3 x 3 convolutions at the small size, a pixel shuffle, and a resampled base.

The design is Real-ESRGAN's SRVGGNetCompact (Wang et al. 2021, arXiv 2107.10833) with the names of its files
(`body.N.weight`); the input may be three neighbouring frames instead of one, and the base, to which the network adds,
bicubic instead of nearest: an untrained network begins as a smooth picture. Images are RGB in [0, 1].
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

RGB = 3
SLOPE = 0.25
"""Initial slope of PReLU for negative values."""


@dataclass(frozen=True)
class CompactConfig:
    """frames: 1, or 3 neighbouring frames in the input, of which the middle one is upscaled. features, convs: channels
    and number of the inner convolutions. scale: factor of width and height. bicubic:
    the base; with False, nearest, as published."""

    frames: int = 3
    features: int = 32
    convs: int = 12
    scale: int = 4
    bicubic: bool = True

    def __post_init__(self) -> None:
        if self.frames not in (1, 3):
            raise ValueError(f"frames must be 1 or 3, got {self.frames}.")
        if min(self.features, self.convs, self.scale) < 1:
            raise ValueError(f"features, convs and scale must be positive, got {self}.")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the inverse of from_dict."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CompactConfig:
        """Parse options. Raises ValueError for an unknown name or a value of another type."""
        names = {one.name for one in fields(cls)}
        if unknown := sorted(set(values) - names):
            raise ValueError(f"a compact network has no option {unknown[0]}")
        for name, value in values.items():
            if not isinstance(value, int) or isinstance(value, bool) != (name == "bicubic"):
                kind = "true or false" if name == "bicubic" else "a whole number"
                raise ValueError(f"{name} must be {kind}, got {value!r}")
        return cls(**values)


MINI = CompactConfig()
"""kinema-mini-upscale: 128 thousand parameters."""


class CompactNetwork(nn.Module):
    """Maps (B, T, 3, H, W), T neighbouring frames, to the upscaled middle frame, (B, 3, s H, s W), not clamped."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        width = config.features
        layers: list[nn.Module] = [_conv(RGB * config.frames, width), nn.PReLU(width, SLOPE)]
        for _ in range(config.convs):
            layers += [_conv(width, width), nn.PReLU(width, SLOPE)]
        layers.append(_conv(width, RGB * config.scale**2, gain=0.1))
        self.body = nn.Sequential(*layers)

    def forward(self, frames_BTCHW: Tensor) -> Tensor:
        scale, middle = self.config.scale, frames_BTCHW[:, self.config.frames // 2]
        detail = F.pixel_shuffle(self.body(frames_BTCHW.flatten(1, 2)), scale)
        return detail + F.interpolate(middle, scale_factor=scale, mode="bicubic" if self.config.bicubic else "nearest")


def _conv(inside: int, outside: int, gain: float = 1.0) -> nn.Conv2d:
    """A 3 x 3 convolution that keeps the size, initialized for PReLU (He et al. 2015)."""
    layer = nn.Conv2d(inside, outside, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, a=SLOPE)
    layer.weight.data.mul_(gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
