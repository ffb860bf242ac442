"""Tiny random Wan networks in the original and ComfyUI's layouts.

The maps from diffusers' names to the original's are independent of the code under test.
"""

from __future__ import annotations

import re
import struct

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel, WanVACETransformer3DModel
from safetensors.torch import save_file

TRANSFORMER = (
    ("condition_embedder.time_embedder.linear_1.", "time_embedding.0."),
    ("condition_embedder.time_embedder.linear_2.", "time_embedding.2."),
    ("condition_embedder.text_embedder.linear_1.", "text_embedding.0."),
    ("condition_embedder.text_embedder.linear_2.", "text_embedding.2."),
    ("condition_embedder.time_proj.", "time_projection.1."),
    ("condition_embedder.image_embedder.pos_embed", "img_emb.emb_pos"),
    ("condition_embedder.image_embedder.norm1.", "img_emb.proj.0."),
    ("condition_embedder.image_embedder.ff.net.0.proj.", "img_emb.proj.1."),
    ("condition_embedder.image_embedder.ff.net.2.", "img_emb.proj.3."),
    ("condition_embedder.image_embedder.norm2.", "img_emb.proj.4."),
    (".attn1.", ".self_attn."), (".attn2.", ".cross_attn."), (".to_q.", ".q."), (".to_k.", ".k."),
    (".to_v.", ".v."), (".to_out.0.", ".o."), (".add_k_proj.", ".k_img."), (".add_v_proj.", ".v_img."),
    (".norm_added_k.", ".norm_k_img."), (".norm2.", ".norm_second."), (".norm3.", ".norm2."),
    (".norm_second.", ".norm3."), (".ffn.net.0.proj.", ".ffn.0."), (".ffn.net.2.", ".ffn.2."),
    (".proj_in.", ".before_proj."), (".proj_out.", ".after_proj."), (".scale_shift_table", ".modulation"),
)  # fmt: skip


def original(name: str) -> str:
    if name == "scale_shift_table":
        return "head.modulation"
    if name.startswith("proj_out."):
        return name.replace("proj_out.", "head.head.")
    for ours, theirs in TRANSFORMER:
        name = name.replace(ours, theirs)
    return name


def original_vae(name: str) -> str:
    """Map AutoencoderKLWan's names to the published file's, which has one flat list of blocks on each side."""
    name = name.replace("post_quant_conv.", "conv2.").replace("quant_conv.", "conv1.")
    name = re.sub(r"^(en|de)coder\.conv_in\.", r"\1coder.conv1.", name)
    name = re.sub(r"^(en|de)coder\.norm_out\.", r"\1coder.head.0.", name)
    name = re.sub(r"^(en|de)coder\.conv_out\.", r"\1coder.head.2.", name)
    name = name.replace(".mid_block.resnets.0.", ".middle.0.").replace(".mid_block.resnets.1.", ".middle.2.")
    name = name.replace(".mid_block.attentions.0.", ".middle.1.")
    name = name.replace("encoder.down_blocks.", "encoder.downsamples.")
    up = re.match(r"decoder\.up_blocks\.(\d)\.(resnets|upsamplers)\.(\d)\.(.*)", name)
    if up:
        number = 4 * int(up[1]) + (3 if up[2] == "upsamplers" else int(up[3]))
        name = f"decoder.upsamples.{number}.{up[4]}"
    for ours, theirs in (
        (".norm1.", ".residual.0."), (".conv1.", ".residual.2."), (".norm2.", ".residual.3."),
        (".conv2.", ".residual.6."), (".conv_shortcut.", ".shortcut."),
    ):  # fmt: skip
        if "samples." in name or ".middle.0." in name or ".middle.2." in name:
            name = name.replace(ours, theirs)
    return name


def randomised(network):
    generator = torch.Generator().manual_seed(3)
    for parameter in network.parameters():
        value = torch.randn(parameter.shape, generator=generator) * 0.15
        parameter.data.copy_(value + 1 if parameter.ndim == 1 and parameter.min() == 1 else value)
    return network.eval().requires_grad_(False)


def transformer(variant: str, head_dim: int = 12, **changes):
    sizes = {
        "num_attention_heads": 2, "attention_head_dim": head_dim, "in_channels": 16, "out_channels": 16,
        "text_dim": 32, "freq_dim": 16, "ffn_dim": 40, "num_layers": 4,
    }  # fmt: skip
    if variant in ("i2v", "flf2v", "i2v-a14b-high"):
        sizes |= {"in_channels": 36}
    if variant in ("i2v", "flf2v"):
        sizes |= {"image_dim": 20, "added_kv_proj_dim": 2 * head_dim}
    if variant == "flf2v":
        sizes |= {"pos_embed_seq_len": 6}
    if variant == "vace":
        sizes |= {"vace_layers": [0, 2], "vace_in_channels": 96}
    kind = WanVACETransformer3DModel if variant == "vace" else WanTransformer3DModel
    return randomised(kind(**sizes | changes))


def renamed(network, rename=original, prefix: str = "") -> dict[str, torch.Tensor]:
    return {prefix + rename(name): value.clone() for name, value in network.state_dict().items()}


@torch.no_grad()
def output(network, variant: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    more = {}
    if variant in ("i2v", "flf2v"):
        more = {"encoder_hidden_states_image": draw(2 if variant == "flf2v" else 1, 3, 20)}
    if variant == "vace":
        more = {"control_hidden_states": draw(1, 96, 2, 4, 4)}
    return network(
        hidden_states=draw(1, network.config.in_channels, 2, 4, 4),
        timestep=torch.tensor([400.0]),
        encoder_hidden_states=draw(1, 512 if more and variant != "vace" else 5, 32),
        **more,
    ).sample


def text_encoder():
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    config = UMT5Config(
        vocab_size=len(WORDS), d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=3,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return randomised(UMT5EncoderModel(config))


def original_umt5(name: str) -> str:
    name = name.replace("shared.", "token_embedding.").replace("encoder.final_layer_norm.", "norm.")
    block = re.match(r"encoder\.block\.(\d+)\.layer\.(\d)\.(.*)", name)
    if not block:
        return name
    rest = {"0": "norm1.", "1": "norm2."}[block[2]] if "layer_norm" in block[3] else ""
    inner = (
        block[3]
        .replace("layer_norm.", rest)
        .replace("SelfAttention.relative_attention_bias.", "pos_embedding.embedding.")
    )
    inner = inner.replace("SelfAttention.", "attn.").replace("DenseReluDense.wi_0.", "ffn.gate.0.")
    inner = inner.replace("DenseReluDense.wi_1.", "ffn.fc1.").replace("DenseReluDense.wo.", "ffn.fc2.")
    return f"blocks.{block[1]}.{inner}"


def image_encoder(width: int = 20):
    from transformers import CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=width, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, image_size=28,
        patch_size=14, hidden_act="gelu",
    )  # fmt: skip
    return randomised(CLIPVisionModel(config))


def clip_state(network) -> dict[str, torch.Tensor]:
    state = {
        name if name.startswith("vision_model.") else f"vision_model.{name}": value.clone()
        for name, value in network.state_dict().items()
    }
    return state | {"visual_projection.weight": torch.zeros(4, 20)}


WORDS = (
    "<pad>",
    "</s>",
    "<unk>",
    "\u2581",
    "\u2581a",
    "\u2581red",
    "\u2581ball",
    "s",
    "b",
    "l",
    "e",
    "r",
    "d",
    "a",
)


def spiece(words=WORDS) -> bytes:
    """A SentencePiece model as protobuf, encoded byte by byte."""

    def block(number: int, payload: bytes) -> bytes:
        assert len(payload) < 128
        return bytes([number << 3 | 2, len(payload)]) + payload

    message = b""
    for index, word in enumerate(words):
        score = b"\x15" + struct.pack("<f", 0.0 if index < 3 else -1.0 - index / 10)
        kind = bytes([3 << 3, 2 if word == "<unk>" else 3 if index < 2 else 1])
        message += block(1, block(1, word.encode()) + score + kind)
    return message + block(2, b"\x18\x0e") + block(3, block(1, b"identity"))


def comfy_folder(root, variant: str = "t2v"):
    """Write ComfyUI's folders with tiny parts; return the transformer's file."""
    for name in ("diffusion_models", "vae", "text_encoders", "clip_vision"):
        (root / "models" / name).mkdir(parents=True)
    network = transformer(variant, head_dim=128, num_layers=2, vace_layers=[0, 1]) if variant == "vace" else None
    network = network or transformer(variant, head_dim=128, num_layers=2)
    file = root / "models" / "diffusion_models" / f"wan2.1_{variant}_tiny.safetensors"
    save_file(renamed(network), file)
    vae = randomised(AutoencoderKLWan(base_dim=8, z_dim=16))
    save_file(renamed(vae, original_vae), root / "models" / "vae" / "wan_2.1_vae.safetensors")
    state = {name: value.clone() for name, value in text_encoder().state_dict().items() if "embed_tokens" not in name}
    pieces = torch.tensor(list(spiece()), dtype=torch.uint8)
    target = root / "models" / "text_encoders" / "umt5_xxl_fp16.safetensors"
    save_file(state | {"spiece_model": pieces}, target)
    return file


def original_vae_22(name: str) -> str:
    """Map AutoencoderKLWan's names of Wan 2.2's autoencoder to the published file's: a list of blocks in each level."""
    level = re.match(r"(encoder\.down_blocks|decoder\.up_blocks)\.(\d)\.(\w+)\.(.*)", name)
    if not level:
        return original_vae(name)
    side, inner = ("encoder", "downsamples") if level[1].startswith("encoder") else ("decoder", "upsamples")
    rest = level[4] if level[3] == "resnets" else f"{2 if side == 'encoder' else 3}.{level[4]}"
    name = f"{side}.{inner}.{level[2]}.{inner}.{rest}"
    for ours, theirs in (
        (".norm1.", ".residual.0."), (".conv1.", ".residual.2."), (".norm2.", ".residual.3."),
        (".conv2.", ".residual.6."), (".conv_shortcut.", ".shortcut."),
    ):  # fmt: skip
        name = name.replace(ours, theirs)
    return name


def clean_text_state(network) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items() if "embed_tokens" not in name}
