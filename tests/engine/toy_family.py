"""A second family for tests of the waist, unlike all the others: two experts that share the steps, two latents (video
and sound), and three branches of its own. Registered like any family: a module with what core/registry.py asks for.

Numbers in the place of networks: `early` leads for the noisier steps and `late` for the rest, each pulls video and
sound towards the number that a branch stands for, and their two media see each other.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from pydantic import Field

from kinema.core.card import Card, Defaults, FramesRule, Network, ProfileRule, SizeRule
from kinema.core.chunk import Chunk
from kinema.core.family import Prepared
from kinema.core.options import Sampling
from kinema.core.resolve import resolve
from kinema.diffusion import scheduling
from kinema.diffusion.guidance import GuidanceStep
from kinema.diffusion.latents import each

BOUNDARY = 0.6
"""Share of the steps that the early expert computes."""
RATE = 12
"""Sound latents a frame."""


class ToyOptions(Sampling):
    pull: Annotated[float, Field(ge=0.0, le=1.0)] = Field(0.5, description="how much the sound heeds the video")
    voice: Literal["low", "high"] = Field("low", description="of the sound")


MINI = Card(
    id="toy", family="toy", title="A toy", licence="Apache-2.0", variant="toy", path="toy",
    accepts=("source",), size=SizeRule(multiple=8, trained=((32, 32),), min_side=16, max_side=128, max_area=128 * 128),
    frames=FramesRule(step=1, trained=8, maximum=64), defaults=Defaults(fps=8.0, steps=10, guidance=3.0),
    network=Network(parameters=1000, width=8, layers=1, space_stride=8, time_stride=1, patch=1),
    profiles={
        "exact": ProfileRule(), "balanced": ProfileRule(), "fast": ProfileRule(reuse=2, guidance_interval=(0.0, 0.8)),
    },
    options=ToyOptions.table(
        pull=0.5, voice="low", strength=0.7, free_init=1, context_length=16, context_overlap=4,
    ),
)  # fmt: skip
CARDS = (MINI,)
OPTIONS = ToyOptions


def plan(request: Any, card: Card, known: Any = ()) -> Any:
    return resolve(request, card, known)


def recognise(path: Any) -> None:
    return None


def load(card: Card, location: Any, device: Any = None, dtype: Any = None) -> ToyFamily:
    return ToyFamily(card)


def branches(plan: Any) -> list[tuple[str, ...]]:
    """Three branches while guidance runs, of one expert or the other; then the words' alone."""
    until = plan.guidance_interval[1] * plan.steps
    experts = ["early" if step < BOUNDARY * plan.steps else "late" for step in range(plan.steps)]
    return [
        tuple(f"{expert}/{name}" for name in (("words", "media", "none") if step < until else ("words",)))
        for step, expert in enumerate(experts)
    ]


TARGETS = {"words": 1.0, "media": 0.25, "none": -0.5}


def both_ways(outputs: dict[str, Any], scale: float, expert: str) -> Any:
    """none + (media - none) + scale * (words - media): guidance by the words, on top of the media."""
    words, media, none = (outputs[f"{expert}/{name}"] for name in ("words", "media", "none"))
    return each(lambda w, m, n: n + (m - n) + scale * (w - m), words, media, none)


class ToyFamily:
    def __init__(self, card: Card) -> None:
        self.card, self.device = card, torch.device("cpu")
        self.calls: list[tuple[float, tuple[str, ...]]] = []

    def weight_files(self, plan: Any) -> tuple[()]:
        return ()

    def notes(self, plan: Any) -> tuple[()]:
        return ()

    def prepare(self, plan: Any, window: Any = None) -> Prepared:
        if window is None:
            return Prepared()
        return Prepared(source_BCFHW=torch.from_numpy(window.frames_FHWC).permute(3, 0, 1, 2)[None])

    def encode(self, plan: Any, prepared: Prepared) -> dict[str, Any]:
        """A source as latents of both media: its pixels by the stride, and their mean for the sound."""
        found: dict[str, Any] = {"options": ToyOptions.of(plan), "grid": (plan.height // 8, plan.width // 8)}
        if prepared.source_BCFHW is not None:
            pooled = torch.nn.functional.avg_pool3d(prepared.source_BCFHW, (1, 8, 8))
            found["source"] = {"video": pooled, "sound": pooled.mean((3, 4)).repeat_interleave(RATE, 2)[:, :1]}
        return found

    def latent_shape(self, cond: Any, span: Any) -> dict[str, tuple[int, ...]]:
        return {"video": (1, 3, span.num_frames, *cond["grid"]), "sound": (1, 1, span.num_frames * RATE)}

    def scheduler(self, plan: Any) -> scheduling.SchedulerPerPart:
        """Sound on a schedule with its own shift."""

        def one(shift: float) -> Any:
            scheduler: Any = FlowMatchEulerDiscreteScheduler(shift=shift)
            scheduler.set_timesteps(plan.steps)
            scheduler.set_begin_index(0)
            return scheduler

        return scheduling.SchedulerPerPart({"video": one(3.0), "sound": one(1.0)})

    def begin(self, plan: Any, cond: Any, scheduler: Any, noise: Any) -> tuple[Any, int]:
        if "source" not in cond:
            return scheduling.begin(scheduler, noise), 0
        return scheduling.begin_with(scheduler, cond["source"], noise, plan.steps, cond["options"].strength)

    def guidance(self, plan: Any, span: Any, scheduler: Any) -> list[GuidanceStep]:
        """The late expert is guided half as much."""
        found = []
        for names in branches(plan):
            expert = names[0].partition("/")[0]
            scale = plan.guidance if expert == "early" else plan.guidance / 2
            alone = len(names) == 1
            combine = (lambda outputs: next(iter(outputs.values()))) if alone else partial(
                both_ways, scale=scale, expert=expert
            )  # fmt: skip
            found.append(GuidanceStep(names, combine))
        return found

    def predict(self, cond: Any, span: Any) -> Any:
        pull = cond["options"].pull

        def run(x: dict[str, torch.Tensor], t: torch.Tensor, names: tuple[str, ...]) -> dict[str, Any]:
            self.calls.append((float(t), names))
            video, sound = x["video"], x["sound"]
            found = {}
            for name in names:
                expert, _, branch = name.partition("/")
                target = TARGETS[branch] * (1.0 if expert == "early" else 0.5)
                seen = video.mean((3, 4)).mean(1, keepdim=True).repeat_interleave(RATE, 2)
                found[name] = {
                    "video": video - target + 0.1 * sound.mean(),
                    "sound": sound - (1 - pull) * target - pull * seen,
                }
            return found

        return run

    def preview(self, x: Any, output: Any, sigma: float, plan: Any, span: Any) -> np.ndarray:
        clean = each(lambda part, said: part - sigma * said, x, output)
        return _pixels(clean["video"][:, :, :1], plan)

    def decode(self, latents: Any, plan: Any, span: Any) -> Any:
        sound = latents["sound"][0, 0].repeat_interleave(int(48_000 / plan.fps / RATE)).clamp(-1, 1)
        a_frame = len(sound) // span.num_frames
        for first in range(0, span.num_frames, 4):
            frames = _pixels(latents["video"][:, :, first : first + 4], plan)
            part = sound[first * a_frame : (first + len(frames)) * a_frame, None].numpy()
            yield Chunk(frames, span.start + first, plan.fps, part)


def _pixels(video_BCTHW: torch.Tensor, plan: Any) -> np.ndarray:
    shown = video_BCTHW[0].permute(1, 2, 3, 0).mul(60).add(128).clamp(0, 255).byte()
    return shown.repeat_interleave(8, 1).repeat_interleave(8, 2).numpy()
