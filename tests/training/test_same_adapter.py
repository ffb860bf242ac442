"""A seed determines the adapter: the recipe from clips to the file, with a tiny network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kinema.core.chunk import Chunk
from kinema.core.errors import RequestError
from kinema.media.write import write
from kinema.training import families
from kinema.training.core import run_folder, stages
from kinema.training.recipes import _lora_work
from kinema.training.recipes import lora as recipe
from kinema.training.tasks import lora


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v = (nn.Linear(12, 12) for _ in range(3))

    def forward(self, x):
        return x + self.to_v(torch.tanh(self.to_q(x)) * self.to_k(x))


class Network(nn.Module):
    """A network with fixed frozen weights."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.motion_modules = nn.Sequential(Attention(), Attention())
        self.requires_grad_(False)

    def set_attn_processor(self, processor) -> None:
        """As in diffusers' UNets."""


class Task:
    names_for_adam = ("lora",)

    def __init__(self, network, clips) -> None:
        self.network, self.store, self.samples = network, clips, 0
        self.modules = {"video": network}

    def loss(self, step, progress, generator):
        index = torch.randint(len(self.store), (2,), generator=generator)
        x = self.store.latents[index].float().flatten(2)
        noisy = x + (1 + progress) * torch.randn(x.shape, generator=generator)
        self.samples += 2
        return (self.network.motion_modules(noisy) - x).square().mean(), {}

    def evaluate(self, step):
        return {}

    def proof(self):
        return {}


class Learner:
    def __init__(self, *given) -> None:
        self.network = Network()

    def encode(self, frames_FHWC):
        return torch.from_numpy(frames_FHWC[:, ::32, ::32]).permute(0, 3, 1, 2).float() / 255

    def task(self, clips, held_out, caption_of, **given):
        return Task(self.network, clips)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Run the recipe into OUT/<place>/lora as the command does; returns the file's bytes."""
    monkeypatch.setattr(families, "learner", Learner)
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (16, 64, 64, 3), dtype=np.uint8)
        write([Chunk(pixels, 0, 8.0)], tmp_path / "clips" / f"{number}.mp4")
    own = {"data": str(tmp_path / "clips"), "rank": "2", "lr": "0.05", "crops": "1", "frames": "16"}

    def run(place: str, resume: bool = False, minutes: float = 60.0, **options: str) -> bytes:
        torch.manual_seed(hash(place) % 1000 + resume)  # the state of the global random generator must not matter
        out: Path = tmp_path / place / "lora"
        wanted = options if resume else own | options
        settings = stages.Settings(out=out, minutes=minutes, resume=resume, options=wanted)
        settings = run_folder.resumed_settings(settings, only=False, minutes=minutes)
        stages.run(recipe.stages(settings), settings)
        return (out / "lora.safetensors").read_bytes()

    return run


def test_one_seed_is_one_file(trained):
    one = trained("one", steps="3")
    assert trained("two", steps="3") == one and trained("other", steps="3", seed="1") != one


def test_a_run_that_was_stopped_gives_the_file_of_one_that_was_not(trained, tmp_path, monkeypatch):
    whole = trained("whole", steps="6")

    class Stops(Task):
        def loss(self, step, progress, generator):
            if step == 4:
                raise KeyboardInterrupt
            return super().loss(step, progress, generator)

    real, often = _lora_work.LoopConfig, {"checkpoint_minutes": 0.0}
    monkeypatch.setattr(_lora_work, "LoopConfig", lambda **given: real(**given, **often))
    monkeypatch.setattr(Learner, "task", lambda self, clips, *rest, **given: Stops(self.network, clips))
    with pytest.raises(KeyboardInterrupt):
        trained("stopped", steps="6")
    monkeypatch.undo()
    monkeypatch.setattr(families, "learner", Learner)
    assert trained("stopped", resume=True) == whole


def test_a_finished_run_goes_on_with_more_steps(trained, tmp_path):
    first = trained("run", steps="3")
    with pytest.raises(RequestError, match="rank changed from 2 to 16"):
        trained("run", resume=True, rank="16")
    assert trained("run", resume=True) == first
    assert trained("run", resume=True, steps="9") != first
    assert run_folder.read(tmp_path / "run" / "lora").done["train"]["step"] == 9
    trained("run", resume=True, dialect="kohya+diffusers")
    assert (tmp_path / "run" / "lora" / "lora.diffusers.safetensors").is_file()


def test_the_start_comes_from_the_seed_alone():
    def start(seed: int, other: int) -> list[torch.Tensor]:
        network = Network()
        torch.manual_seed(other)
        lora.add(network, rank=2, alpha=2, seed=seed)
        assert torch.initial_seed() == other, "the global random generator is not advanced"
        return [part for pair in lora.layers(network).values() for part in pair]

    one, two, other = start(3, 0), start(3, 1), start(4, 0)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one[0], other[0]) and not torch.equal(one[0], one[2])
    assert one[1].abs().max() == 0
