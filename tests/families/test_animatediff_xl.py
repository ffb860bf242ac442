"""AnimateDiff on Stable Diffusion XL, the beta: against diffusers' pipeline on tiny random weights."""

from __future__ import annotations

import pytest
import torch
from tiny_sd import NEGATIVE, PROMPT, autoencoder, motion_adapter, words

import kinema
from kinema.core.registry import built_in_cards
from kinema.diffusion.noise import noise
from kinema.engine.generate import sample
from kinema.engine.plan import plan as make_plan
from kinema.families.animatediff import load, recognise

FRAMES = 5


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An adapter, and an image model with two text encoders."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    folder = tmp_path_factory.mktemp("xl")
    torch.manual_seed(0)
    parts = words()
    tokenizer = parts["tokenizer"]
    second = CLIPTextModelWithProjection(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=48, intermediate_size=64, num_hidden_layers=3, num_attention_heads=3,
            max_position_embeddings=16, projection_dim=40, eos_token_id=tokenizer.eos_token_id,
            bos_token_id=tokenizer.bos_token_id, hidden_act="gelu",
        )
    ).eval()  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=80,
        attention_head_dim=(2, 4), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), transformer_layers_per_block=(1, 2),
        use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=40 + 6 * 8,
    ).eval()  # fmt: skip
    StableDiffusionXLPipeline(
        vae=autoencoder(), unet=unet, text_encoder=parts["text_encoder"], tokenizer=tokenizer, text_encoder_2=second,
        tokenizer_2=tokenizer, scheduler=EulerDiscreteScheduler(steps_offset=1), add_watermarker=False,
    ).save_pretrained(folder / "base")  # fmt: skip
    motion_adapter(folder / "adapter", middle=False)
    return folder


def plan_of(place, **fields):
    asked = {
        "model": str(place / "adapter"), "prompt": PROMPT, "negative_prompt": NEGATIVE, "seed": 3, "steps": 4,
        "frames": FRAMES, "guidance": 3.0, "profile": "exact", "width": 48, "height": 32,
        "options": {"base": str(place / "base"), "context_length": 8},
    }  # fmt: skip
    return make_plan(kinema.Request(**(asked | fields)), device="cpu")


@pytest.mark.parametrize("guidance", [3.0, 1.0])
def test_the_latents_are_those_of_diffusers(place, guidance):
    from diffusers import AnimateDiffSDXLPipeline, EulerDiscreteScheduler, MotionAdapter, UNet2DConditionModel

    pipe = AnimateDiffSDXLPipeline.from_pretrained(
        place / "base", motion_adapter=MotionAdapter.from_pretrained(place / "adapter")
    )
    # diffusers 0.42 leaves this part of the image model out: random numbers (huggingface/diffusers#6721, in review).
    image = UNet2DConditionModel.from_pretrained(place / "base" / "unet")
    pipe.unet.add_embedding.load_state_dict(image.add_embedding.state_dict())
    pipe.scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.02, beta_schedule="scaled_linear", steps_offset=1
    )
    pipe.set_progress_bar_config(disable=True)
    plan = plan_of(place, guidance=guidance)
    family = load(recognise(place / "adapter"), place / "adapter", "cpu")
    own = sample(plan, family, family.encode(plan, family.prepare(plan)), plan.spans[0])
    start = noise(plan.seed, "init/0", (1, 4, FRAMES, 8, 12))
    theirs = pipe(
        prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=4, guidance_scale=guidance, height=32, width=48,
        num_frames=FRAMES, latents=start, output_type="latent",
    ).frames  # fmt: skip
    assert (own - theirs).abs().max() < 1e-4 * theirs.abs().max()
    sized = plan_of(place, guidance=guidance, width=32, height=48)
    other = family.encode(sized, family.prepare(sized)).text["cond"].added_conditions(48, 32)
    assert other["added_cond_kwargs"]["time_ids"].tolist() == [[48, 32, 0, 0, 48, 32]]


def test_the_published_card():
    """Parameters and the cost of a forward, on the published configuration without weights."""
    from diffusers import UNetMotionModel
    from torch.utils.flop_counter import FlopCounterMode

    card = next(card for card in built_in_cards() if card.id == "animatediff-sdxl")
    rows, columns, frames = 64, 64, 4
    with torch.device("meta"):
        unet = UNetMotionModel(
            sample_size=128, block_out_channels=(320, 640, 1280), cross_attention_dim=2048,
            num_attention_heads=(5, 10, 20), transformer_layers_per_block=(1, 2, 10), use_linear_projection=True,
            down_block_types=("DownBlockMotion", "CrossAttnDownBlockMotion", "CrossAttnDownBlockMotion"),
            up_block_types=("CrossAttnUpBlockMotion", "CrossAttnUpBlockMotion", "UpBlockMotion"),
            addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
            use_motion_mid_block=False,
        )  # fmt: skip
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            unet(
                torch.zeros(1, 4, frames, rows, columns), torch.tensor(1.0), torch.zeros(frames, 77, 2048),
                added_cond_kwargs={"text_embeds": torch.zeros(1, 1280), "time_ids": torch.zeros(1, 6)},
            )  # fmt: skip
    assert sum(parameter.numel() for parameter in unet.parameters()) == card.network.parameters
    cell = counter.get_total_flops() / (frames * rows * columns)
    assert cell == pytest.approx(card.network.flop_per_cell, rel=0.15)  # attention costs more on larger pictures
    plan = make_plan(kinema.Request(model="animatediff-sdxl", prompt="a hill"), card, "H200")
    assert (plan.width, plan.height, plan.steps, plan.guidance) == (1024, 1024, 100, 8.5)
    assert recognise_shape((320, 640, 1280)) == "animatediff-sdxl"


def recognise_shape(widths):
    from kinema.families.animatediff import detect
    from kinema.weights.configs import Config

    sizes = {"block_out_channels": list(widths), "motion_max_seq_length": 32, "use_motion_mid_block": False}
    found = detect._card(detect.Path("x"), Config(sizes, "x"))
    return next(card.id for card in built_in_cards() if card.title == found.title)
