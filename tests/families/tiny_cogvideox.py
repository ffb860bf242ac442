"""Small CogVideoX models with random weights, in the layouts of the published ones, as diffusers folders."""

from __future__ import annotations

import torch

from kinema.training.data.tokenizers import build_tokenizer

PROMPT, NEGATIVE = "a red ball rolls over a hill", "snow"
LENGTH, SIDE, FRAMES = 12, 32, 9
V15 = {"patch_size_t": 2, "patch_bias": False, "use_rotary_positional_embeddings": True}
LAYOUTS = {
    "2b": {"use_rotary_positional_embeddings": False},
    "5b": {"use_rotary_positional_embeddings": True},
    "5b-i2v": {
        "use_rotary_positional_embeddings": True, "use_learned_positional_embeddings": True, "in_channels": 8,
    },
    "1.5": {**V15, "sample_height": 30, "sample_width": 30},
    "1.5-i2v": {**V15, "sample_height": 30, "sample_width": 30, "in_channels": 8, "ofs_embed_dim": 8},
}  # fmt: skip
"""What distinguishes the transformers of the published checkpoints."""


def transformer(layout: str, **changes):
    from diffusers import CogVideoXTransformer3DModel

    sizes = {
        "num_attention_heads": 2, "attention_head_dim": 16, "in_channels": 4, "out_channels": 4, "time_embed_dim": 8,
        "text_embed_dim": 16, "num_layers": 2, "sample_width": SIDE // 4, "sample_height": SIDE // 4,
        "sample_frames": FRAMES, "max_text_seq_length": LENGTH,
    }  # fmt: skip
    model = CogVideoXTransformer3DModel(**{**sizes, **LAYOUTS[layout], **changes}).eval()
    with torch.no_grad():  # large enough for text and positions to matter
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2.0)
    return model


def autoencoder(**changes):
    from diffusers import AutoencoderKLCogVideoX

    return AutoencoderKLCogVideoX(
        block_out_channels=(16, 16, 16), down_block_types=("CogVideoXDownBlock3D",) * 3, latent_channels=4,
        up_block_types=("CogVideoXUpBlock3D",) * 3, layers_per_block=1, norm_num_groups=4, sample_height=SIDE,
        sample_width=SIDE, **{"scaling_factor": 0.7, **changes},
    ).eval()  # fmt: skip


def words():
    """Tokenizer and text encoder."""
    from transformers import T5Config, T5EncoderModel

    tokenizer = build_tokenizer([PROMPT, NEGATIVE] * 3, max_length=LENGTH)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return {"tokenizer": tokenizer, "text_encoder": T5EncoderModel(config).eval()}


def scheduler(layout: str):
    from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler

    common = {
        "prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing",
        "clip_sample": False,
    }  # fmt: skip
    if layout == "2b":
        return CogVideoXDDIMScheduler(snr_shift_scale=3.0, **common)
    return CogVideoXDPMScheduler(snr_shift_scale=1.0, **common)


def parts(layout: str, seed: int = 0, **changes):
    """The parts of a pipeline. changes: of the transformer."""
    torch.manual_seed(seed)
    scales = {"2b": {"scaling_factor": 1.15258426}, "1.5": {"invert_scale_latents": True}}
    return {
        **words(), "transformer": transformer(layout, **changes), "scheduler": scheduler(layout),
        "vae": autoencoder(**scales.get(layout.removesuffix("-i2v"), {})),
    }  # fmt: skip


def pipeline(layout: str, seed: int = 0, **changes):
    """diffusers' pipeline of a layout."""
    from diffusers import CogVideoXImageToVideoPipeline, CogVideoXPipeline

    kind = CogVideoXImageToVideoPipeline if layout.endswith("i2v") else CogVideoXPipeline
    pipe = kind(**parts(layout, seed, **changes))
    pipe.set_progress_bar_config(disable=True)
    return pipe
