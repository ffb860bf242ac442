"""Distill a tiny decoder (families/wan/tiny_decoder.py) from an AutoencoderKLWan and its training clips.

Every clip has two targets, both cached before training: the full decoder's output, and the true frames. The first is
what latents determine; the second, with a smaller weight, avoids copying the teacher's blur. Latents get a little
noise, since sampled latents are never quite clean.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...core.whole import whole, write_text
from ...families.wan import decode
from ...families.wan.tiny_decoder import TinyConfig, TinyDecoder
from ..core import checkpoints
from ..core.loop import LoopConfig, train
from ..data import parallel_vae
from ..data.parallel_vae import denormalize, normalize, to_network
from ..data.store import ClipStore

TRUTH, EDGES, OBJECTS = 0.25, 1.0, 2.0
"""Weights: of the true frames relative to the full decoder's, of edges, and the extra weight of object pixels."""
LATENT_NOISE = 0.1
"""Maximum noise on the latents, relative to their standard deviation (1 for normalized latents)."""
MAX_BYTES = 1_500_000
"""Size limit of a tiny decoder in float16."""


@dataclass(frozen=True)
class TeacherTargets:
    """Clips with both targets: latents (N, z, T, H, W) float16, normalized; full and true (N, 3, F, H, W) uint8."""

    latents: Tensor
    full: Tensor
    true: Tensor
    mask_NFHW: Tensor

    def __len__(self) -> int:
        return len(self.latents)


@torch.no_grad()
def teacher_targets(
    vae: nn.Module, store: ClipStore, count: int, device: str = "cpu", latents: Tensor | None = None
) -> TeacherTargets:
    """Decode the first `count` clips of a store with the full decoder; returns them with both targets.

    latents: their normalized mean latents, if already encoded (`LatentStore.tensors["clean"]`).
    """
    found: dict[str, list[Tensor]] = {"latents": [], "full": [], "true": [], "mask": []}
    count = min(count, len(store), len(store) if latents is None else len(latents))
    for first in range(0, count, 8):
        frames_BFHWC, mask_BFHW = store.take(list(range(first, min(first + 8, count))))
        frames = to_network(frames_BFHWC).to(device)
        if latents is None:
            z = normalize(vae, parallel_vae.encode(vae, frames)[0].float())
        else:
            z = latents[first : first + len(frames)].float().to(device)
        full = parallel_vae.decode(vae, denormalize(vae, z))
        found["latents"].append(z.half().cpu())
        found["full"].append(to_bytes(full))
        found["true"].append(to_bytes(frames))
        found["mask"].append(mask_BFHW)
    return TeacherTargets(*(torch.cat(parts) for parts in found.values()))


def to_bytes(pixels_BCFHW: Tensor) -> Tensor:
    """Convert pixels in [-1, 1] to uint8 on the CPU."""
    return pixels_BCFHW.float().clamp(-1, 1).add(1).mul(127.5).round().byte().cpu()


def to_pixels(bytes_BCFHW: Tensor, device: str) -> Tensor:
    return bytes_BCFHW.to(device).float().div(127.5).sub(1)


def initialize(decoder: TinyDecoder, generator: torch.Generator) -> None:
    """Initialize for ReLU (He et al. 2015), with small second convolutions of the blocks and a nearly gray output."""
    for name, module in decoder.named_modules():
        if isinstance(module, nn.Conv2d):
            gain = 0.4 if name.endswith("conv2") else 0.3 if name == "conv_out" else 1.0
            spread = gain * (2.0 / module.weight[0].numel()) ** 0.5
            module.weight.data.copy_(spread * torch.randn(module.weight.shape, generator=generator))
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]


class TinyDecoderTask:
    """Distillation of a tiny decoder, trained in place; see the module docstring for the loss."""

    names_for_adam: tuple[str, ...] = ("conv_in", "conv_out")

    def __init__(
        self, decoder: TinyDecoder, vae: nn.Module, train_set: TeacherTargets, held_out: TeacherTargets, *,
        device: str = "cpu", batch: int = 8, speed: bool = True,
    ) -> None:  # fmt: skip
        self.decoder, self.vae = decoder.to(device), vae
        self.modules: Mapping[str, nn.Module] = {"decoder": decoder}
        self.train_set, self.held_out, self.device, self.batch, self.speed = train_set, held_out, device, batch, speed

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        index = torch.randint(len(self.train_set), (self.batch,), generator=generator)
        z = self.train_set.latents[index].float()
        spread = LATENT_NOISE * torch.rand((len(z), 1, 1, 1, 1), generator=generator)
        z = (z + spread * torch.randn(z.shape, generator=generator)).to(self.device)
        full, true = (to_pixels(kind[index], self.device) for kind in (self.train_set.full, self.train_set.true))
        weight = 1 + OBJECTS * self.train_set.mask_NFHW[index, None].float().to(self.device)
        weight = weight / weight.mean()
        out = self.decoder(z)[0].float()
        to_full, to_true = distance(out - full, weight), distance(out - true, weight)
        error = (out - full).detach().square().mean()
        return to_full + TRUTH * to_true, {
            "to_full": to_full.item(),
            "to_true": to_true.item(),
            "psnr_to_full": float(-10 * torch.log10(error / 4)),
        }

    def evaluate(self, step: int) -> dict[str, Any]:
        return measure_tiny_decoder(self.decoder, self.vae, self.held_out, self.device, self.speed)


def distance(error_BCFHW: Tensor, weight: Tensor) -> Tensor:
    """Weighted absolute and squared error, and the absolute error of differences between neighbouring pixels."""
    edges = error_BCFHW.diff(dim=-1).abs().mean() + error_BCFHW.diff(dim=-2).abs().mean()
    return (weight * (error_BCFHW.abs() + 3 * error_BCFHW.square())).mean() + EDGES * edges


@torch.no_grad()
def measure_tiny_decoder(
    decoder: TinyDecoder, vae: nn.Module, held_out: TeacherTargets, device: str = "cpu", speed: bool = True
) -> dict[str, Any]:
    """Measure PSNR in dB, with squared errors pooled over all clips: to the full decoder, to the true frames, and of
    the full decoder to the true frames. With `speed`, also the speedup over Kinema's full decoding of one clip (best of
    several)."""
    squares = torch.zeros(3, dtype=torch.float64)
    for first in range(0, len(held_out), 8):
        part = slice(first, first + 8)
        out = decoder(held_out.latents[part].float().to(device))[0].float().clamp(-1, 1)
        full, true = (to_pixels(kind[part], device) for kind in (held_out.full, held_out.true))
        for place, error in enumerate((out - full, out - true, full - true)):
            squares[place] += error.double().square().sum().cpu()
    to_full, to_true, full_to_true = (
        round(float(value), 2) for value in 10 * torch.log10(4 * held_out.true.numel() / squares)
    )
    found: dict[str, Any] = {
        "psnr_to_full_db": to_full, "psnr_db": to_true, "full_psnr_db": full_to_true,
    }  # fmt: skip
    if speed:
        z = held_out.latents[:1].float().to(device)
        seconds = timed({"tiny": lambda: decoder(z)[0], "full": lambda: list(decode.decode(vae, z))}, device)
        found["times_faster"] = round(seconds["full"] / seconds["tiny"], 1)
    return found


def timed(jobs: dict[str, Callable[[], Any]], device: str, rounds: int = 5) -> dict[str, float]:
    """The shortest duration of each job in seconds, over interleaved runs after a warm-up run."""
    best = dict.fromkeys(jobs, float("inf"))
    for number in range(rounds + 1):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            if device != "cpu":
                torch.cuda.synchronize()
            if number:
                best[name] = min(best[name], time.perf_counter() - started)
    return best


def train_tiny_decoder(
    vae: Any,
    store: ClipStore,
    held_out: ClipStore,
    folder: Path,
    config: LoopConfig,
    *,
    latents: Tensor | None = None,
    held_out_latents: Tensor | None = None,
    num_clips: int = 512,
    num_held_out: int = 48,
    batch: int = 8,
    widths: dict[str, tuple[int, ...]] | None = None,
    speed: bool = True,
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Distill a tiny decoder of any AutoencoderKLWan and write it to `folder` (float16, with its scores in
    scores.json).

    latents: normalized mean latents of the store's first clips, if already encoded (`LatentStore.tensors["clean"]`).
    num_clips: training clips; the full decoder decodes each once, before the loop's clock starts. widths: `coarse`,
    `fine`, `frame` of `TinyConfig`. speed: measure the speedup? Returns the last evaluation. Targets are cached in
    config.out for `resume`. Raises ValueError if the file would exceed MAX_BYTES.
    """
    config_of_decoder = TinyConfig(
        latent_channels=vae.config.z_dim,
        space_factor=decode.space_factor(vae),
        time_factor=decode.time_factor(vae),
        **(widths or {}),
    )
    decoder = TinyDecoder(config_of_decoder)
    initialize(decoder, torch.Generator().manual_seed(config.seed))
    size = 2 * sum(parameter.numel() for parameter in decoder.parameters())
    if size > MAX_BYTES:
        raise ValueError(f"the tiny decoder has {size} bytes in float16; the limit is {MAX_BYTES}")
    vae = vae.eval().requires_grad_(False).to(config.device)
    train_set = cached(config, "lessons.pt", lambda: teacher_targets(vae, store, num_clips, config.device, latents))
    held = cached(
        config, "held_out.pt", lambda: teacher_targets(vae, held_out, num_held_out, config.device, held_out_latents)
    )
    task = TinyDecoderTask(decoder, vae, train_set, held, device=config.device, batch=batch, speed=speed)
    result = train(task, config, on_event)
    decoder.save(folder)
    write_text(folder / "scores.json", json.dumps(result, indent=2) + "\n")
    return result


def cached(config: LoopConfig, name: str, make: Callable[[], TeacherTargets]) -> TeacherTargets:
    """Read targets from the cache in config.out if the run is resumed, else compute and write them."""
    path = config.out / name
    if config.resume and path.exists():
        return TeacherTargets(**checkpoints.read(path))
    made = make()
    config.out.mkdir(parents=True, exist_ok=True)
    with whole(path) as beside:
        torch.save(vars(made), beside)
    return made
