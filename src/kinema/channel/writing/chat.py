"""Asking a language model behind any OpenAI-compatible chat endpoint for JSON.

Servers differ in what they can hold a model to: a JSON schema, any JSON object, or nothing. The first question finds
out (a server that cannot answers 400 or the like) and the answer is remembered. What fails in passing (time-outs, 429,
5xx, broken connections) is tried again after a pause that doubles. The key is read from an environment variable when it
is needed; it is in no log, error, or representation.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from ...core.conditions import Value
from ...core.errors import ModelError
from ...core.outside import parse_json
from ..http_client import AskError, TooSlow, Unreachable, ask, library

log = logging.getLogger("kinema.channel")
Mode = Literal["json_schema", "json_object", "text"]
MODES: tuple[Mode, ...] = ("json_schema", "json_object", "text")
UNABLE = (400, 404, 415, 422, 501)  # what servers answer to a response_format that they do not know
PASSING = (408, 409, 425, 429, 500, 502, 503, 504, 529)
MAX_ANSWER_BYTES = 2_000_000
LONGEST_PAUSE_S = 30.0
WHAT = "A language model"
Message = dict[str, str]


class ChatError(ModelError):
    """The endpoint gave no usable answer; the text says which and why."""


class Endpoint(Value):
    """Where a language model answers. base_url ends before /chat/completions, as https://api.example.org/v1. key_env:
    the name of the environment variable that holds the key; none where none is asked for. timeout_s: for one answer,
    from the first byte sent to the last one read. tries: of one question, of which all but the first come after a pause
    of pause_s, twice that, and so on."""

    base_url: Annotated[str, Field(min_length=1, max_length=500)]
    model: Annotated[str, Field(min_length=1, max_length=200)]
    key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    tries: Annotated[int, Field(ge=1, le=10)] = 3
    pause_s: Annotated[float, Field(ge=0, le=60)] = 1.0
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.9
    max_tokens: Annotated[int, Field(ge=256, le=100_000)] = 6000

    @model_validator(mode="after")
    def _a_plain_address(self) -> Endpoint:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("base_url is an http or https address, as http://127.0.0.1:8080/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "base_url has no user, password, query or fragment; a key goes into an environment variable"
            )
        return self

    @property
    def url(self) -> str:
        return self.base_url.rstrip("/") + "/chat/completions"

    @property
    def is_local(self) -> bool:
        return urlsplit(self.base_url).hostname in ("localhost", "127.0.0.1", "::1")


class Chat:
    """Questions to one endpoint. `sleep` and `environ` are seams for tests."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        sleep: Callable[[float], None] = time.sleep,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.endpoint, self.mode = endpoint, MODES[0]
        self._sleep, self._environ = sleep, environ

    def __repr__(self) -> str:
        return f"Chat({self.endpoint.url}, model={self.endpoint.model!r}, mode={self.mode!r})"

    def check(self) -> None:
        """Refuse what could never work, before any work: no client library, no key. ModelError."""
        library(WHAT)
        self._key()

    def ask(self, messages: list[Message], schema: dict[str, Any]) -> str:
        """The model's answer, meant to be JSON of this schema; the caller checks it. ChatError."""
        for mode in MODES[MODES.index(self.mode) :]:
            status, text = self._tried(messages, schema, mode)
            if status == 200:
                self.mode = mode
                return self._content(text)
            if status not in UNABLE or mode == MODES[-1]:
                raise ChatError(f"{self.endpoint.url} answered {status}: {self._shown(text)}")
            log.info("%s does not take %s (%d)", self.endpoint.url, mode, status)
        raise AssertionError("the last mode returns or raises")

    def _tried(self, messages: list[Message], schema: dict[str, Any], mode: Mode) -> tuple[int, str]:
        """Status and body of the first try that does not fail in passing. ChatError when all of them do."""
        why = ""
        for number in range(self.endpoint.tries):
            asked = 0.0
            try:
                status, text, asked = self._post(self._body(messages, schema, mode))
                if status not in PASSING:
                    return status, text
                why = f"answered {status}: {self._shown(text)}"
            except (TimeoutError, ConnectionError) as error:
                why = str(error)
            log.warning("%s %s (try %d of %d)", self.endpoint.url, why, number + 1, self.endpoint.tries)
            if number + 1 < self.endpoint.tries:
                self._sleep(min(max(self.endpoint.pause_s * 2**number, asked), LONGEST_PAUSE_S))
        raise ChatError(f"{self.endpoint.url} {why} ({self.endpoint.tries} tries)")

    def _body(self, messages: list[Message], schema: dict[str, Any], mode: Mode) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.endpoint.model, "messages": messages, "temperature": self.endpoint.temperature,
            "max_tokens": self.endpoint.max_tokens, "stream": False,
        }  # fmt: skip
        if mode == "json_schema":
            named = {"name": "episode", "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        elif mode == "json_object":
            body["response_format"] = {"type": "json_object"}
        return body

    def _post(self, body: dict[str, Any]) -> tuple[int, str, float]:
        """(status, body, pause in seconds that the server asks for). TimeoutError, ConnectionError, ChatError."""
        key = self._key()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            # A proxy from the environment is for the world outside.
            answer = ask(
                "POST", self.endpoint.url, body=body, headers=headers, limit_s=self.endpoint.timeout_s,
                max_bytes=MAX_ANSWER_BYTES, from_environment=not self.endpoint.is_local, what=WHAT,
            )  # fmt: skip
        except TooSlow:
            raise TimeoutError(f"did not answer within {self.endpoint.timeout_s:g} s") from None
        except Unreachable as error:
            raise ConnectionError(self._shown(error.why)) from None
        except AskError as error:
            raise ChatError(f"{self.endpoint.url} {self._shown(error.why)}") from None
        text = answer.body.decode("utf-8", "replace")
        return answer.status, text, _seconds(answer.headers.get("retry-after"))

    def _content(self, text: str) -> str:
        """What the model said, out of the server's envelope. ChatError."""
        found = parse_json(text, f"{self.endpoint.url}: the answer", dict, error=ChatError)
        choices = found.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(choice, dict) and isinstance(message, dict):
            content = message.get("content")
            if isinstance(content, list):
                parts = [part.get("text") for part in content if isinstance(part, dict)]
                content = "".join(part for part in parts if isinstance(part, str))
            if isinstance(content, str) and content.strip():
                return content
            why = f"an empty message (finish_reason {self._shown(repr(choice.get('finish_reason')))})"
        else:
            why = f"no chat completion: {self._shown(text)}"
        raise ChatError(f"{self.endpoint.url} answered with {why}")

    def _key(self) -> str:
        name = self.endpoint.key_env
        if name is None:
            return ""
        key = self._environ.get(name, "").strip()
        if not key:
            raise ModelError(f"The environment variable {name}, which should hold the key, is not set.")
        if not (key.isascii() and key.isprintable()):
            raise ModelError(f"The key in {name} has characters that no key has; it was not used.")
        return key

    def _shown(self, text: str) -> str:
        """What a server said, short, on one line, and without the key that it may have repeated."""
        name = self.endpoint.key_env
        key = self._environ.get(name, "").strip() if name else ""
        plain = text.replace(key, "***") if key else text
        plain = "".join(char if char.isprintable() else " " for char in plain)
        return plain if len(plain) <= 200 else f"{plain[:197]}..."


def _seconds(told: str | None) -> float:
    """A Retry-After header in seconds; 0 for none, or a date."""
    try:
        return max(float(told or 0), 0.0)
    except ValueError:
        return 0.0
