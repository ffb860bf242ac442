"""Clips drawn by Toyland's renderer: from what it understands of the prompt, and the seed for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...core.chunk import Chunk
from ...toyland.scene import WORLD, Scene, sample_scene
from ...toyland.understand import understand

FPS = 12.0
SIDE = 160  # pixels of the shorter side; upscaled to the channel's picture


def scene_of(prompt: str, seconds: float, seed: int) -> Scene:
    """A random scene, changed to match the prompt."""
    understood = understand(prompt)
    drawn = sample_scene(seed % 2**31, WORLD)
    changes: dict[str, Any] = {
        name: value
        for name in ("background", "light", "weather", "camera", "style")
        if (value := getattr(understood, name)) is not None
    }
    actors = list(drawn.actors)
    for number, words in enumerate(understood.actors[: max(len(actors), 1)]):
        fields = {
            name: value
            for name in ("kind", "color", "motion")
            if (value := getattr(words, name)) is not None
        }  # fmt: skip
        if words.motion is not None:
            fields["heading"] = (words.heading or "up-left") if words.motion == "diagonal" else ""
        actors[number] = _changed(actors[number], fields)
    changes["actors"] = tuple(actors[: max(len(understood.actors), 1)])
    return _changed(drawn, changes | {"duration": seconds, "camera_amount": drawn.camera_amount or 0.2})


def draw(prompt: str, seconds: float, seed: int, height: int, width: int) -> Iterator[Chunk]:
    """Yield the clip at 12 fps, in the channel's aspect ratio but smaller."""
    from ...toyland.render import render

    num_frames = max(2, round(seconds * FPS))
    scale = min(1.0, SIDE / min(height, width))
    height, width = (2 * max(8, round(side * scale / 2)) for side in (height, width))
    out = render(
        [scene_of(prompt, seconds, seed)], num_frames=num_frames, height=height, width=width, fps=FPS, device="cpu"
    )
    yield Chunk(out.frames_BFHWC[0].cpu().numpy(), 0, FPS)


def _changed(value: Any, changes: dict[str, Any]) -> Any:
    """The value with the changes; if they are inconsistent, with those that apply one by one, in order."""
    try:
        return replace(value, **changes)
    except ValueError:
        for name, change in changes.items():
            try:
                value = replace(value, **{name: change})
            except ValueError:
                continue
        return value
