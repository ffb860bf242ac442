"""Train a WanVACETransformer3DModel and its UMT5 encoder on cached latents.

All clips of a step have one shape. In most steps each clip has its own task: text only, its encoded condition
(condition_kinds.KINDS), or the whole clip with a mask of zeros. Some steps have one or two reference images, which add
latent frames, and some have single frames. A training begins with single frames, which are cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...toyland.caption import describe
from ...toyland.scene import World, sample_scene
from ..core import processes
from ..data import condition_kinds
from ..data.captioner import WORDINGS, caption
from ..data.latents import LatentStore
from ..data.vace import assemble
from .flow import draw_times, mix, noise_like, weighted_error

TEXT, NOTHING_NEW = 0.4, 0.05
"""Shares of clips with text only, and of clips that are fully given (mask of zeros)."""
REFERENCES = {5: 1, 17: 1, 29: 2, 41: 1}
"""Steps (modulo ROUND) with reference images: how many. Half of their clips have their condition too."""
PICTURES = (13, 37)
"""Steps (modulo ROUND) with single frames."""
ROUND = 48
WARM_UP = 0.06
PICTURE_BATCH = 3
"""Factor on the batch size of single frames."""
PLACE_ONLY = 0.6
"""Share of clips of the kind "empty_place" whose caption describes only the place."""
SILENT = 0.5
"""Share of removals with an empty caption."""
RARELY_WORDLESS = 0.2
"""Factor on `drop` if the mask hides objects (condition_kinds.HIDE_OBJECTS), since a mask without a caption should
mostly mean removal."""
HELD_OUT_TIMES = (0.5, 0.8, 0.9)


class VideoTask:
    """Trains transformer and text encoder in place.

    drop: share of captions replaced by "" (for guidance). forget: share of words replaced by <unk>, so that the model
    tolerates unknown words. object_weight: extra loss weight inside objects. warm_up: share of the training with single
    frames only. judge: returns more measurements for a step.
    """

    names_for_adam = (
        "patch_embedding", "shared", "embed_tokens", "relative_attention_bias", "scale_shift_table",
        "condition_embedder.time_embedder", "norm",
    )  # fmt: skip

    def __init__(
        self, transformer: nn.Module, text_encoder: nn.Module, tokenizer: Any, store: LatentStore,
        held_out: LatentStore, world: World, *, device: str = "cpu", batch: int = 32, tokens: int = 64,
        drop: float = 0.1, forget: float = 0.02, object_weight: float = 2.0, times: tuple[float, float] = (1.0, 0.5),
        warm_up: float = WARM_UP, judge: Callable[[int], dict[str, Any]] = lambda step: {},
    ):  # fmt: skip
        self.modules = {"transformer": transformer.to(device), "text_encoder": text_encoder.to(device)}
        self.transformer, self.text_encoder, self.tokenizer = transformer, text_encoder, tokenizer
        self.store, self.held_out, self.world, self.device = store, held_out, world, device
        self.batch_size, self.tokens, self.drop, self.forget = batch, tokens, drop, forget
        self.object_weight, self.times, self.warm_up, self.judge = object_weight, times, warm_up, judge
        self.samples = 0

    def embed(self, captions: list[str], generator: torch.Generator | None = None) -> Tensor:
        """Encode captions to text states (B, tokens, D), padded with zeros as the pipeline does. With a generator, some
        words become <unk>."""
        words = self.tokenizer(captions, padding=True, truncation=True, max_length=self.tokens, return_tensors="pt")
        ids, mask = words.input_ids, words.attention_mask
        if generator is not None and self.forget:
            lost = (torch.rand(ids.shape, generator=generator) < self.forget) & (ids > 2)
            ids = torch.where(lost, 2, ids)
        ids, mask = ids.to(self.device), mask.to(self.device)
        states = self.text_encoder(ids, mask).last_hidden_state * mask[..., None]
        return F.pad(states, (0, 0, 0, self.tokens - ids.shape[1]))

    def captions(
        self,
        index: Tensor,
        generator: torch.Generator,
        conditioned: Tensor | None = None,
        store: LatentStore | None = None,
    ) -> list[str]:
        """Draw a wording for each clip of a store (default: the training clips); some are dropped. conditioned (B,)
        bool: clips that have their condition."""
        tensors = (store or self.store).tensors
        kinds, seeds = tensors["kind"][index].tolist(), tensors["seed"][index].tolist()
        wording = torch.randint(WORDINGS, (len(seeds),), generator=generator).tolist()
        chance = torch.rand(len(seeds), generator=generator).tolist()
        bare = (torch.rand(len(seeds), generator=generator) < PLACE_ONLY).tolist()
        silences = (torch.rand(len(seeds), generator=generator) < SILENT).tolist()
        found = []
        for position, (seed, number) in enumerate(zip(seeds, wording, strict=True)):
            kind = condition_kinds.NAMES[kinds[position]]
            empty = kind == "empty_place" and conditioned is not None and bool(conditioned[position])
            place = kind in condition_kinds.WITHOUT_OBJECTS or (empty and bare[position])
            hidden = kind in condition_kinds.HIDE_OBJECTS and conditioned is not None and bool(conditioned[position])
            dropped = chance[position] < self.drop * (RARELY_WORDLESS if hidden else 1)
            silent = dropped or (kind in condition_kinds.WITHOUT_OBJECTS and silences[position])
            found.append("" if silent else caption(seed, self.world, number, place))
        return found

    def conditions(
        self, store: LatentStore, index: Tensor, conditioned: Tensor, whole: Tensor | None = None,
        references: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Assemble the control input (B, 96, T, h, w). conditioned (B,) bool: clips with their condition; the others
        have text only. whole (B,) bool: clips that are fully given. references (B, 16, R, h, w): go in front."""
        gray = store.gray.expand(len(index), -1, -1, -1, -1)
        mask = torch.where(conditioned[:, None, None, None], store.masks(index), 1.0)
        part = conditioned[:, None, None, None, None]
        inactive = torch.where(part, store.tensors["inactive"][index].float(), gray)
        reactive = torch.where(part, store.tensors["reactive"][index].float(), gray)
        if whole is not None and whole.any():
            inactive[whole], reactive[whole] = store.tensors["clean"][index[whole]].float(), gray[whole]
            mask[whole] = 0.0
        return assemble(inactive, reactive, mask, references)

    def predict(self, noisy: Tensor, times_B: Tensor, states: Tensor, control: Tensor) -> Tensor:
        return self.transformer(
            hidden_states=noisy, timestep=times_B.to(self.device) * 1000, encoder_hidden_states=states,
            control_hidden_states=control, return_dict=False,
        )[0]  # fmt: skip

    def batch(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, list[str]]:
        """Draw clean latents (B, C, T, h, w), control, loss weights (B, T, h, w) and captions for a step."""
        number = step % ROUND
        if progress < self.warm_up or number in PICTURES:
            return self._pictures(self._choose(PICTURE_BATCH * self.batch_size, generator, text_only=True), generator)
        index = self._choose(self.batch_size, generator)
        chance = torch.rand(len(index), generator=generator).to(self.device)
        if number in REFERENCES:
            return self._with_references(index, chance >= 0.5, REFERENCES[number], generator)
        whole = (chance >= TEXT) & (chance < TEXT + NOTHING_NEW)
        conditioned = ((chance >= TEXT) | self._needs_condition(index)) & ~whole
        control = self.conditions(self.store, index, conditioned, whole)
        return *self._clean(index), control, self.captions(index, generator, conditioned)

    def _choose(self, count: int, generator: torch.Generator, text_only: bool = False) -> Tensor:
        """Draw clips of the store. text_only: only clips that can be generated from text."""
        rows = torch.arange(len(self.store), device=self.device)
        if text_only:
            rows = rows[~self._needs_condition(rows)]
        return rows[torch.randint(len(rows), (count,), generator=generator).to(self.device)]

    def _needs_condition(self, index: Tensor) -> Tensor:
        kinds = torch.tensor(
            [condition_kinds.NAMES.index(name) for name in condition_kinds.NEEDS_CONDITION], device=self.device
        )
        return torch.isin(self.store.tensors["kind"][index], kinds)

    def _clean(self, index: Tensor) -> tuple[Tensor, Tensor]:
        tensors = self.store.tensors
        return tensors["clean"][index].float(), tensors["weight"][index].float() * self.object_weight + 1

    def _pictures(self, index: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, list[str]]:
        x0, weight = self._clean(index)
        gray = self.store.gray[:, :, :1].expand(len(index), -1, -1, -1, -1)
        _, height, width = self.store.frame_shape
        control = assemble(gray, gray, torch.ones(len(index), 1, height, width, device=self.device))
        return x0[:, :, :1], weight[:, :1], control, self.captions(index, generator)

    def _with_references(
        self, index: Tensor, conditioned: Tensor, count: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, list[str]]:
        """Put `count` reference latents in front; a clip with fewer images repeats its last one, or has a white image.
        conditioned (B,) bool: clips that also have their condition."""
        conditioned = conditioned | self._needs_condition(index)
        x0, weight = self._clean(index)
        tensors = self.store.tensors
        second = torch.where(tensors["references"][index] > 1, 1, 0)
        pictures = [tensors["reference"][index][:, :, :1].float()]
        if count == 2:
            every = tensors["reference"][index].float()
            pictures.append(every[torch.arange(len(index), device=self.device), :, second][:, :, None])
        references = torch.cat(pictures, dim=2)
        control = self.conditions(self.store, index, conditioned, references=references)
        weight = F.pad(weight, (0, 0, 0, 0, count, 0), value=0.5)
        return torch.cat([references, x0], dim=2), weight, control, self.captions(index, generator, conditioned)

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        if step % 100 == 0:
            self.store.refresh()
        x0, weight, control, captions = self.batch(step, progress, generator)
        times = draw_times(len(x0), self.times[0] if progress < 0.6 else self.times[1], generator)
        noisy, target = mix(x0, noise_like(x0, generator), times)
        states = self.embed(captions, generator)
        predicted = self.predict(noisy, times, states, control)
        loss = weighted_error(predicted, target, weight)
        self.samples += len(x0) * processes.count()
        return loss, {}

    def evaluate(self, step: int) -> dict[str, Any]:
        return held_out_losses(self) | {"clips": len(self.store)} | self.judge(step)


def swapped(world: World, seed: int) -> dict[str, Any]:
    """Return scenes that differ from scene `seed` in one attribute of the first object or of the place."""
    scene = sample_scene(seed, world)
    actor = scene.actors[0]

    def other(options: tuple[str, ...], now: str) -> str:
        choices = sorted(set(options) - {now})
        return choices[seed % len(choices)]

    def with_actor(**values: Any) -> Any:
        return replace(scene, actors=(replace(actor, **values), *scene.actors[1:]))

    motions = tuple(motion for motion in world.motions if motion != "diagonal")
    return {
        "background": replace(scene, background=other(world.backgrounds, scene.background)),
        "light": replace(scene, light=other(world.lights, scene.light)),
        "color": with_actor(color=other(world.colors, actor.color)),
        "kind": with_actor(kind=other(world.kinds, actor.kind)),
        "motion": with_actor(motion=other(motions, actor.motion), heading=""),
    }


@torch.no_grad()
def held_out_losses(task: VideoTask, num_clips: int = 64, swap_time: float = 0.8) -> dict[str, Any]:
    """Measure the flow error on held-out clips with fixed noise: with text only at several times, with conditions, and
    the rise in per cent at `swap_time` when one class of words is wrong (word-swap probe)."""
    store = task.held_out
    index = torch.arange(min(num_clips, len(store)), device=task.device)
    seeds = store.tensors["seed"][index].tolist()
    x0, weight = store.tensors["clean"][index].float(), store.tensors["weight"][index].float() * 2 + 1
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1)).to(x0)
    text = task.conditions(store, index, torch.zeros(len(index), dtype=torch.bool, device=task.device))
    conditioned = task.conditions(store, index, torch.ones(len(index), dtype=torch.bool, device=task.device))

    def error(time: float, captions: list[str], control: Tensor) -> float:
        total = 0.0
        for part in torch.arange(len(index)).split(32):
            times = torch.full((len(part),), time)
            noisy, target = mix(x0[part], noise[part], times)
            states = task.embed([captions[i] for i in part])
            out = task.predict(noisy, times, states, control[part])
            total += float(weighted_error(out, target, weight[part])) * len(part)
        return total / len(index)

    true = [describe(sample_scene(seed, task.world), 0) for seed in seeds]
    losses = {f"t{time}": round(error(time, true, text), 4) for time in HELD_OUT_TIMES}
    base = error(swap_time, true, text)
    wrong: dict[str, list[str]] = {}
    for seed in seeds:
        for name, scene in swapped(task.world, seed).items():
            wrong.setdefault(name, []).append(describe(scene, 0))
    swaps = {name: round(100 * (error(swap_time, captions, text) / base - 1), 2) for name, captions in wrong.items()}
    return {"losses": losses, "told_t0.8": round(error(0.8, true, conditioned), 4), "swap_percent": swaps}


def initialize_transformer(transformer: nn.Module) -> None:
    """Initialize the last projection with zeros, so that the first prediction is zero."""
    nn.init.zeros_(transformer.proj_out.weight)
    nn.init.zeros_(transformer.proj_out.bias)
