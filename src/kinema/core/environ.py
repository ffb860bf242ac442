"""Secrets from environment variables, and the addresses of databases that they complete. Command lines and files hold
only the names of variables: other users of a machine see the arguments of a process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from .errors import RequestError


def secret(name: str | None, field: str = "key_env", environ: Mapping[str, str] = os.environ) -> str:
    """The value of an environment variable; empty if `name` is None. field: that names the variable. RequestError if it
    is not set."""
    if name is None:
        return ""
    value = environ.get(name, "").strip()
    if not value:
        raise RequestError(f"The environment variable {name} is not set.", field=field, value=name)
    return value


def check_database_url(url: str) -> None:
    """Raise ValueError unless `url` is a postgresql address without a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres") or not parts.path.strip("/"):
        raise ValueError("must be `sqlite` or an address such as postgresql://user@host:5432/name")
    if parts.password:
        raise ValueError("contains a password; remove it and name the variable that holds it in password_env")


def database_address(
    url: str | None, password_env: str | None, environ: Mapping[str, str] = os.environ
) -> str | None:  # fmt: skip
    """The address of a database, with its password. url: of PostgreSQL, sqlite:///FILE or None, which have none.
    RequestError: an illegal address, or no password."""
    if url is None or url.startswith("sqlite:"):
        if password_env is not None:
            raise RequestError("A password is that of a PostgreSQL database.", field="database", value=url,
                               legal="postgresql://user@host:5432/name")  # fmt: skip
        return url
    try:
        check_database_url(url)
    except ValueError as error:
        raise RequestError(f"The database address {error}.", field="database") from None  # it may contain a password
    if password_env is None:
        return url
    parts, password = urlsplit(url), quote(secret(password_env, "password_env", environ), safe="")
    user, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}:{password}@{host}" if at else f":{password}@{host}").geturl()
