"""Estimates: GPUs by their real names, and equal results for a warm and a cold engine."""

from __future__ import annotations

import os

import pytest

from kinema.engine import estimate, plan
from kinema.engine.estimate import APPLE, OTHER_GPU, TFLOPS
from kinema.families.wan.cards import CARDS
from kinema.weights import device

WAN = next(card for card in CARDS if card.id == "wan2.1-t2v-14b")
NAMES = {
    "NVIDIA H200": "H200", "NVIDIA GH200 480GB": "GH200", "NVIDIA H100 80GB HBM3": "H100", "NVIDIA H100 PCIe": "H100",
    "NVIDIA H100 NVL": "H100", "NVIDIA A100-SXM4-80GB": "A100", "NVIDIA A100-PCIE-40GB": "A100",
    "A100-SXM4-40GB": "A100", "NVIDIA A800-SXM4-80GB": "A800", "NVIDIA L40S": "L40S", "NVIDIA L40": "L40",
    "NVIDIA GeForce RTX 5090": "5090", "NVIDIA GeForce RTX 4090": "4090", "NVIDIA GeForce RTX 4090 D": "4090",
    "NVIDIA GeForce RTX 3090 Ti": "3090", "NVIDIA A10": "A10", "NVIDIA A10G": "A10G", "Tesla T4": "T4",
    "NVIDIA RTX A1000": None, "NVIDIA RTX A1000 Laptop GPU": None, "NVIDIA T400 4GB": None, "NVIDIA T400": None,
    "NVIDIA L4": None, "NVIDIA A16": None, "NVIDIA H20": None, "NVIDIA RTX A4000": None, "Quadro RTX 4000": None,
    "NVIDIA RTX 6000 Ada Generation": None, "NVIDIA RTX A6000": None, "NVIDIA A30": None,
    "NVIDIA GeForce GTX 1080 Ti": None, "Tesla V100-SXM2-16GB": None, "AMD Instinct MI300X": None,
}  # fmt: skip
SMI = """#!/bin/sh
echo "0, GPU-aaaa, NVIDIA H200"
echo "1, GPU-bbbb, NVIDIA RTX A1000"
"""


@pytest.mark.parametrize("name", NAMES)
def test_names_are_whole_words(name):
    word = NAMES[name]
    assert estimate._rate(name) == (TFLOPS[word] if word else OTHER_GPU)
    assert estimate._rate(name.upper()) == estimate._rate(name)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with two GPUs, as reported by nvidia-smi."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(SMI)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(estimate, "version", lambda name: "2.13.0")

    def visible(value: str | None) -> None:
        estimate.this_device.cache_clear()
        estimate.visible_gpus.cache_clear()
        estimate.listed_gpus.cache_clear()
        if value is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)

    visible(None)
    yield visible
    estimate.this_device.cache_clear()
    estimate.visible_gpus.cache_clear()
    estimate.listed_gpus.cache_clear()


def test_devices_are_known_by_their_names(machine):
    known = estimate.device_name
    assert [known(each) for each in (None, "cuda", "cuda:0", "cuda:1")] == [
        "NVIDIA H200", "NVIDIA H200", "NVIDIA H200", "NVIDIA RTX A1000",
    ]  # fmt: skip
    assert [known(each) for each in ("cpu", "cpu:0", "mps", "mps:0")] == ["cpu", "cpu", "mps", "mps"]
    assert known("NVIDIA L40S") == "NVIDIA L40S" and known("cuda:7") == "cuda:7"
    assert estimate._rate("mps") == APPLE


@pytest.mark.parametrize(
    "visible, name",
    [
        ("1", "NVIDIA RTX A1000"),
        ("GPU-bbbb", "NVIDIA RTX A1000"),
        ("1,0", "NVIDIA RTX A1000"),
        ("", "cpu"),
        ("-1", "cpu"),
    ],
)
def test_only_visible_gpus_count(machine, visible, name):
    machine(visible)
    assert estimate.this_device() == name


def test_a_torch_for_cpus_finds_no_gpu(machine, monkeypatch):
    monkeypatch.setattr(estimate, "version", lambda name: "2.13.0+cpu")
    assert estimate.this_device() == "cpu"


def test_warm_or_cold_it_costs_the_same(machine, monkeypatch):
    """A loaded engine gets the name from torch, planning alone from nvidia-smi."""
    from kinema.engine.load import Engine

    monkeypatch.setattr("torch.cuda.get_device_name", lambda place: "NVIDIA H200")
    wanted = plan.Request(prompt="x", model=WAN.id, seed=1)
    cold = plan.plan(wanted, WAN)
    family = type("Loaded", (), {"card": WAN})()
    warm = Engine(WAN.id, family, None, "cuda:0").plan(wanted)
    assert warm.estimate == cold.estimate and warm.estimate.device == "NVIDIA H200"
    assert device.name_of("cuda") == "NVIDIA H200" and device.name_of("cpu") == "cpu"
    assert plan.plan(wanted, WAN, "cuda:1").estimate.seconds > 5 * cold.estimate.seconds


def test_an_upscale_is_counted_from_where_it_begins():
    asked = plan.Request(prompt="x", model="zeroscope", upscale={"by": "xl", "strength": 0.5}, seed=1, profile="exact")
    half = plan.plan(asked, device="NVIDIA H200").estimate
    whole = plan.plan(asked.changed(upscale={"by": "xl", "strength": 1.0}), device="NVIDIA H200").estimate
    first = plan.plan(asked.changed(upscale=()), device="NVIDIA H200").estimate
    assert (half.pflop - first.pflop) == pytest.approx((whole.pflop - first.pflop) / 2, rel=0.05)
