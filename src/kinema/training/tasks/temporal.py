"""Train the temporal layers of a video UNet on clips, with the image model and text encoder frozen: temporal layers
(Video LDM, arXiv 2304.08818), AnimateDiff's motion modules (arXiv 2307.04725), or LoRA layers in them (MotionLoRA).
Alternatively all of the UNet is trained (ModelScope, arXiv 2308.06571).

Some batches are single frames, as in ModelScope, so that temporal layers do not change single images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

import torch
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from torch import Tensor, nn

from ...sd.inflate import is_temporal
from ..core import processes
from ..core.frozen import Chosen, Frozen
from ..data.captioner import Captioner
from .ddpm import Schedule, weighted_error
from .flow import noise_like

PICTURES_EVERY = 8
"""One batch in so many has single frames."""
HELD_OUT_STEPS = (300, 600, 850)
MOST_ROWS = 65_535
"""Maximum batch size of GPU attention kernels. Temporal attention has one row per latent cell of each clip."""


class Clips(Protocol):
    """Training clips (FrameLatents, buckets.Bucket): latents (N, F, C, h, w), weights of latent cells (N, F, h, w), and
    keys for the captioner (N,)."""

    @property
    def latents(self) -> Tensor: ...

    @property
    def weight(self) -> Tensor: ...

    @property
    def seed(self) -> Tensor: ...

    @property
    def num_frames(self) -> int: ...

    def __len__(self) -> int: ...


def batch_limit(count: int, latents: Tensor) -> int:
    """The batch size `count`, or the largest that temporal attention supports for latents (..., h, w)."""
    return max(1, min(count, MOST_ROWS // (latents.shape[-2] * latents.shape[-1])))


@contextmanager
def at_positions(video: nn.Module, frames_F: Tensor) -> Iterator[None]:
    """Context in which temporal attention (AnimateDiff's sinusoidal positions) uses the positions frames_F instead of 0
    to F - 1."""
    tables = [module for module in video.modules() if isinstance(module, SinusoidalPositionalEmbedding)]
    whole = [cast("Tensor", table.pe) for table in tables]
    for table, places in zip(tables, whole, strict=True):
        table.pe = places[:, frames_F.to(places.device)]
    try:
        yield
    finally:
        for table, places in zip(tables, whole, strict=True):
            table.pe = places


class TemporalTask(Frozen):
    """video: a UNet of clips (B, C, F, h, w), trained in place. trained: which parameters. words: the captioner; its
    text encoder is frozen.

    text_by_frame: does the UNet take text states per frame (UNetMotionModel)? late: shift of noise levels towards
    noise, where motion is decided, in the first part of the training (late_until, a share). pictures: include batches
    of single frames? few: train on this many random frames of each clip in the first 70 %, each at its position in time
    (for networks with positional encodings over time): more clips in the same time. window: train on this many
    consecutive frames (for networks without such encodings). 0: all frames. most: upper bound of the noise levels, as a
    share: an upscale pass uses no higher ones. least: lower bound. still: as in ddpm.weighted_error.
    """

    names_for_adam = ("conv_in", "conv_out", "time_embedding", "norm", "proj_out", "lora")

    def __init__(
        self, video: Any, words: Captioner, store: Clips, held_out: Clips, *, schedule: Schedule,
        device: str = "cpu", batch: int = 8, trained: Chosen = is_temporal, object_weight: float = 2.0,
        late: float = 1.0, late_until: float = 0.6, pictures: bool = True, text_by_frame: bool = False, few: int = 0,
        window: int = 0, most: float = 1.0, least: float = 0.0, still: float = 1.0,
        judge: Callable[[int], dict[str, Any]] = lambda step: {},
    ):  # fmt: skip
        self.freeze(video, trained)
        self.video = video.to(device)
        words.text_encoder.eval().requires_grad_(False)
        self.words = words
        self.modules: dict[str, nn.Module] = {"video": self.video}
        self.store, self.held_out, self.schedule, self.device = store, held_out, schedule, device
        self.batch_size, self.late, self.judge, self.trained = batch, late, judge, trained
        self.object_weight, self.pictures, self.text_by_frame, self.samples = object_weight, pictures, text_by_frame, 0
        self.few, self.window, self.most, self.late_until = few, window, most, late_until
        self.least, self.still = least, still

    def predict(self, noisy_BCFHW: Tensor, t_B: Tensor, states: Tensor) -> Tensor:
        if self.text_by_frame:
            states = states.repeat_interleave(noisy_BCFHW.shape[2], 0)
        return self.video(noisy_BCFHW, t_B.to(self.device), states, return_dict=False)[0]

    def clips(self, store: Clips, index: Tensor, frames: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Latents (B, C, F, h, w) and object weights (B, F, h, w)."""
        latents = store.latents[index][:, frames].float().transpose(1, 2)
        return latents, 1 + self.object_weight * store.weight[index][:, frames].float()

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        frames = self.frames_of_step(step, progress, generator)
        count = batch_limit(self.batch_size * min(4, self.store.num_frames // len(frames)), self.store.latents)
        index = torch.randint(len(self.store), (count,), generator=generator)
        x0, weight = self.clips(self.store, index.to(self.device), frames.to(self.device))
        late = self.late if progress < self.late_until else 0.0
        share = self.schedule.draw(count, generator, late) / self.schedule.num_steps
        t_B = ((self.least + (self.most - self.least) * share) * self.schedule.num_steps).long()
        noise = noise_like(x0, generator)
        noisy, target = self.schedule.mix(x0, noise, t_B.to(self.device))
        with torch.no_grad():
            states = self.words.embed(self.words.draw(self.store.seed[index].tolist(), generator))
        with at_positions(self.video, frames):
            predicted = self.predict(noisy, t_B, states)
        self.samples += count * processes.count()
        return weighted_error(predicted, target, weight, self.still), {}

    def frames_of_step(self, step: int, progress: float, generator: torch.Generator) -> Tensor:
        """Indices of the frames of a step, ascending: one, some, or all."""
        count = self.store.num_frames
        drawn = torch.randperm(count, generator=generator)
        if self.pictures and step % PICTURES_EVERY == PICTURES_EVERY - 1:
            return drawn[:1]
        if self.window:
            return torch.arange(self.window) + drawn[0] % (count - self.window + 1)
        return drawn[: self.few if progress < 0.7 and self.few else count].sort().values

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, Any]:
        """Return held-out errors with fixed noise, and the rise of the error in per cent when the frames are
        shuffled."""
        index = torch.arange(min(32, len(self.held_out)), device=self.device)
        x0, weight = self.clips(self.held_out, index)
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1)).to(x0)
        states = self.words.held_out(self.held_out.seed.tolist()[: len(x0)])
        found: dict[str, Any] = {}
        mixed = torch.randperm(x0.shape[2], generator=torch.Generator().manual_seed(2))
        for t in HELD_OUT_STEPS:
            t_B = torch.full((len(x0),), t, device=self.device)
            noisy, target = self.schedule.mix(x0, noise, t_B)
            error = weighted_error(self.predict(noisy, t_B, states), target, weight)
            found[f"error_{t}"] = round(float(error), 4)
            if t == HELD_OUT_STEPS[1]:
                out = self.predict(noisy[:, :, mixed], t_B, states)
                other = weighted_error(out, target[:, :, mixed], weight[:, mixed])
                found["shuffled_percent"] = round(100 * float(other / error - 1), 2)
        return found | self.judge(step)


class CombinedTasks:
    """Combines tasks on one network, since clips of different sizes cannot share a batch. Each step uses a task, drawn
    with a probability proportional to its number of clips; the first task is evaluated."""

    def __init__(self, tasks: Sequence[TemporalTask]) -> None:
        self.tasks = tasks
        self.modules: Mapping[str, nn.Module] = tasks[0].modules
        self.names_for_adam: tuple[str, ...] = tasks[0].names_for_adam
        self.shares = torch.tensor([float(len(task.store)) for task in tasks])

    @property
    def samples(self) -> int:
        return sum(task.samples for task in self.tasks)

    @samples.setter
    def samples(self, count: int) -> None:
        self.tasks[0].samples = count - sum(task.samples for task in self.tasks[1:])

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        which = int(torch.multinomial(self.shares, 1, generator=generator))
        return self.tasks[which].loss(step, progress, generator)

    def evaluate(self, step: int) -> dict[str, Any]:
        return self.tasks[0].evaluate(step)
