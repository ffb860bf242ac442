"""A tiny decoder of normalised latents to pixels, many times faster than the VAE's decoder and slightly softer.

Based on the idea of TAEHV (a small convolutional decoder distilled from a video VAE), designed for CPUs: nearly all
work is plain 2-D convolutions on the latent grid and on a grid twice as fine. Time unfolds from channels (a latent
frame's features become those of its frames), and one pixel shuffle per frame produces the picture. The decoder is
causal: some blocks also see their input at the previous latent frame. These features are its only memory, so decoding
all at once or one latent frame at a time yields the same pixels.

Stored in a model's folder as `tiny_decoder/`, written by training/tasks/tiny_decoder.py. N counts clips and frames
together; other suffixes: core/shapes.py.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ...core.errors import ModelError
from ...core.outside import read_json
from ...core.whole import whole, write_text

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"

Memory = list[torch.Tensor]
"""Inputs of the looking-back blocks at the last latent frame, each (B, width, H, W)."""


@dataclass(frozen=True)
class TinyConfig:
    """The widths of the blocks on the latent grid (coarse), on the grid twice as fine (fine), and of the per-frame
    blocks on the fine grid (frame); pixels and frames per latent."""

    latent_channels: int = 16
    coarse: tuple[int, ...] = (96, 96)
    fine: tuple[int, ...] = (64,)
    frame: tuple[int, ...] = (48,)
    space_factor: int = 8
    time_factor: int = 4


class Block(nn.Module):
    """Two 3x3 convolutions with a residual connection. `looks_back`: the first also sees the previous frame."""

    def __init__(self, width: int, looks_back: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2 * width if looks_back else width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x_NCHW: torch.Tensor, before_NCHW: torch.Tensor | None = None) -> torch.Tensor:
        seen = x_NCHW if before_NCHW is None else torch.cat([x_NCHW, before_NCHW], dim=1)
        return F.relu(x_NCHW + self.conv2(F.relu(self.conv1(seen))))


class TinyDecoder(nn.Module):
    """Decodes normalised latents (B, z, T, H, W) to pixels (B, 3, 4T - 3, 8H, 8W): one frame for the first latent
    frame."""

    def __init__(self, config: TinyConfig = TinyConfig()) -> None:
        super().__init__()
        self.config = config
        coarse, fine, frame = config.coarse, config.fine, config.frame
        self.conv_in = nn.Conv2d(config.latent_channels, coarse[0], 3, padding=1)
        self.coarse = nn.ModuleList([Block(width, looks_back=True) for width in coarse])
        self.finer = nn.Conv2d(coarse[-1], 4 * fine[0], 1)
        self.fine = nn.ModuleList([Block(width, looks_back=True) for width in fine])
        self.unfold = nn.Conv2d(fine[-1], config.time_factor * frame[0], 1)
        self.frame = nn.ModuleList([Block(width, looks_back=False) for width in frame])
        self.conv_out = nn.Conv2d(frame[-1], 3 * (config.space_factor // 2) ** 2, 3, padding=1)

    def forward(self, z_BCTHW: torch.Tensor, memory: Memory | None = None) -> tuple[torch.Tensor, Memory]:
        """Return pixels, not clamped, and the memory for the next latent frames. memory: None starts a clip; its first
        latent frame yields one frame, all others `time_factor` frames."""
        num_clips, _, num_latents = z_BCTHW.shape[:3]
        carried: Memory = []

        def through(blocks: nn.ModuleList, x: torch.Tensor) -> torch.Tensor:
            for block in blocks:
                x_BTCHW = x.unflatten(0, (num_clips, num_latents))
                last = torch.zeros_like(x_BTCHW[:, 0]) if memory is None else memory[len(carried)]
                before = torch.cat([last[:, None], x_BTCHW[:, :-1]], dim=1)
                carried.append(x_BTCHW[:, -1])
                x = block(x, before.flatten(0, 1))
            return x

        x = z_BCTHW.transpose(1, 2).flatten(0, 1)  # B*T z H W
        x = through(self.coarse, F.relu(self.conv_in(x)))  # B*T coarse H W
        x = F.relu(F.pixel_shuffle(self.finer(x), 2))  # B*T fine 2H 2W
        x = through(self.fine, x)
        x = F.relu(self.unfold(x))  # B*T time*frame 2H 2W
        x = x.unflatten(0, (num_clips, num_latents)).unflatten(2, (self.config.time_factor, -1)).flatten(1, 2)
        if memory is None:
            x = x[:, self.config.time_factor - 1 :]
        num_frames = x.shape[1]
        x = x.flatten(0, 1)  # B*F frame 2H 2W
        for block in self.frame:
            x = block(x)
        x = F.pixel_shuffle(self.conv_out(x), self.config.space_factor // 2)  # B*F 3 space*H space*W
        return x.unflatten(0, (num_clips, num_frames)).transpose(1, 2), carried

    def save(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write config.json and the weights in `dtype`."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        facts = {"_class_name": "KinemaTinyDecoder", **asdict(self.config)}
        state = {name: value.detach().to("cpu", dtype).contiguous() for name, value in self.state_dict().items()}
        with whole(folder / WEIGHTS) as temporary:
            save_file(state, temporary, metadata={"format": "pt"})
        write_text(folder / CONFIG, json.dumps(facts, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> TinyDecoder:
        """Load a decoder that `save` wrote, in float32 for inference. ModelError, ValueError or OSError for other
        files."""
        from safetensors.torch import load_file

        facts: dict[str, Any] = read_json(folder / CONFIG, dict, error=ModelError)
        if facts.pop("_class_name", None) != "KinemaTinyDecoder":
            raise ValueError(f"{folder / CONFIG}: not a KinemaTinyDecoder")
        sizes: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in facts.items()}
        try:
            config = TinyConfig(**sizes)
            with torch.device("meta"):
                decoder = cls(config)
        except (TypeError, ArithmeticError, IndexError, RuntimeError) as error:
            raise ValueError(f"{folder / CONFIG}: the tiny decoder cannot be built: {error}") from None
        state = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
        decoder.load_state_dict(state, assign=True)
        return decoder.eval().requires_grad_(False)
