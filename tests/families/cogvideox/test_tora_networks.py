"""Tora's networks: the published names and shapes, the arithmetic, and the fusers inside diffusers' transformer."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from diffusers import CogVideoXTransformer3DModel

from kinema.families.cogvideox.tora.fusers import FUSERS
from kinema.families.cogvideox.tora.guide import MotionFeatures, guided
from kinema.families.cogvideox.tora.networks import (
    MotionGuidance,
    MotionGuidanceFuser,
    TrajectoryExtractor,
    patchify,
)

SMALL = {
    "num_attention_heads": 2, "attention_head_dim": 16, "in_channels": 4, "out_channels": 4, "num_layers": 3,
    "text_embed_dim": 8, "time_embed_dim": 8, "sample_width": 8, "sample_height": 6, "sample_frames": 9,
    "max_text_seq_length": 5, "use_rotary_positional_embeddings": True,
}  # fmt: skip
PUBLISHED = {
    "num_attention_heads": 48, "attention_head_dim": 64, "in_channels": 16, "out_channels": 16, "num_layers": 42,
    "patch_size": 2,
}  # fmt: skip


def transformer(**changes):
    torch.manual_seed(0)
    return CogVideoXTransformer3DModel(**{**SMALL, **changes}).eval()


def guidance(config, fuser="adaptive_norm", channels=8, random=True):
    """Tora's parts with random weights (or as initialised), in eval mode."""
    torch.manual_seed(1)
    made = MotionGuidance.of(config, channels, FUSERS[fuser]).eval()
    if random:
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        for name, buffer in made.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1)
    return made


def inputs(batch=1, frames=3, channels=4, rows=6, columns=8, head=16, patch_t=1):
    torch.manual_seed(2)
    positions = frames // patch_t * (rows // 2) * (columns // 2)
    angle = torch.randn(positions, head)
    return {
        "hidden_states": torch.randn(batch, frames, channels, rows, columns),
        "encoder_hidden_states": torch.randn(batch, 5, 8),
        "timestep": torch.tensor([500] * batch),
        "image_rotary_emb": (angle.cos(), angle.sin()),
        "return_dict": False,
    }


def flow(batch=1, frames=3, channels=4, rows=6, columns=8):
    torch.manual_seed(3)
    return torch.randn(batch, channels, frames, rows, columns)


def test_names_and_shapes_are_those_of_the_published_weights():
    """The diffusers layout of Tora, 42 blocks. `num_batches_tracked` of the batch norms is a whole number."""
    with torch.device("meta"):
        found = {key: tuple(each.shape) for key, each in MotionGuidance.of(PUBLISHED).state_dict().items()}
    expected = {"traj_extractor.conv_in.weight": (128, 64, 3, 3), "traj_extractor.conv_in.bias": (128,)}
    for n in range(84):
        body = f"traj_extractor.body.{n}."
        for name in ("block1", "block2"):
            expected |= {f"{body}{name}.weight": (128, 128, 3, 3), f"{body}{name}.bias": (128,)}
        for norm, part in itertools.product(("bn1", "bn2"), ("weight", "bias", "running_mean", "running_var")):
            expected[f"{body}{norm}.{part}"] = (128,)
        expected |= {f"{body}{norm}.num_batches_tracked": () for norm in ("bn1", "bn2")}
    for i in range(42):
        for kind in ("gamma", "beta"):
            expected |= {
                f"fuser.{i}.flow_{kind}_spatial.weight": (768, 128, 3, 3),
                f"fuser.{i}.flow_{kind}_spatial.bias": (768,),
                f"fuser.{i}.flow_{kind}_temporal.weight": (3072, 768, 3),
                f"fuser.{i}.flow_{kind}_temporal.bias": (3072,),
            }
        expected |= {f"fuser.{i}.flow_cond_norm.{part}": (3072,) for part in ("weight", "bias")}
    assert found == expected


def test_patches_are_pixel_unshuffle_and_keep_time_before_rows():
    x = flow(2, 4, 3, 6, 8)
    frames = x.transpose(1, 2).flatten(0, 1)
    plain = F.pixel_unshuffle(frames, 2).unflatten(0, (2, 4)).transpose(1, 2)
    assert torch.equal(patchify(x, (1, 2, 2)), plain)
    pairs = patchify(x, (2, 2, 2))
    assert pairs.shape == (2, 3 * 8, 2, 3, 4)
    for c, t, i, j in itertools.product(range(3), range(2), range(2), range(2)):
        assert torch.equal(pairs[:, ((c * 2 + t) * 2 + i) * 2 + j], x[:, c, t::2, i::2, j::2])
    odd = patchify(x[:, :, :3, :5], (2, 2, 2))
    assert odd.shape == (2, 24, 2, 3, 4)
    assert torch.equal(odd[:, 4::8, 1], torch.zeros_like(odd[:, 4::8, 1]))  # time 1 of the last pair: padding


def test_features_are_those_after_every_second_residual_block():
    torch.manual_seed(0)
    made = TrajectoryExtractor(3, 8, 4).eval()
    x = flow(2)
    features = made(x)
    assert [tuple(each.shape) for each in features] == [(2, 3, 8, 3, 4)] * 3
    state = made.conv_in(F.pixel_unshuffle(x.transpose(1, 2).flatten(0, 1), 2))
    for number, block in enumerate(made.body):
        norm = block.bn1
        normed = F.batch_norm(state, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        inner = block.block1(normed.relu())
        state = state + block.block2(block.bn2(inner).relu())
        if number % 2:
            assert torch.allclose(features[number // 2].flatten(0, 1), state, atol=1e-6)


def test_adaptive_norm_is_equation_5():
    torch.manual_seed(0)
    fuser = MotionGuidanceFuser(64, 8)
    for parameter in fuser.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    tokens, features = torch.randn(2, 3 * 12, 64), torch.randn(2, 3, 8, 3, 4)
    got = fuser(tokens, features)
    for clip in range(2):
        x = tokens[clip].T.reshape(64, 3, 3, 4)
        norm = torch.stack([F.group_norm(x[None, :, t], 32, fuser.flow_cond_norm.weight, fuser.flow_cond_norm.bias)[0]
                            for t in range(3)], dim=1)  # fmt: skip
        scale, shift = [], []
        for kind, into in (("gamma", scale), ("beta", shift)):
            spatial, along = getattr(fuser, f"flow_{kind}_spatial"), getattr(fuser, f"flow_{kind}_temporal")
            maps = F.conv2d(features[clip], spatial.weight, spatial.bias, padding=1)
            ends = torch.stack([maps[max(min(t, 2), 0)] for t in range(-1, 4)])  # replicated in time
            for t in range(3):
                taps = torch.einsum("kchw,dck->dhw", ends[t : t + 3], along.weight)
                into.append(taps + along.bias[:, None, None])
        want = x + norm * torch.stack(scale, 1) + torch.stack(shift, 1)
        assert torch.allclose(got[clip].T.reshape(64, 3, 3, 4), want, atol=1e-5)


def test_a_width_that_32_groups_do_not_divide():
    with pytest.raises(ValueError, match="multiple of 32, got 48"):
        MotionGuidanceFuser(48, 8)


@pytest.mark.parametrize("fuser", FUSERS)
@pytest.mark.parametrize("patch_t", [1, 2])
def test_new_fusers_change_nothing_and_trained_ones_do(fuser, patch_t):
    """Bit for bit, in 1.0's layout and 1.5's (patches of two latent frames)."""
    model = transformer(patch_size_t=2 if patch_t == 2 else None, patch_bias=patch_t == 1)
    given = inputs(frames=4, patch_t=patch_t)
    with torch.no_grad():
        plain = model(**given)[0]
        new = guidance(model.config, fuser, random=False)
        with guided(model, MotionFeatures(new.fuser, new(flow(frames=4)))):
            assert torch.equal(model(**given)[0], plain)
        other = guidance(model.config, fuser)
        with guided(model, MotionFeatures(other.fuser, other(flow(frames=4)))):
            assert (model(**given)[0] - plain).abs().max() > 1e-3
        assert torch.equal(model(**given)[0], plain)  # no hook is left


def test_only_video_tokens_change_between_modulation_and_attention():
    model = transformer()
    parts = guidance(model.config)
    motion = MotionFeatures(parts.fuser, parts(flow()))
    seen = {}
    block = model.transformer_blocks[0]
    hooks = [
        block.norm1.register_forward_hook(lambda m, i, o: seen.update(before=o)),
        block.attn1.register_forward_pre_hook(lambda m, a, k: seen.update(after=k), with_kwargs=True),
    ]
    with torch.no_grad(), guided(model, motion):
        model(**inputs())
    for hook in hooks:
        hook.remove()
    tokens, text = seen["before"][:2]
    assert torch.equal(seen["after"]["encoder_hidden_states"], text)
    want = parts.fuser[0](tokens, motion.features[0])
    assert torch.allclose(seen["after"]["hidden_states"], want, atol=1e-6) and not torch.allclose(want, tokens)


@pytest.mark.parametrize("fuser", FUSERS)
def test_guidance_branches_share_the_motion(fuser):
    """A batch of (negative, positive) with one motion equals each alone; two clips with a motion each do too."""
    model = transformer()
    parts = guidance(model.config, fuser)
    motion = MotionFeatures(parts.fuser, parts(flow()))
    both = inputs(batch=2)
    rows = [{**both, **{k: both[k][i : i + 1] for k in ("hidden_states", "encoder_hidden_states", "timestep")}}
            for i in (0, 1)]  # fmt: skip
    with torch.no_grad(), guided(model, motion):
        together, alone = model(**both)[0], [model(**row)[0] for row in rows]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)
    two = parts(flow(batch=2))
    four = {**both, **{k: both[k].repeat(2, *[1] * (both[k].dim() - 1))
                       for k in ("hidden_states", "encoder_hidden_states", "timestep")}}  # fmt: skip
    with torch.no_grad(), guided(model, MotionFeatures(parts.fuser, two)):
        batch = model(**four)[0]
    for index in range(2):
        with torch.no_grad(), guided(model, MotionFeatures(parts.fuser, [each[index : index + 1] for each in two])):
            assert torch.allclose(model(**rows[index])[0], batch[index::2], atol=1e-5)


@pytest.mark.parametrize("fuser", FUSERS)
@pytest.mark.parametrize("again", [False, True])
def test_gradients_reach_fusers_and_extractor_only(fuser, again):
    """Also with gradient checkpointing, where the blocks are computed again in `backward`."""
    model = transformer().requires_grad_(False)
    parts = guidance(model.config, fuser)
    if again:
        model.enable_gradient_checkpointing()
        model.train()
    with guided(model, MotionFeatures(parts.fuser, parts(flow()))):
        model(**inputs())[0].square().mean().backward()
    assert all(each.grad is None for each in model.parameters())
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in parts.parameters())
    found = {name: each.grad.clone() for name, each in parts.named_parameters()}
    if again:
        model.eval()
        model.disable_gradient_checkpointing()
        parts.zero_grad()
        with guided(model, MotionFeatures(parts.fuser, parts(flow()))):
            model(**inputs())[0].square().mean().backward()
        for name, each in parts.named_parameters():
            assert torch.allclose(found[name], each.grad, rtol=1e-4, atol=1e-8), name


def test_states_are_kept_without_gradients_and_follow_the_weights_with_them(monkeypatch):
    model = transformer()
    parts = guidance(model.config)
    calls = []
    own = MotionGuidanceFuser.state
    monkeypatch.setattr(MotionGuidanceFuser, "state", lambda self, x: (calls.append(1), own(self, x))[1])
    motion = MotionFeatures(parts.fuser, parts(flow()))
    with torch.no_grad(), guided(model, motion):
        first = model(**inputs())[0]
        assert torch.equal(model(**inputs())[0], first) and len(calls) == 3
        monkeypatch.setattr("kinema.families.cogvideox.tora.guide.KEPT_BYTES", 0)
        again = MotionFeatures(parts.fuser, motion.features)
        with guided(model, None):
            assert again.state(0) is not again.state(0)
    with guided(model, motion):
        model(**inputs())[0].sum().backward()
    assert len(calls) == 8 and all(each.grad is not None for each in parts.fuser.parameters())


def test_a_window_of_a_clip_takes_its_frames():
    model = transformer()
    parts = guidance(model.config)
    whole = parts(flow(frames=6))
    part = MotionFeatures(parts.fuser, whole).frames(2, 5)
    assert [tuple(each.shape) for each in part.features] == [(1, 3, 8, 3, 4)] * 3
    with torch.no_grad(), guided(model, part):
        cut = model(**inputs())[0]
    with torch.no_grad(), guided(model, MotionFeatures(parts.fuser, parts(flow(frames=6)[:, :, 2:5]))):
        assert torch.allclose(model(**inputs())[0], cut, atol=1e-6)


def test_what_does_not_fit_is_refused():
    model = transformer()
    parts = guidance(model.config)
    features = parts(flow())
    with pytest.raises(ValueError, match="3 fusers take as many"):
        MotionFeatures(parts.fuser, features[:2])
    with (
        pytest.raises(ValueError, match="for 2 blocks, but the transformer has 3"),
        guided(model, MotionFeatures(list(parts.fuser)[:2], features[:2])),
    ):
        pass
    shorter = MotionFeatures(parts.fuser, parts(flow(frames=2)))
    with guided(model, shorter), pytest.raises(ValueError, match=r"1 clips of 24 video tokens does not fit 1 of 36"):
        model(**inputs())
    with pytest.raises(ValueError, match="3 blocks take as many fusers, got 1"):
        MotionGuidance(parts.traj_extractor, list(parts.fuser)[:1])
    assert not any(block.norm1._forward_hooks for block in model.transformer_blocks)
