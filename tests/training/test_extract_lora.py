"""A change of weights is extracted as a LoRA that Kinema and diffusers load."""

import copy

import pytest
import torch
from diffusers import WanVACEPipeline
from small_networks import small_transformer
from torch import nn

from kinema.core.errors import ModelError
from kinema.training.tasks.extract_lora import extract_lora, write_lora
from kinema.training.tasks.low_rank import add_low_rank, freeze_all_but_linear, merge_low_rank
from kinema.weights import adapters


@pytest.fixture
def base():
    torch.manual_seed(0)
    return small_transformer(ffn_dim=32).eval()


def changed(base, scale=0.05, rank=None):
    """A copy with changed linear layers; the changes have full or a given rank."""
    other = copy.deepcopy(base)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in other.modules():
            if isinstance(module, nn.Linear):
                rows, columns = module.weight.shape
                inner = rank or min(rows, columns)
                left = torch.randn(rows, inner, generator=generator)
                module.weight += scale * left @ torch.randn(inner, columns, generator=generator) / inner**0.5
    return other


def inputs():
    generator = torch.Generator().manual_seed(2)
    return {
        "hidden_states": torch.randn(1, 16, 2, 4, 4, generator=generator),
        "timestep": torch.tensor([500.0]),
        "encoder_hidden_states": torch.randn(1, 8, 16, generator=generator),
        "control_hidden_states": torch.randn(1, 96, 2, 4, 4, generator=generator),
        "return_dict": False,
    }


@torch.no_grad()
def run(network):
    return network(**inputs())[0]


def test_full_rank_is_the_student(base, tmp_path):
    student = changed(base)
    found = extract_lora(base, student)
    assert found.kept == pytest.approx(1.0) and len(found.layers) > 20
    write_lora(tmp_path / "full.safetensors", found, base="some-model", dtype=torch.float32)
    wanted, plain = run(student), run(base)
    assert (wanted - plain).abs().max() > 1e-2
    adapters.use(base, ((str(tmp_path / "full.safetensors"), 1.0),))
    assert (run(base) - wanted).abs().max() < 1e-5
    adapters.use(base, ())
    assert torch.equal(run(base), plain)


def test_diffusers_reads_it(base, tmp_path):
    student = changed(base, rank=3)
    write_lora(tmp_path / "small.safetensors", extract_lora(base, student), base="m", dtype=torch.float32)
    pipe = WanVACEPipeline(tokenizer=None, text_encoder=None, vae=None, transformer=base, scheduler=None)
    plain = run(base)
    pipe.load_lora_weights(tmp_path, weight_name="small.safetensors", adapter_name="few")
    assert (run(base) - run(student)).abs().max() < 1e-5
    pipe.set_adapters(["few"], 0.0)
    assert torch.allclose(run(base), plain, atol=1e-6)


def test_the_rank_is_given_or_follows_from_the_energy(base, tmp_path):
    student = changed(base, rank=3)
    assert set(extract_lora(base, student).ranks.values()) <= {1, 2, 3}  # rounding errors are not a rank
    full, low, most = (extract_lora(base, changed(base), **how) for how in ({}, {"rank": 4}, {"keep": 0.8}))
    assert set(low.ranks.values()) == {4} and 0.2 < low.kept < 0.9 < full.kept
    assert all(0.8 <= kept < 1 for kept in most.kept_by_layer.values()) and 0.8 <= most.kept < 0.95
    assert extract_lora(base, changed(base), keep=0.8, rank=2).ranks == extract_lora(base, changed(base), rank=2).ranks
    write_lora(tmp_path / "energy.safetensors", most, base="kinema-mini-wan", title="few steps")
    told = adapters.describe(tmp_path / "energy.safetensors")
    assert told["dialect"] == "diffusers" and told["base"] == "kinema-mini-wan" and told["title"] == "few steps"
    assert told["rank"] in most.ranks.values() and told["alpha"] is not None


def test_ranks_that_differ_load_with_scale_one(base, tmp_path):
    student = changed(base)
    found = extract_lora(base, student, keep=0.999999)
    assert len(set(found.ranks.values())) > 1
    write_lora(tmp_path / "mixed.safetensors", found, base="m", dtype=torch.float32)
    wanted = run(student)
    adapters.use(base, ((str(tmp_path / "mixed.safetensors"), 1.0),))
    assert (run(base) - wanted).abs().max() < 1e-2
    adapters.use(base, ())
    pipe = WanVACEPipeline(tokenizer=None, text_encoder=None, vae=None, transformer=base, scheduler=None)
    pipe.load_lora_weights(tmp_path, weight_name="mixed.safetensors")
    assert (run(base) - wanted).abs().max() < 1e-2


def test_what_a_lora_cannot_carry_is_refused(base, tmp_path):
    student = changed(base)
    with torch.no_grad():
        student.scale_shift_table.add_(0.1)
    with pytest.raises(ModelError, match=r"scale_shift_table.*freeze_all_but_linear"):
        extract_lora(base, student)
    with pytest.raises(ModelError, match="different architectures"):
        extract_lora(base, nn.Linear(2, 2))
    with pytest.raises(ModelError, match="no change to write"):
        write_lora(tmp_path / "none.safetensors", extract_lora(base, copy.deepcopy(base)), base="m")


def test_only_linear_layers_learn(base):
    freeze_all_but_linear(base)
    for name, parameter in base.named_parameters():
        module = base.get_submodule(name.rpartition(".")[0])
        assert parameter.requires_grad == (isinstance(module, nn.Linear) and name.endswith(".weight"))


def test_low_rank_training_loses_nothing_in_the_file(base, tmp_path):
    student, plain = copy.deepcopy(base), run(base)
    names = add_low_rank(student, 4, wanted=lambda name: "blocks" in name)
    assert names and all("blocks" in name for name in names)
    assert torch.equal(run(student), plain)
    optimizer = torch.optim.Adam([p for p in student.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(5):
        student(**inputs())[0].square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    trained = run(student)
    assert (trained - plain).abs().max() > 1e-3
    merged = merge_low_rank(copy.deepcopy(student))
    assert merged.state_dict().keys() == base.state_dict().keys()
    assert torch.allclose(run(merged), trained, atol=1e-6)
    found = extract_lora(base, student, rank=4)
    assert found.kept > 0.999999
    write_lora(tmp_path / "few.safetensors", found, base="m", dtype=torch.float32)
    adapters.use(base, ((str(tmp_path / "few.safetensors"), 1.0),))
    assert (run(base) - trained).abs().max() < 1e-5
