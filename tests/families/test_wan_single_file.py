"""Single files: tiny random networks renamed by hand into the original layout, read back, outputs equal.

The maps below go from diffusers' names to the original's and are independent of the code under test.
"""

from __future__ import annotations

import re
import struct

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel, WanVACETransformer3DModel
from safetensors.torch import save_file

from kinema.core.errors import ModelError
from kinema.families.wan import load
from kinema.families.wan.detect import recognise
from kinema.families.wan.layouts import image_encoder_from, text_encoder_from, transformer_from, vae_from
from kinema.families.wan.single_file import load_files
from kinema.families.wan.spiece import tokenizer_from

TRANSFORMER = (
    ("condition_embedder.time_embedder.linear_1.", "time_embedding.0."),
    ("condition_embedder.time_embedder.linear_2.", "time_embedding.2."),
    ("condition_embedder.text_embedder.linear_1.", "text_embedding.0."),
    ("condition_embedder.text_embedder.linear_2.", "text_embedding.2."),
    ("condition_embedder.time_proj.", "time_projection.1."),
    ("condition_embedder.image_embedder.norm1.", "img_emb.proj.0."),
    ("condition_embedder.image_embedder.ff.net.0.proj.", "img_emb.proj.1."),
    ("condition_embedder.image_embedder.ff.net.2.", "img_emb.proj.3."),
    ("condition_embedder.image_embedder.norm2.", "img_emb.proj.4."),
    (".attn1.", ".self_attn."), (".attn2.", ".cross_attn."), (".to_q.", ".q."), (".to_k.", ".k."),
    (".to_v.", ".v."), (".to_out.0.", ".o."), (".add_k_proj.", ".k_img."), (".add_v_proj.", ".v_img."),
    (".norm_added_k.", ".norm_k_img."), (".norm2.", ".norm_second."), (".norm3.", ".norm2."),
    (".norm_second.", ".norm3."), (".ffn.net.0.proj.", ".ffn.0."), (".ffn.net.2.", ".ffn.2."),
    (".proj_in.", ".before_proj."), (".proj_out.", ".after_proj."), (".scale_shift_table", ".modulation"),
)  # fmt: skip


def original(name: str) -> str:
    if name == "scale_shift_table":
        return "head.modulation"
    if name.startswith("proj_out."):
        return name.replace("proj_out.", "head.head.")
    for ours, theirs in TRANSFORMER:
        name = name.replace(ours, theirs)
    return name


def original_vae(name: str) -> str:
    """AutoencoderKLWan's names to those of the published file: one flat list of blocks on each side."""
    name = name.replace("post_quant_conv.", "conv2.").replace("quant_conv.", "conv1.")
    name = re.sub(r"^(en|de)coder\.conv_in\.", r"\1coder.conv1.", name)
    name = re.sub(r"^(en|de)coder\.norm_out\.", r"\1coder.head.0.", name)
    name = re.sub(r"^(en|de)coder\.conv_out\.", r"\1coder.head.2.", name)
    name = name.replace(".mid_block.resnets.0.", ".middle.0.").replace(".mid_block.resnets.1.", ".middle.2.")
    name = name.replace(".mid_block.attentions.0.", ".middle.1.")
    name = name.replace("encoder.down_blocks.", "encoder.downsamples.")
    up = re.match(r"decoder\.up_blocks\.(\d)\.(resnets|upsamplers)\.(\d)\.(.*)", name)
    if up:
        number = 4 * int(up[1]) + (3 if up[2] == "upsamplers" else int(up[3]))
        name = f"decoder.upsamples.{number}.{up[4]}"
    for ours, theirs in (
        (".norm1.", ".residual.0."), (".conv1.", ".residual.2."), (".norm2.", ".residual.3."),
        (".conv2.", ".residual.6."), (".conv_shortcut.", ".shortcut."),
    ):  # fmt: skip
        if "samples." in name or ".middle.0." in name or ".middle.2." in name:
            name = name.replace(ours, theirs)
    return name


def randomised(network):
    generator = torch.Generator().manual_seed(3)
    for parameter in network.parameters():
        value = torch.randn(parameter.shape, generator=generator) * 0.15
        parameter.data.copy_(value + 1 if parameter.ndim == 1 and parameter.min() == 1 else value)
    return network.eval().requires_grad_(False)


def transformer(variant: str, head_dim: int = 12, **changes):
    sizes = {
        "num_attention_heads": 2, "attention_head_dim": head_dim, "in_channels": 16, "out_channels": 16,
        "text_dim": 32, "freq_dim": 16, "ffn_dim": 40, "num_layers": 4,
    }  # fmt: skip
    if variant == "i2v":
        sizes |= {"in_channels": 36, "image_dim": 20, "added_kv_proj_dim": 2 * head_dim}
    if variant == "vace":
        sizes |= {"vace_layers": [0, 2], "vace_in_channels": 96}
    kind = WanVACETransformer3DModel if variant == "vace" else WanTransformer3DModel
    return randomised(kind(**sizes | changes))


def renamed(network, rename=original, prefix: str = "") -> dict[str, torch.Tensor]:
    return {prefix + rename(name): value.clone() for name, value in network.state_dict().items()}


@torch.no_grad()
def output(network, variant: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    more = {}
    if variant == "i2v":
        more = {"encoder_hidden_states_image": draw(1, 3, 20)}
    if variant == "vace":
        more = {"control_hidden_states": draw(1, 96, 2, 4, 4)}
    return network(
        hidden_states=draw(1, 36 if variant == "i2v" else 16, 2, 4, 4),
        timestep=torch.tensor([400.0]),
        encoder_hidden_states=draw(1, 512 if variant == "i2v" else 5, 32),
        **more,
    ).sample


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
@pytest.mark.parametrize("variant", ["t2v", "i2v", "vace"])
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
    with pytest.raises(ModelError, match="no multiple of 128"):
        transformer_from(tiny, torch.float32)
    cut = {key: value for key, value in tiny.items() if key != "blocks.1.self_attn.q.weight"}
    with pytest.raises(ModelError, match=r"blocks\.1\.attn1\.to_q\.weight is missing"):
        transformer_from(cut, torch.float32, head_dim=12)
    with pytest.raises(ModelError, match=r"ref_conv\.weight is not a part"):
        transformer_from(tiny | {"ref_conv.weight": torch.zeros(1)}, torch.float32, head_dim=12)
    with pytest.raises(ModelError, match="takes 36 channels"):
        transformer_from(renamed(transformer("t2v", in_channels=36)), torch.float32, head_dim=12)
    with pytest.raises(ModelError, match="only fp8"):
        packed = tiny | {"blocks.0.self_attn.q.weight": torch.zeros(24, 12, dtype=torch.uint8)}
        transformer_from(packed, torch.float32, head_dim=12)
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
    found = transformer_from(state, torch.float32, head_dim=12).state_dict()
    assert list(found) == list(wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_autoencoder_there_and_back():
    network = randomised(AutoencoderKLWan(base_dim=8, z_dim=16))
    found = vae_from(renamed(network, original_vae))
    x = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    with torch.no_grad():
        wanted = network.encode(x).latent_dist.mode()
        assert torch.equal(found.eval().encode(x).latent_dist.mode(), wanted)
        assert torch.equal(found.decode(wanted).sample, network.decode(wanted).sample)
    assert found.config.latents_mean == network.config.latents_mean
    with pytest.raises(ModelError, match="not an autoencoder"):
        vae_from({"a": torch.zeros(1)})


def text_encoder():
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    config = UMT5Config(
        vocab_size=len(WORDS), d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=3,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return randomised(UMT5EncoderModel(config))


def original_umt5(name: str) -> str:
    name = name.replace("shared.", "token_embedding.").replace("encoder.final_layer_norm.", "norm.")
    block = re.match(r"encoder\.block\.(\d+)\.layer\.(\d)\.(.*)", name)
    if not block:
        return name
    rest = {"0": "norm1.", "1": "norm2."}[block[2]] if "layer_norm" in block[3] else ""
    inner = (
        block[3]
        .replace("layer_norm.", rest)
        .replace("SelfAttention.relative_attention_bias.", "pos_embedding.embedding.")
    )
    inner = inner.replace("SelfAttention.", "attn.").replace("DenseReluDense.wi_0.", "ffn.gate.0.")
    inner = inner.replace("DenseReluDense.wi_1.", "ffn.fc1.").replace("DenseReluDense.wo.", "ffn.fc2.")
    return f"blocks.{block[1]}.{inner}"


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


def image_encoder():
    from transformers import CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=20, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, image_size=28,
        patch_size=14, hidden_act="gelu",
    )  # fmt: skip
    return randomised(CLIPVisionModel(config))


def clip_state(network) -> dict[str, torch.Tensor]:
    state = {
        name if name.startswith("vision_model.") else f"vision_model.{name}": value.clone()
        for name, value in network.state_dict().items()
    }
    return state | {"visual_projection.weight": torch.zeros(4, 20)}


def test_image_encoder_there_and_back():
    network = image_encoder()
    found, processor = image_encoder_from(clip_state(network), head_dim=10)
    x = torch.randn(1, 3, 28, 28)
    with torch.no_grad():
        wanted = network(x, output_hidden_states=True).hidden_states
        got = found.eval()(x, output_hidden_states=True).hidden_states
    assert all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))
    assert processor.crop_size["height"] == 28


WORDS = (
    "<pad>",
    "</s>",
    "<unk>",
    "\u2581",
    "\u2581a",
    "\u2581red",
    "\u2581ball",
    "s",
    "b",
    "l",
    "e",
    "r",
    "d",
    "a",
)


def spiece(words=WORDS) -> bytes:
    """A SentencePiece model as protobuf, written by hand."""

    def block(number: int, payload: bytes) -> bytes:
        assert len(payload) < 128
        return bytes([number << 3 | 2, len(payload)]) + payload

    message = b""
    for index, word in enumerate(words):
        score = b"\x15" + struct.pack("<f", 0.0 if index < 3 else -1.0 - index / 10)
        kind = bytes([3 << 3, 2 if word == "<unk>" else 3 if index < 2 else 1])
        message += block(1, block(1, word.encode()) + score + kind)
    return message + block(2, b"\x18\x0e") + block(3, block(1, b"identity"))


def test_embedded_tokenizer():
    tokenizer = tokenizer_from(spiece())
    found = tokenizer(["a red balls", "zzz"], padding="max_length", max_length=6, truncation=True)
    assert found.input_ids == [[4, 5, 6, 7, 1, 0], [3, 2, 1, 0, 0, 0]]
    assert found.attention_mask[0] == [1, 1, 1, 1, 1, 0]
    assert tokenizer.decode(found.input_ids[0], skip_special_tokens=True) == "a red balls"
    moved = spiece((*WORDS[:2], *WORDS[3:], "<unk>"))
    pairs = spiece() + b"\x12\x02\x18\x02"  # a trainer_spec of the kind BPE
    letters = spiece() + b"\x0a\x04\x0a\x02\xff\xfe"  # a piece that is no UTF-8
    for broken in (b"\x0a\xff", b"", spiece()[:-40] + b"\x0b", spiece(("a", "b")), moved, pairs, letters):
        with pytest.raises(ModelError, match="spiece_model"):
            tokenizer_from(broken)


def test_embedded_tokenizer_splits_as_sentencepiece_does(tmp_path):
    import sentencepiece as spm

    text = ["a red ball rolls over the green hill", "snow falls on a blue house", "the ball is in the sea"]
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(text * 20), model_prefix=str(tmp_path / "m"), vocab_size=32,
        model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>",
        minloglevel=2,
    )  # fmt: skip
    theirs = spm.SentencePieceProcessor(model_file=str(tmp_path / "m.model"))
    tokenizer = tokenizer_from((tmp_path / "m.model").read_bytes())
    for line in (*text, "Fullwidth \uff41 ball", "the red house rolls", "s n o w"):
        assert tokenizer(line).input_ids == [*theirs.encode(line), 1]


def comfy_folder(root, variant: str = "t2v"):
    """ComfyUI's folders with tiny parts; returns the transformer's file."""
    for name in ("diffusion_models", "vae", "text_encoders", "clip_vision"):
        (root / "models" / name).mkdir(parents=True)
    network = transformer(variant, head_dim=128, num_layers=2, vace_layers=[0, 1]) if variant == "vace" else None
    network = network or transformer(variant, head_dim=128, num_layers=2)
    file = root / "models" / "diffusion_models" / f"wan2.1_{variant}_tiny.safetensors"
    save_file(renamed(network), file)
    vae = randomised(AutoencoderKLWan(base_dim=8, z_dim=16))
    save_file(renamed(vae, original_vae), root / "models" / "vae" / "wan_2.1_vae.safetensors")
    state = {name: value.clone() for name, value in text_encoder().state_dict().items() if "embed_tokens" not in name}
    pieces = torch.tensor(list(spiece()), dtype=torch.uint8)
    target = root / "models" / "text_encoders" / "umt5_xxl_fp16.safetensors"
    save_file(state | {"spiece_model": pieces}, target)
    return file


@pytest.mark.parametrize("variant", ["t2v", "vace"])
def test_a_comfyui_folder_makes_a_clip(tmp_path, variant):
    from kinema.core.request import Request
    from kinema.engine.generate import generate
    from kinema.families.wan import plan as plan_wan

    file = comfy_folder(tmp_path, variant)
    card = recognise(file)
    family = load(card, file, "cpu")
    assert family.parts.scheduler.config.use_flow_sigmas
    request = Request(
        prompt="a red ball", model=str(file), width=32, height=32, frames=5, steps=2, seed=1, profile="exact"
    )
    chunks = list(generate(plan_wan(request, card), family))
    assert sum(len(chunk.frames) for chunk in chunks) == 5


def test_every_missing_part_is_listed(tmp_path):
    file = comfy_folder(tmp_path / "comfy", "i2v")
    with pytest.raises(ModelError, match=r"image encoder \(clip_vision_h.safetensors; looked in .*clip_vision"):
        load_files(file, torch.float32)
    (tmp_path / "alone").mkdir()
    alone = tmp_path / "alone" / file.name
    file.rename(alone)
    with pytest.raises(ModelError) as caught:
        load_files(alone, torch.float32)
    for word in (
        "wan_2.1_vae.safetensors",
        "umt5_xxl_fp16.safetensors",
        "clip_vision_h.safetensors",
        "alone",
    ):
        assert word in str(caught.value)


def test_a_tokenizer_folder_serves_where_none_is_inside(tmp_path):
    file = comfy_folder(tmp_path)
    target = tmp_path / "models" / "text_encoders" / "umt5_xxl_fp16.safetensors"
    state = {name: value.clone() for name, value in text_encoder().state_dict().items() if "embed_tokens" not in name}
    save_file(state, target)
    with pytest.raises(ModelError, match="tokenizer"):
        load_files(file, torch.float32)
    (file.parent / "tokenizer").mkdir()
    tokenizer_from(spiece()).save_pretrained(file.parent / "tokenizer")
    assert load_files(file, torch.float32).tokenizer("a red ball").input_ids == [4, 5, 6, 1]


def test_a_style_on_mapped_weights_changes_the_clip_and_not_the_file(tmp_path):
    """Whole differences are added in place: to memory, never through to the file that is mapped into it."""
    from kinema.core.request import Request
    from kinema.engine.generate import sample
    from kinema.families.wan import plan as plan_wan

    file = comfy_folder(tmp_path)
    before = file.read_bytes()
    style = tmp_path / "style.safetensors"
    key = "diffusion_model.blocks.0.self_attn.q"
    save_file(
        {
            f"{key}.lora_down.weight": torch.ones(2, 256) * 0.1, f"{key}.lora_up.weight": torch.ones(256, 2),
            f"{key}.diff_b": torch.ones(256), "diffusion_model.head.head.diff": torch.ones(64, 256) * 0.1,
        },
        style,
    )  # fmt: skip
    card = recognise(file)
    family = load(card, file, "cpu")

    def latents(*conditions) -> torch.Tensor:
        request = Request(
            prompt="a red ball", model=str(file), width=32, height=32, frames=5, steps=2, seed=1,
            profile="exact", conditions=conditions,
        )  # fmt: skip
        made = plan_wan(request, card)
        return sample(made, family, family.encode(made, family.prepare(made)), made.spans[0])

    plain = latents()
    assert (latents({"kind": "style", "adapter": str(style), "weight": 0.5}) - plain).abs().max() > 0.01
    assert torch.equal(latents(), plain)
    assert file.read_bytes() == before


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
        ("vace", 1536, 8960, 30, list(range(0, 30, 2))),
        ("vace", 5120, 13824, 40, list(range(0, 40, 5))),
    ],
)
def test_published_sizes_without_their_weights(variant, width, ffn, layers, hints):
    """The published configurations, from shapes alone (meta tensors take no memory)."""
    sizes = {"num_attention_heads": width // 128, "ffn_dim": ffn, "num_layers": layers}
    if variant == "i2v":
        sizes |= {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": width}
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
