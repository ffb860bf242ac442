"""Bounded parsing of untrusted data (files, metadata in clips, checkpoints, responses of servers).

Every problem raises a KinemaError that names the source: too large, nested too deeply, not JSON, not of the expected
type. The limits bound the time and memory spent, whatever the input.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from .errors import KinemaError

MAX_JSON_BYTES = 16 * 2**20
MAX_YAML_BYTES = 256 * 2**10
"""The YAML parser is pure Python and takes about four seconds per megabyte."""

MAX_DEPTH = 64
MAX_VALUES = 1_000_000
MAX_YAML_VALUES = 50_000
"""Aliases count each time they are used."""
_ONLY_YAML_1_1 = re.compile(r"[_:]|^[-+]?0(?:b|[0-9])", re.ASCII)
"""Digit groups, base 60, binary and octal."""

Kind = TypeVar("Kind")


def parse_json(
    text: str | bytes,
    what: str,
    kind: type[Kind] | tuple[type, ...] = object,  # type: ignore[assignment]
    *,
    error: type[KinemaError] = KinemaError,
    max_bytes: int = MAX_JSON_BYTES,
) -> Kind:
    """Parse JSON `text`, which must be a `kind` (dict, list, str, ...). `what` begins error messages.

    Raises `error`: not UTF-8, not JSON, NaN or Infinity, a duplicate name in an object, another type, a lone surrogate,
    more than `max_bytes`, MAX_DEPTH or MAX_VALUES.
    """
    if len(text) > max_bytes:
        raise error(f"{what}: {len(text):,} bytes of JSON; the limit is {max_bytes:,}.")

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is not a JSON number")

    try:
        value = json.loads(text, parse_constant=refuse, object_pairs_hook=_object)
    except RecursionError:
        raise error(f"{what}: JSON nested more than {MAX_DEPTH} deep.") from None
    except _Duplicate as twice:
        raise error(f"{what}: {twice}") from None
    except UnicodeDecodeError:
        raise error(f"{what}: not JSON (not UTF-8 text).") from None
    except ValueError as reason:
        if not text.strip():
            raise error(f"{what}: empty; JSON is expected.") from None
        raise error(f"{what}: not valid JSON ({_brief(reason)}).") from None
    bounded(value, what, error=error)
    return of_kind(value, what, kind, error=error)


def read_json(
    path: Path,
    kind: type[Kind] | tuple[type, ...] = object,  # type: ignore[assignment]
    *,
    error: type[KinemaError] = KinemaError,
    max_bytes: int = MAX_JSON_BYTES,
) -> Kind:
    """`parse_json` of a file. Raises `error` also if it cannot be read; FileNotFoundError if it does not exist."""
    return parse_json(read_bytes(path, error=error, max_bytes=max_bytes), str(path), kind, error=error)


def parse_yaml(text: str | bytes, what: str, *, error: type[KinemaError] = KinemaError) -> Any:
    """Parse YAML `text`. Raises `error`: not YAML, more than MAX_YAML_BYTES, MAX_DEPTH or MAX_YAML_VALUES, a recursive
    alias, a duplicate name in a mapping. Aliases are counted before they are expanded. Numbers of YAML 1.1 only (5_0,
    1:30, 010) are text."""
    import yaml

    if len(text) > MAX_YAML_BYTES:
        raise error(f"{what}: {len(text):,} bytes of YAML; the limit is {MAX_YAML_BYTES:,}.")
    try:
        _count_yaml(yaml.parse(text, Loader=yaml.SafeLoader), what, error)
        loader = _loader()(text)
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
    except RecursionError:
        raise error(f"{what}: YAML nested more than {MAX_DEPTH} deep.") from None
    except _Duplicate as twice:
        raise error(f"{what}: {twice}") from None
    except (yaml.YAMLError, ValueError, OverflowError, TypeError, AttributeError) as reason:
        raise error(f"{what}: not valid YAML ({_brief(reason)}).") from None
    bounded(value, what, error=error)
    return value


def parse_toml(text: bytes, what: str, *, error: type[KinemaError] = KinemaError) -> dict[str, Any]:
    """Parse TOML `text`. Raises `error`: not UTF-8, not TOML, a duplicate name in a table, more than MAX_DEPTH or
    MAX_VALUES."""
    import tomllib

    try:
        value = tomllib.loads(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise error(f"{what}: not TOML (not UTF-8 text).") from None
    except RecursionError:
        raise error(f"{what}: nested too deeply.") from None
    except ValueError as reason:  # TOMLDecodeError, or a number that is too long
        message = _brief(reason)
        if (name := _toml_duplicate(message, text.decode("utf-8"))) is not None:
            raise error(f"{what}: {_Duplicate(name)}") from None
        raise error(f"{what}: not valid TOML: {message[:200]}.") from None
    bounded(value, what, error=error)
    return value


def read_bytes(path: Path, *, error: type[KinemaError] = KinemaError, max_bytes: int = MAX_JSON_BYTES) -> bytes:
    """Read a regular file; devices and pipes, which may be endless, are refused. Raises `error` with the reason if it
    cannot be read or is larger than `max_bytes`; FileNotFoundError if it does not exist."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise error(f"{path}: not a regular file.")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(max_bytes + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as reason:
        raise error(f"{path}: cannot be read ({_brief(reason)}).") from None
    if len(data) > max_bytes:
        raise error(f"{path}: larger than the limit of {max_bytes:,} bytes.")
    return data


def exists(path: str | Path) -> bool:
    """Whether the path exists. False for invalid names (too long, with a NUL, not Unicode) and for paths without
    permission."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def of_kind(
    value: Any,
    what: str,
    kind: type[Kind] | tuple[type, ...],
    *,
    error: type[KinemaError] = KinemaError,
) -> Kind:
    """Return the value if it is a `kind`; booleans are not numbers. Raises `error` otherwise."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if object not in kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
        wanted = " or ".join(_NAMES.get(one, one.__name__) for one in kinds)
        raise error(f"{what}: expected {wanted}, got {_NAMES.get(type(value), type(value).__name__)}.")
    return value


def bounded(value: Any, what: str, *, error: type[KinemaError] = KinemaError) -> None:
    """Raise `error` if a JSON value is nested too deeply, has too many parts, or holds text with lone surrogates (which
    files and terminals do not accept)."""
    count = 0
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for part in level:
            count += 1
            if count + len(below) > MAX_VALUES:
                raise error(f"{what}: more than {MAX_VALUES:,} values.")
            if isinstance(part, str):
                if not part.isascii() and any("\ud800" <= char <= "\udfff" for char in part):
                    raise error(f"{what}: text with a lone surrogate, which is not valid Unicode.")
            elif isinstance(part, dict):
                below.extend(part.keys())
                below.extend(part.values())
            elif isinstance(part, list | tuple):
                below.extend(part)
        if not below:
            return
        level = below
    raise error(f"{what}: nested more than {MAX_DEPTH} deep.")


def for_terminal(text: str, limit: int = 2000) -> str:
    """Return untrusted text in a form safe for a terminal: control characters, escape sequences and bidirectional
    marks are escaped, line breaks kept with an indent, at most `limit` characters."""
    shown = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(_visible(shown))


class _Duplicate(ValueError):
    """A duplicate name in one object: it is ambiguous which value is meant."""

    def __init__(self, name: Any) -> None:
        super().__init__(f"{for_terminal(str(name), 100)!r} is given twice; names must be unique.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        _once([("", name) for name, _ in pairs])
    return found


def _once(names: list[tuple[str, str]]) -> None:
    """Raise _Duplicate if one of these (tag, name) pairs occurs twice."""
    seen: set[tuple[str, str]] = set()
    for name in names:
        if name in seen:
            raise _Duplicate(name[1])
        seen.add(name)


def _toml_duplicate(message: str, text: str) -> str | None:
    """The duplicate name, if tomllib's message reports one; if it reports only a line, the name on that line."""
    if found := re.match(r"Duplicate inline table key '(.*)' \(", message):
        return found[1]
    if found := re.match(r"Cannot declare \((.*?),?\) twice", message):
        return found[1].replace("', '", ".").strip("'")
    if not (found := re.match(r"Cannot overwrite a value \(at (?:line ([0-9]+)|end of document)", message)):
        return None
    lines = text.rstrip().split("\n") if found[1] is None else text.split("\n")[: int(found[1])]
    named = next((each for each in reversed(lines) if re.match(r"\s*[\w.\"'-]+\s*=", each)), lines[-1])
    return named.partition("=")[0].strip()


_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")
_NAMES: dict[type, str] = {
    dict: "an object", list: "a list", tuple: "a list", str: "text", int: "a whole number", float: "a number",
    bool: "true or false", type(None): "null",
}  # fmt: skip


def _visible(text: str) -> Iterator[str]:
    for char in text:
        code = ord(char)
        if char == "\n":
            yield "\n  "
        elif char == "\t":
            yield " "
        elif code < 32 or 127 <= code < 160 or char in _BIDIRECTIONAL or 0xD800 <= code <= 0xDFFF:
            yield f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
        else:
            yield char


@cache
def _loader() -> Any:
    """yaml.SafeLoader, which creates plain values only, with the numbers of YAML 1.2."""
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
            node = super().compose_mapping_node(anchor)
            _once([(each.tag, each.value) for each, _ in node.value if isinstance(each, yaml.ScalarNode)])
            return node

    def number(of: Callable[[yaml.SafeLoader, yaml.ScalarNode], Any]) -> Callable[[Loader, yaml.ScalarNode], Any]:
        return lambda loader, node: node.value if _ONLY_YAML_1_1.search(node.value) else of(loader, node)

    Loader.add_constructor("tag:yaml.org,2002:int", number(yaml.SafeLoader.construct_yaml_int))
    Loader.add_constructor("tag:yaml.org,2002:float", number(yaml.SafeLoader.construct_yaml_float))
    return Loader


def _count_yaml(events: Iterator[Any], what: str, error: type[KinemaError]) -> None:
    from yaml import events as kinds

    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in events:
        if isinstance(event, kinds.AliasEvent):
            if event.anchor not in sizes:
                raise error(f"{what}: the alias *{event.anchor} is undefined or recursive.")
            total += sizes[event.anchor]
        elif isinstance(event, kinds.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, kinds.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
            if event.anchor:
                sizes.pop(event.anchor, None)
        elif isinstance(event, kinds.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = total - before
        if len(open_nodes) > MAX_DEPTH:
            raise error(f"{what}: YAML nested more than {MAX_DEPTH} deep.")
        if total > MAX_YAML_VALUES:
            raise error(f"{what}: more than {MAX_YAML_VALUES:,} YAML values (aliases count each time they are used).")


def _brief(reason: BaseException) -> str:
    lines = str(reason).splitlines() or [type(reason).__name__]
    return for_terminal(" ".join(line.strip() for line in lines), 300)
