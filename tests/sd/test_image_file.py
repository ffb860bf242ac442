"""Single-file image models: names against diffusers' own converters, tokens against CLIP's known
ones, and clips from the file equal to those from a folder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import kinema
from kinema.core.errors import ModelError
from kinema.sd import original
from kinema.sd.image_file import ImageFile, tokenizer
from kinema.sd.image_model import open_image_model

PROMPT = "a photo of a cat"


def network(unet, vae, text):
    """Networks of these configurations in the classes of diffusers and transformers."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    levels = len(unet["block_out_channels"])
    return {
        "unet": UNet2DConditionModel(
            attention_head_dim=8, down_block_types=("CrossAttnDownBlock2D",) * (levels - 1) + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (levels - 1), **unet,
        ),
        "vae": AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * len(vae["block_out_channels"]),
            up_block_types=("UpDecoderBlock2D",) * len(vae["block_out_channels"]), **vae,
        ),
        "text_encoder": CLIPTextModel(CLIPTextConfig(**text)),
    }  # fmt: skip


SMALL = (
    {"block_out_channels": (32, 64), "layers_per_block": 2, "cross_attention_dim": 64},
    {"block_out_channels": (32, 32, 64), "layers_per_block": 1},
    {"vocab_size": 49408, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 1},
)
PUBLISHED = (
    {"block_out_channels": (320, 640, 1280, 1280), "layers_per_block": 2, "cross_attention_dim": 768},
    {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2},
    {"vocab_size": 49408, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
     "num_attention_heads": 12},
)  # fmt: skip


def as_shared(parts, levels, layers):
    """The networks' tensors under the names of the original layout, attention of the autoencoder as convolutions."""
    attended = (True,) * (levels - 1) + (False,)
    count = len(parts["vae"].config.block_out_channels)
    state = {original.unet_name(n, layers, attended): p.data for n, p in parts["unet"].named_parameters()}
    for name, parameter in parts["vae"].named_parameters():
        found = original.vae_name(name, count)
        wide = ".attn_1." in found and found.endswith("weight") and ".norm." not in found
        state[found] = parameter.data[:, :, None, None] if wide else parameter.data
    for name, parameter in parts["text_encoder"].named_parameters():
        state[f"{original.TEXT}text_model.{name.removeprefix('text_model.')}"] = parameter.data
    return state


@pytest.fixture(scope="module")
def parts():
    torch.manual_seed(0)
    return network(*SMALL)


@pytest.fixture(scope="module")
def file(parts, tmp_path_factory):
    found = tmp_path_factory.mktemp("shared") / "toon.safetensors"
    state = as_shared(parts, 2, 2) | {f"{original.TEXT}text_model.embeddings.position_ids": torch.arange(77)[None]}
    save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, found)
    return found


@pytest.mark.parametrize("which", ["small", "published"])
def test_names_are_those_that_diffusers_knows(which, parts):
    from diffusers.loaders import single_file_utils as theirs

    if which == "published":
        with torch.device("meta"):
            parts = network(*PUBLISHED)
    state = as_shared(parts, len(parts["unet"].config.block_out_channels), 2)
    assert len(state) == sum(len(list(part.parameters())) for part in parts.values())
    assert "model.diffusion_model.output_blocks.2.1.conv.weight" in state  # no attention at the coarsest level
    found = theirs.convert_ldm_unet_checkpoint(dict(state), parts["unet"].config)
    assert found.keys() == parts["unet"].state_dict().keys()
    coded = theirs.convert_ldm_vae_checkpoint(dict(state), parts["vae"].config)
    assert coded.keys() == parts["vae"].state_dict().keys()
    text = theirs.convert_ldm_clip_checkpoint(dict(state))
    own = parts["text_encoder"].state_dict()
    assert {name.removeprefix("text_model.") for name in text} == {name.removeprefix("text_model.") for name in own}
    if which == "small":
        for name, tensor in parts["unet"].state_dict().items():
            assert torch.equal(found[name], tensor), name
        for name, tensor in parts["vae"].state_dict().items():
            assert torch.equal(coded[name].reshape(tensor.shape), tensor), name


def test_every_part_is_what_was_saved(parts, file):
    opened = open_image_model(file, torch.float32)
    assert isinstance(opened, ImageFile)
    for name, part in parts.items():
        own, given = getattr(opened, name)(), part.state_dict()
        assert own.state_dict().keys() == given.keys()
        assert all(torch.equal(tensor, given[at]) for at, tensor in own.state_dict().items()), name
    assert opened.unet().config.cross_attention_dim == 64
    halves = open_image_model(file, torch.float16)
    assert halves.unet().dtype == torch.float16 and halves.vae().dtype == torch.float32


def test_the_vocabulary_is_clips():
    """Well-known token numbers of CLIP; those of the long line are from open_clip 3.3.0."""
    words = tokenizer()
    assert len(words) == 49408 and words.model_max_length == 77
    assert words(PROMPT).input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    line = "A dog, running!  über 12345 naïve #hashtag 你好"
    assert words(line).input_ids == [
        49406, 320, 1929, 267, 2761, 256, 6522, 1516, 272, 273, 274, 275, 276, 1097, 35689, 563, 258, 9238, 47466, 254,
        29290, 377, 49407,
    ]  # fmt: skip
    padded = words("cat", padding="max_length", max_length=77).input_ids
    assert padded[:3] == [49406, 2368, 49407] and set(padded[3:]) == {49407}


def test_clips_from_a_file_are_those_from_a_folder(parts, file, tmp_path):
    from diffusers import MotionAdapter, StableDiffusionPipeline

    opened = ImageFile(file, torch.float32)
    StableDiffusionPipeline(
        **parts, tokenizer=opened.tokenizer(), scheduler=opened.scheduler(), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(tmp_path / "folder")  # fmt: skip
    torch.manual_seed(1)
    MotionAdapter(
        block_out_channels=(32, 64), motion_layers_per_block=2, motion_num_attention_heads=4,
        use_motion_mid_block=True,
    ).save_pretrained(tmp_path / "adapter")  # fmt: skip
    engine = kinema.load(str(tmp_path / "adapter"))
    asked = {"frames": 4, "steps": 2, "seed": 1, "width": 32, "height": 32, "profile": "exact"}
    clips = [
        engine.generate(PROMPT, options={"base": str(base)}, **asked) for base in (file, tmp_path / "folder")
    ]  # fmt: skip
    assert np.array_equal(clips[0].frames(), clips[1].frames())
    assert file.name in str(clips[0].manifest) and clips[0].frames().std() > 0


def test_what_is_not_an_image_model_is_said(parts, file, tmp_path):
    save_file({"lora_unet_x.alpha": torch.ones(1)}, tmp_path / "lora.safetensors")
    state = as_shared(parts, 2, 2)
    lost = "first_stage_model.decoder.mid.attn_1.q.weight"
    save_file({n: t.contiguous().clone() for n, t in state.items() if n != lost}, tmp_path / "short.safetensors")
    with pytest.raises(ModelError, match=lost):
        ImageFile(tmp_path / "short.safetensors", torch.float32).vae()
    (tmp_path / "old.ckpt").write_bytes(b"pickle")
    for name, words in (("lora.safetensors", "original layout"), ("old.ckpt", "kinema models convert")):
        with pytest.raises(ModelError, match=words):
            kinema.plan(
                kinema.Request(
                    model="kinema-mini-animatediff", prompt=PROMPT, options={"base": str(tmp_path / name)}
                )
            )  # fmt: skip
