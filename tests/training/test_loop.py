"""The training loop: a resumed run takes the same steps, frozen weights do not change, averaged weights are
restored."""

import json
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from kinema import training
from kinema.core.errors import KinemaError
from kinema.training.core import optimizers
from kinema.training.core.checkpoints import Ema, load_averaged
from kinema.training.core.loop import LoopConfig, learning_rate, progress_of, train
from kinema.training.core.optimizers import orthogonalize, split_parameters


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


def test_means_are_of_the_steps_that_were_taken(tmp_path):
    """A constant loss of one has a mean of one, also in the first log line after resuming between two lines."""

    class Ones(Line):
        def loss(self, step, progress, generator):
            loss, _ = super().loss(step, progress, generator)
            return loss * 0 + 1, {"step_number": step}

    train(Ones(), LoopConfig(out=tmp_path, max_steps=8, log_every=5))
    train(Ones(), LoopConfig(out=tmp_path, max_steps=15, log_every=5, resume=True))
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    means = {event["step"]: event for event in events if event["event"] == "step"}
    assert {step: event["loss"] for step, event in means.items()} == {5: 1.0, 10: 1.0, 15: 1.0}
    assert {step: event["step_number"] for step, event in means.items()} == {5: 2.0, 10: 8.5, 15: 12.0}


def test_a_step_is_not_timed_with_the_looking(tmp_path):
    class Slow(Line):
        def loss(self, step, progress, generator):
            time.sleep(0.02)
            return super().loss(step, progress, generator)

        def evaluate(self, step):
            time.sleep(0.1)
            return {}

    train(Slow(), LoopConfig(out=tmp_path, max_steps=4, log_every=4, evaluate_minutes=0.0))
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    (step_s,) = (event["step_s"] for event in events if event["event"] == "step")
    assert 0.02 <= step_s < 0.08


def test_steps_end_a_run_without_a_look_at_the_clock():
    config = LoopConfig(out=Path(), minutes=10, most_steps=100)
    assert [progress_of(step, step / 100 * pace, config) for step in (0, 1, 50, 99) for pace in (0.3, 0.99)] == [
        0, 0, 0.01, 0.01, 0.5, 0.5, 0.99, 0.99,
    ]  # fmt: skip
    assert progress_of(0, 0.01, config) == 0 and progress_of(3, 0.1, config) == 0.03, (
        "a slow start does not change the run"
    )
    late = [progress_of(step, step / 30, config) for step in range(31)]
    assert late == sorted(late) and late[30] == pytest.approx(1.0), "if the clock ends the run, progress reaches 1"
    assert progress_of(3, 0.5, LoopConfig(out=Path(), minutes=10)) == 0.5


def test_a_new_run_keeps_an_earlier_ones_files_aside(tmp_path):
    train(Line(), settings(tmp_path))
    first = (tmp_path / "checkpoint.pt").read_bytes()

    class Stops(Line):
        def loss(self, step, progress, generator):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Stops(), settings(tmp_path))
    assert not (tmp_path / "checkpoint.pt").exists(), "the earlier run cannot be resumed by mistake"
    assert (tmp_path / "checkpoint.before.pt").read_bytes() == first and (tmp_path / "events.before.jsonl").exists()


class Evil:
    def __reduce__(self):
        return print, ("code ran",)


@pytest.mark.parametrize("kind", ["cut", "nothing", "text", "code", "other", "empty"])
def test_a_checkpoint_that_is_none_is_named(tmp_path, capsys, kind):
    train(Line(), settings(tmp_path))
    file = tmp_path / "checkpoint.pt"
    if kind == "code":
        torch.save({"step": Evil()}, file)
    elif kind == "empty":
        torch.save({}, file)
    elif kind == "other":
        state = torch.load(file, weights_only=True)
        state["modules"]["net"]["0.weight"] = torch.zeros(3, 3)
        torch.save(state, file)
    else:
        file.write_bytes({"cut": file.read_bytes()[:-300], "nothing": b"", "text": b"hello"}[kind])
    with pytest.raises(KinemaError, match=r"checkpoint\.pt"):
        train(Line(), settings(tmp_path, resume=True))
    assert "code ran" not in capsys.readouterr().out


def test_training_reads_tensors_in_one_place():
    """checkpoints.read never executes code of a file."""
    root = Path(training.__file__).parent
    reading = [path.name for path in root.rglob("*.py") if "torch.load(" in path.read_text()]
    assert reading == ["checkpoints.py"]


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
def test_wide_matrices_take_the_same_steps_by_their_gram_matrix(shape, monkeypatch):
    """Also with some singular values near zero, like those of a new channel."""
    monkeypatch.setattr(optimizers, "good_at_bfloat16", lambda device: False)
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


@pytest.mark.parametrize("low", [False, True])
def test_muon_takes_the_librarys_steps(low, monkeypatch):
    """Compared with torch.optim.Muon, within the rounding errors of its bfloat16."""
    monkeypatch.setattr(optimizers, "good_at_bfloat16", lambda device: low)
    torch.manual_seed(0)
    shapes = [(24, 24), (24, 24), (40, 24), (24, 40), (16, 80), (80, 16)]
    before = [torch.randn(shape) for shape in shapes]
    own, theirs = ([nn.Parameter(weight.clone()) for weight in before] for _ in range(2))
    ours = optimizers.Muon(own, lr=1e-2, weight_decay=0.1)
    library = torch.optim.Muon(theirs, lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        for a, b in zip(own, theirs):
            a.grad = b.grad = torch.randn_like(a)
        ours.step()
        library.step()
    for a, b, old in zip(own, theirs, before):
        assert float((a - b).norm() / (b - old).norm()) < 0.03


def test_muon_orthogonalises_and_leaves_gains_to_adam():
    singular = torch.linalg.svdvals(orthogonalize(torch.randn(2, 16, 40))[0])
    assert singular.min() > 0.3 and singular.max() < 1.3
    module = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Conv3d(8, 8, 3))
    muon, adam = split_parameters([module], ("0.weight",))
    assert [p.ndim for p in muon] == [5] and len(adam) == 5
