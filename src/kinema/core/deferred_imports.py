"""Lazy loading of modules that libraries import but a clip rarely calls.

Five modules take a third of a cold start: `torch._dynamo`, which diffusers and transformers import for decorators that
matter only under `torch.compile`; `scipy.optimize`, `.stats` and `.integrate`, for losses of detectors and for beta
schedules; `bitsandbytes`, which peft imports if it is installed. Inside `deferred_imports` they are entered in
`sys.modules` without being executed, like `importlib.util.LazyLoader` does. The first attribute access executes them in
place, so no caller ever holds a second module object. Only the names in `AT_IMPORT` can be imported without executing
the module: they are called later, or are decorators that are applied again after the module is loaded.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any

AT_IMPORT: dict[str, dict[str, str]] = {
    "torch._dynamo": {"allow_in_graph": "mark", "assume_constant_result": "mark", "disable": "wrap"},
    "torch._dynamo._trace_wrapped_higher_order_op": {"TransformGetItemToIndex": "call"},
    "scipy.optimize": {"linear_sum_assignment": "call"},
    "scipy.stats": {},
    "scipy.integrate": {},
    "bitsandbytes": {},
}
"""The names that libraries import from each deferred module. call: a function, looked up when it is called. mark: a
decorator that returns its argument; it is applied after the module is loaded. wrap: a decorator that returns another
function, which takes effect after the module is loaded."""

EAGER = "KINEMA_EAGER_IMPORTS"
"""Set this variable to load all modules at import, as Python does."""


@contextmanager
def deferred_imports() -> Iterator[None]:
    """Defer loading of the modules in `AT_IMPORT` that are first imported in this block. Blocks may be nested."""
    finder = _Finder()
    if os.environ.get(EAGER) or any(isinstance(other, _Finder) for other in sys.meta_path):
        yield
        return
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


def is_deferred(name: str) -> bool:
    """Whether the module was imported and is not loaded yet."""
    return isinstance(sys.modules.get(name), _Deferred)


class _Finder:
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package = sys.modules.get(name.rpartition(".")[0])
        if name not in AT_IMPORT and not isinstance(package, _Deferred):
            return None
        if name not in AT_IMPORT:  # other submodules need their package, which may import them while it loads
            assert package is not None
            _loaded(package)
            if name in sys.modules:
                return importlib.machinery.ModuleSpec(name, _Loaded(sys.modules[name]))  # type: ignore[arg-type]
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    def __init__(self, real: Any) -> None:
        self.real = real

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        made = self.real.create_module(spec)
        return made if isinstance(made, ModuleType) else None

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.real
        state = vars(module)
        state["_deferred"] = _State(state.pop("__path__", None))
        module.__class__ = _Deferred


class _Loaded:
    """A loader that returns an already loaded module."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        if self.spec is not None:
            module.__spec__, module.__loader__ = self.spec, self.spec.loader


class _State:
    """The state of a module that is not executed yet."""

    def __init__(self, path: Any) -> None:
        """path: `__path__` of a package; Python reads it before it imports a submodule."""
        self.path = path
        self.marked: list[tuple[str, Any]] = []  # decorators and their arguments
        self.lock = threading.RLock()
        self.running = False


class _Deferred(ModuleType):
    """A module that is not executed yet. Access to a missing attribute executes it."""

    def __getattr__(self, name: str) -> Any:
        state: _State | None = vars(self).get("_deferred")
        if state is None:  # executed by another thread in the meantime
            return ModuleType.__getattribute__(self, name)
        if name == "__path__" and state.path is not None:
            inside = any(isinstance(finder, _Finder) for finder in sys.meta_path)  # the finder handles submodules
            return state.path if inside else _loaded(self).__path__
        if name.startswith("__") and name.endswith("__"):  # importlib and inspect read these from every module
            raise AttributeError(name)
        kind = AT_IMPORT[self.__name__].get(name)
        if kind is not None and not state.running:
            return {"call": _called, "mark": _marking, "wrap": _wrapping}[kind](self, name)
        return ModuleType.__getattribute__(_loaded(self), name)

    def __dir__(self) -> list[str]:
        return dir(_loaded(self))


def _loaded(module: ModuleType) -> ModuleType:
    """Execute the module, after its parent package, and return it. Other threads wait."""
    package = sys.modules.get(module.__name__.rpartition(".")[0])
    if isinstance(package, _Deferred):
        _loaded(package)
    state: _State | None = vars(module).get("_deferred")
    if state is None:
        return module
    with state.lock:
        if state.running or not isinstance(module, _Deferred):  # a recursive access, or another thread was first
            return module
        state.running = True
        if state.path is not None:
            vars(module)["__path__"] = state.path
        assert module.__spec__ is not None and module.__spec__.loader is not None
        try:
            module.__spec__.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(module.__name__, None)
            raise
        finally:
            object.__setattr__(module, "__class__", ModuleType)
            del vars(module)["_deferred"]
        for name, function in state.marked:
            getattr(module, name)(function)
    return module


def _called(module: ModuleType, name: str) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        return getattr(_loaded(module), name)(*args, **kwargs)

    function.__name__ = name
    return function


def _marking(module: _Deferred, name: str) -> Callable[[Any], Any]:
    def decorator(function: Any) -> Any:
        state = vars(module).get("_deferred")
        if state is not None:
            state.marked.append((name, function))
            return function
        return getattr(module, name)(function)

    return decorator


def _wrapping(module: ModuleType, name: str) -> Callable[..., Any]:
    def decorator(function: Any = None, *args: Any, **kwargs: Any) -> Any:
        if function is None:  # called with options only: returns the decorator
            return lambda given: decorator(given, *args, **kwargs)
        if not isinstance(function, FunctionType):  # a class or a network: the result is not a function
            return getattr(_loaded(module), name)(function, *args, **kwargs)
        wrapped: list[Any] = []

        @functools.wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            if isinstance(module, _Deferred):
                return function(*given, **named)
            if not wrapped:
                wrapped.append(getattr(module, name)(function, *args, **kwargs))
            return wrapped[0](*given, **named)

        return call

    return decorator
