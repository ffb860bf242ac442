"""A folder of the paper's design with tiny random networks."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from transformers import T5Config, T5EncoderModel

from kinema.families.easyanimate.paper.slice_vae import SliceVae
from kinema.families.easyanimate.paper.transformer import PaperTransformer, initialize_transformer
from kinema.training.data.tokenizers import build_tokenizer
from kinema.training.tasks.slice_vae import initialize

CAPTIONS = ["a red ball rolls left", "a blue square stays in the snow"]


def parts(**changes):
    """Networks in which nothing is zero, so that every part counts."""
    torch.manual_seed(0)
    vae = SliceVae(latent_channels=4, channels=(8, 8, 8), norm_groups=4)
    initialize(vae, torch.Generator().manual_seed(0))
    transformer = PaperTransformer(
        **{
            "num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 3, "latent_channels": 4,
            "caption_channels": 12, "sample_size": 8, "motion_heads": 2, "motion_groups": 4, **changes,
        }
    )  # fmt: skip
    initialize_transformer(transformer)
    for p in transformer.parameters():
        if not p.any():
            p.data.normal_(std=0.2)
    transformer.proj_out.weight.data.normal_(std=0.2)
    tokenizer = build_tokenizer(CAPTIONS, max_length=8)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=12, d_kv=6, d_ff=16, num_heads=2, num_layers=1, dropout_rate=0.0,
        feed_forward_proj="gated-gelu", is_encoder_decoder=False,
    )  # fmt: skip
    return {
        "vae": vae, "transformer": transformer, "text_encoder": T5EncoderModel(config), "tokenizer": tokenizer,
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
    }  # fmt: skip


def write(folder: Path, **changes) -> Path:
    for name, part in parts(**changes).items():
        part.save_pretrained(folder / name)
    (folder / "model_index.json").write_text(json.dumps({
        "_class_name": "EasyAnimatePaperPipeline", "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    }))  # fmt: skip
    return folder
