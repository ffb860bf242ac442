"""Image to video against its oracle: tiny random checkpoints in diffusers' layout, read from disk by Kinema and by
diffusers; the same noise, pictures, steps, guidance and shift give the same latents. One network for a first frame, one
for a first and a last frame, and the pairs of experts of Wan 2.2."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from kinema.core.condition_rules import check
from kinema.core.conditions import Image as ImageCondition
from kinema.core.errors import RequestError
from kinema.core.request import Request
from kinema.diffusion.noise import noise
from kinema.engine.generate import generate, sample
from kinema.engine.segment import Segment, sample_latents
from kinema.families.wan import experts, load, motion, plan, recognise

SIDE, FRAMES, STEPS, GUIDANCE, SHIFT, SEED = 64, 9, 4, 4.0, 3.0, 11
TOLERANCE = 1e-4
PROMPT, NEGATIVE = "a red ball rolls left", "snow"
WORDS = ("<pad>", "</s>", "<unk>", "a", "red", "ball", "rolls", "left", "snow")
TEXT_LENGTH = 512  # diffusers' cross-attention always treats the last 512 states as text


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    found = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    found.pre_tokenizer = pre_tokenizers.Whitespace()
    found.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=found, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def randomised(network, seed=1):
    """Random weights of a size at which every part of the network shows in the output."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        value = torch.randn(parameter.shape, generator=generator) * 0.1
        parameter.data.copy_(value + 1 if parameter.ndim == 1 and parameter.min() == 1 else value)
    return network.eval().requires_grad_(False)


def denoiser(seed=1, **changes):
    from diffusers import WanTransformer3DModel

    sizes = {
        "num_attention_heads": 2, "attention_head_dim": 24, "in_channels": 36, "out_channels": 16, "text_dim": 32,
        "freq_dim": 32, "ffn_dim": 64, "num_layers": 3, "image_dim": 20, "added_kv_proj_dim": 48,
    }  # fmt: skip
    return randomised(WanTransformer3DModel(**sizes | changes), seed)


@pytest.fixture(scope="module")
def parts():
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        CLIPVisionModel,
        UMT5Config,
        UMT5EncoderModel,
    )

    torch.manual_seed(0)
    text = UMT5Config(
        vocab_size=len(WORDS), d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    vision = CLIPVisionConfig(
        hidden_size=20, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, image_size=32,
        patch_size=8,
    )  # fmt: skip
    return {
        "tokenizer": tokenizer(),
        "text_encoder": randomised(UMT5EncoderModel(text)),
        "image_encoder": randomised(CLIPVisionModel(vision)),
        "image_processor": CLIPImageProcessorPil(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
        ),
        "vae": randomised(AutoencoderKLWan(base_dim=8, z_dim=16)),
        "scheduler": UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=SHIFT
        ),
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory, parts):
    from diffusers import WanImageToVideoPipeline

    path = tmp_path_factory.mktemp("i2v") / "tiny_i2v"
    WanImageToVideoPipeline(transformer=denoiser(), **parts).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def family(folder):
    return load(recognise(folder), folder, "cpu")


@pytest.fixture
def picture(tmp_path):
    rng = np.random.default_rng(0)
    rough = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
    path = tmp_path / "first.png"
    Image.fromarray(np.repeat(np.repeat(rough, SIDE // 8, 0), SIDE // 8, 1)).save(path)
    return path


def planned(folder, picture, **fields):
    card = recognise(folder)
    settings = {
        "prompt": PROMPT, "negative_prompt": NEGATIVE, "model": str(folder), "width": SIDE, "height": SIDE,
        "frames": FRAMES, "steps": STEPS, "guidance": GUIDANCE, "seed": SEED, "profile": "exact",
        "conditions": ({"kind": "image", "image": str(picture), "at": "first"},),
        "options": {"shift": SHIFT, "text_length": TEXT_LENGTH},
    }  # fmt: skip
    return plan(Request(**{**settings, **fields}), card)


def latents(family, made) -> torch.Tensor:
    return sample(made, family, family.encode(made, family.prepare(made)), made.spans[0])


def test_recognised(folder):
    card = recognise(folder)
    assert (card.variant, card.accepts, card.needs) == ("i2v", ("image:first", "image:seen", "style"), ("image:first",))


@pytest.mark.parametrize("guidance", [GUIDANCE, 1.0])
def test_latents_equal_the_pipeline(folder, family, picture, guidance):
    from diffusers import WanImageToVideoPipeline

    pipeline = WanImageToVideoPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    made = planned(folder, picture, guidance=guidance)
    ours = latents(family, made)
    theirs = pipeline(
        image=Image.open(picture).convert("RGB"),
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        height=SIDE,
        width=SIDE,
        num_frames=FRAMES,
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        latents=noise(SEED, "init/0", tuple(ours.shape)),
        max_sequence_length=TEXT_LENGTH,
        output_type="latent",
    ).frames
    assert ours.shape == theirs.shape == (1, 16, 3, SIDE // 8, SIDE // 8)
    assert (ours - noise(SEED, "init/0", tuple(ours.shape))).abs().max() > 0.1
    difference = float((ours - theirs).abs().max())
    print(f"largest difference {difference:.2e} at guidance {guidance:g}")  # noqa: T201
    assert difference < TOLERANCE


def test_every_condition_counts(folder, family, picture, tmp_path):
    """Another image, another prompt and other image states each change the latents."""
    base = latents(family, planned(folder, picture))
    other = tmp_path / "other.png"
    Image.fromarray(255 - np.asarray(Image.open(picture))).save(other)
    assert (latents(family, planned(folder, other)) - base).abs().max() > 1e-2
    assert (latents(family, planned(folder, picture, prompt="snow")) - base).abs().max() > 1e-3
    made = planned(folder, picture)
    cond = family.encode(made, family.prepare(made))
    blind = type(cond)(**{**vars(cond), "image_BLD": cond.image_BLD * 0})
    assert (sample(made, family, blind, made.spans[0]) - base).abs().max() > 1e-3


def test_another_picture_for_the_image_encoder(folder, family, picture):
    """As diffusers' pipeline gives its encoder the whole picture, and its autoencoder the frame. A picture of the
    encoder's own size reaches it unchanged."""
    whole = np.random.default_rng(8).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    np.save(picture.parent / "whole.npy", whole / np.float32(255))
    shown = {"kind": "image", "image": str(picture), "at": "first", "seen": str(picture.parent / "whole.npy")}
    made = planned(folder, picture, conditions=(shown,))
    cond = family.encode(made, family.prepare(made))
    plain = planned(folder, picture)
    assert "seen" not in plain.conditions[0].model_dump()
    assert torch.equal(cond.concat_BCTHW, family.encode(plain, family.prepare(plain)).concat_BCTHW)
    mean, std = (
        torch.tensor(each)[:, None, None]
        for each in (family.parts.image_processor.image_mean, family.parts.image_processor.image_std)
    )
    pixels = (torch.from_numpy(whole).movedim(-1, 0) / 255 - mean) / std
    states = family.parts.image_encoder(pixels[None], output_hidden_states=True).hidden_states[-2]
    assert (cond.image_BLD - states).abs().max() < 1e-5
    with pytest.raises(RequestError, match="no other picture"):
        check([ImageCondition(**shown)], recognise(folder).model_copy(update={"accepts": ("image:first",)}))


def test_frames_and_what_is_refused(folder, family, picture):
    made = planned(folder, picture)
    chunks = list(generate(made, family))
    assert sum(len(chunk.frames) for chunk in chunks) == FRAMES
    with pytest.raises(RequestError, match="image:first"):
        planned(folder, picture, conditions=())


def theirs(pipeline, like, **fields):
    pipeline.set_progress_bar_config(disable=True)
    settings = {
        "prompt": PROMPT, "negative_prompt": NEGATIVE, "height": SIDE, "width": SIDE, "num_frames": FRAMES,
        "num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "latents": noise(SEED, "init/0", tuple(like.shape)),
        "max_sequence_length": TEXT_LENGTH, "output_type": "latent",
    }  # fmt: skip
    return pipeline(**settings | fields).frames


def both_ends(picture):
    """The conditions of a first and a last frame, and the two pictures."""
    last = picture.parent / "last.png"
    Image.fromarray(np.roll(255 - np.asarray(Image.open(picture)), 16, 1)).save(last)
    ends = [{"kind": "image", "image": str(path), "at": at} for path, at in ((picture, "first"), (last, "last"))]
    return tuple(ends), [Image.open(path).convert("RGB") for path in (picture, last)]


def test_first_and_last_frame_equal_the_pipeline(tmp_path, parts, picture):
    from diffusers import WanImageToVideoPipeline

    path = tmp_path / "tiny_flf"
    WanImageToVideoPipeline(transformer=denoiser(pos_embed_seq_len=34), **parts).save_pretrained(path)
    card = recognise(path)
    assert (card.variant, card.needs) == ("flf2v", ("image:first", "image:last"))
    family = load(card, path, "cpu")
    ends, (first, last) = both_ends(picture)
    ours = latents(family, planned(path, picture, conditions=ends))
    expected = theirs(WanImageToVideoPipeline.from_pretrained(path), ours, image=first, last_image=last)
    assert (ours - expected).abs().max() < TOLERANCE
    other = latents(family, planned(path, picture, conditions=(ends[0], {**ends[1], "image": str(picture)})))
    assert (ours - other).abs().max() > 1e-2, "the last picture counts"
    with pytest.raises(RequestError, match="image:last"):
        planned(path, picture)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, parts):
    """Folders with two experts: image to video without image states, and text to video."""
    from diffusers import WanImageToVideoPipeline, WanPipeline

    place = tmp_path_factory.mktemp("pairs")
    plain, kept = (
        {"image_dim": None, "added_kv_proj_dim": None},
        {**parts, "image_encoder": None, "image_processor": None},
    )
    two = {"transformer": denoiser(2, **plain), "transformer_2": denoiser(3, **plain)}
    WanImageToVideoPipeline(**two, **kept, boundary_ratio=0.8).save_pretrained(place / "i2v")
    few = {name: part for name, part in parts.items() if not name.startswith("image")}
    two = {"transformer": denoiser(2, **plain, in_channels=16), "transformer_2": denoiser(3, **plain, in_channels=16)}
    WanPipeline(**two, **few, boundary_ratio=0.8).save_pretrained(place / "t2v")
    return place


OPTIONS = {"shift": SHIFT, "text_length": TEXT_LENGTH, "boundary": 0.8, "low_guidance": 2.0}


@pytest.mark.parametrize("given", ["text", "first", "both"])
def test_two_experts_equal_the_pipeline(pairs, picture, given):
    """Each step is computed by its expert, with its guidance."""
    from diffusers import WanImageToVideoPipeline, WanPipeline

    path = pairs / ("t2v" if given == "text" else "i2v")
    card = recognise(path)
    assert (card.variant, card.network.experts) == (f"{path.name}-a14b", 2)
    family = load(card, path, "cpu")
    ends, (first, last) = both_ends(picture)
    conditions = {"text": (), "first": ends[:1], "both": ends}[given]
    made = planned(path, picture, conditions=conditions, options=OPTIONS)
    ours = latents(family, made)
    pictures = {"text": {}, "first": {"image": first}, "both": {"image": first, "last_image": last}}[given]
    pipeline = (WanPipeline if given == "text" else WanImageToVideoPipeline).from_pretrained(path)
    expected = theirs(pipeline, ours, guidance_scale_2=2.0, **pictures)
    assert (ours - expected).abs().max() < TOLERANCE
    computed = [step.branches for step in family.guidance(made, made.spans[0], family.scheduler(made))]
    assert computed == [("high/cond", "high/uncond")] * 2 + [("low/cond", "low/uncond")] * 2


def test_an_expert_alone_and_how_far_each_reaches(pairs, picture):
    """One expert of a folder with two; with the boundary below or above all steps, the pair is that expert."""
    path = pairs / "t2v"
    pair = recognise(path)
    both = load(pair, path, "cpu")
    for expert, boundary in (("high", 0.0), ("low", 1.0)):
        options = OPTIONS | {"boundary": boundary, "low_guidance": GUIDANCE}
        expected = latents(both, planned(path, picture, conditions=(), options=options))
        alone = load(pair.model_copy(update={"variant": f"t2v-a14b-{expert}"}), path, "cpu")
        assert alone.parts.transformer_2 is None
        made = planned(path, picture, conditions=(), options=OPTIONS)
        assert (latents(alone, made) - expected).abs().max() < TOLERANCE, expert


def test_guidance_of_one_expert_only(pairs, picture):
    options = {name: value for name, value in OPTIONS.items() if name != "low_guidance"}
    for guidance, low in ((None, 3.0), (1.0, 1.0)):
        made = planned(pairs / "t2v", picture, conditions=(), guidance=guidance, options=options)
        assert made.options["low_guidance"] == low, "a requested guidance is that of both experts"
    made = planned(pairs / "t2v", picture, conditions=(), guidance=1.0, options=OPTIONS)
    found = [step.branches for step in experts.guidance(made, (999.0, 800.0, 799.0))]
    assert found == [("high/cond",), ("high/cond",), ("low/cond", "low/uncond")]
    styles = (("a_high_noise.safetensors", 1.0), ("LOW/b.safetensors", 1.0), ("x_lownoise_v2.safetensors", 0.5))
    assert experts.styles_of(styles, "high") == styles[:2], "a pair of LoRAs is told apart by the files' names"
    assert experts.styles_of(styles, "low") == styles[1:]
    assert experts.styles_of(styles, "") == styles


@pytest.mark.parametrize(
    ("shift", "boundary", "high"), [(12.0, 0.875, 26), (5.0, 0.9, 15), (3.0, 0.875, 13), (5.0, 0.875, 17)]
)
def test_published_shares_of_the_experts(pairs, picture, shift, boundary, high):
    """Steps of 40 on the expert for high noise, as published for these shifts."""
    options = OPTIONS | {"shift": shift, "boundary": boundary}
    made = planned(pairs / "t2v", picture, conditions=(), steps=40, options=options)
    from diffusers import UniPCMultistepScheduler

    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
    scheduler.set_timesteps(40)
    found = experts.guidance(made, (float(t) for t in scheduler.timesteps))
    assert [each.branches[0] for each in found] == ["high/cond"] * high + ["low/cond"] * (40 - high)


@pytest.mark.parametrize("most", [1, 2])
def test_latents_are_carried_along_paths(most):
    """ATI's rule, place by place: the first frame's latents at the start of a path, weighted by its distance."""
    generator = torch.Generator().manual_seed(3)
    condition = torch.randn(1, 20, 3, 6, 10, generator=generator)
    rng = np.random.default_rng(7)
    paths = [rng.uniform(-0.1, 1.1, (9, 2)) for _ in range(3)]
    found = motion.carried(condition, paths, 6.0, most)[0].numpy()
    latents, short = condition[0, 4:].numpy().astype(np.float64), 6
    expected, mask = latents.copy(), condition[0, :4].numpy().copy()

    def start(path):  # bilinear between the centres of cells, zero outside
        x, y = path[0].clip(0, 1) * (10, 6) - 0.5
        value = np.zeros(16)
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            for row in (int(np.floor(y)), int(np.floor(y)) + 1):
                if 0 <= column < 10 and 0 <= row < 6:
                    value += latents[:, 0, row, column] * (1 - abs(x - column)) * (1 - abs(y - row))
        return value

    for frame in (1, 2):
        for row in range(6):
            for column in range(10):
                weights = []
                for path in paths:
                    px = path[4 * frame - 3 : 4 * frame + 1].mean(0) * (10, 6)
                    place = (px - (5, 3)) / (short / 2)
                    cell = np.array([(2 * column / 9 - 1) * 10 / short, (2 * row / 5 - 1) * 6 / short])
                    weights.append((np.exp(-6.0 * ((place - cell) ** 2).sum()), start(path)))
                best = sorted(weights, key=lambda each: -each[0])[:most]
                total = sum(weight for weight, _ in best)
                value = sum(weight * feature for weight, feature in best)
                expected[:, frame, row, column] = value + latents[:, frame, row, column] * (1 - min(total, 1))
                mask[:, frame, row, column] = total
    assert np.abs(found[4:] - expected).max() < 1e-4
    assert np.abs(found[:4] - mask).max() < 1e-4
    assert motion.carried(condition, [], 6.0, most) is condition, "without paths it is image to video"


def test_paths_are_a_condition_of_ati(folder, tmp_path, picture):
    """The I2V network under a name that says ATI takes trajectories; they change the latents where they lead."""
    path = tmp_path / "tiny_ATI"
    path.symlink_to(folder)
    card = recognise(path)
    assert (card.variant, card.accepts) == ("ati", ("image:first", "image:seen", "trajectory", "style"))
    family = load(card, path, "cpu")
    ways = [
        {"kind": "trajectory", "points": points}
        for points in (((0.1, 0.5), (0.9, 0.5)), ((2 / 7, 2 / 7), (2 / 7, 2 / 7)))
    ]
    image = {"kind": "image", "image": str(picture), "at": "first"}
    conds = []
    for given in ((), tuple(ways[:1]), tuple(ways)):
        made = planned(path, picture, conditions=(image, *given))
        conds.append(family.encode(made, family.prepare(made)).concat_BCTHW)
    assert torch.equal(conds[0], family.encode(made, family.prepare(planned(path, picture))).concat_BCTHW)
    for cond in conds[1:]:
        assert torch.equal(cond[:, :, 0], conds[0][:, :, 0]), "the first frame is known"
    row, column = conds[1][0, 0, -1].argmax().item() // 8, conds[1][0, 0, -1].argmax().item() % 8
    assert row in (3, 4)
    assert column >= 5, "the mask of the last latent frame is where the path leads"
    assert (conds[2] - conds[1]).abs().max() > 0.1
    with pytest.raises(RequestError, match="trajectory"):
        planned(folder, picture, conditions=(image, ways[0]))


def test_two_stages_of_a_graph_equal_the_pair(pairs, picture):
    """Each expert samples its part of the steps, with the noise left over in between, as two KSamplerAdvanced do."""
    path = pairs / "i2v"
    pair = recognise(path)
    ends, _ = both_ends(picture)
    sampling = {"sampler": "euler", "schedule": "simple", "noise": "torch"}
    made = planned(path, picture, conditions=ends, options=OPTIONS | sampling)
    whole = sample_latents(load(pair, path, "cpu"), made, Segment())
    parts = None
    for expert, guidance, part in (
        ("high", GUIDANCE, Segment(0, 2, leftover=True)), ("low", 2.0, Segment(2, add_noise=False)),
    ):  # fmt: skip
        alone = load(pair.model_copy(update={"variant": f"i2v-a14b-{expert}"}), path, "cpu")
        stage = planned(path, picture, conditions=ends, guidance=guidance, options=OPTIONS | sampling)
        parts = sample_latents(alone, stage, part, parts)
    assert (parts - whole).abs().max() < TOLERANCE


def test_a_lora_for_high_noise_leaves_the_other_expert_alone(pairs, picture, tmp_path):
    path, file = pairs / "t2v", tmp_path / "quick_high_noise.safetensors"
    name = "diffusion_model.blocks.0.self_attn.q.lora_{}.weight"
    save_file({name.format("down"): torch.ones(2, 48) * 0.2, name.format("up"): torch.ones(48, 2)}, file)
    family = load(recognise(path), path, "cpu")
    style = ({"kind": "style", "adapter": str(file)},)
    for boundary, reaches in ((1.0, False), (0.0, True)):
        options = OPTIONS | {"boundary": boundary}
        plain, styled = (
            latents(family, planned(path, picture, conditions=each, options=options, steps=1)) for each in ((), style)
        )
        assert bool((styled - plain).abs().max() > 1e-3) == reaches
