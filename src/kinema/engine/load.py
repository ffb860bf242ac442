"""Engine: one loaded model, warm, ready for any number of requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.chunk import Chunk
from ..core.errors import ModelError, RequestError
from ..core.events import Note, OnEvent, ignore
from ..core.plan import Plan
from ..core.registry import family_module
from ..core.request import Request, in_full
from ..core.request import parse_size as parse_size
from ..weights import store
from .clip import Clip
from .plan import plan as make_plan

if TYPE_CHECKING:
    from .resume import SamplingState


class Engine:
    """A loaded model. One request at a time: the networks are shared, schedulers and noise are not."""

    def __init__(self, model: str, family: Any, location: Path, device: str, dtype: Any = None) -> None:
        """dtype: what the networks were asked to be in; None is the device's own choice."""
        self.model, self.family, self.location, self.device, self.dtype = model, family, location, device, dtype
        self._second: Engine | None = None

    @cached_property
    def device_name(self) -> str:
        """A GPU's name as its driver gives it, else "cpu" or "mps": the words of `estimate.this_device`."""
        from ..weights.device import name_of

        return name_of(self.device)

    def plan(self, request: Request | str, **fields: Any) -> Plan:
        """The request resolved for this model. A string is a prompt; fields are those of `Request`."""
        wanted = as_request(request, **fields)
        if "model" in wanted.model_fields_set and store.find(wanted.model).id != self.family.card.id:
            raise RequestError(
                f"This engine runs {self.family.card.id}, the request asks for {wanted.model}.",
                field="model",
                value=wanted.model,
                legal=self.family.card.id,
            )
        return make_plan(wanted, self.family.card, self.device_name)

    def generate(self, request: Request | Plan | str, *, on_event: OnEvent = ignore, **fields: Any) -> Clip:
        """A lazy clip: frames are made when they are first asked for (frames, save, sheet). It holds this engine until
        then."""
        plan = request if isinstance(request, Plan) else self.plan(request, **fields)
        return Clip(plan, lambda: self.stream(plan, on_event=on_event), lambda: self.describe(plan))

    def stream(
        self,
        request: Request | Plan | str,
        *,
        on_event: OnEvent = ignore,
        state: SamplingState | None = None,
        keep: Callable[[SamplingState], None] | None = None,
        keep_every: int = 0,
        **fields: Any,
    ) -> Iterator[Chunk]:
        """Chunks as they are decoded; memory does not grow with length. Close the iterator to stop.

        state, keep, keep_every: see `generate.generate`; of a clip with a second pass they are the first pass's.
        RequestError where they do not fit the plan."""
        plan = request if isinstance(request, Plan) else self.plan(request, **fields)
        check_keeping(plan, state, keep, keep_every)
        return self._noting(plan, self._stream(plan, on_event, state, keep, keep_every), on_event)

    def _noting(self, plan: Plan, chunks: Iterator[Chunk], on_event: OnEvent) -> Iterator[Chunk]:
        """The chunks, after what the loaded model has to say of the plan."""
        for note in self.notes(plan):
            on_event(Note("encode", note))
        yield from chunks

    def _stream(
        self, plan: Plan, on_event: OnEvent, state: SamplingState | None, keep: Any, keep_every: int
    ) -> Iterator[Chunk]:  # fmt: skip
        from .generate import generate

        if plan.canvas == "source":
            from .edit import edit

            return edit(plan, self.family, on_event=on_event)
        if plan.canvas == "larger":
            from .larger import larger

            return larger(plan, self.family, on_event=on_event)
        chunks = generate(plan, self.family, state=state, on_event=on_event, keep=keep, keep_every=keep_every)
        if plan.second is not None:
            from .second_pass import second_pass

            chunks = second_pass(chunks, plan.second, self.second(plan.second).family, on_event)
        if plan.enlarge > 1:
            from ..post.upscale import enlarge

            chunks = enlarge(chunks, plan.enlarge)
        return chunks

    def manifest(self, plan: Plan) -> dict[str, Any]:
        """What a clip of this plan is made of, as JSON."""
        return self.describe(plan)()

    def describe(self, plan: Plan) -> Callable[[], dict[str, Any]]:
        """What makes the manifest, without this engine: weights are found now, and hashed when it is called."""
        places, device = self._weights(plan), self.device_name
        plan = plan.model_copy(update={"notes": (*plan.notes, *self.notes(plan))})

        def make() -> dict[str, Any]:
            from .manifest import manifest

            return manifest(plan, _digests(places), device)

        return make

    def notes(self, plan: Plan) -> tuple[str, ...]:
        """What the loaded model has to say of a plan that is not among the plan's notes."""
        found = self.family.notes(plan)
        if plan.second is not None:
            found += self.second(plan.second).family.notes(plan.second)
        return tuple(note for note in dict.fromkeys(found) if note not in plan.notes)

    def digests(self, plan: Plan) -> dict[str, str]:
        """SHA-256 of the weight files that a plan needs, by name."""
        return _digests(self._weights(plan))

    def _weights(self, plan: Plan) -> list[tuple[str, Path, tuple[Path, ...]]]:
        """(prefix of the names, the checkpoint, files beside it) of every model that the plan needs."""
        own = [("", self.location, self.family.weight_files(plan))]
        if plan.second is None:
            return own
        return own + [(f"second/{name}", *rest) for name, *rest in self.second(plan.second)._weights(plan.second)]

    def second(self, plan: Plan) -> Engine:
        """The engine of a second pass, on the same device and in the same dtype, kept for the next one."""
        if plan.model == self.model:
            return self
        if self._second is None or self._second.model != plan.model:
            self._second = None  # the one before is let go of first: two are enough
            self._second = load(plan.model, device=self.device, dtype=self.dtype)
        return self._second


def check_keeping(plan: Plan, state: Any = None, keep: Any = None, keep_every: int = 0) -> None:
    """RequestError where the sampling of a plan cannot be kept or taken up again as asked for."""
    if (keep is not None) != (keep_every > 0):
        raise RequestError(
            f"keep_every = {keep_every} {'with' if keep is not None else 'without'} keep.", field="keep_every",
            value=keep_every, legal="1 or more together with keep",
        )  # fmt: skip
    if plan.canvas != "model" and (state is not None or keep is not None):
        raise RequestError(
            f"Sampling states are of clips with canvas = model; this one has canvas = {plan.canvas}.",
            field="state" if state is not None else "keep", value=plan.canvas,
            legal="no state to go on from and none to keep",
        )  # fmt: skip
    if state is not None and state.plan != plan:
        raise RequestError(
            "The saved state is of another plan.", field="state", value=state.plan.prompt,
            legal="the state of the very plan, which it holds (state.plan)",
        )  # fmt: skip


def _digests(places: Iterable[tuple[str, Path, tuple[Path, ...]]]) -> dict[str, str]:
    return {
        prefix + name: value for prefix, place, more in places for name, value in store.digests(place, more).items()
    }


def as_request(request: Request | str, **fields: Any) -> Request:
    """A request from a prompt or a request, with fields changed. `image`, `last` and `references` are short for
    conditions and may be paths, PIL images or uint8 arrays; `size` may be "WxH" or (W, H)."""
    base = Request(prompt=request) if isinstance(request, str) else request
    return base.changed(**_fields(base, dict(fields))) if fields else base


def _fields(base: Request, fields: dict[str, Any]) -> dict[str, Any]:
    for name in ("image", "last"):
        if fields.get(name) is not None:
            fields[name] = _media(fields[name])
    if fields.get("references"):
        fields["references"] = tuple(_media(each) for each in fields["references"])
    found = in_full({"conditions": base.conditions, **fields})
    if found["conditions"] == base.conditions:
        del found["conditions"]
    return found


def _media(picture: Any) -> str:
    if isinstance(picture, str | Path):
        return str(picture)
    from ..conditions.inputs import inline_png

    return inline_png(picture)


def load(model: str = "kinema-mini-wan", *, device: Any = None, dtype: Any = None) -> Engine:
    """A warm engine for a model: a known name, hub id, alias, checkpoint folder or file.

    device: "cuda", "cuda:1", "mps", "cpu"; None takes the best there is. dtype: "bfloat16", "float32", ...; None
    takes bfloat16 on a GPU and float32 on a CPU. Raises ModelError, or WeightsMissing saying how to get them.
    """
    card = store.find(model)
    location = store.locate(card)
    try:
        family = family_module(card.family).load(card, location, device, dtype)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"{card.id} cannot be loaded on {device or 'the default device'}: {error}") from error
    return Engine(card.id, family, location, str(family.device), dtype)
