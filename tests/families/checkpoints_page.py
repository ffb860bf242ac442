"""`python tests/families/checkpoints_page.py` writes the tables of docs/checkpoints.md from the cards, the recognition
and the plan's arithmetic; a test checks that they are current, and that the named tests exist.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
from pathlib import Path

from kinema.core.request import Request
from kinema.engine import estimate, placement
from kinema.engine.plan import plan
from kinema.families.wan import CARDS, variants
from kinema.weights import quantised

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "checkpoints.md"
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
GPU = "NVIDIA H200"
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

ORACLE, REFERENCE, LAYOUT, NAME = "oracle", "reference", "layout", "name"
FUN = ("test_wan_fun.py", "test_latents_equal_the_reference")
KEYS = ("test_wan_layouts.py", "test_transformer_there_and_back")
PAIR = ("test_wan_i2v.py", "test_two_experts_equal_the_pipeline")
FILES = ("test_wan_pairs.py", "test_both_files_are_loaded_in_their_places")
TESTED: dict[str, tuple[tuple[str, tuple[str, str]], ...]] = {
    "t2v": ((ORACLE, ("test_wan_oracle.py", "test_text_to_video")), (LAYOUT, KEYS)),
    "vace": ((ORACLE, ("test_wan_oracle.py", "test_vace_source_mask_reference")), (LAYOUT, KEYS)),
    "i2v": ((ORACLE, ("test_wan_i2v.py", "test_latents_equal_the_pipeline")), (LAYOUT, KEYS)),
    "flf2v": ((ORACLE, ("test_wan_i2v.py", "test_first_and_last_frame_equal_the_pipeline")), (LAYOUT, KEYS)),
    "inp": ((ORACLE, ("test_wan_i2v.py", "test_latents_equal_the_pipeline")), (LAYOUT, KEYS)),
    "ati": (
        (REFERENCE, ("test_wan_i2v.py", "test_latents_are_carried_along_paths")),
        (NAME, ("test_wan_i2v.py", "test_paths_are_a_condition_of_ati")),
    ),
    "ti2v": (
        (ORACLE, ("test_wan_ti2v.py", "test_a_clip_from_a_picture_equals_the_pipeline")),
        (LAYOUT, ("test_wan_ti2v.py", "test_single_files_in_comfyui_s_folders_give_the_same_latents")),
    ),
    "t2v-a14b": ((ORACLE, PAIR), (LAYOUT, FILES)),
    "i2v-a14b": ((ORACLE, PAIR), (LAYOUT, KEYS)),
    "vace-a14b": (
        (ORACLE, ("test_wan_vace_oracle.py", "test_two_experts_edit_as_diffusers_pipeline")),
        (NAME, ("test_wan_pairs.py", "test_pairs_of_every_kind")),
    ),
    "inp-2.2-pair": ((REFERENCE, FUN), (NAME, ("test_wan_pairs.py", "test_pairs_of_every_kind"))),
    "fun-control-2.2-pair": ((REFERENCE, FUN), (NAME, ("test_wan_pairs.py", "test_pairs_of_every_kind"))),
    "fun-camera-2.2-pair": ((REFERENCE, FUN), (NAME, ("test_wan_pairs.py", "test_pairs_of_every_kind"))),
    "inp-5b": ((REFERENCE, FUN),),
    "fun-control": ((REFERENCE, FUN),),
    "fun-control-ref": ((REFERENCE, FUN),),
    "fun-control-5b": ((REFERENCE, FUN),),
    "fun-camera": ((REFERENCE, FUN),),
}
"""By variant, how it is tested and where (files of tests/families)."""

INSTEAD = {
    "Wan 2.2 S2V": "sound drives no model of Kinema",
    "HuMo": "sound drives no model of Kinema",
    "HuMo, or another audio-driven relative of Wan": "sound drives no model of Kinema",
    "a talking relative of Wan": "sound drives no model of Kinema",
    "Wan 2.2 Animate": "VACE with a pose control clip",
    "Wan Animate 2": "VACE with a pose control clip",
    "SCAIL": "VACE with a pose control clip",
    "SCAIL 2": "VACE with a pose control clip",
    "Phantom": "VACE with reference pictures",
    "Stand-In": "VACE with reference pictures",
    "MAGREF": "VACE with reference pictures",
    "WanMove": "ATI",
    "Bernini, an editing model": "VACE",
    "Lucy Edit": "VACE",
    "ChronoEdit": "VACE",
}
CAUSAL = "the base model; clips in causal chunks are not implemented"
FEW = "the base model with its few-step LoRA as a style"
ENDINGS = (("autoregressive model", CAUSAL), ("few-step student", FEW), ("few-step merge", FEW))


def cell(*cells: object) -> str:
    return f"| {' | '.join(str(each) for each in cells)} |"


def memory(card) -> tuple[float, tuple[float, float]]:
    """Gigabytes (10^9 bytes) of a published model on a GPU: weights; a clip at its first trained size and length."""
    conditions = tuple({"kind": "image", "image": PICTURE, "at": name.removeprefix("image:")} for name in card.needs)
    width, height = card.size.trained[0]
    request = Request(model=card.id, conditions=conditions, width=width, height=height, profile="exact")
    network = card.network
    weights = estimate.weights_bytes(network, GPU) / 1e9
    return weights, estimate.peaks_gb(plan(request, device=GPU), card, GPU)


def smallest(card, peaks_gb: tuple[float, float], way: str) -> str:
    """The smallest usual GPU on which a way fits."""
    found = placement.smallest_gb(card, peaks_gb, GPU, way)
    return f"{found} GB" if found else "none"


def models() -> list[str]:
    rows = [
        cell(
            "model",
            "files",
            "tested",
            "weights",
            "clip",
            "smallest GPU: whole",
            "one network at a time",
            "block by block",
        ),
        cell(*["---"] * 8),
    ]
    for card in CARDS:
        if card.builtin is not None or card.stage:
            continue
        weights, clip = memory(card)
        files = [f"`{card.hub}`"] if card.hub else []
        files += [f"`{name}`" for name in card.single_files[:1]]
        files += ["two files, HIGH:LOW"] if card.network.experts > 1 else []
        width, height = card.size.trained[0]
        rows.append(cell(
            f"{card.title} (`{card.variant}`)", ", ".join(files), ", ".join(how for how, _ in TESTED[card.variant]),
            f"{weights:.1f} GB",
            f"{clip[0]:.1f} and {clip[1]:.1f} GB at {width}x{height}, {card.frames.trained} frames",
            *(smallest(card, clip, way) for way in (placement.WHOLE, placement.NETWORKS, placement.BLOCKS)),
        ))  # fmt: skip
    return rows


def tests() -> list[str]:
    rows = [cell("variant", "tests (in `tests/families/`)"), cell("---", "---")]
    for variant, tested in TESTED.items():
        words = "; ".join(f"{how}: `{file}: {test}`" for how, (file, test) in tested)
        rows.append(cell(f"`{variant}`", words))
    return rows


def refused() -> dict[str, list[str]]:
    """Of each unsupported model, the signs that tell it."""
    found: dict[str, list[str]] = {}
    for starts, model in variants.MARKS:
        found.setdefault(model, []).append("tensors " + ", ".join(f"`{each}`" for each in starts))
    for table in (variants.PIPELINES, variants.TRANSFORMERS):
        for name, model in table.items():
            found.setdefault(model, []).append(f"class `{name}`")
    for kind, model in variants.TYPES.items():
        found.setdefault(model, []).append(f"model_type `{kind}`")
    for patterns, model in variants.NAMED:
        if model not in ("Fun-Control", "Fun-Camera"):  # refused only if their tensors are others
            said = " or ".join(f"`{' '.join(words)}`" for words in patterns)
            found.setdefault(model, []).append(f"the name: {said}")
    found["a relative of Wan 2.2 TI2V-5B (Fun-Camera 5B, ...)"] = ["48 output channels with other inputs than above"]
    return found


def instead(model: str) -> str:
    if model in INSTEAD:
        return INSTEAD[model]
    return next((words for ending, words in ENDINGS if ending in model), "not implemented")


def unsupported() -> list[str]:
    rows = [cell("model", "told by", "instead, or why"), cell("---", "---", "---")]
    rows += [cell(model, "; ".join(signs), instead(model)) for model, signs in refused().items()]
    return rows


def weights() -> list[str]:
    rows = [cell("stored as", ""), cell("---", "---")]
    rows += [cell(f"`{each}`", "read; converted to the type of the network") for each in quantised.PLAIN.values()]
    kept = "read; stays in its size, and is widened layer by layer"
    rows += [cell(f"`{each}`, plain or scaled per tensor or row", kept) for each in quantised.READ]
    return rows + [
        cell(name, kept if name in quantised.STORED else "refused by this name before any weight is read")
        for name in quantised.NAMES.values()
    ]


TABLES = {"models": models, "tests": tests, "unsupported": unsupported, "weights": weights}


def refreshed(page: str) -> str:
    return BLOCK.sub(
        lambda found: "\n".join([found[1] + "", *TABLES[found[2]](), found[3]]).replace("\n\n", "\n"), page
    )


if __name__ == "__main__":
    PAGE.write_text(refreshed(PAGE.read_text()))
