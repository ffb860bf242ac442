"""Optional parts of a model's folder: the tiny decoder, tested with several VAEs, and the few-step student."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import save_file

from kinema.core.errors import ModelError, RequestError
from kinema.core.events import Preview
from kinema.core.request import Request
from kinema.engine.generate import sample
from kinema.engine.load import Engine
from kinema.engine.plan import plan as make_plan
from kinema.engine.resume import SamplingState
from kinema.families.wan import cpu_autoencoder, decode, extras
from kinema.families.wan.cards import MINI
from kinema.families.wan.checkpoint import load
from kinema.families.wan.tiny_decoder import TinyConfig, TinyDecoder
from kinema.weights import store

SIGMAS = (1.0, 0.9, 0.75, 0.5, 0.25, 0.1)


def tiny(**changes) -> TinyDecoder:
    torch.manual_seed(0)
    widths = {"coarse": (16,), "fine": (8,), "frame": (8,)}
    return TinyDecoder(TinyConfig(**{**widths, **changes})).eval().requires_grad_(False)


# -- the decoder -------------------------------------------------------------------------------------------------------


def test_shapes_and_factors():
    assert tiny()(torch.zeros(2, 16, 5, 4, 6))[0].shape == (2, 3, 17, 32, 48)
    assert tiny()(torch.zeros(1, 16, 1, 4, 6))[0].shape == (1, 3, 1, 32, 48)
    wide = tiny(latent_channels=48, space_factor=16)
    assert wide(torch.zeros(1, 48, 2, 2, 2))[0].shape == (1, 3, 5, 32, 32)


def test_streamed_equals_whole(monkeypatch):
    decoder, z = tiny(), torch.randn(1, 16, 6, 4, 6, generator=torch.Generator().manual_seed(1))
    whole = decoder(z)[0].clamp(-1, 1)
    for at_once, slices in ((1, 6), (2, 3), (4, 2), (100, 1)):
        monkeypatch.setattr(decode, "TINY_PIXELS", at_once * 4 * 32 * 48)
        parts = list(decode.decode_tiny(decoder, z))
        assert len(parts) == slices
        assert (torch.cat(parts, dim=2) - whole).abs().max() < 1e-5
    later = z.clone()
    later[:, :, 4] += 1
    changed = (decoder(later)[0].clamp(-1, 1) - whole).abs().amax(dim=(0, 1, 3, 4))
    assert changed[:13].max() < 1e-5, "causal: no frame knows of later latents"
    assert changed[13:].min() > 0


def test_saved_in_half_precision_and_small(tmp_path):
    decoder = TinyDecoder()
    decoder.save(tmp_path)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 1.5e6
    again = TinyDecoder.load(tmp_path)
    assert again.config == decoder.config
    assert torch.equal(again.conv_in.weight, decoder.conv_in.weight.half().float())
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="not a KinemaTinyDecoder"):
        TinyDecoder.load(tmp_path)


# -- autoencoders with patches -----------------------------------------------------------------------------------------


@pytest.fixture(params=[None, 2], ids=["whole", "patches"])
def vae(request) -> AutoencoderKLWan:
    """A random residual VAE; with patches, levels and downsampling no longer determine the factors."""
    torch.manual_seed(0)
    levels = {"dim_mult": [1, 2, 2, 2], "temperal_downsample": [True, True, False]}
    if request.param:
        levels = {"dim_mult": [1, 2, 2], "temperal_downsample": [1, 2, -1], "patch_size": 2,
                  "in_channels": 12, "out_channels": 12}  # fmt: skip
    made = AutoencoderKLWan(
        base_dim=4, decoder_base_dim=4, z_dim=16, num_res_blocks=1, is_residual=True, scale_factor_spatial=8,
        scale_factor_temporal=4, latents_mean=[0.1] * 16, latents_std=[1.5] * 16, **levels,
    )  # fmt: skip
    return made.eval().requires_grad_(False)


def test_autoencoder_equals_the_library(vae):
    x = torch.rand(1, 3, 9, 32, 48, generator=torch.Generator().manual_seed(2)) * 2 - 1
    z = vae.encode(x).latent_dist.mode()
    pixels = vae.decode(z).sample
    cpu_autoencoder.prepare(vae)
    normal = decode.encode(vae, x)
    assert normal.shape == (1, 16, 3, 4, 6)
    assert (normal * 1.5 + 0.1 - z).abs().max() < 1e-4
    parts = list(decode.decode(vae, (z - 0.1) / 1.5))
    assert [part.shape[2] for part in parts] == [1, 4, 4]
    assert (torch.cat(parts, dim=2) - pixels).abs().max() < 1e-4
    assert (decode.space_factor(vae), decode.time_factor(vae), decode.latent_frames(vae, 9)) == (8, 4, 3)


# -- in a model's folder -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(mini_path, tmp_path_factory):
    """A copy of the miniature with a random tiny decoder and a random few-step student."""
    place = tmp_path_factory.mktemp("models") / "mini"
    shutil.copytree(mini_path, place, ignore=shutil.ignore_patterns("tiny_decoder", "few_step"))
    tiny().save(place / "tiny_decoder")
    (place / "few_step").mkdir()
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for module in ("blocks.0.attn1.to_q", "blocks.1.ffn.net.0.proj", "vace_blocks.0.attn1.to_v", "proj_out"):
        rows, columns = {"blocks.1.ffn.net.0.proj": (768, 192), "proj_out": (64, 192)}.get(module, (192, 192))
        tensors[f"transformer.{module}.lora_A.weight"] = torch.randn(4, columns, generator=generator) / 10
        tensors[f"transformer.{module}.lora_B.weight"] = torch.randn(rows, 4, generator=generator) / 10
    save_file(tensors, place / "few_step" / extras.ADAPTER)
    facts = {"steps": 6, "shift": 3.0, "scheduler": "euler", "guidance": 1.0, "sigmas": [*SIGMAS, 0.0]}
    (place / "few_step" / "few_step.json").write_text(json.dumps(facts))
    return place


@pytest.fixture(scope="module")
def engine(folder) -> Engine:
    return Engine(MINI.id, load(MINI, folder, device="cpu"), folder, "cpu")


def request(profile: str = "fast", **fields) -> Request:
    options = {"motion_words": "text", **fields.pop("options", {})}
    return Request(**{"prompt": "a red ball", "seed": 4, "profile": profile, "options": options, **fields})


def test_diffusers_opens_the_folder(folder):
    from diffusers import WanVACEPipeline

    assert WanVACEPipeline.from_pretrained(folder).transformer is not None


def test_plan_of_fast(engine, folder):
    plan = engine.plan(request())
    assert (plan.steps, plan.guidance, plan.sigmas, plan.reuse) == (6, 1.0, SIGMAS, 1)
    assert plan.student == f"few_step/{extras.ADAPTER}"
    assert (plan.options["decoder"], plan.options["shift"]) == ("tiny", 3.0)
    assert plan.student in engine.manifest(plan)["weights"]
    known = store.find(str(folder))
    assert make_plan(Request(profile="fast"), known, "cpu").sigmas == SIGMAS, "without weights, from the folder alone"
    exact = engine.plan(request("exact"))
    assert (exact.student, exact.sigmas, exact.options["decoder"]) == ("", (), "full")


@pytest.mark.parametrize("asked", [{"steps": 8}, {"guidance": 3.0}, {"options": {"shift": 5.0}}], ids=str)
def test_what_the_student_does_not_know_is_done_by_the_model(engine, asked):
    plan = engine.plan(request(**asked))
    assert (plan.student, plan.sigmas) == ("", ())
    assert "student" in plan.notes[-1]
    assert plan.options["decoder"] == "tiny"


def test_what_the_student_knows_may_be_asked(engine):
    assert engine.plan(request(steps=6, guidance=1.0, options={"shift": 3})).sigmas == SIGMAS


def test_no_tiny_decoder_no_option():
    with pytest.raises(RequestError, match="decoder"):
        make_plan(Request(model="wan2.1-t2v-1.3b", options={"decoder": "tiny"}), device="cpu")


def in_float32(plan):
    """The same plan in float32: on CPUs with fast bfloat16, its rounding would hide the difference."""
    return plan.model_copy(update={"low_precision": False})


def test_student_steps_are_plain_euler_on_merged_weights(engine, folder):
    """Compare with a manual merge; afterwards the weights are restored bit for bit."""
    family, plan = engine.family, in_float32(engine.plan(request()))
    network = family.parts.transformer
    plain = {name: value.clone() for name, value in network.state_dict().items()}
    cond = family.encode(plan, family.prepare(plan))
    assert set(cond.text) == {"cond"}, "without guidance the negative prompt is not even read"
    found = sample(plan, family, cond, plan.spans[0])

    from safetensors.torch import load_file

    from kinema.diffusion.noise import noise

    lora = load_file(folder / plan.student)
    for name in {key.split(".lora_")[0] for key in lora}:
        weight = plain[name.removeprefix("transformer.") + ".weight"]
        merged = weight + lora[f"{name}.lora_B.weight"] @ lora[f"{name}.lora_A.weight"]
        now = network.get_submodule(name.removeprefix("transformer.")).weight
        assert (now - merged).abs().max() < 1e-6
        assert not torch.equal(now, weight)
    x = noise(plan.seed, "init/0", found.shape)
    predict = family.predict(cond, plan.spans[0])
    for sigma, after in zip(SIGMAS, (*SIGMAS[1:], 0.0), strict=True):
        x = x + (after - sigma) * predict(x, torch.tensor(1000 * sigma), ("cond",))["cond"]
    assert (x - found).abs().max() < 1e-4

    exact = engine.plan(request("exact", steps=2))
    family.encode(exact, family.prepare(exact))
    after = network.state_dict()
    assert list(after) == list(plain)
    assert all(torch.equal(after[name], plain[name]) for name in plain)


def test_requests_encoded_in_turn_keep_their_own_weights(engine):
    """A run sets its adapters at its start, even if another request was encoded in between."""
    family = engine.family
    plans = [engine.plan(request()), engine.plan(request("exact", steps=2))]
    alone = [sample(plan, family, family.encode(plan, family.prepare(plan)), plan.spans[0]) for plan in plans]
    conds = [family.encode(plan, family.prepare(plan)) for plan in plans]
    for plan, cond, latents in zip(plans, conds, alone, strict=True):
        assert torch.equal(sample(plan, family, cond, plan.spans[0]), latents)


def test_profiles_change_to_and_fro(engine):
    fast, exact = request(), request("exact", steps=2)
    first, other = engine.generate(fast).frames(), engine.generate(exact).frames()
    assert np.array_equal(engine.generate(fast).frames(), first)
    assert np.array_equal(engine.generate(exact).frames(), other)


def test_a_student_resumes_identically(engine, tmp_path):
    family, plan, kept = engine.family, engine.plan(request()), []
    cond = family.encode(plan, family.prepare(plan))
    whole = sample(plan, family, cond, plan.spans[0], keep=kept.append, keep_every=4)
    state = SamplingState.read(kept[0].save(tmp_path / "state.safetensors"))
    assert torch.equal(sample(plan, family, cond, plan.spans[0], state=state), whole)


def test_previews_show_where_it_goes(engine, mini):
    seen = []

    def look(event):
        if isinstance(event, Preview):
            seen.append((event.step, event.steps, event.frames()))

    made = engine.generate(in_float32(engine.plan(request())), on_event=look).frames()
    assert [step for step, *_ in seen] == [1, 2, 3, 4, 5, 6]
    assert all(steps == 6 and frames.shape == (17, 64, 64, 3) for _, steps, frames in seen)
    assert np.array_equal(seen[-1][2], made), "after the last step the estimate is the clip"


def test_previews_without_a_tiny_decoder(folder, tmp_path):
    place = tmp_path / "bare"
    shutil.copytree(folder, place, ignore=shutil.ignore_patterns("tiny_decoder", "few_step"))
    bare = Engine(MINI.id, load(MINI, place, device="cpu"), place, "cpu")
    assert "decoder" not in bare.family.card.options
    seen = []
    list(bare.stream(request(steps=1), on_event=lambda e: seen.append(e.frames()) if isinstance(e, Preview) else None))
    assert seen[0].shape == (1, 64, 64, 3)
    plan = bare.plan(request(steps=1)).model_copy(update={"student": "few_step/none.safetensors"})
    with pytest.raises(ModelError, match="student"):
        list(bare.stream(plan))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"sigmas": [0.5, 0.7]}, "decrease"),
        ({"sigmas": []}, "sigmas|Index"),
        ({"steps": 4}, "number of sigmas"),
        ({"scheduler": "unipc"}, "euler"),
        ({"adapter": "gone.safetensors"}, "is missing"),
        ({"shift": None}, "shift"),
    ],
    ids=str,
)
def test_a_broken_description_is_refused(folder, tmp_path, change, complaint):
    place = tmp_path / "few_step"
    shutil.copytree(folder / "few_step", place)
    facts = json.loads((place / "few_step.json").read_text())
    (place / "few_step.json").write_text(json.dumps({**facts, **change}))
    with pytest.raises(ModelError, match=complaint):
        extras.complete(MINI, tmp_path)
