"""Pickled checkpoints to safetensors, in a process that cannot be made to run anything."""

from __future__ import annotations

import os
import pickle

import pytest
import torch
from safetensors.torch import load_file

from kinema.core.errors import ModelError
from kinema.weights.convert import convert


@pytest.mark.parametrize("inside", [None, "state_dict"])
def test_tensors_come_over_by_name(tmp_path, inside):
    state = {"a.weight": torch.randn(3, 4), "b": torch.arange(3)}
    shared = {**state, "again": state["a.weight"], "step": 7}
    torch.save({"state_dict": shared, "epoch": 3} if inside else shared, tmp_path / "mm.ckpt")
    assert convert(tmp_path / "mm.ckpt", tmp_path / "mm.safetensors") == 3
    found = load_file(tmp_path / "mm.safetensors")
    assert torch.equal(found["a.weight"], state["a.weight"]) and torch.equal(found["again"], state["a.weight"])


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_code_in_a_pickle_is_never_run(tmp_path):
    torch.save({"state_dict": {"a": torch.zeros(2)}, "more": Evil(tmp_path / "run")}, tmp_path / "evil.ckpt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Evil(tmp_path / "run")))
    for name in ("evil.ckpt", "bare.pt"):
        with pytest.raises(ModelError, match=r"more than tensors|cannot be converted"):
            convert(tmp_path / name, tmp_path / "out.safetensors")
    assert not (tmp_path / "run").exists() and not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "content", "target", "words"),
    [
        ("absent.ckpt", None, "o.safetensors", "no such file"),
        ("a.txt", b"x", "o.safetensors", "not a pickled checkpoint"),
        ("a.ckpt", b"x" * 50, "o.safetensors", "cannot be converted"),
        ("a.ckpt", b"x", "o.bin", "ends with .safetensors"),
    ],
)
def test_refusals(tmp_path, name, content, target, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=words):
        convert(tmp_path / name, tmp_path / target)


def test_a_file_without_tensors(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match="no named tensors"):
        convert(tmp_path / "a.pth", tmp_path / "a.safetensors")
