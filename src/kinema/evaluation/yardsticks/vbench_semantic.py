"""VBench's nine semantic dimensions, which Kinema does not compute, with the networks that their published definitions
need. Named so that they are refused by name and listed as not computed.

Source: Huang and others, "VBench", 2023, arXiv 2311.17982, section 3.2 and the networks of its published code.
"""

from __future__ import annotations

from ...core.errors import RequestError

_PROMPTS = "and the words that VBench keeps for each of its prompts"
NOT_COMPUTED = {
    "object_class": f"the detector GRiT {_PROMPTS}",
    "multiple_objects": f"the detector GRiT {_PROMPTS}",
    "human_action": f"the action classifier UMT (ViT-L/16, Kinetics-400) {_PROMPTS}",
    "color": f"the captions by object of GRiT {_PROMPTS}",
    "spatial_relationship": f"the detector GRiT {_PROMPTS}",
    "scene": f"the captioner Tag2Text {_PROMPTS}",
    "appearance_style": f"CLIP ViT-B/32 {_PROMPTS}: of other clips, clipsim compares frames and captions",
    "temporal_style": "the video and text encoder ViCLIP",
    "overall_consistency": "the video and text encoder ViCLIP; clipsim is the figure by CLIP",
}
"""What each requires."""


WHY_NOT = {name: f"requires {needed}" for name, needed in NOT_COMPUTED.items()}


def refuse(name: str, legal: str) -> None:
    """Raise RequestError for one of NOT_COMPUTED."""
    if name in NOT_COMPUTED:
        message = f"VBench's {name} is not computed: it {WHY_NOT[name]}."
        raise RequestError(message, field="metrics", value=name, legal=legal)
