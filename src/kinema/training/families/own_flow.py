"""LoRA training of a flow-matching transformer (Wan) on user clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..core import processes
from ..core.frozen import Frozen
from ..data.buckets import Bucket
from ..data.captioner import CaptionOf
from ..tasks import lora
from ..tasks.ddpm import weighted_error
from ..tasks.flow import draw_times, mix

HELD_OUT_TIMES = (0.5, 0.8)
TOWARDS_NOISE = 0.8
"""Mean of the logits of the times: motion is decided at high noise levels."""


class FlowTask(Frozen):
    """Flow-matching task. network: a transformer of clips (B, C, T, h, w) with low-rank layers. states: encodes
    captions to (B, L, D). extra: further inputs of the network with a batch of one, the same for all clips. still: as
    in ddpm.weighted_error."""

    names_for_adam = ("lora",)

    def __init__(
        self, network: Any, states: Callable[[list[str]], Tensor], caption_of: CaptionOf, store: Bucket,
        held_out: Bucket, *, extra: Mapping[str, Tensor], device: str = "cpu", batch: int = 2, drop: float = 0.1,
        still: float = 1.0, judge: Callable[[int], dict[str, Any]] = lambda step: {},
    ):  # fmt: skip
        self.freeze(network, lora.is_trained)
        self.network, self.states, self.caption_of, self.device = network.to(device), states, caption_of, device
        self.modules: dict[str, nn.Module] = {"network": self.network}
        self.store, self.held_out, self.batch_size, self.drop, self.samples = store, held_out, batch, drop, 0
        self.extra = {name: tensor.to(device) for name, tensor in extra.items()}
        self.judge, self.still = judge, still

    def predict(self, noisy_BCTHW: Tensor, times_B: Tensor, states_BLD: Tensor) -> Tensor:
        kind = self.network.dtype
        extra = {name: x.expand(len(noisy_BCTHW), *x.shape[1:]).to(kind) for name, x in self.extra.items()}
        found: Tensor = self.network(
            hidden_states=noisy_BCTHW.to(kind), timestep=1000 * times_B.to(self.device),
            encoder_hidden_states=states_BLD.to(kind), return_dict=False, **extra,
        )[0]  # fmt: skip
        return found.float()

    def clips(self, store: Bucket, index: Tensor) -> Tensor:
        return store.latents[index].float().transpose(1, 2).to(self.device)

    def times(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw times (count,) in [0, 1]; 1 is pure noise."""
        return draw_times(count, TOWARDS_NOISE, generator)

    def mix(self, x0: Tensor, noise: Tensor, times_B: Tensor) -> tuple[Tensor, Tensor]:
        """(noisy clips, target of the network)."""
        return mix(x0, noise, times_B)

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        index = torch.randint(len(self.store), (self.batch_size,), generator=generator)
        x0 = self.clips(self.store, index)
        times = self.times(len(index), generator)
        noisy, target = self.mix(x0, torch.randn(x0.shape, generator=generator).to(x0), times)
        left_out = (torch.rand(len(index), generator=generator) < self.drop).tolist()
        items = self.store.item[index].tolist()
        captions = ["" if out else self.caption_of(item, 0, False) for item, out in zip(items, left_out, strict=True)]
        self.samples += len(index) * processes.count()
        predicted, evenly = self.predict(noisy, times, self.states(captions)), torch.ones_like(x0[:, 0])
        return weighted_error(predicted, target, evenly, self.still), {}

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, Any]:
        """Return held-out errors with fixed noise."""
        index = torch.arange(min(4, len(self.held_out)))
        x0 = self.clips(self.held_out, index)
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1)).to(x0)
        states = self.states([self.caption_of(item, 0, False) for item in self.held_out.item[index].tolist()])
        found: dict[str, Any] = {}
        for time in HELD_OUT_TIMES:
            times = torch.full((len(index),), time)
            noisy, target = self.mix(x0, noise, times)
            found[f"error_{time:g}"] = round(float((self.predict(noisy, times, states) - target).square().mean()), 4)
        return found | self.judge(step)
