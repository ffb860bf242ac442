"""Names of results as ComfyUI's clients know them: a folder (output, temp) and a name, "video/ComfyUI_00001_.mp4".

The contents are media, by their hash. A name is a row with a unique key, so it is given once, whatever the number of
processes; the next number of a prefix is one above the highest that was ever given.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ...core.errors import RequestError
from ...core.outside import for_terminal
from ...jobs.database import Do, JobDatabase
from ...jobs.job import sha_of

FOLDERS = ("output", "temp")
MAX_NAME_CHARS, MAX_PARTS = 255, 8
_ILLEGAL = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')


@dataclass(frozen=True)
class ResultName:
    """A name in a folder: "a/b.png" is {filename: "b.png", subfolder: "a"}."""

    folder: str
    name: str

    @classmethod
    def of(cls, folder: str, subfolder: str, filename: str) -> ResultName:
        """The name of a request's fields. RequestError: another folder, or a part that leaves it."""
        if folder not in FOLDERS:
            raise RequestError(f"type = {folder[:50]!r}.", field="type", value=folder[:50], legal=", ".join(FOLDERS))
        return cls(folder, safe_name("/".join(filter(None, (subfolder.strip("/"), filename)))))

    def to_dict(self) -> dict[str, str]:
        """As results name it."""
        subfolder, _, filename = self.name.rpartition("/")
        return {"filename": filename, "subfolder": subfolder, "type": self.folder}


def safe_name(name: str) -> str:
    """The name, with "/" between folders. RequestError: empty, too long, or a part that leaves the folder or that some
    system does not allow."""
    plain = name.replace("\\", "/")
    parts = plain.split("/")
    wrong = (
        not plain or len(plain) > MAX_NAME_CHARS or len(parts) > MAX_PARTS or _ILLEGAL.search(plain)
        or any(part in ("", ".", "..") or part != part.strip() or part.endswith(".") for part in parts)
    )  # fmt: skip
    if wrong or not plain.isprintable():
        shown = for_terminal(name, 100)
        raise RequestError(f"{shown!r} is not a legal name of a file.", field="filename", value=shown,
                           legal="names without .. and special characters, with / between folders")  # fmt: skip
    return plain


class ResultNames:
    """The names of a database of jobs."""

    def __init__(self, database: JobDatabase) -> None:
        self.database = database

    def find(self, name: ResultName) -> str | None:
        """The media of a name, "sha256:<hex>"; None if there is none, or it is not written yet."""
        with self.database.look() as do:
            rows = do("SELECT sha FROM kinema_result_names WHERE folder = :folder AND name = :name",
                      folder=name.folder, name=name.name)  # fmt: skip
        return f"sha256:{rows[0]['sha']}" if rows and rows[0]["sha"] else None

    def names(self, folder: str, most: int = 10_000) -> list[str]:
        """The names of a folder whose files are written, in order."""
        with self.database.look() as do:
            rows = do("SELECT name FROM kinema_result_names WHERE folder = :folder AND sha IS NOT NULL ORDER BY name "
                      "LIMIT :most", folder=folder, most=most)  # fmt: skip
        return [row["name"] for row in rows]

    def reserve(self, folder: str, prefix: str, suffix: str, job: str, used: set[str]) -> ResultName:
        """A name of its own for a result of a job: PREFIX_00001_SUFFIX. used: the names that this attempt has; one that
        an earlier attempt of the job reserved and did not write is given again."""
        prefix = safe_name(prefix)
        with self.database.work() as do:
            rows = do(
                "SELECT name FROM kinema_result_names WHERE folder = :folder AND prefix = :prefix AND job = :job "
                "AND sha IS NULL ORDER BY counter", folder=folder, prefix=prefix, job=job,
            )  # fmt: skip
            left = [row["name"] for row in rows if row["name"] not in used and row["name"].endswith(suffix)]
            return ResultName(folder, left[0] if left else self._new(do, folder, prefix, suffix, job))

    def _new(self, do: Do, folder: str, prefix: str, suffix: str, job: str) -> str:
        counter = int(do(
            "SELECT coalesce(max(counter), 0) AS highest FROM kinema_result_names WHERE folder = :folder "
            "AND prefix = :prefix", folder=folder, prefix=prefix,
        )[0]["highest"])  # fmt: skip
        while True:  # another transaction may have given the number since
            counter += 1
            name = f"{prefix}_{counter:05}_{suffix}"
            if do(
                "INSERT INTO kinema_result_names (folder, name, prefix, counter, job, at) VALUES (:folder, :name, "
                ":prefix, :counter, :job, :now) ON CONFLICT DO NOTHING RETURNING name",
                folder=folder, name=name, prefix=prefix, counter=counter, job=job, now=self.database.now(do),
            ):  # fmt: skip
                return name

    def written(self, name: ResultName, media: str) -> ResultName:
        """Record the content of a reserved name; return the name to use: if the same content has one with the same
        prefix, that one, and the reservation is given up."""
        with self.database.work() as do:
            known = do(
                "SELECT o.name FROM kinema_result_names o JOIN kinema_result_names n ON n.prefix = o.prefix AND "
                "n.folder = o.folder WHERE n.folder = :folder AND n.name = :name AND o.name <> :name AND o.sha = :sha "
                "ORDER BY o.at, o.name LIMIT 1", folder=name.folder, name=name.name, sha=sha_of(media),
            )  # fmt: skip
            if known:
                do("DELETE FROM kinema_result_names WHERE folder = :folder AND name = :name AND sha IS NULL",
                   folder=name.folder, name=name.name)  # fmt: skip
                return ResultName(name.folder, known[0]["name"])
            do("UPDATE kinema_result_names SET sha = :sha WHERE folder = :folder AND name = :name",
               folder=name.folder, name=name.name, sha=sha_of(media))  # fmt: skip
        return name


@dataclass
class JobOutputs:
    """The result files of one attempt of a job (workflow/run/values.py: Outputs). folder: where they are written before
    they are media."""

    names: ResultNames
    job: str
    folder: Path
    given: dict[Path, ResultName] = field(default_factory=dict)

    def reserve(self, prefix: str, suffix: str, kind: Literal["output", "temp"], /) -> Path:
        """A file of its own for a result. RequestError: an illegal prefix."""
        used = {name.name for name in self.given.values() if name.folder == kind}
        name = self.names.reserve(kind, prefix, suffix, self.job, used)
        path = self.folder / name.folder / name.name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.given[path] = name
        return path

    def name_of(self, path: Path, kind: Literal["output", "temp"], media: str) -> ResultName:
        """The name of a written file, recorded with its content: the name that an earlier run gave to the same content
        under the same prefix, else the reserved one, or a new one."""
        name = self.given.get(path)
        if name is None:
            prefix = path.stem.rstrip("_0123456789") or "ComfyUI"
            name = self.names.reserve(kind, prefix, path.suffix, self.job, set())
        self.given[path] = self.names.written(name, media)
        return self.given[path]


def shown_output(names: list[tuple[ResultName, dict[str, Any]]]) -> dict[str, Any]:
    """The files of a node as its output: pictures and clips, of which the page plays those that are animated."""
    shown: dict[str, Any] = {}
    for name, facts in names:
        suffix = name.name.rpartition(".")[2].lower()
        key = "audio" if suffix in ("flac", "mp3", "opus", "wav", "ogg") else "images"
        shown.setdefault(key, []).append(name.to_dict())
        if suffix in ("mp4", "webm", "mov", "mkv", "gif") or (suffix == "webp" and facts.get("frames", 2) != 1):
            shown["animated"] = [True]
    return shown
