"""Clips from a Gradio Space (as in AI WebTV): `space:owner/name`, or an address.

The response of a Space is untrusted. gradio_client sends the request, limited in time, size and origin (http/client.py:
bounds_auth), but downloads nothing: its result may name any file of this machine, and its downloads follow any
address or redirect. The file is fetched here, from the Space itself, by its name there. A Space that is unreachable,
asleep, full or too slow is `Unavailable`; after several consecutive failures, the circuit breaker pauses requests
(breaker.py). An error about the request itself fails the shot.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...core.environ import secret
from ...core.errors import KinemaError, ModelError, RequestError
from ...core.extras import install_command
from ...core.outside import MAX_DEPTH, bounded, for_terminal
from ...http.client import Bounds, bounds_auth, download, send_request
from ..config import SPACE
from ..writing.breaker import Breaker
from .fetching import MAX_BYTES, accept, attempt
from .job import ClipTimeout, ShotOrder, Unavailable

HUB, HUB_S = "https://huggingface.co", 30.0
CHECK_S = 0.5
LONGEST_NAME, CALLER = 4096, "A Gradio Space"
_NAME = re.compile(r"\w[\w.-]{0,95}/\w[\w.-]{0,95}", re.ASCII)


class SpaceMaker:
    """model: `space:owner/name` or `space:https://...`. breaker, sleep: replaceable in tests."""

    def __init__(self, model: str, breaker: Breaker | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self.model, self.where = model, model.removeprefix(SPACE)
        self.breaker = breaker if breaker is not None else Breaker(pause_s=30.0)
        self._sleep = sleep

    def check(self, job: ShotOrder) -> None:
        if "@" in self.where or not (self._is_address or _NAME.fullmatch(self.where)):
            raise RequestError(
                f"making.model = {self.model!r} is not a Space.", field="making.model", value=self.model,
                legal="space:owner/name, or space:https://address",
            )  # fmt: skip
        _library()
        secret(job.space.get("key_env"))

    @property
    def _is_address(self) -> bool:
        return self.where.startswith(("http://", "https://"))

    def make(self, job: ShotOrder, target: Path) -> None:
        attempt(job, self.breaker, self._sleep, lambda folder: self._fetch(job, folder, target))

    def _fetch(self, job: ShotOrder, folder: Path, target: Path) -> None:
        limit_s = float(job.space["timeout_s"])
        token = secret(job.space.get("key_env"))
        address = self._address(token, limit_s)
        bounds = Bounds(address, limit_s)
        result, files, headers = _within(limit_s, job.check, lambda: self._predict(job, address, token, bounds))
        bounded(result, f"{self.where}: its result")
        path = _file_in(result)
        if path is None:
            raise KinemaError(f"{self.where} returned no clip but {for_terminal(repr(result), 120)}.")
        # The result names a file at the Space. The address is built here, so that it cannot point elsewhere.
        fetched = folder / "clip.mp4"
        url = f"{files}file={quote(path, safe='/')}"
        status = download(
            url, fetched, max_bytes=MAX_BYTES, headers=headers, from_environment=True, bounds=bounds, caller=CALLER
        )
        if status != 200:
            raise Unavailable(f"{self.where}: fetching the clip failed ({status}).")
        accept(fetched, target, self.where)

    def _address(self, token: str, limit_s: float) -> str:
        """The address of the Space, looked up on the hub if only its name is given."""
        if self._is_address:
            return self.where
        hub = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        response = send_request("GET", f"{hub}/api/spaces/{self.where}", limit_s=min(limit_s, HUB_S), headers=headers,
                     from_environment=True, caller=CALLER)  # fmt: skip
        if response.status != 200:
            raise Unavailable(f"{self.where}: the hub responded {response.status}: {response.text}")
        host = response.json(f"{self.where}: the hub's response").get("host")
        if not isinstance(host, str) or not host.startswith(f"{hub.partition(':')[0]}://"):
            raise Unavailable(f"{self.where}: the hub returned no address.")
        return host

    def _predict(self, job: ShotOrder, address: str, token: str, bounds: Bounds) -> tuple[Any, str, dict[str, str]]:
        """Call the Space; return (result, base address of its files, headers to fetch them)."""
        import httpx

        gradio_client = _library()
        values = {
            "{prompt}": job.prompt, "{negative_prompt}": job.negative_prompt, "{seed}": job.seed,
            "{seconds}": job.seconds,
        }  # fmt: skip
        inputs = [values.get(each, each) if isinstance(each, str) else each for each in job.space["inputs"]]
        client = None
        try:
            # token=False: do not send the token that this machine may have saved for the hub.
            client = _quiet(gradio_client)(
                address, token=token or False, verbose=False, download_files=False, analytics_enabled=False,
                httpx_kwargs={"timeout": bounds.timeout(httpx), "auth": bounds_auth(httpx, bounds)},
            )  # fmt: skip
            result = client.predict(*inputs, api_name=job.space["endpoint"])
            cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
            headers = {**client.headers, **({"cookie": cookies} if cookies else {})}
            return result, str(client.src_prefixed), headers
        except gradio_client.exceptions.AppError as error:
            raise KinemaError(f"{self.where} refused the request: {for_terminal(str(error), 300)}") from None
        except Exception as error:  # of many types, from gradio_client and the libraries below it
            if bounds.refused is not None:
                raise bounds.refused from None
            text = for_terminal(str(error), 300)
            if isinstance(error, ValueError) and "api_name" in text:
                raise RequestError(
                    f"{self.where}: {text}", field="space.endpoint", value=job.space["endpoint"]
                ) from None
            raise Unavailable(f"{self.where}: {type(error).__name__}: {text}") from None
        finally:
            if client is not None:
                with contextlib.suppress(Exception):
                    client.close()


def _within(limit_s: float, check: Callable[[], None], work: Callable[[], Any]) -> Any:
    """The result of `work`, run in a thread that is abandoned after `limit_s` (ClipTimeout), or when `check` raises."""
    results: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="kinema-space", daemon=True)
    thread.start()
    end = time.monotonic() + limit_s
    while thread.is_alive() and (left_s := end - time.monotonic()) > 0:
        thread.join(min(left_s, CHECK_S))
        check()
    if failed:
        raise failed[0]
    if not results:
        raise ClipTimeout(f"no clip within {limit_s:g} s")
    return results[0]


def _file_in(result: Any, depth: int = MAX_DEPTH) -> str | None:
    """The name, at the Space, of the first file in a result. Plain text never names a file."""
    if isinstance(result, dict):
        path = result.get("path")
        if isinstance(path, str) and 0 < len(path) <= LONGEST_NAME and not result.get("is_stream"):
            return path
    if not depth:
        return None
    parts = result.values() if isinstance(result, dict) else result if isinstance(result, list | tuple) else ()
    return next((path for part in parts if (path := _file_in(part, depth - 1)) is not None), None)


def _quiet(gradio_client: Any) -> Any:
    """gradio_client's Client without telemetry, which otherwise only an environment variable disables."""

    class Quiet(gradio_client.Client):  # type: ignore[misc, name-defined]
        def _telemetry_thread(self) -> None:
            pass

    return Quiet


def _library() -> Any:
    try:
        import gradio_client
        import gradio_client.exceptions
    except ImportError:
        raise ModelError(f"A Gradio Space requires gradio_client: {install_command('channel')}") from None
    return gradio_client
