"""Nodes that describe: loaders, words, patches of a model, empty latents, the parts of a composed sampler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ...core.errors import RequestError
from ...weights import store
from ..nodes.model_files import plain_name
from .descriptions import (
    Conditioning,
    Guider,
    LatentClip,
    Levels,
    MediaUse,
    ModelPart,
    ModelUse,
    Noise,
    SamplerName,
    VisionUse,
)

Given = Mapping[str, Any]
"""The inputs of a node by name, evaluated."""
SCHEDULES = ("standard_static", "batched")
"""Of context windows."""
NONE = "none"
"""In place of a model: a LoRA file that is left out."""


class Describing(Protocol):
    """What a describing node may ask of its graph."""

    @property
    def models(self) -> Mapping[str, str]:
        """By the plain name of a file, the model or LoRA file that the user names for it."""
        ...

    def model_of(self, file: str) -> str:
        """The id of the model that a file of the graph is. RequestError."""
        ...

    def link(self, node: str, name: str) -> tuple[str, int]:
        """What an input is linked to."""
        ...


Describe = Callable[[Describing, str, Given], tuple[Any, ...]]


def loaded(graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    """CheckpointLoaderSimple, ImageOnlyCheckpointLoader, UNETLoader."""
    file = str(given.get("unet_name", given.get("ckpt_name")))
    chosen = graph.models.get(plain_name(file))
    model = ModelUse(graph.model_of(file) if chosen is None else store.alone(chosen), file, chosen is not None)
    return model, ModelPart("CLIP", file), ModelPart("VAE", file)


def checkpoint_of_pictures(graph: Describing, node: str, given: Given) -> tuple[Any, ...]:
    model, _, vae = loaded(graph, node, given)
    return model, ModelPart("CLIP_VISION", str(given["ckpt_name"])), vae


def part(kind: str, name: str) -> Describe:
    def describe(_graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
        return (ModelPart(kind, str(given[name])),)

    return describe


def lora(graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    model: ModelUse = given["model"]
    file = graph.models[plain_name(str(given["lora_name"]))]
    if file != NONE:
        model = model.with_style(file, float(given["strength_model"]))
    return model, given.get("clip")


def shifted(_graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    return (given["model"].with_options(shift=float(given["shift"])),)


def linear_guidance(_graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    return (given["model"].with_options(first_guidance=float(given["min_cfg"])),)


def cfg_zero(_graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    return (given["model"].with_options(cfg_zero="comfyui"),)


def context_windows(_graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    """WanContextWindowsManual, in frames."""
    if given["context_schedule"] not in SCHEDULES or given["context_stride"] != 1 or given["closed_loop"]:
        raise RequestError(
            f"context_schedule = {given['context_schedule']}, context_stride = {given['context_stride']}, "
            f"closed_loop = {given['closed_loop']}.", field="workflow",
            legal=f"{' or '.join(SCHEDULES)}, a stride of 1, no closed loop",
        )  # fmt: skip
    return (
        given["model"].with_options(
            context_length=int(given["context_length"]), context_overlap=int(given["context_overlap"]),
            context_schedule=str(given["context_schedule"]), context_fuse=str(given["fuse_method"]),
        ),
    )  # fmt: skip


def skipped_layers(_graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    """SkipLayerGuidanceDiT. The blocks of video transformers are its double ones."""
    return (
        given["model"].with_options(
            skip_layers=str(given["double_layers"]), skip_strength=float(given["scale"]),
            skip_from=float(given["start_percent"]), skip_to=float(given["end_percent"]),
            skip_rescale=float(given["rescaling_scale"]),
        ),
    )  # fmt: skip


def unchanged(_graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    return (given["model"],)


def words(_graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    return (Conditioning(str(given["text"])),)


def seen(graph: Describing, node: str, given: Given) -> tuple[Any, ...]:
    return (VisionUse(graph.link(node, "image"), given["image"], str(given["crop"])),)


def empty_video(_graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    return (LatentClip(given["width"], given["height"], given["length"], batch=int(given["batch_size"])),)


def trimmed(_graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    latent: LatentClip = given["samples"]
    return (replaced(latent, trimmed=latent.trimmed + int(given["trim_amount"])),)


def replaced(latent: LatentClip, **changes: Any) -> LatentClip:
    from dataclasses import replace

    return replace(latent, **changes)


def encoded(graph: Describing, node: str, given: Given) -> tuple[Any, ...]:
    """VAEEncode: frames are cropped to the autoencoder's grid."""
    pictures = given["pixels"]
    media = MediaUse(pictures, graph.link(node, "pixels"), is_clip=True)
    return (LatentClip(pictures.width, pictures.height, pictures.count, encoded=media),)


def noise(_graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    return (Noise(int(given["noise_seed"])),)


def no_noise(_graph: Describing, _node: str, _given: Given) -> tuple[Any, ...]:
    return (Noise(None),)


def sampler_name(_graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    return (SamplerName(str(given["sampler_name"])),)


def levels(_graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    return (Levels(str(given["scheduler"]), int(given["steps"]), float(given.get("denoise", 1.0))),)


def guider(_graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    return (Guider(given["model"], given["positive"], given["negative"], float(given["cfg"])),)


def basic_guider(_graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    return (Guider(given["model"], given["conditioning"], None, 1.0),)


DESCRIBED: dict[str, Describe] = {
    "CheckpointLoaderSimple": loaded, "UNETLoader": loaded, "ImageOnlyCheckpointLoader": checkpoint_of_pictures,
    "CLIPLoader": part("CLIP", "clip_name"), "VAELoader": part("VAE", "vae_name"),
    "CLIPVisionLoader": part("CLIP_VISION", "clip_name"), "LoraLoader": lora, "LoraLoaderModelOnly": lora,
    "ModelSamplingSD3": shifted, "VideoLinearCFGGuidance": linear_guidance,
    "CFGZeroStar": cfg_zero, "SkipLayerGuidanceDiT": skipped_layers, "UNetTemporalAttentionMultiply": unchanged,
    "WanContextWindowsManual": context_windows, "CLIPTextEncode": words, "CLIPVisionEncode": seen,
    "EmptyHunyuanLatentVideo": empty_video, "TrimVideoLatent": trimmed, "VAEEncode": encoded, "RandomNoise": noise,
    "DisableNoise": no_noise, "KSamplerSelect": sampler_name, "BasicScheduler": levels, "CFGGuider": guider,
    "BasicGuider": basic_guider,
}  # fmt: skip


def wrong(what: str, legal: str) -> RequestError:
    return RequestError(what, field="workflow", legal=legal)
