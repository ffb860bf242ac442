"""Clips from a Gradio Space on somebody else's machine, as AI WebTV made its own: `space:owner/name`, or an address.

What a Space gives is a file from a stranger: it is fetched with a time limit and a size limit and decoded like any
other clip. A Space that cannot be reached, is asleep, full, or too slow is `Down`, and after some failures in a row it
is left alone for a while (breaker.py). A Space that says what is wrong with the request fails the shot.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...core.errors import KinemaError, ModelError, RequestError
from ..config import SPACE, secret
from ..writing.breaker import Breaker
from .elsewhere import MAX_BYTES, attempt
from .makers import Down, Job

CONNECT_S = 30.0
_FILLED = ("{prompt}", "{negative_prompt}", "{seed}", "{seconds}")


class SpaceMaker:
    """model: `space:owner/name` or `space:https://...`. breaker and sleep are seams for tests."""

    def __init__(self, model: str, breaker: Breaker | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self.model, self.where = model, model.removeprefix(SPACE)
        self.breaker = breaker if breaker is not None else Breaker(pause_s=30.0)
        self._sleep = sleep

    def check(self, job: Job) -> None:
        if not (self.where.startswith(("http://", "https://")) or self.where.count("/") == 1):
            raise RequestError(
                f"making.model = {self.model!r} is no Space.", field="making.model", value=self.model,
                legal="space:owner/name, or space:https://address",
            )  # fmt: skip
        _library()
        secret(job.space.get("key_env"))

    def make(self, job: Job, target: Path) -> None:
        attempt(self.breaker, self._sleep, lambda folder: self._fetch(job, folder, target))

    def _fetch(self, job: Job, folder: Path, target: Path) -> None:
        limit_s = float(job.space["timeout_s"])
        given = _within(limit_s, lambda: self._ask(job, folder, limit_s))
        path = _file_in(given)
        if path is None:
            raise KinemaError(f"{self.where} gave no clip but {str(given)[:120]!r}.")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise KinemaError(f"{self.where} gave a file of {size:,} bytes; {MAX_BYTES:,} at most.")
        from ...media.read import probe

        probe(path)
        shutil.copyfile(path, target)

    def _ask(self, job: Job, folder: Path, limit_s: float) -> Any:
        import httpx

        gradio_client = _library()
        token = secret(job.space.get("key_env")) or None
        values = {
            "{prompt}": job.prompt, "{negative_prompt}": job.negative_prompt, "{seed}": job.seed,
            "{seconds}": job.seconds,
        }  # fmt: skip
        inputs = [values.get(each, each) if isinstance(each, str) else each for each in job.space["inputs"]]
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # its client tells its makers about each use otherwise
        client = None
        try:
            client = gradio_client.Client(
                self.where, token=token, verbose=False, download_files=str(folder), analytics_enabled=False,
                httpx_kwargs={"timeout": httpx.Timeout(limit_s, connect=min(CONNECT_S, limit_s))},
            )  # fmt: skip
            return client.predict(*inputs, api_name=job.space["endpoint"])
        except gradio_client.exceptions.AppError as error:
            raise KinemaError(f"{self.where} refused: {str(error)[:300]}") from None
        except ValueError as error:
            if "api_name" in str(error):
                raise RequestError(
                    f"{self.where}: {error}", field="space.endpoint", value=job.space["endpoint"]
                ) from None
            raise Down(f"{self.where}: {error}") from None
        except Exception as error:  # of many kinds, its own and of three libraries below it
            raise Down(f"{self.where}: {type(error).__name__}: {str(error)[:300]}") from None
        finally:
            if client is not None:
                with contextlib.suppress(Exception):
                    client.close()


def _within(limit_s: float, work: Callable[[], Any]) -> Any:
    """The result of the work, which is left behind where it takes longer than this: Down."""
    found: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="kinema-space", daemon=True)
    thread.start()
    thread.join(limit_s)
    if failed:
        raise failed[0]
    if not found:
        raise Down(f"no clip within {limit_s:g} s")
    return found[0]


def _file_in(given: Any) -> Path | None:
    """The first file in what a Space returned: a path, or something that holds one."""
    if isinstance(given, str | Path):
        return Path(given) if Path(given).is_file() else None
    parts = given.values() if isinstance(given, dict) else given if isinstance(given, list | tuple) else ()
    return next((path for part in parts if (path := _file_in(part)) is not None), None)


def _library() -> Any:
    try:
        import gradio_client
        import gradio_client.exceptions
    except ImportError:
        raise ModelError("A Gradio Space needs gradio_client: pip install 'kinema[channel]'.") from None
    return gradio_client
