"""Loaded engines of one worker process. Each has one owner at a time; the least recently used are dropped when memory
is needed for another, and one whose files have changed since it was loaded is loaded again."""

from __future__ import annotations

import gc
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.events import Event, OnEvent, ignore
from ..weights import store

if TYPE_CHECKING:
    from ..engine.load import Engine

SPARE = 0.15
"""Share of the memory that stays free for the work itself."""
GROWTH = 1.3
"""Memory of a loaded model over the bytes of its files."""
Key = tuple[str, str, str]
Mark = tuple[tuple[str, int, int], ...]


class EnginePool:
    """device, dtype: as for `kinema.load`; the same for all engines. "" is the best device, and its default dtype."""

    def __init__(self, device: str = "", dtype: str = "") -> None:
        self.device, self.dtype = device or None, dtype or None
        self._idle: OrderedDict[Key, Engine] = OrderedDict()
        self._owned: set[Key] = set()
        self._marks: dict[Key, Mark] = {}
        self._change = threading.Condition()

    @contextmanager
    def lease(self, model: str, on_event: OnEvent = ignore) -> Iterator[Engine]:
        """The engine of a model, loaded if it is not, for the block. Waits while another thread owns it. Raises what
        `kinema.load` raises."""
        card = store.find(model)
        key = (card.id, self.device or "", self.dtype or "")
        with self._change:
            while key in self._owned:
                self._change.wait()
            self._owned.add(key)
            engine = self._idle.pop(key, None)
        try:
            mark = tuple(each for place in _places(card) for each in store.mark(place))
            if engine is not None and self._marks.get(key) != mark:
                engine = None
                _release()
            if engine is None:
                engine = self._loaded(model, card, on_event)
                self._marks[key] = mark
            yield engine
        except BaseException:
            if engine is not None and is_out_of_memory():
                engine = None
            raise
        finally:
            with self._change:
                self._owned.discard(key)
                if engine is not None:
                    self._idle[key] = engine
                self._change.notify_all()

    def models(self) -> list[str]:
        """The ids of the loaded models, the most recently used last."""
        with self._change:
            return [key[0] for key in self._idle] + sorted(key[0] for key in self._owned)

    def has(self, model: str) -> bool:
        """Whether the engine of a model is loaded."""
        return store.find(model).id in self.models()

    def clear(self) -> None:
        """Drop all engines that nobody owns."""
        with self._change:
            self._idle.clear()
        _release()

    def _loaded(self, model: str, card: Any, on_event: OnEvent) -> Engine:
        """Load an engine, by the name that was given: a path has a card whose id finds nothing. The process keeps its
        number of threads, on which the last bits of its frames depend: a machine that is busy now will not be so for
        the life of a worker."""
        import torch

        from ..engine.load import load

        needed = int(GROWTH * sum(map(_bytes_on_disk, _places(card))))
        while self._idle and needed > self._room():
            with self._change:
                self._idle.popitem(last=False)
            _release()
        on_event(Event("load"))
        threads = torch.get_num_threads()
        try:
            return load(model, device=self.device, dtype=self.dtype, progress=False)
        finally:
            torch.set_num_threads(threads)

    def _room(self) -> int:
        """Bytes of memory that a model may take now."""
        import torch

        from ..weights.device import default_device

        place = torch.device(self.device) if self.device else default_device()
        if place.type == "cuda":
            free, total = torch.cuda.mem_get_info(place)
        else:
            import psutil

            memory = psutil.virtual_memory()
            free, total = memory.available, memory.total
        return int(free - SPARE * total)


def is_out_of_memory(error: BaseException | None = None) -> bool:
    """Whether an exception (default: the one being handled) is a lack of memory, of the machine or of a GPU."""
    error = error or sys.exception()
    torch = sys.modules.get("torch")
    kinds: tuple[type[BaseException], ...] = (MemoryError, *((torch.OutOfMemoryError,) if torch is not None else ()))
    return isinstance(error, kinds)


def _places(card: Any) -> list[Path]:
    """The folder or file of a model, and the second file of a pair."""
    return [store.locate(card), *([Path(card.second_path)] if card.second_path is not None else [])]


def _bytes_on_disk(place: Path) -> int:
    files = [place] if place.is_file() else place.rglob("*.safetensors")
    return sum(file.stat().st_size for file in files)


def _release() -> None:
    """Return the memory of dropped engines."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
