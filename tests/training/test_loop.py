"""The training loop: a resumed run takes the same next step, frozen weights stay, averaged weights come back."""

import json

import pytest
import torch
from torch import nn

from kinema.training.loop import Ema, LoopConfig, learning_rate, load_averaged, train
from kinema.training.muon import orthogonalize, split_parameters


class Line:
    """Fit y = Wx with a frozen second layer."""

    names_for_adam = ("bias",)

    def __init__(self):
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
        self.net[1].requires_grad_(False)
        self.modules = {"net": self.net}

    def loss(self, step, progress, generator):
        x = torch.randn(8, 6, generator=generator)
        return (self.net(x) - x.flip(1)).square().mean(), {"progress": progress}

    def evaluate(self, step):
        return {"held_out": float((self.net(torch.eye(6)) - torch.eye(6).flip(1)).square().mean())}


def settings(folder, **changes):
    return LoopConfig(out=folder, max_steps=20, warmup_steps=2, log_every=5, **changes)


def test_a_resumed_run_takes_the_same_steps(tmp_path):
    whole = Line()
    train(whole, settings(tmp_path / "whole"))

    class Killed(Exception):
        pass

    class Stops(Line):
        def loss(self, step, progress, generator):
            if step == 12:
                raise Killed
            return super().loss(step, progress, generator)

    with pytest.raises(Killed):
        train(Stops(), settings(tmp_path / "half", checkpoint_minutes=0.0))
    again = Line()
    train(again, settings(tmp_path / "half", resume=True))
    for a, b in zip(whole.net.parameters(), again.net.parameters(), strict=True):
        assert torch.equal(a, b)


def test_frozen_weights_stay_and_the_loss_falls(tmp_path):
    task = Line()
    frozen, first = task.net[1].weight.clone(), task.evaluate(0)["held_out"]
    result = train(task, settings(tmp_path))
    assert torch.equal(frozen, task.net[1].weight)
    assert result["held_out"] < first and result["step"] == 20
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert events[-1]["event"] == "finished" and {"loss", "norm"} <= set(events[0])


def test_gradients_of_several_batches_make_the_step_of_one_large_one(tmp_path):
    rows = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))

    class Parts(Line):
        def __init__(self, parts):
            super().__init__()
            self.parts, self.calls = rows.chunk(parts), 0

        def loss(self, step, progress, generator):
            x = self.parts[self.calls % len(self.parts)]
            self.calls += 1
            return (self.net(x) - x.flip(1)).square().mean(), {}

    whole, four = Parts(1), Parts(4)
    train(whole, settings(tmp_path / "whole"))
    train(four, settings(tmp_path / "four", accumulate=4))
    assert four.calls == 80
    for a, b in zip(whole.net.parameters(), four.net.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_averaged_weights_are_those_of_the_end(tmp_path):
    task = Line()
    train(task, settings(tmp_path))
    other = Line()
    load_averaged(tmp_path / "checkpoint.pt", other.modules)
    assert torch.equal(task.net[0].weight, other.net[0].weight)


def test_the_clock_stops_a_run(tmp_path):
    result = train(Line(), LoopConfig(out=tmp_path, minutes=0.01))
    assert result["step"] > 0 and result["train_seconds"] < 10


def test_averaging_swaps_back():
    net = nn.Linear(2, 2)
    ema = Ema({"net": net}, 0.9)
    before = net.weight.clone()
    with torch.no_grad():
        net.weight.add_(1)
    ema.swap()
    assert torch.equal(net.weight, before)
    ema.swap()
    assert torch.allclose(net.weight, before + 1)


def test_learning_rate_warms_up_and_comes_down(tmp_path):
    config = settings(tmp_path, decay_from=0.5, final_lr=0.1)
    assert learning_rate(0.0, 0, config) == 0.5
    assert learning_rate(0.5, 10, config) == 1.0
    assert learning_rate(1.0, 20, config) == pytest.approx(0.1)


@pytest.mark.parametrize("shape", [(2, 16, 40), (1, 40, 16), (1, 8, 800), (1, 16, 20)])
def test_wide_matrices_take_the_same_steps_by_their_gram_matrix(shape):
    """Also where some singular values are nearly zero, as those of a new channel are."""
    torch.manual_seed(0)
    g = torch.randn(shape)
    g[:, : shape[1] // 2] *= 1e-4
    x = (g.mT if shape[1] > shape[2] else g).double()
    x = x / x.norm(dim=(1, 2), keepdim=True)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    expected = (x.mT if shape[1] > shape[2] else x).float()
    assert torch.allclose(orthogonalize(g), expected, atol=2e-3 * expected.abs().max())


def test_muon_orthogonalises_and_leaves_gains_to_adam():
    singular = torch.linalg.svdvals(orthogonalize(torch.randn(2, 16, 40))[0])
    assert singular.min() > 0.3 and singular.max() < 1.3
    module = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Conv3d(8, 8, 3))
    muon, adam = split_parameters([module], ("0.weight",))
    assert [p.ndim for p in muon] == [5] and len(adam) == 5
