"""The time limit fails what is too dear and nothing else; what is shared between workers is made once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from once import once
from time_limit import LIMIT_S, Cost, Reading, crowded

TESTS = """
import subprocess, sys, time, pytest
BURN = "import time; t = time.process_time()\\nwhile time.process_time() - t < 0.5: pass"
@pytest.fixture
def dear(): exec(BURN)
def test_cheap(): pass
def test_burns(): exec(BURN)
def test_child_burns(): subprocess.run([sys.executable, "-c", BURN], check=True)
def test_fixture_burns(dear): pass
@pytest.mark.slow
def test_slow(): exec(BURN)
@pytest.mark.gpu
def test_gpu(): exec(BURN)
def test_wrong(): assert exec(BURN), "its own words"
"""


def test_over_the_limit_fails(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text(
        "from time_limit import TimeLimit\ndef pytest_configure(config): config.pluginmanager.register(TimeLimit())\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  slow: s\n  gpu: g\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "KINEMA_TEST_LIMIT": "0.2"},
    )  # fmt: skip
    told = {
        line.split("::")[1].split()[0]: line.split()[0] for line in done.stdout.splitlines() if "ED test_it" in line
    }
    assert told == {
        "test_cheap": "PASSED", "test_slow": "PASSED", "test_gpu": "PASSED", "test_burns": "FAILED",
        "test_child_burns": "FAILED", "test_fixture_burns": "FAILED", "test_wrong": "FAILED",
    }, done.stdout  # fmt: skip
    assert done.returncode == 1 and "test_burns cost" in done.stdout and "mark it slow" in done.stdout
    assert "its own words" in done.stdout and "test_wrong cost" not in done.stdout


@pytest.mark.parametrize(
    ("processor", "clock", "busy", "waited", "waiting", "limit", "too_much"),
    [
        (3, 4, 0, 0, 4, 15, False),
        (16, 17, 1, 0, 16, 15, True),
        (14, 90, 88, 0, 2, 30, False),  # a busy machine
        (31, 90, 88, 0, 2, 30, True),
        (1, 29, 2, 0, 27, 15, False),  # it sleeps
        (1, 33, 2, 0, 31, 15, True),
        (1, 40, 2, 37, 1, 30, False),  # it waits for what another worker makes
        (1, 99, None, 0, 0, 30, False),  # a machine that does not tell
        (40, 20, 5, 0, 15, 15, True),  # children on two cores
    ],
)
def test_what_counts(processor, clock, busy, waited, waiting, limit, too_much):
    before = Reading(100.0, 1000.0, None if busy is None else 50.0, 5.0)
    after = Reading(100.0 + processor, 1000.0 + clock, None if busy is None else 50.0 + busy, 5.0 + waited)
    found = Cost.between(before, after, 15.0)
    assert (found.processor, found.waiting, found.limit) == (pytest.approx(processor), pytest.approx(waiting), limit)
    assert found.too_much is too_much


def test_pressure(tmp_path):
    file = tmp_path / "cpu"
    assert crowded(file) is None
    file.write_text("some avg10=99.68 avg60=99.53 avg300=79.52 total=586922369\nfull avg10=0.00 total=1\n")
    assert crowded(file) == pytest.approx(586.922369)


def test_the_limit_is_in_force(request):
    assert request.config.pluginmanager.has_plugin("time-limit") and LIMIT_S > 0


def test_workers_share_what_one_made(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    made, folders = [], []
    factory = SimpleNamespace(getbasetemp=lambda: tmp_path / "popen-gw0")

    def make(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.1)
        (folder / "it").write_text("whole")

    workers = [threading.Thread(target=lambda: folders.append(once(factory, "model", make))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(made) == 1 and set(folders) == {tmp_path / "once" / "model"}
    assert (folders[0] / "it").read_text() == "whole"


def test_what_fails_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    factory = SimpleNamespace(getbasetemp=lambda: tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        once(factory, "model", fail)
    assert list(once(factory, "model", lambda folder: None).iterdir()) == []
