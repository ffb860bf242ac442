"""Train a small video encoder by questions about Toyland clips whose answers are known: what moves where and how fast,
how the camera moves, whether the frames are in order, and what the scene contains.

Time is visible in Toyland only where an object has a front or weather falls; only such clips are asked for forward or
backward. Shuffled clips and clips with neighbours swapped are asked for everything else too.

Legend: B clips, S scenes, F frames, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.whole import whole
from ...toyland.render import render
from ...toyland.scene import BACKGROUNDS, CAMERAS, COLORS, KINDS, LIGHTS, MOTIONS, STYLES, Scene, World, sample_scene

ORDERS = ("forward", "reversed", "shuffled", "swapped")
SPEEDS_PX = (0.25, 0.8, 1.4, 2.2)
"""Bounds of the classes of speed: median motion of the first object in px per frame, frames of 64 px."""
QUESTIONS = {
    "order": (len(ORDERS), 1.0), "motion": (len(MOTIONS), 1.0), "speed": (len(SPEEDS_PX) + 1, 0.7),
    "camera": (len(CAMERAS), 1.0), "kind": (len(KINDS), 0.3), "color": (len(COLORS), 0.2),
    "background": (len(BACKGROUNDS), 0.15), "light": (len(LIGHTS), 0.1), "style": (len(STYLES), 0.15),
}  # fmt: skip
"""Number of classes and weight of each question."""
UNKNOWN = -100
"""A question without an answer: ignored by the loss."""
_BACK = {
    "left": "right", "right": "left", "up": "down", "down": "up", "diagonal": "diagonal", "bounce": "bounce",
    "stay": "stay", "pan-left": "pan-right", "pan-right": "pan-left", "tilt-up": "tilt-down", "tilt-down": "tilt-up",
    "zoom-in": "zoom-out", "zoom-out": "zoom-in", "roll-left": "roll-right", "roll-right": "roll-left",
    "still": "still", "circle": "circle",
}  # fmt: skip
"""What a motion or camera move is backwards."""
_FRONT = ("car", "boat", "fish", "bird")


def has_arrow(scene: Scene) -> bool:
    """Whether a clip of the scene looks different backwards: weather falls, or an object with a front drives."""
    if scene.weather != "none":
        return True
    return any(
        (actor.kind in _FRONT and actor.motion in ("left", "right", "diagonal"))
        or (actor.kind == "rocket" and actor.motion in ("left", "right", "up", "down", "diagonal"))
        for actor in scene.actors
    )


class QuestionClips:
    """Rendered scenes with the track of their first object. File: uint8 (S, F, H, W, 3), and FILE.tracks.npy."""

    def __init__(
        self, file: Path, world: World, seeds: range, *, side: int = 64, frames: int = 32, fps: float = 16.0,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:  # fmt: skip
        self.scenes = [sample_scene(seed, world) for seed in seeds]
        tracks = file.with_suffix(".tracks.npy")
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            along = []
            with whole(file) as beside:
                made = np.lib.format.open_memmap(
                    beside, mode="w+", dtype=np.uint8, shape=(len(self.scenes), frames, side, side, 3)
                )
                for start in range(0, len(self.scenes), 32):
                    report(start, len(self.scenes))
                    part = self.scenes[start : start + 32]
                    out = render(part, num_frames=frames, height=side, width=side, fps=fps)
                    made[start : start + len(part)] = out.frames_BFHWC.numpy()
                    along.append(out.tracks_BNF2[:, 0].numpy())
                made.flush()
                del made
                with whole(tracks) as other, other.open("wb") as stream:
                    np.save(stream, np.concatenate(along))
        self.frames_SFHWC = np.load(file, mmap_mode="r")
        self.tracks_SF2 = np.load(tracks)

    def __len__(self) -> int:
        return len(self.scenes)

    def draw(
        self, rows: Sequence[int], generator: torch.Generator, frames: int = 16, orders: Sequence[str] = ORDERS
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(clips in [-1, 1], (B, 3, F, H, W); answers by question, int64 (B,)). Every clip has a random stride of 1 or
        2, a random start and one of the orders."""

        def number(high: int) -> int:
            return int(torch.randint(high, (), generator=generator))

        clips, answers = [], []
        for row in rows:
            stride = 1 + number(2) if self.frames_SFHWC.shape[1] >= 2 * frames else 1
            first = number(self.frames_SFHWC.shape[1] - stride * (frames - 1))
            picks = first + stride * np.arange(frames)
            order = orders[number(len(orders))]
            clips.append(self.frames_SFHWC[row, picks[_arranged(frames, order, generator)]])
            moved = np.hypot(*np.diff(self.tracks_SF2[row, picks], axis=0).T)
            answers.append(_answers(self.scenes[row], order, float(np.median(moved))))
        x = torch.from_numpy(np.stack(clips)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        return x, {name: torch.tensor([answer[name] for answer in answers]) for name in QUESTIONS}


def _arranged(frames: int, order: str, generator: torch.Generator) -> np.ndarray:
    at = np.arange(frames)
    if order == "reversed":
        return at[::-1]
    if order == "shuffled":
        return torch.randperm(frames, generator=generator).numpy()
    if order == "swapped":
        return (at ^ 1).clip(max=frames - 1)
    return at


def _answers(scene: Scene, order: str, speed_px: float) -> dict[str, int]:
    alone = len(scene.actors) == 1
    first = scene.actors[0]
    back = order == "reversed"
    blind = order in ("forward", "reversed") and not has_arrow(scene)
    steady = order in ("forward", "reversed")
    return {
        "order": UNKNOWN if blind and back else ORDERS.index(order),
        "motion": MOTIONS.index(_BACK[first.motion] if back else first.motion) if alone else UNKNOWN,
        "speed": int(np.searchsorted(SPEEDS_PX, speed_px)) if alone and steady else UNKNOWN,
        "camera": CAMERAS.index(_BACK[scene.camera] if back else scene.camera) if steady else UNKNOWN,
        "kind": KINDS.index(first.kind) if alone else UNKNOWN,
        "color": COLORS.index(first.color) if alone else UNKNOWN,
        "background": BACKGROUNDS.index(scene.background),
        "light": LIGHTS.index(scene.light),
        "style": STYLES.index(scene.style),
    }


class QuestionTask:
    """network: a module that answers QUESTIONS with logits by name, trained in place."""

    names_for_adam = ("heads", "norm", "stem.down")

    def __init__(
        self, network: nn.Module, clips: QuestionClips, held_out: QuestionClips, *, device: str = "cpu",
        batch: int = 32,
    ) -> None:  # fmt: skip
        self.network, self.clips, self.held_out = network.to(device), clips, held_out
        self.modules: dict[str, nn.Module] = {"network": network}
        self.device, self.batch, self.samples = device, batch, 0

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        rows = torch.randperm(len(self.clips), generator=generator)[: self.batch].tolist()
        x_BCFHW, right = self.clips.draw(rows, generator)
        logits = self.network(x_BCFHW.to(self.device))
        total, numbers = torch.zeros((), device=self.device), {}
        for name, (_, weight) in QUESTIONS.items():
            if bool((right[name] != UNKNOWN).any()):
                part = F.cross_entropy(logits[name].float(), right[name].to(self.device), ignore_index=UNKNOWN)
                total, numbers[name] = total + weight * part, part.item()
        self.samples += len(rows)
        return total, numbers

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, Any]:
        """Percent of right answers on held-out clips by question, and of each order among clips that show it."""
        generator = torch.Generator().manual_seed(0)
        hits: dict[str, list[int]] = {name: [] for name in (*QUESTIONS, *(f"order_{order}" for order in ORDERS))}
        for start in range(0, len(self.held_out), 32):
            rows = range(start, min(start + 32, len(self.held_out)))
            x_BCFHW, right = self.held_out.draw(rows, generator)
            logits = self.network(x_BCFHW.to(self.device))
            for name in QUESTIONS:
                known = right[name] != UNKNOWN
                good = (logits[name].argmax(1).cpu() == right[name])[known].tolist()
                hits[name] += good
                if name == "order":
                    for true, hit in zip(right[name][known].tolist(), good, strict=True):
                        hits[f"order_{ORDERS[true]}"].append(hit)
        return {f"{name}_percent": round(100 * float(np.mean(found)), 1) for name, found in hits.items() if found}
