"""Conversion of pickled checkpoints to safetensors, in a process that runs no code from them."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from kinema.core.errors import ModelError
from kinema.weights import convert as convert_file
from kinema.weights.convert import convert


class Here:
    """Stands in for subprocess.Popen: does the child's work in this process, which has imported torch already."""

    def __init__(self, command, **_):
        self.paths, self.stdin, self.returncode = [Path(each) for each in command[3:5]], None, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def communicate(self, timeout):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            try:
                convert_file.main(*self.paths)
            except SystemExit as stop:
                self.returncode = 1
                return "", str(stop)
        return said.getvalue(), ""


@pytest.fixture
def in_this_process(monkeypatch):
    """No child is started: a test of the contents of files, of which others start one."""
    known = SimpleNamespace(Popen=Here, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(convert_file, "subprocess", known)


@pytest.mark.parametrize("inside", [None, "state_dict"])
def test_tensors_come_over_by_name(tmp_path, inside, request):
    if inside:
        request.getfixturevalue("in_this_process")
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


def test_code_in_a_pickle_is_never_run(tmp_path, request):
    torch.save({"state_dict": {"a": torch.zeros(2)}, "more": Evil(tmp_path / "run")}, tmp_path / "evil.ckpt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Evil(tmp_path / "run")))
    for name in ("evil.ckpt", "bare.pt"):
        if name == "bare.pt":
            request.getfixturevalue("in_this_process")
        with pytest.raises(ModelError, match=r"more than tensors|cannot be converted"):
            convert(tmp_path / name, tmp_path / "out.safetensors")
    assert not (tmp_path / "run").exists() and not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "content", "target", "words"),
    [
        ("absent.ckpt", None, "o.safetensors", "no such file"),
        ("a.txt", b"x", "o.safetensors", "not a pickled checkpoint"),
        ("a.ckpt", b"x" * 50, "o.safetensors", "cannot be converted"),
        ("a.ckpt", b"x", "o.bin", "must end with .safetensors"),
    ],
)
def test_refusals(in_this_process, tmp_path, name, content, target, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=words):
        convert(tmp_path / name, tmp_path / target)


def test_permissions_follow_the_umask_and_nothing_is_left(in_this_process, tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "a.ckpt")
    before = os.umask(0o027)
    try:
        convert(tmp_path / "a.ckpt", tmp_path / "a.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.ckpt", "a.safetensors"]


PARENT = """
import subprocess, sys
from pathlib import Path
from kinema.weights import convert
real = subprocess.Popen
class Slow(real):
    def __init__(self, command, **settings):
        code = "import time, sys; from kinema.weights import convert; convert.end_with_parent(); time.sleep(60)"
        super().__init__([command[0], "-c", code], **settings)
        print(self.pid, flush=True)
convert.subprocess.Popen = Slow
convert.convert(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_the_child_ends_with_its_parent(tmp_path):
    """Also if the parent is killed."""
    import psutil

    (tmp_path / "a.ckpt").write_bytes(b"x")
    names = [str(tmp_path / "a.ckpt"), str(tmp_path / "a.safetensors")]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, *names], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.is_running()
    parent.kill()
    parent.wait()
    until = time.monotonic() + 30
    while time.monotonic() < until and child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.02)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_what_takes_too_long_is_ended(tmp_path, monkeypatch):
    torch.save({"a": torch.zeros(2)}, tmp_path / "a.ckpt")
    monkeypatch.setattr(convert_file, "TIMEOUT_S", 0.01)
    with pytest.raises(ModelError, match="timeout after"):
        convert(tmp_path / "a.ckpt", tmp_path / "a.safetensors")
    assert [each.name for each in tmp_path.iterdir()] == ["a.ckpt"]


def test_a_file_without_tensors(in_this_process, tmp_path):
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match="no named tensors"):
        convert(tmp_path / "a.pth", tmp_path / "a.safetensors")
