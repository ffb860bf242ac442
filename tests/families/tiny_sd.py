"""Small Stable Diffusion models with random weights, shared by the tests of three families."""

from __future__ import annotations

import torch

from kinema.training.data.tokenizers import build_clip_tokenizer

PROMPT, NEGATIVE = "a red ball rolls over a hill", "snow"


def words():
    """Tokenizer and text encoder."""
    from transformers import CLIPTextConfig, CLIPTextModel

    tokenizer = build_clip_tokenizer([PROMPT, NEGATIVE] * 3, 16)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=16, eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.bos_token_id,
        )
    )  # fmt: skip
    return {"tokenizer": tokenizer, "text_encoder": text.eval()}


def autoencoder():
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(16, 16, 32), down_block_types=("DownEncoderBlock2D",) * 3, norm_num_groups=8,
        up_block_types=("UpDecoderBlock2D",) * 3, layers_per_block=1,
    ).eval()  # fmt: skip


def image_unet(**changes):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=32, attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        **changes,
    ).eval()  # fmt: skip


def image_model(folder, seed=0, **changes):
    """Saved as a diffusers folder."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    torch.manual_seed(seed)
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1)
    StableDiffusionPipeline(
        vae=autoencoder(), unet=image_unet(**changes), **words(), scheduler=scheduler, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def motion_adapter(folder, middle):
    """Saved as a diffusers folder; its layers are nonzero. middle: whether it has a middle block."""
    from diffusers import MotionAdapter

    adapter = MotionAdapter(
        block_out_channels=(32, 64), motion_layers_per_block=1, motion_num_attention_heads=4, motion_max_seq_length=8,
        use_motion_mid_block=middle, motion_norm_num_groups=16,
    )  # fmt: skip
    with torch.no_grad():
        for name, parameter in adapter.named_parameters():
            if "proj_out" in name:
                parameter.copy_(0.05 * torch.randn(parameter.shape))
    adapter.save_pretrained(folder)
