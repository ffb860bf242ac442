"""A shot as Toyland's renderer draws it: what is understood of the prompt, and the rest by the seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...core.chunk import Chunk
from ...toyland.scene import WORLD, Scene, sample_scene
from ...toyland.understand import understand

FPS = 12.0
SIDE = 160  # pixels of the shorter side; the channel scales it up


def scene_of(prompt: str, seconds: float, seed: int) -> Scene:
    """A scene with what the prompt says."""
    said = understand(prompt)
    drawn = sample_scene(seed % 2**31, WORLD)
    told: dict[str, Any] = {
        name: value
        for name in ("background", "light", "weather", "camera", "style")
        if (value := getattr(said, name)) is not None
    }
    actors = list(drawn.actors)
    for number, words in enumerate(said.actors[: max(len(actors), 1)]):
        known = {
            name: value
            for name in ("kind", "color", "motion")
            if (value := getattr(words, name)) is not None
        }  # fmt: skip
        if words.motion is not None:
            known["heading"] = (words.heading or "up-left") if words.motion == "diagonal" else ""
        actors[number] = _changed(actors[number], known)
    told["actors"] = tuple(actors[: max(len(said.actors), 1)])
    return _changed(drawn, told | {"duration": seconds, "camera_amount": drawn.camera_amount or 0.2})


def draw(prompt: str, seconds: float, seed: int, height: int, width: int) -> Iterator[Chunk]:
    """The clip, in the shape of the channel's picture but smaller, at 12 frames a second."""
    from ...toyland.render import render

    num_frames = max(2, round(seconds * FPS))
    scale = min(1.0, SIDE / min(height, width))
    height, width = (2 * max(8, round(side * scale / 2)) for side in (height, width))
    out = render(
        [scene_of(prompt, seconds, seed)], num_frames=num_frames, height=height, width=width, fps=FPS, device="cpu"
    )
    yield Chunk(out.frames_BFHWC[0].cpu().numpy(), 0, FPS)


def _changed(value: Any, changes: dict[str, Any]) -> Any:
    """With the changes; where they do not go together, with as many of them as do, in order."""
    try:
        return replace(value, **changes)
    except ValueError:
        for name, change in changes.items():
            try:
                value = replace(value, **{name: change})
            except ValueError:
                continue
        return value
