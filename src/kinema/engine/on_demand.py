"""Clips whose model may have nothing to do: in-place edits with `fill="both"`, where the model generates only what no
frame of the clip shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ..core.chunk import Chunk
from ..core.events import Note, OnEvent, ignore, planned
from ..core.family import Family
from ..core.plan import Plan
from ..core.quiet import quietly
from ..core.request import Request
from ..weights import store
from .estimate import arithmetic, parts
from .keeping import check_keeping
from .manifest import manifest, without_estimate
from .plan import plan as make_plan
from .stopwatch import Stopwatch
from .without_model import StandIn


class OnDemand(StandIn):
    """The stand-in of an Engine that is loaded at the first window in which something is left to generate. load: loads
    and returns it, reporting to a callback. model: as for `load`. device: its name, as in `estimate.device_name`."""

    def __init__(self, model: str, device: str, load: Callable[[OnEvent], Any]) -> None:
        self.model, self.device, self.load = model, device, load
        self.engine: Any = None

    @property
    def device_name(self) -> str:
        """The engine's device; "cpu" as long as no model is loaded."""
        return "cpu" if self.engine is None else self.engine.device_name

    def plan(self, request: Request) -> Plan:
        return make_plan(request, store.find(self.model), self.device)

    def digests(self, plan: Plan) -> dict[str, str]:
        """SHA-256 of the weight files, by name; none as long as no model is loaded."""
        return {} if self.engine is None else self.engine.digests(plan)

    def manifest(self, plan: Plan) -> dict[str, Any]:
        """The manifest; before the end of the run without the weights."""
        if self.engine is not None:
            return self.engine.manifest(plan)
        return manifest(without_estimate(plan), {}, self.device_name)

    def stream(
        self, plan: Plan, *, on_event: OnEvent = ignore, state: Any = None, keep: Any = None, keep_every: int = 0
    ) -> Iterator[Chunk]:
        """As `Engine.stream`."""
        check_keeping(plan, state, keep, keep_every)
        return self._stream(plan, on_event, state, keep, keep_every)

    @quietly
    def _stream(self, plan: Plan, on_event: OnEvent, state: Any, keep: Any, keep_every: int) -> Iterator[Chunk]:
        from .edit import edit
        from .windows import Windows

        card, watch = store.find(self.model), Stopwatch(on_event)
        expected = parts(plan, card, self.device, start=self.engine is None)
        watch(planned(*expected))
        windows = Windows(plan, state, keep, keep_every)
        yield from watch.timed(edit(plan, partial(self._family, plan, watch), on_event=watch, windows=windows))
        if state is None and self.engine is not None and self.engine.dtype is None:
            passes = sum(part.stage == "sample" for part in expected)
            watch.keep(arithmetic(plan, card, self.engine.device_name), passes, self.engine.start_s)
            self.engine.start_s = None

    def _family(self, plan: Plan, on_event: OnEvent) -> Family:
        if self.engine is None:
            self.engine = self.load(on_event)
            for note in self.engine.notes(plan):
                on_event(Note("encode", note))
        return self.engine.family  # type: ignore[no-any-return]
