"""Training what moves in a video UNet on clips, while the image model under it and its text encoder stay what they
are, to the bit: the temporal layers (Video LDM, arXiv 2304.08818), AnimateDiff's motion modules (arXiv 2307.04725), or
adapters of low rank in them (MotionLoRA). Or all of the UNet is trained (ModelScope, arXiv 2308.06571).

Some batches are single pictures out of the clips (ModelScope's way): temporal layers learn to leave a lone frame alone.
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
"""One batch in so many is single pictures."""
HELD_OUT_STEPS = (300, 600, 850)
MOST_ROWS = 65_535
"""Attention over time takes every place of every clip as a row of its own; a GPU's kernels take at most so many."""


class Clips(Protocol):
    """Clips to learn from (FrameLatents, buckets.Bucket): latents (N, F, C, h, w), weights of their cells (N, F, h, w)
    and a number (N,) that the captioner knows each by."""

    @property
    def latents(self) -> Tensor: ...

    @property
    def weight(self) -> Tensor: ...

    @property
    def seed(self) -> Tensor: ...

    @property
    def num_frames(self) -> int: ...

    def __len__(self) -> int: ...


def at_most(count: int, latents: Tensor) -> int:
    """So many clips of these latents (..., h, w), or as many as attention over time takes at once."""
    return max(1, min(count, MOST_ROWS // (latents.shape[-2] * latents.shape[-1])))


@contextmanager
def at_places(video: nn.Module, frames_F: Tensor) -> Iterator[None]:
    """The frames that a network of clips is given inside are these of a clip, not the first F: attention over time
    (AnimateDiff's sinusoidal places) takes them for what they are."""
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
    """video: a UNet of clips (B, C, F, h, w), trained in place: the parameters that `trained` names. words: what is
    said of a clip, its text encoder frozen.

    text_by_frame: the UNet takes the text states of every frame of its own (UNetMotionModel does). late: how far noise
    levels are moved towards noise in the first part of the training (late_until, a share): motion is decided there.
    pictures: are some batches single pictures? few: in the first 70 %, so many frames of every clip, drawn at random
    and each at its own place in time (for networks whose layers over time know frames by their place): more clips in
    the same time. window: always so
    many frames in a row (for networks that know frames by their neighbours alone). 0: always all. most: the share of
    the noise levels that is learnt, from the lowest: a second pass never sees the others. least: the share that is not
    learnt, from the lowest. still: weight of what does not tell forwards from backwards (ddpm.weighted_error).
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
        count = at_most(self.batch_size * min(4, self.store.num_frames // len(frames)), self.store.latents)
        index = torch.randint(len(self.store), (count,), generator=generator)
        x0, weight = self.clips(self.store, index.to(self.device), frames.to(self.device))
        late = self.late if progress < self.late_until else 0.0
        share = self.schedule.draw(count, generator, late) / self.schedule.num_steps
        t_B = ((self.least + (self.most - self.least) * share) * self.schedule.num_steps).long()
        noise = noise_like(x0, generator)
        noisy, target = self.schedule.mix(x0, noise, t_B.to(self.device))
        with torch.no_grad():
            states = self.words.embed(self.words.draw(self.store.seed[index].tolist(), generator))
        with at_places(self.video, frames):
            predicted = self.predict(noisy, t_B, states)
        self.samples += count * processes.count()
        return weighted_error(predicted, target, weight, self.still), {}

    def frames_of_step(self, step: int, progress: float, generator: torch.Generator) -> Tensor:
        """Which frames of its clips a step sees, in order: one, a few, or all."""
        count = self.store.num_frames
        drawn = torch.randperm(count, generator=generator)
        if self.pictures and step % PICTURES_EVERY == PICTURES_EVERY - 1:
            return drawn[:1]
        if self.window:
            return torch.arange(self.window) + drawn[0] % (count - self.window + 1)
        return drawn[: self.few if progress < 0.7 and self.few else count].sort().values

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, Any]:
        """Held-out error on clips with fixed noise, and how much of it is due to the order of the frames: the rise in
        per cent where every frame is told apart from its neighbours by a shuffle."""
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


class Several:
    """Several tasks on one network as one: clips of several sizes cannot share a batch. Each step is taken by one of
    the tasks, drawn by how many clips it has; the first one is measured."""

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
