"""Sharding frozen weights over two processes trains the same adapter, also from a launcher; 8-bit AdamW ends close to
AdamW."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.distributed.fsdp import fully_shard
from typer.testing import CliRunner

from kinema.cli.main import app
from kinema.training.core import optimizers, sharding
from kinema.training.core.settings import OPTIMIZERS

CAN_LEAVE_OUT = "ignored_params" in inspect.signature(fully_shard).parameters
SCRIPT = """
import json, sys
from pathlib import Path
import torch
from torch import nn
from kinema.training.core import processes, sharding
from kinema.training.tasks import lora
from kinema.training.core.frozen import Frozen
from kinema.training.core.loop import LoopConfig, train

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.to_q = nn.Linear(16, 16)
        self.after = nn.Linear(16, 16)
    def forward(self, x):
        return x + self.after(torch.tanh(self.to_q(x)))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.blocks = nn.Linear(16, 16), nn.ModuleList([Block() for _ in range(3)])
    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return x

class Task(Frozen):
    names_for_adam = ("lora",)
    def __init__(self, net):
        self.freeze(net, lora.is_trained)
        self.net, self.modules = net, {"net": net}
    def loss(self, step, progress, generator):
        x = torch.randn(8, 16, generator=generator)
        return (self.net(x) - x.flip(1)).square().mean(), {}
    def evaluate(self, step):
        x = torch.randn(8, 16, generator=torch.Generator().manual_seed(5))
        return {"held_out": round(float((self.net(x) - x.flip(1)).square().mean()), 5)}

def run(out, sharded, steps):
    torch.manual_seed(0)
    net = Net()
    lora.add(net, rank=2, alpha=2)
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(lora.is_trained(name))
    def here():
        frozen = [p for p in net.parameters() if not p.requires_grad]
        return sum((p.to_local() if hasattr(p, "to_local") else p).numel() for p in frozen)
    whole = here()
    if sharded:
        sharding.shard(net, "cpu")
    share = here() / whole
    task = Task(net)
    config = LoopConfig(out=out, max_steps=steps, warmup_steps=1, lr_adam=1e-2, sharded=sharded, resume=True,
                        decay_from=1.0, checkpoint_minutes=0.0)
    found = train(task, config)
    task.proof()
    if processes.first():
        torch.save(lora.layers(net), out / "layers.pt")
        print(json.dumps({"share": share, "held_out": found["held_out"], "count": processes.count()}))

others = processes.start(int(sys.argv[1]))
for words in sys.argv[2:]:
    out, sharded, steps = words.split(",")
    run(Path(out), sharded == "on", int(steps))
processes.finish(others)
"""


def run(folder: Path, processes: int, *runs: str, launcher: tuple[str, ...] = ()) -> list[dict]:
    """Run trainings, each OUT,SHARDED,STEPS, one after another in the same processes; returns their results."""
    file = folder / "work.py"
    file.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, *launcher, str(file), str(processes), *(f"{folder}/{each}" for each in runs)],
        capture_output=True, text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def trained(shared) -> Path:
    """Folders whole and spread, and found.json with the results of training in two processes (whole: not sharded;
    spread: sharded, for three steps and then for three more)."""

    def make(folder: Path) -> None:
        runs = ["whole,off,6"] + (["spread,on,3", "spread,on,6"] if CAN_LEAVE_OUT else [])
        (folder / "found.json").write_text(json.dumps(run(folder, 2, *runs)))

    return shared("sharding", make)


def layers(folder: Path) -> dict:
    return torch.load(folder / "layers.pt", weights_only=True)


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(
        torch.allclose(a, b, atol=1e-6) for name in one for a, b in zip(one[name], other[name], strict=True)
    )


@pytest.mark.skipif(not CAN_LEAVE_OUT, reason="needs PyTorch 2.7")
@pytest.mark.slow  # two processes that import torch, twice
def test_sharded_weights_train_the_same_adapter_and_a_run_goes_on(trained):
    plain, first, sharded = json.loads((trained / "found.json").read_text())
    assert plain["share"] == 1.0 and sharded["share"] < 0.6, "each process holds half of the frozen weights"
    assert sharded["held_out"] == pytest.approx(plain["held_out"], abs=1e-4) and first != sharded
    assert same(layers(trained / "whole"), layers(trained / "spread"))
    kept = torch.load(trained / "spread" / "checkpoint.pt", weights_only=True)["modules"]["net"]
    assert kept and all("lora_" in name for name in kept), "a checkpoint holds only trainable parameters"


@pytest.mark.slow  # seven processes that import torch
def test_a_launcher_starts_the_processes(tmp_path, trained):
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")
    (launched,) = run(tmp_path, 1, "launched,off,6", launcher=torchrun)
    own, *_ = json.loads((trained / "found.json").read_text())
    assert launched == own and launched["count"] == 2
    assert same(layers(tmp_path / "launched"), layers(trained / "whole"))


def test_blocks_are_the_outermost_lists(tmp_path):
    net = torch.nn.Module()
    net.one = torch.nn.ModuleList([torch.nn.ModuleList([torch.nn.Linear(2, 2)]), torch.nn.Linear(2, 2)])
    assert sharding.blocks(net) == list(net.one)


def test_adamw_in_8_bits_follows_adamw():
    pytest.importorskip("bitsandbytes")
    ends = []
    for kind in OPTIMIZERS:
        torch.manual_seed(0)
        weight = torch.nn.Parameter(torch.randn(64, 128))
        goal = torch.randn(64, 128)
        optimizer = optimizers.adam([weight], kind=kind, lr=0.05, device="cpu")
        for _ in range(40):
            optimizer.zero_grad()
            (weight - goal).square().sum().backward()
            optimizer.step()
        ends.append((float((weight - goal).detach().square().mean()), optimizer.state[weight]))
    assert ends[0][0] < 0.3 and ends[1][0] == pytest.approx(ends[0][0], rel=0.1)
    assert ends[1][1]["state1"].dtype == torch.uint8


@pytest.mark.parametrize(
    ("setting", "words"),
    [("optimizer=lion", "adamw, adamw8bit"), ("shard=on", "several processes"), ("shard=perhaps", "on or off")],
)
def test_refused_before_any_work(tmp_path, setting, words):
    asked = ["train", "lora", "--data", ".", "--set", setting, "--out", str(tmp_path / "x")]
    refused = CliRunner().invoke(app, asked)
    assert refused.exit_code == 2 and words in " ".join(refused.output.split())
