"""Values from outside (files, notes in clips, checkpoints, answers of servers), read within bounds.

Whatever is wrong with them ends in a KinemaError that names what was read: too large, nested too deeply, no JSON, not
of the kind that was expected. Nothing here takes more time or memory than the bounds say, whoever wrote the bytes.
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
"""YAML is parsed in Python, at about a megabyte in four seconds."""

MAX_DEPTH = 64
MAX_VALUES = 1_000_000
MAX_YAML_VALUES = 50_000
"""Aliases counted as often as they are used."""
_ONLY_YAML_1_1 = re.compile(r"[_:]|^[-+]?0(?:b|[0-9])", re.ASCII)
"""Digits in groups, in base 60, in binary and in octal."""

Kind = TypeVar("Kind")


def parse_json(
    text: str | bytes,
    what: str,
    kind: type[Kind] | tuple[type, ...] = object,  # type: ignore[assignment]
    *,
    error: type[KinemaError] = KinemaError,
    max_bytes: int = MAX_JSON_BYTES,
) -> Kind:
    """The JSON value in `text`, which must be a `kind` (dict, list, str, ...). `what` begins the message of an error.

    Raises `error`: not UTF-8, not JSON, NaN or Infinity, a name that stands twice in one object, another kind, a lone
    surrogate, more than `max_bytes`, MAX_DEPTH or MAX_VALUES.
    """
    if len(text) > max_bytes:
        raise error(f"{what}: {len(text):,} bytes of JSON; at most {max_bytes:,} are read.")

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is no number of JSON")

    try:
        value = json.loads(text, parse_constant=refuse, object_pairs_hook=_object)
    except RecursionError:
        raise error(f"{what}: JSON nested more than {MAX_DEPTH} deep.") from None
    except _Twice as twice:
        raise error(f"{what}: {twice}") from None
    except UnicodeDecodeError:
        raise error(f"{what}: not JSON, and no text in UTF-8 at all.") from None
    except ValueError as reason:
        if not text.strip():
            raise error(f"{what}: it is empty; JSON is expected.") from None
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
    """parse_json of a file's bytes. Raises `error` also where it cannot be read; FileNotFoundError where none is."""
    return parse_json(read_bytes(path, error=error, max_bytes=max_bytes), str(path), kind, error=error)


def parse_yaml(text: str | bytes, what: str, *, error: type[KinemaError] = KinemaError) -> Any:
    """The YAML value in `text`. Raises `error`: not YAML, more than MAX_YAML_BYTES, MAX_DEPTH or MAX_YAML_VALUES, an
    alias inside of what it stands for, a name that stands twice in one mapping. Aliases are expanded only after they
    were counted. What YAML 1.1 alone takes for a number (5_0, 1:30, 010) is text."""
    import yaml

    if len(text) > MAX_YAML_BYTES:
        raise error(f"{what}: {len(text):,} bytes of YAML; at most {MAX_YAML_BYTES:,} are read.")
    try:
        _count_yaml(yaml.parse(text, Loader=yaml.SafeLoader), what, error)
        loader = _loader()(text)
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
    except RecursionError:
        raise error(f"{what}: YAML nested more than {MAX_DEPTH} deep.") from None
    except _Twice as twice:
        raise error(f"{what}: {twice}") from None
    except (yaml.YAMLError, ValueError, OverflowError, TypeError, AttributeError) as reason:
        raise error(f"{what}: not valid YAML ({_brief(reason)}).") from None
    bounded(value, what, error=error)
    return value


def parse_toml(text: bytes, what: str, *, error: type[KinemaError] = KinemaError) -> dict[str, Any]:
    """The TOML table in `text`. Raises `error`: not UTF-8, not TOML, a name that stands twice in one table, nested more
    than MAX_DEPTH deep, more than MAX_VALUES."""
    import tomllib

    try:
        value = tomllib.loads(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise error(f"{what}: not TOML, and no text in UTF-8 at all.") from None
    except RecursionError:
        raise error(f"{what}: nested too deeply.") from None
    except ValueError as reason:  # TOMLDecodeError, or a number that is too long
        told = _brief(reason)
        if (name := _toml_twice(told, text.decode("utf-8"))) is not None:
            raise error(f"{what}: {_Twice(name)}") from None
        raise error(f"{what}: not valid TOML: {told[:200]}.") from None
    bounded(value, what, error=error)
    return value


def read_bytes(path: Path, *, error: type[KinemaError] = KinemaError, max_bytes: int = MAX_JSON_BYTES) -> bytes:
    """The bytes of a regular file (no device, no pipe: those have no end). Raises `error` with the reason where it
    cannot be read or is larger than `max_bytes`; FileNotFoundError where nothing is there."""
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
        raise error(f"{path}: larger than the {max_bytes:,} bytes that are read of such a file.")
    return data


def is_there(path: str | Path) -> bool:
    """Is there something of this name? Names that no disk takes (too long, with a zero byte, no Unicode) lead to
    nothing, and so does what this user may not see."""
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
    """The value, if it is a `kind`; true and false are no numbers. Raises `error` otherwise."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if object not in kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
        wanted = " or ".join(_NAMES.get(one, one.__name__) for one in kinds)
        raise error(f"{what}: {wanted} is expected, not {_NAMES.get(type(value), type(value).__name__)}.")
    return value


def bounded(value: Any, what: str, *, error: type[KinemaError] = KinemaError) -> None:
    """Raises `error` where a value of JSON's kinds is nested too deeply, has too many parts, or holds text that is no
    Unicode (lone surrogates, which no file or terminal takes)."""
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
                    raise error(f"{what}: text with half of a surrogate pair, which is no Unicode.")
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
    """Text of strangers as a terminal may show it: control characters, escape sequences and signs that turn the
    direction of writing are spelled out, new lines kept with an indent, at most `limit` characters."""
    shown = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(_visible(shown))


class _Twice(ValueError):
    """A name that stands twice in one object: nobody can know which of its values is meant."""

    def __init__(self, name: Any) -> None:
        super().__init__(f"{for_terminal(str(name), 100)!r} is given twice in one place; it is taken once.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        _once([("", name) for name, _ in pairs])
    return found


def _once(names: list[tuple[str, str]]) -> None:
    """_Twice where one of these (kinds and) names is there before."""
    seen: set[tuple[str, str]] = set()
    for name in names:
        if name in seen:
            raise _Twice(name[1])
        seen.add(name)


def _toml_twice(told: str, text: str) -> str | None:
    """The name that stands twice, if that is what tomllib says; where it tells only the place, the name there."""
    if found := re.match(r"Duplicate inline table key '(.*)' \(", told):
        return found[1]
    if found := re.match(r"Cannot declare \((.*?),?\) twice", told):
        return found[1].replace("', '", ".").strip("'")
    if not (found := re.match(r"Cannot overwrite a value \(at (?:line ([0-9]+)|end of document)", told)):
        return None
    lines = text.rstrip().split("\n") if found[1] is None else text.split("\n")[: int(found[1])]
    named = next((each for each in reversed(lines) if re.match(r"\s*[\w.\"'-]+\s*=", each)), lines[-1])
    return named.partition("=")[0].strip()


_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")
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
        elif code < 32 or 127 <= code < 160 or char in _TURNING or 0xD800 <= code <= 0xDFFF:
            yield f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
        else:
            yield char


@cache
def _loader() -> Any:
    """yaml.SafeLoader, which makes plain values and nothing else, with the numbers of YAML 1.2."""
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
                raise error(f"{what}: *{event.anchor} stands for nothing that is complete before it.")
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
            raise error(f"{what}: YAML of more than {MAX_YAML_VALUES:,} values, aliases counted as often as used.")


def _brief(reason: BaseException) -> str:
    lines = str(reason).splitlines() or [type(reason).__name__]
    return for_terminal(" ".join(line.strip() for line in lines), 300)
