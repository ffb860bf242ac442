"""Rendering: deterministic, at any size, independent of the batch; with exact ground truth."""

import dataclasses

import numpy as np
import pytest
import torch

from kinema.toyland import Actor, Scene, motion_path, sample_scene
from kinema.toyland.render import render
from kinema.toyland.scene import BACKGROUNDS, CAMERAS, KINDS, LIGHTS, STYLES


def _scene(kind: str = "ball", **values) -> Scene:
    actor = {name: values.pop(name) for name in list(values) if name in Actor.__dataclass_fields__}
    return Scene(actors=(Actor(**({"kind": kind, "color": "red"} | actor)),), **values)


def test_bytes_do_not_depend_on_the_batch() -> None:
    scenes = [sample_scene(seed) for seed in range(40)]
    for height, width in ((64, 64), (45, 61)):
        size = {"num_frames": 5, "height": height, "width": width}
        whole = render(scenes, **size)
        for index in range(0, 40, 3):
            alone = render([scenes[index]], **size)
            assert torch.equal(alone.frames_BFHWC[0], whole.frames_BFHWC[index]), scenes[index]
            assert torch.equal(alone.masks_BNFHW[0], whole.masks_BNFHW[index])


@pytest.mark.parametrize(
    ("height", "width", "num_frames"), [(8, 200, 2), (96, 40, 1), (33, 17, 3), (1, 1, 2), (120, 208, 2)]
)
def test_any_size(height: int, width: int, num_frames: int) -> None:
    out = render(
        [sample_scene(seed) for seed in range(6)],
        num_frames=num_frames,
        height=height,
        width=width,
        truth=True,
    )
    assert out.frames_BFHWC.shape == (6, num_frames, height, width, 3) and out.frames_BFHWC.dtype == torch.uint8
    assert out.masks_BNFHW.shape == (6, 2, num_frames, height, width)
    assert out.flow_BFHW2.shape == (6, num_frames, height, width, 2) and bool(out.flow_BFHW2.isfinite().all())


def test_refuses_empty_clips_and_takes_empty_batches() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        render([], num_frames=0, height=8, width=8)
    assert render([], num_frames=2, height=8, width=8, truth=True).frames_BFHWC.shape == (0, 2, 8, 8, 3)


def test_time_is_in_seconds() -> None:
    scenes = [sample_scene(seed) for seed in range(12)]
    slow = render(scenes, num_frames=17, height=32, width=32, fps=8)
    fast = render(scenes, num_frames=33, height=32, width=32, fps=16)
    assert (slow.tracks_BNF2 - fast.tracks_BNF2[:, :, ::2]).abs().max() < 1e-3
    far = (slow.frames_BFHWC.int() - fast.frames_BFHWC[:, ::2].int()).abs() > 2
    assert far.float().mean() < 1e-3


@pytest.mark.parametrize("style", ["flat", "neon"])
@pytest.mark.parametrize("kind", ["ball", "square", "ring"])
@pytest.mark.parametrize("camera", CAMERAS)
def test_mask_follows_track(kind: str, camera: str, style: str) -> None:
    scene = _scene(
        kind,
        motion="circle",
        reach=0.15,
        radius=0.17,
        spin=0.6,
        camera=camera,
        camera_amount=0.1,
        style=style,
    )
    out = render([scene], num_frames=9, height=96, width=128)
    ys, xs = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")
    for frame in range(9):
        mask = out.masks_BNFHW[0, 0, frame]
        middle = torch.stack([xs[mask].mean(), ys[mask].mean()])
        assert (middle - out.tracks_BNF2[0, 0, frame]).abs().max() < 0.35


def test_tracks_are_paths_and_camera_maps_the_world() -> None:
    scene = _scene(motion="stay", x=0.4, y=0.6, camera="roll-left", camera_amount=0.1)
    out = render([scene], num_frames=9, height=60, width=100, truth=True)
    point = torch.tensor([0.4, 0.6])
    camera = out.camera_BF23[0]
    assert torch.allclose(camera[..., :2] @ point + camera[..., 2], out.tracks_BNF2[0, 0], atol=1e-3)
    still = render([_scene(motion="up")], num_frames=9, height=60, width=100, truth=True)
    want = motion_path("up", 9) * (100, 60) - 0.5
    assert np.allclose(still.tracks_BNF2[0, 0], want, atol=1e-3)
    # The picture of a camera that rolls left turns clockwise: what is right of the middle goes down.
    right = torch.tensor([0.9, 0.5])
    assert (camera[-1, :, :2] @ right + camera[-1, :, 2])[1] > 40


@pytest.mark.parametrize("kind", ["square", "car", "star"])
@pytest.mark.parametrize("camera", ["still", "zoom-in", "roll-right"])
def test_flow_carries_the_object(kind: str, camera: str) -> None:
    scene = _scene(kind, motion="right", reach=0.2, radius=0.25, change="grow", camera=camera, camera_amount=0.1)
    out = render([scene], num_frames=5, height=128, width=128, fps=4, truth=True)
    _check_flow(out, out.masks_BNFHW[0, 0], limit=6.0)


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("camera", ["pan-left", "tilt-up", "zoom-out", "roll-left"])
def test_flow_carries_the_background(background: str, camera: str) -> None:
    scene = _scene(motion="stay", radius=0.1, background=background, camera=camera, camera_amount=0.2, decor=4)
    out = render([scene], num_frames=5, height=128, width=128, fps=4, truth=True)
    _check_flow(out, ~out.masks_BNFHW[0, 0], limit=6.0)


def _check_flow(out, mask_FHW: torch.Tensor, limit: float) -> None:
    """The next frame, sampled along the flow, has the same colours, except at edges and occlusions."""
    frames = out.frames_BFHWC[0].permute(0, 3, 1, 2).float()
    size = frames.shape[-1]
    grid = torch.stack(torch.meshgrid(torch.arange(float(size)), torch.arange(float(size)), indexing="xy"), -1)
    for frame in range(len(frames) - 1):
        target = grid + out.flow_BFHW2[0, frame]
        inside = ((target > 1) & (target < size - 2)).all(-1) & mask_FHW[frame]
        carried = torch.nn.functional.grid_sample(
            frames[frame + 1][None], (target / (size - 1) * 2 - 1)[None], align_corners=True
        )[0]
        error = (carried - frames[frame]).abs().mean(0)[inside]
        assert error.quantile(0.8) < limit
        still = (frames[frame + 1] - frames[frame]).abs().mean(0)[inside]
        assert error.mean() <= still.mean() + 0.3
    assert not out.flow_BFHW2[0, -1].any()


def test_front_actor_hides_the_other() -> None:
    both = Scene(actors=(Actor("ball", "red", radius=0.2), Actor("square", "blue", radius=0.3)))
    out = render([both], num_frames=2, height=64, width=64)
    assert not out.masks_BNFHW[0, 0].any() and out.visible_BNF[0].tolist() == [[False, False], [True, True]]


@pytest.mark.parametrize("style", STYLES)
def test_objects_have_sensible_area_and_differ(style: str) -> None:
    scenes = [_scene(kind, radius=0.2, style=style) for kind in KINDS]
    out = render(scenes, num_frames=1, height=64, width=64)
    masks = out.masks_BNFHW[:, 0, 0].float()
    part = masks.sum((1, 2)) / (0.2 * 64) ** 2
    assert part.min() > 1.1 and part.max() < 3.4
    overlap = torch.einsum("ahw,bhw->ab", masks, masks)
    union = masks.sum((1, 2))[:, None] + masks.sum((1, 2)) - overlap
    assert (overlap / union - torch.eye(len(KINDS))).max() < 0.93


def test_lights_and_colors_are_plain_to_see() -> None:
    for background in BACKGROUNDS:
        frames = render(
            [_scene(radius=0.05, background=background, light=light) for light in LIGHTS],
            num_frames=1,
            height=64,
            width=64,
        ).frames_BFHWC.float()
        day, sunset, night = frames.mean((1, 2, 3))
        assert night.mean() < 0.72 * day.mean()
        assert (sunset[0] - sunset[2]) - (day[0] - day[2]) > 15


def test_long_clips_hold_and_pixels_are_square() -> None:
    long = render([_scene(motion="left", background="city")], num_frames=30, height=32, width=32)
    assert torch.equal(long.frames_BFHWC[0, 20], long.frames_BFHWC[0, 29])
    blocks = render(
        [dataclasses.replace(sample_scene(1), style="pixel")], num_frames=2, height=64, width=64
    ).frames_BFHWC
    assert torch.equal(blocks[:, :, ::2, ::2], blocks[:, :, 1::2, 1::2])


def test_plain_scenes_are_calmer_and_hold_the_same_truth() -> None:
    """Same object, place and light; far less detail."""
    for background in BACKGROUNDS:
        full = _scene(motion="right", background=background, decor=3)
        plain = dataclasses.replace(full, detail="plain")
        size = {"num_frames": 5, "height": 64, "width": 64}
        a, b = render([full], truth=True, **size), render([plain], truth=True, **size)
        assert torch.equal(a.masks_BNFHW, b.masks_BNFHW) and torch.equal(a.tracks_BNF2, b.tracks_BNF2)
        rough = [float(r.frames_BFHWC.float().diff(dim=3).abs().mean()) for r in (a, b)]
        assert rough[1] < rough[0], background
        together = render([full, plain], **size).frames_BFHWC
        assert torch.equal(together[0], a.frames_BFHWC[0]) and torch.equal(together[1], b.frames_BFHWC[0])
