"""CogVideoX apart from the comparison with diffusers' pipelines: cards, refusals, decoding, adapters, resuming."""

from __future__ import annotations

import copy
import json
import weakref
from contextlib import contextmanager

import numpy as np
import pytest
import tiny_cogvideox as tiny
import torch
from PIL import Image
from test_cogvideox_oracle import ours, request, saved  # noqa: F401
from tiny_cogvideox import SIDE
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import kinema
from kinema.core.errors import ModelError, RequestError
from kinema.core.registry import built_in_cards
from kinema.engine.generate import generate
from kinema.engine.resume import SamplingState
from kinema.families.cogvideox import autoencoder, convolutions, load, recognise
from kinema.families.cogvideox.guidance import dynamic_scale
from kinema.families.cogvideox.prepare import CogVideoXPrepared
from kinema.weights.residency import Residency

PUBLISHED = {
    "cogvideox-2b": {},
    "cogvideox-5b": {"num_attention_heads": 48, "num_layers": 42, "use_rotary_positional_embeddings": True},
    "cogvideox-5b-i2v": {
        "num_attention_heads": 48, "num_layers": 42, "in_channels": 32, "use_rotary_positional_embeddings": True,
        "use_learned_positional_embeddings": True,
    },
    "cogvideox-1.5-5b": {
        "num_attention_heads": 48, "num_layers": 42, "patch_size_t": 2, "patch_bias": False, "sample_frames": 81,
        "sample_height": 300, "sample_width": 300, "use_rotary_positional_embeddings": True,
        "max_text_seq_length": 224,
    },
    "cogvideox-1.5-5b-i2v": {
        "num_attention_heads": 48, "num_layers": 42, "in_channels": 32, "ofs_embed_dim": 512, "patch_size_t": 2,
        "patch_bias": False, "sample_frames": 81, "sample_height": 300, "sample_width": 300,
        "use_rotary_positional_embeddings": True, "max_text_seq_length": 224,
    },
}  # fmt: skip
"""Changes of the published transformers' configurations from the class's defaults."""
CARDS = {card.id: card for card in built_in_cards()}


def bare_folder(folder, kind, transformer):
    """A diffusers folder without weights."""
    files = {
        "model_index.json": {"_class_name": kind},
        "transformer/config.json": {
            "_class_name": "CogVideoXTransformer3DModel", "num_attention_heads": 30, "attention_head_dim": 64,
            "num_layers": 30, "in_channels": 16, "out_channels": 16, **transformer,
        },
        "vae/config.json": {"block_out_channels": [128, 256, 256, 512], "sample_height": 480, "sample_width": 720},
    }  # fmt: skip
    for name, values in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(values))
    return folder


# -- cards and refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_configurations(name, tmp_path):
    """A folder with a published configuration has its card, which counts its parameters."""
    from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel

    card = CARDS[name]
    with torch.device("meta"):
        network = CogVideoXTransformer3DModel(**PUBLISHED[name])
        vae = AutoencoderKLCogVideoX()
    assert sum(p.numel() for p in network.parameters()) == card.network.parameters
    assert sum(p.numel() for p in vae.parameters()) == card.network.autoencoder_parameters
    kind = "CogVideoXImageToVideoPipeline" if card.variant == "i2v" else "CogVideoXPipeline"
    found = recognise(bare_folder(tmp_path / "model", kind, PUBLISHED[name]))
    assert (found.id, found.path, found.hub) == ("model", str(tmp_path / "model"), None)
    for field in ("size", "frames", "defaults", "network", "options", "accepts", "needs"):
        assert getattr(found, field) == getattr(card, field), field


def plan_of(name, **fields):
    gray = {"kind": "image", "image": f"data:image/png;base64,{PIXEL}", "at": "first"}
    conditions = (gray,) if CARDS[name].variant == "i2v" else ()
    return kinema.plan("a hill", model=name, seed=1, **{"conditions": conditions, **fields})


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNoaGgAAAMEAYFL09IQAAAAAElFTkSuQmCC"


@pytest.mark.parametrize(
    ("name", "size", "frames", "fps", "dynamic"),
    [
        ("cogvideox-2b", (720, 480), 49, 8, False),
        ("THUDM/CogVideoX-5b", (720, 480), 49, 8, True),
        ("zai-org/CogVideoX1.5-5B", (1360, 768), 81, 16, True),
    ],
)
def test_published_defaults(name, size, frames, fps, dynamic):
    plan = kinema.plan("a hill", model=name, seed=1)
    assert (plan.width, plan.height, plan.frames, plan.fps) == (*size, frames, fps)
    assert (plan.steps, plan.guidance, plan.options["dynamic_guidance"]) == (50, 6.0, dynamic)
    assert not plan.notes
    assert plan.estimate.gb > 10


def test_an_image_decides_the_aspect_of_1_5_only():
    assert (plan_of("cogvideox-5b-i2v").width, plan_of("cogvideox-5b-i2v").height) == (720, 480)
    square = plan_of("cogvideox-1.5-5b-i2v")
    assert abs(square.width - square.height) <= 16 and abs(square.width * square.height / (1360 * 768) - 1) < 0.05


@pytest.mark.parametrize(
    ("name", "fields", "nearest"),
    [
        ("cogvideox-2b", {"frames": 50}, 49),
        ("cogvideox-2b", {"frames": 47}, 49),
        ("cogvideox-1.5-5b", {"frames": 80}, 81),
        ("cogvideox-5b", {"width": 720, "height": 484}, "720x480"),
        ("cogvideox-5b-i2v", {"frames": 17}, 49),
        ("cogvideox-5b-i2v", {"width": 512, "height": 512}, "720x480"),
        ("cogvideox-5b", {"options": {"decode_tiles": "some"}}, "auto"),
    ],
)
def test_refusals_name_the_nearest_legal_value(name, fields, nearest):
    with pytest.raises(RequestError) as caught:
        plan_of(name, **fields)
    assert caught.value.nearest == nearest and caught.value.legal


def test_more_refusals():
    with pytest.raises(RequestError, match="requires the condition 'image:first'"):
        kinema.plan("a hill", model="cogvideox-5b-i2v")
    with pytest.raises(RequestError, match="strength requires a source"):
        plan_of("cogvideox-2b", options={"strength": 0.5})
    with pytest.raises(RequestError, match="no option 'strength'"):
        plan_of("cogvideox-5b-i2v", options={"strength": 0.5})


@pytest.mark.parametrize(
    ("kind", "transformer", "words"),
    [
        ("CogVideoXFunControlPipeline", {}, "CogVideoX-Fun"),
        ("CogVideoXPipeline", {"in_channels": 33}, "33 input channels"),
        ("CogVideoXImageToVideoPipeline", {}, "has 32"),
        ("CogVideoXPipeline", {"_class_name": "OtherTransformer"}, "OtherTransformer"),
        ("CogVideoXPipeline", {"num_layers": "many"}, "num_layers"),
    ],
)
def test_folders_that_are_refused(tmp_path, kind, transformer, words):
    with pytest.raises(ModelError, match=words):
        recognise(bare_folder(tmp_path / "model", kind, transformer))


def test_a_damaged_folder_says_what_is_missing(saved, tmp_path):  # noqa: F811
    import shutil

    _, folder, family = saved("2b")
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / "vae" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"vae/config\.json is missing"):
        recognise(tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "vae")
    with pytest.raises(ModelError, match="missing parts: vae"):
        load(family.card, tmp_path / "model", "cpu")
    shutil.copytree(folder / "vae", tmp_path / "model" / "vae")
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "EulerDiscreteScheduler"]
    (tmp_path / "model" / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="unsupported class EulerDiscreteScheduler"):
        load(family.card, tmp_path / "model", "cpu")


def test_dynamic_guidance_is_between_1_and_1_plus_the_scale():
    scales = [dynamic_scale(6.0, 50, t) for t in range(999, 0, -20)]
    assert min(scales) >= 1 and max(scales) <= 7 and max(scales) - min(scales) > 5
    assert scales[-1] == pytest.approx(1.1234, abs=1e-4)  # t = 19: 1 + 3 * (1 - cos(0.2878))


# -- decoding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", (1, 2, 3, 5, 6))
@pytest.mark.parametrize("tiles", (False, True))
def test_slices_and_tiles_are_the_librarys(frames, tiles):
    torch.manual_seed(1)
    library = tiny.autoencoder()
    vae = copy.deepcopy(library)
    convolutions.prepare(vae, torch.device("cpu"))
    z = torch.randn(1, 4, frames, 12, 9)
    with torch.no_grad():
        if tiles:
            library.enable_tiling()
        whole = library.decode(z / library.config.scaling_factor).sample
    slices = list(autoencoder.decode(vae, z, tiles))
    assert len(slices) == max(frames // 2, 1)
    assert (torch.cat(slices, dim=2) - whole).abs().max() < 1e-5
    pixels = torch.rand(1, 3, 8 * (frames // 2) + 1, 48, 36) * 2 - 1
    with torch.no_grad():
        library.use_tiling = tiles
        posterior = library.encode(pixels).latent_dist
        drawn = torch.randn(posterior.mean.shape)
        assert (
            autoencoder.encode(vae, pixels, drawn, tiles) - posterior.mean - posterior.std * drawn
        ).abs().max() < 1e-5


class Peak(TorchDispatchMode):
    """Counts the bytes of living tensors that were made in the context; `most` is the maximum."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self.known = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage()) not in self.known:
                self.known.add(storage)
                self.now += storage.nbytes()
                weakref.finalize(storage, self.freed, storage.nbytes())
        self.most = max(self.most, self.now)
        return found

    def freed(self, size):
        self.now -= size


def peak_of(vae, frames, side, tiles):
    z = torch.randn(1, 4, frames, side, side)
    with Peak() as peak:
        count = sum(pixels.shape[2] for pixels in autoencoder.decode(vae, z, tiles))
    assert count == 4 * (frames - 1) + 1
    return peak.most - z.nbytes * 3


@pytest.mark.slow
def test_memory_of_decoding_is_bounded():
    """It does not grow with the length and, in tiles, grows by the tiles' caches only. The library's tiled decoding
    grows with both."""
    torch.manual_seed(1)
    vae = tiny.autoencoder()
    convolutions.prepare(vae, torch.device("cpu"))
    short, long = (peak_of(vae, frames, 8, False) for frames in (5, 9))
    assert short > 1e6 and long < 1.02 * short
    small, tall = (peak_of(vae, frames, 24, True) for frames in (5, 9))
    assert tall < 1.02 * small
    assert small < 0.45 * peak_of(vae, 5, 24, False)


# -- sampling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ("2b", "5b"))
def test_a_resumed_run_is_identical(saved, tmp_path, layout):  # noqa: F811
    """DPM-Solver++ needs the last clean latents and draws noise at every step; both survive a saved state."""
    _, folder, family = saved(layout)
    plan = request(folder, frames=9, options={"dynamic_guidance": True})
    states: list[SamplingState] = []
    whole = np.concatenate([c.frames for c in generate(plan, family, keep=states.append, keep_every=1)])
    assert len(states) == plan.steps - 1
    for state in states:
        state.save(tmp_path / "state")
        again = SamplingState.read(tmp_path / "state")
        found = np.concatenate([c.frames for c in generate(plan, family, state=again)])
        assert np.array_equal(found, whole)


def test_previews(saved):  # noqa: F811
    """Of every step, the first included, whose noise level is infinite (zero terminal SNR)."""
    _, folder, family = saved("1.5")
    seen = []
    plan = request(folder, frames=9)
    list(generate(plan, family, on_event=lambda event: seen.append(event) if event.stage == "preview" else None))
    assert len(seen) == plan.steps
    assert all(event.frames().shape == (1, SIDE, SIDE, 3) for event in seen)


def test_each_network_is_on_the_device_only_in_use(saved, monkeypatch):  # noqa: F811
    _, folder, family = saved("5b")
    plan = request(folder, frames=9)
    plain = ours(family, plan)
    held, log = [], []

    @contextmanager
    def using(self, module):
        held.append(module)
        log.append(type(module).__name__)
        assert len(held) == 1, "one at a time"
        yield module
        held.remove(module)

    monkeypatch.setattr(Residency, "using", using)
    family.prompts.clear()
    assert torch.equal(ours(family, plan), plain)
    assert set(log) == {"T5EncoderModel", "CogVideoXTransformer3DModel"}
    chunks = family.decode(plain.transpose(1, 2), plan, plan.spans[0])
    assert next(chunks).frames.shape == (9, SIDE, SIDE, 3) and log[-1] == "AutoencoderKLCogVideoX"
    chunks.close()


def test_large_batches_run_one_branch_at_a_time(saved, monkeypatch):  # noqa: F811
    from kinema.families.cogvideox import model

    _, folder, family = saved("1.5-i2v")
    plan = request(folder, conditions=(GRAY,))
    together = ours(family, plan)
    monkeypatch.setattr(model, "BATCH_TOKENS", 1)
    assert (ours(family, plan) - together).abs().max() < 1e-5


def test_long_clips_in_context_windows(saved):  # noqa: F811
    """The network sees 9 of 33 frames at once, 3 of 9 latent frames."""
    _, folder, family = saved("5b")
    seen = []
    handle = family.parts.transformer.register_forward_pre_hook(
        lambda module, given, named: seen.append(named["hidden_states"].shape[1]), with_kwargs=True
    )
    windows = {"context_length": 9, "context_overlap": 4}
    made = ours(family, request(folder, frames=33, options=windows))
    handle.remove()
    assert set(seen) <= {2, 3} and made.shape[1] == 9 and bool(made.isfinite().all())
    assert (made - ours(family, request(folder, frames=33))).abs().max() > 0.01
    for name in ("cogvideox-5b-i2v", "cogvideox-1.5-5b"):
        with pytest.raises(RequestError, match="no option 'context_length'"):
            plan_of(name, options=windows)


GRAY = {"kind": "image", "image": f"data:image/png;base64,{PIXEL}", "at": "first"}


def test_1_5_from_a_clip(saved, tmp_path):  # noqa: F811
    """diffusers refuses an odd number of latent frames here; the first one is repeated in front, and dropped."""
    _, folder, family = saved("1.5")
    for index in range(9):
        Image.fromarray(np.full((SIDE, SIDE, 3), 20 * index, np.uint8)).save(tmp_path / f"{index:02d}.png")
    plan = request(folder, conditions=({"kind": "source", "video": str(tmp_path)},), options={"strength": 0.5})
    cond = family.encode(plan, family.prepare(plan))
    assert cond.source_BCTHW.shape == (1, 4, 4, SIDE // 4, SIDE // 4)
    assert torch.equal(cond.source_BCTHW[:, :, 0], cond.source_BCTHW[:, :, 1])
    frames = np.concatenate([chunk.frames for chunk in generate(plan, family)])
    assert frames.shape == (9, SIDE, SIDE, 3)
    whole = request(folder, conditions=plan.conditions, options={"strength": 1.0})
    assert (frames != np.concatenate([chunk.frames for chunk in generate(whole, family)])).any()


def test_it_upscales_a_clip(saved, tmp_path):  # noqa: F811
    _, folder, _ = saved("5b")
    for index in range(9):
        Image.fromarray(np.full((SIDE // 2, SIDE // 2, 3), 20 * index, np.uint8)).save(tmp_path / f"{index:02d}.png")
    source = {"kind": "source", "video": str(tmp_path)}
    plan = request(folder, canvas="upscale", conditions=(source,), upscale=(2,), options={"strength": 0.4})
    made = kinema.load(str(folder), device="cpu").generate(plan).frames()
    assert made.shape == (9, SIDE, SIDE, 3)


# -- adapters and the motion guide -------------------------------------------------------------------------------------


def test_a_lora_is_diffusers(saved, tmp_path):  # noqa: F811
    from safetensors.torch import save_file

    pipe, folder, family = saved("2b")
    torch.manual_seed(2)
    state = {}
    for name in ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0"):
        for block in (0, 1):
            state[f"transformer.transformer_blocks.{block}.{name}.lora_A.weight"] = torch.randn(4, 32)
            state[f"transformer.transformer_blocks.{block}.{name}.lora_B.weight"] = torch.randn(32, 4) * 0.1
    save_file(state, tmp_path / "pytorch_lora_weights.safetensors")
    style = {"kind": "style", "adapter": str(tmp_path / "pytorch_lora_weights.safetensors"), "weight": 0.5}
    plain, plan = request(folder, frames=9), request(folder, frames=9, conditions=(style,))
    before, made = ours(family, plain), ours(family, plan)
    assert torch.equal(ours(family, plain), before)
    from test_cogvideox_oracle import common, start

    pipe.load_lora_weights(tmp_path, adapter_name="own")
    pipe.set_adapters(["own"], [0.5])
    try:
        theirs = pipe(**common(plan), num_frames=9, latents=start(family, plan), output_type="latent").frames
    finally:
        pipe.unload_lora_weights()
    assert (made - theirs).abs().max() < 1e-4 and (made - before).abs().mean() > 1e-3


class Adds:
    """A motion guide that adds the flow's mean, times a gain, to the video tokens after each block's modulation."""

    def __init__(self, gain):
        self.gain, self.calls = gain, []
        self.modules = [torch.nn.Linear(1, 1)]

    def features(self, flow_BCTHW):
        self.flow = flow_BCTHW
        return flow_BCTHW.mean() * self.gain

    @contextmanager
    def applied(self, transformer, features, shape):
        self.calls.append(shape)

        def hook(module, inputs, output):
            video, *others = output
            return (video + features, *others)

        handles = [block.norm1.register_forward_hook(hook) for block in transformer.transformer_blocks]
        yield
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("layout", ("5b", "1.5"))
def test_a_motion_guide_reaches_every_block(saved, monkeypatch, layout):  # noqa: F811
    from kinema.families.cogvideox.model import CogVideoXFamily, CogVideoXParts

    _, folder, family = saved(layout)
    plan = request(folder, frames=9)
    before = ours(family, plan)
    flow = torch.rand(1, 3, 9, SIDE, SIDE)
    for gain in (0.0, 1.0):
        guide = Adds(gain)
        parts = CogVideoXParts(**{**vars(family.parts), "motion": guide})
        guided = CogVideoXFamily(family.card, parts, torch.device("cpu"))
        monkeypatch.setattr(guided, "prepare", lambda plan, window=None: CogVideoXPrepared(flow_BCFHW=flow))
        made = ours(guided, plan)
        assert torch.equal(made, before) == (gain == 0.0)
        frames = guided.num_latents(plan.spans[0])
        assert guide.flow.shape == (1, 4, frames, SIDE // 4, SIDE // 4)
        assert set(guide.calls) == {(2, frames, 4, SIDE // 4, SIDE // 4)}
    assert torch.equal(ours(family, plan), before), "nothing stays behind"
