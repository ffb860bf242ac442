"""Nodes on pictures, masks and clips, and those that read and write files."""

from __future__ import annotations

from .declaration import (
    Declaration,
    DeclaredInput,
    boolean,
    choice,
    dynamic,
    integer,
    number,
    size,
    socket,
    sockets,
    text,
    upload,
)

_METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")
_CROP = choice("crop", "disabled", "center", default="center")


def _pixels(name: str, default: int = 512) -> DeclaredInput:
    return integer(name, default, 0, 16384)


_RESIZE = dynamic(
    "resize_type", "scale dimensions",
    scale_dimensions=(_pixels("width"), _pixels("height"), _CROP),
    scale_by_multiplier=(number("multiplier", 1.0, 0.01, 8),),
    scale_longer_dimension=(_pixels("longer_size"),),
    scale_shorter_dimension=(_pixels("shorter_size"),),
    scale_width=(_pixels("width"),),
    scale_height=(_pixels("height"),),
    scale_total_pixels=(number("megapixels", 1.0, 0.01, 16),),
    match_size=(socket("match", "IMAGE,MASK"), _CROP),
    scale_to_multiple=(integer("multiple", 8, 1, 16384),),
)  # fmt: skip
_ENCODING = choice("encoding", "auto")
_CODEC = dynamic("codec", "auto", auto=(), h264=(_ENCODING,), av1=(_ENCODING,))

PICTURES = (
    Declaration(
        "LoadImage", (upload("image"),), ("IMAGE", "MASK"), "an image of the request", title="Load Image",
        roles={
            "start_image": "image:first of the request", "init_image": "image:first of the request",
            "end_image": "image:last of the request", "reference_image": "a reference of the request",
        },
    ),
    Declaration("LoadVideo", (upload("file"),), ("VIDEO",), "a source clip of the request", title="Load Video"),
    Declaration(
        "GetVideoComponents", sockets("video VIDEO"), ("IMAGE", "AUDIO", "FLOAT", "COMBO", "COMBO"),
        "frames, sound and rate of a source clip",
    ),
    Declaration(
        "CreateVideo",
        (*sockets("images IMAGE"), number("fps", 30.0, 1, 120), choice("bit_depth", "auto", "8", "10"),
         choice("color_space", "sRGB"), choice("codec", "none", "auto", "h264", "av1"),
         *sockets("audio AUDIO", optional=True)),
        ("VIDEO",), "the request's frame rate", title="Create Video",
    ),
    Declaration(
        "ImageFromBatch",
        (socket("image", "IMAGE"), integer("batch_index", 0), integer("length", 1, 1, 4096)),
        ("IMAGE",), "frames of a clip",
    ),
    Declaration(
        "RepeatImageBatch", (socket("image", "IMAGE"), integer("amount", 1, 1, 4096)), ("IMAGE",),
        "a clip of one picture",
    ),
    Declaration(
        "BatchImagesNode", (socket("images", "IMAGE", grows=True),), ("IMAGE",), "frames, one after the other",
        title="Batch Images",
    ),
    Declaration(
        "GetImageSize", sockets("image IMAGE"), ("INT", "INT", "INT"), "the size of a picture"
    ),
    Declaration(
        "ResizeImageMaskNode",
        (socket("input", "IMAGE,MASK"), _RESIZE, choice("scale_method", *_METHODS, default="area")), ("IMAGE,MASK",),
        "resizing", title="Resize Image/Mask",
    ),
    Declaration(
        "ImageScale",
        (socket("image", "IMAGE"), choice("upscale_method", *_METHODS), _pixels("width"), _pixels("height"),
         choice("crop", "disabled", "center")),
        ("IMAGE",), "resizing",
    ),
    Declaration(
        "ImagePadForOutpaint",
        (socket("image", "IMAGE"), *(_pixels(side, 0) for side in ("left", "top", "right", "bottom")),
         integer("feathering", 40, 0, 16384)),
        ("IMAGE", "MASK"), "outpaint of the request",
    ),
    Declaration(
        "Canny", (socket("image", "IMAGE"), number("low_threshold", 0.4, 0.01, 0.99),
                  number("high_threshold", 0.8, 0.01, 0.99)),
        ("IMAGE",), "control=edge of the request",
    ),
    Declaration(
        "ImageCompositeMasked",
        (*sockets("destination IMAGE, source IMAGE"), integer("x", 0, 0, 16384), integer("y", 0, 0, 16384),
         boolean("resize_source", False), socket("mask", "MASK", optional=True)),
        ("IMAGE",), "compositing",
    ),
    Declaration(
        "JoinImageWithAlpha", sockets("image IMAGE, alpha MASK"), ("IMAGE",), "frames with transparency",
    ),
    Declaration(
        "SolidMask", (number("value", 1.0, 0, 1), *size(512, 512)), ("MASK",), "a mask of one value",
    ),
    Declaration("InvertMask", sockets("mask MASK"), ("MASK",), "the mask's complement"),
    Declaration(
        "GrowMask", (socket("mask", "MASK"), integer("expand", 0, -16384, 16384), boolean("tapered_corners", True)),
        ("MASK",), "the option grow of a mask",
    ),
    Declaration("MaskToImage", sockets("mask MASK"), ("IMAGE",), "a mask as a picture"),
    Declaration(
        "ImageToMask", (socket("image", "IMAGE"), choice("channel", "red", "green", "blue", "alpha")), ("MASK",),
        "a picture as a mask",
    ),
    Declaration(
        "SaveVideo",
        (socket("video", "VIDEO"), text("filename_prefix", "video/ComfyUI"),
         dynamic("format", "auto", auto=(_CODEC,), mp4=(_CODEC,), webm=(_CODEC,)), _CODEC),
        ("VIDEO",), "the output file", title="Save Video", result=True,
    ),
    Declaration(
        "SaveWEBM",
        (socket("images", "IMAGE"), text("filename_prefix", "ComfyUI"), choice("codec", "vp9", "av1"),
         number("fps", 24.0, 0.01, 1000), number("crf", 32.0, 0, 63)),
        (), "the output file, .webm", result=True,
    ),
    Declaration(
        "SaveAnimatedWEBP",
        (socket("images", "IMAGE"), text("filename_prefix", "ComfyUI"), number("fps", 6.0, 0.01, 1000),
         boolean("lossless", True), integer("quality", 80, 0, 100), choice("method", "default", "fastest", "slowest")),
        (), "the output file, .webp", result=True,
    ),
    Declaration(
        "SaveImage", (socket("images", "IMAGE"), text("filename_prefix", "ComfyUI")), ("IMAGE",), "pictures",
        title="Save Image", result=True,
    ),
    Declaration(
        "PreviewImage", sockets("images IMAGE"), ("IMAGE",), "nothing: a preview on the page", title="Preview Image",
        result=True,
    ),
    Declaration("MaskPreview", sockets("mask MASK"), ("MASK",), "nothing: a preview on the page", result=True),
)  # fmt: skip
