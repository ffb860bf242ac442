"""Training a WanVACETransformer3DModel together with its UMT5 encoder on cached latents.

Every position of a batch has its own task, so shapes never change: words alone, known pixels (first frame, first and
last, box, extension), a drawn path; each twelfth step is about reference pictures, which add a latent frame.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.toyland.caption import describe
from kinema.toyland.scene import World, sample_scene

from .flow import draw_times, mix, weighted_error
from .latents import LatentStore
from .vace import assemble

SHARES = {"text": 0.41, "known": 0.34, "dots": 0.25}
REFERENCE_EVERY = 12
HELD_OUT_TIMES = (0.5, 0.8, 0.9)


class VideoTask:
    """transformer and text encoder are trained in place; the tokenizer gives their words.

    drop: share of captions that are emptied (for guidance). forget: share of words replaced by <unk>, so that unknown
    words do no harm. object_weight: extra loss weight inside objects.
    """

    names_for_adam = (
        "patch_embedding", "shared", "embed_tokens", "relative_attention_bias", "scale_shift_table",
        "condition_embedder.time_embedder", "norm",
    )  # fmt: skip

    def __init__(
        self, transformer: nn.Module, text_encoder: nn.Module, tokenizer: Any, store: LatentStore,
        held_out: LatentStore, world: World, *, device: str = "cpu", batch: int = 32, tokens: int = 64,
        drop: float = 0.1, forget: float = 0.02, object_weight: float = 2.0, times: tuple[float, float] = (1.0, 0.5),
    ):  # fmt: skip
        self.modules = {"transformer": transformer.to(device), "text_encoder": text_encoder.to(device)}
        self.transformer, self.text_encoder, self.tokenizer = transformer, text_encoder, tokenizer
        self.store, self.held_out, self.world, self.device = store, held_out, world, device
        self.batch_size, self.tokens, self.drop, self.forget = batch, tokens, drop, forget
        self.object_weight, self.times = object_weight, times
        self.samples = 0

    def embed(self, captions: list[str], generator: torch.Generator | None = None) -> Tensor:
        """Text states (B, tokens, D): real tokens, then zeros, as the pipeline pads. A generator forgets words."""
        words = self.tokenizer(captions, padding=True, truncation=True, max_length=self.tokens, return_tensors="pt")
        ids, mask = words.input_ids, words.attention_mask
        if generator is not None and self.forget:
            lost = (torch.rand(ids.shape, generator=generator) < self.forget) & (ids > 2)
            ids = torch.where(lost, 2, ids)
        ids, mask = ids.to(self.device), mask.to(self.device)
        states = self.text_encoder(ids, mask).last_hidden_state * mask[..., None]
        return F.pad(states, (0, 0, 0, self.tokens - ids.shape[1]))

    def captions(self, seeds: list[int], generator: torch.Generator) -> list[str]:
        """A fresh wording for each scene; some are dropped."""
        wording = torch.randint(1 << 30, (len(seeds),), generator=generator).tolist()
        dropped = (torch.rand(len(seeds), generator=generator) < self.drop).tolist()
        return [
            "" if gone else describe(sample_scene(seed, self.world), number)
            for seed, number, gone in zip(seeds, wording, dropped, strict=True)
        ]

    def conditions(self, store: LatentStore, index: Tensor, tasks: dict[str, int]) -> Tensor:
        """Control input (B, 96, T, h, w): the first tasks["text"] clips have none, the next known pixels, then dots."""
        gray = store.gray.expand(len(index), -1, -1, -1, -1)
        inactive, reactive = gray.clone(), gray.clone()
        mask = torch.ones(len(index), *store.frame_shape)
        known = slice(tasks["text"], tasks["text"] + tasks["known"])
        dots = slice(known.stop, known.stop + tasks["dots"])
        inactive[known] = store.tensors["known"][index[known]].float()
        mask[known] = store.masks(index[known])
        reactive[dots] = store.tensors["dots"][index[dots]].float()
        return assemble(inactive, reactive, mask, None)

    def predict(self, noisy: Tensor, times_B: Tensor, states: Tensor, control: Tensor) -> Tensor:
        return self.transformer(
            hidden_states=noisy, timestep=times_B.to(self.device) * 1000, encoder_hidden_states=states,
            control_hidden_states=control, return_dict=False,
        )[0]  # fmt: skip

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        if step % 100 == 0:
            self.store.refresh()
        with_reference = step % REFERENCE_EVERY == REFERENCE_EVERY - 1
        index = torch.randint(len(self.store), (self.batch_size,), generator=generator)
        tensors = self.store.tensors
        x0, weight = tensors["clean"][index].float(), tensors["weight"][index].float() * self.object_weight + 1
        if with_reference:
            gray = self.store.gray.expand(len(index), -1, -1, -1, -1)
            reference = tensors["reference"][index].float()
            control = assemble(gray, gray, torch.ones(len(index), *self.store.frame_shape), reference)
            x0 = torch.cat([reference, x0], dim=2)
            weight = F.pad(weight, (0, 0, 0, 0, 1, 0), value=0.5)
        else:
            control = self.conditions(self.store, index, shares(self.batch_size))
        times = draw_times(len(index), self.times[0] if progress < 0.6 else self.times[1], generator)
        noisy, target = mix(x0, torch.randn(x0.shape, generator=generator), times)
        states = self.embed(self.captions(tensors["seed"][index].tolist(), generator), generator)
        predicted = self.predict(noisy.to(self.device), times, states, control.to(self.device))
        loss = weighted_error(predicted, target.to(self.device), weight.to(self.device))
        return loss, {"reference" if with_reference else "plain": loss.item()}

    def evaluate(self, step: int) -> dict[str, Any]:
        return held_out_losses(self) | {"clips": len(self.store)}


def shares(batch: int) -> dict[str, int]:
    """How many positions of a batch each task has."""
    counts = {name: max(1, round(share * batch)) for name, share in SHARES.items() if name != "text"}
    return {"text": batch - sum(counts.values()), **counts}


def swapped(world: World, seed: int) -> dict[str, Any]:
    """Scenes that differ from scene `seed` in one word class of the first object or of the place."""
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
    """Flow error on held-out clips with fixed noise: words alone at several times, with dots, and the rise in per cent
    at `swap_time` when one class of words is wrong (the word-swap probe)."""
    store = task.held_out
    index = torch.arange(min(num_clips, len(store)))
    seeds = store.tensors["seed"][index].tolist()
    x0, weight = store.tensors["clean"][index].float(), store.tensors["weight"][index].float() * 2 + 1
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1))
    text = task.conditions(store, index, {"text": len(index), "known": 0, "dots": 0})
    dots = task.conditions(store, index, {"text": 0, "known": 0, "dots": len(index)})

    def error(time: float, captions: list[str], control: Tensor) -> float:
        total = 0.0
        for part in torch.arange(len(index)).split(32):
            times = torch.full((len(part),), time)
            noisy, target = mix(x0[part], noise[part], times)
            states = task.embed([captions[i] for i in part])
            out = task.predict(noisy.to(task.device), times, states, control[part].to(task.device)).cpu()
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
    return {"losses": losses, "dots_t0.8": round(error(0.8, true, dots), 4), "swap_percent": swaps}


def initialize_transformer(transformer: nn.Module) -> None:
    """The last projection starts at zero, so that the first prediction is zero and not noise."""
    nn.init.zeros_(transformer.proj_out.weight)
    nn.init.zeros_(transformer.proj_out.bias)
