"""Training of EasyAnimate's paper design: what each phase trains, exact resume, and the autoencoder's phases."""

import sys
from pathlib import Path

import pytest
import torch

from kinema.sd.inflate import digest
from kinema.toyland.scene import WORLD_MINI
from kinema.training.core.loop import LoopConfig, train
from kinema.training.data import cogvideox_codec
from kinema.training.data.captioner import Captioner
from kinema.training.data.parallel_vae import to_network
from kinema.training.data.store import ClipStore, write_shards
from kinema.training.tasks.easyanimate import EasyAnimateTask, given_first
from kinema.training.tasks.slice_vae import SliceVaeTask, measure_seam, scale_slice_latents

sys.path.insert(0, str(Path(__file__).parents[1] / "families" / "easyanimate"))
import tiny_paper

sys.path.pop(0)


class Latents:
    """Random latents with the fields of FrameLatents."""

    def __init__(self, frames=3):
        g = torch.Generator().manual_seed(0)
        self.latents = torch.randn((6, frames, 4, 4, 4), generator=g)
        self.weight, self.seed = torch.rand((6, frames, 4, 4), generator=g), torch.arange(6)

    def __len__(self):
        return 6


def task(phase, parts=None, batch=2, long=None):
    parts = parts or tiny_paper.parts(sample_size=4)
    words = Captioner(parts["tokenizer"], parts["text_encoder"], lambda seed, *_: tiny_paper.CAPTIONS[seed % 2])
    return EasyAnimateTask(parts["transformer"], words, Latents(), Latents(), phase=phase, batch=batch, long=long)


def config(out, steps, **more):
    return LoopConfig(out=out, max_steps=steps, warmup_steps=1, evaluate_minutes=1e9, **more)


def changed(before, module):
    now = module.state_dict()
    return {name for name, value in before.items() if not torch.equal(value, now[name])}


@pytest.mark.parametrize("phase", ["images", "motion", "video"])
def test_a_phase_trains_its_part_and_proves_the_rest_frozen(phase, tmp_path):
    parts = tiny_paper.parts(sample_size=4)
    before = {name: value.clone() for name, value in parts["transformer"].state_dict().items()}
    words = digest(parts["text_encoder"], lambda name: True)
    found = task(phase, parts)
    train(found, config(tmp_path, 8))
    names = changed(before, parts["transformer"])
    motion = {name for name in before if ".attn_temporal." in name}
    expected = {"images": set(before) - motion, "motion": motion, "video": set(before)}[phase]
    assert names <= expected and len(names) > 0.9 * len(expected)
    assert (digest(parts["text_encoder"], lambda name: True) == words) == (phase == "motion")
    proof = found.proof()
    assert proof["frozen_before"] == proof["frozen_after"]
    if phase == "motion":
        parts["transformer"].pos_embed["proj"].bias.data += 1
        with pytest.raises(RuntimeError, match="Frozen layers changed"):
            found.proof()


def test_a_resumed_run_takes_the_same_steps(tmp_path):
    whole, halves = tiny_paper.parts(sample_size=4), tiny_paper.parts(sample_size=4)
    halves["transformer"].load_state_dict(whole["transformer"].state_dict())
    halves["text_encoder"].load_state_dict(whole["text_encoder"].state_dict())
    how = {"decay_from": 1.0}
    train(task("video", whole), config(tmp_path / "whole", 4, **how))
    train(task("video", halves), config(tmp_path / "halves", 2, **how))
    again = tiny_paper.parts(sample_size=4)
    train(task("video", again), config(tmp_path / "halves", 4, resume=True, **how))
    for name in ("transformer", "text_encoder"):
        assert digest(again[name], lambda name: True) == digest(whole[name], lambda name: True)


def test_longer_clips_come_in_batches_of_as_many_tokens(monkeypatch):
    """Every fourth batch, of whole clips, their first halves or quarters; the others are as without longer clips."""
    longer = Latents(17), Latents(17)
    learning, plain = task("video", batch=12, long=longer), task("video", batch=12)
    shapes = {}

    def watch(found, step):
        def predict(noisy, *given):
            shapes[id(found), step] = tuple(noisy.shape)
            return noisy * 0

        monkeypatch.setattr(found, "predict", predict)
        return found.loss(step, 0.5, torch.Generator().manual_seed(step))[0]

    for step in range(60):
        losses = [watch(each, step) for each in (learning, plain)]
        assert step % 4 == 1 or torch.equal(*losses)
    lengths = {shapes[id(learning), step][::2][1] for step in range(1, 60, 4)}
    assert lengths == {17, 9, 5}
    assert all(shapes[id(learning), step][0] == 36 // shapes[id(learning), step][2] for step in range(1, 60, 4))
    assert task("images", long=longer).long is None and task("motion", long=longer).long is None


def test_given_first_frames_are_marked():
    x0 = torch.randn(2, 4, 3, 4, 4)
    image = given_first(x0, torch.tensor([True, False]))
    assert torch.equal(image[0, :4, 0], x0[0, :, 0]) and image[0, 4, 0].eq(1).all()
    assert not image[1].any() and not image[:, :, 1:].any()


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    write_shards(folder, WORLD_MINI, range(3), num_frames=17, height=32, width=32)
    return ClipStore(folder)


def test_the_autoencoder_learns_and_its_encoder_is_frozen_at_last(clips, tmp_path):
    vae = tiny_paper.parts()["vae"]
    first = SliceVaeTask(vae, clips, clips, phase="images", num_held_out=2)
    before = first.evaluate(0)["psnr_db"]
    train(first, config(tmp_path / "images", 12, ema=0.5, lr_adam=3e-3, lr_muon=3e-3))
    assert first.evaluate(0)["psnr_db"] > before + 0.5
    latents = cogvideox_codec.encode(vae, to_network(clips.take([0])[0]))[0]
    last = SliceVaeTask(vae, clips, clips, phase="decoder", num_held_out=2)
    decoder = digest(vae.decoder, lambda name: True)
    train(last, config(tmp_path / "decoder", 2))
    assert last.proof()["frozen_before"] == last.proof()["frozen_after"]
    assert torch.equal(cogvideox_codec.encode(vae, to_network(clips.take([0])[0]))[0], latents)
    assert digest(vae.decoder, lambda name: True) != decoder


def test_scaling_the_latents_changes_no_reconstruction(clips):
    vae = tiny_paper.parts()["vae"].eval().requires_grad_(False)
    frames = to_network(clips.take([0, 1, 2])[0])
    before = vae.decode(vae.encode(frames).latent_dist.mean).sample
    scale_slice_latents(vae, clips, num_clips=3)
    moments = vae.encode(frames).latent_dist
    assert torch.allclose(moments.mean.transpose(0, 1).flatten(1).std(1), torch.ones(4), atol=1e-3)
    assert torch.allclose(vae.decode(moments.mean).sample, before, atol=1e-4)


def test_the_seam_measure_finds_a_seam(clips):
    class Codec(torch.nn.Module):
        """The clips themselves, with an error that jumps where the second slice begins."""

        def encode(self, frames):
            return type("Out", (), {"latent_dist": type("D", (), {"mean": frames, "logvar": frames})})

        def decode(self, z):
            z = z * 0.9 + 0.02 * torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
            z[:, :, 9:] += self.jump
            return type("Out", (), {"sample": z})

    codec = Codec()
    codec.jump = 0.0
    assert measure_seam(codec, clips) < 1.2
    codec.jump = 0.2
    assert measure_seam(codec, clips) > 2
