"""Train EasyAnimate's transformer (arXiv 2405.18991) by flow matching, in its three phases: the image model with its
text encoder, on single frames; motion modules on clips, with everything else frozen; then everything, on clips
with given first frames among them, and on longer clips in batches of about as many tokens; or on clips of several sizes
and lengths (data/token_buckets.py).

Shapes: B batch, C channels, T latent frames, h w latent cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...families.easyanimate.paper.transformer import is_motion
from ..core import processes
from ..core.frozen import Frozen
from ..data.buckets import Bucket
from ..data.captioner import Captioner
from ..data.frame_latents import FrameLatents
from ..data.token_buckets import TokenBuckets
from .cogvideox import fast_backward
from .flow import draw_times, mix, noise_like, weighted_error

Latents = FrameLatents | Bucket
Phase = Literal["images", "motion", "video"]
HELD_OUT_TIMES, LONG_TIME = (0.5, 0.8, 0.9), 0.8
PICTURES_EVERY, PICTURES = 8, 4
"""One batch in so many has single frames, so many times as many as clips: a motion module learns to do no harm."""
LONG_EVERY, LONG_LENGTHS = 4, 3
"""One batch in so many has longer clips, of one of so many lengths: all of it, a half, a quarter."""


class EasyAnimateTask(Frozen):
    """transformer (and in "images" and "video" the captioner's text encoder) are trained in place. late: shift of the
    times towards noise, where layout and motion are decided, in the first part of the training. given: share of clips
    whose first frame is an input ("video"). judge: scores samples. long: longer clips of "video", and held-out ones; a
    clip's beginning is a clip, since the autoencoder encodes slices alone. sizes: buckets to train on in place of the
    store and of longer clips."""

    names_for_adam = (
        "pos_embed", "adaln_single", "scale_shift_table", "norm", "proj_out.weight", "caption_projection", "shared",
        "embed_tokens", "relative_attention_bias",
    )  # fmt: skip
    object_weight, late_until = 2.0, 0.6

    def __init__(
        self, transformer: Any, words: Captioner, store: Latents, held_out: Latents, *, phase: Phase,
        device: str = "cpu", batch: int = 32, late: float = 0.8, given: float = 0.25,
        judge: Callable[[int], dict[str, Any]] = lambda step: {}, long: tuple[FrameLatents, FrameLatents] | None = None,
        sizes: TokenBuckets | None = None,
    ):  # fmt: skip
        self.phase: Phase = phase
        self.freeze(transformer, lambda name: self.learns(name))
        self.transformer, self.words = transformer.to(device), words
        self.modules: dict[str, nn.Module] = {"transformer": self.transformer}
        words.text_encoder.requires_grad_(phase != "motion")
        if phase != "motion":
            self.modules["text_encoder"] = words.text_encoder
        self.store, self.held_out, self.device = store, held_out, device
        self.batch_size, self.late, self.given, self.judge, self.samples = batch, late, given, judge, 0
        self.sizes, self.long = sizes, long if phase == "video" and sizes is None else None

    def learns(self, name: str) -> bool:
        """Whether a parameter of the transformer is trained in this phase."""
        return {"images": not is_motion(name), "motion": is_motion(name), "video": True}[self.phase]

    def predict(
        self, noisy_BCThw: Tensor, times_B: Tensor, states_BLD: Tensor, image_BCThw: Tensor | None = None
    ) -> Tensor:  # fmt: skip
        with fast_backward(self.device), self.transformer.with_motion(self.phase != "images"):
            found: Tensor = self.transformer(noisy_BCThw, states_BLD, 1000 * times_B.to(self.device), image_BCThw)
        return found

    def clips(self, store: Latents, index: Tensor, frames: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Latents (B, C, T, h, w) and weights (B, T, h, w)."""
        latents, weight = (each[index.to(each.device)][:, frames].float() for each in (store.latents, store.weight))
        return latents.transpose(1, 2).to(self.device), 1 + self.object_weight * weight.to(self.device)

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        single = self.phase == "images" or step % PICTURES_EVERY == PICTURES_EVERY - 1
        store, index, length = self.choose(step, single, generator)
        x0, weight = self.clips(store, index, slice(length))
        count, single = len(index), single or x0.shape[2] == 1
        if (
            x0.shape[2] > 1 and single
        ):  # the first frame, encoded alone as a picture is, as often as all others together
            when = torch.randint(1, x0.shape[2], (count,), generator=generator)
            when = (when * (torch.rand(count, generator=generator) < 0.5)).to(x0.device)
            rows = torch.arange(count, device=x0.device)
            x0, weight = x0[rows, :, when][:, :, None], weight[rows, when][:, None]
        late = self.late if progress < self.late_until else 0.0
        times = draw_times(count, 0.3 + late, generator).to(x0.device)
        noisy, target = mix(x0, noise_like(x0, generator), times)
        image = None
        if self.phase == "video" and not single:
            image = given_first(x0, torch.rand(count, generator=generator) < self.given)
        with torch.set_grad_enabled(self.phase != "motion"):
            states = self.words.embed(self.words.draw(store.seed[index].tolist(), generator))
        self.samples += count * processes.count()
        return weighted_error(self.predict(noisy, times, states, image), target, weight), {}

    def choose(self, step: int, single: bool, generator: torch.Generator) -> tuple[Any, Tensor, int]:
        """A batch: its store, the clips in it, and the latent frames of each. single: single frames are taken."""
        count, store, length = self.batch_size * (PICTURES if single else 1), self.store, self.store.latents.shape[1]
        if self.sizes is not None:
            store, index = self.sizes.draw(generator, single)
            return store, index, store.latents.shape[1]
        if self.long is not None and step % LONG_EVERY == 1:
            store, tokens = self.long[0], count * length
            halvings = int(torch.randint(LONG_LENGTHS, (), generator=generator))
            length = ((store.latents.shape[1] - 1) >> halvings) // 2 * 2 + 1
            count = max(1, tokens // length)
        return store, torch.randint(len(store), (count,), generator=generator), length

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, Any]:
        """Return held-out errors of whole clips with fixed noise, the rise in per cent without words, and ("video") the
        change in per cent with the first frame given, and the error of longer clips."""
        index = torch.arange(min(32, len(self.held_out)))
        x0, weight = self.clips(self.held_out, index)
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1)).to(x0)
        states = self.words.held_out(self.held_out.seed.tolist()[: len(x0)])
        silent = self.words.embed([""]).expand_as(states)
        found: dict[str, Any] = {}
        for time in HELD_OUT_TIMES:
            times = torch.full((len(x0),), time, device=x0.device)
            noisy, target = mix(x0, noise, times)
            error = float(weighted_error(self.predict(noisy, times, states), target, weight))
            without = float(weighted_error(self.predict(noisy, times, silent), target, weight))
            found[f"error_{time}"] = round(error, 4)
            found[f"silent_percent_{time}"] = round(100 * (without / error - 1), 1)
            if self.phase == "video":
                image = given_first(x0, torch.ones(len(x0), dtype=torch.bool))
                other = float(weighted_error(self.predict(noisy, times, states, image), target, weight))
                found[f"first_percent_{time}"] = round(100 * (other / error - 1), 1)
        return found | self.evaluate_long() | {"samples": self.samples} | self.judge(step)

    @torch.no_grad()
    def evaluate_long(self) -> dict[str, float]:
        """The held-out error of the longest clips, one by one; nothing without them."""
        if self.long is None:
            return {}
        store, errors = self.long[1], []
        for index in range(len(store)):
            x0, weight = self.clips(store, torch.tensor([index]))
            times = torch.full((1,), LONG_TIME, device=x0.device)
            noisy, target = mix(x0, torch.randn(x0.shape, generator=torch.Generator().manual_seed(index)).to(x0), times)
            states = self.words.held_out([int(store.seed[index])])
            errors.append(float(weighted_error(self.predict(noisy, times, states), target, weight)))
        return {f"error_long_{LONG_TIME}": round(sum(errors) / len(errors), 4)}


def given_first(x0_BCThw: Tensor, given_B: Tensor) -> Tensor:
    """The image input of clips (B, C + 1, T, h, w): their first latent frames and where they are given, else zeros."""
    image = x0_BCThw.new_zeros(x0_BCThw.shape[0], x0_BCThw.shape[1] + 1, *x0_BCThw.shape[2:])
    chosen = given_B.to(x0_BCThw).view(-1, 1, 1, 1)
    image[:, :-1, 0] = x0_BCThw[:, :, 0] * chosen
    image[:, -1:, 0] = chosen
    return image
