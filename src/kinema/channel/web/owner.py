"""The secret token of the channel's owner."""

from __future__ import annotations

import os
from pathlib import Path

from ...core.errors import RequestError

TOKEN_ENV = "KINEMA_CHANNEL_TOKEN"


def token_from(file: str | os.PathLike[str] | None = None) -> str | None:
    """The token from a file, else from the environment (KINEMA_CHANNEL_TOKEN), else None. RequestError: unreadable
    file."""
    if file is not None:
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(f"Cannot read the token file {file}: {error}.", field="token_file") from None
    return os.environ.get(TOKEN_ENV, "").strip() or None
