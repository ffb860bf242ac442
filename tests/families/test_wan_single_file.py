"""Single files with their parts next to them or in ComfyUI's folders, and embedded tokenizers."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from wan_original import (
    WORDS,
    clip_state,
    comfy_folder,
    image_encoder,
    renamed,
    spiece,
    text_encoder,
    transformer,
)

from kinema.core.errors import ModelError
from kinema.families.wan import load
from kinema.families.wan.detect import recognise
from kinema.families.wan.single_file import load_files
from kinema.families.wan.spiece import tokenizer_from


def test_embedded_tokenizer():
    tokenizer = tokenizer_from(spiece())
    found = tokenizer(["a red balls", "zzz"], padding="max_length", max_length=6, truncation=True)
    assert found.input_ids == [[4, 5, 6, 7, 1, 0], [3, 2, 1, 0, 0, 0]]
    assert found.attention_mask[0] == [1, 1, 1, 1, 1, 0]
    assert tokenizer.decode(found.input_ids[0], skip_special_tokens=True) == "a red balls"
    moved = spiece((*WORDS[:2], *WORDS[3:], "<unk>"))
    pairs = spiece() + b"\x12\x02\x18\x02"  # a trainer_spec of the kind BPE
    letters = spiece() + b"\x0a\x04\x0a\x02\xff\xfe"  # a piece that is not UTF-8
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


def test_single_files_for_both_ends_and_for_an_expert(tmp_path):
    """A first and a last frame with image states; an expert of Wan 2.2, which needs no image encoder."""
    from PIL import Image

    from kinema.core.request import Request
    from kinema.engine.generate import sample
    from kinema.families.wan import plan as plan_wan

    file = comfy_folder(tmp_path)
    vae = file.parent.parent / "vae" / "wan_2.1_vae.safetensors"
    save_file({"wrong": torch.zeros(1)}, vae.with_name("wan_alpha_2.1_vae_rgb_channel.safetensors"))
    sizes = {"head_dim": 128, "num_layers": 2}
    ends = transformer("flf2v", **sizes, image_dim=80, pos_embed_seq_len=10)
    save_file(renamed(ends), file.with_name("wan2.1_flf2v_tiny.safetensors"))
    save_file(renamed(transformer("i2v-a14b-high", **sizes)), file.with_name("wan2.2_i2v_low_noise_tiny.safetensors"))
    save_file(clip_state(image_encoder(80)), file.parent.parent / "clip_vision" / "clip_vision_h.safetensors")
    pictures = []
    for at, color in (("first", "red"), ("last", "blue"), ("last", "green")):
        Image.new("RGB", (32, 32), color).save(tmp_path / f"{color}.png")
        pictures.append({"kind": "image", "image": str(tmp_path / f"{color}.png"), "at": at})
    for name, variant in (("wan2.1_flf2v_tiny", "flf2v"), ("wan2.2_i2v_low_noise_tiny", "i2v-a14b-low")):
        path = file.with_name(f"{name}.safetensors")
        card = recognise(path)
        assert card.variant == variant
        parts = load_files(path, torch.float32)
        assert (parts.image_encoder is None) == (variant == "i2v-a14b-low")
    path = file.with_name("wan2.1_flf2v_tiny.safetensors")
    card, found = recognise(path), []
    family = load(card, path, "cpu")
    for conditions in (pictures[:2], pictures[::2]):
        request = Request(
            prompt="a red ball", model=str(path), width=32, height=32, frames=5, steps=1, seed=1,
            profile="exact", conditions=tuple(conditions),
        )  # fmt: skip
        made = plan_wan(request, card)
        found.append(sample(made, family, family.encode(made, family.prepare(made)), made.spans[0]))
    assert (found[0] - found[1]).abs().max() > 1e-3, "the last picture counts"


def test_every_missing_part_is_listed(tmp_path):
    file = comfy_folder(tmp_path / "comfy", "i2v")
    with pytest.raises(ModelError, match=r"image encoder \(clip_vision_h.safetensors; searched .*clip_vision"):
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
    """Full differences are added in place: to memory, never to the memory-mapped file."""
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
