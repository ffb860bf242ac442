"""The media of jobs by content hash: uploads, results, previews and kept states, each stored once.

Files lie in FOLDER/media/ab/<sha256>, or in the table kinema_media_parts of PostgreSQL if its machines share no folder;
FOLDER is then a cache. The table kinema_media lists them. A file is stored before its row and deleted within the
transaction that deletes its row, so a crash at any point leaves at most a file without a row, which `sweep` removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, BinaryIO

from ..core.errors import KinemaError, RequestError
from ..core.whole import hidden, put, whole
from .database import Do, JobDatabase
from .job import Media, NoSuchMedia, sha_of

PART_BYTES = 4 * 2**20
MAX_TYPE_CHARS = 100
STRAY_S = 3600.0
"""The age from which a file without a row counts as left by a crash."""


class MediaStore:
    """The media of a database. in_tables: the database stores the contents, and the folder caches them."""

    def __init__(self, database: JobDatabase, folder: Path, *, in_tables: bool = False) -> None:
        self.database, self.folder, self.in_tables = database, folder / "media", in_tables

    def put(
        self, content: BinaryIO | Path | bytes, media_type: str = "application/octet-stream", *,
        sha256: str | None = None, max_bytes: int | None = None,
    ) -> Media:  # fmt: skip
        """Store content and return its hash; content that is here already is stored once.

        sha256: the expected hash. RequestError: another hash, more than max_bytes, or an illegal type; KinemaError: it
        cannot be written."""
        if not (0 < len(media_type) <= MAX_TYPE_CHARS and media_type.isascii() and media_type.isprintable()):
            raise RequestError("The media type is not legal.", field="media_type", value=media_type[:MAX_TYPE_CHARS],
                               legal=f"type/subtype, {MAX_TYPE_CHARS} characters at most")  # fmt: skip
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = hidden(self.folder / "incoming")
            try:
                with _opened(content) as source:
                    sha, size = _copied(source, partial, max_bytes)
                if sha256 is not None and sha != sha_of(sha256):
                    raise RequestError("The content has another SHA-256.", field="sha256", value=sha256, legal=sha)
                with self.database.work() as do:
                    known = self._touched(do, sha)
                if known is not None and self._has_content(sha):
                    return known
                return self._stored(partial, Media(sha, size, media_type))
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise KinemaError(f"{self.folder}: cannot be written ({error.strerror or error}).") from None

    def adopt(self, path: Path, media: Media) -> Media:
        """Store a complete file of this folder, whose hash its writer has computed, by moving it. KinemaError: it
        cannot be moved."""
        try:
            with self.database.work() as do:
                known = self._touched(do, media.sha256)
            if known is not None and self._has_content(media.sha256):
                return known
            return self._stored(path, media)
        except OSError as error:
            raise KinemaError(f"{self.folder}: cannot be written ({error.strerror or error}).") from None

    def find(self, media: str) -> Media:
        """The media of a hash. NoSuchMedia."""
        sha = sha_of(media)
        with self.database.look() as do:
            rows = do("SELECT bytes, media_type FROM kinema_media WHERE sha = :sha", sha=sha)
        if not rows:
            raise NoSuchMedia(f"No media {sha}.")
        return Media(sha, int(rows[0]["bytes"]), rows[0]["media_type"])

    def has(self, media: str) -> bool:
        try:
            found = self.find(media)
        except NoSuchMedia:
            return False
        return self._has_content(found.sha256)

    def path(self, media: str) -> Path:
        """The file of a hash on this machine, read-only; fetched first if the database stores it. NoSuchMedia."""
        found = self.find(media)
        place = self._place(found.sha256)
        if not place.is_file():
            if not self.in_tables:
                raise NoSuchMedia(f"The file of the media {found.sha256} is missing.")
            self._fetch(found, place)
        return place

    def open(self, media: str) -> BinaryIO:
        """The content, open for reading. NoSuchMedia."""
        return self.path(media).open("rb")

    def drop_unused(self, media: list[str]) -> None:
        """Delete those of the media that no job refers to: for what its writer has replaced."""
        with self.database.work() as do:
            for sha in sorted(sha_of(each) for each in media):
                self._delete(do, sha)

    def collect(self, now: float, older_s: float, most: int = 1000) -> int:
        """Delete media that no job refers to and that were stored more than older_s ago, at most `most`; return the
        bytes."""
        with self.database.look() as do:
            rows = do(
                "SELECT sha FROM kinema_media m WHERE used_at < :old AND NOT EXISTS "
                "(SELECT 1 FROM kinema_job_media r WHERE r.sha = m.sha) ORDER BY sha LIMIT :most",
                old=now - older_s, most=most,
            )  # fmt: skip
        freed = 0
        for row in rows:
            with self.database.work() as do:
                freed += self._delete(do, row["sha"], now - older_s)
        return freed

    def sweep(self, older_s: float = STRAY_S) -> int:
        """Delete files without a row, and cached files that were not read for older_s; return their number."""
        count = 0
        for place in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            with contextlib.suppress(OSError):
                facts = place.stat()
                if time.time() - max(facts.st_mtime, facts.st_atime) < older_s:
                    continue
                with self.database.work() as do:
                    known = do("SELECT 1 FROM kinema_media WHERE sha = :sha", sha=place.name)
                    if not known or self.in_tables:
                        place.unlink()
                        count += 1
        return count

    def use(self, do: Do, media: Iterable[str]) -> None:
        """Make media count as new within the caller's transaction, which then refers to them: a collection at the same
        time leaves them. NoSuchMedia."""
        for sha in sorted(sha_of(each) for each in media):
            if self._touched(do, sha) is None:
                raise NoSuchMedia(f"The media {sha} are not in the store; upload them first.")

    def total_bytes(self) -> int:
        with self.database.look() as do:
            return int(do("SELECT coalesce(sum(bytes), 0) AS total FROM kinema_media")[0]["total"])

    def _touched(self, do: Do, sha: str) -> Media | None:
        """The media, which counts as new again; None if there is none."""
        rows = do(
            "UPDATE kinema_media SET used_at = :now WHERE sha = :sha RETURNING bytes, media_type",
            now=self.database.now(do), sha=sha,
        )  # fmt: skip
        return Media(sha, int(rows[0]["bytes"]), rows[0]["media_type"]) if rows else None

    def _stored(self, partial: Path, media: Media) -> Media:
        place = self._place(media.sha256)
        place.parent.mkdir(exist_ok=True)
        put(partial, place)
        with self.database.work() as do:
            if self.in_tables:
                do("DELETE FROM kinema_media_parts WHERE sha = :sha", sha=media.sha256)
                with place.open("rb") as file:
                    for number, data in enumerate(iter(lambda: file.read(PART_BYTES), b"")):
                        do("INSERT INTO kinema_media_parts (sha, number, data) VALUES (:sha, :number, :data) "
                           "ON CONFLICT DO NOTHING", sha=media.sha256, number=number, data=data)  # fmt: skip
            rows = do(
                "INSERT INTO kinema_media (sha, bytes, media_type, used_at) VALUES (:sha, :bytes, :type, :now) "
                "ON CONFLICT (sha) DO UPDATE SET used_at = excluded.used_at RETURNING media_type",
                sha=media.sha256, bytes=media.bytes, type=media.media_type, now=self.database.now(do),
            )  # fmt: skip
        return Media(media.sha256, media.bytes, rows[0]["media_type"])

    def _has_content(self, sha: str) -> bool:
        if not self.in_tables:
            return self._place(sha).is_file()
        with self.database.look() as do:
            return bool(do("SELECT 1 FROM kinema_media_parts WHERE sha = :sha LIMIT 1", sha=sha)) or not do(
                "SELECT 1 FROM kinema_media WHERE sha = :sha AND bytes > 0", sha=sha
            )

    def _fetch(self, media: Media, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        digest, number = hashlib.sha256(), 0
        with whole(place, durable=False) as partial, partial.open("wb") as file:
            while True:
                with self.database.look() as do:
                    rows = do("SELECT data FROM kinema_media_parts WHERE sha = :sha AND number = :number",
                              sha=media.sha256, number=number)  # fmt: skip
                if not rows:
                    break
                file.write(rows[0]["data"])
                digest.update(rows[0]["data"])
                number += 1
            if digest.hexdigest() != media.sha256:
                raise NoSuchMedia(
                    f"The database does not hold the whole of the media {media.sha256}. If the machines share a folder "
                    "of media, each must be given it."
                )

    def _delete(self, do: Do, sha: str, before: float | None = None) -> int:
        """Delete one that no job refers to, within the caller's transaction; return its bytes, else 0."""
        # A job that begins to refer to it has locked its row (`use`): only a later statement sees that reference.
        do(f"SELECT sha FROM kinema_media WHERE sha = :sha{self.database.locking}", sha=sha)
        rows = do(
            "DELETE FROM kinema_media WHERE sha = :sha AND used_at < :before AND NOT EXISTS "
            "(SELECT 1 FROM kinema_job_media r WHERE r.sha = kinema_media.sha) RETURNING bytes",
            sha=sha, before=1e300 if before is None else before,
        )  # fmt: skip
        if not rows:
            return 0
        if self.in_tables:
            do("DELETE FROM kinema_media_parts WHERE sha = :sha", sha=sha)
        with contextlib.suppress(OSError):
            self._place(sha).unlink(missing_ok=True)
        return int(rows[0]["bytes"])

    def _place(self, sha: str) -> Path:
        return self.folder / sha[:2] / sha


@contextlib.contextmanager
def _opened(content: BinaryIO | Path | bytes) -> Iterator[IO[bytes]]:
    if isinstance(content, Path):
        with content.open("rb") as file:
            yield file
    else:
        yield io.BytesIO(content) if isinstance(content, bytes) else content


def _copied(source: IO[bytes], target: Path, max_bytes: int | None) -> tuple[str, int]:
    """Copy a stream to a file; return its SHA-256 and size. RequestError if it has more than max_bytes."""
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        while data := source.read(2**20):
            size += len(data)
            if max_bytes is not None and size > max_bytes:
                raise RequestError(f"More than {max_bytes:,} bytes.", field="media", legal=f"{max_bytes:,} bytes")
            digest.update(data)
            file.write(data)
    return digest.hexdigest(), size
