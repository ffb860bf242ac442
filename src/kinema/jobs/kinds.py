"""Kinds of jobs: what a body means and how it runs. A consumer registers its own next to the built-in ones:

    store = JobStore.open(url, kinds=Kinds([*BUILT_IN, JobKind("thumbnail", check, media, run)]))

No table is global: a server, a worker and a channel in one process may each have their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..core.errors import RequestError
from ..core.near import nearest


@dataclass(frozen=True)
class JobKind:
    """A kind of job.

    media(body): all hashes that the body names (with or without "sha256:"); they are kept as long as the job.
    check(body, store): raises RequestError, naming the field, or another KinemaError, before the job is stored; all
    media are in the MediaStore by then.
    run(context, body): does the work in a worker, with a context.Context, and returns the result, a JSON object; it may
    import torch."""

    name: str
    check: Callable[[Any, Any], None]
    media: Callable[[Any], set[str]]
    run: Callable[[Any, Any], dict[str, Any]]


class Kinds:
    """A set of kinds by name."""

    def __init__(self, kinds: Iterable[JobKind]) -> None:
        found = [*kinds]
        self._kinds = {kind.name: kind for kind in found}
        if len(self._kinds) < len(found):
            raise ValueError("two kinds of jobs have the same name")

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __getitem__(self, name: Any) -> JobKind:
        """The kind of a name. RequestError if there is none."""
        found = self._kinds.get(name) if isinstance(name, str) else None
        if found is None:
            shown = str(name)[:50]
            raise RequestError(f"No kind of job {shown!r}.", field="kind", value=shown, legal=", ".join(self._kinds),
                               nearest=nearest(shown, list(self._kinds)))  # fmt: skip
        return found
