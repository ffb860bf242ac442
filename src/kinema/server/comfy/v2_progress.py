"""How far a workflow is, from the events of its job (messages.py lists them): the snapshot of Comfy API v2.

A node counts one, and a sampler also each of its steps, so that the bar follows the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...jobs.job import JobEvent
from ...workflow.nodes.table import DECLARED

MOST_STEPS = 1000


@dataclass
class NodeCount:
    """prompt: the nodes of a workflow. `take` each event of its job, in order."""

    prompt: Mapping[str, Mapping[str, Any]]
    done: set[str] = field(default_factory=set)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, Any] = field(default_factory=dict)
    current: str = ""
    part: tuple[float, float] = (0.0, 0.0)
    state: str = "queued"

    def __post_init__(self) -> None:
        self._weights = {key: _weight(node) for key, node in self.prompt.items() if not _is_value(node)}
        self._total, self._finished = sum(self._weights.values()), 0

    def take(self, event: JobEvent) -> None:
        if event.kind == "state":
            self.state = event.data["state"]
            if self.state == "running":  # another attempt
                self.done, self.outputs, self.failed, self.current, self._finished = set(), {}, {}, "", 0
            elif self.state == "succeeded":
                self._finish(*self._weights)
            return
        node = str(event.data.get("node", ""))
        if event.kind == "node_progress":
            self._go_on(node)
            self.part = (float(event.data["value"]), float(event.data["max"]))
        elif event.kind == "node":
            self._node(node, event.data)

    def _node(self, node: str, data: Mapping[str, Any]) -> None:
        told = data.get("event")
        if told == "cached":
            self._finish(*data["nodes"])
        elif told == "failed":
            self.failed = dict(data)
        elif told == "executed":
            self.outputs[node] = data["output"]
            self._finish(node)
        elif told == "executing":
            self._go_on(node)

    def _go_on(self, node: str) -> None:
        if node != self.current:
            self._finish(self.current)
            self.current, self.part = node, (0.0, 0.0)

    def _finish(self, *nodes: str) -> None:
        for node in nodes:
            if node in self._weights and node not in self.done:
                self.done.add(node)
                self._finished += self._weights[node]
            if node == self.current:
                self.current = ""

    def snapshot(self) -> dict[str, Any]:
        """value: 0 to 1; nodes_done, nodes_total; of the node that runs: current_node, its class, step, steps."""
        (value, most), total = self.part, self._total
        part = min(1.0, max(0.0, value / most)) if self.current and most > 0 else 0.0
        done = self._finished + part * self._weights.get(self.current, 0)
        shown: dict[str, Any] = {
            "value": round(min(1.0, done / total), 4) if total else float(self.state == "succeeded"),
            "nodes_done": len(self.done), "nodes_total": len(self._weights), "current_node": None,
            "current_node_class": None, "step": None, "steps": None, "message": None,
        }  # fmt: skip
        if self.current:
            kind = str(self.prompt.get(self.current, {}).get("class_type", ""))
            shown |= {"current_node": self.current, "current_node_class": kind, "message": kind}
            if most > 0:
                shown |= {"step": int(value), "steps": int(most), "message": f"{kind} {int(value)}/{int(most)}"}
        return shown


def _is_value(node: Mapping[str, Any]) -> bool:
    """Whether a node is evaluated before anything runs."""
    declared = DECLARED.get(str(node.get("class_type")))
    return declared is not None and declared.value


def _weight(node: Mapping[str, Any]) -> int:
    steps = node.get("inputs", {}).get("steps")
    return 1 + (min(steps, MOST_STEPS) if isinstance(steps, int) and steps > 0 else 0)
