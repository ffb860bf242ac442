"""Folders as the inputs and outputs of a graph, and one file as its only output."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Literal

from ...core.apart import check_name
from ...core.errors import MediaError, RequestError
from ...core.outside import exists, for_terminal

_PLACE = re.compile(r" \[(input|output|temp)\]$")


class FolderInputs:
    """A folder of pictures and clips. Names may be absolute paths too: the user of the command line owns both."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def path(self, name: str, /) -> Path:
        plain = _PLACE.sub("", name)
        path = self.folder / plain
        if not plain or not exists(path):
            raise RequestError(f"{for_terminal(plain, 120)} is not in {self._shown()}.", field="image", value=name,
                               legal="a file of the folder --inputs; --set LoadImage.image=FILE")  # fmt: skip
        return path

    def _shown(self) -> str:
        return "this folder" if self.folder == Path() else f"the folder {self.folder}"


class FolderOutputs:
    """A folder of results, numbered as ComfyUI numbers them. At the end of a `with` block, names that were given and
    not used are free again. temp: the folder of previews. single: the file of the only result."""

    def __init__(self, folder: Path, temp: Path, single: Path | None = None) -> None:
        self.folder, self.temp, self.single = folder, temp, single
        self.given: list[Path] = []

    def __enter__(self) -> FolderOutputs:
        return self

    def __exit__(self, *_: object) -> None:
        for path in self.given:
            with contextlib.suppress(OSError):
                if path.stat().st_size == 0:
                    path.unlink()

    def reserve(self, prefix: str, suffix: str, kind: Literal["output", "temp"], /) -> Path:
        if kind == "output" and self.single is not None:
            if self.single.suffix.lower() != suffix:
                raise RequestError(f"{self.single}: the workflow writes {suffix}.", field="output",
                                   value=str(self.single), legal=f"a name{suffix}, or a folder")  # fmt: skip
            return self.single
        target = (self.temp if kind == "temp" else self.folder) / prefix
        check_name(target, "filename_prefix")
        root = self.temp if kind == "temp" else self.folder
        if not target.resolve().is_relative_to(root.resolve()):
            raise RequestError(f"filename_prefix = {prefix}.", field="filename_prefix", value=prefix,
                               legal="a name inside the folder of results")  # fmt: skip
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            for number in range(self._highest(target) + 1, 100_000):
                path = target.with_name(f"{target.name}_{number:05}_{suffix}")
                with contextlib.suppress(FileExistsError):
                    path.open("xb").close()
                    self.given.append(path)
                    return path
        except OSError as error:
            raise MediaError(f"{target}: cannot be written ({error.strerror or error}).") from error
        raise MediaError(f"{target}: 99,999 files have this name.")

    def holds(self, path: Path, /) -> bool:
        """Whether a result of an earlier run is in place."""
        return self.single is None and path.is_relative_to(self.folder.absolute())

    @staticmethod
    def _highest(target: Path) -> int:
        numbered = re.compile(re.escape(target.name) + r"_(\d{1,9})_")
        found = (numbered.match(each.name) for each in target.parent.iterdir())
        return max((int(each[1]) for each in found if each), default=0)
