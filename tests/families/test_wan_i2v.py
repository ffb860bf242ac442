"""Image to video against its oracle: a tiny random checkpoint in diffusers' layout, read from disk by Kinema
and by diffusers; the same noise, picture, steps, guidance and shift give the same latents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from kinema.core.errors import RequestError
from kinema.core.request import Request
from kinema.diffusion.noise import noise
from kinema.engine.generate import generate, sample
from kinema.families.wan import load, plan, recognise

SIDE, FRAMES, STEPS, GUIDANCE, SHIFT, SEED = 64, 9, 4, 4.0, 3.0, 11
TOLERANCE = 1e-4
PROMPT, NEGATIVE = "a red ball rolls left", "snow"
WORDS = ("<pad>", "</s>", "<unk>", "a", "red", "ball", "rolls", "left", "snow")
TEXT_LENGTH = 512  # diffusers' cross-attention always treats the last 512 states as text


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    found = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    found.pre_tokenizer = pre_tokenizers.Whitespace()
    found.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=found, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def randomised(network):
    """Random weights of a size at which every part of the network shows in the output."""
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        value = torch.randn(parameter.shape, generator=generator) * 0.1
        parameter.data.copy_(value + 1 if parameter.ndim == 1 and parameter.min() == 1 else value)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from diffusers import (
        AutoencoderKLWan,
        UniPCMultistepScheduler,
        WanImageToVideoPipeline,
        WanTransformer3DModel,
    )
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        CLIPVisionModel,
        UMT5Config,
        UMT5EncoderModel,
    )

    torch.manual_seed(0)
    text = UMT5Config(
        vocab_size=len(WORDS), d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    vision = CLIPVisionConfig(
        hidden_size=20, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, image_size=32,
        patch_size=8,
    )  # fmt: skip
    pipeline = WanImageToVideoPipeline(
        tokenizer=tokenizer(),
        text_encoder=randomised(UMT5EncoderModel(text)),
        image_encoder=randomised(CLIPVisionModel(vision)),
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
        ),
        transformer=randomised(
            WanTransformer3DModel(
                num_attention_heads=2, attention_head_dim=24, in_channels=36, out_channels=16, text_dim=32,
                freq_dim=32, ffn_dim=64, num_layers=3, image_dim=20, added_kv_proj_dim=48,
            )
        ),
        vae=randomised(AutoencoderKLWan(base_dim=8, z_dim=16)),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=SHIFT
        ),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("i2v") / "tiny_i2v"
    pipeline.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def family(folder):
    return load(recognise(folder), folder, "cpu")


@pytest.fixture
def picture(tmp_path):
    rng = np.random.default_rng(0)
    rough = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
    path = tmp_path / "first.png"
    Image.fromarray(np.repeat(np.repeat(rough, SIDE // 8, 0), SIDE // 8, 1)).save(path)
    return path


def planned(folder, picture, **fields):
    card = recognise(folder)
    settings = {
        "prompt": PROMPT, "negative_prompt": NEGATIVE, "model": str(folder), "width": SIDE, "height": SIDE,
        "frames": FRAMES, "steps": STEPS, "guidance": GUIDANCE, "seed": SEED, "profile": "exact",
        "conditions": ({"kind": "image", "image": str(picture), "at": "first"},),
        "options": {"shift": SHIFT, "text_length": TEXT_LENGTH},
    }  # fmt: skip
    return plan(Request(**{**settings, **fields}), card)


def latents(family, made) -> torch.Tensor:
    return sample(made, family, family.encode(made, family.prepare(made)), made.spans[0])


def test_recognised(folder):
    card = recognise(folder)
    assert (card.variant, card.accepts, card.needs) == ("i2v", ("image:first", "style"), ("image:first",))


@pytest.mark.parametrize("guidance", [GUIDANCE, 1.0])
def test_latents_equal_the_pipeline(folder, family, picture, guidance):
    from diffusers import WanImageToVideoPipeline

    pipeline = WanImageToVideoPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    made = planned(folder, picture, guidance=guidance)
    ours = latents(family, made)
    theirs = pipeline(
        image=Image.open(picture).convert("RGB"),
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        height=SIDE,
        width=SIDE,
        num_frames=FRAMES,
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        latents=noise(SEED, "init/0", tuple(ours.shape)),
        max_sequence_length=TEXT_LENGTH,
        output_type="latent",
    ).frames
    assert ours.shape == theirs.shape == (1, 16, 3, SIDE // 8, SIDE // 8)
    assert (ours - noise(SEED, "init/0", tuple(ours.shape))).abs().max() > 0.1
    difference = float((ours - theirs).abs().max())
    print(f"largest difference {difference:.2e} at guidance {guidance:g}")  # noqa: T201
    assert difference < TOLERANCE


def test_every_condition_counts(folder, family, picture, tmp_path):
    """Another image, another prompt and other image states each change the latents."""
    base = latents(family, planned(folder, picture))
    other = tmp_path / "other.png"
    Image.fromarray(255 - np.asarray(Image.open(picture))).save(other)
    assert (latents(family, planned(folder, other)) - base).abs().max() > 1e-2
    assert (latents(family, planned(folder, picture, prompt="snow")) - base).abs().max() > 1e-3
    made = planned(folder, picture)
    cond = family.encode(made, family.prepare(made))
    blind = type(cond)(**{**vars(cond), "image_BLD": cond.image_BLD * 0})
    assert (sample(made, family, blind, made.spans[0]) - base).abs().max() > 1e-3


def test_frames_and_what_is_refused(folder, family, picture):
    made = planned(folder, picture)
    chunks = list(generate(made, family))
    assert sum(len(chunk.frames) for chunk in chunks) == FRAMES
    with pytest.raises(RequestError, match="image:first"):
        planned(folder, picture, conditions=())
