"""Waiting threads do not spin, in any process, unless the user configures it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kinema
from kinema.core import threads

CLEAN = {name: value for name, value in os.environ.items() if name not in (*threads.WAITING, "OMP_NUM_THREADS")}
SPINS = "GOMP_SPINCOUNT = "
LIBRARY = """
import ctypes, importlib.util
from pathlib import Path
for folder in importlib.util.find_spec("torch").submodule_search_locations:
    for file in [*Path(folder).glob("lib/libgomp*"), *Path(folder).parent.glob("torch.libs/libgomp*")][:1]:
        ctypes.CDLL(str(file))
"""
"""Loads torch's OpenMP library alone: it reads its settings then, and importing torch takes seconds."""


def loaded(code: str, **given: str) -> str:
    """The settings that torch's OpenMP library prints when it is loaded."""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**CLEAN, "OMP_DISPLAY_ENV": "VERBOSE", **given},
    )  # fmt: skip
    lines = [line.strip() for line in run.stderr.splitlines() if SPINS in line or "OMP_WAIT_POLICY" in line]
    if not any(SPINS in line for line in lines):
        pytest.skip("this torch does not bring GNU's OpenMP library")
    return " ".join(lines)


@pytest.mark.parametrize(
    "first", ["import kinema", "from kinema.core.request import Request", "import kinema.cli.main"]
)
def test_torch_after_kinema_does_not_spin(first):
    said = loaded(f"{first}\n{LIBRARY}")
    assert f"GOMP_SPINCOUNT = '{threads.SPINS}'" in said


def test_torch_alone_spins():
    """Checks that the tests beside it can fail."""
    assert f"GOMP_SPINCOUNT = '{threads.SPINS}'" not in loaded(LIBRARY)


def test_importing_torch_loads_its_library_after_kinema():
    """With torch itself, whose parts might bring another library or load it earlier."""
    assert f"GOMP_SPINCOUNT = '{threads.SPINS}'" in loaded("import kinema, torch")


@pytest.mark.parametrize(
    ("given", "says"),
    [({"OMP_WAIT_POLICY": "ACTIVE"}, "'ACTIVE'"), ({"GOMP_SPINCOUNT": "1234"}, "GOMP_SPINCOUNT = '1234'")],
)
def test_the_users_own_setting_stays(given, says):
    assert says in loaded(f"import kinema\n{LIBRARY}", **given)


def test_a_container_with_a_grant_of_two_cores_gets_two_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "_affinity", lambda: 64)
    for text, cores in (
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("max 100000", 64),
        ("9900000 100000", 64),
        ("x", 64),
    ):
        (tmp_path / "cpu.max").write_text(text)
        monkeypatch.setattr(threads, "QUOTA", tmp_path / "cpu.max")
        assert threads.cores() == cores, text
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
        threads.settle()
        assert os.environ.get("OMP_NUM_THREADS") == (str(cores) if cores < 64 else None)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    (tmp_path / "cpu.max").write_text("200000 100000")
    threads.settle()
    assert os.environ["OMP_NUM_THREADS"] == "7"


@pytest.fixture
def undecided(monkeypatch):
    monkeypatch.setattr(threads, "_decided", None)
    monkeypatch.setattr(threads, "_affinity", lambda: 4)
    monkeypatch.setattr(threads.os, "cpu_count", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "QUOTA", Path("nowhere"))


@pytest.mark.parametrize(("busy", "left"), [(0.0, 4), (0.3, 4), (1.2, 3), (2.6, 1), (9.0, 1)])
def test_other_work_keeps_its_cores(undecided, monkeypatch, busy, left):
    monkeypatch.setattr(threads, "_others_busy", lambda since: busy)
    assert threads.free_cores() == left
    monkeypatch.setattr(threads, "_others_busy", lambda since: 0.0)
    assert threads.free_cores() == left, "one number for a whole process: the last bits depend on it"


def test_who_makes_a_clip_again_takes_its_number(undecided, monkeypatch):
    monkeypatch.setattr(threads, "_others_busy", lambda since: 9.0)
    threads.use_threads(3)
    assert threads.free_cores() == 3
    threads.use_threads(0)
    threads.use_threads(64)
    assert threads.free_cores() == 3, "unknown, or more than there are"
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(threads, "_decided", None)
    assert threads.free_cores() == 2


def test_only_work_of_ordinary_priority_counts():
    """Another busy process is detected; one of low priority is ignored."""
    if threads._busy_s() is None:
        pytest.skip("this system does not tell how busy it is")
    command = [sys.executable, "-c", "while True: pass"]
    polite = subprocess.Popen(["nice", "-n", "19", *command])
    try:
        before = threads._others_busy()
        with subprocess.Popen(command) as loud:
            try:
                beside = max(threads._others_busy() for _ in range(4))
            finally:
                loud.kill()
        assert beside > 0.3
        assert before < beside + 0.5
    finally:
        polite.kill()
        polite.wait()


def test_what_was_seen_while_a_model_was_loaded_costs_no_time(undecided, monkeypatch):
    """Other processes occupied three cores in the last two seconds."""
    seen = iter([threads.LoadSample(100.0, 50.0), threads.LoadSample(102.0, 56.0)])
    monkeypatch.setattr(threads.time, "monotonic", lambda: 102.0)
    monkeypatch.setattr(threads.time, "sleep", lambda seconds: seconds and pytest.fail("it waited"))
    since = next(seen)
    monkeypatch.setattr(threads, "sample_load", lambda: next(seen))
    assert threads.free_cores(since) == 1


def test_no_process_that_kinema_starts_drops_its_environment():
    """Child processes inherit the setting: every `env=` is based on os.environ."""
    root = Path(kinema.__file__).parent
    for path in (*root.rglob("*.py"), *(root.parents[1] / "recipes").glob("*.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "env=" in line and ("Popen" in line or "subprocess" in line or "stdin=" in line):
                assert "os.environ" in line, f"{path.name}: {line.strip()}"


@pytest.fixture
def queue(monkeypatch, tmp_path):
    """Reports the seconds that this process has run and waited."""
    monkeypatch.setattr(threads, "_queue", (0.0, 0.0))
    monkeypatch.setattr(threads, "_crowd", None)
    monkeypatch.setattr(threads, "SCHEDSTAT", tmp_path / "schedstat")
    monkeypatch.setattr("os.getloadavg", lambda: (7.0, 0, 0))
    monkeypatch.setattr(threads, "cores", lambda: 2)
    return lambda ran, waited: (tmp_path / "schedstat").write_text(f"{ran * 1e9:.0f} {waited * 1e9:.0f} 9\n")


def test_how_crowded_it_is_is_told_by_the_time_in_the_queue(queue):
    assert threads.crowd() == 2, "without the file, by the load"
    queue(0.01, 0.01)
    assert threads.crowd() == 2, "too little to tell"
    queue(1.0, 3.0)
    assert threads.crowd() == 4
    queue(1.1, 3.0)
    assert threads.crowd() == 4, "not enough has happened since"
    queue(3.0, 3.0)
    assert threads.crowd() == 1, "the others have gone"
    queue(4.0, 3.5)
    assert threads.crowd() == 1.5


def test_it_foretells_how_long_the_same_work_takes():
    """With busy processes on one core the slowdown is their number; on an idle core it is 1."""
    if threads._queued() is None or not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not tell how long a process waits for a core")
    told = subprocess.run(
        [sys.executable, "-c", SPIN], capture_output=True, text=True, check=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(kinema.__file__).parents[1])},
    ).stdout.split()  # fmt: skip
    expected, came = map(float, told)
    assert expected > 1.8, "two processes share the core with this one"
    assert 1 / 1.6 < came / expected < 1.6


SPIN = """
import os, subprocess, sys, time
from kinema.core import threads
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
def work(seconds):
    began, ran = time.perf_counter(), time.process_time()
    while time.process_time() - ran < seconds:
        pass
    return time.perf_counter() - began
try:
    work(0.1)
    threads.crowd()
    work(0.5)
    expected = threads.crowd()
    print(expected, work(1.0) / 1.0)
finally:
    for each in others:
        each.kill()
"""
