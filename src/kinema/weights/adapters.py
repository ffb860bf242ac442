"""Apply LoRA adapters to a network, and remove them without a trace.

    style (path or name) --find--> file --adapter_files.read--> Adapter --use--> network

Low-rank parts become PEFT layers, which leave the base weights unchanged in any precision. Parts that PEFT cannot hold
(full differences of weights, biases, norms and modulations) are added to the parameters themselves, as are LoHa, LoKr
and DoRA, multiplied out (adapter_factors.py); copies of the originals are restored bit for bit. A few-step student of a
small network is also merged into the parameters, low-rank parts included: it runs as fast as the network itself and
needs no PEFT."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from ..core.errors import ModelError
from ..core.extras import install_command
from .adapter_factors import Expansion
from .adapter_files import Adapter, Delta, describe_file, read
from .adapter_keys import PLAIN, AdapterNames, plain_name
from .stored.layers import StoredLayer, stored_layers
from .styles import adapter_file, find, folders

__all__ = ["describe", "find", "folders", "use"]

FileKey = tuple[str, int, int, bool]
"""An adapter file: path, size, modification time (ns), and whether it is merged. A changed file is another adapter."""

MERGE_BELOW = 500_000_000
"""Number of parameters below which a student is merged: merging keeps two more copies of the changed parameters."""


@dataclass
class _State:
    """The adapters on a network: files and their weights, the PEFT name of each file, and the originals of changed
    parameters (on the CPU)."""

    shapes: dict[str, tuple[int, ...]]
    names: AdapterNames
    text: bool
    active: dict[FileKey, float] = field(default_factory=dict)
    layered: dict[FileKey, str] = field(default_factory=dict)
    deltas: dict[FileKey, dict[str, Delta]] = field(default_factory=dict)
    originals: dict[str, torch.Tensor] = field(default_factory=dict)
    students: dict[FileKey, Adapter] = field(default_factory=dict)
    count: int = 0


_STATES: WeakKeyDictionary[nn.Module, _State] = WeakKeyDictionary()


def use(
    network: nn.Module,
    styles: tuple[tuple[str, float], ...],
    student: Path | None = None,
    *,
    names: AdapterNames = PLAIN,
    text: bool = False,
) -> None:
    """Make exactly these (adapter path or name, weight) pairs active on the network, and remove all others.
    `student`: the file of a few-step student to merge (see the module's docstring); the last one is cached, so that
    switching between it and the plain network is cheap. `names`: the spellings of the network's layers besides
    diffusers' names; always the same for a network. `text`: the network is a text encoder; files without layers for it
    have no effect.

    An empty tuple restores the plain network: the same modules, the same bits. Repeating the same styles costs nothing.
    The weights of a style that occurs twice are added up. All files are read and checked first: ModelError (not found,
    not an adapter, does not fit, peft missing) leaves the network unchanged."""
    wanted: dict[FileKey, float] = {}
    for adapter, weight in styles:
        key = _key(find(adapter))
        wanted[key] = wanted.get(key, 0.0) + weight
    wanted = {key: weight for key, weight in wanted.items() if weight != 0.0}
    if student is not None:
        merge = sum(map(prod, _shapes(network).values())) < MERGE_BELOW
        wanted[_key(adapter_file(student), merge)] = 1.0
    state = _STATES.get(network)
    if state is None:
        if not wanted:
            return
        state = _STATES[network] = _State(_shapes(network), names, text)
    if wanted == state.active:
        return
    # Requests run in inference mode; parameters made there could never be trained again.
    with torch.inference_mode(False), torch.no_grad():
        fresh = {key: _read(key, state) for key in wanted if key not in state.deltas}
        if any(adapter.layers for adapter in fresh.values()):
            _need_peft()
        try:
            _change(network, state, wanted, fresh)
        except BaseException:
            _change(network, state, {}, {})
            raise


def describe(path: str | Path) -> dict[str, Any]:
    """The metadata of an adapter file: dialect, rank, alpha, base, trigger, title, counts. Reads no weights. ModelError
    if it is not an adapter."""
    return describe_file(find(str(path)))


def _key(file: Path, merge: bool = False) -> FileKey:
    stat = file.stat()
    return (str(file), stat.st_size, stat.st_mtime_ns, merge)


def _read(key: FileKey, state: _State) -> Adapter:
    """The adapter of a key; a merged one has its low-rank parts multiplied out, and is cached."""
    if key in state.students:
        return state.students[key]
    adapter = read(Path(key[0]), state.shapes, state.text, state.names)
    if not key[3]:
        return adapter
    deltas = dict(adapter.deltas)
    for module, (down, up) in adapter.layers.items():
        name = f"{module}.weight"
        product = (up.float().flatten(1) @ down.float().flatten(1)).view(state.shapes[name])
        own = deltas.get(name)
        deltas[name] = own.float() + product if isinstance(own, torch.Tensor) else product
    state.students = {key: Adapter({}, deltas, adapter.unknown)}
    return state.students[key]


def _need_peft() -> None:
    try:
        import peft  # noqa: F401
    except ImportError:
        raise ModelError(f"LoRA adapters require the package peft: {install_command('lora')}") from None


def _shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of the network's own parameters, by plain name."""
    named = network.named_parameters()
    found = {plain_name(name): tuple(parameter.shape) for name, parameter in named if ".lora_" not in name}
    return found | {plain_name(f"{name}.weight"): layer.stored.shape for name, layer in stored_layers(network).items()}


def _change(network: nn.Module, state: _State, wanted: dict[FileKey, float], fresh: dict[FileKey, Adapter]) -> None:
    """Change the active adapters to `wanted`. An empty `wanted` also cleans up after a failed change."""
    state.active = {}
    for key in [key for key in state.deltas if key not in wanted]:
        del state.deltas[key]
    for key in [key for key in state.layered if key not in wanted]:
        name = state.layered.pop(key)
        for _, _, layer in _peft_layers(network):
            layer.delete_adapter(name)
        getattr(network, "peft_config", {}).pop(name, None)
    if not getattr(network, "peft_config", True):
        _unwrap(network)
    for key, adapter in fresh.items():
        if adapter.layers:
            state.count += 1
            state.layered[key] = f"style_{state.count}"
            _inject(network, state.layered[key], adapter.layers)
        state.deltas[key] = adapter.deltas
    weights = {name: wanted[key] for key, name in state.layered.items()}
    for _, _, layer in _peft_layers(network):
        layer.set_adapter(list(weights))
        for name, weight in weights.items():
            layer.set_scale(name, weight)
        for name, parameter in layer.named_parameters():
            if name.startswith("lora_"):
                parameter.requires_grad_(False)
    _add(network, state, [(wanted[key], deltas) for key, deltas in state.deltas.items() if deltas])
    state.active = wanted


def _add(network: nn.Module, state: _State, terms: list[tuple[float, dict[str, Delta]]]) -> None:
    """Set every changed parameter to original + sum of weight * delta, summed in float32."""
    touched = {name for _, deltas in terms for name in deltas}
    for name in sorted(touched | set(state.originals)):
        if (layer := _stored_layer(network, name)) is not None:
            _change_stored(layer, name, state, terms)
            continue
        parameter = _parameter(network, name)
        if name not in state.originals:
            state.originals[name] = parameter.detach().to("cpu", copy=True)
        original = state.originals[name]
        if name not in touched:
            parameter.copy_(original)
            del state.originals[name]
            continue
        parameter.copy_(_total(original, name, terms).to(parameter.dtype))


def _total(original: torch.Tensor, name: str, terms: list[tuple[float, dict[str, Delta]]]) -> torch.Tensor:
    """original + sum of weight * delta, float32."""
    total = original.float()
    for weight, deltas in terms:
        if name in deltas:
            delta = deltas[name]
            full = delta.over(original) if isinstance(delta, Expansion) else delta.float()
            total = total + weight * full
    return total


def _stored_layer(network: nn.Module, name: str) -> StoredLayer | None:
    """The layer whose weight of that plain name stays as its file stores it, or None."""
    path, _, last = name.rpartition(".")
    module = network.get_submodule(path)
    layer = getattr(module, "base_layer", module)
    return layer if last == "weight" and isinstance(layer, StoredLayer) else None


def _change_stored(layer: StoredLayer, name: str, state: _State, terms: list[tuple[float, dict[str, Delta]]]) -> None:
    """A stored weight is never written to: while adapters change it, the layer holds the sum beside it, widened."""
    if any(name in deltas for _, deltas in terms):
        layer.change(_total(layer.widened(torch.float32).cpu(), name, terms).to(layer.device))
        state.originals[name] = torch.empty(0)  # its original is the stored weight
    else:
        layer.change(None)
        state.originals.pop(name, None)


def _parameter(network: nn.Module, name: str) -> nn.Parameter:
    """The parameter of that plain name, wrapped by a PEFT layer or not."""
    path, _, last = name.rpartition(".")
    module = network.get_submodule(path)
    return getattr(getattr(module, "base_layer", module), last)


def _inject(network: nn.Module, name: str, layers: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Wrap the named modules in PEFT layers; A (rank, in, ...) and B (out, rank, ...), with scale 1."""
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict

    ranks = {module: pair[0].shape[0] for module, pair in layers.items()}
    common = max(ranks.values(), key=list(ranks.values()).count)
    other = {f"^{re.escape(module)}": rank for module, rank in ranks.items() if rank != common}
    config = LoraConfig(
        r=common,
        lora_alpha=common,
        rank_pattern=other,
        alpha_pattern=other,
        # A pattern matches whole names; a list would also match every name that ends alike (proj_out).
        target_modules="|".join(f"(?:{re.escape(module)})" for module in layers),
    )
    tensors = {}
    for module, pair in layers.items():
        weight = _parameter(network, f"{module}.weight")
        for side, tensor in zip("AB", pair):
            tensors[f"{module}.lora_{side}.weight"] = tensor.to(weight.device, weight.dtype)
    trained = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # adding a second adapter to a first is intended
        inject_adapter_in_model(config, network, adapter_name=name, low_cpu_mem_usage=True)
    set_peft_model_state_dict(network, tensors, adapter_name=name, low_cpu_mem_usage=True)
    for parameter, flag in trained:
        parameter.requires_grad_(flag)


def _peft_layers(network: nn.Module) -> list[tuple[nn.Module, str, Any]]:
    """(parent, name, layer) of the PEFT layers; empty if peft was never used."""
    if not hasattr(network, "peft_config"):
        return []
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [
        (parent, name, child)
        for parent in list(network.modules())
        for name, child in parent.named_children()
        if isinstance(child, BaseTunerLayer)
    ]


def _unwrap(network: nn.Module) -> None:
    """Replace PEFT's layers by the modules that they wrap."""
    for parent, name, layer in _peft_layers(network):
        setattr(parent, name, layer.base_layer)
    del network.peft_config
