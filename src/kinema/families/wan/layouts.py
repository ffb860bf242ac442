"""Convert tensors in the original or ComfyUI's layout to networks. Sizes are derived from shapes, keys renamed by
diffusers' conversions; small weights (weights/stored) stay as they are stored. Every function checks all keys and
shapes before it fills a network."""

from __future__ import annotations

import re
from typing import Any

import torch

from ...core.errors import ModelError
from ...weights.folder import load_part
from ...weights.stored.contract import Stored
from ...weights.stored.layers import can_hold, place
from . import autoencoder_22, fun, fun_layout, variants
from .detect import file_facts, file_signs

State = dict[str, Any]
"""Tensors, and `Stored` weights, by name."""

HEAD_DIM = 128
PATCH = (1, 2, 2)
PREFIX = "model.diffusion_model."
PLACES = "img_emb.emb_pos"
"""Position embeddings of the image states, in the network for a first and a last frame."""


def transformer_from(state: State, dtype: torch.dtype, head_dim: int = HEAD_DIM) -> Any:
    """Build a WanTransformer3DModel or WanVACETransformer3DModel. `head_dim` cannot be derived from shapes: it is 128
    in every published model. ModelError if the width is not a multiple of it, or if keys are missing or unknown."""
    from diffusers import WanTransformer3DModel, WanVACETransformer3DModel
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
    from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed

    state = dict(state)  # diffusers' conversion empties what it is given
    if any(key.startswith(PREFIX) for key in state):
        state = {key.removeprefix(PREFIX): value for key, value in state.items() if key.startswith(PREFIX)}
    entries = {key: {"shape": list(value.shape)} for key, value in state.items()}
    facts = file_facts(entries)
    if facts is None:
        raise ModelError("not a Wan transformer in the original or ComfyUI layout.")
    special = variants.supported(file_signs("", entries, facts))
    additional = {key: _tensor(value, dtype) for key, value in fun.split(state).items()} if fun_layout.is_fun(
        special
    ) else {}  # fmt: skip
    width, head = facts["width"], state["head.head.weight"]
    if width % head_dim:
        raise ModelError(f"its width must be a multiple of {head_dim}, the size of Wan's attention heads, got {width}.")
    out_channels = head.shape[0] // (PATCH[0] * PATCH[1] * PATCH[2])
    if facts["variant"] == "t2v" and not special and facts["in_channels"] != out_channels:
        raise ModelError(
            f"an unsupported variant (Wan 2.2, Fun, control) with {facts['in_channels']} input and {out_channels} "
            "output channels, but without image states or VACE blocks."
        )
    config: dict[str, Any] = {
        "patch_size": PATCH,
        "num_attention_heads": width // head_dim,
        "attention_head_dim": head_dim,
        "in_channels": facts["in_channels"],
        "out_channels": out_channels,
        "text_dim": facts["text_dim"],
        "freq_dim": facts["freq_dim"],
        "ffn_dim": facts["ffn"],
        "num_layers": facts["layers"],
        "cross_attn_norm": "blocks.0.norm3.weight" in state,
    }
    if facts["image_dim"] is not None:
        config |= {"image_dim": facts["image_dim"], "added_kv_proj_dim": width}
        config |= {"pos_embed_seq_len": facts["image_places"]}
    kind: Any = WanTransformer3DModel
    if facts["variant"] == "vace":
        kind = WanVACETransformer3DModel
        config |= {"vace_layers": facts["vace_layers"], "vace_in_channels": facts["vace_channels"]}
    places = state.pop(PLACES, None)  # diffusers' conversion does not know it
    renamed = convert_wan_transformer_to_diffusers(state)
    if places is not None:
        renamed["condition_embedder.image_embedder.pos_embed"] = places
    network = _fill(kind, config, renamed, dtype)
    # The rotary table is computed, not stored: the empty network has none.
    network.rope = WanRotaryPosEmbed(head_dim, PATCH, network.config.rope_max_seq_len)
    fun.attach(network, additional, dtype)
    return network


def vae_from(state: State) -> Any:
    """Build the AutoencoderKLWan of Wan 2.1 or of Wan 2.2 TI2V-5B in float32, with the published mean and deviation of
    its 16 or 48 channels."""
    from diffusers import AutoencoderKLWan
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    if "encoder.conv1.weight" not in state or "conv2.weight" not in state:
        raise ModelError("not a Wan VAE in the original layout.")
    if autoencoder_22.SIGN in state:
        if (z_dim := state["conv2.weight"].shape[0]) != len(autoencoder_22.MEAN):
            raise ModelError(f"its latents must have {len(autoencoder_22.MEAN)} channels, got {z_dim}.")
        config = autoencoder_22.config(state)
        return _fill(AutoencoderKLWan, config, autoencoder_22.renamed(state), torch.float32)
    base_dim, z_dim = state["encoder.conv1.weight"].shape[0], state["conv2.weight"].shape[0]
    if z_dim != 16 or "encoder.downsamples.9.residual.2.weight" not in state:
        raise ModelError(f"its latents must have 16 channels, got {z_dim}.")
    widths = [state[f"encoder.downsamples.{index}.residual.2.weight"].shape[0] for index in (0, 3, 6, 9)]
    config = {
        "base_dim": base_dim,
        "z_dim": z_dim,
        "dim_mult": [width // base_dim for width in widths],
        "temperal_downsample": [f"encoder.downsamples.{i}.time_conv.weight" in state for i in (2, 5, 8)],
    }
    return _fill(AutoencoderKLWan, config, convert_wan_vae_to_diffusers(state), torch.float32)


def text_encoder_from(state: State, dtype: torch.dtype) -> Any:
    """Build a UMT5EncoderModel from ComfyUI's layout (transformers' keys) or the original one."""
    from transformers import UMT5Config, UMT5EncoderModel

    if "token_embedding.weight" in state:
        state = {_umt5_name(key): value for key, value in state.items()}
    state = {key: value for key, value in state.items() if key != "spiece_model"}
    first, bias = "encoder.block.0.layer.{}", "SelfAttention.relative_attention_bias.weight"
    try:
        vocabulary, width = state["shared.weight"].shape
        buckets, heads = state[f"{first.format(0)}.{bias}"].shape
        inner = state[f"{first.format(0)}.SelfAttention.q.weight"].shape[0]
        hidden = state[f"{first.format(1)}.DenseReluDense.wi_0.weight"].shape[0]
    except KeyError as error:
        raise ModelError(f"not a UMT5 encoder: {error.args[0]} is missing.") from None
    config = UMT5Config(
        vocab_size=vocabulary,
        d_model=width,
        d_kv=inner // heads,
        d_ff=hidden,
        num_layers=_count(state, r"encoder\.block\.(\d+)\."),
        num_heads=heads,
        relative_attention_num_buckets=buckets,
        feed_forward_proj="gated-gelu",
    )
    if any(isinstance(value, Stored) for value in state.values()):
        network = _fill(UMT5EncoderModel, config, state, dtype, tied=("encoder.embed_tokens.weight",))
        network.encoder.embed_tokens = network.shared
        return network
    return _transformers(UMT5EncoderModel, config, state, dtype, ("encoder.embed_tokens.weight",))


def image_encoder_from(state: State, head_dim: int = 80) -> tuple[Any, Any]:
    """Build (CLIPVisionModel in float32, its image processor). The head size of CLIP ViT-H is 80; it cannot be derived
    from shapes."""
    from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel

    state = {
        key: _tensor(value, torch.float32) for key, value in state.items() if key.startswith("vision_model.")
    }  # fmt: skip
    embeddings = "vision_model.embeddings"
    if f"{embeddings}.patch_embedding.weight" not in state:
        raise ModelError("not a CLIP vision encoder in transformers' layout.")
    width, _, patch, _ = state[f"{embeddings}.patch_embedding.weight"].shape
    side = round((state[f"{embeddings}.position_embedding.weight"].shape[0] - 1) ** 0.5) * patch
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=state["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        num_hidden_layers=_count(state, r"vision_model\.encoder\.layers\.(\d+)\."),
        num_attention_heads=width // head_dim,
        image_size=side,
        patch_size=patch,
        hidden_act="gelu",
    )
    processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    return _transformers(CLIPVisionModel, config, state, torch.float32, ()), processor


def _tensor(value: torch.Tensor | Stored, dtype: torch.dtype) -> torch.Tensor:
    return value.widened(dtype) if isinstance(value, Stored) else value


def _fill(kind: Any, config: Any, state: State, dtype: torch.dtype, tied: tuple[str, ...] = ()) -> Any:
    """Build a network from these tensors without a second copy. Parts that the class keeps in float32 stay float32.
    Stored weights stay as they are in layers that can hold them. tied: parameters that are others of the state."""
    with torch.device("meta"):
        network = kind(config) if not isinstance(config, dict) else kind(**config)
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items() if name not in tied}
    _compare(wanted, {name: tuple(value.shape) for name, value in state.items() if name not in tied})
    keep = set(network._keep_in_fp32_modules or ()) if isinstance(config, dict) else set()
    stored: dict[str, Stored] = {}
    tensors: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        wide = bool(keep.intersection(name.split(".")))
        if isinstance(value, Stored) and not wide and can_hold(network.get_submodule(name.rpartition(".")[0])):
            stored[name] = value
        elif name not in tied:
            own = torch.float32 if wide else dtype
            tensors[name] = _tensor(value, own).to(own)
    found = network.load_state_dict(tensors, strict=False, assign=True)
    assert not found.unexpected_keys and set(found.missing_keys) <= {*stored, *tied}
    place(network, stored, dtype)
    return network


def _compare(wanted: dict[str, Any], found: dict[str, Any]) -> None:
    problems = [f"{name} is missing" for name in wanted if name not in found]
    problems += [f"{name} is not a part of this network" for name in found if name not in wanted]
    problems += [
        f"{name} must have shape {wanted[name]}, got {found[name]}"
        for name in wanted
        if name in found and found[name] != wanted[name]
    ]
    if problems:
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ModelError(f"{'; '.join(problems[:3])}{more}.")


def _transformers(kind: Any, config: Any, state: State, dtype: torch.dtype, tied: tuple[str, ...]) -> Any:
    """Build a transformers network from these tensors. Missing keys raise ModelError; they are not initialised."""
    network, report = load_part(kind, None, config=config, state_dict=state, dtype=dtype, output_loading_info=True)
    missing = [name for name in report["missing_keys"] if name not in tied]
    _compare(dict.fromkeys(missing), {})
    return network


def _count(state: State, pattern: str) -> int:
    found = [int(match.group(1)) for key in state if (match := re.match(pattern, key))]
    return 1 + max(found, default=-1)


UMT5_NAMES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^token_embedding\.", "shared."),
        (r"^norm\.", "encoder.final_layer_norm."),
        (r"^blocks\.(\d+)\.norm1\.", r"encoder.block.\1.layer.0.layer_norm."),
        (r"^blocks\.(\d+)\.attn\.", r"encoder.block.\1.layer.0.SelfAttention."),
        (
            r"^blocks\.(\d+)\.pos_embedding\.embedding\.",
            r"encoder.block.\1.layer.0.SelfAttention.relative_attention_bias.",
        ),
        (r"^blocks\.(\d+)\.norm2\.", r"encoder.block.\1.layer.1.layer_norm."),
        (r"^blocks\.(\d+)\.ffn\.gate\.0\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_0."),
        (r"^blocks\.(\d+)\.ffn\.fc1\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_1."),
        (r"^blocks\.(\d+)\.ffn\.fc2\.", r"encoder.block.\1.layer.1.DenseReluDense.wo."),
    )
)
"""Original names of the text encoder's parts to transformers' names."""


def _umt5_name(key: str) -> str:
    for pattern, name in UMT5_NAMES:
        key = pattern.sub(name, key)
    return key
