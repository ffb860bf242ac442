"""Libraries are silent while Kinema calls them, and the user's settings are restored afterwards."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import warnings

import pytest

from kinema.core import quiet as made
from kinema.core.quiet import LIBRARIES, quiet, quietly


def warn_as(module: str, text: str) -> None:
    """A warning attributed to a module of this name."""
    warnings.warn_explicit(text, UserWarning, f"{module}.py", 1, module=module)


def settings() -> tuple[object, ...]:
    from huggingface_hub.utils import are_progress_bars_disabled

    levels = [logging.getLogger(name).level for name in LIBRARIES]
    return list(warnings.filters), levels, dict(os.environ), are_progress_bars_disabled()


@pytest.fixture(autouse=True)
def as_a_user_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "warnoptions", [])


def test_what_is_told_and_what_is_not(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with quiet():
            for name in ("torch.functional", "diffusers.models", "transformers", "kinema.families.wan.model"):
                warn_as(name, "for programmers")
            warn_as("my_script", "the user's own")
            logging.getLogger("bitsandbytes.backends.cpu.ops").warning("pip install kernels")
            logging.getLogger("diffusers.models.modeling_utils").error("broken")
            logging.getLogger("my_script").warning("the user's own")
        warn_as("torch.functional", "after it")
    assert [str(each.message) for each in heard] == ["the user's own", "after it"]
    assert [record.message for record in caplog.records] == ["broken", "the user's own"]


def test_settings_come_back_also_after_an_error_and_when_nested() -> None:
    before = settings()
    with pytest.raises(ZeroDivisionError), quiet(), quiet():
        assert settings() != before
        raise ZeroDivisionError
    assert settings() == before


def test_levels_that_a_user_chose_stay(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("diffusers")
    before = logger.level
    try:
        logger.setLevel(logging.INFO)
        with quiet():
            logging.getLogger("diffusers.x").info("asked for")
            assert logger.level == logging.INFO
        assert logger.level == logging.INFO
    finally:
        logger.setLevel(before)


def test_w_option_of_python_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "warnoptions", ["always"])
    with pytest.warns(UserWarning, match="asked for"), quiet():
        warn_as("torch.functional", "asked for")


def test_several_threads_leave_the_settings_as_they_were() -> None:
    """The first thread to enter is the first to exit: the other stays quiet, and all settings are restored."""
    before, inside, left = settings(), threading.Event(), threading.Event()

    def other() -> None:
        with quiet():
            inside.set()
            left.wait(5)
            assert logging.getLogger("diffusers").level == logging.ERROR

    with quiet():
        thread = threading.Thread(target=other)
        thread.start()
        inside.wait(5)
    left.set()
    thread.join(5)
    assert settings() == before
    assert made._depth == 0


def test_generators_are_quiet_in_every_step_and_not_between() -> None:
    closed = []

    @quietly
    def steps():
        try:
            for number in range(3):
                warn_as("torch.functional", "for programmers")
                yield number
        finally:
            closed.append(True)

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        found = steps()
        for _ in range(2):
            next(found)
            warn_as("torch.functional", "the user's own call")
        found.close()
    assert len(heard) == 2 and closed == [True]


IMPORTED = """
import logging, os
from kinema.core.quiet import quiet
with quiet():
    from transformers.utils import logging as own
    own.get_logger("transformers.x")
    assert logging.getLogger("transformers").level == logging.ERROR
    assert not own.is_progress_bar_enabled()
print(logging.getLogger("transformers").level == logging.WARNING, own.is_progress_bar_enabled())
print("TRANSFORMERS_VERBOSITY" in os.environ)
"""


def test_libraries_that_are_imported_in_the_block_keep_their_usual_levels_afterwards() -> None:
    clean = {name: value for name, value in os.environ.items() if "VERBOSITY" not in name and "HF_HUB_D" not in name}
    told = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, env=clean)
    assert told.stdout.split() == ["True", "True", "False"], told.stderr
