"""How weights are placed on GPUs of 8 to 80 GB, by the arithmetic of plans."""

from __future__ import annotations

import pytest

from kinema.core.errors import RequestError
from kinema.core.request import Request
from kinema.engine import placement
from kinema.engine.estimate import listed_gpus, weights_bytes
from kinema.engine.plan import plan
from kinema.weights import store

GPU = "NVIDIA H200"
GB = 2**30 / 1e9


def placed(model: str, size: tuple[int, int], frames: int, memory_gb: float, byte: int = 2):
    card = store.find(model)
    network = card.network
    if byte == 1:  # as a file of float8 has it
        card = card.model_copy(update={"network": network.model_copy(update={"stored_bytes": network.parameters})})
    found = plan(Request(prompt="x", model=model, width=size[0], height=size[1], frames=frames), card, GPU)
    return placement.with_way(found.estimate, found, card, memory_gb * GB), card


@pytest.mark.parametrize(
    ("model", "size", "frames", "byte", "memory_gb", "ram_gb", "way"),
    [
        ("wan2.2-ti2v-5b", (1280, 704), 121, 2, 24, 32, placement.NETWORKS),
        ("wan2.2-ti2v-5b", (832, 480), 121, 2, 12, 32, placement.BLOCKS),
        ("wan2.2-t2v-a14b", (832, 480), 81, 1, 12, 64, placement.BLOCKS),
        ("wan2.2-t2v-a14b", (1280, 720), 81, 1, 24, 64, placement.BLOCKS),
        ("wan2.2-t2v-a14b", (832, 480), 81, 2, 80, 96, placement.NETWORKS),
        ("wan2.1-t2v-1.3b", (832, 480), 81, 2, 24, 0, placement.WHOLE),
    ],
)
def test_targets(model, size, frames, byte, memory_gb, ram_gb, way) -> None:
    cost, _ = placed(model, size, frames, memory_gb, byte)
    assert cost.way == way and cost.gb <= memory_gb * GB and cost.ram_gb <= ram_gb * GB
    assert cost.ram_gb == 0 or way != placement.WHOLE


def test_what_fits_no_way_is_refused_before_weights_are_read() -> None:
    with pytest.raises(RequestError, match=r"needs about [\d.]+ GB.*at least; NVIDIA H200 has 4.3 GB") as error:
        placed("wan2.2-t2v-a14b", (1280, 720), 81, 4)
    assert "a GPU of" in str(error.value) and "fewer frames" in str(error.value)


def test_each_way_needs_less_of_the_gpu_than_the_one_before() -> None:
    for card in store.built_in_cards():
        if not hasattr(card.network, "layers") or not card.network.layers:
            continue
        found = placement.ways(card, (1.0, 0.5), GPU)
        assert [each.gpu_gb for each in found] == sorted((each.gpu_gb for each in found), reverse=True), card.id
        assert found[0].gpu_gb == pytest.approx(1 + weights_bytes(card.network, GPU) / 1e9)


def test_the_driver_is_asked(monkeypatch, tmp_path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        "#!/bin/sh\necho '0, GPU-a, NVIDIA GeForce RTX 3060, 12288'\n"
        "echo '1, GPU-b, NVIDIA GeForce RTX 3060, 8192'\necho junk\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    listed_gpus.cache_clear()
    assert placement.gpu_memory_gb() == {"NVIDIA GeForce RTX 3060": pytest.approx(8 * GB)}
    listed_gpus.cache_clear()
