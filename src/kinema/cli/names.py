"""Default names that two commands at once do not share.

A name is taken from the moment that it is chosen: a hidden file beside it, .NAME.taken, with the mark of the process.
It goes when the command ends; what a killed command left is removed by the next one that chooses a name there.
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
"""In the name of the folder where a file for standard output is made."""
ENDING = ".taken"
_taken: list[Path] = []


def unused(path: Path) -> Path:
    """The path, or path-2, path-3, ... where something is there already or another command has chosen it; it is this
    command's until `release`. A name that is too long for a disk is cut. MediaError where ten thousand are there."""
    from ..media.manifest import sidecar_of

    stem = path.stem
    while len(os.fsencode(f".{stem}-9999{path.suffix}.json{ENDING}")) > MAX_NAME_BYTES:
        stem = stem[:-1]
    _sweep(path.parent)
    for number in range(1, 10_000):
        name = path.with_name(f"{stem}-{number}{path.suffix}" if number > 1 else stem + path.suffix)
        if not exists(name) and not exists(sidecar_of(name)) and _take(name):
            return name
    raise MediaError(f"{path}: ten thousand clips of that name are here already; give -o.")


def is_piped(path: str | Path) -> bool:
    """Is it a file that goes to standard output, and then is gone?"""
    return Path(path).parent.name.startswith(f"kinema-{PIPED}-")


def release() -> None:
    """The command ends: what it wrote is there, what it did not write is anybody's."""
    while _taken:
        with contextlib.suppress(OSError):
            _taken.pop().unlink()


def _take(name: Path) -> bool:
    """Is the name this command's now? Where nothing can be written, writing will tell."""
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
    if exists(name):  # written by a command that ended between the look and the sign
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
