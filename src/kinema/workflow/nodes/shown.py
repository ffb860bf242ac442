"""How ComfyUI's page shows the declared nodes: categories, names of outputs, steps of numbers, and texts of help.

Nothing here changes what a node computes. The texts are Kinema's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .declaration import Declaration, DeclaredInput

_GROUPS: Mapping[str, str] = {
    "loaders": "CheckpointLoaderSimple ImageOnlyCheckpointLoader UNETLoader CLIPLoader VAELoader CLIPVisionLoader "
               "LoraLoader LoraLoaderModelOnly",
    "conditioning": "CLIPTextEncode CLIPVisionEncode",
    "conditioning/video": "SVD_img2vid_Conditioning WanImageToVideo WanFirstLastFrameToVideo WanFunInpaintToVideo "
                          "WanFunControlToVideo Wan22FunControlToVideo WanCameraEmbedding WanCameraImageToVideo "
                          "WanTrackToVideo WanVaceToVideo Wan22ImageToVideoLatent",
    "sampling": "KSampler KSamplerAdvanced SamplerCustom SamplerCustomAdvanced",
    "sampling/parts": "RandomNoise DisableNoise KSamplerSelect BasicScheduler CFGGuider BasicGuider",
    "model": "ModelSamplingSD3 VideoLinearCFGGuidance CFGZeroStar SkipLayerGuidanceDiT UNetTemporalAttentionMultiply "
             "WanContextWindowsManual",
    "latent": "EmptyHunyuanLatentVideo EmptyLatentImage TrimVideoLatent VAEDecode VAEEncode",
    "image": "LoadImage SaveImage PreviewImage ImageFromBatch RepeatImageBatch BatchImagesNode GetImageSize "
             "ResizeImageMaskNode ImageScale ImagePadForOutpaint Canny ImageCompositeMasked JoinImageWithAlpha",
    "mask": "SolidMask InvertMask GrowMask MaskToImage ImageToMask MaskPreview SAM3_Detect",
    "video": "LoadVideo GetVideoComponents CreateVideo SaveVideo SaveWEBM SaveAnimatedWEBP",
    "values": "PrimitiveInt PrimitiveFloat PrimitiveBoolean PrimitiveString PrimitiveStringMultiline "
              "ComfyMathExpression ComfySwitchNode",
}  # fmt: skip
CATEGORIES = {name: category for category, names in _GROUPS.items() for name in names.split()}
OTHER = "other"

_POSITIVE = ("positive", "negative", "latent")
OUTPUT_NAMES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("SVD_img2vid_Conditioning", "WanImageToVideo", "WanFirstLastFrameToVideo", "WanFunInpaintToVideo",
         "WanFunControlToVideo", "Wan22FunControlToVideo", "WanCameraImageToVideo", "WanTrackToVideo"), _POSITIVE),
    "WanVaceToVideo": (*_POSITIVE, "trim_latent"),
    "WanCameraEmbedding": ("camera_embedding", "width", "height", "length"),
    "SAM3_Detect": ("masks", "bboxes"),
    "SamplerCustom": ("output", "denoised_output"),
    "SamplerCustomAdvanced": ("output", "denoised_output"),
    "CFGZeroStar": ("patched_model",),
    "GetVideoComponents": ("images", "audio", "fps", "bit_depth", "color_space"),
    "GetImageSize": ("width", "height", "batch_size"),
    "ResizeImageMaskNode": ("resized",),
    "ComfyMathExpression": ("FLOAT", "INT", "BOOL"),
    "ComfySwitchNode": ("output",), "SaveVideo": ("video",), "SaveImage": ("images",), "PreviewImage": ("images",),
    "MaskPreview": ("mask",),
}  # fmt: skip
"""Saved workflows carry these names. Other outputs are named as their types."""

MANY_LINES = frozenset({
    "CLIPTextEncode.text", "PrimitiveStringMultiline.value", "WanTrackToVideo.tracks", "ComfyMathExpression.expression",
})  # fmt: skip
GROWN: Mapping[str, Mapping[str, Any]] = {
    "BatchImagesNode.images": {"prefix": "image", "min": 1, "max": 50},
    "ComfyMathExpression.values": {"names": list("abcdefghijklmnopqrstuvwxyz"), "min": 1},
}
"""How the sockets of an input that grows are named, and how many there are."""
MATCHED: Mapping[str, tuple[str, ...]] = {
    "ResizeImageMaskNode": ("input",), "ComfySwitchNode": ("on_false", "on_true"),
}  # fmt: skip
"""Inputs that have one type, which is also that of the node's first output."""

OPEN: Mapping[str, tuple[str, ...]] = {"CLIPLoader.type": ("stable_diffusion", "wan")}
"""Choices to which newer models add values: those that Kinema has a model for. The page and comfy-cli refuse others."""

_STEPS: Mapping[str, float] = {
    "length": 4, "cfg": 0.1, "denoise": 0.01, "shift": 0.01, "min_cfg": 0.5,
    "strength_model": 0.01, "strength_clip": 0.01, "strength": 0.01, "augmentation_level": 0.01, "speed": 0.1,
    "fps": 1, "fx": 0.01, "fy": 0.01, "cx": 0.01, "cy": 0.01, "value": 0.01, "threshold": 0.01, "multiplier": 0.01,
    "megapixels": 0.01, "left": 8, "top": 8, "right": 8, "bottom": 8, "low_threshold": 0.01, "high_threshold": 0.01,
    "start_percent": 0.001, "end_percent": 0.001, "rescaling_scale": 0.01, "scale": 0.1,
}  # fmt: skip
_SIDES: Mapping[str, float] = {
    **dict.fromkeys(("ImageScale", "ResizeImageMaskNode", "SolidMask"), 1),
    **dict.fromkeys(
        ("EmptyHunyuanLatentVideo", "EmptyLatentImage", "WanImageToVideo", "WanFirstLastFrameToVideo",
         "WanFunInpaintToVideo", "WanFunControlToVideo", "Wan22FunControlToVideo", "WanCameraEmbedding",
         "WanCameraImageToVideo", "WanTrackToVideo", "WanVaceToVideo"), 16),
    "Wan22ImageToVideoLatent": 32,
}  # fmt: skip
"""The step of a width and a height, by class; 8 for others."""

_HELP: Mapping[str, str] = {
    "seed": "The initial noise. The same seed and settings give the same clip.",
    "noise_seed": "The initial noise. The same seed and settings give the same clip.",
    "steps": "How often the network is run. More steps take longer.",
    "cfg": "Guidance: how strongly the positive words are preferred to the negative ones. 1 turns it off and "
           "halves the time.",
    "sampler_name": "The method of integration.",
    "scheduler": "How the noise levels are spaced.",
    "denoise": "The part of the noise levels that is used. Below 1, the given latents are kept in part.",
    "positive": "What the clip shows.",
    "negative": "What the clip does not show.",
    "latent_image": "The latents that are denoised.",
    "start_at_step": "The first step of this stage.",
    "end_at_step": "The step at which this stage ends.",
    "add_noise": "Whether noise is added before the first step; not in a second stage.",
    "return_with_leftover_noise": "Whether the rest of the noise stays in the latents, for a next stage.",
    "shift": "Moves the noise levels towards the noisy end; larger values for larger frames.",
    "width": "In pixels.", "height": "In pixels.",
    "length": "In frames: a multiple of 4, plus 1.",
    "video_frames": "The number of frames.",
    "batch_size": "How many are made at once.",
    "text": "The words.",
    "image": "A picture.",
    "file": "A clip.",
    "fps": "Frames per second.",
    "start_image": "The first frame, or the first frames.",
    "end_image": "The last frame, or the last frames.",
    "control_video": "The clip that guides the result: edges, depth, poses, or frames to keep.",
    "control_masks": "1 where the clip is generated, 0 where the control clip is kept.",
    "reference_image": "A picture of the subject.",
    "strength": "The weight of the control clip.",
    "strength_model": "The weight of the LoRA in the network.",
    "strength_clip": "The weight of the LoRA in the text encoder.",
    "motion_bucket_id": "The amount of motion.",
    "augmentation_level": "Noise added to the picture; more lets the clip leave it.",
    "filename_prefix": "Folder and beginning of the file's name.",
    "switch": "Which of the two inputs is passed on. The other one is not computed.",
    "expression": "Arithmetic with the values a, b, c, ...",
    "unet_name": "A model of this machine, or the published file that it stands for.",
    "ckpt_name": "A model of this machine, or the published file that it stands for.",
    "lora_name": "A style of this machine.",
    "min_cfg": "The guidance of the first frame; it rises linearly to that of the last one.",
    "feathering": "The width of the soft border, in pixels.",
    "expand": "In pixels; negative values shrink.",
}  # fmt: skip


def category(declared: Declaration) -> str:
    return CATEGORIES.get(declared.name, OTHER)


def output_names(declared: Declaration) -> tuple[str, ...]:
    return OUTPUT_NAMES.get(declared.name, declared.outputs)


def step(declared: Declaration, each: DeclaredInput) -> float | None:
    """By how much a click changes a number; None: by 1, or 0.01."""
    if each.name in ("width", "height"):
        return _SIDES.get(declared.name, 8)
    return _STEPS.get(each.name)


def tooltip(each: DeclaredInput) -> str:
    return _HELP.get(each.name, "")


def about(declared: Declaration) -> str:
    """One line about a node: what it is in Kinema, and what is missing to run it."""
    text = f"In Kinema: {declared.becomes}."
    return f"{text} It does not run yet: requires {declared.missing}." if declared.missing else text


def help_page(declared: Declaration) -> str:
    """The help of a node in Markdown."""
    lines = [f"# {declared.title}", "", about(declared), ""]
    if declared.inputs:
        lines += ["## Inputs", "", "| input | type | | |", "|---|---|---|---|"]
        lines += [f"| {each.name} | {each.type} | {_legal(each)} | {tooltip(each)} |" for each in declared.inputs]
        lines.append("")
    if declared.outputs:
        lines += ["## Outputs", "", "| output | type |", "|---|---|"]
        lines += [f"| {name} | {kind} |" for name, kind in zip(output_names(declared), declared.outputs)]
    return "\n".join(lines).replace("| * |", "| any |") + "\n"


def _legal(each: DeclaredInput) -> str:
    if not each.widget:
        return "optional" if each.optional else "a link"
    if each.options:
        return ", ".join(each.options[:12]) + (", ..." if len(each.options) > 12 else "")
    if each.folder:
        return "a file"
    if each.low is not None and each.high is not None and abs(each.high) < 1e15:
        return f"{each.default}; {each.low:g} to {each.high:g}"
    return "" if each.default in (None, "") else str(each.default)
