"""Dialects and kinds of adapter files by formulas written out here, and files that are damaged or hostile."""

from __future__ import annotations

import contextlib
import json
import re
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from test_adapters import tiny, use

from kinema.core.errors import ModelError
from kinema.weights.adapter_settings import fits, settings_of

MODULES = {"blocks.0.attn1.to_q": "blocks.0.self_attn.q", "blocks.1.ffn.net.2": "blocks.1.ffn.2"}
OUT, IN = 24, 24


@pytest.fixture
def network():
    return tiny()


def draw(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape))) * 0.3


def effective(network, name: str) -> torch.Tensor:
    """The effective weight of a linear layer, measured by its outputs."""
    layer = network.get_submodule(name)
    eye = torch.eye(layer.in_features)
    bias = layer.bias if layer.bias is not None else 0.0
    return (layer(eye) - bias).T


def saved(folder, tensors, metadata=None):
    file = folder / "adapter.safetensors"
    save_file({key: value.contiguous() for key, value in tensors.items()}, file, metadata=metadata)
    return str(file)


@pytest.mark.parametrize(
    "spell",
    [
        lambda name: "lora_unet__" + name.replace(".", "_"),
        lambda name: "lora_unet_" + name.replace(".", "_"),
        lambda name: "lycoris_" + name.replace(".", "_"),
        lambda name: "lora_unet_" + name,
        lambda name: "lora_unet_" + name.replace("blocks.0.", "blocks_0.").replace("blocks.1.", "blocks_1."),
        lambda name: "dit." + name,
        lambda name: "model." + name,
        lambda name: "pipe.dit." + name,
        lambda name: "diffusion_model." + name,
        lambda name: "model.diffusion_model." + name,
    ],
    ids=["videox", "kohya", "lycoris", "kohya-dots", "kohya-some-dots", "dit", "model", "pipe", "comfy", "prefix"],
)
def test_every_spelling_gives_the_weights_made_by_hand(network, tmp_path, spell):
    tensors, wanted = {}, {}
    for name, original in MODULES.items():
        weight = network.get_parameter(f"{name}.weight")
        down, up = draw(4, weight.shape[1]), draw(weight.shape[0], 4)
        key = spell(original)
        tensors |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up, f"{key}.alpha": torch.tensor(2.0)}
        wanted[name] = weight + 0.7 * (2.0 / 4) * up @ down
    use(network, ((saved(tmp_path, tensors), 0.7),))
    for name, weight in wanted.items():
        torch.testing.assert_close(effective(network, name), weight, rtol=1e-4, atol=1e-5)


def loha(weight):
    a, b, c, d = draw(OUT, 3), draw(3, IN), draw(OUT, 3, seed=5), draw(3, IN, seed=6)
    parts = {"hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": c, "hada_w2_b": d, "alpha": torch.tensor(1.5)}
    return parts, weight + 0.5 * (a @ b) * (c @ d)


def lokr(weight):
    one, a, b = draw(4, 6), draw(6, 2), draw(2, 4)
    return {"lokr_w1": one, "lokr_w2_a": a, "lokr_w2_b": b, "alpha": torch.tensor(1.0)}, weight + 0.5 * kron(one, a @ b)


def lokr_whole(weight):
    """Two full matrices have no rank; LyCORIS writes an alpha for them that has no effect."""
    one, two = draw(4, 6), draw(6, 4)
    return {"lokr_w1": one, "lokr_w2": two, "alpha": torch.tensor(1e10)}, weight + kron(one, two)


def kron(one, two):
    rows = [torch.cat([one[i, j] * two for j in range(one.shape[1])], 1) for i in range(one.shape[0])]
    return torch.cat(rows, 0)


def dora(weight, key="dora_scale", by_row=True):
    down, up = draw(3, IN), draw(OUT, 3)
    changed = weight + 0.5 * up @ down
    sides = draw(OUT).abs() + 0.2
    magnitude = sides[:, None] if by_row else sides[None, :]
    parts = {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(1.5), key: magnitude}
    return parts, magnitude * changed / changed.norm(dim=1 if by_row else 0, keepdim=True)


def dora_columns(weight):
    return dora(weight, by_row=False)


def dora_peft(weight):
    parts, wanted = dora(weight, key="lora_magnitude_vector.weight")
    return {**parts, "lora_magnitude_vector.weight": parts["lora_magnitude_vector.weight"].flatten()}, wanted


def dora_on_loha(weight):
    parts, changed = loha(weight)
    magnitude = draw(OUT, 1).abs() + 0.2
    return {**parts, "dora_scale": magnitude}, magnitude * changed / changed.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("kind", [loha, lokr, lokr_whole, dora, dora_columns, dora_peft, dora_on_loha])
def test_kinds_beside_lora(network, tmp_path, kind):
    name, before = "blocks.0.attn1.to_q", {key: value.clone() for key, value in network.state_dict().items()}
    weight = before[f"{name}.weight"]
    parts, wanted = kind(weight)
    file = saved(tmp_path, {f"lycoris_blocks_0_self_attn_q.{role}": value for role, value in parts.items()})
    use(network, ((file, 1.0),))
    torch.testing.assert_close(effective(network, name), wanted, rtol=1e-4, atol=1e-5)
    use(network, ((file, 0.5),))
    torch.testing.assert_close(effective(network, name), weight + 0.5 * (wanted - weight), rtol=1e-4, atol=1e-5)
    use(network, ())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("kind", ["LOHA", "LOKR"])
def test_peft_s_own_layers_agree(network, tmp_path, kind):
    peft = pytest.importorskip("peft")
    name = "blocks.0.attn1.to_q"
    config = getattr(peft, "LoHaConfig" if kind == "LOHA" else "LoKrConfig")(r=2, alpha=6, target_modules=[name])
    torch.manual_seed(1)
    theirs = peft.get_peft_model(tiny(), config)
    for key, parameter in theirs.named_parameters():
        if "hada_" in key or "lokr_" in key:
            parameter.data.copy_(draw(*parameter.shape))
    theirs.save_pretrained(tmp_path)
    use(network, ((str(tmp_path), 1.0),))
    wanted = _peft_weight(theirs, name)
    torch.testing.assert_close(effective(network, name), wanted, rtol=1e-4, atol=1e-5)


def _peft_weight(model, name):
    layer = model.base_model.model.get_submodule(name)
    return layer.base_layer.weight + layer.get_delta_weight("default")


def lora(rank=2, alpha: float | None = 1.0, key="diffusion_model.blocks.0.self_attn.q"):
    found = {f"{key}.lora_down.weight": draw(rank, IN), f"{key}.lora_up.weight": draw(OUT, rank)}
    return found | ({f"{key}.alpha": torch.tensor(alpha)} if alpha is not None else {})


@pytest.mark.parametrize(
    ("role", "value", "words"),
    [
        ("lora_down.weight", float("nan"), "NaN"), ("lora_up.weight", float("inf"), "infinite"),
        ("lora_up.weight", 1e30, "changes its weights"), ("alpha", float("nan"), "NaN"), ("alpha", 1e30, "scale"),
        ("alpha", float("-inf"), "infinite"), ("alpha", -1e9, "scale"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_numbers_that_make_no_sense_are_refused_by_file_and_key(network, tmp_path, role, value, words, dtype):
    tensors = lora()
    key = next(key for key in tensors if key.endswith(role))
    tensors[key].view(-1)[0] = value
    file = saved(tmp_path, {name: tensor.to(dtype) for name, tensor in tensors.items()})
    with pytest.raises(ModelError, match=words) as caught:
        use(network, ((file, 1.0),))
    assert file in str(caught.value)
    assert "blocks.0.self_attn.q." in str(caught.value)


@pytest.mark.parametrize("role", ["diff", "diff_b", "hada_w1_a", "lokr_w1", "dora_scale"])
def test_so_are_those_of_every_other_kind(network, tmp_path, role):
    stem = "lycoris_blocks_0_self_attn_q"
    parts = {**loha(torch.zeros(OUT, IN))[0], "dora_scale": torch.ones(OUT, 1)}
    if role == "lokr_w1":
        parts = lokr(torch.zeros(OUT, IN))[0]
    parts |= {"diff_b": torch.zeros(OUT)} if role == "diff_b" else {}
    parts = {"diff": torch.zeros(OUT, IN)} if role == "diff" else parts
    parts[role].view(-1)[1] = float("nan")
    file = saved(tmp_path, {f"{stem}.{name}": value for name, value in parts.items()})
    with pytest.raises(ModelError, match=rf"{stem}\.{role} has NaN or infinite values"):
        use(network, ((file, 1.0),))


def test_shapes_that_are_no_matrices(network, tmp_path):
    key = "diffusion_model.blocks.0.self_attn.q"
    good = lora()
    for wrong in (
        {f"{key}.lora_down.weight": torch.zeros(0, IN), f"{key}.lora_up.weight": torch.zeros(OUT, 0)},
        {f"{key}.lora_down.weight": torch.tensor(1.0)},
        {f"{key}.alpha": torch.ones(3)},
        {f"{key}.dora_scale": torch.ones(5)},
        {f"{key}.lora_mid.weight": torch.ones(7, 7)},
        {f"{key}.lora_mid.weight": torch.tensor(1.0)},
    ):
        with pytest.raises(ModelError, match=r"adapter\.safetensors"):
            use(network, ((saved(tmp_path, {**good, **wrong}), 1.0),))


def test_keys_that_are_not_used_are_named(network, tmp_path, caplog):
    file = saved(tmp_path, lora() | lora(key="diffusion_model.blocks.7.self_attn.q", alpha=None))
    use(network, ((file, 1.0),))
    assert "2 of its 5 keys are not used" in caplog.text
    assert "diffusion_model.blocks.7.self_attn.q.lora_down.weight" in caplog.text
    alone = saved(tmp_path, lora(key="nothing.like.it"))
    with pytest.raises(ModelError, match=r"no key matches a part of this network.*nothing\.like\.it\.alpha"):
        use(network, ((alone, 1.0),))


def test_two_keys_for_one_part_are_refused(network, tmp_path):
    file = saved(tmp_path, lora() | lora(key="lora_unet_blocks_0_self_attn_q"))
    with pytest.raises(ModelError, match="both name the same part of"):
        use(network, ((file, 1.0),))


NAME = st.lists(st.sampled_from(["blocks", "0", "1", "attn1", "to_q", "q", "blocks.0", "to"]), min_size=1, max_size=5)


@settings(max_examples=300, deadline=None)
@given(NAME, NAME, st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_patterns_of_modules_mean_what_they_mean_to_peft(name, pattern, whole, escaped, wild, end):
    text = (r"\." if escaped else ".").join(pattern)
    text = text.replace("0", ".*", 1) if wild else text
    text = ("^" if whole else "") + text + ("$" if end else "")
    stem = ".".join(name)
    # A bare dot stands for itself here, not for any character: names hold dots only where PEFT's have them.
    literal = re.sub(r"(?<!\\)\.(?!\*)", r"\.", text)
    assert fits(text, stem) == (re.match(rf"(.*\.)?({literal})$", stem) is not None)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(.*a){30}", "(?:x|x)*y", "[ab]*", "a|b", "a" * 501, "", "x{2}"])
def test_other_expressions_are_refused_at_once(network, tmp_path, pattern):
    told = {"transformer.alpha_pattern": {pattern: 4.0}, "transformer.lora_alpha": 2.0}
    stem = "transformer." + "a" * 60
    tensors = {**lora(key="transformer.blocks.0.attn1.to_q", alpha=None), f"{stem}.lora_A.weight": torch.ones(1)}
    file = saved(tmp_path, tensors, {"lora_adapter_metadata": json.dumps(told)})
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"alpha_pattern: Unsupported pattern"):
        use(network, ((file, 1.0),))
    assert time.monotonic() - began < 1


def test_an_alpha_for_some_modules(network, tmp_path):
    told = {"lora_alpha": 2.0, "alpha_pattern": {r"blocks\.0\.attn1\.to_q": 8.0, "^blocks.*": 1.0}}
    metadata = {"lora_adapter_metadata": json.dumps({f"transformer.{key}": value for key, value in told.items()})}
    weights, tensors = {}, {}
    for name, alpha in (("blocks.0.attn1.to_q", 8.0), ("blocks.1.attn1.to_q", 1.0), ("proj_out", 2.0)):
        weight = network.get_parameter(f"{name}.weight")
        down, up = draw(2, weight.shape[1]), draw(weight.shape[0], 2)
        tensors |= {f"transformer.{name}.lora_A.weight": down, f"transformer.{name}.lora_B.weight": up}
        weights[name] = weight + alpha / 2 * up @ down
    use(network, ((saved(tmp_path, tensors, metadata), 1.0),))
    for name, weight in weights.items():
        torch.testing.assert_close(effective(network, name), weight, rtol=1e-4, atol=1e-5)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=1000)
@given(st.sampled_from(["lora_alpha", "alpha_pattern", "rank_pattern", "use_rslora", "r"]), JSON)
def test_settings_end_in_a_value_or_an_error(tmp_path_factory, key, value):
    notes = {"lora_adapter_metadata": json.dumps({f"transformer.{key}": value})}
    with contextlib.suppress(ModelError):
        assert isinstance(settings_of(tmp_path_factory.getbasetemp() / "x", {"__metadata__": notes}), dict)
