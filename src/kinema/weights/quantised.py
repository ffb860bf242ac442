"""Detect the quantisation of a file or folder from names, dtypes and metadata: the conventions of ComfyUI
(`weight_scale`, `comfy_quant`, `_quantization_metadata`), bitsandbytes, torchao, SVDQuant, and GGUF.

Every family reads float8, plain or scaled per tensor or per row; one that keeps weights as they are stored
(weights/stored) reads more, and says so (WEIGHTS in its module). Other kinds are refused before any weight is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

from ..core.errors import KinemaError, ModelError
from ..core.outside import for_terminal, parse_json
from .configs import Config
from .gguf_header import gguf_header, is_gguf
from .headers import Entries, header, small

FLOAT8 = ("F8_E4M3", "F8_E5M2")
READ = ("float8_e4m3fn", "float8_e5m2")
PLAIN = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
NAMES = {
    "mxfp8": "MXFP8 (float8 in blocks of 32 with a scale each)",
    "nvfp4": "NVFP4 (4-bit float in blocks of 16)",
    "int8_tensorwise": "int8",
    "convrot": "int8-ConvRot (int8, rotated by a Hadamard matrix)",
    "int4": "a 4-bit kind of SVDQuant, AWQ or GPTQ",
    "bnb": "bitsandbytes 4-bit or 8-bit",
    "torchao": "torchao or Quanto",
    "gguf": "GGUF",
}
STORED = (*READ, *(NAMES[kind] for kind in ("mxfp8", "nvfp4", "int8_tensorwise", "convrot", "gguf")))
"""Kinds that weights/stored reads."""
OTHERS = (
    (("absmax", "quant_map", "SCB"), "bnb"),
    (("qweight", "wscales", "qzeros", "smooth_factor"), "int4"),
    (("weight._data", "weight._scale", "weight_qdata"), "torchao"),
)
"""Endings of tensor names that identify a kind. Any bitsandbytes state has `quant_state` in its name."""


def refuse(path: Path, read: tuple[str, ...] = READ) -> None:
    """ModelError, with the name of the kind, if a file's or folder's quantisation is not among `read`. Reads only
    headers and configurations."""
    if path.is_dir():
        for file in (path / "config.json", *sorted(path.glob("*/config.json"))):
            found = Config.maybe(file)
            if found is not None and found.has("quantization_config"):
                raise _refused(file, _method(found), read)
        if any(path.glob("*.gguf")) and not any(path.rglob("*.safetensors")):
            raise _refused(path, f"{NAMES['gguf']} (a folder; specify its file)", read)
    elif path.is_file():
        if path.suffix.lower() == ".gguf" or is_gguf(path):
            if NAMES["gguf"] not in read:
                raise _refused(path, NAMES["gguf"], read)
        elif path.suffix.lower() == ".safetensors" and (kind := kind_of(path, header(path))) not in (None, *read):
            raise _refused(path, str(kind), read)


def keeps(file: Path) -> bool:
    """Whether the weights of a single file stay as they are stored, for families that read STORED."""
    return is_gguf(file) or kind_of(file, header(file)) in STORED


def words(path: Path) -> str:
    """How the weights of a file, or of the largest network in a folder, are stored: a type or a quantisation.
    ModelError for a damaged file."""
    if path.is_dir():
        for config in (path / "config.json", *sorted(path.glob("*/config.json"))):
            found = Config.maybe(config)
            if found is not None and found.has("quantization_config"):
                return _method(found)
        files = sorted(path.rglob("*.safetensors"), key=lambda file: file.stat().st_size)
        return words(files[-1]) if files else "no weights"
    if is_gguf(path):
        return " ".join(["GGUF", ", ".join(gguf_header(path).kinds[:3])])
    entries = header(path)
    if kind := kind_of(path, entries):
        return f"{kind}, scaled" if kind in READ and scaled(entries) else kind
    types = Counter[str]()
    for name, entry in entries.items():
        if name != "__metadata__":
            types[entry["dtype"]] += prod(entry["shape"])
    most = types.most_common(1)
    return PLAIN.get(most[0][0], most[0][0]) if most else "no weights"


def file_entries(file: Path) -> Entries:
    """The entries of a safetensors or GGUF file, with the shapes of the weights as networks have them: two values of
    NVFP4 are in a byte. ModelError for a damaged file."""
    if is_gguf(file):
        found = gguf_header(file)
        names = {key: value for key, value in found.facts.items() if isinstance(value, str)}
        return {**found.entries, "__metadata__": {"name": names.get("general.name", "")}}
    entries = header(file)
    packed = [name.removesuffix("_scale_2") for name in entries if name.endswith(".weight_scale_2")]
    for name in packed:
        if name in entries and entries[name]["dtype"] == "U8" and entries[name]["shape"]:
            *rows, columns = entries[name]["shape"]
            entries[name] = {**entries[name], "shape": [*rows, columns * 2]}
    return entries


def kind_of(file: Path, entries: Entries) -> str | None:
    """The name of a safetensors file's quantisation, one of READ if supported; None if not quantised. If layers differ,
    an unsupported kind decides. ModelError for damaged metadata."""
    found = {kind for kind in _kinds(file, entries) if kind is not None}
    return next((kind for kind in sorted(found) if kind not in READ), min(found, default=None))


def scaled(entries: Entries) -> str | None:
    """The name of a float8 scale tensor, or None. Scaled weights are useless without their scale."""
    marks = (".scale_weight", ".weight_scale")
    return next((name for name in entries if name.endswith(marks) or name == "scaled_fp8"), None)


def _kinds(file: Path, entries: Entries) -> Iterable[str | None]:
    notes = entries.get("__metadata__") or {}
    if "_quantization_metadata" in notes:
        yield from _noted(file, notes["_quantization_metadata"])
    for name, entry in entries.items():
        if name == "__metadata__":
            continue
        kind, stem = entry["dtype"], name.removesuffix(".weight")
        if name.endswith(".comfy_quant"):
            yield _format(parse_json(small(file, entries, name), f"{file}: {name}", dict, error=ModelError))
        elif "quant_state" in name:
            yield NAMES["bnb"]
        elif other := next((word for ends, word in OTHERS if name.endswith(ends)), None):
            yield NAMES[other]
        elif not name.endswith(".weight"):
            continue
        elif kind in FLOAT8:
            yield _float8(entries, stem, entry)
        elif kind == "I8" and f"{stem}.comfy_quant" not in entries:
            yield NAMES["convrot" if f"{stem}.convrot" in entries else "int8_tensorwise"]
        elif kind == "U8":
            four = f"{stem}.weight_scale_2" in entries
            yield NAMES["nvfp4"] if four else "weights in packed bytes"


def _float8(entries: Entries, stem: str, entry: dict[str, Any]) -> str:
    """The kind of a float8 tensor: one scale per tensor or per row is supported, one per block is another kind."""
    own = READ[FLOAT8.index(entry["dtype"])]
    for mark in ("weight_scale", "scale_weight", "weight_scale_inv"):
        scale = entries.get(f"{stem}.{mark}")
        if scale is None:
            continue
        if scale["dtype"] in ("U8", "F8_E8M0"):
            return NAMES["mxfp8"]
        shape = [side for side in scale["shape"] if side != 1]
        if mark == "weight_scale_inv" or shape not in ([], entry["shape"][:1]):
            return "float8 in blocks with a scale each"
    return own


def noted_layers(file: Path, notes: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The format of each layer that a file's metadata note. ModelError if they are damaged."""
    if "_quantization_metadata" not in notes:
        return {}
    what = f"{file}: _quantization_metadata"
    layers = parse_json(notes["_quantization_metadata"], what, dict, error=ModelError).get("layers")
    if not isinstance(layers, dict) or not all(isinstance(layer, dict) for layer in layers.values()):
        raise ModelError(f"{what}: layers must be a table of formats.")
    return layers


def _noted(file: Path, text: str) -> Iterable[str | None]:
    for layer in noted_layers(file, {"_quantization_metadata": text}).values():
        yield _format(layer)


def _format(layer: dict[str, Any]) -> str | None:
    """The readable name of a format in ComfyUI's metadata."""
    name = layer.get("format")
    if layer.get("convrot") and name == "int8_tensorwise":
        return NAMES["convrot"]
    return NAMES.get(str(name), for_terminal(str(name), 60)) if name is not None else None


def _method(config: Config) -> str:
    try:
        return Config(config.values["quantization_config"], config.what).text("quant_method", "an unnamed kind")[:60]
    except (AttributeError, KinemaError):
        return "an unnamed kind"


def _refused(path: Path, kind: str, read: tuple[str, ...]) -> ModelError:
    more = [name.split(" (")[0] for name in read if name not in READ]
    last = f"float8 (plain, or scaled per tensor or row){''.join(f', {name}' for name in more)}"
    return ModelError(
        f"{path}: its weights are quantised as {kind}, which is not supported. "
        f"Supported are float32, float16, bfloat16, {last}."
    )
