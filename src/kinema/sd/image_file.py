"""Load a personalised image model: one .safetensors file in Stable Diffusion 1's original layout.

The file contains UNet, VAE and text encoder; their sizes are derived from the tensors. CLIP's vocabulary and the noise
schedule are not in the file, but are the same for all models of this kind.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from ..core.errors import ModelError
from ..weights import quantised
from ..weights.headers import header
from . import original
from .original_file import TensorFile, fill, levels, vae_sizes

HEADS = 8
"""Number of the UNet's attention heads at every level."""
TEXT_HEAD_WIDTH = 64
SCALING = 0.18215
VOCABULARY = "sd/clip_vocabulary.txt.gz"
"""Byte-pair merges of OpenAI's CLIP (MIT)."""
MERGES = 48_894
MARK = f"{original.UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


class ImageFile:
    """An image model in a single file. Methods raise ModelError if a tensor is missing or has another size."""

    def __init__(self, place: Path, dtype: torch.dtype) -> None:
        self.place, self.dtype = place, dtype
        self.names = set(header(place))

    def unet(self) -> Any:
        return self._read(_unet, self.dtype)

    def text_encoder(self) -> Any:
        return self._read(_text_encoder, self.dtype)

    def vae(self) -> Any:
        return self._read(_vae, torch.float32)

    def tokenizer(self) -> Any:
        return tokenizer()

    def scheduler(self) -> Any:
        from diffusers import DDIMScheduler

        return DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, clip_sample=False,
            set_alpha_to_one=False,
        )  # fmt: skip

    def second_text_encoder(self) -> None:
        return None

    def _read(self, build: Callable[[TensorFile], tuple[Any, Callable[[str], str]]], dtype: torch.dtype) -> Any:
        from safetensors import safe_open

        with safe_open(self.place, "pt") as tensors:
            source = TensorFile(self.place, tensors, self.names)
            network, name_of = build(source)
            return fill(network, source, lambda name: (name_of(name), ""), dtype)


def sizes(place: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The sizes in the configurations of UNet and VAE. ModelError if the file is not an image model."""
    shapes = header(place)
    if MARK not in shapes or not any(name.startswith(original.TEXT) for name in shapes):
        raise ModelError(
            f"{place}: not an image model in Stable Diffusion 1's original layout: "
            f"{MARK if MARK not in shapes else original.TEXT + '...'} is missing."
        )
    quantised.refuse(place)
    if scale := quantised.scaled(shapes):
        raise ModelError(f"{place}: scaled float8 weights ({scale}) are not supported for image models.")
    from safetensors import safe_open

    with safe_open(place, "np") as tensors:
        source = TensorFile(place, tensors, set(shapes))
        return {"block_out_channels": levels(source)[0]}, vae_sizes(source)


def tokenizer() -> Any:
    """CLIP's tokenizer, from the merges that OpenAI published: bytes, bytes at word ends, merges, special tokens."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    packed = (files("kinema") / VOCABULARY).read_bytes()
    merges = gzip.decompress(packed).decode("utf-8").splitlines()[1 : MERGES + 1]
    pairs: Any = [tuple(merge.split()) for merge in merges]
    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in pairs)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)}, merges=pairs,
        model_max_length=77,
    )  # fmt: skip


def _unet(source: TensorFile) -> tuple[Any, Callable[[str], str]]:
    from diffusers import UNet2DConditionModel

    channels, layers, attended = levels(source)
    with torch.device("meta"):
        network = UNet2DConditionModel(
            sample_size=64, in_channels=source.shape(f"{original.UNET}input_blocks.0.0.weight")[1],
            out_channels=source.shape(f"{original.UNET}out.2.weight")[0], block_out_channels=tuple(channels),
            layers_per_block=layers, attention_head_dim=HEADS, cross_attention_dim=source.shape(MARK)[1],
            down_block_types=tuple("CrossAttnDownBlock2D" if each else "DownBlock2D" for each in attended),
            up_block_types=tuple("CrossAttnUpBlock2D" if each else "UpBlock2D" for each in reversed(attended)),
        )  # fmt: skip
    return network, lambda name: original.unet_name(name, layers, attended)


def _vae(source: TensorFile) -> tuple[Any, Callable[[str], str]]:
    from diffusers import AutoencoderKL

    found = vae_sizes(source)
    count = len(found["block_out_channels"])
    with torch.device("meta"):
        network = AutoencoderKL(up_block_types=("UpDecoderBlock2D",) * count, scaling_factor=SCALING, **found)
    return network, lambda name: original.vae_name(name, count)


def _text_encoder(source: TensorFile) -> tuple[Any, Callable[[str], str]]:
    """The text encoder, and a map to its names in the file, which are those of older versions of transformers."""
    from transformers import CLIPTextConfig, CLIPTextModel

    head = f"{original.TEXT}text_model."
    words, width = source.shape(f"{head}embeddings.token_embedding.weight")
    config = CLIPTextConfig(
        vocab_size=words, hidden_size=width, projection_dim=width, num_attention_heads=max(1, width // TEXT_HEAD_WIDTH),
        intermediate_size=source.shape(f"{head}encoder.layers.0.mlp.fc1.weight")[0],
        num_hidden_layers=source.count(head + "encoder.layers.{}."),
        max_position_embeddings=source.shape(f"{head}embeddings.position_embedding.weight")[0],
        hidden_act="quick_gelu",
    )  # fmt: skip
    return CLIPTextModel(config), lambda name: head + name.removeprefix("text_model.")
