"""A few Toyland clips, their latents and a tiny image model, for tests of training."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from kinema.toyland.caption import describe
from kinema.toyland.scene import WORLD_SMALL, sample_scene
from kinema.training.data.frame_latents import FrameLatents, write_frame_latents
from kinema.training.data.store import ClipStore, write_shards
from kinema.training.data.tokenizers import build_clip_tokenizer
from kinema.training.tasks import kl_vae

TOKENS = 24


def captions() -> list[str]:
    return [describe(sample_scene(seed, WORLD_SMALL), seed) for seed in range(300)]


def tokenizer():
    return build_clip_tokenizer(captions(), TOKENS)


def clips(folder) -> ClipStore:
    write_shards(folder, WORLD_SMALL, range(6), num_frames=4, height=32, width=32)
    return ClipStore(folder)


def autoencoder(width: int = 16) -> AutoencoderKL:
    torch.manual_seed(0)
    found = AutoencoderKL(
        block_out_channels=(width, width), down_block_types=("DownEncoderBlock2D",) * 2, layers_per_block=1,
        up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=min(32, width // 2),
    )  # fmt: skip
    kl_vae.initialize(found, torch.Generator().manual_seed(0))
    return found.eval()


def latents_of(vae, store, folder) -> FrameLatents:
    write_frame_latents(vae, store, folder)
    return FrameLatents(folder)


def text_encoder(words) -> CLIPTextModel:
    torch.manual_seed(1)
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words), hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
            max_position_embeddings=TOKENS, bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id,
        )
    )  # fmt: skip


def image_model(**changes) -> UNet2DConditionModel:
    torch.manual_seed(2)
    settings: dict = {"norm_num_groups": 16, "use_linear_projection": True, **changes}
    return UNet2DConditionModel(
        sample_size=16, block_out_channels=(32, 32), layers_per_block=1, cross_attention_dim=32, attention_head_dim=2,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        **settings,
    )  # fmt: skip
