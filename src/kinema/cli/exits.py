"""How a command ends: 0 done, 1 failed, 2 a bad request or usage, 3 done in part (an object that was lost), 130 Ctrl-C,
143 terminated.

Every deliberate error is one clear message without a traceback; with `--json`, one JSON object on stdout.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer

from kinema.cli import names
from kinema.cli.names import STDOUT
from kinema.cli.say import note, say, typed
from kinema.core.errors import Cancelled, KinemaError, RenamedWarning, RequestError

OK, FAILED, BAD_REQUEST, LOST, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143
TEXTS = ("prompt", "negative", "theme", "thing")
"""Arguments of commands that are words, and no names of files."""
STOPPED = "Stopped. Nothing half-written was left behind."


class Terminated(BaseException):
    """SIGTERM arrived. Not an Exception, so that nothing on the way out takes it for a failure."""


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its errors told and turned into exit codes. An argument `as_json` asks for JSON."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        as_json = bool(kwargs.get("as_json"))
        kwargs = {name: typed(value) if name in TEXTS and isinstance(value, str) else value for name, value in
                  kwargs.items()}  # fmt: skip
        aside = kwargs.get("output_") == STDOUT
        try:
            with _renamed_in_words():
                command(*args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:
            _forget_stdout()
            raise typer.Exit(FAILED) from None
        except (KeyboardInterrupt, Terminated, KinemaError, MemoryError) as error:
            tell(describe(error), as_json, aside)
            raise typer.Exit(exit_code(error)) from None
        except RuntimeError as error:
            if type(error).__name__ != "OutOfMemoryError":
                raise
            tell(describe(error), as_json, aside)
            raise typer.Exit(FAILED) from None
        finally:
            names.release()

    return run


@contextmanager
def _renamed_in_words() -> Iterator[None]:
    """An old name is told in one line on stderr, once."""
    told: set[str] = set()
    usual = warnings.showwarning

    def show(message: Any, category: type[Warning], *rest: Any, **more: Any) -> None:
        if not issubclass(category, RenamedWarning):
            usual(message, category, *rest, **more)
        elif str(message) not in told:
            told.add(str(message))
            note(f"Note: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", RenamedWarning)
        warnings.showwarning = show
        yield


def exit_code(error: BaseException) -> int:
    if isinstance(error, RequestError):
        return BAD_REQUEST
    if isinstance(error, KeyboardInterrupt | Cancelled):
        return INTERRUPTED
    return TERMINATED if isinstance(error, Terminated) else FAILED


def describe(error: BaseException) -> dict[str, Any]:
    """The error as a JSON-ready object with `error` (its kind) and `message`."""
    if isinstance(error, KinemaError):
        return error.to_dict()
    if isinstance(error, KeyboardInterrupt | Terminated):
        return {"error": "Cancelled", "message": STOPPED}
    return {
        "error": "OutOfMemory",
        "message": "There is not enough memory for this. A smaller size, fewer frames or a smaller model "
        "needs less; `kinema plan` with the same arguments tells how much is expected.",
    }


def tell(found: dict[str, Any], as_json: bool, aside: bool = False) -> None:
    """One JSON object on stdout, or the message in red on stderr. aside: all on stderr."""
    if as_json:
        typer.echo(json.dumps(found), err=aside)
    else:
        say(found["message"], err=True, color=typer.colors.RED)


def watch_for_sigterm() -> None:
    """From now on SIGTERM unwinds the work as Ctrl-C does, instead of killing it where it stands."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _forget_stdout() -> None:
    """Whoever read our output has gone; keep Python from complaining while it shuts down."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
