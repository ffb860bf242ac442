"""Authentication of the channel's owner by a secret token."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from ...core.errors import RequestError

SHORTEST = 16
TOKEN_ENV = "KINEMA_CHANNEL_TOKEN"


class Owner:
    """token: the secret; None disables the owner's API. RequestError: the token is too short."""

    def __init__(self, token: str | None) -> None:
        if token is not None and len(token) < SHORTEST:
            raise RequestError(
                f"The owner's token has {len(token)} characters.", field="token", legal=f"at least {SHORTEST}"
            )
        self._digest = None if token is None else _digest(token)

    @property
    def has_token(self) -> bool:
        return self._digest is not None

    def is_owner(self, authorization: str) -> bool:
        """Whether an Authorization header has the token, compared in constant time."""
        scheme, _, token = authorization.partition(" ")
        same = hmac.compare_digest(_digest(token.strip()), self._digest or b"")
        return same and scheme.lower() == "bearer"


def token_from(file: str | os.PathLike[str] | None = None) -> str | None:
    """The token from a file, else from the environment (KINEMA_CHANNEL_TOKEN), else None. RequestError: unreadable
    file."""
    if file is not None:
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(f"Cannot read the token file {file}: {error}.", field="token_file") from None
    return os.environ.get(TOKEN_ENV, "").strip() or None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
