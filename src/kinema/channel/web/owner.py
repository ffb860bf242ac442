"""What an owner can do with a channel over HTTP, and who is taken for its owner: whoever has the token."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from ...core.errors import RequestError

SHORTEST = 16
TOKEN_ENV = "KINEMA_CHANNEL_TOKEN"


class Owner:
    """token: the secret; None: nobody is the owner, and the verbs are off. RequestError: too short to be one."""

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
        """authorization: the header's value. Takes equally long whatever is wrong with it."""
        kind, _, word = authorization.partition(" ")
        same = hmac.compare_digest(_digest(word.strip()), self._digest or b"")
        return same and kind.lower() == "bearer"


def token_from(file: str | os.PathLike[str] | None = None) -> str | None:
    """The token of a file, else of the environment (KINEMA_CHANNEL_TOKEN), else None. RequestError: cannot be read."""
    if file is not None:
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(f"Cannot read the token's file {file}: {error}.", field="token_file") from None
    return os.environ.get(TOKEN_ENV, "").strip() or None


def _digest(word: str) -> bytes:
    return hashlib.sha256(word.encode()).digest()
