"""Two processes that average their gradients take the step of one with both batches."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kinema.training.core import processes
from kinema.training.core.optimizers import orthogonalize, shared_orthogonalize

SCRIPT = """
import sys, torch
from pathlib import Path
from kinema.training.core import processes
from kinema.training.core.loop import LoopConfig, train

class Task:
    names_for_adam = ()
    def __init__(self):
        self.net = torch.nn.Linear(8, 8, bias=False)
        torch.nn.init.eye_(self.net.weight)
        if not processes.first():
            self.net.weight.data += 1.0  # the first one's weights must win
        self.modules = {"net": self.net}
    def one(self, step, rank):
        x = torch.zeros(8)
        x[(2 * step + rank) % 8] = 1.0 + rank
        return (self.net(x) - 3.0).square().sum()
    def loss(self, step, progress, generator):
        if processes.count() == 2:
            return self.one(step, processes.rank()), {}
        return (self.one(step, 0) + self.one(step, 1)) / 2, {}  # what the two do together
    def evaluate(self, step):
        return {"rank": processes.rank()}

if __name__ == "__main__":
    out, number = Path(sys.argv[1]), int(sys.argv[2])
    others = processes.start(number)
    result = train(Task(), LoopConfig(out=out, max_steps=6, warmup_steps=1, ema=0.0))
    task = torch.load(out / "checkpoint.pt")["modules"]["net"]["weight"]
    if processes.first():
        print("sum", float(task.sum()), result["event"])
    processes.finish(others)
"""


def alone(tmp_path: Path, monkeypatch, capsys) -> str:
    """Run the script in this process."""
    file = tmp_path / "work.py"
    file.write_text(SCRIPT)
    monkeypatch.setattr(sys, "argv", [str(file), str(tmp_path / "1"), "1"])
    runpy.run_path(str(file), run_name="__main__")
    return capsys.readouterr().out


def run(tmp_path: Path, number: int) -> str:
    file = tmp_path / "work.py"
    file.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(file), str(tmp_path / str(number)), str(number)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_processes_take_the_steps_of_one_with_both_batches(tmp_path, monkeypatch, capsys):
    two, one = run(tmp_path, 2), alone(tmp_path, monkeypatch, capsys)
    assert "finished" in two and two == one
    events = (tmp_path / "2" / "events.jsonl").read_text().splitlines()
    assert len(events) == 1 and '"rank": 0' in events[0]  # only the first measures and writes


def test_alone_nothing_changes():
    tensor = torch.ones(2)
    processes.average([tensor])
    processes.average_gradients([tensor])
    assert processes.first() and processes.agree(3.5) == 3.5 and processes.own_device("cuda") == "cuda"
    many = torch.randn(3, 4, 5)
    assert torch.equal(shared_orthogonalize(many), orthogonalize(many))


def test_impossible_numbers_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        processes.start(0)
    with pytest.raises(ValueError, match="GPUs; this machine has"):
        processes.start(9, "cuda")
