"""Shared fixtures. Tests run on the CPU, offline, and never touch the user's own Kinema folder."""

from __future__ import annotations

import functools
import gc
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.testing
from once import once
from time_limit import TimeLimit

import kinema  # noqa: F401  before any test imports torch: see kinema/core/threads.py

os.environ.setdefault("HF_HUB_OFFLINE", "1")
typer.testing._get_command = functools.cache(typer.testing._get_command)
"""All commands of an app are built once, not for each of thousands of invocations: 60 ms of the 75 of `kinema plan`."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell
    signal.signal(signal.SIGINT, signal.default_int_handler)

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure(config):
    config.pluginmanager.register(TimeLimit(), "time-limit")


def pytest_collection_modifyitems(items):
    """Files that train go first: their tests are the longest, and several workers are then done at the same time."""
    items.sort(key=lambda item: "training" not in item.path.parts)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What test modules import stays: it is not scanned for garbage, now or with every full collection later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True, scope="session")
def _own_home(tmp_path_factory):
    os.environ["KINEMA_HOME"] = str(tmp_path_factory.mktemp("kinema-home"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Callable[[str, Callable[[Path], None]], Path]:
    """shared(name, make): the folder that `make` fills, once for all workers of a run (once.py)."""
    return lambda name, make: once(tmp_path_factory, name, make)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real pictures and clips beside the project; a test that needs them is skipped, aloud, where they are not."""
    if not DATA.is_dir():
        pytest.skip("the folder shared/data with real inputs is not beside this checkout")
    return DATA


@pytest.fixture(scope="session")
def mini_path() -> Path:
    """Folder of the miniature: the shipped one, or a checkpoint under test named by KINEMA_TEST_MODEL."""
    from kinema.weights import store

    if given := os.environ.get("KINEMA_TEST_MODEL"):
        return Path(given)
    return store.locate(store.find("kinema-mini-wan"))


@pytest.fixture(scope="session")
def mini(mini_path):
    """The miniature, warm, as an Engine."""
    from kinema.engine.load import Engine
    from kinema.families.wan.cards import MINI
    from kinema.families.wan.checkpoint import load

    return Engine(MINI.id, load(MINI, mini_path, device="cpu"), mini_path, "cpu")
