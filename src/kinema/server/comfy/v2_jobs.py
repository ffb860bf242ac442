"""Workflows as the jobs of Comfy API v2: one in detail, and lines of a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ...jobs.retention import Retention
from .assets import Asset
from .prompts import PromptRecord, Prompts
from .v2_progress import NodeCount
from .v2_results import ResultFile, ResultFiles

API = "/api/v2"
OF_NODES = ("state", "node")
OF_STEPS = (*OF_NODES, "node_progress")
PAGE = 1000


class JobsShown:
    """prompts: the workflows. results: their files."""

    def __init__(self, prompts: Prompts, results: ResultFiles) -> None:
        self.prompts, self.results = prompts, results

    def count(self, record: PromptRecord, until: int | None = None) -> NodeCount:
        """How far a workflow is: its events up to a number."""
        body = self.prompts.bodies([record.job]).get(record.job, {})
        found, at = NodeCount(body.get("prompt", {})), 0
        kinds = OF_NODES if record.ended and until is None else OF_STEPS
        while page := self.prompts.events(record.job, at, kinds, PAGE):
            for event in page:
                if until is not None and event.number > until:
                    return found
                found.take(event)
            at = page[-1].number
        return found

    def detail(
        self, record: PromptRecord, labels: Mapping[str, str], position: int | None, base: str
    ) -> dict[str, Any]:
        """One job. position: in the queue, from 0. base: the address of this server, as the client has it."""
        count, own = self.count(record), f"{API}/jobs/{record.id}"
        began, ended = record.started_at, record.ended_at
        return {
            "id": record.id, "status": record.state, "created_at": iso(record.created_at),
            "started_at": None if began is None else iso(began), "completed_at": None if ended is None else iso(ended),
            "expires_at": iso(_expires(record)), "queue_position": position,
            "progress": None if record.state == "queued" else count.snapshot(),
            "outputs": [output_of(each, record, base) for each in self.results.of(record, count.outputs)],
            "error": error_of(record, count), "metrics": _metrics(record), "metadata": dict(labels),
            "urls": {"self": own, "events": f"{own}/events", "cancel": f"{own}/cancel"},
        }  # fmt: skip


def line_of(record: PromptRecord, labels: Mapping[str, str]) -> dict[str, Any]:
    """A job in a list: without outputs and progress."""
    return {"id": record.id, "status": record.state, "create_time": iso(record.created_at),
            "update_time": iso(record.ended_at or record.started_at or record.created_at),
            "created_at": iso(record.created_at), "metadata": dict(labels)}  # fmt: skip


def output_of(file: ResultFile, record: PromptRecord, base: str) -> dict[str, Any]:
    """A file that a node wrote."""
    return {
        "node_id": file.node, "name": file.name.to_dict()["filename"], "type": file.kind,
        "content_type": file.media.media_type, "size_bytes": file.media.bytes, "id": file.id, "hash": None,
        "url": f"{base}{API}/assets/{file.id}/content", "url_expires_at": iso(_expires(record)), "job_id": record.id,
    }  # fmt: skip


def result_asset(file: ResultFile, record: PromptRecord, base: str) -> dict[str, Any]:
    """The same file as an asset."""
    facts = output_of(file, record, base)
    own = {"file_path": file.name.name, "created_at": iso(record.created_at), "expires_at": facts["url_expires_at"]}
    return {name: value for name, value in facts.items() if name not in ("node_id", "name", "type")} | own


def asset_of(asset: Asset, base: str, created_new: bool | None = None) -> dict[str, Any]:
    """An uploaded asset. created_new: for the answer to its creation."""
    shown: dict[str, Any] = {
        "id": asset.id, "hash": asset.blake3, "size_bytes": asset.bytes, "content_type": asset.media_type,
        "file_path": asset.name, "created_at": iso(asset.created_at),
        "url": f"{base}{API}/assets/{asset.id}/content", "url_expires_at": iso(asset.expires_at),
        "expires_at": iso(asset.expires_at),
    }  # fmt: skip
    return shown if created_new is None else shown | {"created_new": created_new}


def error_of(record: PromptRecord, count: NodeCount) -> dict[str, Any] | None:
    """Why a job failed."""
    if record.state not in ("failed", "expired"):
        return None
    node = str(count.failed.get("node") or count.current) or None
    kind = str(count.prompt.get(node or "", {}).get("class_type", "")) or None
    lines: Iterable[str] = count.failed.get("traceback") or ()
    return {
        "code": "expired" if record.state == "expired" else "node_execution_error" if node else "execution_error",
        "message": record.reason or str(count.failed.get("message", "")) or "It failed.", "node_id": node,
        "class_type": kind, "traceback": "\n".join(lines) or None,
    }  # fmt: skip


def iso(at: float) -> str:
    """Seconds since the epoch as RFC 3339, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _expires(record: PromptRecord) -> float:
    """When an ended job is deleted, at the earliest."""
    since = record.ended_at if record.ended_at is not None else datetime.now(UTC).timestamp()
    return since + Retention().max_age_s


def _metrics(record: PromptRecord) -> dict[str, int | None]:
    began, ended = record.started_at, record.ended_at
    return {"queue_ms": None if began is None else int((began - record.created_at) * 1000),
            "execution_ms": None if began is None or ended is None else int((ended - began) * 1000)}  # fmt: skip
