"""Single files with small weights, end to end: latents equal those of the widened files, and memory is the file's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from wan_original import comfy_folder

import kinema
from kinema.core.errors import ModelError
from kinema.engine.estimate import weights_bytes
from kinema.families.wan.adapter_names import ADAPTER_NAMES
from kinema.families.wan.checkpoint import load
from kinema.families.wan.detect import recognise
from kinema.families.wan.single_file import load_files
from kinema.weights import adapters, looked, quantised, store
from kinema.weights.stored.codes import FLOAT8, hadamard, read_stored
from kinema.weights.stored.contract import Stored
from kinema.weights.stored.layers import stored_layers

gguf = pytest.importorskip("gguf")
quants = pytest.importorskip("gguf.quants")
State = dict[str, torch.Tensor]


def is_large(name: str, value: torch.Tensor) -> bool:
    return name.startswith("blocks.") and name.endswith(".weight") and value.ndim == 2 and value.shape[1] % 256 == 0


def float8(weight: torch.Tensor) -> State:
    scale = weight.abs().max() / 448
    return {"weight": (weight / scale).to(FLOAT8[0]), "scale_weight": scale}


def int8(weight: torch.Tensor) -> State:
    turned = (weight.view(len(weight), -1, 256) @ hadamard(256)).flatten(1)
    scale = turned.abs().amax(1, keepdim=True) / 127
    mark = b'{"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 256}'
    values = (turned / scale).round().to(torch.int8)
    return {"weight": values, "weight_scale": scale, "comfy_quant": torch.tensor(list(mark), dtype=torch.uint8)}


def blocks(weight: torch.Tensor, columns: int, values: torch.Tensor, scale: torch.Tensor) -> State:
    tiles = torch.zeros(-(-len(weight) // 128) * -(-columns // 4) * 512, dtype=torch.uint8)
    row, column = torch.arange(len(weight))[:, None], torch.arange(columns)
    place = (row // 128 * -(-columns // 4) + column // 4) * 512 + row % 32 * 16 + row % 128 // 32 * 4 + column % 4
    tiles[place] = scale.view(torch.uint8)
    return {"weight": values, "weight_scale": tiles}


def mxfp8(weight: torch.Tensor) -> State:
    scale = torch.full((len(weight), weight.shape[1] // 32), 124, dtype=torch.uint8)
    return blocks(weight, scale.shape[1], (weight * 8).to(FLOAT8[0]), scale)


def nvfp4(weight: torch.Tensor) -> State:
    numbers = (weight.clamp(-1, 1) * 3 + 3).round().to(torch.uint8)
    scale = torch.full((len(weight), weight.shape[1] // 16), 0.5).to(FLOAT8[0])
    found = blocks(weight, scale.shape[1], numbers[:, ::2] << 4 | numbers[:, 1::2], scale)
    return found | {"weight_scale": found["weight_scale"].view(FLOAT8[0]), "weight_scale_2": torch.tensor(0.1)}


def changed(file: Path, quantise) -> State:
    """Quantise the large weights of a file in place. Returns the widened state."""
    state, found = load_file(file), {}
    for name, value in state.items():
        if not is_large(name, value):
            found[name] = value
            continue
        stem = name.removesuffix("weight")
        found |= {stem + part: tensor.contiguous() for part, tensor in quantise(value).items()}
    save_file(found, file)
    return {
        name: value.widened(torch.float32) if isinstance(value, Stored) else value
        for name, value in read_stored(found).items()
    }


def latents(file: Path, styles: tuple = ()) -> tuple[torch.Tensor, nn.Module]:
    """What the transformer of a file makes of fixed noise, and the transformer."""
    network = load_files(file, torch.float32).transformer.eval().requires_grad_(False)
    for part in (*network.parameters(), *network.buffers()):
        part.data = part.data.clone()  # memory-mapped tensors are aligned as the file has them, and sums depend on it
    adapters.use(network, styles, names=ADAPTER_NAMES)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(1, 16, 3, 8, 8, generator=generator)
    states = torch.randn(1, 6, network.config.text_dim, generator=generator)
    with torch.inference_mode():
        return network(hidden, torch.tensor([700]), states, return_dict=False)[0], network


def test_formats_in_metadata_count_as_marks_do(tmp_path: Path) -> None:
    file = comfy_folder(tmp_path)
    changed(file, int8)
    marked, wanted = load_file(file), latents(file)[0]
    layers = {name.removesuffix(".comfy_quant"): json.loads(bytes(value.tolist())) for name, value in marked.items()
              if name.endswith(".comfy_quant")}  # fmt: skip
    bare = {name: value for name, value in marked.items() if not name.endswith(".comfy_quant")}
    save_file(bare, file, metadata={"_quantization_metadata": json.dumps({"layers": layers})})
    assert torch.equal(latents(file)[0], wanted)


@pytest.mark.parametrize("quantise", [float8, int8, mxfp8, nvfp4], ids=lambda each: each.__name__)
def test_a_small_file_gives_what_its_widened_values_give(tmp_path: Path, quantise) -> None:
    file = comfy_folder(tmp_path)
    wide = changed(file, quantise)
    found, network = latents(file)
    layers = stored_layers(network)
    assert len(layers) == 2 * 9 and found.std() > 0.01
    held = sum(part.numel() for layer in layers.values() for part in layer.bytes_by_part.values())
    own = sum(value.numel() for name, value in wide.items() if is_large(name, value))
    own = own // 2 if quantise is nvfp4 else own
    assert own <= held < 1.2 * own
    known = recognise(file).network
    assert known.stored_bytes == file.stat().st_size
    plain = known.model_copy(update={"stored_bytes": None})
    less = weights_bytes(plain, "NVIDIA H200") - weights_bytes(known, "NVIDIA H200")
    assert less == known.parameters * known.bytes_per_parameter - known.stored_bytes
    kind = looked.look(str(file)).weights
    assert kind.startswith({float8: "float8", int8: "int8-ConvRot", mxfp8: "MXFP8", nvfp4: "NVFP4"}[quantise])
    save_file({name: value.contiguous() for name, value in wide.items()}, file)
    other, plain = latents(file)
    for name, layer in layers.items():
        assert torch.equal(layer.weight, plain.get_submodule(name).weight), name
    assert torch.equal(found, other)


def test_gguf(tmp_path: Path) -> None:
    file = comfy_folder(tmp_path)
    state = load_file(file)
    target = file.with_name("Wan2.1-T2V-tiny-Q8_0.gguf")
    writer = gguf.GGUFWriter(str(target), "wan")
    for name, value in state.items():
        if is_large(name, value):
            raw = quants.quantize(value.numpy(), gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, raw, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
            state[name] = torch.from_numpy(quants.dequantize(raw, gguf.GGMLQuantizationType.Q8_0))
            continue
        if value.ndim > 4:  # ggml has four dimensions at most; converters note the shape
            writer.add_array(f"comfy.gguf.orig_shape.{name}", list(value.shape))
            value = value.flatten(1)
        writer.add_tensor(name, value.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file.unlink()
    assert looked.look(str(target)).weights.startswith("GGUF Q8_0")
    found, network = latents(target)
    assert len(stored_layers(network)) == 18
    save_file(state, file)
    assert torch.equal(found, latents(file)[0])
    clip = kinema.load(str(target)).generate("a red ball", width=32, height=32, frames=5, steps=2, seed=1)
    assert clip.frames().shape == (5, 32, 32, 3)
    target.write_bytes(target.read_bytes()[:-2000])
    with pytest.raises(ModelError, match=r"damaged|GGUF"):
        latents(target)


def test_adapters_on_stored_weights(tmp_path: Path) -> None:
    file = comfy_folder(tmp_path)
    wide = changed(file, float8)
    other = comfy_folder(tmp_path / "wide")
    save_file({name: value.contiguous() for name, value in wide.items()}, other)
    down, up = torch.randn(4, 256) * 0.05, torch.randn(256, 4) * 0.05
    style = tmp_path / "style.safetensors"
    save_file(
        {"transformer.blocks.0.attn1.to_q.lora_A.weight": down, "transformer.blocks.0.attn1.to_q.lora_B.weight": up},
        style,
    )
    full = tmp_path / "full.safetensors"
    save_file({"diffusion_model.blocks.1.ffn.0.diff": torch.randn(wide["blocks.1.ffn.0.weight"].shape) * 0.02}, full)
    plain = latents(file)[0]
    for styles in (((str(style), 0.7),), ((str(full), 1.0),), ((str(style), 1.0), (str(full), 0.5))):
        found, network = latents(file, styles)
        torch.testing.assert_close(found, latents(other, styles)[0], atol=1e-5, rtol=1e-5)
        assert (found - plain).abs().max() > 1e-4
        adapters.use(network, ())
        assert all(layer.changed is None for layer in stored_layers(network).values())


def test_text_encoder_in_float8(tmp_path: Path) -> None:
    file = comfy_folder(tmp_path)
    text = tmp_path / "models" / "text_encoders" / "umt5_xxl_fp16.safetensors"
    state, found = load_file(text), {}
    for name, value in state.items():
        if name.endswith(".weight") and value.ndim == 2 and "relative_attention_bias" not in name:
            found |= {name.removesuffix("weight") + part: tensor for part, tensor in float8(value).items()}
        else:
            found[name] = value
    save_file(found, text)
    words, mask = torch.tensor([[3, 5, 1]]), torch.ones(1, 3, dtype=torch.long)
    encoder = load(recognise(file), file, "cpu").parts.text_encoder
    assert len(stored_layers(encoder)) > 8 and encoder.encoder.embed_tokens is encoder.shared
    with torch.inference_mode():
        small = encoder(words, mask).last_hidden_state
    wide = {name: each.widened(torch.float32) if isinstance(each, Stored) else each for name, each in read_stored(
        {name: value for name, value in found.items() if name != "spiece_model"}).items()}  # fmt: skip
    save_file(wide | {"spiece_model": found["spiece_model"]}, text)
    with torch.inference_mode():
        assert torch.equal(load(recognise(file), file, "cpu").parts.text_encoder(words, mask).last_hidden_state, small)


def test_other_families_and_kinds_are_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    save_file({"a.weight": torch.zeros(4, 4, dtype=torch.int8), "a.weight_scale": torch.ones(1)}, file)
    with pytest.raises(ModelError, match=r"quantised as int8, which is not supported.*tensor or row\)\.$"):
        quantised.refuse(file)
    quantised.refuse(file, quantised.STORED)
    save_file({"a.qweight": torch.zeros(4, 4, dtype=torch.int8)}, file)
    with pytest.raises(ModelError, match=r"SVDQuant, AWQ or GPTQ.*NVFP4, int8, int8-ConvRot, GGUF"):
        store.recognise(file)
