"""The published Wan 2.1 and 2.2 models and the built-in miniature, with the publishers' defaults.

Shift has four published defaults for VACE (16 in its command line, 5 in its Python, 3 or 5 in diffusers' example, 8 in
ComfyUI's); the cards use that of the publisher's command line, and `--set shift=...` changes it.
"""

from __future__ import annotations

from pydantic import JsonValue

from ...core.card import Card, Defaults, FramesRule, Network, Option, ProfileRule, SizeRule
from ...core.conditions import SEEN
from ...core.request import Profile
from .options import WanOptions

NEGATIVE_PROMPT = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，"
    "丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，"
    "静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走"
)
"""Wan 2.1's default: "garish colours, over-exposed, static, blurred details, subtitles, ... walking backwards"."""

CONTROLS = (
    "control:depth", "control:flow", "control:gray", "control:scribble", "control:edge", "control:pose",
    "control:layout",
)  # fmt: skip
ACCEPTS = {
    "t2v": ("source", "style"),
    "i2v": ("image:first", SEEN, "style"),
    "ti2v": ("image:first", "source", "style"),
    "fun-control": (*CONTROLS, "image:first", SEEN, "style"),
    "fun-control-ref": (*CONTROLS, "image:first", SEEN, "reference", "style"),
    "fun-control-2.2": (*CONTROLS, "image:first", "reference", "style"),
    "fun-control-5b": (*CONTROLS, "image:first", "reference", "style"),
    "fun-camera": ("camera", "camera:poses", "image:first", SEEN, "style"),
    "fun-camera-2.2": ("camera", "camera:poses", "image:first", "style"),
    "flf2v": ("image:first", "image:last", SEEN, "style"),
    "inp": ("image:first", "image:last", SEEN, "style"),
    "inp-2.2": ("image:first", "image:last", "style"), "inp-5b": ("image:first", "image:last", "style"),
    "ati": ("image:first", SEEN, "trajectory", "style"),
    "t2v-a14b": ("source", "style"), "t2v-a14b-high": ("source", "style"), "t2v-a14b-low": ("source", "style"),
    "i2v-a14b": ("image:first", "image:last", "style"),
    "i2v-a14b-high": ("image:first", "image:last", "style"), "i2v-a14b-low": ("image:first", "image:last", "style"),
    "inp-2.2-pair": ("image:first", "image:last", "style"),
    "fun-control-2.2-pair": (*CONTROLS, "image:first", "reference", "style"),
    "fun-camera-2.2-pair": ("camera", "image:first", "style"),
    **dict.fromkeys(("vace", "vace-a14b", "vace-a14b-high", "vace-a14b-low"), (
        "image:first", "image:last", "image:frame", "reference", "source", "mask", *CONTROLS, "continue",
        "continue:end", "style",
    )),
}  # fmt: skip
"""By kind of network. -a14b: the two experts of Wan 2.2; with -high or -low, one of them alone. -2.2: one expert of a
Fun model; with -pair, both."""
STRENGTH = {"t2v": 0.7, "ti2v": 0.7, "t2v-a14b": 0.7, "vace": 1.0, "t2v-a14b-high": 1.0, "t2v-a14b-low": 0.7,
    "vace-a14b": 1.0, "vace-a14b-high": 1.0, "vace-a14b-low": 1.0,
}  # fmt: skip
"""Text to video starts from the noised source; VACE receives the source as context."""
GRIDS = {"ti2v": (48, 16), "inp-5b": (48, 16), "fun-control-5b": (48, 16)}
"""Channels of the latents, and pixels per latent, of variants with the autoencoder of Wan 2.2 TI2V-5B; the others have
16 and 8. Sides are multiples of two latents."""
_FIRST = ("image:first",)
NEEDS: dict[str, tuple[str, ...]] = {
    "i2v": _FIRST, "flf2v": ("image:first", "image:last"), "ati": _FIRST,
    "i2v-a14b": _FIRST, "i2v-a14b-high": _FIRST, "i2v-a14b-low": _FIRST,
}  # fmt: skip
"""The kinds that are not listed need no condition."""
STAGES = ("-high", "-low", "-2.2")
"""Ends of the kinds of which a file is one of two experts."""
_FUN_PAIR = {"boundary": 0.9, "low_guidance": 6.0}
PAIRS = {
    "t2v-a14b": {"boundary": 0.875, "low_guidance": 3.0}, "i2v-a14b": {"boundary": 0.9, "low_guidance": 3.5},
    "vace-a14b": {"boundary": 0.875, "low_guidance": 5.0},
    "inp-2.2-pair": _FUN_PAIR, "fun-control-2.2-pair": _FUN_PAIR, "fun-camera-2.2-pair": _FUN_PAIR,
}  # fmt: skip
"""Kinds of two experts, with the published values of their options."""
PAIRED = {kind.removesuffix("-pair"): kind for kind in PAIRS}
"""By the kind of the files of a pair (of A14B without -high or -low), the kind of both."""
ALONE = (
    "One of the two experts of Wan 2.2 A14B, for the steps above or below the boundary of noise, as a workflow's two "
    "samplers use it. Alone it makes poor clips.",
)

PROFILES: dict[Profile, ProfileRule] = {
    "exact": ProfileRule(),
    "balanced": ProfileRule(guidance_interval=(0.0, 0.7), low_precision=True),
    "fast": ProfileRule(steps=25, guidance_interval=(0.0, 0.5), reuse=2, low_precision=True),
}
"""Profiles of the published weights; their loss of quality was not measured. `exact` is the publishers' procedure."""


def is_vace(variant: str) -> bool:
    """Whether a kind of network takes VACE's context."""
    return variant.startswith("vace")


def options(variant: str, shift: float, text_length: int = 512) -> dict[str, Option]:
    """The options of a kind of network (the keys of ACCEPTS)."""
    own: dict[str, JsonValue] = {"strength": STRENGTH[variant]} if variant in STRENGTH else {}
    if is_vace(variant):
        own |= {"conditioning_scale": [1.0], "vace_split": "hard"}
    own |= PAIRS.get(variant, {})
    if variant == "ati":
        own |= {"track_temperature": 220.0, "track_points": 2}
    if variant in GRIDS:
        own["first_frame"] = "kept"
    if variant.startswith("fun-camera"):
        own |= {"camera_lens": [0.5, 0.5, 0.5, 0.5], "camera_speed": 1.0}
    sampling = {"sampler": "checkpoint", "schedule": "checkpoint", "noise": "stream", "prompt_weights": "off"}
    guidance: dict[str, JsonValue] = {
        "cfg_zero": "off", "skip_layers": "", "skip_strength": 3.0, "skip_from": 0.01, "skip_to": 0.15,
        "skip_rescale": 0.0,
    }  # fmt: skip
    if variant in PAIRS:  # two experts have guidance of their own
        guidance = {}
    context: dict[str, JsonValue] = {
        "context_length": 0, "context_overlap": 30, "context_schedule": "standard_static", "context_fuse": "pyramid"
    }  # fmt: skip
    guidance = {} if variant in PAIRS else guidance
    return WanOptions.table(shift=shift, text_length=text_length, **own, **sampling, **guidance, **context)


def sizes(*trained: tuple[int, int], max_area: int = 1280 * 720, multiple: int = 16) -> SizeRule:
    return SizeRule(multiple=multiple, trained=trained, min_side=128, max_side=1664, max_area=max_area, any_aspect=True)


FRAMES = FramesRule(step=4, trained=81, maximum=257)
FRAMES_24 = FramesRule(step=4, trained=121, maximum=257)
SIZE_480P = ((832, 480), (480, 832))
SIZE_720P = ((1280, 720), (720, 1280))
SIZE_704P = ((1280, 704), (704, 1280))

SIZES_13B: dict[str, int] = {
    "width": 1536, "layers": 30, "text_parameters": 5_680_910_336, "decode_bytes": 19_500,
}  # fmt: skip
SIZES_14B: dict[str, int] = {
    "width": 5120, "layers": 40, "text_parameters": 5_680_910_336, "decode_bytes": 19_500,
}  # fmt: skip
SIZES_5B: dict[str, int] = {
    "width": 3072, "layers": 30, "text_parameters": 5_680_910_336, "autoencoder_parameters": 704_688_668,
    "latent_channels": 48, "space_stride": 16, "decode_bytes": 21_500,
}  # fmt: skip
"""decode_bytes: live tensors of a float32 decoding, counted without numbers (meta tensors) at 832x480 and 720p."""
_T2V_A14B = Network(parameters=14_288_491_584, **SIZES_14B)
_I2V_A14B = Network(parameters=14_288_901_184, **SIZES_14B)


def entry(
    name: str,
    variant: str,
    title: str,
    hub: str | None,
    sizes: SizeRule,
    network: Network,
    *,
    steps: int,
    guidance: float,
    shift: float,
    files: tuple[str, ...],
    fps: float = 16.0,
    frames: FramesRule = FRAMES,
    notes: tuple[str, ...] = (),
) -> Card:
    return Card(
        id=name,
        family="wan",
        variant=variant,
        title=title,
        licence="Apache-2.0",
        hub=hub,
        aliases=(hub.removesuffix("-Diffusers").removesuffix("-diffusers"),) if hub and not notes else (),
        notes=notes,
        single_files=files,
        stage=variant.endswith(STAGES),
        accepts=ACCEPTS[variant],
        needs=NEEDS.get(variant, ()),
        size=sizes,
        frames=frames,
        defaults=Defaults(fps=fps, steps=steps, guidance=guidance, negative_prompt=NEGATIVE_PROMPT),
        network=network,
        profiles=PROFILES,
        options=options(variant, shift),
    )


MINI = Card(
    id="kinema-mini-wan",
    family="wan",
    variant="vace",
    title="The built-in miniature: Wan-VACE's architecture, tiny, trained on Toyland",
    licence="Apache-2.0",
    builtin="miniatures/mini_wan", domain="toyland", upscale_by="network",
    aliases=("mini", "mini-wan"),
    accepts=(
        "image:first", "image:last", "image:frame", "reference", "source", "mask", "trajectory", "control:layout",
        "continue", "continue:end", "style",
    ),
    size=SizeRule(multiple=16, trained=((64, 64),), min_side=32, max_side=256, max_area=256 * 256),
    frames=FramesRule(step=4, trained=17, maximum=81),
    # Measured: without a negative prompt it regenerates an object in 13 of 24 removals, with this list in 3.
    defaults=Defaults(
        fps=8.0, steps=30, guidance=3.0,
        things="a red ball, a blue square, a yellow star, a pink heart, a green triangle, a white car",
    ),
    network=Network(
        parameters=5_350_144, width=192, layers=6, hint_layers=2, text_parameters=1_131_648, text_length=64,
        autoencoder_parameters=7_207_187, bytes_per_parameter=4,
    ),
    profiles={
        "exact": ProfileRule(),
        # Measured: fewer steps and forecast steps cost it little, late steps without guidance much more (dev/LOG.md).
        "balanced": ProfileRule(steps=20, reuse=2, low_precision=True),
        "fast": ProfileRule(steps=8, low_precision=True),
    },
    options={
        **options("vace", 3.0, text_length=64),
        **WanOptions.table(motion_words="path", unknown_words="read"),
    },
    notes=("Knows only Toyland: simple objects, skies and grounds. See docs/miniature.md.",),
)  # fmt: skip

CARDS: tuple[Card, ...] = (
    MINI,
    entry(
        "wan2.1-t2v-1.3b", "t2v", "Wan 2.1 text to video, 1.3B", "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        sizes(*SIZE_480P), Network(parameters=1_418_996_800, **SIZES_13B),
        steps=50, guidance=6.0, shift=8.0, files=("wan2.1_t2v_1.3B*.safetensors",),
    ),
    entry(
        "wan2.1-t2v-14b", "t2v", "Wan 2.1 text to video, 14B", "Wan-AI/Wan2.1-T2V-14B-Diffusers",
        sizes(*SIZE_720P, *SIZE_480P), Network(parameters=14_288_491_584, **SIZES_14B),
        steps=50, guidance=5.0, shift=5.0, files=("wan2.1_t2v_14B*.safetensors",),
    ),
    entry(
        "wan2.1-i2v-14b-480p", "i2v", "Wan 2.1 image to video, 14B, 480p", "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers",
        sizes(*SIZE_480P), Network(parameters=16_395_960_384, **SIZES_14B),
        steps=40, guidance=5.0, shift=3.0, files=("wan2.1_i2v_480p_14B*.safetensors",),
    ),
    entry(
        "wan2.1-i2v-14b-720p", "i2v", "Wan 2.1 image to video, 14B, 720p", "Wan-AI/Wan2.1-I2V-14B-720P-Diffusers",
        sizes(*SIZE_720P), Network(parameters=16_395_960_384, **SIZES_14B),
        steps=40, guidance=5.0, shift=5.0, files=("wan2.1_i2v_720p_14B*.safetensors",),
    ),
    entry(
        "wan2.1-vace-1.3b", "vace", "Wan 2.1 VACE, edit anything, 1.3B", "Wan-AI/Wan2.1-VACE-1.3B-diffusers",
        sizes(*SIZE_480P), Network(parameters=2_153_000_000, hint_layers=15, **SIZES_13B),
        steps=50, guidance=5.0, shift=16.0, files=("wan2.1_vace_1.3B*.safetensors",),
    ),
    entry(
        "wan2.1-vace-14b", "vace", "Wan 2.1 VACE, edit anything, 14B", "Wan-AI/Wan2.1-VACE-14B-diffusers",
        sizes(*SIZE_720P, *SIZE_480P), Network(parameters=17_335_000_000, hint_layers=8, **SIZES_14B),
        steps=50, guidance=5.0, shift=16.0, files=("wan2.1_vace_14B*.safetensors",),
    ),
    entry(
        "wan2.2-ti2v-5b", "ti2v", "Wan 2.2 text and image to video, 5B", "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
        sizes(*SIZE_704P, multiple=32), Network(parameters=4_999_787_712, **SIZES_5B),
        steps=50, guidance=5.0, shift=5.0, files=("wan2.2_ti2v_5B*.safetensors",), fps=24.0, frames=FRAMES_24,
    ),
    entry(
        "wan2.1-flf2v-14b-720p", "flf2v", "Wan 2.1 first and last frame to video, 14B, 720p",
        "Wan-AI/Wan2.1-FLF2V-14B-720P-diffusers", sizes(*SIZE_720P), Network(parameters=16_396_618_304, **SIZES_14B),
        steps=50, guidance=5.5, shift=16.0, files=("wan2.1_flf2v_720p_14B*.safetensors",),
    ),
    entry(
        "wan2.1-fun-inp-1.3b", "inp", "Wan 2.1 Fun-InP, from pictures to video, 1.3B", None,
        sizes(*SIZE_480P), Network(parameters=1_564_428_608, **SIZES_13B),
        steps=50, guidance=6.0, shift=5.0,
        files=("wan2.1_fun_inp_1.3B*.safetensors", "wan2.1*fun*1.3B*inp*.safetensors"),
    ),
    entry(
        "wan2.1-fun-inp-14b", "inp", "Wan 2.1 Fun-InP, from pictures to video, 14B", None,
        sizes(*SIZE_480P, *SIZE_720P), Network(parameters=16_395_960_384, **SIZES_14B),
        steps=50, guidance=6.0, shift=5.0,
        files=("wan2.1_fun_inp_14B*.safetensors", "wan2.1*fun*14B*inp*.safetensors"),
    ),
    entry(
        "wan2.1-ati-14b", "ati", "Wan 2.1 ATI, an image moved along paths, 14B", None,
        sizes(*SIZE_480P), Network(parameters=16_395_960_384, **SIZES_14B),
        steps=40, guidance=5.0, shift=5.0, files=("wan2?1?i2v?ati?14B*.safetensors",),
    ),
    entry(
        "wan2.2-t2v-a14b", "t2v-a14b", "Wan 2.2 text to video, two experts of 14B", "Wan-AI/Wan2.2-T2V-A14B-Diffusers",
        sizes(*SIZE_720P, *SIZE_480P), _T2V_A14B.model_copy(update={"experts": 2}),
        steps=40, guidance=4.0, shift=12.0, files=(),
    ),
    entry(
        "wan2.2-i2v-a14b", "i2v-a14b", "Wan 2.2 image to video, two experts of 14B", "Wan-AI/Wan2.2-I2V-A14B-Diffusers",
        sizes(*SIZE_720P, *SIZE_480P), _I2V_A14B.model_copy(update={"experts": 2}),
        steps=40, guidance=3.5, shift=5.0, files=(),
    ),
    entry(
        "wan2.2-vace-fun-a14b", "vace-a14b", "Wan 2.2 VACE-Fun, edit anything, two experts of 14B",
        "linoyts/Wan2.2-VACE-Fun-14B-diffusers", sizes(*SIZE_720P, *SIZE_480P),
        Network(parameters=17_335_000_000, hint_layers=8, experts=2, **SIZES_14B),
        steps=50, guidance=5.0, shift=12.0, files=(),
    ),
    *(
        entry(
            f"wan2.2-vace-fun-a14b-{expert}", f"vace-a14b-{expert}",
            f"Wan 2.2 VACE-Fun, 14B, the expert for {expert} noise", "linoyts/Wan2.2-VACE-Fun-14B-diffusers",
            sizes(*SIZE_720P, *SIZE_480P), Network(parameters=17_335_000_000, hint_layers=8, **SIZES_14B),
            steps=50, guidance=5.0, shift=12.0, notes=ALONE,
            files=(f"wan2.2_fun_vace_{expert}_noise_14B*.safetensors", f"wan2?2*vace*{expert}*.safetensors"),
        )
        for expert in ("high", "low")
    ),
    *(
        entry(
            f"wan2.2-{kind}-a14b-{expert}", f"{kind}-a14b-{expert}",
            f"Wan 2.2 {words} to video, 14B, the expert for {expert} noise",
            f"Wan-AI/Wan2.2-{kind.upper()}-A14B-Diffusers", sizes(*SIZE_720P, *SIZE_480P), network,
            steps=40, guidance=guidance, shift=shift, notes=ALONE,
            files=(f"wan2.2_{kind}_{expert}_noise_14B*.safetensors", f"wan2?2?{kind}?a14b?{expert}*.safetensors"),
        )
        for kind, words, network, shift, scales in (
            ("t2v", "text", _T2V_A14B, 12.0, (4.0, 3.0)), ("i2v", "image", _I2V_A14B, 5.0, (3.5, 3.5)),
        )
        for expert, guidance in zip(("high", "low"), scales)
    ),
)  # fmt: skip
