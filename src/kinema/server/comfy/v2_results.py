"""Results of workflows as outputs of Comfy API v2, which are assets: their ids say which job has which file.

An id is a UUID of version 8: the 84 bits of the job's id, then 38 bits of the SHA-256 of the result's name. Nothing is
stored for it, so results of workflows that were submitted in another way are assets too.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...jobs.job import Media, NoSuchMedia
from ...jobs.media import MediaStore
from .outputs import ResultName, ResultNames
from .prompts import PromptRecord

JOB_DIGITS, NAME_BITS = 21, 38
_JOB = re.compile(rf"[0-9a-f]{{{JOB_DIGITS}}}")
KINDS = {"image": "image", "video": "video", "audio": "audio", "text": "text"}


@dataclass(frozen=True)
class ResultFile:
    """A file that a node of a job wrote."""

    id: str
    node: str
    name: ResultName
    media: Media

    @property
    def kind(self) -> str:
        """image, video, audio, text, latent or file."""
        if self.name.name.endswith(".latent"):
            return "latent"
        return KINDS.get(self.media.media_type.partition("/")[0], "file")


class ResultFiles:
    """The files of workflows."""

    def __init__(self, names: ResultNames, media: MediaStore) -> None:
        self.names, self.media = names, media

    def of(self, record: PromptRecord, outputs: Mapping[str, Any]) -> list[ResultFile]:
        """The files of a job, in their order. outputs: what its nodes have given so far, if it has no result."""
        files = record.result.get("files")
        if isinstance(files, list):
            return [
                ResultFile(output_id(record.job, name), str(each.get("node", "")), name,
                           Media(each["media"].removeprefix("sha256:"), int(each["bytes"]), each["media_type"]))
                for each in files if (name := _name_of(each)) is not None
            ]  # fmt: skip
        return self.so_far(record.job, outputs)

    def so_far(self, job: str, outputs: Mapping[str, Any]) -> list[ResultFile]:
        """The files that the outputs of nodes name."""
        named = ((node, name) for node, output in outputs.items() for name in names_in(output))
        return [found for node, name in named if (found := self.file(job, node, name)) is not None]

    def file(self, job: str, node: str, name: ResultName) -> ResultFile | None:
        """The file of a name; None if its content is not here."""
        sha = self.names.find(name)
        if sha is None:
            return None
        try:
            return ResultFile(output_id(job, name), node, name, self.media.find(sha))
        except NoSuchMedia:
            return None


def output_id(job: str, name: ResultName) -> str:
    """The id of a result of a job. ValueError: its id is none of the store."""
    if _JOB.fullmatch(job) is None:
        raise ValueError(job)
    digest = hashlib.sha256(f"{name.folder}/{name.name}".encode()).digest()
    bits = int(job, 16) << NAME_BITS | int.from_bytes(digest[:5], "big") >> 40 - NAME_BITS
    high, middle, low = bits >> 74, bits >> 62 & 0xFFF, bits & (1 << 62) - 1
    return str(uuid.UUID(int=high << 80 | 8 << 76 | middle << 64 | 2 << 62 | low))


def job_of_output(id: str) -> str | None:
    """The job of the id of a result; None for another id."""
    try:
        value = uuid.UUID(id).int if len(id) == 36 else 0
    except ValueError:
        return None
    if value >> 76 & 0xF != 8:
        return None
    bits = (value >> 80) << 74 | (value >> 64 & 0xFFF) << 62 | value & (1 << 62) - 1
    return f"{bits >> NAME_BITS:0{JOB_DIGITS}x}"


def names_in(output: Any) -> list[ResultName]:
    """The names of the files in the output of a node."""
    found = output.values() if isinstance(output, dict) else ()
    lists = (each for each in found if isinstance(each, list))
    return [name for each in lists for one in each if (name := _name_of(one)) is not None]


def _name_of(value: Any) -> ResultName | None:
    if not isinstance(value, dict) or not isinstance(value.get("filename"), str):
        return None
    subfolder = value.get("subfolder", "")
    return ResultName(
        str(value.get("type", "output")), f"{subfolder}/{value['filename']}" if subfolder else value["filename"]
    )
