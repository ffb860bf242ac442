"""Replace files while the disk is full, by means of preallocated spare files.

A spare is a hidden file with allocated blocks. On a full disk, a spare is overwritten in place and renamed to the
target; the replaced file, or one that is no longer needed, becomes a spare instead of being deleted. No block is freed
meanwhile, so other programs cannot take it. For the same reason a spare that is too long is padded, not truncated.

Copy-on-write file systems (btrfs, ZFS) need new blocks to overwrite a file: there `put` raises as on any full disk.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from ...core.whole import put, write_bytes

FULL = (errno.ENOSPC, errno.EDQUOT)


class Reserve:
    """The spare files of a folder. Not thread-safe; reserves in one folder need different names. full: the disk was
    full, and not all spares could be restored since."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.full = folder, False
        self._prefix, self._numbers = f".spare-{name}-", itertools.count()
        self._spares: dict[Path, int] = {}  # allocated bytes
        if folder.is_dir():
            for path in folder.glob(f"{self._prefix}*"):
                self._keep(path)

    def __len__(self) -> int:
        return len(self._spares)

    def put(self, path: Path, data: bytes, fill: bytes = b"\n") -> None:
        """Replace a file, without fsync; on a full disk, by means of a spare. fill: padding that can follow the data
        any number of times. OSError: the disk refuses, and no spare fits."""
        try:
            write_bytes(path, data, durable=False)
        except OSError as error:
            if error.errno not in FULL:
                raise
            self.full = True
            if not self._write_over(path, data, fill):
                raise

    def retire(self, path: Path) -> None:
        """Delete a file, or turn it into a spare while the disk is full. OSError."""
        if self.full:
            spare = self._new()
            put(path, spare, durable=False)
            self._keep(spare)
        else:
            path.unlink(missing_ok=True)

    def provide(self, sizes: Sequence[int]) -> None:
        """Allocate spares of at least these sizes in bytes, if twice that is free; delete surplus ones."""
        left, missing = sorted(self._spares, key=lambda path: self._spares[path]), []
        for size in sorted(sizes):
            fit = next((path for path in left if self._spares[path] >= size), None)
            if fit is None:
                missing.append(size)
            else:
                left.remove(fit)
        with contextlib.suppress(OSError):
            if missing or self.full:
                room = os.statvfs(self.folder)
                if room.f_bavail * room.f_frsize < max(2 * sum(missing), sum(sizes) if self.full else 0):
                    return
            for size in missing:
                self._make(size)
            self.full = False
            for path in left:
                del self._spares[path]
                path.unlink(missing_ok=True)

    def _make(self, size: int) -> None:
        path = self._new()
        try:
            with path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        self._keep(path)

    def _write_over(self, path: Path, data: bytes, fill: bytes) -> bool:
        fits = [spare for spare, size in self._spares.items() if size >= len(data)]
        if not fits:
            return False
        spare = min(fits, key=lambda one: self._spares[one])
        del self._spares[spare]
        size = spare.stat().st_size
        whole = data + fill * ((size - len(data)) // len(fill))
        try:
            with spare.open("r+b") as file:
                file.write(whole)
                file.truncate()
            before = self._new()
            with contextlib.suppress(OSError):  # a new name, or a file system without links
                before.hardlink_to(path)
                self._keep(before)
            put(spare, path, durable=False)
        except OSError:
            spare.unlink(missing_ok=True)
            return False
        return True

    def _keep(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            info = path.stat()
            self._spares[path] = max(info.st_size, 512 * info.st_blocks)

    def _new(self) -> Path:
        return next(path for number in self._numbers if not (path := self.folder / f"{self._prefix}{number}").exists())
