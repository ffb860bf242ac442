"""A secret token that clients send as `Authorization: Bearer TOKEN`, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac

from ..core.errors import RequestError

SHORTEST = 16


class BearerToken:
    """token: the secret; None allows nobody. what: its name in the error message. RequestError: it is too short."""

    def __init__(self, token: str | None, what: str = "The token") -> None:
        if token is not None and len(token) < SHORTEST:
            raise RequestError(f"{what} has {len(token)} characters.", field="token", legal=f"at least {SHORTEST}")
        self._digest = None if token is None else _digest(token)

    @property
    def is_set(self) -> bool:
        return self._digest is not None

    def allows(self, authorization: str) -> bool:
        """Whether an Authorization header has the token."""
        scheme, _, token = authorization.partition(" ")
        same = hmac.compare_digest(_digest(token.strip()), self._digest or b"")
        return same and scheme.lower() == "bearer"


def _digest(token: str) -> bytes:
    """The digests have one length, so that a comparison reveals nothing about the length of the token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
