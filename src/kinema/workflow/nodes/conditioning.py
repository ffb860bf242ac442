"""Nodes that turn words, pictures and clips into what a model follows."""

from __future__ import annotations

from .declaration import Declaration, DeclaredInput, choice, integer, number, size, socket, sockets, text

_PNV = sockets("positive CONDITIONING, negative CONDITIONING, vae VAE")
_PNL = ("CONDITIONING", "CONDITIONING", "LATENT")
_VISION = socket("clip_vision_output", "CLIP_VISION_OUTPUT", optional=True)
_START, _END = socket("start_image", "IMAGE", optional=True), socket("end_image", "IMAGE", optional=True)
_CONTROL = socket("control_video", "IMAGE", optional=True)
CAMERA_MOVES = (
    "Static", "Pan Up", "Pan Down", "Pan Left", "Pan Right", "Zoom In", "Zoom Out", "Anti Clockwise (ACW)",
    "ClockWise (CW)",
)  # fmt: skip


def _clip(width: int = 832, height: int = 480, length: int = 81) -> tuple[DeclaredInput, ...]:
    return *size(width, height), integer("length", length, 1, 16384), integer("batch_size", 1, 1, 4096)


def _fraction(name: str) -> DeclaredInput:
    return number(name, 0.5, 0, 1)


CONDITIONING = (
    Declaration(
        "CLIPTextEncode", (text("text", prompts=True), socket("clip", "CLIP")), ("CONDITIONING",),
        "the request's prompt, or its negative prompt", title="CLIP Text Encode (Prompt)",
        roles={"positive": "the request's prompt", "negative": "the request's negative prompt"},
    ),
    Declaration(
        "CLIPVisionEncode", (*sockets("clip_vision CLIP_VISION, image IMAGE"), choice("crop", "center", "none")),
        ("CLIP_VISION_OUTPUT",), "part of the image condition",
    ),
    Declaration(
        "SVD_img2vid_Conditioning",
        (*sockets("clip_vision CLIP_VISION, init_image IMAGE, vae VAE"), *size(1024, 576, step=8),
         integer("video_frames", 14, 1, 4096), integer("motion_bucket_id", 127, 1, 1023), integer("fps", 6, 1, 1024),
         number("augmentation_level", 0.0, 0, 10)),
        _PNL, "image:first, size, frames and the option motion of the request",
    ),
    Declaration(
        "WanImageToVideo", (*_PNV, *_clip(), _VISION, _START), _PNL, "image:first, size and frames of the request"
    ),
    Declaration(
        "WanFirstLastFrameToVideo",
        (*_PNV, *_clip(), *sockets("clip_vision_start_image CLIP_VISION_OUTPUT, clip_vision_end_image "
                                   "CLIP_VISION_OUTPUT", optional=True), _START, _END),
        _PNL, "image:first and image:last of the request",
    ),
    Declaration(
        "WanFunInpaintToVideo", (*_PNV, *_clip(), _VISION, _START, _END), _PNL,
        "image:first and image:last of the request",
    ),
    Declaration(
        "WanFunControlToVideo", (*_PNV, *_clip(), _VISION, _START, _CONTROL), _PNL,
        "image:first and control of the request",
    ),
    Declaration(
        "Wan22FunControlToVideo",
        (*_PNV, *_clip(), socket("ref_image", "IMAGE", optional=True), _CONTROL), _PNL,
        "reference and control of the request",
    ),
    Declaration(
        "WanCameraEmbedding",
        (choice("camera_pose", *CAMERA_MOVES), *size(832, 480), integer("length", 81, 1, 16384),
         number("speed", 1.0, 0, 10), *map(_fraction, ("fx", "fy", "cx", "cy"))),
        ("WAN_CAMERA_EMBEDDING", "INT", "INT", "INT"), "the camera of the request",
    ),
    Declaration(
        "WanCameraImageToVideo",
        (*_PNV, *_clip(), _VISION, _START, socket("camera_conditions", "WAN_CAMERA_EMBEDDING", optional=True)), _PNL,
        "image:first and camera of the request",
    ),
    Declaration(
        "WanTrackToVideo",
        (*_PNV, text("tracks", "[]"), *_clip(), number("temperature", 220.0, 1, 1000), integer("topk", 2, 1, 10),
         _START, _VISION),
        _PNL, "trajectories of the request",
    ),
    Declaration(
        "WanVaceToVideo",
        (*_PNV, *_clip(), number("strength", 1.0, 0, 1000), _CONTROL,
         *sockets("control_masks MASK, reference_image IMAGE", optional=True)),
        (*_PNL, "INT"), "source, mask, control and reference of the request",
    ),
    Declaration(
        "Wan22ImageToVideoLatent",
        (socket("vae", "VAE"), *_clip(1280, 704, 49), _START), ("LATENT",),
        "image:first, size and frames of the request",
    ),
    Declaration(
        "SAM3_Detect",
        (*sockets("model MODEL, image IMAGE"), *sockets("conditioning CONDITIONING, bboxes BOUNDING_BOX, "
                                                        "positive_coords STRING, negative_coords STRING",
                                                        optional=True),
         number("threshold", 0.5, 0, 1), integer("refine_iterations", 2, 0, 5), DeclaredInput(
             "individual_masks", "BOOLEAN", False)),
        ("MASK", "BOUNDING_BOX"), "a mask that follows one object: by Kinema's tracker, not SAM 3",
    ),
)  # fmt: skip
