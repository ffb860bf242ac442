"""Tell the variants of Wan apart by configuration, names and shapes of tensors, and, if nothing else differs, the name
of the file or folder (no torch).

Loaded as another variant, an unsupported relative would load completely or in part, and generate wrong pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from . import fun_layout

SUPPORTED = (
    "text to video, image to video, first and last frame, VACE and ATI of Wan 2.1, text and image to video of Wan 2.2 "
    "A14B and TI2V-5B, VACE-Fun A14B, and Fun-InP, Fun-Control and Fun-Camera of both"
)


@dataclass(frozen=True)
class Signs:
    """Features that distinguish variants. name: of the file or folder. keys: the transformer's tensors, if known.
    images: has inputs for CLIP's image states. kind: t2v, i2v or vace, or the model_type of an original configuration.
    experts: has two transformers. image_places: has position embeddings for image states."""

    name: str
    kind: str
    in_channels: int
    out_channels: int = 16
    width: int = 0
    layers: int = 0
    images: bool = False
    context_channels: int = 0
    experts: bool = False
    per_token_time: bool = False
    image_places: bool = False
    reference: bool = False
    camera: bool = False
    keys: frozenset[str] = frozenset()


MARKS = (
    (("casual_audio_encoder.", "audio_injector.", "trainable_cond_mask", "frame_packer."), "Wan 2.2 S2V"),
    (("face_adapter.", "motion_encoder.", "pose_patch_embedding."), "Wan 2.2 Animate"),
    (("audio_proj.",), "HuMo, or another audio-driven relative of Wan"),
    (("patch_embedding_mask.",), "SCAIL 2"),
    (("patch_embedding_pose.",), "SCAIL"),
    (("patch_embedding_global.",), "Wan Dancer"),
)
"""Prefixes of tensor names that identify a model."""

PIPELINES = {
    "WanAnimatePipeline": "Wan 2.2 Animate",
    "WanAnimate2Pipeline": "Wan Animate 2",
    "WanSpeechToVideoPipeline": "Wan 2.2 S2V",
    "SkyReelsV2DiffusionForcingPipeline": "SkyReels V2 with diffusion forcing",
    "SkyReelsV2DiffusionForcingImageToVideoPipeline": "SkyReels V2 with diffusion forcing",
    "SkyReelsV2DiffusionForcingVideoToVideoPipeline": "SkyReels V2 with diffusion forcing",
    "SkyReelsV2Pipeline": "SkyReels V2",
    "SkyReelsV2ImageToVideoPipeline": "SkyReels V2",
    "ChronoEditPipeline": "ChronoEdit",
    "LucyEditPipeline": "Lucy Edit",
}
TRANSFORMERS = {
    "WanAnimateTransformer3DModel": "Wan 2.2 Animate",
    "WanAnimate2Transformer3DModel": "Wan Animate 2",
    "WanS2VTransformer3DModel": "Wan 2.2 S2V",
    "SkyReelsV2Transformer3DModel": "SkyReels V2",
    "ChronoEditTransformer3DModel": "ChronoEdit",
}
TYPES = {
    "s2v": "Wan 2.2 S2V", "animate": "Wan 2.2 Animate",
    "humo": "HuMo", "phantom": "Phantom",
}  # fmt: skip
"""model_type in configurations of the original code."""

NAMED = (
    ((("phantom",),), "Phantom"),
    ((("wanmove",), ("wan", "move")), "WanMove"),
    ((("selfforcing",), ("self", "forcing")), "Self-Forcing, an autoregressive model"),
    ((("causvid",), ("causal",)), "CausVid, an autoregressive model"),
    ((("krea", "realtime"),), "Krea Realtime, an autoregressive model"),
    ((("fastwan",), ("fastwan2",)), "FastWan, a few-step student"),
    ((("wanalpha",), ("wan", "alpha"), ("rgba",)), "Wan-Alpha, which has two decoders"),
    ((("standin",), ("stand", "in")), "Stand-In"),
    ((("humo",),), "HuMo"),
    ((("scail",),), "SCAIL"),
    ((("magref",),), "MAGREF"),
    ((("bernini",),), "Bernini, an editing model"),
    ((("skyreels", "df"),), "SkyReels V2 with diffusion forcing"),
    ((("skyreels",),), "SkyReels V2"),
    ((("multitalk",), ("infinitetalk",), ("fantasytalking",)), "a talking relative of Wan"),
    ((("rapid", "aio"), ("rapid", "allinone")), "a few-step merge of Wan"),
    ((("fun", "camera"),), "Fun-Camera"),
    ((("fun", "control"),), "Fun-Control"),
    (
        (
            ("step", "distill"),
            ("distill", "models"),
            ("stepdistill",),
            ("lightx2v",),
            ("4step",),
            ("4steps",),
            ("lightning",),
            ("rcm",),
            ("turbowan",),
            ("turbodiffusion",),
        ),
        "a few-step student of Wan",
    ),
)
"""Sets of words in names, for models whose configuration and tensors do not differ from another one's."""


MODULE = "the VACE blocks without their transformer"
"""Kijai's files of VACE for a text-to-video model."""


def unsupported(signs: Signs) -> str | None:
    """The name of an unsupported model; None if it may be a supported one (`kind_of`)."""
    return _by_keys(signs.keys) or TYPES.get(signs.kind) or _by_shape(signs) or _by_name(signs)


def supported(signs: Signs) -> str:
    """The variant of a model that its numbers of channels and its parts identify; "" for the others."""
    known = signs.kind in ("t2v", "i2v", "ti2v") or fun_layout.is_fun(signs.kind)
    if signs.experts or not known:
        return ""
    special = signs.camera or signs.reference
    wide = {48: "ti2v", 100: "inp-5b"}
    if signs.out_channels == 48 and signs.in_channels in wide and not signs.images and not special:
        return wide[signs.in_channels]
    return fun_layout.variant(
        signs.in_channels, signs.out_channels, camera=signs.camera, reference=signs.reference, images=signs.images
    )


def kind_of(signs: Signs) -> str:
    """The kind of a supported model, a key of cards.ACCEPTS: t2v, i2v, flf2v, inp, ati or vace; of Wan 2.2, t2v-a14b,
    i2v-a14b or vace-a14b, with -high or -low for one expert alone, and ti2v, inp-2.2, inp-5b; or a
    Fun-Control or Fun-Camera (fun_layout.py)."""
    if signs.kind == "vace":
        return _expert("vace-a14b", signs) if signs.experts or second_generation(signs.name) else "vace"
    if special := supported(signs):
        return special
    said = words(signs.name)
    if signs.in_channels != 36:
        return _expert("t2v-a14b", signs) if signs.experts or second_generation(signs.name) else "t2v"
    inpaints = "fun" in said and not said.isdisjoint(("inp", "inpaint"))
    if not signs.images:
        return "inp-2.2" if inpaints else _expert("i2v-a14b", signs)
    if signs.image_places:
        return "flf2v"
    if "ati" in said or said.issuperset(("trajectory", "wan")):
        return "ati"
    return "inp" if inpaints or signs.width == 1536 else "i2v"


def names_expert(name: str) -> str:
    """The expert that a name says: "high", "low", or ""."""
    plain, said = re.sub(r"[^a-z0-9]", "", name.lower()), words(name)
    found = [each for each in ("high", "low") if f"{each}noise" in plain or each in said]
    return found[0] if len(found) == 1 else ""


def _expert(pair: str, signs: Signs) -> str:
    return pair if signs.experts else f"{pair}-{names_expert(signs.name) or 'high'}"


def second_generation(name: str) -> bool:
    """Whether the name indicates Wan 2.2 or one of its experts. Its text-to-video shapes equal those of Wan 2.1."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return any(word in plain for word in ("wan22", "highnoise", "lownoise"))


def first_generation(name: str) -> bool:
    return "wan21" in re.sub(r"[^a-z0-9]", "", name.lower())


def _by_keys(keys: Iterable[str]) -> str | None:
    found = {model for key in keys for starts, model in MARKS if key.startswith(starts)}
    if found:
        return next(model for _, model in MARKS if model in found)
    if any(key.startswith("blocks.") and key.split(".")[2:3] == ["block"] for key in keys):
        return "Wan Animate 2"
    return None


def _by_shape(signs: Signs) -> str | None:
    channels, out, said = signs.in_channels, signs.out_channels, words(signs.name)
    if supported(signs):
        return None
    if out == 48:
        return f"a relative of Wan 2.2 with {channels} input and {out} output channels"
    if signs.per_token_time:
        return f"a relative of Wan 2.2 TI2V-5B with {channels} input and {out} output channels"
    if signs.camera:
        return "Fun-Camera 1.1" if signs.images else "Fun-Camera A14B (Wan 2.2)"
    if channels == 52:
        return "Fun-Control A14B (Wan 2.2)"
    if signs.reference:
        return "Fun-Control 1.1" if signs.images else "Fun-Control A14B (Wan 2.2)"
    if channels == 48:
        return "Fun-Control 1.0"
    if channels == 32:
        return "Fun-Camera 1.1"
    if channels == 36 and not signs.images and "fun" in said and signs.experts:
        return "Fun-InP A14B (Wan 2.2) with both experts"
    return None


def _by_name(signs: Signs) -> str | None:
    said = words(signs.name)
    for patterns, model in NAMED:
        own = fun_layout.is_fun(supported(signs)) and model in ("Fun-Control", "Fun-Camera")
        if any(said.issuperset(pattern) for pattern in patterns) and not own:
            return model
    return None


def words(name: str) -> frozenset[str]:
    """The words of a name (letters and digits) in lower case, also split at CamelCase."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return frozenset(re.findall(r"[a-z0-9]+", f"{name} {apart}".lower()))
