"""Every error that Kinema raises on purpose.

KinemaError
  RequestError      a value in a request is not legal (which one, what is legal, the nearest legal value)
    OutsideDomain   a model is asked for what it has not learnt
  ModelError        a model is unknown, incomplete or cannot be loaded
    WeightsMissing  the model is known, its files are not on this machine
  MediaError        a picture, clip or sound file cannot be read or written
  Cancelled         the caller asked to stop
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class KinemaError(Exception):
    """Base of every deliberate error; its text is written for the person who made the request."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready description, for `--json` and HTTP."""
        return {"error": type(self).__name__, "message": str(self)}


class RequestError(KinemaError):
    """A request asks for something that is not legal, or that the chosen model cannot do.

    `field` is the request's field (dotted for conditions), `value` what was given, `legal` what would be legal in
    words, `nearest` the closest legal value, `models` the known models that accept the value as it is, `here` those
    of them whose weights are on this machine.
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
    """A model is asked for what it has not learnt (a photograph, of one that knows drawings alone), and nobody said to
    go on all the same."""


class OutsideDomainWarning(UserWarning):
    """The same from Python, where the work goes on."""


class RenamedWarning(FutureWarning):
    """An option or field was given by the name that it had in the version before; the next version refuses it."""


class ModelError(KinemaError):
    """A model is unknown, incomplete, of an unsupported kind, or fails to load."""


class WeightsMissing(ModelError):
    """The model is known but its weights are not on this machine; the text says how to get them."""


class MediaError(KinemaError):
    """A picture, clip or sound file cannot be read or written; the text names the file and the reason."""


class Cancelled(KinemaError):
    """The work was stopped on request; nothing half-done was left behind."""


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | dict | type(None)) else str(value)
