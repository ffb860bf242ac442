"""From the events of a workflow's job to the messages that ComfyUI's clients expect, in their order.

A job of the kind `workflow` reports, beside the store's own events (jobs/job.py: JobEvent):
    "node"       {"event": "cached", "nodes": [ids]}: their results are at hand; once, before the first node runs
                 {"event": "executing", "node"}
                 {"event": "executed", "node", "output"}
                 {"event": "failed", "node", "type", "traceback"}
    "node_progress" {"node", "value", "max"}
    "preview"    {"node", "media", "media_type", "step", "steps"}

The messages are a function of the events alone, so every server process says the same, also after a restart.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...jobs.job import JobEvent

PREVIEW_WITH_METADATA = 4
OF_STATUS = ("execution_start", "execution_cached", "execution_success", "execution_error", "execution_interrupted")
"""Messages that the history keeps."""
MOST_SHOWN = 500


@dataclass(frozen=True)
class PreviewMessage:
    """A preview picture. metadata: names its node. media: its content, by hash."""

    metadata: dict[str, Any]
    media: str

    def encoded(self, content: bytes) -> bytes:
        """The binary message: type, length of the metadata, metadata, picture. Integers are big-endian."""
        text = json.dumps(self.metadata).encode()
        return struct.pack(">II", PREVIEW_WITH_METADATA, len(text)) + text + content


Message = dict[str, Any] | PreviewMessage


def message(type_: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"type": type_, "data": data}


def status_message(remaining: int) -> dict[str, Any]:
    """How many workflows wait or run."""
    return message("status", {"status": {"exec_info": {"queue_remaining": remaining}}})


@dataclass
class PromptMessages:
    """The messages of one workflow. id: of its prompt. classes: the class of each node. `take` each event, in order."""

    id: str
    classes: Mapping[str, str]
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What nodes have given so far; results that were at hand included."""
    failed: dict[str, Any] = field(default_factory=dict)
    running: str = ""
    started: bool = False

    def take(self, event: JobEvent) -> list[Message]:
        """The messages of the next event."""
        if event.kind == "state":
            return self._state(event)
        if event.kind == "preview" and "node" in event.data:
            node = str(event.data["node"])
            metadata = {"node_id": node, "display_node_id": node, "parent_node_id": node, "real_node_id": node,
                        "prompt_id": self.id, "image_type": event.data["media_type"]}  # fmt: skip
            return [PreviewMessage(metadata, event.data["media"])]
        if event.kind == "node_progress":
            return self._counted(event.data)
        if event.kind == "node":
            return self._node(event.data, event.at)
        return []

    def _state(self, event: JobEvent) -> list[Message]:
        state, at = event.data["state"], {"timestamp": int(event.at * 1000)}
        if state == "running":
            self.nodes, self.executed, self.outputs, self.failed = {}, [], {}, {}
            self.running, self.started = "", True
            return [self._message("execution_start", at)]
        if state == "succeeded":
            return [*self._finish(), self._message("execution_success", at), self._end()]
        if not self.started:  # a page would take it for the end of the workflow that runs
            return []
        if state == "canceled":
            node = self.running
            data = {"node_id": node, "node_type": self.classes.get(node, ""), "executed": self.executed, **at}
            return [self._message("execution_interrupted", data), self._end()]
        if state in ("failed", "expired"):
            return [*self._erred(), self._message("execution_error", self._error(event) | at), self._end()]
        return []

    def _error(self, event: JobEvent) -> dict[str, Any]:
        error = event.data.get("error") or {}
        node = str(self.failed.get("node") or self.running)
        reason = str(event.data.get("reason") or error.get("message") or "It failed.")
        kind = str(self.failed.get("type") or error.get("error") or "RuntimeError")
        if reason.startswith("Not enough memory"):
            kind = "OOMError"
        return {
            "node_id": node, "node_type": self.classes.get(node, ""), "executed": self.executed,
            "exception_message": reason, "exception_type": kind, "traceback": self.failed.get("traceback") or [],
            "current_inputs": {}, "current_outputs": [],
        }  # fmt: skip

    def _node(self, data: Mapping[str, Any], at: float) -> list[Message]:
        event = data["event"]
        if event == "cached":
            return [self._message("execution_cached", {"nodes": data["nodes"], "timestamp": int(at * 1000)})]
        node = str(data["node"])
        if event == "failed":
            self.failed = dict(data)
            return []
        if event == "executing":
            found = self._enter(node)
            self._set(node, "running", 0, 1)
            return [*found, self._progress()]
        if node not in self.executed:
            self.executed.append(node)
        self.outputs[node] = data["output"]
        self._set(node, "finished", None, None)
        self.running = "" if self.running == node else self.running
        executed = {"node": node, "display_node": node, "output": data["output"]}
        return [self._progress(), self._message("executed", executed)]

    def _counted(self, data: Mapping[str, Any]) -> list[Message]:
        node = str(data["node"])
        found = self._enter(node)
        self._set(node, "running", data["value"], data["max"])
        count = {"value": data["value"], "max": data["max"], "node": node}
        return [*found, self._progress(), self._message("progress", count)]

    def _enter(self, node: str) -> list[Message]:
        if self.running == node:
            return []
        found = self._finish()
        self.running = node
        return [*found, self._message("executing", {"node": node, "display_node": node})]

    def _set(self, node: str, state: str, value: float | None, most: float | None) -> None:
        known = self.nodes.get(node, {})
        most = most if most is not None else known.get("max", 1)
        self.nodes[node] = {
            "value": most if value is None else value, "max": most, "state": state, "node_id": node,
            "prompt_id": self.id, "display_node_id": node, "parent_node_id": None, "real_node_id": node,
        }  # fmt: skip

    def _finish(self) -> list[Message]:
        """The node that ran, without an event of its end, is finished."""
        if not self.running:
            return []
        self._set(self.running, "finished", None, None)
        self.running = ""
        return [self._progress()]

    def _erred(self) -> list[Message]:
        node = str(self.failed.get("node") or self.running)
        if not node:
            return []
        self._set(node, "error", self.nodes.get(node, {}).get("value", 0), None)
        return [self._progress()]

    def _progress(self) -> Message:
        """The state of all nodes; of a huge graph, of those that have not finished."""
        few = len(self.nodes) <= MOST_SHOWN
        return self._message("progress_state", {
            "nodes": {key: dict(value) for key, value in self.nodes.items() if few or value["state"] != "finished"}
        })  # fmt: skip

    def _end(self) -> Message:
        return self._message("executing", {"node": None, "display_node": None})

    def _message(self, type_: str, data: dict[str, Any]) -> dict[str, Any]:
        return message(type_, {**data, "prompt_id": self.id})
