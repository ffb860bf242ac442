"""EasyAnimate V5.1 against diffusers' three pipelines, on tiny random weights in the layouts of the published
checkpoints: latents equal to 1e-4, frames to 1/255, with the same noise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tiny_easyanimate as tiny
import torch
from diffusers.pipelines.easyanimate import pipeline_easyanimate_inpaint as inpaint
from PIL import Image
from tiny_easyanimate import CHANNELS, FRAMES, NEGATIVE, PROMPT, SIDE

import kinema
from kinema.core.conditions import Trajectory
from kinema.diffusion.noise import noise, stream_seed
from kinema.engine.generate import generate, sample
from kinema.engine.plan import plan as make_plan
from kinema.families.easyanimate import load, paths, recognise

STEPS, SEED, GUIDANCE, TOLERANCE = 3, 3, 4.0, 1e-4


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A function: (pipeline, folder, family) of a layout, made once."""
    known = {}

    def get(layout):
        if layout not in known:
            folder = tmp_path_factory.mktemp("models") / layout
            pipe = tiny.pipeline(layout, dynamic=layout == "inp")
            pipe.save_pretrained(folder)
            known[layout] = pipe, folder, load(recognise(folder), folder, "cpu")
        return known[layout]

    return get


def request(folder, **fields):
    base = {
        "model": str(folder), "prompt": PROMPT, "negative_prompt": NEGATIVE, "seed": SEED, "steps": STEPS,
        "guidance": GUIDANCE, "profile": "exact", "frames": FRAMES, "width": SIDE, "height": SIDE,
    }  # fmt: skip
    given = {key: value for key, value in (base | fields).items() if value is not None}
    return make_plan(kinema.Request(**given), device="cpu")


def common(plan):
    return {
        "prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": STEPS, "guidance_scale": plan.guidance,
        "height": plan.height, "width": plan.width, "num_frames": plan.frames,
        "guidance_rescale": plan.options["guidance_rescale"],
    }  # fmt: skip


def start(plan):
    return noise(SEED, "init/0", (1, CHANNELS, (plan.frames - 1) // 2 + 1, plan.height // 4, plan.width // 4))


def ours(family, plan):
    return sample(plan, family, family.encode(plan, family.prepare(plan)), plan.spans[0])


def check(plan, family, pipe, frames=False, **given):
    if "mask_video" in given:  # diffusers 0.42 fails if latents are passed
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(inpaint, "randn_tensor", lambda shape, **_: start(plan))
            theirs = pipe(**common(plan), output_type="latent", **given).frames
    else:
        theirs = pipe(**common(plan), latents=start(plan), output_type="latent", **given).frames
    made = ours(family, plan)
    assert made.shape == theirs.shape and theirs.std() > 0.1
    assert (made - theirs).abs().max() < TOLERANCE
    if frames:
        shown = np.concatenate([chunk.frames for chunk in generate(plan, family)])
        with torch.no_grad():
            pixels = pipe.vae.decode(theirs / pipe.vae.config.scaling_factor).sample
        pixels = pipe.video_processor.postprocess_video(pixels, output_type="np")[0]
        assert shown.shape == pixels.shape == (plan.frames, plan.height, plan.width, 3)
        assert np.abs(shown / 255.0 - pixels).max() < 1.01 / 255
    return made


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"guidance": 1.0}, {"frames": 1}, {"width": 48, "height": 16, "options": {"guidance_rescale": 0.7}},
    ],
    ids=("plain", "without guidance", "picture", "rescaled"),
)  # fmt: skip
def test_from_words_it_is_diffusers(saved, fields):
    pipe, folder, family = saved("t2v")
    check(request(folder, **fields), family, pipe, frames=not fields)


def blocks(seed, frames=FRAMES):
    """A clip of coloured blocks, uint8 (F, H, W, 3)."""
    drawn = np.random.default_rng(seed).integers(0, 255, (frames, 4, 4, 3), dtype=np.uint8)
    return drawn.repeat(8, 1).repeat(8, 2)


def saved_clip(folder, frames):
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{index:03d}.png")
    return str(folder)


def unit(frames_FHWC):
    """The pipelines' input: (1, 3, F, H, W) in [0, 1]."""
    return torch.from_numpy(frames_FHWC).permute(3, 0, 1, 2)[None].float() / 255


def generator(stream):
    """diffusers draws the noise of Kinema's stream."""
    return torch.Generator("cpu").manual_seed(stream_seed(SEED, stream))


@pytest.mark.parametrize("places", [("first",), ("first", "last"), ()])
def test_from_pictures_it_is_diffusers(saved, tmp_path, places):
    pipe, folder, family = saved("inp")
    pictures = dict(zip(("first", "last"), (Image.fromarray(frame) for frame in blocks(0, 2))))
    for name, picture in pictures.items():
        picture.save(tmp_path / f"{name}.png")
    conditions = tuple({"kind": "image", "image": str(tmp_path / f"{at}.png"), "at": at} for at in places)
    plan = request(folder, conditions=conditions)
    first, last = (pictures[at] if at in places else None for at in ("first", "last"))
    video, mask = inpaint.get_image_to_video_latent(first, last, FRAMES, (SIDE, SIDE))
    made = check(plan, family, pipe, frames=True, video=video, mask_video=mask, generator=generator("image"))
    if places:
        assert (made - ours(family, request(folder))).abs().mean() > 0.01, "the pictures have an effect"
    if places == ("first",):
        quiet = request(folder, conditions=conditions, options={"image_noise": 0.0})
        check(quiet, family, pipe, video=video, mask_video=mask, noise_aug_strength=0.0)


def test_inpainting_is_diffusers(saved, tmp_path):
    """A box of a source clip; the rest is kept."""
    pipe, folder, family = saved("inp")
    clip = saved_clip(tmp_path / "clip", blocks(1))
    conditions = ({"kind": "source", "video": clip}, {"kind": "mask", "boxes": [[0.25, 0.25, 0.75, 0.875]]})
    plan = request(folder, conditions=conditions, frames=None)
    assert plan.frames == FRAMES and plan.options["strength"] == 1.0
    mask = torch.zeros(1, 1, FRAMES, SIDE, SIDE)
    mask[..., 8:28, 8:24] = 255
    check(plan, family, pipe, frames=True, video=unit(blocks(1)), mask_video=mask, generator=generator("image"))


def test_from_a_noised_clip_it_is_diffusers(saved, tmp_path, monkeypatch):
    """Without a mask the clip is a hint: strength 0.7, as in the publishers' script."""
    from diffusers.models.autoencoders import vae

    pipe, folder, family = saved("inp")
    plan = request(folder, conditions=({"kind": "source", "video": saved_clip(tmp_path / "clip", blocks(2))},))
    assert plan.options["strength"] == 0.7
    monkeypatch.setattr(vae, "randn_tensor", lambda shape, **_: noise(SEED, "source", tuple(shape)))
    mask = torch.full((1, 1, FRAMES, SIDE, SIDE), 255.0)
    check(plan, family, pipe, video=unit(blocks(2)), mask_video=mask, strength=0.7)


@pytest.mark.parametrize("conditions", [("control",), ("control", "image"), ()])
def test_along_a_control_clip_it_is_diffusers(saved, tmp_path, conditions):
    pipe, folder, family = saved("control")
    known = {
        "control": {"kind": "control", "control": "pose", "video": saved_clip(tmp_path / "clip", blocks(3))},
        "image": {"kind": "image", "image": f"{saved_clip(tmp_path / 'one', blocks(4, 1))}/000.png", "at": "first"},
    }
    plan = request(folder, conditions=tuple(known[name] for name in conditions))
    given = {"control_video": unit(blocks(3)), "ref_image": unit(blocks(4, 1))}
    names = [name for name, kind in zip(given, known) if kind in conditions]
    made = check(plan, family, pipe, **{name: given[name] for name in names})
    if conditions:
        assert (made - ours(family, request(folder))).abs().mean() > 0.01


def seen_rays(to_camera_F34, lens, width, height):
    """The rays of all pixels, (1, 6, F, H, W), from matrices that map the world to the camera; for frames that are no
    wider than 16:9."""
    fx, fy, cx, cy = lens[0] * height * (1280 / 720) / width, *lens[1:]
    across, down = (np.arange(width) + 0.5) / width - cx, (np.arange(height) + 0.5) / height - cy
    aim = np.stack(np.broadcast_arrays(across[None] / fx, down[:, None] / fy, np.ones((height, width))), -1)
    aim /= np.linalg.norm(aim, axis=-1, keepdims=True)
    square = [np.vstack([matrix, [0, 0, 0, 1]]) for matrix in to_camera_F34]
    frames = []
    for matrix in square:
        home = square[0] @ np.linalg.inv(matrix)
        turned = aim @ home[:3, :3].T
        frames.append(np.concatenate([np.cross(home[:3, 3], turned), turned], -1))
    return torch.from_numpy(np.stack(frames)).permute(3, 0, 1, 2)[None].float()


POSES = np.array([
    [[np.cos(a), 0, np.sin(a), 0.2 + a], [0, 1, 0, -a], [-np.sin(a), 0, np.cos(a), 0.1]]
    for a in np.linspace(0.2, 0.8, FRAMES)
])  # fmt: skip
"""A camera that turns and moves; the world is not that of its first frame."""


@pytest.mark.parametrize("conditions", [("camera",), ("camera", "image"), ("poses", "image")])
def test_with_a_moving_camera_it_is_diffusers(saved, tmp_path, conditions):
    pipe, folder, family = saved("camera")
    lens = (0.6, 0.8, 0.45, 0.55)
    known = {
        "camera": {"kind": "camera", "move": "zoom_in", "amount": 1.5},
        "poses": {"kind": "camera", "poses": [[*lens, *pose.ravel()] for pose in POSES]},
        "image": {"kind": "image", "image": f"{saved_clip(tmp_path / 'one', blocks(4, 1))}/000.png", "at": "first"},
    }
    plan = request(folder, conditions=tuple(known[name] for name in conditions), options={"camera_speed": 2.0})
    assert plan.options["camera_lens"] == [0.532139961, 0.946026558, 0.5, 0.5]
    # A camera that moves 2 * 1.5 * 3 forward: the world comes nearer.
    forward = [[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -2 * 1.5 * 3 * i / FRAMES]] for i in range(FRAMES)]
    rays = seen_rays(forward, plan.options["camera_lens"], SIDE, SIDE)
    if "poses" in conditions:
        rays = seen_rays(POSES, lens, SIDE, SIDE)
    picture = {"ref_image": unit(blocks(4, 1))} if "image" in conditions else {}
    made = check(plan, family, pipe, control_camera_video=rays, **picture)
    assert (made - ours(family, request(folder))).abs().mean() > 0.01


def blob_clip(path_F2, height, width):
    """A path as the publishers' node for ComfyUI draws it, away from the border: (F, H, W, 3)."""
    half = int(50 * (height * width / (1280 * 720)) ** 0.5)
    y, x = np.mgrid[:200, :200] - 100.0
    blob = np.exp(-(x**2 + y**2) / 3200) * (x**2 + y**2 <= 99**2)
    clip = np.zeros((len(path_F2), height, width), np.uint8)
    for frame, (column, row) in zip(clip, path_F2):
        frame[row - half : row + half, column - half : column + half] = cv2.resize(
            (blob * 255).astype(np.uint8), (2 * half, 2 * half)
        )
    return clip[..., None].repeat(3, -1)


def test_along_drawn_paths_it_is_diffusers(saved):
    pipe, folder, family = saved("control")
    conditions = (
        {"kind": "trajectory", "points": [[0.25, 0.25], [0.75, 0.5]]},
        {"kind": "trajectory", "points": [[0.5, 0.75]] * 2},
    )  # fmt: skip
    plan = request(folder, conditions=conditions, frames=5, width=128, height=128)
    moving = [(32, 32), (48, 40), (64, 48), (80, 56), (96, 64)]
    clip = np.maximum(blob_clip(moving, 128, 128), blob_clip([(64, 96)] * 5, 128, 128))
    made = check(plan, family, pipe, control_video=unit(clip))
    assert (made - ours(family, request(folder, frames=5, width=128, height=128))).abs().mean() > 1e-3


def test_blobs_of_drawn_paths():
    """At the border the blob is squeezed into the visible part of its square, as published; the middle stays bright."""
    clip = paths.draw(Trajectory(points=[[0.0, 0.5], [1.0, 0.5]]), 3, 384, 672)[0, 0]
    assert clip.shape == (3, 384, 672) and float(clip.min()) == -1.0 and float(clip.max()) > 0.99
    spans = [torch.nonzero((frame > -0.99).any(0)).flatten() for frame in clip]
    assert [int(span[0]) for span in spans] == [0, 310, 646] and [len(span) for span in spans] == [26, 52, 25]
    row, column = divmod(int(clip[1].argmax()), 672)
    assert abs(row - 192) <= 1 and abs(column - 336) <= 1
