"""Default names of outputs, reserved so that two concurrent commands do not choose the same one.

A hidden file next to it, .NAME.taken, with the mark of the process, reserves a name. It is removed when the command
ends; one left by a killed command is removed by the next command that chooses a name in that folder.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ..core import leftovers
from ..core.errors import MediaError
from ..core.outside import exists
from ..core.whole import MAX_NAME_BYTES

STDOUT = "-"
"""Instead of a name: standard output."""
PIPED = "piped"
"""In the name of the temporary folder of a file for standard output."""
ENDING = ".taken"
_taken: list[Path] = []


def unused(path: Path) -> Path:
    """Return the path, or path-2, path-3, ... if it exists or is reserved by another command, and reserve it until
    `release`. A name that is too long for a file system is cut. Raises MediaError after ten thousand."""
    from ..media.manifest import sidecar_of

    stem = path.stem
    while len(os.fsencode(f".{stem}-9999{path.suffix}.json{ENDING}")) > MAX_NAME_BYTES:
        stem = stem[:-1]
    _sweep(path.parent)
    for number in range(1, 10_000):
        name = path.with_name(f"{stem}-{number}{path.suffix}" if number > 1 else stem + path.suffix)
        if not exists(name) and not exists(sidecar_of(name)) and _take(name):
            return name
    raise MediaError(f"{path}: ten thousand clips of that name exist already; use -o.")


def is_piped(path: str | Path) -> bool:
    """Whether a path is the temporary file of an output that goes to standard output."""
    return Path(path).parent.name.startswith(f"kinema-{PIPED}-")


def release() -> None:
    """Release the names that this command has reserved."""
    while _taken:
        with contextlib.suppress(OSError):
            _taken.pop().unlink()


def _take(name: Path) -> bool:
    """Reserve a name and return whether that worked; True for a read-only folder, which writing reports."""
    sign = name.with_name(f".{name.name}{ENDING}")
    try:
        descriptor = os.open(sign, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    except OSError:
        return True
    _taken.append(sign)
    try:
        os.write(descriptor, leftovers.mark().encode())
    except OSError:
        pass
    finally:
        os.close(descriptor)
    if exists(name):  # written by a command that ended between the check and the reservation
        release_one(sign)
        return False
    return True


def release_one(sign: Path) -> None:
    _taken.remove(sign)
    sign.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for sign in list(folder.glob(f".*{ENDING}"))[: leftovers.MOST]:
            with contextlib.suppress(OSError, ValueError):
                if sign.is_file() and sign.stat().st_size < 100 and leftovers.gone(sign.read_text(), sign):
                    sign.unlink()
