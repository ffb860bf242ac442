"""Read a workflow from a file: JSON, or a picture, clip, sound or SVG that carries one. The content decides, not the
name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ...core.errors import MediaError, RequestError
from ...core.outside import MAX_JSON_BYTES, for_terminal, of_kind, parse_json, read_bytes
from ...media.open import open_container, sniff
from .api import is_api, parse_api
from .graph import Workflow
from .in_pictures import KEYS, PNG, in_png, in_webp
from .ui import is_ui, parse_ui

CARRIERS = "a .json file, or a .png, .webp, .mp4, .mov, .webm, .flac, .opus, .mp3 or .svg file that ComfyUI saved"
_NOT_A_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|\bNaN\b')


def read_workflow(path: str | Path) -> Workflow:
    """Return the workflow of a file; if it carries both, the saved page, not the API prompt.

    MediaError: the file is missing or damaged, or carries no workflow. RequestError: what it carries is not one.
    """
    path = Path(path)
    texts = carried_texts(path)
    shown = for_terminal(str(path), 300)
    for key in KEYS:
        if texts.get(key, "").strip():
            return parse_workflow(texts[key], shown)
    raise MediaError(f"{shown}: carries no workflow. Legal: {CARRIERS}.")


def parse_workflow(text: str | bytes, source: str) -> Workflow:
    """Return the workflow in JSON text: a saved page, an API prompt, or the body of a request to a server, which holds
    both. `source` names it in messages. RequestError: not JSON, or none of these."""
    if len(text) > MAX_JSON_BYTES:
        raise RequestError(f"{source}: {len(text):,} bytes of JSON.", field="workflow",
                           legal=f"at most {MAX_JSON_BYTES:,}")  # fmt: skip
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    except UnicodeDecodeError:
        raise RequestError(f"{source}: not JSON (not UTF-8 text).", field="workflow") from None
    if "NaN" in text:  # ComfyUI writes it into prompts, although it is not JSON
        text = _NOT_A_NUMBER.sub(lambda found: "null" if found[0] == "NaN" else found[0], text)
    value: Any = parse_json(text, source, dict, error=RequestError)
    for inner in ("workflow", "prompt"):
        if not is_ui(value) and not is_api(value) and isinstance(value.get(inner), dict):
            value = value[inner]
    if is_ui(value):
        return parse_ui(value, source)
    if is_api(value):
        return parse_api(value, source)
    raise RequestError(
        f"{source}: JSON, but not a workflow.", field="workflow",
        legal='an object with "nodes" and "links", or nodes with a "class_type" by id',
    )  # fmt: skip


def carried_texts(path: Path) -> dict[str, str]:
    """The JSON texts in a file by key: workflow, prompt; JSON text itself counts as a workflow."""
    kind = sniff(path)
    if kind == "folder":
        raise MediaError(f"{path}: a folder. Legal: {CARRIERS}.")
    with path.open("rb") as file:
        head = file.read(256)
    if head.startswith(PNG):
        return in_png(path)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return in_webp(path)
    if kind == "picture":
        return {}
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:1] in (b"{", b"["):
        return {"workflow": _as_text(read_bytes(path), path)}
    if start[:1] == b"<":
        return _in_svg(_as_text(read_bytes(path), path), path)
    if head.isascii() and b"\0" not in head:
        raise MediaError(f"{path}: text, but not JSON. Legal: {CARRIERS}.")
    return _in_container(path)


def _as_text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RequestError(f"{path}: not UTF-8 text.", field="workflow", legal=CARRIERS) from None


def _in_container(path: Path) -> dict[str, str]:
    """The tags of a clip or sound: of the container, else of its streams (Ogg keeps them there)."""
    found: dict[str, str] = {}
    with open_container(path) as container:
        for tags in (container.metadata, *(stream.metadata for stream in container.streams)):
            for key, value in tags.items():
                if key.lower() in KEYS:
                    found.setdefault(key.lower(), value)
    return found


def _in_svg(text: str, path: Path) -> dict[str, str]:
    """The JSON in <metadata><![CDATA[...]]></metadata>. XML itself is not parsed, so its entities are not expanded."""
    start = text.find("<metadata")
    begin = text.find("<![CDATA[", start) if start >= 0 else -1
    end = text.find("]]>", begin) if begin >= 0 else -1
    if end < 0:
        return {}
    value = parse_json(text[begin + 9 : end], str(path), dict, error=RequestError)
    return {key: json.dumps(of_kind(value[key], f"{path}: {key}", dict)) for key in KEYS if value.get(key)}
