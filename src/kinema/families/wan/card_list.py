"""The cards of the family: those of cards.py, and of the Fun models by alibaba-pai for controls, camera moves and Wan
2.2's first and last frames.

Their hub folders have the layout of their own code; Kinema reads the single files (of ComfyUI, or out of the folders).
Defaults are those of VideoX-Fun's examples.
"""

from __future__ import annotations

from ...core.card import Card, Network
from . import cards
from .cards import FRAMES_24, SIZE_480P, SIZE_704P, SIZE_720P, entry, sizes


def _fun(
    name: str, variant: str, title: str, network: Network, *files: str, small: bool = False, shift: float = 3.0,
) -> Card:  # fmt: skip
    """A card of a Fun model. small: trained at 480p."""
    wide = variant in cards.GRIDS
    trained = SIZE_704P if wide else SIZE_480P if small else (*SIZE_480P, *SIZE_720P)
    return entry(
        name, variant, title, None, sizes(*trained, multiple=32 if wide else 16), network, steps=50, guidance=6.0,
        shift=shift, files=files, fps=24.0 if wide else 16.0, frames=FRAMES_24 if wide else cards.FRAMES,
    )  # fmt: skip


_13B = cards.SIZES_13B
_14B = cards.SIZES_14B

CARDS: tuple[Card, ...] = (
    *cards.CARDS,
    _fun(
        "wan2.1-fun-control-1.3b", "fun-control", "Wan 2.1 Fun-Control, 1.3B",
        Network(parameters=1_564_502_336, **_13B), "wan2.1_fun_control_1.3B*.safetensors", small=True,
    ),
    _fun(
        "wan2.1-fun-control-14b", "fun-control", "Wan 2.1 Fun-Control, 14B",
        Network(parameters=16_396_206_144, **_14B), "wan2.1_fun_control_14B*.safetensors",
    ),
    _fun(
        "wan2.1-fun-v1.1-control-1.3b", "fun-control-ref", "Wan 2.1 Fun-Control 1.1 with a reference, 1.3B",
        Network(parameters=1_564_602_176, **_13B), "wan2.1_fun_control_v1.1_1.3B*.safetensors",
        "wan2.1_fun_v1.1_control_1.3B*.safetensors", small=True,
    ),
    _fun(
        "wan2.1-fun-v1.1-control-14b", "fun-control-ref", "Wan 2.1 Fun-Control 1.1 with a reference, 14B",
        Network(parameters=16_396_538_944, **_14B), "wan2.1_fun_control_v1.1_14B*.safetensors",
        "wan2.1_fun_v1.1_control_14B*.safetensors",
    ),
    _fun(
        "wan2.1-fun-v1.1-camera-1.3b", "fun-camera", "Wan 2.1 Fun-Camera 1.1, 1.3B",
        Network(parameters=1_609_000_000, **_13B), "wan2.1_fun_camera_v1.1_1.3B*.safetensors", small=True,
    ),
    _fun(
        "wan2.1-fun-v1.1-camera-14b", "fun-camera", "Wan 2.1 Fun-Camera 1.1, 14B",
        Network(parameters=16_899_000_000, **_14B), "wan2.1_fun_camera_v1.1_14B*.safetensors",
    ),
    _fun(
        "wan2.2-fun-inp-a14b-expert", "inp-2.2", "Wan 2.2 Fun-InP A14B, one of its two experts",
        Network(parameters=14_288_901_184, **_14B), "wan2.2_fun_inpaint_high_noise_14B*.safetensors",
        "wan2.2_fun_inpaint_low_noise_14B*.safetensors", shift=5.0,
    ),
    _fun(
        "wan2.2-fun-inp-5b", "inp-5b", "Wan 2.2 Fun-InP, from pictures to video, 5B",
        Network(parameters=5_000_000_000, **cards.SIZES_5B), "wan2.2_fun_inpaint_5B*.safetensors", shift=5.0,
    ),
    _fun(
        "wan2.2-fun-control-a14b-expert", "fun-control-2.2", "Wan 2.2 Fun-Control A14B, one of its two experts",
        Network(parameters=14_289_561_664, **_14B), "wan2.2_fun_control_high_noise_14B*.safetensors",
        "wan2.2_fun_control_low_noise_14B*.safetensors", shift=5.0,
    ),
    _fun(
        "wan2.2-fun-camera-a14b-expert", "fun-camera-2.2", "Wan 2.2 Fun-Camera A14B, one of its two experts",
        Network(parameters=14_792_000_000, **_14B), "wan2.2_fun_camera_high_noise_14B*.safetensors",
        "wan2.2_fun_camera_low_noise_14B*.safetensors", shift=5.0,
    ),
    *(
        _fun(
            f"wan2.2-fun-{kind}-a14b", f"{variant}-2.2-pair", f"Wan 2.2 Fun-{title} A14B, two experts of 14B",
            Network(parameters=parameters, experts=2, **_14B), shift=5.0,
        )
        for kind, variant, title, parameters in (
            ("inp", "inp", "InP", 14_288_901_184), ("control", "fun-control", "Control", 14_289_561_664),
            ("camera", "fun-camera", "Camera", 14_792_000_000),
        )
    ),
    _fun(
        "wan2.2-fun-control-5b", "fun-control-5b", "Wan 2.2 Fun-Control, 5B",
        Network(parameters=5_002_000_000, **cards.SIZES_5B), "wan2.2_fun_control_5B*.safetensors", shift=5.0,
    ),
)  # fmt: skip
