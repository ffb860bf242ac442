"""Files under names, in folders: what users upload ("input") and save ("user"). The contents are media by their hash.

A name is a key of a table and never a path of this machine, so no name leads out of its folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...core.errors import RequestError
from ...core.outside import for_terminal
from ...jobs.database import Do
from ...jobs.job import Media
from ...jobs.store import JobStore

MOST_CHARS = 300


@dataclass(frozen=True)
class NamedFile:
    """name: with its folders, "a/b.png". bytes: its size. created_at, changed_at: seconds since the epoch."""

    name: str
    sha256: str
    bytes: int
    created_at: float
    changed_at: float


class NamedFiles:
    """The named files of a store in one folder."""

    def __init__(self, store: JobStore, folder: str) -> None:
        self.store, self.folder = store, folder

    def put(self, name: str, media: Media, *, overwrite: bool = False, keep_both: bool = False) -> NamedFile | None:
        """Name media of the store. A name that has the same content is kept as it is. Another content: replaced with
        `overwrite`; under the next free name, "photo (1).png", with `keep_both`; else None. RequestError: the name."""
        legal(name)
        for candidate in _candidates(name) if keep_both and not overwrite else (name,):
            with self.store.database.work() as do:
                now = self.store.database.now(do)
                self.store.media.use(do, [media.sha256])
                new = do(
                    "INSERT INTO kinema_files (folder, name, sha, bytes, created_at, changed_at) VALUES "
                    "(:folder, :name, :sha, :bytes, :now, :now) ON CONFLICT DO NOTHING RETURNING name",
                    folder=self.folder, name=candidate, sha=media.sha256, bytes=media.bytes, now=now,
                )  # fmt: skip
                if new:
                    self._keep(do, candidate, media.sha256)
                found = self._find(do, candidate)
                if not new and overwrite:
                    do("UPDATE kinema_files SET sha = :sha, bytes = :bytes, changed_at = :now WHERE folder = :folder "
                       "AND name = :name", sha=media.sha256, bytes=media.bytes, now=now, folder=self.folder,
                       name=candidate)  # fmt: skip
                    self._keep(do, candidate, media.sha256)
                    found = self._find(do, candidate)
            if found is not None and found.sha256 == media.sha256:
                return found
        return None

    def find(self, name: str) -> NamedFile | None:
        """The file of a name; None if there is none."""
        with self.store.database.look() as do:
            return self._find(do, name)

    def all(self, under: str = "", most: int = 10_000) -> list[NamedFile]:
        """The files whose name begins with `under`, by name, at most so many."""
        with self.store.database.look() as do:
            rows = do(
                "SELECT name, sha, bytes, created_at, changed_at FROM kinema_files WHERE folder = :folder AND "
                "substr(name, 1, :length) = :under ORDER BY name LIMIT :most",
                folder=self.folder, under=under, length=len(under), most=most,
            )  # fmt: skip
        return [_named(row) for row in rows]

    def total(self) -> tuple[int, int]:
        """How many files there are, and their bytes."""
        with self.store.database.look() as do:
            row = do("SELECT count(*) AS count, coalesce(sum(bytes), 0) AS total FROM kinema_files WHERE "
                     "folder = :folder", folder=self.folder)[0]  # fmt: skip
        return int(row["count"]), int(row["total"])

    def delete(self, name: str) -> bool:
        """Forget a name; whether there was one. Its content goes when no job uses it."""
        with self.store.database.work() as do:
            gone = do("DELETE FROM kinema_files WHERE folder = :folder AND name = :name RETURNING name",
                      folder=self.folder, name=name)  # fmt: skip
            self._keep(do, name, None)
        return bool(gone)

    def move(self, name: str, target: str, *, overwrite: bool = False) -> NamedFile | None:
        """Rename a file; None if the target exists already. NoSuchFile; RequestError: the name."""
        legal(target)
        with self.store.database.work() as do:
            found = self._find(do, name)
            if found is None:
                raise NoSuchFile(f"No file {for_terminal(name, 100)!r}.", field="file", legal="the name of a file")
            if name == target:
                return found
            if self._find(do, target) is not None:
                if not overwrite:
                    return None
                do("DELETE FROM kinema_files WHERE folder = :folder AND name = :name", folder=self.folder, name=target)
            do("UPDATE kinema_files SET name = :target WHERE folder = :folder AND name = :name", folder=self.folder,
               name=name, target=target)  # fmt: skip
            self._keep(do, name, None)
            self._keep(do, target, found.sha256)
            return self._find(do, target)

    def _find(self, do: Do, name: str) -> NamedFile | None:
        rows = do(
            "SELECT name, sha, bytes, created_at, changed_at FROM kinema_files WHERE folder = :folder AND name = :name",
            folder=self.folder, name=name,
        )  # fmt: skip
        return _named(rows[0]) if rows else None

    def _keep(self, do: Do, name: str, sha: str | None) -> None:
        """Let the store keep the content of a name, and no longer an earlier one."""
        job = f"file:{self.folder}/{name}"
        do("DELETE FROM kinema_job_media WHERE job = :job", job=job)
        if sha is not None:
            do("INSERT INTO kinema_job_media (job, sha, role) VALUES (:job, :sha, 'named') ON CONFLICT DO NOTHING",
               job=job, sha=sha)  # fmt: skip


class NoSuchFile(RequestError):
    """There is no file with this name."""


def legal(name: str) -> str:
    """The name of a file with its folders. RequestError: it is empty or too long, or a part of it is "..", hidden or
    not printable."""
    parts = name.split("/")
    if (
        not name or len(name) > MOST_CHARS or not name.isprintable() or "\\" in name or ":" in name
        or any(part in ("", ".", "..") or part != part.strip() for part in parts)
    ):  # fmt: skip
        raise RequestError(
            f"The name {for_terminal(name, 80)!r}.", field="filename", value=for_terminal(name, 80),
            legal=f"a name, with folders before it at most, of {MOST_CHARS} characters",
        )  # fmt: skip
    return name


def joined(subfolder: str, name: str) -> str:
    """Folder and name. RequestError as `legal`."""
    folder = subfolder.replace("\\", "/").strip("/")
    return legal(f"{folder}/{name}" if folder else name)


def _named(row: dict[str, object]) -> NamedFile:
    sha, name = str(row["sha"]), str(row["name"])
    return NamedFile(name, sha, int(str(row["bytes"])), float(str(row["created_at"])), float(str(row["changed_at"])))


def _candidates(name: str) -> Iterator[str]:
    """The name, then "photo (1).png", "photo (2).png", ...."""
    folder, slash, file = name.rpartition("/")
    stem, dot, ending = file.rpartition(".")
    if not stem:
        stem, dot, ending = file, "", ""
    yield name
    for number in range(1, 1000):
        yield f"{folder}{slash}{stem} ({number}){dot}{ending}"
