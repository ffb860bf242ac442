"""The settings of a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30


@dataclass(frozen=True)
class ServerSettings:
    """token: required from every client; None: none is. names: accepted host names besides localhost and bare
    addresses. models: the ids of the models that clients may use; empty: all of this machine. device: for estimates, as
    for `load`. workers: the number of worker processes that this server runs. max_body_bytes: of a JSON body;
    max_upload_bytes: of an upload. max_queued: jobs that wait. plan_s: time limit of a plan;
    planners: plans made at the same time. ui: the folder of ComfyUI's interface; None: it is not served."""

    token: str | None = None
    names: Sequence[str] = ()
    models: Sequence[str] = ()
    device: str | None = None
    workers: int = 1
    max_body_bytes: int = 8 * 2**20
    max_upload_bytes: int = 4 * GIB
    max_queued: int = 2000
    plan_s: float = 60.0
    planners: int = 2
    ui: Path | None = None
