"""Batches of the video training: every kind of step, with latents of a few clips by a small VAE."""

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan
from small_networks import small_text_encoder, small_transformer

from kinema.toyland.caption import describe
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_SMALL, sample_scene, without_objects
from kinema.training.data import condition_kinds
from kinema.training.data.latents import LatentStore, encoder, read_clip, write_latents
from kinema.training.data.parallel_vae import to_network
from kinema.training.data.store import ClipStore, write_shards
from kinema.training.data.tokenizers import build_tokenizer
from kinema.training.data.vace import fold_mask
from kinema.training.tasks.video import PICTURE_BATCH, PICTURES, REFERENCES, VideoTask, held_out_losses

SHAPE = (5, 32, 32)
COUNT = 48


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("video")
    torch.manual_seed(0)
    write_shards(folder / "clips", WORLD_SMALL, range(COUNT), num_frames=5, height=32, width=32)
    clips = ClipStore(folder / "clips")
    vae = AutoencoderKLWan(
        base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True],
        is_residual=True, latents_mean=[0.1] * 16, latents_std=[0.5] * 16,
    ).eval()  # fmt: skip
    write_latents(vae, clips, WORLD_SMALL, folder / "latents", limit=COUNT)
    store = LatentStore(folder / "latents", SHAPE)
    tokenizer = build_tokenizer(describe(sample_scene(seed, WORLD_SMALL), seed) for seed in range(200))
    transformer = small_transformer()
    text = small_text_encoder(len(tokenizer))
    made = VideoTask(transformer, text, tokenizer, store, store, WORLD_SMALL, batch=8)
    made.clips, made.vae = clips, vae
    return made


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_store_holds_what_was_told(task):
    """Masks are stored losslessly; the inactive stream of a first frame is that clip's own encoding."""
    index = torch.arange(COUNT)
    masks, kinds = task.store.masks(index), task.store.tensors["kind"].tolist()
    for number in range(COUNT):
        clip = read_clip(task.clips, number, WORLD_SMALL)
        rng = np.random.default_rng(task.clips.seed(number))
        assert condition_kinds.choose(rng) == condition_kinds.NAMES[kinds[number]]
        _, mask = condition_kinds.KINDS[condition_kinds.NAMES[kinds[number]]][1](clip, rng)
        assert np.array_equal(masks[number].numpy().astype(bool), mask)
    assert len(set(kinds)) > 4


@pytest.mark.parametrize("step", [0, *PICTURES, *REFERENCES])
def test_every_kind_of_step_has_its_shape_and_learns(task, step):
    x0, weight, control, captions = task.batch(step, 0.5, generator(step))
    references = REFERENCES.get(step, 0)
    count, frames = (PICTURE_BATCH * 8, 1) if step in PICTURES else (8, 2 + references)
    assert x0.shape == (count, 16, frames, 4, 4) and control.shape == (count, 96, frames, 4, 4)
    assert weight.shape == (count, frames, 4, 4) and len(captions) == count
    if references:
        assert torch.equal(x0[:, :, 0], task_reference(task, step)) and not control[:, 16:, :references].any()
    loss, _ = task.loss(step, 0.5, generator(step))
    loss.backward()
    assert torch.isfinite(loss) and task.transformer.proj_out.weight.grad.abs().sum() > 0
    task.transformer.zero_grad()


def task_reference(task, step):
    index = torch.randint(len(task.store), (8,), generator=generator(step))
    return task.store.tensors["reference"][index][:, :, 0].float()


def test_the_first_steps_are_pictures_and_later_ones_clips(task):
    assert task.batch(0, 0.0, generator())[0].shape[2] == 1 and task.batch(0, 0.5, generator())[0].shape[2] == 2


def test_words_alone_conditions_and_whole_clips(task):
    index = torch.tensor([3, 4, 5])
    told, whole = torch.tensor([False, True, False]), torch.tensor([False, False, True])
    control = task.conditions(task.store, index, told, whole)
    gray, tensors = task.store.gray[0], task.store.tensors
    assert torch.equal(control[0, :16], gray) and torch.equal(control[0, 16:32], gray) and (control[0, 32:] == 1).all()
    assert torch.equal(control[1, :16], tensors["inactive"][4].float())
    assert torch.equal(control[1, 32:], fold_mask(task.store.masks(index[1:2]))[0])
    assert torch.equal(control[2, :16], tensors["clean"][5].float()) and not control[2, 32:].any()
    assert torch.allclose(tensors["clean"][5].float(), encode(task, 5), atol=2e-3)


def encode(task, number):
    return encoder(task.vae)(to_network(task.clips.take([number])[0]))[0]


def test_a_box_where_nothing_is_may_be_told_by_its_place_alone(task):
    kinds = task.store.tensors["kind"]
    where = torch.nonzero(kinds == condition_kinds.NAMES.index("empty_place")).flatten()
    index = where[:1].repeat(64)
    captions = task.captions(index, generator(), torch.ones(64, dtype=torch.bool))
    actor = sample_scene(int(task.store.tensors["seed"][where[0]]), WORLD_SMALL).actors[0]
    spoken = [caption for caption in captions if caption]
    without = [caption for caption in spoken if actor.kind not in caption]
    assert 0.3 < len(without) / len(spoken) < 0.9 and len(spoken) < 64
    assert all(actor.kind in caption for caption in task.captions(index, generator()) if caption)


def test_the_answer_to_a_removal_is_the_place_without_its_objects_and_words_for_it_name_no_object(task):
    tensors = task.store.tensors
    number = int(torch.nonzero(tensors["kind"] == condition_kinds.NAMES.index("removal")).flatten()[0])
    scene = sample_scene(int(tensors["seed"][number]), WORLD_SMALL)
    frames = render([without_objects(scene)], num_frames=5, height=32, width=32).frames_BFHWC
    expected = encoder(task.vae)(to_network(frames))[0]
    assert torch.allclose(tensors["clean"][number].float(), expected, atol=2e-3)
    assert not torch.allclose(expected, encode(task, number), atol=2e-2)
    assert tensors["references"][number] == 2
    pictures = encoder(task.vae)(to_network(frames)[0].transpose(0, 1)[:, :, None])
    assert any(torch.allclose(tensors["reference"][number][:, :1].float(), each, atol=2e-3) for each in pictures)
    for told in (None, torch.ones(64, dtype=torch.bool)):
        captions = task.captions(torch.full((64,), number), generator(), told)
        assert any(captions) and not any(actor.kind in caption for caption in captions for actor in scene.actors)


def test_held_out_numbers_and_the_word_swap_probe(task):
    found = held_out_losses(task, num_clips=8)
    assert set(found["swap_percent"]) == {"background", "light", "color", "kind", "motion"}
    assert all(value > 0 for value in found["losses"].values()) and found == held_out_losses(task, num_clips=8)
