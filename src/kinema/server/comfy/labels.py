"""Labels of jobs: what a client of Comfy API v2 calls its jobs ("metadata"), and finds them by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...jobs.database import Do, JobDatabase
from .v2_errors import V2Refused

MOST_LABELS, MOST_FILTERS, MAX_VALUE_BYTES = 16, 3, 256
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_FILTER = re.compile(r"metadata\[(.*)\]", re.DOTALL)


def labels_of(value: Any) -> dict[str, str]:
    """The labels of a submission. V2Refused: it is no map of legal labels."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise V2Refused(422, "metadata_invalid", "metadata is not an object of texts.")
    if len(value) > MOST_LABELS:
        raise V2Refused(422, "metadata_invalid", f"metadata has {len(value)} labels; at most {MOST_LABELS} are legal.")
    for name, text in value.items():
        if (wrong := _wrong(name, text)) is not None:
            raise V2Refused(422, "metadata_invalid", wrong, {"field": f"metadata.{name[:40]}"})
    return dict(value)


def filters_of(query: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The labels that listed jobs must have: metadata[NAME]=VALUE of a query. V2Refused."""
    found: dict[str, str] = {}
    for field, text in query:
        if (match := _FILTER.fullmatch(field)) is None:
            continue
        if (wrong := _wrong(match[1], text)) is not None or match[1] in found:
            raise V2Refused(400, "invalid_metadata_filter", wrong or f"{match[1]} is filtered twice.")
        found[match[1]] = text
    if len(found) > MOST_FILTERS:
        raise V2Refused(400, "invalid_metadata_filter", f"{len(found)} filters; at most {MOST_FILTERS} are legal.")
    return found


def _wrong(name: str, text: Any) -> str | None:
    if _NAME.fullmatch(name) is None:
        return f"The name {name[:40]!r} of a label is not 1 to 40 letters, digits, _, - or dots."
    if not isinstance(text, str) or len(text.encode("utf-8", "surrogatepass")) > MAX_VALUE_BYTES:
        return f"The label {name} is not a text of at most {MAX_VALUE_BYTES} bytes."
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"The label {name} is not a text of whole characters."
    return f"The label {name} has characters that are not shown." if _HIDDEN.search(text) else None


class Labels:
    """The labels of a database of jobs."""

    def __init__(self, database: JobDatabase) -> None:
        self.database = database

    def add(self, do: Do, job: str, labels: Mapping[str, str]) -> None:
        """Store the labels of a job, within the transaction that stores it."""
        for name, value in labels.items():
            do("INSERT INTO kinema_job_labels (job, label, value) VALUES (:job, :label, :value)", job=job, label=name,
               value=value)  # fmt: skip

    def of(self, jobs: Sequence[str]) -> dict[str, dict[str, str]]:
        """The labels of jobs, by id."""
        names = {f"job{number}": job for number, job in enumerate(jobs)}
        found: dict[str, dict[str, str]] = {job: {} for job in jobs}
        if names:
            with self.database.look() as do:
                rows = do("SELECT job, label, value FROM kinema_job_labels WHERE job IN "
                          f"({', '.join(f':{name}' for name in names)}) ORDER BY label", **names)  # fmt: skip
            for row in rows:
                found[row["job"]][row["label"]] = row["value"]
        return found
