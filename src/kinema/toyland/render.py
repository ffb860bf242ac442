"""Render scenes to frames, masks and tracks, on CPU or GPU; optionally with optical flow and camera matrices.

Suffixes: B scenes, N actor slots, F frames, H W pixels, C colour channels. Scenes with the same background, detail and
kind of camera are painted together, all frames at once; so are objects of one kind. The pixels of a scene do not depend
on the others in the batch.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .actors import paint_actors, window_px
from .background import PLACES
from .painter import CameraView, Painter, wave
from .palette import OBJECT_COLORS, OBJECT_LIGHT, place_colors
from .plain import PLAIN_PLACES
from .pose import Pose, pose
from .scene import LIGHTS, MAX_ACTORS, Scene
from .truth import (
    actor_affine,
    apply_affine,
    flow_from_labels,
    frame_affine,
    plane_affine,
    step_affine,
)
from .weather import add_gloom, add_weather

ACTOR_LABEL = 100  # label of the first actor's pixels; layers of the background count from 0
_CHUNK_PIXELS = 320_000  # pixels painted together on a CPU, so that they fit its cache


@dataclass(frozen=True, slots=True)
class Rendered:
    """Rendered clips. Image coordinates are pixel indices: (0, 0) is the centre of the top left pixel.

    frames_BFHWC: uint8 RGB. masks_BNFHW: bool, visible pixels of actor n. tracks_BNF2: float32 (x, y) of each actor's
    centre, also if it is hidden or outside. visible_BNF: bool, is any of its pixels visible? Empty slots have an empty
    mask, track 0, and are not visible. With truth, else None: flow_BFHW2, float32, forward optical flow in px (0 in the
    last frame; ignores weather and paper), and camera_BF23, float32, affine maps from fractions of the frame at rest to
    the image.
    """

    frames_BFHWC: Tensor
    masks_BNFHW: Tensor
    tracks_BNF2: Tensor
    visible_BNF: Tensor
    flow_BFHW2: Tensor | None = None
    camera_BF23: Tensor | None = None


@torch.no_grad()
def render(
    scenes: Sequence[Scene],
    *,
    num_frames: int,
    height: int,
    width: int,
    fps: float = 8.0,
    device: str | torch.device = "cpu",
    truth: bool = False,
) -> Rendered:
    """Render scenes at the same size. Frame f is at f / fps seconds. Raises ValueError for sizes below 1."""
    if num_frames < 1 or height < 1 or width < 1 or not fps > 0:
        raise ValueError(f"size and fps must be positive, got {num_frames} frames of {width}x{height} at {fps} fps")
    device = torch.device(device)
    count = len(scenes)
    frames = torch.empty(count, num_frames, height, width, 3, dtype=torch.uint8, device=device)
    labels = torch.empty(count, num_frames, height, width, dtype=torch.uint8, device=device)
    poses = [pose(scene, num_frames=num_frames, height=height, width=width, fps=fps) for scene in scenes]
    layers: list[list[tuple[float, float]]] = [[] for _ in scenes]
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, scene in enumerate(scenes):
        camera = {"still": "still", "roll": "roll"}.get(scene.camera.split("-")[0], "move")
        pixels = "pixel" if scene.style == "pixel" else ""
        groups.setdefault((scene.background, camera, pixels, scene.detail), []).append(index)
    for indices in groups.values():
        chunk = max(1, _CHUNK_PIXELS // (num_frames * height * width)) if device.type == "cpu" else 512
        for start in range(0, len(indices), chunk):
            part = indices[start : start + chunk]
            picture, seen, planes = _paint(
                [scenes[i] for i in part],
                [poses[i] for i in part],
                num_frames,
                height,
                width,
                fps,
                device,
                truth,
            )
            for row, index in enumerate(part):
                for channel in range(3):
                    frames[index, ..., channel] = picture[row, :, channel]
                labels[index] = seen[row]
                layers[index] = planes
    masks = torch.stack([labels == ACTOR_LABEL + slot for slot in range(MAX_ACTORS)], 1)
    tracks, affine, flow = _truth(scenes, poses, layers, labels if truth else None, fps, (height, width))
    return Rendered(
        frames_BFHWC=frames,
        masks_BNFHW=masks,
        tracks_BNF2=tracks.to(device),
        visible_BNF=masks.flatten(3).any(-1),
        flow_BFHW2=flow,
        camera_BF23=affine.to(device) if truth else None,
    )


def _block_px(scene: Scene, height: int, width: int) -> int:
    """Side of the squares of the pixel style, in px of the frame."""
    return max(1, round(min(height, width) / 32)) if scene.style == "pixel" else 1


def _paint(
    scenes: list[Scene],
    poses: list[Pose],
    num_frames: int,
    height: int,
    width: int,
    fps: float,
    device: torch.device,
    truth: bool,
) -> tuple[Tensor, Tensor, list[tuple[float, float]]]:
    """Paint frames [B, F, 3, H, W] and labels [B, F, H, W] of scenes with one background and kind of camera."""
    block = _block_px(scenes[0], height, width)
    rows, columns = -(-height // block), -(-width // block)
    ys = torch.arange(rows, device=device) * float(block) + ((block - 1) - (height - 1)) / 2.0
    xs = torch.arange(columns, device=device) * float(block) + ((block - 1) - (width - 1)) / 2.0
    time_F = torch.arange(num_frames, device=device) / fps

    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(one, name) for one in poses])).float().to(device)

    still = scenes[0].camera == "still"
    shift, zoom, roll = stacked("shift_F2"), stacked("zoom_F"), stacked("roll_F")
    if still:
        shift, zoom, roll = shift[:, :1], zoom[:, :1], roll[:, :1]
    view = CameraView(
        shift_x=shift[..., 0],
        shift_y=shift[..., 1],
        zoom=zoom,
        roll=roll,
        time_s=time_F[None],
        xs=xs,
        ys=ys,
        unit_px=float(height),
        rolling=scenes[0].camera.startswith("roll"),
        sharp=6.0 if block > 1 else 1.0,
    )
    background = scenes[0].background
    chance = torch.tensor([_chances(scene) for scene in scenes], device=device)
    painter = Painter(
        view,
        place_colors(background, [scene.light for scene in scenes], device),
        torch.tensor([LIGHTS.index(scene.light) for scene in scenes], device=device),
        chance,
        star=7 if background == "space" else 2,
        labelled=truth,
    )
    (PLAIN_PLACES if scenes[0].detail == "plain" else PLACES)[background](painter)
    canvas = painter.canvas_BFCHW.expand(-1, num_frames, -1, rows, columns).contiguous()
    shape = (len(scenes), num_frames, rows, columns)
    labels = torch.zeros(shape, dtype=torch.uint8, device=device)
    if painter.labels_BFHW is not None:
        labels.copy_(painter.labels_BFHW.expand(shape))
    wet = [i for i, scene in enumerate(scenes) if scene.weather != "none"]
    if wet:
        canvas[wet] = add_gloom(canvas[wet])
    _style_ground(canvas, scenes, xs, ys, float(height))
    _paint_groups(canvas, labels, scenes, poses, block, height, width)
    for weather in ("rain", "snow"):
        wet = [i for i, scene in enumerate(scenes) if scene.weather == weather]
        if wet:
            canvas[wet] = add_weather(canvas[wet], weather, time_F, xs, ys, float(height))
    if block > 1:
        canvas = torch.round(canvas * 16.0) / 16.0
    picture = canvas.mul_(255.0).add_(0.5).clamp_(0.0, 255.0).to(torch.uint8)
    if block > 1:
        y_H = torch.arange(height, device=device) // block
        x_W = torch.arange(width, device=device) // block
        picture = picture[..., y_H[:, None], x_W]
        labels = labels[:, :, y_H[:, None], x_W]
    return picture, labels, painter.layers


def _chances(scene: Scene) -> list[float]:
    rng = random.Random(f"decor/{scene.decor}")
    return [rng.random() for _ in range(16)]


def _style_ground(canvas: Tensor, scenes: list[Scene], xs: Tensor, ys: Tensor, unit_px: float) -> None:
    """Apply the drawing style to the background, in place: neon darkens it, crayon adds paper grain."""
    for style in ("crayon", "neon"):
        mine = [i for i, scene in enumerate(scenes) if scene.style == style]
        if not mine:
            continue
        if style == "neon":
            dark = torch.tensor([0.05, 0.02, 0.14], device=canvas.device)[:, None, None]
            canvas[mine] = torch.lerp(canvas[mine], dark, 0.55)
        else:
            u, v = xs / unit_px, (ys / unit_px)[:, None]
            grain = wave(u * 1.3 + v * 4.4) + wave(u * 0.9 - v * 3.7)
            canvas[mine] = canvas[mine] * 0.86 + (0.11 + 0.014 * grain)


def _paint_groups(
    canvas: Tensor,
    labels: Tensor,
    scenes: list[Scene],
    poses: list[Pose],
    block: int,
    height: int,
    width: int,
) -> None:
    device = canvas.device
    rows, columns = canvas.shape[-2:]
    middle = np.array([(width - 1) / 2, (height - 1) / 2]) - (block - 1) / 2
    for slot in range(MAX_ACTORS):
        groups: dict[tuple[str, str, int, bool], list[tuple[int, np.ndarray, np.ndarray, np.ndarray]]] = {}
        for index, (scene, at) in enumerate(zip(scenes, poses, strict=True)):
            if slot >= len(scene.actors):
                continue
            dx, dy = (at.centre_NF2[slot] - at.shift_F2).T * (at.zoom_F * height)
            cos, sin = np.cos(at.roll_F), np.sin(at.roll_F)
            centre_F2 = (np.stack([dx * cos - dy * sin, dx * sin + dy * cos], -1) + middle) / block
            radius_F = at.size_NF[slot] * at.zoom_F * (height / block)
            turn_F = at.turn_NF[slot] + at.roll_F
            kind = scene.actors[slot].kind
            side = window_px(float(radius_F.max()), kind, scene.style, max(rows, columns))
            key = (kind, scene.style, side, bool(np.any(turn_F)))
            groups.setdefault(key, []).append((index, centre_F2, radius_F, turn_F))
        for (kind, style, side, turned), members in groups.items():

            def tensor(values: list) -> Tensor:
                return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(device)

            chosen = [scenes[member[0]] for member in members]
            paint_actors(
                canvas,
                labels,
                torch.tensor([member[0] for member in members], device=device),
                kind=kind,
                style=style,
                label=ACTOR_LABEL + slot,
                window=(min(side, rows), min(side, columns)),
                centre_MF2=tensor([member[1] for member in members]),
                radius_MF=tensor([member[2] for member in members]),
                turn_MF=tensor([member[3] for member in members]) if turned else None,
                mirror_M=tensor([poses[member[0]].mirror_N[slot] for member in members]),
                color_M3=tensor([OBJECT_COLORS[scene.actors[slot].color] for scene in chosen]) / 255.0,
                light_M3=tensor([OBJECT_LIGHT[scene.light] for scene in chosen]) / 255.0,
                plain=chosen[0].detail == "plain",
            )


def _truth(
    scenes: Sequence[Scene],
    poses: list[Pose],
    layers: list[list[tuple[float, float]]],
    labels: Tensor | None,
    fps: float,
    size: tuple[int, int],
) -> tuple[Tensor, Tensor, Tensor | None]:
    """(tracks_BNF2, camera_BF23, flow_BFHW2 if labels [B, F, H, W] are given)."""
    if not poses:
        empty = torch.zeros(0, MAX_ACTORS, 1, 2)
        return empty, torch.zeros(0, 1, 2, 3), None

    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(one, name) for one in poses]))

    shift, zoom, roll = stacked("shift_F2"), stacked("zoom_F"), stacked("roll_F")
    centre, radius, turn = stacked("centre_NF2"), stacked("size_NF"), stacked("turn_NF")
    time_F = torch.arange(zoom.shape[1], dtype=torch.float64) / fps
    camera = plane_affine(shift, zoom, roll, depth=1.0, drift=0.0, time_F=time_F, size=size)
    present = torch.tensor([[slot < len(scene.actors) for slot in range(MAX_ACTORS)] for scene in scenes])
    tracks = apply_affine(camera[:, None], centre) * present[..., None, None]
    if labels is None:
        return tracks.float(), frame_affine(camera, size).float(), None
    flows = []
    for index, scene in enumerate(scenes):
        one = (shift[index], zoom[index], roll[index])
        steps = [
            step_affine(plane_affine(*one, depth=depth, drift=drift, time_F=time_F, size=size))
            for depth, drift in layers[index]
        ]
        names = list(range(len(steps)))
        for slot in range(len(scene.actors)):
            own = actor_affine(camera[index], centre[index, slot], radius[index, slot], turn[index, slot])
            steps.append(step_affine(own))
            names.append(ACTOR_LABEL + slot)
        flows.append(flow_from_labels(labels[index], torch.stack(steps), names))
    return tracks.float(), frame_affine(camera, size).float(), torch.stack(flows)
