"""Assets of Comfy API v2: media of the store under ids, each with the name that its client gave it.

An upload and every further reference to its content are records of their own. A record is kept for KEEP_S after its
last use; above MOST_BYTES of contents, the records that were not used for the longest time go first. Jobs keep the
media that they name, whatever happens to records.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import ModelError
from ...core.extras import install_command
from ...jobs.database import Do
from ...jobs.job import Media
from ...jobs.store import JobStore

KEEP_S = 7 * 86_400.0
MOST_BYTES = 10 * 10**9
MAX_NAME_CHARS = 200
DEFAULT_NAME = "upload.bin"
HASH = re.compile(r"blake3:[0-9a-f]{64}")
_COLUMNS = "id, sha, blake3, bytes, media_type, name, created_at, used_at"


@dataclass(frozen=True)
class Asset:
    """An uploaded asset. blake3: "blake3:<hex>". Times are seconds since the epoch."""

    id: str
    sha256: str
    blake3: str
    bytes: int
    media_type: str
    name: str
    created_at: float
    used_at: float

    @property
    def expires_at(self) -> float:
        return self.used_at + KEEP_S


class Assets:
    """The assets of a store. most_bytes: of the contents of all of them."""

    def __init__(self, store: JobStore, most_bytes: int = MOST_BYTES) -> None:
        self.store, self.most_bytes = store, most_bytes

    def add(self, media: Media, blake3: str, name: str, media_type: str) -> tuple[Asset, bool]:
        """Record media of the store as an asset; also whether its content is new here."""
        id, database = str(uuid.uuid4()), self.store.database
        with database.work() as do:
            now = database.now(do)
            known = bool(do("SELECT id FROM kinema_assets WHERE blake3 = :hash LIMIT 1", hash=blake3))
            self.store.media.use(do, [media.sha256])
            do(
                f"INSERT INTO kinema_assets ({_COLUMNS}) VALUES (:id, :sha, :blake3, :bytes, :type, :name, :now, :now)",
                id=id, sha=media.sha256, blake3=blake3, bytes=media.bytes, type=media_type, name=safe_name(name),
                now=now,
            )  # fmt: skip
            do("INSERT INTO kinema_job_media (job, sha, role) VALUES (:job, :sha, 'asset')", job=_keeper(id),
               sha=media.sha256)  # fmt: skip
            found = _found(do, id)
            self._drop_old(do, now, id)
        assert found is not None
        return found, not known

    def find(self, id: str) -> Asset | None:
        with self.store.database.look() as do:
            return _found(do, id)

    def of_hash(self, blake3: str) -> Asset | None:
        """The newest asset with this content, which counts as used: its content stays for a reference to it."""
        database = self.store.database
        with database.work() as do:
            rows = do("SELECT id FROM kinema_assets WHERE blake3 = :hash ORDER BY used_at DESC LIMIT 1", hash=blake3)
            if not rows:
                return None
            _use(do, rows[0]["id"], database.now(do))
            return _found(do, rows[0]["id"])

    def use(self, ids: list[str]) -> None:
        """Count assets as used now."""
        with self.store.database.work() as do:
            for id in ids:
                _use(do, id, self.store.database.now(do))

    def delete(self, id: str) -> bool:
        """Forget an asset; whether there was one. Its content goes when nothing else refers to it."""
        with self.store.database.work() as do:
            asset = _found(do, id)
            _delete(do, id)
        if asset is not None:
            self.store.media.drop_unused([asset.sha256])
        return asset is not None

    def _drop_old(self, do: Do, now: float, new: str) -> None:
        """Delete the records that have expired, and those above the bytes. new: one that stays."""
        for row in do("SELECT id FROM kinema_assets WHERE used_at < :old AND id <> :new LIMIT 1000", old=now - KEEP_S,
                      new=new):  # fmt: skip
            _delete(do, row["id"])
        total = "SELECT coalesce(sum(bytes), 0) AS total FROM (SELECT DISTINCT sha, bytes FROM kinema_assets) d"
        while int(do(total)[0]["total"]) > self.most_bytes:
            rows = do("SELECT id FROM kinema_assets WHERE id <> :new ORDER BY used_at, id LIMIT 1", new=new)
            if not rows:
                return
            _delete(do, rows[0]["id"])


def safe_name(name: str) -> str:
    """The last part of a client's path, in characters that nodes and headers take; its suffix is kept."""
    last = re.split(r"[/\\]", name)[-1]
    plain = (
        "".join(each if each.isprintable() and each not in '[]<>:"|?*' else "_" for each in last).strip().rstrip(" .")
    )
    stem, dot, suffix = plain.rpartition(".")
    if dot and len(suffix) < 20:
        return f"{stem[: MAX_NAME_CHARS - 20] or 'upload'}.{suffix}"
    return plain[:MAX_NAME_CHARS] or DEFAULT_NAME


def blake3_of(path: Path) -> str:
    """The hash of a file: "blake3:<hex>". ModelError: its package is not installed."""
    try:
        from blake3 import blake3
    except ImportError:
        raise ModelError(f"Assets require blake3: {install_command('server')}") from None
    return f"blake3:{blake3().update_mmap(path).hexdigest()}"


def _found(do: Do, id: str) -> Asset | None:
    rows = do(f"SELECT {_COLUMNS} FROM kinema_assets WHERE id = :id", id=id)
    if not rows:
        return None
    row = rows[0]
    return Asset(row["id"], row["sha"], row["blake3"], int(row["bytes"]), row["media_type"], row["name"],
                 row["created_at"], row["used_at"])  # fmt: skip


def _use(do: Do, id: str, now: float) -> None:
    do("UPDATE kinema_assets SET used_at = :now WHERE id = :id", id=id, now=now)


def _delete(do: Do, id: str) -> None:
    do("DELETE FROM kinema_assets WHERE id = :id", id=id)
    do("DELETE FROM kinema_job_media WHERE job = :job", job=_keeper(id))


def _keeper(id: str) -> str:
    """What keeps the media of an asset, in the place of a job."""
    return f"asset:{id}"
