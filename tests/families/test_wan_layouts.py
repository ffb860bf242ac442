"""Networks from tensors in the original or ComfyUI's layout: renamed independently, read back, outputs equal."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel, WanVACETransformer3DModel
from safetensors.torch import save_file
from wan_original import (
    clip_state,
    image_encoder,
    original,
    original_umt5,
    original_vae,
    output,
    randomised,
    renamed,
    text_encoder,
    transformer,
)

from kinema.core.errors import ModelError
from kinema.families.wan.detect import recognise
from kinema.families.wan.layouts import image_encoder_from, text_encoder_from, transformer_from, vae_from
from kinema.weights.stored.codes import read_stored


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
@pytest.mark.parametrize("variant", ["t2v", "i2v", "flf2v", "i2v-a14b-high", "vace"])
def test_transformer_there_and_back(tmp_path, variant, prefix):
    network = transformer(variant)
    state = renamed(network, prefix=prefix)
    if prefix:
        state["first_stage_model.something"] = torch.zeros(1)
    file = tmp_path / "wan_tiny.safetensors"
    save_file(state, file)
    card = recognise(file)
    assert (card.variant, card.network.layers, card.network.width) == (variant, 4, 24)
    assert card.network.hint_layers == (2 if variant == "vace" else 0)
    found = transformer_from(state, torch.float32, head_dim=12)
    for name, value in network.config.items():
        assert name.startswith("_") or found.config[name] == value, name
    assert torch.equal(output(found, variant), output(network, variant))
    half = transformer_from(state, torch.bfloat16, head_dim=12)
    assert half.blocks[0].attn1.to_q.weight.dtype == torch.bfloat16
    assert half.blocks[0].scale_shift_table.dtype == torch.float32


def test_published_heads_and_refusals():
    good = renamed(transformer("t2v", head_dim=128, num_layers=1))
    assert transformer_from(good, torch.float32).config.num_attention_heads == 2
    tiny = renamed(transformer("t2v"))
    with pytest.raises(ModelError, match="must be a multiple of 128"):
        transformer_from(tiny, torch.float32)
    cut = {key: value for key, value in tiny.items() if key != "blocks.1.self_attn.q.weight"}
    with pytest.raises(ModelError, match=r"blocks\.1\.attn1\.to_q\.weight is missing"):
        transformer_from(cut, torch.float32, head_dim=12)
    with pytest.raises(ModelError, match=r"ref_conv\.weight is not a part"):
        transformer_from(tiny | {"ref_conv.weight": torch.zeros(1)}, torch.float32, head_dim=12)
    with pytest.raises(ModelError, match="50 input and"):
        transformer_from(renamed(transformer("t2v", in_channels=50)), torch.float32, head_dim=12)
    ends = renamed(transformer("flf2v"))
    with pytest.raises(ModelError, match=r"pos_embed must have shape \(1, 6, 20\)|img_emb\.emb_pos"):
        transformer_from(ends | {"img_emb.emb_pos": torch.zeros(1, 6)}, torch.float32, head_dim=12)
    with pytest.raises(ModelError, match=r"img_emb\.proj\.0\.weight is missing"):
        del ends["img_emb.proj.0.weight"]
        transformer_from(ends, torch.float32, head_dim=12)
    with pytest.raises(ModelError, match="not NVFP4"):
        read_stored(tiny | {"blocks.0.self_attn.q.weight": torch.zeros(24, 12, dtype=torch.uint8)})
    with pytest.raises(ModelError, match="not a Wan transformer"):
        transformer_from({"a": torch.zeros(1)}, torch.float32)


@pytest.mark.parametrize("scale_name", ["scale_weight", "weight_scale", None])
def test_fp8_is_multiplied_out(scale_name):
    network = transformer("t2v")
    state, wanted = renamed(network), network.state_dict()
    for name, value in network.state_dict().items():
        if ".attn1.to_" in name and value.ndim == 2:
            key = original(name)
            scale = value.abs().max() / 448 if scale_name else torch.tensor(1.0)
            state[key] = (value / scale).to(torch.float8_e4m3fn)
            wanted[name] = state[key].float() * scale
            if scale_name:
                state[key.removesuffix("weight") + scale_name] = scale
    state["scaled_fp8"] = torch.zeros(0, dtype=torch.float8_e4m3fn)
    found = transformer_from(read_stored(state), torch.float32, head_dim=12)
    for name, value in wanted.items():
        assert (
            torch.equal(found.get_submodule(name.removesuffix(".weight")).weight, value)
            if (".attn1.to_" in name and value.ndim == 2)
            else torch.equal(found.state_dict()[name], value)
        ), name


def test_autoencoder_there_and_back():
    network = randomised(AutoencoderKLWan(base_dim=8, z_dim=16))
    found = vae_from(renamed(network, original_vae))
    x = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    with torch.no_grad():
        wanted = network.encode(x).latent_dist.mode()
        assert torch.equal(found.eval().encode(x).latent_dist.mode(), wanted)
        assert torch.equal(found.decode(wanted).sample, network.decode(wanted).sample)
    assert found.config.latents_mean == network.config.latents_mean
    with pytest.raises(ModelError, match=r"not a Wan VAE"):
        vae_from({"a": torch.zeros(1)})


@pytest.mark.parametrize("layout", ["comfy", "original"])
def test_text_encoder_there_and_back(layout):
    network = text_encoder()
    state = renamed(network, original_umt5 if layout == "original" else str)
    state.pop("encoder.embed_tokens.weight", None)
    found = text_encoder_from(state, torch.float32).eval()
    tokens, mask = torch.tensor([[3, 5, 1]]), torch.ones(1, 3, dtype=torch.long)
    with torch.no_grad():
        wanted = network(tokens, mask).last_hidden_state
        assert wanted.std() > 0.01
        assert torch.equal(found(tokens, mask).last_hidden_state, wanted)
    del state["encoder.final_layer_norm.weight" if layout == "comfy" else "norm.weight"]
    with pytest.raises(ModelError, match="final_layer_norm"):
        text_encoder_from(state, torch.float32)


def test_image_encoder_there_and_back():
    network = image_encoder()
    found, processor = image_encoder_from(clip_state(network), head_dim=10)
    x = torch.randn(1, 3, 28, 28)
    with torch.no_grad():
        wanted = network(x, output_hidden_states=True).hidden_states
        got = found.eval()(x, output_hidden_states=True).hidden_states
    assert all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))
    assert processor.crop_size["height"] == 28


@pytest.mark.parametrize("variant", ["t2v", "vace"])
def test_bfloat16_runs_as_the_library_does(tmp_path, variant):
    from kinema.families.wan import forward

    network = transformer_from(renamed(transformer(variant)), torch.bfloat16, head_dim=12).eval()
    generator = torch.Generator().manual_seed(4)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(torch.bfloat16)

    x, text = draw(1, 16, 2, 4, 4), draw(1, 5, 32)
    control = draw(1, 96, 2, 4, 4) if variant == "vace" else None
    more = {} if control is None else {"control_hidden_states": control}
    with torch.no_grad():
        wanted = network(hidden_states=x, timestep=torch.tensor([400.0]), encoder_hidden_states=text, **more).sample
        forward.prepare(network)
        bound = forward.bind(
            network, text, tuple(x.shape), control_BCTHW=control, control_scale=(1.0, 1.0) if more else ()
        )
        found = forward.forward(network, x, torch.tensor(400.0), bound)
    assert found.dtype == torch.bfloat16
    assert (found - wanted).abs().max() <= 0.02 * wanted.abs().max()


@pytest.mark.parametrize(
    ("variant", "width", "ffn", "layers", "hints"),
    [
        ("t2v", 1536, 8960, 30, []),
        ("t2v", 5120, 13824, 40, []),
        ("i2v", 5120, 13824, 40, []),
        ("flf2v", 5120, 13824, 40, []),
        ("i2v-a14b-high", 5120, 13824, 40, []),
        ("vace", 1536, 8960, 30, list(range(0, 30, 2))),
        ("vace", 5120, 13824, 40, list(range(0, 40, 5))),
    ],
)
def test_published_sizes_without_their_weights(variant, width, ffn, layers, hints):
    """The published configurations, from shapes alone (meta tensors take no memory)."""
    sizes = {"num_attention_heads": width // 128, "ffn_dim": ffn, "num_layers": layers}
    if variant in ("i2v", "flf2v", "i2v-a14b-high"):
        sizes |= {"in_channels": 36}
    if variant in ("i2v", "flf2v"):
        sizes |= {"image_dim": 1280, "added_kv_proj_dim": width}
        sizes |= {"pos_embed_seq_len": 514} if variant == "flf2v" else {}
    kind = WanTransformer3DModel
    if variant == "vace":
        kind, sizes = WanVACETransformer3DModel, sizes | {"vace_layers": hints, "vace_in_channels": 96}
    with torch.device("meta"):
        network = kind(**sizes)
    state = {original(name): value for name, value in network.state_dict().items()}
    found = transformer_from(state, torch.bfloat16)
    for name, value in network.config.items():
        assert name.startswith("_") or found.config[name] == value, name
    assert not found.rope.freqs_cos.is_meta
