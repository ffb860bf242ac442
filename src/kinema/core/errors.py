"""All errors that Kinema raises.

KinemaError
  RequestError      a value in a request is not legal (field, value, legal values, nearest legal value)
    OutsideDomain   an input is outside the domain that a model was trained on
  ModelError        a model is unknown, incomplete or cannot be loaded
    WeightsMissing  the model is known, but its files are not on this machine
  MediaError        a picture, clip or sound file cannot be read or written
  Cancelled         the caller asked to stop
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class KinemaError(Exception):
    """Base class of all errors that Kinema raises; the message is written for the user."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready description, for `--json` and HTTP."""
        return {"error": type(self).__name__, "message": str(self)}


class RequestError(KinemaError):
    """A value of a request is not legal, or the chosen model does not support it.

    `field`: the request's field (dotted for conditions). `value`: the value given. `legal`: a description of legal
    values. `nearest`: the closest legal value. `models`: known models that accept the value. `here`: those of them
    whose weights are on this machine.
    """

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        value: Any = None,
        legal: str = "",
        nearest: Any = None,
        models: Sequence[str] = (),
        here: Sequence[str] = (),
    ) -> None:
        self.message, self.field, self.value = message, field, value
        self.legal, self.nearest, self.models, self.here = legal, nearest, tuple(models), tuple(here)
        parts = [message]
        if legal:
            parts.append(f"Legal: {legal}.")
        if nearest is not None:
            parts.append(f"Nearest legal value: {nearest}.")
        if self.models:
            named = (f"{name} (on this machine)" if name in self.here else name for name in self.models)
            parts.append(f"Models that can: {', '.join(named)}.")
        super().__init__(" ".join(parts))

    def to_dict(self) -> dict[str, Any]:
        found = {
            "field": self.field,
            "value": _plain(self.value),
            "legal": self.legal,
            "nearest": _plain(self.nearest),
            "models": list(self.models),
            "here": list(self.here),
        }
        return {
            **super().to_dict(),
            **{key: value for key, value in found.items() if value not in (None, "", [])},
        }


class OutsideDomain(RequestError):
    """An input is outside the domain that the model was trained on (a photograph for a model of drawings)."""


class OutsideDomainWarning(UserWarning):
    """As OutsideDomain, from Python, where generation continues."""


class RenamedWarning(FutureWarning):
    """An option or field was passed by its old name; the next version refuses that name."""


class ModelError(KinemaError):
    """A model is unknown, incomplete, of an unsupported kind, or fails to load."""


class WeightsMissing(ModelError):
    """The model is known but its weights are not on this machine; the text says how to get them."""


class MediaError(KinemaError):
    """A picture, clip or sound file cannot be read or written; the text names the file and the reason."""


class Cancelled(KinemaError):
    """The work was stopped on request; no partial output remains."""


def error_from_dict(data: Any, message: str) -> KinemaError:
    """The error that another process described by `to_dict`; a plain KinemaError with `message` if it is none."""
    known: list[type[KinemaError]] = [KinemaError, *_below(KinemaError)]
    kinds = {each.__name__: each for each in known if each.__module__ == __name__}
    kind = kinds.get(str(data.get("error"))) if isinstance(data, dict) else None
    error = (kind or KinemaError)(str(data["message"]) if kind is not None and "message" in data else message)
    if isinstance(error, RequestError):  # its message has the legal values already
        error.field, error.value = str(data.get("field", "")), data.get("value")
    return error


def _below(kind: type[KinemaError]) -> list[type[KinemaError]]:
    return [each for below in kind.__subclasses__() for each in (below, *_below(below))]


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | dict | type(None)) else str(value)
