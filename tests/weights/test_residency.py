"""Networks that do not fit: which blocks are on the device when, how often each is copied, and that results are equal.
The device is a stand-in: "on it" means that parameters point to copies."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from kinema.weights.block_mover import BlockMover, bytes_of
from kinema.weights.residency import Residency

CPU = torch.device("cpu")


class Block(nn.Module):
    def __init__(self, log: list, number: int) -> None:
        super().__init__()
        self.linear, self.log, self.number = nn.Linear(8, 8), log, number

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.log.append(self.number)
        assert self.linear.weight.data_ptr() != self.home, "it computes on the device"
        return torch.tanh(self.linear(x))


class Network(nn.Module):
    def __init__(self, count: int = 6) -> None:
        super().__init__()
        self.calls: list[int] = []
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 8)
        self.blocks = nn.ModuleList(Block(self.calls, number) for number in range(count))

    def forward(self, x: torch.Tensor, left_out: tuple[int, ...] = ()) -> torch.Tensor:
        x = self.first(x)
        for number, block in enumerate(self.blocks):
            if number not in left_out:
                x = block(x)
        return self.last(x)


class Device:
    """Records what is on it: `there`, the most at once, and every copy."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.there: set[int] = set()
        self.most, self.copies = 0, []
        copy, back, to = BlockMover._copy, BlockMover._put_back, nn.Module.to

        def copied(mover: BlockMover, index: int) -> None:
            for part, master in mover.masters[index]:
                part.data = master.clone()
            self.there.add(index)
            self.most = max(self.most, len(self.there))
            self.copies.append(index)

        def put_back(mover: BlockMover, index: int) -> None:
            back(mover, index)
            self.there.discard(index)

        def moved(module: nn.Module, *given) -> nn.Module:
            if isinstance(module, Block) and given == (CPU,):  # to the device: the CPU as torch.device, not by name
                module.linear.weight.data = module.linear.weight.data.clone()
                self.copies.append(module.number)
            return to(module, *given)

        assert copy is not None
        monkeypatch.setattr(BlockMover, "_copy", copied)
        monkeypatch.setattr(BlockMover, "_put_back", put_back)
        monkeypatch.setattr(nn.Module, "to", moved)


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    found = Network().requires_grad_(False)
    for block in found.blocks:
        block.home = block.linear.weight.data_ptr()
    return found


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 8, generator=torch.Generator().manual_seed(1))


def plain(network: Network, x: torch.Tensor, left_out: tuple[int, ...] = ()) -> torch.Tensor:
    homes = [block.home for block in network.blocks]
    for block in network.blocks:
        block.home = 0
    found = network(x, left_out)
    for block, home in zip(network.blocks, homes, strict=True):
        block.home = home
    network.calls.clear()
    return found


@pytest.mark.parametrize(("fit", "stay"), [(0, 0), (2, 0), (4, 2), (5, 3)])
def test_as_many_blocks_as_fit_stay_and_the_others_are_copied_once_a_call(network, x, monkeypatch, fit, stay):
    wanted, device = plain(network, x), Device(monkeypatch)
    block, rest = bytes_of(network.blocks[0]), bytes_of(network) - 6 * bytes_of(network.blocks[0])
    residency = Residency(CPU, [], staged=True, blocks={network: network.blocks}, most=rest + fit * block + 1)
    for _ in range(3):
        with residency.using(network):
            assert torch.equal(network(x), wanted)
    assert network.calls == 3 * list(range(6))
    again = [3] * (6 - stay)
    again[0] += 1  # for the next step, which does not come
    assert [device.copies.count(number) for number in range(6)] == [1] * stay + again
    assert device.most <= 2, "the one that computes, and the next"
    residency.release()
    assert not device.there and residency.there == []
    assert [each.linear.weight.data_ptr() for each in network.blocks[stay:]] == [
        each.home for each in network.blocks[stay:]
    ]
    assert not any(each._forward_pre_hooks or each._forward_hooks for each in network.blocks)


def test_the_next_block_is_copied_while_one_computes_in_the_order_of_the_calls(network, x, monkeypatch):
    device = Device(monkeypatch)
    seen = []
    forward = Block.forward
    monkeypatch.setattr(
        Block, "forward", lambda block, x: (seen.append((block.number, sorted(device.there))), forward(block, x))[1]
    )
    residency = Residency(CPU, [], staged=True, blocks={network: network.blocks}, most=1.0)
    with residency.using(network):
        network(x)
        network(x, (2, 3))  # found out by the calls
        network(x, (2, 3))
    first, second, third = seen[:6], seen[6:10], seen[10:]
    assert first == [(number, sorted({number, min(number + 1, 5)})) for number in range(6)]
    assert second[1] == (1, [1, 2]) and third[1] == (1, [1, 4])
    assert device.copies.count(2) == 2, "copied in vain once, when it was first left out"


@pytest.mark.parametrize(("free_blocks", "pinned"), [(13, 6), (11, 0)])
def test_memory_is_pinned_only_if_half_of_what_is_free_suffices(network, monkeypatch, free_blocks, pinned):
    available = free_blocks * bytes_of(network.blocks[0])
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=available))
    done = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda part: (done.append(part), part.clone())[1])
    mover = BlockMover(network.blocks, CPU)
    mover.device = SimpleNamespace(type="cuda")  # type: ignore[assignment]
    mover.start()
    assert len(done) == 2 * pinned, "weights and biases"
    mover.stop()


def test_an_adapter_in_between_is_found(network, x, monkeypatch):
    Device(monkeypatch)
    residency = Residency(CPU, [], staged=True, blocks={network: network.blocks}, most=1.0)
    with residency.using(network):
        before = network(x)
    network.blocks[2].more = nn.Linear(8, 8)
    network.blocks[4].linear.weight.data.add_(0.5)
    with residency.using(network):
        assert not torch.equal(network(x), before)
        mover = residency.movers[network]
        assert any(part is network.blocks[2].more.weight for part, _ in mover.masters[2])


def test_a_larger_clip_leaves_less_room_for_weights():
    modules = [nn.Linear(64, 64) for _ in range(3)]
    log = []
    for number, module in enumerate(modules):
        module.to = lambda place, number=number: log.append((number, str(place)))  # type: ignore[method-assign]
    residency = Residency(CPU, modules)
    assert not residency.staged and len(log) == 3
    for free, work, staged in (
        (1e5, 1e4, False),
        (1e5, 6e4, True),
        (1e5, 6e4, True),
        (1e5, 1e4, False),
        (5e4, 0, True),
    ):
        residency._place_for(free, work)
        assert residency.staged is staged and residency.most == min(0.75 * free, free - work)
    assert [number for number, _ in log] == [0, 1, 2] * 4, "moved only when the way changes"
    residency.fit(1e12)
    assert residency.most == 0.75 * 5e4, "a CPU has no such limit"


def test_one_expert_is_there_until_the_other_is_needed(x):
    log = []
    experts = [nn.Linear(8, 8) for _ in range(2)]
    small = nn.Linear(1, 1)
    for number, module in enumerate((*experts, small)):
        module.to = lambda *given, number=number: log.append((number, given == ("cpu",)))  # type: ignore[method-assign]
    residency = Residency(CPU, [], staged=True, most=1000.0)
    for number in (0, 0, 0, 1, 1):
        with residency.using(experts[number]):
            pass
        with residency.using(small):
            pass
    there = [(number, back) for number, back in log if number < 2 and back]
    assert there == [(0, True)], "it left once, when the other one came"
    with residency.using(experts[1]), residency.using(experts[0]):
        assert experts[1] in residency.there, "what is in use stays"
    residency.release()
    assert residency.there == []
