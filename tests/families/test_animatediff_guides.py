"""ControlNet and SparseCtrl with AnimateDiff, against diffusers' pipelines on tiny random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from test_animatediff import FRAMES, SIDE, latents_of, place, plan_of, theirs  # noqa: F401
from tiny_sd import image_unet

from kinema.core.errors import ModelError, RequestError
from kinema.diffusion.noise import noise
from kinema.families.animatediff import load, recognise

COLORS = ((200, 30, 40), (30, 180, 60), (20, 40, 220), (240, 220, 10), (90, 90, 90), (250, 250, 250))


@pytest.fixture(scope="module")
def controlnets(place):  # noqa: F811
    """A ControlNet and two SparseCtrls (scribble: pixels, rgb: latents) with nonzero output."""
    from diffusers import ControlNetModel, SparseControlNetModel

    torch.manual_seed(3)
    dense = ControlNetModel.from_unet(image_unet(), conditioning_embedding_out_channels=(8, 16, 32))
    sparse = {
        name: SparseControlNetModel(
            in_channels=4, conditioning_channels=channels, down_block_types=("CrossAttnDownBlockMotion",) * 2,
            block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=32, attention_head_dim=4,
            num_attention_heads=4, conditioning_embedding_out_channels=(8, 16, 32), norm_num_groups=16,
            motion_max_seq_length=8, motion_num_attention_heads=4, use_simplified_condition_embedding=simple,
        )
        for name, channels, simple in (("scribble", 3, False), ("rgb", 4, True))
    }  # fmt: skip
    found = {}
    for name, network in {"dense": dense, **sparse}.items():
        with torch.no_grad():
            for parameter in network.parameters():
                if not parameter.any():
                    parameter.copy_(0.05 * torch.randn(parameter.shape))
        network.save_pretrained(place / name)
        found[name] = place / name
    return found


@pytest.fixture(scope="module")
def pictures(place):  # noqa: F811
    """A folder of frames, which is a control clip, and the pictures in it."""
    folder = place / "frames"
    folder.mkdir()
    made = []
    for number, color in enumerate(COLORS):
        pixels = np.full((SIDE, SIDE, 3), 20, np.uint8)
        pixels[4 + number : 20 + number, 8:24] = color
        made.append(Image.fromarray(pixels))
        made[-1].save(folder / f"{number}.png")
    return folder, made


@pytest.fixture(scope="module")
def family(place):  # noqa: F811
    return load(recognise(place / "adapter"), place / "adapter", "cpu")


def pipeline_with(place, kind, controlnet):  # noqa: F811
    import diffusers
    from diffusers import DDIMScheduler, MotionAdapter

    pipe = getattr(diffusers, kind).from_pretrained(
        place / "base", motion_adapter=MotionAdapter.from_pretrained(place / "adapter"), controlnet=controlnet
    )
    pipe.scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="linear", steps_offset=1, clip_sample=False,
        timestep_spacing="linspace",
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe


def start_of(plan):
    return noise(plan.seed, "init/0", (1, 4, FRAMES, SIDE // 4, SIDE // 4))


def test_a_control_clip_guides_as_in_diffusers(place, controlnets, pictures, family):  # noqa: F811
    from diffusers import ControlNetModel

    folder, made = pictures
    control = {"kind": "control", "control": "edge", "video": str(folder)}
    plan = plan_of(
        place, conditions=(control,), options={"controlnet": str(controlnets["dense"]), "control_scale": 0.8}
    )
    ours = latents_of(family, plan)
    pipe = pipeline_with(place, "AnimateDiffControlNetPipeline", ControlNetModel.from_pretrained(controlnets["dense"]))
    wanted = theirs(
        pipe, plan, num_frames=FRAMES, conditioning_frames=made, controlnet_conditioning_scale=0.8,
        latents=start_of(plan), output_type="latent",
    )  # fmt: skip
    assert (ours - wanted).abs().max() < 1e-4
    free = latents_of(family, plan_of(place))
    assert (ours - free).abs().max() > 1e-2, "the control clip changes nothing"


@pytest.mark.parametrize("name", ["scribble", "rgb"])
def test_pictures_for_a_few_frames_guide_as_in_diffusers(place, controlnets, pictures, family, name):  # noqa: F811
    from diffusers import SparseControlNetModel

    folder, made = pictures
    given = tuple({"kind": "image", "image": str(folder / f"{n}.png"), "at": at} for n, at in ((1, "first"), (4, 3)))
    plan = plan_of(place, conditions=given, options={"controlnet": str(controlnets[name])})
    ours = latents_of(family, plan)
    pipe = pipeline_with(
        place, "AnimateDiffSparseControlNetPipeline", SparseControlNetModel.from_pretrained(controlnets[name])
    )
    with torch.no_grad():  # diffusers draws latents of the pictures; without variance that is their mean
        pipe.vae.quant_conv.weight[4:].zero_()
        pipe.vae.quant_conv.bias[4:].fill_(-60.0)
    wanted = theirs(
        pipe, plan, num_frames=FRAMES, conditioning_frames=[made[1], made[4]], controlnet_frame_indices=[0, 3],
        latents=start_of(plan), output_type="latent",
    )  # fmt: skip
    assert (ours - wanted).abs().max() < 1e-4


def test_long_clips_see_the_control_frames_of_their_window(place, controlnets, pictures, family, tmp_path):  # noqa: F811
    for number in range(12):
        Image.new("RGB", (SIDE, SIDE), COLORS[number % 6]).save(tmp_path / f"{number:02d}.png")
    control = {"kind": "control", "control": "depth", "video": str(tmp_path)}
    plan = plan_of(
        place, conditions=(control,), frames=12, steps=2,
        options={"controlnet": str(controlnets["dense"]), "context_overlap": 4},
    )  # fmt: skip
    found = latents_of(family, plan)
    assert found.shape[2] == 12 and torch.isfinite(found).all()


def test_what_does_not_belong_together_is_refused(place, controlnets, pictures):  # noqa: F811
    folder, _ = pictures
    control = {"kind": "control", "control": "edge", "video": str(folder)}
    picture = {"kind": "image", "image": str(folder / "0.png"), "at": "first"}
    for conditions, network, words in (
        ((control,), None, "requires a ControlNet or SparseCtrl"),
        ((picture,), None, "SparseCtrl"),
        ((picture,), "dense", "requires one control clip"),
        ((control,), "rgb", "requires images"),
        ((), "dense", "requires one control clip"),
    ):
        options = {} if network is None else {"controlnet": str(controlnets[network])}
        with pytest.raises(RequestError, match="requires") as refused:
            plan_of(place, conditions=conditions, options=options)
        assert words in str(refused.value) + str(refused.value.legal)
    with pytest.raises(ModelError, match="MotionAdapter"):
        plan_of(place, conditions=(control,), options={"controlnet": str(place / "adapter")})
    with pytest.raises(ModelError, match="not on this machine"):
        plan_of(place, conditions=(control,), options={"controlnet": "someone/controlnet"})
