"""LoRA files that change the text encoder too, as most for Stable Diffusion do, against merged weights."""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from kinema.core.errors import ModelError
from kinema.weights import adapters

RANK, ALPHA = 4, 2.0
NAMES = ("self_attn.q_proj", "self_attn.out_proj", "mlp.fc1")
KEYS = {
    "kohya": ("lora_te_text_model_{u}.lora_down.weight", "lora_te_text_model_{u}.lora_up.weight",
              "lora_te_text_model_{u}.alpha"),
    "diffusers": ("text_encoder.text_model.{d}.lora_A.weight", "text_encoder.text_model.{d}.lora_B.weight", None),
    "older": ("text_encoder.text_model.{d}.lora_linear_layer.down.weight",
              "text_encoder.text_model.{d}.lora_linear_layer.up.weight", None),
}  # fmt: skip


@pytest.fixture
def encoder():
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=99, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=16, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return CLIPTextModel(config).eval()


class Denoiser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mid_block = nn.ModuleDict({"to_q": nn.Linear(8, 8)})

    def forward(self, x):
        return self.mid_block["to_q"](x)


def both(path, dialect, with_denoiser=True):
    """A file of the dialect for both networks; returns the text encoder's matrices by module name."""
    generator = torch.Generator().manual_seed(1)
    tensors, layers = {}, {}
    down_key, up_key, alpha_key = KEYS[dialect]
    for number in range(2):
        for name in NAMES:
            width = (48, 32) if name == "mlp.fc1" else (32, 32)
            down, up = (
                torch.randn(RANK, width[1], generator=generator),
                torch.randn(width[0], RANK, generator=generator),
            )
            module = f"encoder.layers.{number}.{name}"
            words = {"d": module, "u": module.replace(".", "_")}
            tensors[down_key.format(**words)], tensors[up_key.format(**words)] = down, up
            if alpha_key:
                tensors[alpha_key.format(**words)] = torch.tensor(ALPHA)
            layers[module] = up @ down * (ALPHA / RANK if alpha_key else 1.0)
    if with_denoiser:
        tensors["unet.mid_block.to_q.lora_A.weight"] = torch.randn(RANK, 8, generator=generator)
        tensors["unet.mid_block.to_q.lora_B.weight"] = torch.randn(8, RANK, generator=generator)
    save_file(tensors, path)
    return layers


@pytest.mark.parametrize("dialect", KEYS)
@torch.no_grad()
def test_the_text_encoder_equals_the_merged_weights(encoder, tmp_path, dialect):
    file = tmp_path / "style.safetensors"
    layers = both(file, dialect)
    tokens, merged = torch.tensor([[1, 5, 7, 9, 2]]), copy.deepcopy(encoder)
    plain = encoder(tokens).last_hidden_state
    for module, change in layers.items():
        merged.get_submodule(module).weight += 0.7 * change
    wanted = merged(tokens).last_hidden_state
    adapters.use(encoder, ((str(file), 0.7),), text=True)
    found = encoder(tokens).last_hidden_state
    assert (found - wanted).abs().max() < 1e-4 * wanted.abs().max() and (found - plain).abs().max() > 0.01

    denoiser, x = Denoiser().eval(), torch.randn(2, 8)
    before = denoiser(x)
    adapters.use(denoiser, ((str(file), 0.7),))
    assert (denoiser(x) - before).abs().max() > 1e-3, "each network takes its own part of the file"
    adapters.use(encoder, (), text=True)
    assert torch.equal(encoder(tokens).last_hidden_state, plain)


@torch.no_grad()
def test_a_file_for_one_of_the_two_leaves_the_other(encoder, tmp_path):
    denoiser, x = Denoiser().eval(), torch.randn(2, 8)
    before, tokens = denoiser(x), torch.tensor([[1, 5, 2]])
    both(tmp_path / "words.safetensors", "kohya", with_denoiser=False)
    adapters.use(denoiser, ((str(tmp_path / "words.safetensors"), 1.0),))
    assert torch.equal(denoiser(x), before)
    save_file(
        {
            "unet.mid_block.to_q.lora_A.weight": torch.randn(2, 8),
            "unet.mid_block.to_q.lora_B.weight": torch.randn(8, 2),
        },
        tmp_path / "look.safetensors",
    )
    plain = encoder(tokens).last_hidden_state
    adapters.use(encoder, ((str(tmp_path / "look.safetensors"), 1.0),), text=True)
    assert torch.equal(encoder(tokens).last_hidden_state, plain)


def test_what_does_not_fit_is_said(encoder, tmp_path):
    file = tmp_path / "wrong.safetensors"
    save_file(
        {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.randn(2, 7),
         "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.randn(48, 2)}, file,
    )  # fmt: skip
    with pytest.raises(ModelError, match="does not fit this network"):
        adapters.use(encoder, ((str(file), 1.0),), text=True)
