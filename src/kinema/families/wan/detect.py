"""Detect the kind of a Wan model from configurations and safetensors headers (no torch). Unsupported relatives
(families/wan/variants.py) are refused by name."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.card import Card
from ...core.errors import ModelError
from ...weights.configs import Config
from ...weights.gguf_header import is_gguf
from ...weights.names import model_name
from ...weights.quantised import file_entries, keeps
from . import variants
from .card_list import CARDS
from .cards import ACCEPTS, GRIDS, MINI, NEEDS, PAIRS, STAGES, is_vace, options
from .doubts import doubts
from .fun_layout import is_fun
from .variants import Signs

PIPELINES = {"WanPipeline": "t2v", "WanImageToVideoPipeline": "i2v", "WanVACEPipeline": "vace"}
TRANSFORMERS = ("WanTransformer3DModel", "WanVACETransformer3DModel")
PREFIX = "model.diffusion_model."
EXPERTS = ("high_noise_model", "low_noise_model")
MAX_LAYERS = 512
TITLES = ("modelspec.title", "modelspec.architecture", "title", "name")
"""Metadata that name a model, which a renamed file keeps."""
PARTS = (
    ("decoder.upsamples.0.upsamples.0.residual.2.weight", "the VAE of Wan 2.2 TI2V-5B"),
    ("decoder.upsamples.0.residual.2.weight", "the VAE of Wan 2.1"),
    ("blocks.0.pos_embedding.embedding.weight", "Wan's text encoder"),
    ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "a T5 text encoder"),
    ("enc.blk.0.attn_q.weight", "a T5 text encoder"),
    ("vision_model.embeddings.patch_embedding.weight", "a CLIP vision encoder"),
)
"""Tensors that identify the files of a Wan model's other parts."""


def recognise(path: Path) -> Card | None:
    """The card of a diffusers folder or a single file in the original layout; None if it is not a Wan model. ModelError
    if it is damaged, or an unsupported variant (named in the message)."""
    if path.is_dir():
        return _folder(path)
    return _file(path) if path.suffix.lower() == ".safetensors" or is_gguf(path) else None


def _folder(path: Path) -> Card | None:
    parts = Config.maybe(path / "model_index.json")
    if parts is None:
        _refuse_bare(path)
        return None
    kind = parts.text("_class_name", "")
    if kind in variants.PIPELINES:
        raise _unsupported(path, variants.PIPELINES[kind])
    config = Config.maybe(path / "transformer" / "config.json")
    if kind not in PIPELINES or config is None:
        if kind in PIPELINES:
            raise ModelError(f"{path}: transformer/config.json is missing.")
        return None
    _refuse_class(path, config)
    facts = config_facts(config)
    vae = Config.maybe(path / "vae" / "config.json")
    latents = vae.whole("z_dim", 16) if vae is not None else 16
    signs = Signs(
        name=model_name(path), kind=PIPELINES[kind], in_channels=facts["in_channels"],
        out_channels=max(config.whole("out_channels", 16), latents),
        width=facts["width"], layers=facts["layers"], images=config.has("image_dim"),
        experts=parts.part("transformer_2") is not None or parts.has("boundary_ratio"),
        per_token_time=parts.flag("expand_timesteps"), image_places=config.has("pos_embed_seq_len"),
    )  # fmt: skip
    _refuse(path, signs)
    if parts.has("boundary_ratio") and parts.part("transformer_2") is None:
        raise ModelError(f"{path}: one of its two experts is missing (model_index.json names no transformer_2).")
    return _named(path, signs, facts["hint_layers"], facts["text_dim"])


def config_facts(config: Config) -> dict[str, int]:
    """The sizes in the configuration of a transformer in diffusers' layout."""
    return {
        "width": config.whole("num_attention_heads", most=1024) * config.whole("attention_head_dim", most=1024),
        "layers": config.whole("num_layers", most=MAX_LAYERS),
        "hint_layers": len(config.wholes("vace_layers", least=0)) if config.has("vace_layers") else 0,
        "text_dim": config.whole("text_dim"),
        "in_channels": config.whole("in_channels", 16),
    }


@dataclass(frozen=True)
class SeenFile:
    """What the header of a single file shows."""

    signs: Signs
    hint_layers: int
    text_dim: int


def _file(path: Path) -> Card | None:
    seen = seen_file(path)
    return None if seen is None else named(path, seen)


def seen_file(path: Path) -> SeenFile | None:
    """The signs of a transformer in a single file; None if it is not one. ModelError for an unsupported variant."""
    entries = file_entries(path)
    facts = file_facts(entries, str(path))
    if facts is None:
        _refuse_parts(path, entries)
        return None
    signs = file_signs(_name_with_expert(path), entries, facts)
    _refuse(path, signs)
    return SeenFile(signs, len(facts["vace_layers"]), facts["text_dim"])


def named(path: Path, seen: SeenFile, kind: str | None = None) -> Card:
    """The card of a single file. kind: of the model that it is a half of; None: its own."""
    card = _named(path, seen.signs, seen.hint_layers, seen.text_dim, kind)
    if not keeps(path):
        return card
    network = card.network.model_copy(update={"stored_bytes": path.stat().st_size})
    return card.model_copy(update={"network": network})


def identify(path: Path, entries: dict[str, Any]) -> tuple[str, bool] | None:
    """What the tensors of a file are, supported or not: (title of a model, False), or (name of a part, True); None if
    they are not Wan's. entries: {"shape"} by name, of a file of any format."""
    if part := _part(entries):
        return part, True
    model = _identified(path, entries)
    return None if model is None else (model, False)


def _identified(path: Path, entries: dict[str, Any]) -> str | None:
    try:
        facts = file_facts(entries, str(path))
        names = frozenset(plain(entries))
        if facts is None and "vace_patch_embedding.weight" in names:
            return variants.MODULE
        if facts is None:
            return variants.unsupported(Signs("", "", 0, keys=names)) if "patch_embedding.weight" in names else None
        signs = file_signs(_name_with_expert(path), entries, facts)
        seen = SeenFile(signs, len(facts["vace_layers"]), facts["text_dim"])
        return variants.unsupported(signs) or named(path, seen).title
    except ModelError as error:
        return f"a damaged Wan transformer ({error})"


def _part(names: Collection[str]) -> str | None:
    return next((words for key, words in PARTS if key in names), None)


def expert_of(path: Path) -> str:
    """The expert that a file's name, or that of its folder, says: "high", "low", or ""."""
    return variants.names_expert(_name_with_expert(path))


def file_facts(entries: dict[str, Any], what: str = "the file") -> dict[str, Any] | None:
    """The variant and sizes of a transformer in the original (or ComfyUI's) key layout; None if it is not one.
    ModelError, starting with `what`, if a required tensor is missing or has an illegal shape.

    Keys may carry the prefix `model.diffusion_model.`. The facts are those of WanModel: width and text width from
    `text_embedding.0.weight`, layers by counting, VACE by `vace_patch_embedding`, image to video by `img_emb` or by
    channels for a picture's latents and their mask. image_dim: None without inputs for CLIP's image states.
    """
    names = plain(entries)
    if any(name not in names for name in ("text_embedding.0.weight", "patch_embedding.weight", "head.modulation")):
        return None

    def shape(name: str, dimensions: int) -> list[int]:
        found = names[name]["shape"] if name in names else None
        if found is None or len(found) != dimensions or 0 in found:
            problem = "is missing" if found is None else f"has the illegal shape {list(found)}"
            raise ModelError(f"{what}: {name} {problem}.")
        return list(found)

    layers, hints = _count(names, "blocks", what), _count(names, "vace_blocks", what)
    if not layers or hints > layers:
        raise ModelError(f"{what}: illegal numbers of blocks: {layers}, and {hints} for VACE.")
    images = any(key.startswith("img_emb.") for key in names)
    in_channels, head = shape("patch_embedding.weight", 5)[1], names.get("head.head.weight", {"shape": [64]})["shape"]
    variant = "vace" if hints else "i2v" if images or in_channels == 36 else "t2v"
    width, text_dim = shape("text_embedding.0.weight", 2)
    return {
        "variant": variant,
        "width": width,
        "text_dim": text_dim,
        "layers": layers,
        "in_channels": in_channels,
        "out_channels": (head[0] if head else 64) // 4,
        "ffn": shape("blocks.0.ffn.0.bias", 1)[0],
        "freq_dim": shape("time_embedding.0.weight", 2)[1],
        "vace_layers": list(range(0, layers, layers // hints))[:hints] if hints else [],
        "vace_channels": shape("vace_patch_embedding.weight", 5)[1] if hints else 0,
        "image_dim": shape("img_emb.proj.0.weight", 1)[0] if images else None,
        "image_places": shape("img_emb.emb_pos", 3)[1] if "img_emb.emb_pos" in names else None,
    }


def file_signs(name: str, entries: dict[str, Any], facts: dict[str, Any]) -> Signs:
    """The features that distinguish variants, of a transformer in the original key layout."""
    names = plain(entries)
    notes = entries.get("__metadata__") or {}
    return Signs(
        name=" ".join([name, *(notes[key][:200] for key in TITLES if key in notes)]),
        kind=facts["variant"], in_channels=facts["in_channels"], out_channels=facts["out_channels"],
        width=facts["width"], layers=facts["layers"], images=facts["image_dim"] is not None,
        image_places="img_emb.emb_pos" in names, reference="ref_conv.weight" in names,
        camera=any(key.startswith("control_adapter.") for key in names), keys=frozenset(names),
    )  # fmt: skip


def plain(entries: dict[str, Any]) -> dict[str, Any]:
    """The entries of a file by the transformer's own names, without prefix."""
    return {key.removeprefix(PREFIX): entry for key, entry in entries.items() if key != "__metadata__"}


def _count(names: Collection[str], start: str, what: str) -> int:
    """The number of blocks. ModelError if they are not numbered 0, 1, 2, ..."""
    numbers = {parts[1] for key in names if len(parts := key.split(".", 2)) == 3 and parts[0] == start}
    found = {int(number) for number in numbers if number.isascii() and number.isdigit() and len(number) < 6}
    if len(found) != len(numbers) or found != set(range(len(found))) or len(found) > MAX_LAYERS:
        raise ModelError(f"{what}: its {start} must be numbered 0, 1, 2, ... up to {MAX_LAYERS}.")
    return len(found)


def _refuse(path: Path, signs: Signs) -> None:
    if (model := variants.unsupported(signs)) is not None:
        raise _unsupported(path, model)


def _refuse_class(path: Path, config: Config) -> None:
    kind = config.text("_class_name", TRANSFORMERS[0])
    if kind not in TRANSFORMERS:
        raise _unsupported(path, variants.TRANSFORMERS.get(kind, f"a model with a {kind[:80]}"))


def _refuse_bare(path: Path) -> None:
    """ModelError for a Wan folder without model_index.json: of the original code, of VideoX-Fun, or a transformer."""
    inner = [path / name for name in EXPERTS if (path / name / "config.json").is_file()]
    config = Config.maybe((inner[0] if inner else path) / "config.json") or Config.maybe(
        path / "transformer" / "config.json"
    )
    if config is None:
        return
    kind = config.text("_class_name", "")
    if kind in (*TRANSFORMERS, *variants.TRANSFORMERS):
        _refuse_class(path, config)
        raise ModelError(f"{path}: only a Wan transformer. Specify the folder above it, with model_index.json.")
    sizes = all(config.has(name) for name in ("in_dim", "dim", "num_layers"))
    if not sizes and kind not in ("WanModel", "VaceWanModel"):
        return
    name, type_ = model_name(path), config.text("model_type", "t2v")
    signs = Signs(
        name=name, kind="vace" if "vace" in type_ or config.has("vace_layers") else type_,
        in_channels=config.whole("in_dim", 16), out_channels=config.whole("out_dim", 16),
        width=config.whole("dim", 5120), layers=config.whole("num_layers", 40, most=MAX_LAYERS),
        images=type_ != "t2v" and not (inner or variants.second_generation(name)),
        experts=bool(inner) or path.name in EXPERTS,
        reference=config.flag("add_ref_conv"), camera=config.flag("add_control_adapter"),
    )  # fmt: skip
    _refuse(path, signs)
    raise ModelError(
        f"{path}: a Wan model ({type_[:20]}) in the original code's folder layout, which is not supported. Use its "
        "-Diffusers folder, or single .safetensors files with the parts next to them."
    )


def _refuse_parts(path: Path, entries: dict[str, Any]) -> None:
    if part := _part(entries):
        raise ModelError(f"{path}: only a part of a model, {part}. Specify the transformer's file.")
    names = plain(entries)
    if "condition_embedder.text_embedder.linear_1.weight" in names and "patch_embedding.weight" in names:
        raise ModelError(f"{path}: a Wan transformer in diffusers' layout. Specify the folder with model_index.json.")
    if "vace_patch_embedding.weight" in names:
        module = f"only a part of a model, {variants.MODULE}"
        raise ModelError(f"{path}: {module}. Specify a file with the whole VACE transformer.")
    if "patch_embedding.weight" in names and (model := variants.unsupported(Signs("", "", 0, keys=frozenset(names)))):
        raise _unsupported(path, model)


def _name_with_expert(path: Path) -> str:
    """A file's name, preceded by the name of its folder if that is an expert's in the original layout."""
    above, name = path.parent.name, model_name(path)
    return f"{above} {name}" if above not in name and variants.second_generation(above) and _is_expert(above) else name


def _is_expert(folder: str) -> bool:
    return folder.lower().replace("_", "").replace("-", "").removesuffix("model") in ("highnoise", "lownoise")


def _unsupported(path: Path, model: str) -> ModelError:
    return ModelError(
        f"{path}: this is {model}, which is not supported yet. Supported are {variants.SUPPORTED}, as -Diffusers "
        "folders or single files in the original or ComfyUI layout."
    )


def _named(path: Path, signs: Signs, hint_layers: int, text_dim: int, kind: str | None = None) -> Card:
    """The card of a model, without the conditions that its own parts lack."""
    card = _by_size(path, signs, hint_layers, text_dim, kind or variants.kind_of(signs))
    card = card.model_copy(update={"doubts": doubts(path, card, signs)})
    if is_fun(card.variant) and not signs.reference:
        return card.model_copy(update={"accepts": tuple(each for each in card.accepts if each != "reference")})
    return card


def _by_size(path: Path, signs: Signs, hint_layers: int, text_dim: int, kind: str) -> Card:
    """The published card of that shape with this path; a new card for an unknown shape."""
    width, layers = signs.width, signs.layers
    own = {"id": model_name(path), "path": str(path), "hub": None, "builtin": None, "aliases": ()}
    for card in CARDS:
        network = card.network
        if (card.variant, network.width, network.layers) == (kind, width, layers) and card.builtin is None:
            named = any(fnmatch.fnmatch(path.name, pattern) for pattern in card.single_files)
            # The two image-to-video models have the same shape; only their names differ.
            size = "720p" if "720" in model_name(path) else "480p"
            if kind != "i2v" or named or size in card.id:
                return card.model_copy(update=own)
    channels, space = GRIDS.get(kind, (MINI.network.latent_channels, MINI.network.space_stride))
    return MINI.model_copy(
        update={
            **own,
            "title": f"Wan {kind} of {layers} layers, {width} wide",
            "licence": "unknown",
            "variant": kind,
            "stage": kind.endswith(STAGES),
            "accepts": ACCEPTS[kind] + (("trajectory",) if is_vace(kind) and text_dim < 1024 else ()),
            "needs": NEEDS.get(kind, ()),
            "size": MINI.size.model_copy(update={"multiple": 2 * space}),
            "network": MINI.network.model_copy(
                update={
                    "latent_channels": channels,
                    "space_stride": space,
                    "width": width,
                    "layers": layers,
                    "hint_layers": hint_layers,
                    "parameters": 12 * layers * width**2,
                    "experts": 2 if kind in PAIRS else 1,
                }
            ),
            "options": options(kind, 3.0, MINI.network.text_length if text_dim < 1024 else 512),
            "domain": "toyland" if path.is_dir() and (path / "card.json").is_file() else "",
            "notes": ("A checkpoint with an unpublished shape: its limits and defaults are the miniature's.",),
        }
    )
