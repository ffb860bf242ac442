"""JSON completions from OpenAI-compatible chat endpoints.

Servers support a JSON schema, any JSON object, or no response format. The first request determines which (unsupported
formats return 400 or similar), and the result is cached. Temporary failures (timeouts, 429, 5xx, broken connections)
are retried after a pause that doubles. The key is read from an environment variable when needed; it appears in no log,
error or repr.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from ..core.conditions import Value
from ..core.errors import ModelError, RequestError
from ..core.outside import parse_json
from .client import HttpError, HttpTimeout, Unreachable, load_httpx, send_request

log = logging.getLogger("kinema.http")
Mode = Literal["json_schema", "json_object", "text"]
MODES: tuple[Mode, ...] = ("json_schema", "json_object", "text")
UNSUPPORTED = (400, 404, 415, 422, 501)  # responses to an unsupported response_format
TEMPORARY = (408, 409, 425, 429, 500, 502, 503, 504, 529)
MAX_ANSWER_BYTES = 2_000_000
LONGEST_PAUSE_S = 30.0
CALLER = "A language model"
Message = dict[str, Any]
"""role and content; the content is text, or a list of parts for pictures."""


class ChatError(ModelError):
    """The endpoint returned no usable response."""


class Endpoint(Value):
    """A chat endpoint. base_url: the address without /chat/completions, such as https://api.example.org/v1. key_env:
    the environment variable that holds the key, or None. timeout_s: for one response, from connecting to the last byte.
    tries: attempts per request, with pauses of pause_s, doubled each time."""

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
            raise ValueError("base_url must be an http or https address such as http://127.0.0.1:8080/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "base_url must have no user, password, query or fragment; put the key into an environment variable"
            )
        return self

    @property
    def url(self) -> str:
        return self.base_url.rstrip("/") + "/chat/completions"

    @property
    def is_local(self) -> bool:
        return urlsplit(self.base_url).hostname in ("localhost", "127.0.0.1", "::1")


class Chat:
    """A client of one endpoint. sleep, environ: replaceable in tests."""

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
        """Check that the HTTP library is installed and the key is set. ModelError."""
        load_httpx(CALLER)
        self._key()

    def complete(self, messages: list[Message], schema: dict[str, Any], name: str) -> str:
        """The model's reply, intended as JSON of this schema but not validated. name: of the schema, for the server.
        ChatError."""
        for mode in MODES[MODES.index(self.mode) :]:
            status, text = self._post_with_retries(self._body(messages, schema, name, mode))
            if status == 200:
                self.mode = mode
                return self._content(text)
            if status not in UNSUPPORTED or mode == MODES[-1]:
                raise ChatError(f"{self.endpoint.url} responded {status}: {self._shown(text)}")
            log.info("%s does not support %s (%d)", self.endpoint.url, mode, status)
        raise AssertionError("the last mode returns or raises")

    def _post_with_retries(self, body: dict[str, Any]) -> tuple[int, str]:
        """Status and body of the first attempt without a temporary failure. ChatError if all attempts fail."""
        why = ""
        for number in range(self.endpoint.tries):
            wait_s = 0.0
            try:
                status, text, wait_s = self._post(body)
                if status not in TEMPORARY:
                    return status, text
                why = f"responded {status}: {self._shown(text)}"
            except (TimeoutError, ConnectionError) as error:
                why = str(error)
            log.warning("%s %s (attempt %d of %d)", self.endpoint.url, why, number + 1, self.endpoint.tries)
            if number + 1 < self.endpoint.tries:
                self._sleep(min(max(self.endpoint.pause_s * 2**number, wait_s), LONGEST_PAUSE_S))
        raise ChatError(f"{self.endpoint.url} {why} ({self.endpoint.tries} attempts)")

    def _body(self, messages: list[Message], schema: dict[str, Any], name: str, mode: Mode) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.endpoint.model, "messages": messages, "temperature": self.endpoint.temperature,
            "max_tokens": self.endpoint.max_tokens, "stream": False,
        }  # fmt: skip
        if mode == "json_schema":
            named = {"name": name, "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        elif mode == "json_object":
            body["response_format"] = {"type": "json_object"}
        return body

    def _post(self, body: dict[str, Any]) -> tuple[int, str, float]:
        """(status, body, seconds of Retry-After). TimeoutError, ConnectionError, ChatError."""
        key = self._key()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            # Proxies of the environment do not apply to local endpoints.
            response = send_request(
                "POST", self.endpoint.url, body=body, headers=headers, limit_s=self.endpoint.timeout_s,
                max_bytes=MAX_ANSWER_BYTES, from_environment=not self.endpoint.is_local, caller=CALLER,
            )  # fmt: skip
        except HttpTimeout:
            raise TimeoutError(f"did not respond within {self.endpoint.timeout_s:g} s") from None
        except Unreachable as error:
            raise ConnectionError(self._shown(error.why)) from None
        except HttpError as error:
            raise ChatError(f"{self.endpoint.url} {self._shown(error.why)}") from None
        text = response.body.decode("utf-8", "replace")
        return response.status, text, _seconds(response.headers.get("retry-after"))

    def _content(self, text: str) -> str:
        """The message of a chat completion. ChatError."""
        completion = parse_json(text, f"{self.endpoint.url}: the response", dict, error=ChatError)
        choices = completion.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(choice, dict) and isinstance(message, dict):
            content = message.get("content")
            if isinstance(refusal := message.get("refusal"), str) and refusal.strip():
                raise ChatError(f"{self.endpoint.url}: the model refuses: {self._shown(refusal)}")
            if isinstance(content, list):
                parts = [part.get("text") for part in content if isinstance(part, dict)]
                content = "".join(part for part in parts if isinstance(part, str))
            if isinstance(content, str) and content.strip():
                return content
            why = f"an empty message (finish_reason {self._shown(repr(choice.get('finish_reason')))})"
        else:
            why = f"no chat completion: {self._shown(text)}"
        raise ChatError(f"{self.endpoint.url} returned {why}")

    def _key(self) -> str:
        name = self.endpoint.key_env
        if name is None:
            return ""
        key = self._environ.get(name, "").strip()
        if not key:
            raise ModelError(f"The environment variable {name} (the endpoint's key) is not set.")
        if not (key.isascii() and key.isprintable()):
            raise ModelError(f"The key in {name} has illegal characters; printable ASCII is required.")
        return key

    def _shown(self, text: str) -> str:
        """A server's text for error messages: short, on one line, with the key redacted."""
        name = self.endpoint.key_env
        key = self._environ.get(name, "").strip() if name else ""
        plain = text.replace(key, "***") if key else text
        plain = "".join(char if char.isprintable() else " " for char in plain)
        return plain if len(plain) <= 200 else f"{plain[:197]}..."


def _seconds(header: str | None) -> float:
    """A Retry-After header in seconds; 0 if it is missing or a date."""
    try:
        return max(float(header or 0), 0.0)
    except ValueError:
        return 0.0


def extracted(reply: str, field: str) -> dict[str, Any]:
    """The JSON object in a reply that may have reasoning before it, code fences around it and text after it;
    of several, the one with `field`. RequestError if there is none. A part of a truncated object is not accepted."""
    text = re.sub(r"<think>.*?(?:</think>|\Z)", "", reply, flags=re.DOTALL)
    best: dict[str, Any] = {}
    decoder, why = json.JSONDecoder(), ""
    at = text.find("{")
    for _ in range(50):
        if at < 0:
            break
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            why = why or str(error) or type(error).__name__
            end = at + 1
        else:
            if field in found:
                return found
            best = best if best or why else found
        at = text.find("{", end)
    if best:
        return best
    raise RequestError(
        f"The reply is not a JSON object: {why or 'no { found'}.", field="answer", legal="one JSON object"
    )
