"""Train a CLIP model of transformers on Toyland pictures and captions, with CLIP's own loss (Radford and others, 2021,
arXiv 2103.00020, figure 3).

A batch holds pairs of scenes that differ in one attribute, so that a caption must be told from one that is almost right
(the idea of NegCLIP, Yuksekgonul and others, 2023, arXiv 2210.01936, with rendered pictures in place of mined ones). In
the first half of the training the picture encoder also answers what the scene contains; these heads are thrown away.

Legend: B pictures and captions of a batch, S scenes, T times of a scene, C channels, H W pixels.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.whole import whole
from ...toyland.caption import describe_fully
from ...toyland.render import render
from ...toyland.scene import BACKGROUNDS, COLORS, KINDS, LIGHTS, STYLES, Scene, World, sample_scene

SWAPS = ("color", "kind", "background", "light", "style")
QUESTIONS = {"background": len(BACKGROUNDS), "light": len(LIGHTS), "style": len(STYLES)}
"""Attributes of the place, asked as classes; the objects are asked as a set of (kind, colour)."""
HELP = 0.5
"""Weight of the questions at the start; it falls to 0 at half the training."""
HOTTEST = 100.0
"""Most that similarities are multiplied with before the softmax (as in CLIP)."""
WORDINGS = 40


def twin(scene: Scene, what: str, world: World, seed: int) -> Scene:
    """The scene with another colour or kind of its first object, or another background, light or style."""
    rng = random.Random(f"twin/{seed}")
    if what in ("color", "kind"):
        first, *others = scene.actors
        words = world.colors if what == "color" else world.kinds
        taken = {(actor.kind, actor.color) for actor in scene.actors}
        changes: list[dict[str, Any]] = [{what: word} for word in words]
        found = [replace(first, **change) for change in changes]
        found = [actor for actor in found if (actor.kind, actor.color) not in taken]
        return replace(scene, actors=(rng.choice(found), *others))
    words = {"background": world.backgrounds, "light": world.lights, "style": STYLES}[what]
    other: dict[str, Any] = {what: rng.choice([word for word in words if word != getattr(scene, what)])}
    return replace(scene, **other)


def caption_stating(scene: Scene, what: str, seed: int) -> str:
    """A caption that states the attribute; colour and kind are always stated."""
    for wording in range(seed * WORDINGS, (seed + 1) * WORDINGS):
        text, stated = describe_fully(scene, wording)
        if what in ("color", "kind") or getattr(stated, what) is not None:
            break
    return text


class TwinPictures:
    """Pairs of scenes of which each differs from its twin in one attribute (SWAPS, in turn), rendered at `times` random
    times. Rows 2 n and 2 n + 1 are twins."""

    def __init__(
        self, file: Path, worlds: Sequence[World], seeds: range, *, side: int = 64, times: int = 4,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:  # fmt: skip
        self.scenes: list[Scene] = []
        self.swaps = [SWAPS[seed % len(SWAPS)] for seed in seeds]
        for seed, what in zip(seeds, self.swaps, strict=True):
            world = worlds[seed // len(SWAPS) % len(worlds)]
            scene = sample_scene(seed, world)
            self.scenes += [scene, twin(scene, what, world, seed)]
        if not file.exists():
            made = []
            for start in range(0, len(self.scenes), 64):
                report(start, len(self.scenes))
                part = self.scenes[start : start + 64]
                made.append(render(part, num_frames=times, height=side, width=side, fps=1.9).frames_BFHWC.numpy())
            file.parent.mkdir(parents=True, exist_ok=True)
            with whole(file) as beside, beside.open("wb") as stream:
                np.save(stream, np.concatenate(made))
        self.frames_STHWC = np.load(file, mmap_mode="r")

    def __len__(self) -> int:
        return len(self.swaps)

    def draw(self, pairs: Sequence[int], generator: torch.Generator) -> tuple[Tensor, list[str], list[Scene]]:
        """(pictures in [0, 1], (B, 3, H, W); captions; scenes) of pairs and their twins; both twins at one time."""
        pictures, captions, scenes = [], [], []
        for pair in pairs:
            when = int(torch.randint(self.frames_STHWC.shape[1], (), generator=generator))
            for row in (2 * pair, 2 * pair + 1):
                wording = int(torch.randint(1 << 20, (), generator=generator))
                pictures.append(self.frames_STHWC[row, when])
                captions.append(caption_stating(self.scenes[row], self.swaps[pair], wording))
                scenes.append(self.scenes[row])
        return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255, captions, scenes


class ClipTask:
    """model: a CLIPModel, trained in place. damage: changes pictures in [0, 1] at random, as weak models do."""

    names_for_adam = ("embedding", "logit_scale", "norm", "projection", "questions")

    def __init__(
        self, model: Any, tokenizer: Any, train: TwinPictures, held_out: TwinPictures, *, mean: Sequence[float],
        std: Sequence[float], device: str = "cpu", pairs: int = 48,
        damage: Callable[[Tensor, torch.Generator], Tensor] = lambda x, generator: x,
    ) -> None:  # fmt: skip
        self.model, self.tokenizer, self.train_set, self.held_out = model.to(device), tokenizer, train, held_out
        self.device, self.pairs, self.damage, self.samples = device, pairs, damage, 0
        self.mean, self.std = (torch.tensor(value).view(1, 3, 1, 1) for value in (mean, std))
        width = model.config.vision_config.hidden_size
        answers = QUESTIONS | {"objects": len(KINDS) * len(COLORS)}
        self.questions = nn.ModuleDict({name: nn.Linear(width, count) for name, count in answers.items()}).to(device)
        nn.init.constant_(self.questions.get_parameter("objects.bias"), -4.0)  # one or two of 96 are there
        self.modules: dict[str, nn.Module] = {"clip": model, "questions": self.questions}

    def encode(self, pictures_BCHW: Tensor, captions: list[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Unit vectors of pictures and captions, and the picture encoder's pooled state."""
        pixels = ((pictures_BCHW - self.mean) / self.std).to(self.device)
        tokens = self.tokenizer(captions, padding=True, truncation=True, return_tensors="pt").to(self.device)
        pooled = self.model.vision_model(pixel_values=pixels).pooler_output
        words = self.model.text_model(**tokens).pooler_output
        pictures = F.normalize(self.model.visual_projection(pooled), dim=-1)
        return pictures, F.normalize(self.model.text_projection(words), dim=-1), pooled

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        pairs = torch.randperm(len(self.train_set), generator=generator)[: self.pairs].tolist()
        pictures, captions, scenes = self.train_set.draw(pairs, generator)
        with torch.autocast("cpu", enabled=False):  # of pixels
            pictures = self.damage(pictures, generator)
        seen, said, pooled = self.encode(pictures, captions)
        seen, said, pooled = seen.float(), said.float(), pooled.float()
        scores = self.model.logit_scale.clamp(max=float(np.log(HOTTEST))).exp() * seen @ said.T
        own = torch.arange(len(captions), device=self.device)
        contrast = (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2
        asked = self.asked(pooled, scenes)
        self.samples += len(captions)
        found = float((scores.argmax(1) == own).float().mean())
        numbers = {"contrast": contrast.item(), "asked": asked.item(), "found": found}
        return contrast + HELP * max(0.0, 1 - 2 * progress) * asked, numbers

    def asked(self, pooled_BD: Tensor, scenes: Sequence[Scene]) -> Tensor:
        """Loss of the questions about what the pictures contain."""
        total = pooled_BD.new_zeros(())
        for name, words in (("background", BACKGROUNDS), ("light", LIGHTS), ("style", STYLES)):
            right = torch.tensor([words.index(getattr(scene, name)) for scene in scenes], device=self.device)
            total = total + F.cross_entropy(self.questions[name](pooled_BD), right)
        there = torch.zeros(len(scenes), len(KINDS) * len(COLORS), device=self.device)
        for row, scene in enumerate(scenes):
            for actor in scene.actors:
                there[row, KINDS.index(actor.kind) * len(COLORS) + COLORS.index(actor.color)] = 1
        objects = F.binary_cross_entropy_with_logits(self.questions["objects"](pooled_BD), there, reduction="none")
        return total + objects.sum(1).mean()

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, Any]:
        """Percent right: the caption of a held-out picture among 64 (each of another scene), and its own caption
        against that of its twin, by the attribute in which they differ."""
        generator = torch.Generator().manual_seed(0)
        choices = 64
        retrieved, swaps = [], {name: [0, 0] for name in SWAPS}
        for start in range(0, len(self.held_out), choices):
            pairs = range(start, min(start + choices, len(self.held_out)))
            seen, said, _ = self.encode(*self.held_out.draw(pairs, generator)[:2])
            scores = (seen @ said.T).cpu()
            alone = scores[::2, ::2]
            retrieved += (alone.argmax(1) == torch.arange(len(alone))).tolist()
            for index, pair in enumerate(pairs):
                box = scores[2 * index : 2 * index + 2, 2 * index : 2 * index + 2]
                swaps[self.held_out.swaps[pair]][0] += int(box[0, 0] > box[0, 1]) + int(box[1, 1] > box[1, 0])
                swaps[self.held_out.swaps[pair]][1] += 2
        found = {"retrieved_percent": round(100 * float(np.mean(retrieved)), 1), "choices": choices}
        return found | {f"swap_{name}_percent": round(100 * good / max(1, n), 1) for name, (good, n) in swaps.items()}
