"""Tensor names in the original layout (CompVis' latent-diffusion, Stability AI's generative-models): a single file with
all networks, the format of personalised image models and Stable Video Diffusion.

Every function maps a name in the diffusers (or transformers) network to the name in the file. Prefixes in the file:
`model.diffusion_model.` (UNet), `first_stage_model.` (VAE), `cond_stage_model.transformer.` (CLIP's text encoder, in
transformers' names). Tests compare the names with diffusers' conversions, which do not cover Stable Video Diffusion and
take 1.4 times the CPU time for a UNet.
"""

from __future__ import annotations

import re

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
"""Names in a residual block and in its temporal counterpart (`time_stack`)."""
WHOLE = {
    "conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2", "conv_norm_out": "out.0",
    "conv_out": "out.2",
}  # fmt: skip


def unet_name(name: str, layers: int, with_attention: tuple[bool, ...]) -> str:
    """The name of a tensor of a UNet2DConditionModel or UNetSpatioTemporalConditionModel with `layers` residual blocks
    per level. with_attention: by level, from the finest."""
    stem, _, kind = name.rpartition(".")
    if stem in WHOLE:
        return f"{UNET}{WHOLE[stem]}.{kind}"
    parts = name.split(".")
    if parts[0] == "mid_block":
        place = 1 if parts[1] == "attentions" else 2 * int(parts[2])
        return f"{UNET}middle_block.{place}.{_inner(parts[1], '.'.join(parts[3:]))}"
    level, what, at, rest = int(parts[1]), parts[2], int(parts[3]), ".".join(parts[4:])
    if parts[0] == "down_blocks":
        block = 1 + level * (layers + 1) + (layers if what == "downsamplers" else at)
        if what == "downsamplers":
            return f"{UNET}input_blocks.{block}.0.op.{kind}"
        return f"{UNET}input_blocks.{block}.{int(what == 'attentions')}.{_inner(what, rest)}"
    block = level * (layers + 1) + (layers if what == "upsamplers" else at)
    if what == "upsamplers":
        place = 2 if with_attention[len(with_attention) - 1 - level] else 1
        return f"{UNET}output_blocks.{block}.{place}.conv.{kind}"
    return f"{UNET}output_blocks.{block}.{int(what == 'attentions')}.{_inner(what, rest)}"


def _inner(what: str, rest: str) -> str:
    """The name inside a residual block or a transformer."""
    if what == "resnets":
        if rest == "time_mixer.mix_factor":
            return rest
        stem, _, kind = rest.removeprefix("spatial_res_block.").rpartition(".")
        inner = stem.removeprefix("temporal_res_block.")
        return f"{'time_stack.' if inner != stem else ''}{RESNET[inner]}.{kind}"
    rest = rest.replace("temporal_transformer_blocks.", "time_stack.")
    return re.sub(r"time_pos_embed\.linear_(\d)", lambda m: f"time_pos_embed.{2 * int(m[1]) - 2}", rest)


def vae_name(name: str, levels: int, prefix: str = VAE) -> str:
    """The name of a tensor of an AutoencoderKL or AutoencoderKLTemporalDecoder. The file numbers the decoder's levels
    from the finest, diffusers from the coarsest."""
    parts = name.split(".")
    if parts[0] in ("quant_conv", "post_quant_conv"):
        return f"{prefix}{name}"
    side, what, kind = parts[0], parts[1], parts[-1]
    if what == "conv_norm_out":
        return f"{prefix}{side}.norm_out.{kind}"
    if what == "time_conv_out":
        return f"{prefix}{side}.conv_out.time_mix_conv.{kind}"
    if what in ("conv_in", "conv_out"):
        return f"{prefix}{name}"
    if what == "mid_block":
        if parts[2] == "attentions":
            inner = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out": "proj_out"}[parts[4]]
            return f"{prefix}{side}.mid.attn_1.{inner}.{kind}"
        return f"{prefix}{side}.mid.block_{int(parts[3]) + 1}.{_vae_block('.'.join(parts[4:]))}"
    level = int(parts[2]) if what == "down_blocks" else levels - 1 - int(parts[2])
    way = "down" if what == "down_blocks" else "up"
    if parts[3] in ("downsamplers", "upsamplers"):
        return f"{prefix}{side}.{way}.{level}.{way}sample.conv.{kind}"
    return f"{prefix}{side}.{way}.{level}.block.{parts[4]}.{_vae_block('.'.join(parts[5:]))}"


def _vae_block(rest: str) -> str:
    if rest == "time_mixer.mix_factor":
        return "mix_factor"
    if rest.startswith("temporal_res_block."):
        stem, _, kind = rest.removeprefix("temporal_res_block.").rpartition(".")
        return f"time_stack.{RESNET[stem]}.{kind}"
    return rest.removeprefix("spatial_res_block.").replace("conv_shortcut", "nin_shortcut")
