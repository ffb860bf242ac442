"""Adapters in every dialect against manually merged weights. The key maps are written out, not imported."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch
from diffusers import WanTransformer3DModel, WanVACETransformer3DModel
from safetensors.torch import save_file

from kinema.core.errors import ModelError
from kinema.families.wan import ADAPTER_NAMES
from kinema.weights import adapters

use = partial(adapters.use, names=ADAPTER_NAMES)

MODULES = {
    "blocks.0.attn1.to_q": "blocks.0.self_attn.q",
    "blocks.0.attn1.to_out.0": "blocks.0.self_attn.o",
    "blocks.1.attn2.to_k": "blocks.1.cross_attn.k",
    "blocks.1.attn2.to_v": "blocks.1.cross_attn.v",
    "blocks.1.ffn.net.0.proj": "blocks.1.ffn.0",
    "blocks.0.ffn.net.2": "blocks.0.ffn.2",
    "vace_blocks.0.attn1.to_k": "vace_blocks.0.self_attn.k",
    "vace_blocks.0.proj_out": "vace_blocks.0.after_proj",
    "vace_blocks.0.proj_in": "vace_blocks.0.before_proj",
    "condition_embedder.time_proj": "time_projection.1",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "proj_out": "head.head",
    "patch_embedding": "patch_embedding",
}
"""diffusers' name of a module: the original's."""
DIALECTS = (
    "diffusers",
    "diffusers-metadata",
    "peft",
    "peft-default",
    "kohya",
    "original-AB",
    "original-down-up",
    "bare",
)
ALPHA = 2.0


def tiny(seed: int = 0, **changes) -> WanVACETransformer3DModel:
    torch.manual_seed(seed)
    sizes = {
        "num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 4, "out_channels": 4,
        "text_dim": 16,
        "freq_dim": 16,
        "ffn_dim": 32, "num_layers": 2, "vace_layers": [0], "vace_in_channels": 8, **changes,
    }  # fmt: skip
    kind = WanVACETransformer3DModel if sizes["vace_layers"] else WanTransformer3DModel
    if not sizes["vace_layers"]:
        del sizes["vace_layers"], sizes["vace_in_channels"]
    network = kind(**sizes).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.2)
    return network


@pytest.fixture
def network() -> WanVACETransformer3DModel:
    return tiny()


@torch.no_grad()
def output(network) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    return network(
        hidden_states=draw(1, 4, 2, 4, 4),
        timestep=torch.tensor([300.0]),
        encoder_hidden_states=draw(1, 5, 16),
        control_hidden_states=draw(1, 8, 2, 4, 4),
        control_hidden_states_scale=torch.ones(1),
    ).sample


def matrices(network, seed: int) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """A and B of every module, ranks 3 and 4 mixed (two modules share the end of their name: proj_out)."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for index, name in enumerate(MODULES):
        weight = network.get_parameter(f"{name}.weight")
        rank, rest = 3 + index % 2, (1,) * (weight.ndim - 2)
        found[name] = (
            torch.randn((rank, *weight.shape[1:]), generator=generator) * 0.2,
            torch.randn((weight.shape[0], rank, *rest), generator=generator) * 0.2,
        )
    return found


def merge(network, pairs, weight: float, alpha: float | None = ALPHA) -> None:
    """W + weight * (alpha / rank) * B @ A."""
    for name, (down, up) in pairs.items():
        parameter = network.get_parameter(f"{name}.weight")
        scale = weight * (1.0 if alpha is None else alpha / len(down))
        parameter += scale * (up.flatten(1) @ down.flatten(1)).view_as(parameter)


def write(folder, dialect: str, pairs, metadata: dict[str, str] | None = None):
    """Write the same matrices in one of the dialects; return the path."""
    tensors: dict[str, torch.Tensor] = {}
    path = folder / f"{dialect}.safetensors"
    for name, (down, up) in pairs.items():
        original = MODULES[name]
        stem, a, b, has_alpha = {
            "diffusers": (f"transformer.{name}", "lora_A", "lora_B", True),
            "diffusers-metadata": (f"transformer.{name}", "lora_A", "lora_B", False),
            "peft": (f"base_model.model.{name}", "lora_A", "lora_B", False),
            "peft-default": (f"base_model.model.{name}", "lora_A.default", "lora_B.default", True),
            "kohya": ("lora_unet_" + original.replace(".", "_"), "lora_down", "lora_up", True),
            "original-AB": (f"diffusion_model.{original}", "lora_A", "lora_B", True),
            "original-down-up": (f"diffusion_model.{original}", "lora_down", "lora_up", True),
            "bare": (original, "lora_A.default", "lora_B.default", True),
        }[dialect]
        tensors[f"{stem}.{a}.weight"], tensors[f"{stem}.{b}.weight"] = down, up
        if has_alpha:
            tensors[f"{stem}.alpha"] = torch.tensor(ALPHA)
    settings = {"r": 3, "lora_alpha": ALPHA}
    if dialect == "diffusers-metadata":
        told = {f"transformer.{key}": value for key, value in settings.items()}
        metadata = {**(metadata or {}), "lora_adapter_metadata": json.dumps(told)}
    if dialect == "peft":
        path = folder / "peft"
        path.mkdir()
        (path / "adapter_config.json").write_text(json.dumps({**settings, "peft_type": "LORA"}))
        save_file(tensors, path / "adapter_model.safetensors", metadata=metadata)
    else:
        save_file(tensors, path, metadata=metadata)
    return path


def bits(network) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def assert_plain(network, before: dict[str, torch.Tensor]) -> None:
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any("lora" in name for name, _ in network.named_modules())


@pytest.mark.parametrize("weight", [1.0, 0.5])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_equals_the_merged_weights(network, tmp_path, dialect, weight):
    before, plain = bits(network), output(network)
    pairs = matrices(network, 1)
    path = write(tmp_path, dialect, pairs)
    with torch.inference_mode():
        use(network, ((str(path), weight),))
    merged = tiny()
    merge(merged, pairs, weight)
    styled = output(network)
    assert (styled - plain).abs().max() > 0.1
    assert (styled - output(merged)).abs().max() < 1e-5
    use(network, ())
    assert_plain(network, before)
    assert torch.equal(output(network), plain)


def test_two_adapters_together_and_changes_of_weight(network, tmp_path):
    before = bits(network)
    first, second = matrices(network, 1), matrices(network, 2)
    one = str(write(tmp_path, "kohya", first))
    two = str(write(tmp_path, "original-AB", {name: second[name] for name in list(MODULES)[2:9]}))
    for weights in ((1.0, -0.5), (0.25, 2.0), (0.0, 1.0), (1.0, 0.0)):
        use(network, ((one, weights[0]), (two, weights[1])))
        merged = tiny()
        merge(merged, first, weights[0])
        merge(merged, {name: second[name] for name in list(MODULES)[2:9]}, weights[1])
        assert (output(network) - output(merged)).abs().max() < 1e-5
    use(network, ((one, 0.5), (one, 0.25)))
    merged = tiny()
    merge(merged, first, 0.75)
    assert (output(network) - output(merged)).abs().max() < 1e-5
    use(network, ())
    assert_plain(network, before)


def test_the_same_styles_again_cost_nothing(network, tmp_path, monkeypatch):
    path = str(write(tmp_path, "kohya", matrices(network, 1)))
    use(network, ((path, 1.0),))
    styled = output(network)
    monkeypatch.setattr(adapters, "read", None)
    monkeypatch.setattr(adapters, "_change", None)
    use(network, ((path, 1.0),))
    assert torch.equal(output(network), styled)


def test_a_file_that_changed_is_read_anew(network, tmp_path):
    use(network, ((str(write(tmp_path, "kohya", matrices(network, 1))), 1.0),))
    second = matrices(network, 2)
    path = write(tmp_path, "kohya", {name: second[name] for name in list(MODULES)[:5]})
    use(network, ((str(path), 1.0),))
    merged = tiny()
    merge(merged, {name: second[name] for name in list(MODULES)[:5]}, 1.0)
    assert (output(network) - output(merged)).abs().max() < 1e-5


def test_differences_of_weights_biases_norms_and_modulations(network, tmp_path):
    """lightx2v's dialect: low rank for some layers, full differences for others."""
    before, plain = bits(network), output(network)
    down, up = torch.randn(2, 24), torch.randn(24, 2)
    deltas = {
        "blocks.0.self_attn.q.diff_b": ("blocks.0.attn1.to_q.bias", torch.randn(24)),
        "blocks.1.self_attn.norm_q.diff": ("blocks.1.attn1.norm_q.weight", torch.randn(24)),
        "blocks.1.norm3.diff": ("blocks.1.norm2.weight", torch.randn(24)),
        "blocks.1.norm3.diff_b": ("blocks.1.norm2.bias", torch.randn(24)),
        "blocks.1.diff_m": ("blocks.1.scale_shift_table", torch.randn(1, 6, 24)),
        "head.diff_m": ("scale_shift_table", torch.randn(1, 2, 24)),
        "head.head.diff": ("proj_out.weight", torch.randn(16, 24)),
        "patch_embedding.diff_b": ("patch_embedding.bias", torch.randn(24)),
        "time_embedding.0.diff_b": ("condition_embedder.time_embedder.linear_1.bias", torch.randn(24)),
    }
    tensors = {f"diffusion_model.{key}": value for key, (_, value) in deltas.items()}
    tensors["diffusion_model.blocks.0.self_attn.q.lora_down.weight"] = down
    tensors["diffusion_model.blocks.0.self_attn.q.lora_up.weight"] = up
    path = tmp_path / "light.safetensors"
    save_file(tensors, path)
    other = str(write(tmp_path, "kohya", matrices(network, 1)))
    for weight in (1.0, 0.5):
        for styles in (((str(path), weight),), ((str(path), weight), (other, 1.0))):
            use(network, styles)
            merged = tiny()
            merge(merged, {"blocks.0.attn1.to_q": (down, up)}, weight, alpha=None)
            for name, value in deltas.values():
                merged.get_parameter(name).add_(value, alpha=weight)
            if len(styles) == 2:
                merge(merged, matrices(merged, 1), 1.0)
            wanted = output(merged)
            assert (wanted - plain).abs().max() > 0.1
            # These differences are as large as the weights: the outputs are tens, so the bound is relative.
            assert (output(network) - wanted).abs().max() < 1e-5 * max(1.0, float(wanted.abs().max()))
    use(network, ())
    assert_plain(network, before)
    assert torch.equal(output(network), plain)
    assert adapters.describe(path)["dialect"] == "lightx2v"


def test_a_bias_of_the_second_matrix_follows_its_scale(network, tmp_path):
    down, up, bias = torch.randn(2, 24), torch.randn(24, 2), torch.randn(24)
    stem = "transformer.blocks.0.attn1.to_q"
    save_file(
        {
            f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up, f"{stem}.lora_B.bias": bias,
            f"{stem}.alpha": torch.tensor(1.0),
        },
        tmp_path / "bias.safetensors",
    )  # fmt: skip
    use(network, ((str(tmp_path / "bias.safetensors"), 1.0),))
    merged = tiny()
    merge(merged, {"blocks.0.attn1.to_q": (down, up)}, 1.0, alpha=1.0)
    merged.get_parameter("blocks.0.attn1.to_q.bias").add_(bias, alpha=0.5)
    assert (output(network) - output(merged)).abs().max() < 1e-5


def test_low_precision_networks_keep_their_bits(tmp_path):
    network = tiny().to(torch.bfloat16)
    before = bits(network)
    path = tmp_path / "half.safetensors"
    save_file({"diffusion_model.blocks.0.self_attn.q.diff_b": torch.full((24,), 0.1)}, path)
    use(network, ((str(path), 1.0), (str(write(tmp_path, "kohya", matrices(network, 1))), 1.0)))
    assert network.get_parameter("blocks.0.attn1.to_q.base_layer.bias").dtype == torch.bfloat16
    use(network, ())
    assert_plain(network, before)


def test_image_parts_of_the_original_layout(tmp_path):
    network = tiny(vace_layers=[], image_dim=20, added_kv_proj_dim=24)
    names = {
        "blocks.0.cross_attn.k_img": "blocks.0.attn2.add_k_proj",
        "blocks.1.cross_attn.v_img": "blocks.1.attn2.add_v_proj",
        "img_emb.proj.1": "condition_embedder.image_embedder.ff.net.0.proj",
        "img_emb.proj.3": "condition_embedder.image_embedder.ff.net.2",
    }
    tensors, wanted = {}, {}
    for original, name in names.items():
        weight = network.get_parameter(f"{name}.weight")
        down, up = torch.randn(2, weight.shape[1]), torch.randn(weight.shape[0], 2)
        tensors[f"diffusion_model.{original}.lora_down.weight"] = down
        tensors[f"diffusion_model.{original}.lora_up.weight"] = up
        wanted[name] = weight + up @ down
    tensors["diffusion_model.blocks.0.cross_attn.norm_k_img.diff"] = torch.ones(24)
    save_file(tensors, tmp_path / "image.safetensors")
    norm = network.get_parameter("blocks.0.attn2.norm_added_k.weight").clone()
    use(network, ((str(tmp_path / "image.safetensors"), 1.0),))
    for name, weight in wanted.items():
        layer = network.get_submodule(name)
        x = torch.randn(3, weight.shape[1])
        assert torch.allclose(layer(x), torch.nn.functional.linear(x, weight, layer.base_layer.bias), atol=1e-4)
    assert torch.equal(network.get_parameter("blocks.0.attn2.norm_added_k.weight"), norm + 1)


@pytest.mark.parametrize("dialect", ["diffusers", "original-AB", "original-down-up"])
def test_diffusers_reads_the_same(tmp_path, dialect):
    """The library's own converter, which supports no VACE blocks and no convolutions."""
    from diffusers.loaders.lora_pipeline import WanLoraLoaderMixin

    network = tiny(vace_layers=[])
    names = [name for name in MODULES if name.startswith("blocks.")]
    pairs = {name: pair for name, pair in matrices(tiny(), 1).items() if name in names}
    path = write(tmp_path, dialect, pairs)
    theirs = WanLoraLoaderMixin.lora_state_dict(str(path), local_files_only=True)
    shapes = {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}
    ours = adapters.read(path, shapes, names=ADAPTER_NAMES).layers
    for name in names:
        a, b = theirs[f"transformer.{name}.lora_A.weight"], theirs[f"transformer.{name}.lora_B.weight"]
        scale = ALPHA / len(a) if f"transformer.{name}.alpha" in theirs else 1.0
        assert torch.allclose(ours[name][1] @ ours[name][0], scale * b @ a, atol=1e-6)


def test_refusals_leave_the_network_alone(network, tmp_path):
    good = str(write(tmp_path, "kohya", matrices(network, 1)))
    use(network, ((good, 1.0),))
    styled = output(network)
    pickled = tmp_path / "adapter_model.bin"
    pickled.write_bytes(b"\x80\x04")
    folder = tmp_path / "only_pickle"
    folder.mkdir()
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04")
    other, wide, half, dora = (tmp_path / f"{name}.safetensors" for name in ("other", "wide", "half", "dora"))
    save_file({"unet.down.0.lora_A.weight": torch.ones(2, 2), "te.x": torch.ones(1)}, other)
    wide_a = {"transformer.blocks.0.attn1.to_q.lora_A.weight": torch.ones(2, 99)}
    save_file({**wide_a, "transformer.blocks.0.attn1.to_q.lora_B.weight": torch.ones(99, 2)}, wide)
    save_file({"transformer.blocks.0.attn1.to_q.lora_A.weight": torch.ones(2, 24)}, half)
    save_file({"transformer.blocks.0.attn1.to_q.dora_scale": torch.ones(2, 24)}, dora)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(wide.read_bytes()[:-40])
    for path, words in (
        (pickled, "pickled"), (folder, "pickled"), (other, "unet.down.0.lora_A.weight"),
        (wide, "does not fit"), (half, "only one"), (dora, "DoRA"), (cut, "truncated"),
        (tmp_path / "nothing", "No adapter"),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=words):
            use(network, ((good, 0.5), (str(path), 1.0)))
        assert torch.equal(output(network), styled)


def test_without_peft_it_says_what_to_install(network, tmp_path, monkeypatch):
    import sys

    before = bits(network)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r"pip install .*\[lora\]'"):
        use(network, ((str(write(tmp_path, "kohya", matrices(network, 1))), 1.0),))
    assert_plain(network, before)
    save_file({"diffusion_model.blocks.0.self_attn.q.diff_b": torch.ones(24)}, tmp_path / "bias.safetensors")
    use(network, ((str(tmp_path / "bias.safetensors"), 1.0),))
    assert torch.equal(network.get_parameter("blocks.0.attn1.to_q.bias"), before["blocks.0.attn1.to_q.bias"] + 1)


def test_adapters_by_name(network, tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    (tmp_path / "adapters").mkdir()
    write(tmp_path / "adapters", "kohya", matrices(network, 1))
    use(network, (("kohya", 1.0),))
    assert adapters.find("kohya") == (tmp_path / "adapters" / "kohya.safetensors").resolve()
    with pytest.raises(ModelError, match="Searched"):
        use(network, (("no-such-style", 1.0),))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_describe(network, tmp_path, dialect):
    metadata = {
        "ss_base_model_version": "wan2.1",
        "modelspec.trigger_phrase": "in felt style",
        "ss_output_name": "felt",
    }
    path = write(tmp_path, dialect, matrices(network, 1), metadata)
    facts = adapters.describe(path)
    assert facts["alpha"] == ALPHA
    assert facts["rank"] == 3
    assert (facts["base"], facts["trigger"], facts["title"]) == ("wan2.1", "in felt style", "felt")
    assert facts["layers"] == len(MODULES) and facts["deltas"] == 0
    family = {"diffusers-metadata": "diffusers", "peft-default": "peft", "bare": "original"}
    assert facts["dialect"] == family.get(dialect, dialect.split("-")[0])
