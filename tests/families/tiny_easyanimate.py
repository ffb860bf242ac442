"""Small EasyAnimate V5.1 models with random weights, in the layouts of the published ones, as diffusers folders."""

from __future__ import annotations

import torch

from kinema.training.data.tokenizers import build_tokenizer

PROMPT, NEGATIVE = "a red ball rolls over a hill", "snow"
SIDE, FRAMES, CHANNELS = 32, 9, 4
LAYOUTS = {"t2v": CHANNELS, "inp": 2 * CHANNELS + 1, "control": 3 * CHANNELS, "camera": 2 * CHANNELS + 6}
"""Input channels of the transformers."""
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }} {% for part in message['content'] %}"
    "{{ part['text'] }}{% endfor %}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant{% endif %}"
)
"""In Qwen2-VL's manner."""


def transformer(layout: str, **changes):
    from diffusers import EasyAnimateTransformer3DModel

    sizes = {
        "num_attention_heads": 2, "attention_head_dim": 16, "in_channels": LAYOUTS[layout], "out_channels": CHANNELS,
        "patch_size": 2, "num_layers": 3, "mmdit_layers": 2, "time_embed_dim": 16, "text_embed_dim": 16,
        "add_norm_text_encoder": True, "sample_width": SIDE // 4, "sample_height": SIDE // 4,
    }  # fmt: skip
    model = EasyAnimateTransformer3DModel(**{**sizes, **changes}).eval()
    with torch.no_grad():  # large enough for text and positions to matter
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2.0)
    return model


def autoencoder(**changes):
    """Three levels: 4 times in space, 2 in time."""
    from diffusers import AutoencoderKLMagvit

    vae = AutoencoderKLMagvit(**{
        "block_out_channels": (8, 16, 16), "latent_channels": CHANNELS, "layers_per_block": 1, "norm_num_groups": 4,
        "down_block_types": ("SpatialDownBlock3D", "SpatialTemporalDownBlock3D", "SpatialTemporalDownBlock3D"),
        "up_block_types": ("SpatialUpBlock3D", "SpatialTemporalUpBlock3D", "SpatialTemporalUpBlock3D"),
        **changes,
    }).eval()  # fmt: skip
    vae.register_to_config(cache_mag_vae=True)  # as in the published files; diffusers' pipeline reads it
    return vae


def words():
    """Tokenizer and text encoder."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    tokenizer = build_tokenizer([PROMPT, NEGATIVE, "< | im _ start end > user assistant"] * 3, max_length=256)
    tokenizer.chat_template = CHAT
    config = Qwen2VLConfig(
        text_config={
            "vocab_size": max(64, len(tokenizer)), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 512,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e6},
            "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0,
        },
        vision_config={"depth": 1, "embed_dim": 8, "hidden_size": 16, "num_heads": 1, "mlp_ratio": 1},
        image_token_id=60, video_token_id=61, vision_start_token_id=62, vision_end_token_id=63,
    )  # fmt: skip
    return {"tokenizer": tokenizer, "text_encoder": Qwen2VLForConditionalGeneration(config).eval()}


def parts(layout: str, seed: int = 0, dynamic: bool = False, **changes):
    """The parts of a pipeline. changes: of the transformer."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    torch.manual_seed(seed)
    return {
        **words(), "transformer": transformer(layout, **changes), "vae": autoencoder(),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=dynamic),
    }  # fmt: skip


def pipeline(layout: str, seed: int = 0, **changes):
    """diffusers' pipeline of a layout."""
    import diffusers

    name = {"t2v": "", "inp": "Inpaint", "control": "Control", "camera": "Control"}[layout]
    pipe = getattr(diffusers, f"EasyAnimate{name}Pipeline")(**parts(layout, seed, **changes))
    pipe.set_progress_bar_config(disable=True)
    if name == "Control":  # diffusers 0.42 passes an argument that its method does not have
        encode = pipe.encode_prompt
        pipe.encode_prompt = lambda text_encoder_index, **given: encode(**given)
    return pipe
