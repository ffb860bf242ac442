"""The manifest of a clip, where each format keeps it, and how it is read back.

    mp4, webm   the container tag `kinema`
    png         the text chunk `kinema`
    jpg         a comment, "kinema " and the JSON (only in the sidecar if it is over 64 KiB)
    gif         a comment at the front, "kinema " and a note
    webp        an XMP packet with a note in kinema:note
    folder      a note, kinema.json
    all         a sidecar <name>.json beside the file: what is left where a site strips the tags

A note is {"fps", "num_frames", "manifest"}: formats that round times or join equal frames need it to give
back the very clip, so it is written even where there is no manifest.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import struct
from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ..core.errors import KinemaError, MediaError
from ..core.outside import of_kind, parse_json, read_bytes, read_json
from ..core.whole import write_text

FOLDER_NOTE = "kinema.json"
STEPS = ("interpolated", "upscaled", "scored", "enlarged")
"""What a finished clip may have gone through, as its manifest calls it: {"clip": the file it was made of, ...}; the
last is what "upscaled" was before."""
COMMENT_MARK = b"kinema "
_NAMESPACE = "https://kinema.example/ns/1/"


def sidecar_of(path: Path) -> Path:
    """Where the copy of a clip's manifest lies: clip.mp4 -> clip.mp4.json."""
    path = path if path.name not in ("", "..") else path.resolve()  # "."
    if not path.name:
        return path / ".json"
    return path.with_name(path.name + ".json")


def check_sidecar(path: Path) -> None:
    """MediaError where a file of the sidecar's name is there that is no manifest of this clip."""
    if not own_sidecar(path):
        raise MediaError(
            f"{sidecar_of(path)}: is not a manifest that Kinema wrote, and would be replaced; name another output."
        )


def own_sidecar(path: Path) -> bool:
    """May the sidecar of this clip be replaced: is nothing there, or a manifest (or what the clip carries inside)?"""
    try:
        found = read_json(sidecar_of(path), dict)
    except FileNotFoundError:
        return True
    except KinemaError:
        return False
    if (isinstance(found.get("kinema"), str) and isinstance(found.get("plan"), dict)) or _only_steps(found):
        return True
    try:
        text = _inside(path)
        return text is not None and (json.loads(text) if isinstance(text, str) else text) == found
    except (KinemaError, OSError, ValueError, RecursionError):
        return False


def _only_steps(found: dict[str, Any]) -> bool:
    """Is it the manifest of a clip that Kinema did not generate, but worked on afterwards?"""
    return bool(found) and all(
        name in STEPS and isinstance(step, dict) and "clip" in step for name, step in found.items()
    )


def write_sidecar(path: Path, manifest: dict[str, Any]) -> None:
    """The manifest beside a clip that is there; one that a stranger wrote stays. MediaError."""
    if not own_sidecar(path):
        return
    try:
        write_text(sidecar_of(path), json.dumps(manifest, indent=2) + "\n")
    except OSError as error:
        raise MediaError(f"{sidecar_of(path)}: cannot be written ({error.strerror or error}).") from None


def own_folder(folder: Path) -> bool:
    """May this folder be replaced by another clip: is it empty, or frames with the note that Kinema leaves?"""
    if not folder.is_dir() or folder.is_symlink():
        return False
    names = [entry.name for entry in folder.iterdir()]
    if not all(name == FOLDER_NOTE or re.fullmatch(r"\d{5,}\.png", name) for name in names):
        return False
    try:
        return not names or "fps" in read_json(folder / FOLDER_NOTE, dict)
    except (KinemaError, FileNotFoundError):
        return False


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """How a clip was made: from the file itself, else from its sidecar.

    Raises MediaError, naming the file, when it is missing, unreadable or carries no manifest.
    """
    path = Path(path)
    found: str | bytes | dict[str, Any] | None = _inside(path)
    if found is None and sidecar_of(path).is_file():
        found = read_bytes(sidecar_of(path), error=MediaError)
    if found is None:
        raise MediaError(f"{path}: carries no manifest, neither inside nor in {sidecar_of(path).name}.")
    what = f"{path}: its manifest is damaged"
    return parse_json(found, what, dict, error=MediaError) if isinstance(found, str | bytes) else found


def carried(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest that a file carries; empty where it carries none or cannot be read."""
    try:
        return read_manifest(path)
    except MediaError:
        return {}


def prompt_of(found: dict[str, Any]) -> str:
    """The prompt that a manifest names; empty where it names none."""
    plan = found.get("plan")
    prompt = plan.get("prompt") if isinstance(plan, dict) else None
    return prompt if isinstance(prompt, str) else ""


def _inside(path: Path) -> str | dict[str, Any] | None:
    """The manifest as JSON text, or as it was found in a note."""
    from .open import open_container, open_picture, sniff

    kind = sniff(path)
    if kind == "folder":
        return _of_note(folder_note(path), path)
    if kind == "picture":
        with open_picture(path) as image:
            if image.format in ("GIF", "WEBP"):
                return _of_note(picture_note(image), path)
            text = image.info.get("kinema")
            return text if isinstance(text, str) and text else _comment(image)
    with open_container(path) as container:
        return next((value for key, value in container.metadata.items() if key.lower() == "kinema"), None)


def make_note(fps: float, num_frames: int, manifest: str | None) -> str:
    """The note of a clip as JSON text; `manifest` is JSON text too."""
    note = {"fps": fps, "num_frames": num_frames} | ({} if manifest is None else {"manifest": json.loads(manifest)})
    return json.dumps(note, ensure_ascii=True)


def folder_note(folder: Path) -> dict[str, Any]:
    """The note in a folder of frames, {} where there is none. Raises MediaError when it is damaged."""
    note = folder / FOLDER_NOTE
    if not note.is_file():
        return {}
    try:
        return parse_json(read_bytes(note, error=MediaError), f"{note}: damaged", dict, error=MediaError)
    except FileNotFoundError:
        return {}


def picture_note(image: Any) -> dict[str, Any]:
    """The note in an open GIF or WebP, {} where there is none or it is damaged."""
    text = _comment(image) or _from_xmp(image.info.get("xmp")) or "{}"
    try:
        return parse_json(text, "a note", dict, error=MediaError)
    except MediaError:
        return {}


def _comment(image: Any) -> str | None:
    comment = image.info.get("comment", b"")
    comment = comment.encode("utf-8", "replace") if isinstance(comment, str) else comment
    if not isinstance(comment, bytes):
        return None
    return comment[len(COMMENT_MARK) :].decode("utf-8", "replace") if comment.startswith(COMMENT_MARK) else None


def _of_note(note: dict[str, Any], path: Path) -> dict[str, Any] | None:
    found = note.get("manifest")
    return None if found is None else of_kind(found, f"{path}: its manifest is damaged", dict, error=MediaError)


def xmp(text: str) -> bytes:
    """A note as an XMP packet."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:kinema="{_NAMESPACE}">'
        f"<kinema:note>{escape(text, quote=False)}</kinema:note>"
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def _from_xmp(packet: bytes | str | None) -> str | None:
    packet = packet.encode("utf-8", "replace") if isinstance(packet, str) else packet
    if packet and b"<!" not in packet:  # no declarations: no entities either
        with contextlib.suppress(ElementTree.ParseError, ValueError, LookupError):
            return ElementTree.fromstring(packet).findtext(f".//{{{_NAMESPACE}}}note")
    return None


def add_to_webp(data: bytes, text: str, height: int, width: int, duration_ms: int = 0) -> bytes:
    """A WebP file's bytes with a note as XMP; a file of one plain frame gets the header that this needs. duration_ms:
    a clip whose frames are all equal has become a still picture; it is made an animation of one frame again, that is
    shown for so long."""
    packet = xmp(text)
    body = bytearray(data[12:])
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    if body[:4] != b"VP8X":
        body[:0] = b"VP8X" + struct.pack("<I", 10) + bytes(4) + sides
    body[8] |= 0x04  # the flag that says: there is XMP
    if duration_ms and not body[8] & 0x02:
        body[8] |= 0x02  # an animation
        shown = bytes(6) + sides + min(duration_ms, 2**24 - 1).to_bytes(3, "little") + b"\0" + bytes(body[18:])
        body[18:] = b"ANIM" + struct.pack("<I", 6) + bytes(6) + b"ANMF" + struct.pack("<I", len(shown)) + shown
    body += b"XMP " + struct.pack("<I", len(packet)) + packet + b"\0" * (len(packet) % 2)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + bytes(body)


def gif_comment(text: str) -> bytes:
    """A note as a GIF comment extension."""
    data = COMMENT_MARK + text.encode()
    parts = (data[i : i + 255] for i in range(0, len(data), 255))
    return b"\x21\xfe" + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def gif_header_length(head: bytes) -> int:
    """Where the blocks of a GIF file begin: after the screen descriptor and the global palette."""
    return 13 + (3 * 2 ** ((head[10] & 7) + 1) if head[10] & 0x80 else 0)
