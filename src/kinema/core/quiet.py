"""Suppresses warnings, log lines and progress bars of libraries while Kinema calls them.

They are written for developers: a bar for reading 32 small tensors, a hint at an optional package, a deprecated
setting. Errors are reported as KinemaError. The block restores the user's settings, and more verbose settings of the
user (`python -W`, a level below WARNING, TRANSFORMERS_VERBOSITY, ...) stay in effect.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from .closing import closed_after

LIBRARIES = (
    "torch", "torchao", "transformers", "diffusers", "peft", "accelerate", "huggingface_hub", "bitsandbytes",
    "safetensors", "tokenizers",
)  # fmt: skip
VERBOSITY = {
    "transformers": "TRANSFORMERS_VERBOSITY", "diffusers": "DIFFUSERS_VERBOSITY", "huggingface_hub": "HF_HUB_VERBOSITY",
}  # fmt: skip
"""Variables that these libraries read at first import, when they reset the levels of their loggers."""
BARS = "HF_HUB_DISABLE_PROGRESS_BARS"
SOURCES = rf"({'|'.join(LIBRARIES)}|kinema)(\.|$)"
"""Modules whose warnings are suppressed. Warnings from C++ carry the name of the calling module, which may be one of
Kinema's."""

T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., Any])
_lock = threading.RLock()
_depth = 0
_settings = ExitStack()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence libraries that are called or imported in this block. Reentrant and thread-safe: the first entry changes
    the settings, the last exit restores them."""
    global _depth, _settings
    with _lock:
        if _depth == 0:
            _settings = ExitStack()
            for part in (_warnings, _loggers, _bars):
                _settings.enter_context(part())
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _settings.close()


def quiet_process() -> None:
    """As `quiet`, for the rest of a process that belongs to Kinema (a command, a worker) and its child processes.
    Imports no library."""
    for variable in VERBOSITY.values():
        os.environ.setdefault(variable, "error")
    os.environ.setdefault(BARS, "1")
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", module=SOURCES)
    for logger in _hushed():
        logger.setLevel(logging.ERROR)


def quietly(function: Function) -> Function:
    """Wrap a function in `quiet`. Of a generator every step is quiet, but not the caller's code between steps."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def steps(*args: Any, **kwargs: Any) -> Iterator[Any]:
            return _steps(function(*args, **kwargs))

        return steps  # type: ignore[return-value]

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with quiet():
            return function(*args, **kwargs)

    return call  # type: ignore[return-value]


def _steps(items: Iterator[T]) -> Iterator[T]:
    with closed_after(items):
        while True:
            with quiet():
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item


@contextmanager
def _warnings() -> Iterator[None]:
    if sys.warnoptions:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=SOURCES)
        yield


def _hushed() -> list[logging.Logger]:
    """The libraries' loggers at their default level: unset, or WARNING, which the libraries set themselves."""
    found = [logging.getLogger(name) for name in LIBRARIES]
    return [logger for logger in found if logger.level in (logging.NOTSET, logging.WARNING)]


@contextmanager
def _loggers() -> Iterator[None]:
    before = {logger: logger.level for logger in _hushed()}
    new = {name: variable for name, variable in VERBOSITY.items() if name not in sys.modules}
    added = [variable for variable in new.values() if variable not in os.environ]
    for variable in added:
        os.environ[variable] = "error"
    for logger in before:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for variable in added:
            os.environ.pop(variable, None)
        for logger, level in before.items():
            first = logger.name in new and logger.name in sys.modules
            if logger.level == logging.ERROR:
                logger.setLevel(logging.WARNING if first and level == logging.NOTSET else level)


@contextmanager
def _bars() -> Iterator[None]:
    """Disable the bars of huggingface_hub, whose setting transformers copies at import, and those of transformers and
    diffusers if they are imported."""
    try:
        from huggingface_hub import constants, utils
    except ImportError:
        yield
        return
    if constants.HF_HUB_DISABLE_PROGRESS_BARS is False:  # the user enabled them explicitly
        yield
        return
    hub = not utils.are_progress_bars_disabled()
    names = ("transformers.utils.logging", "diffusers.utils.logging")
    before = {name: sys.modules[name].is_progress_bar_enabled() for name in names if name in sys.modules}
    for name in before:
        sys.modules[name].disable_progress_bar()
    utils.disable_progress_bars()
    try:
        yield
    finally:
        for name in names:
            if name in sys.modules and before.get(name, hub):
                sys.modules[name].enable_progress_bar()  # transformers' enables the hub's too, so the hub comes last
        (utils.enable_progress_bars if hub else utils.disable_progress_bars)()
