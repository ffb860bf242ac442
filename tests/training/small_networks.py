"""Tiny untrained networks of the published classes."""

from diffusers import WanVACETransformer3DModel
from transformers import UMT5Config, UMT5EncoderModel


def small_transformer(**changes) -> WanVACETransformer3DModel:
    config = {
        "num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 16, "out_channels": 16, "text_dim": 16,
        "freq_dim": 16, "ffn_dim": 16, "num_layers": 2, "vace_layers": [0], "vace_in_channels": 96,
    }  # fmt: skip
    return WanVACETransformer3DModel(**config | changes)


def small_text_encoder(vocab_size: int) -> UMT5EncoderModel:
    return UMT5EncoderModel(
        UMT5Config(vocab_size=vocab_size, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, dropout_rate=0.0)
    )
