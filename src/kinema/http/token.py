"""A secret token, sent as `Authorization: Bearer TOKEN` or proved by a cookie; compared in constant time."""

from __future__ import annotations

import hashlib
import hmac

from ..core.errors import RequestError

SHORTEST = 16
COOKIE = "kinema_token"
"""The cookie of a page that cannot send a header with everything it loads. It proves the token and does not hold it."""


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

    def cookie(self) -> str:
        """The value of the cookie."""
        return hmac.new(self._digest or b"", b"cookie", "sha256").hexdigest()

    def allows_cookie(self, value: str) -> bool:
        """Whether a cookie proves the token."""
        return self._digest is not None and hmac.compare_digest(
            value.encode("utf-8", "replace"), self.cookie().encode()
        )


def _digest(token: str) -> bytes:
    """The digests have one length, so that a comparison reveals nothing about the length of the token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
