"""Store the manifest of a clip in each format, and read it back.

    mp4, webm   the container tag `kinema`
    png         the text chunk `kinema`
    jpg         a comment, "kinema " and the JSON (only in the sidecar if it is over 64 KiB)
    gif         a comment at the front, "kinema " and a note
    webp        an XMP packet with a note in kinema:note
    folder      a note, kinema.json
    all         a sidecar <name>.json next to the file, which survives sites that strip the tags

A note is {"fps", "num_frames", "manifest"}. It is written even without a manifest: formats that round times or merge
equal frames need it to restore the clip exactly.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import struct
from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ..core.errors import KinemaError, MediaError
from ..core.outside import of_kind, parse_json, read_bytes, read_json
from ..core.whole import put, write_text

FOLDER_NOTE = "kinema.json"
STEPS = ("interpolated", "upscaled", "scored", "enlarged")
"""Manifest keys of the steps after generation, each {"clip": the input file, ...}. The last is the former name of
"upscaled"."""
COMMENT_MARK = b"kinema "
_NAMESPACE = "https://kinema.example/ns/1/"


def sidecar_of(path: Path) -> Path:
    """The path of a clip's sidecar: clip.mp4 -> clip.mp4.json."""
    path = path if path.name not in ("", "..") else path.resolve()  # "."
    if not path.name:
        return path / ".json"
    return path.with_name(path.name + ".json")


def check_sidecar(path: Path) -> None:
    """MediaError if a file with the sidecar's name exists that is not a manifest of this clip."""
    if not own_sidecar(path):
        raise MediaError(
            f"{sidecar_of(path)}: not a manifest that Kinema wrote, and would be replaced. Specify another output."
        )


def own_sidecar(path: Path) -> bool:
    """Whether the clip's sidecar may be replaced: it does not exist, is a manifest, or equals the manifest inside."""
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
    """Whether it is the manifest of a clip that Kinema processed but did not generate."""
    return bool(found) and all(
        name in STEPS and isinstance(step, dict) and "clip" in step for name, step in found.items()
    )


def write_sidecar(path: Path, manifest: dict[str, Any]) -> None:
    """Write the sidecar of an existing clip, but never over a file of other origin. MediaError if it cannot be
    written."""
    if not own_sidecar(path):
        return
    try:
        write_text(sidecar_of(path), json.dumps(manifest, indent=2) + "\n")
    except OSError as error:
        raise MediaError(f"{sidecar_of(path)}: cannot be written ({error.strerror or error}).") from None


def put_clip(complete: Path, target: Path, manifest: str | None) -> None:
    """Move a complete clip to its target, with its sidecar; without a manifest (JSON text), the sidecar of an earlier
    clip is removed. Raises OSError; nothing has changed then, or only the sidecar is missing."""
    sidecar, note = sidecar_of(target), complete.with_name(complete.name + ".json")
    own = own_sidecar(target)  # a foreign file that appeared meanwhile stays; the manifest is in the clip too
    try:
        if manifest is not None and own:
            note.write_text(json.dumps(json.loads(manifest), indent=2) + "\n", encoding="utf-8")
        put(complete, target)
        if own:
            if manifest is not None:
                put(note, sidecar)
            else:
                sidecar.unlink(missing_ok=True)
    finally:
        note.unlink(missing_ok=True)


def own_folder(folder: Path) -> bool:
    """Whether this folder may be replaced by another clip: it is empty, or contains only frames and Kinema's note."""
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
    """The manifest of a clip, from the file itself, else from its sidecar. MediaError if the file is missing,
    unreadable or has no manifest."""
    path = Path(path)
    found: str | bytes | dict[str, Any] | None = _inside(path)
    if found is None and sidecar_of(path).is_file():
        found = read_bytes(sidecar_of(path), error=MediaError)
    if found is None:
        raise MediaError(f"{path}: carries no manifest, neither inside nor in {sidecar_of(path).name}.")
    what = f"{path}: its manifest is damaged"
    return parse_json(found, what, dict, error=MediaError) if isinstance(found, str | bytes) else found


def carried(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest of a file; empty if it has none or cannot be read."""
    try:
        return read_manifest(path)
    except MediaError:
        return {}


def prompt_of(found: dict[str, Any]) -> str:
    """The prompt in a manifest; empty if it has none."""
    plan = found.get("plan")
    prompt = plan.get("prompt") if isinstance(plan, dict) else None
    return prompt if isinstance(prompt, str) else ""


def _inside(path: Path) -> str | dict[str, Any] | None:
    """The manifest inside the file, as JSON text or as an object from a note, or None."""
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


def replace_text(path: Path, old: str, new: str) -> bool:
    """Replace a text in a file by one that is not longer, filled up with spaces (JSON ignores them). Returns whether it
    fits and was found."""
    before, after = old.encode(), new.encode()
    if len(after) > len(before):
        return False
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        at = data.find(before)
        if at >= 0:
            data[at : at + len(before)] = after.ljust(len(before))
    return at >= 0


def make_note(fps: float, num_frames: int, manifest: str | None) -> str:
    """The note of a clip as JSON text. `manifest` is JSON text too."""
    note = {"fps": fps, "num_frames": num_frames} | ({} if manifest is None else {"manifest": json.loads(manifest)})
    return json.dumps(note, ensure_ascii=True)


def folder_note(folder: Path) -> dict[str, Any]:
    """The note in a folder of frames; empty if there is none. MediaError if it is damaged."""
    note = folder / FOLDER_NOTE
    if not note.is_file():
        return {}
    try:
        return parse_json(read_bytes(note, error=MediaError), f"{note}: damaged", dict, error=MediaError)
    except FileNotFoundError:
        return {}


def picture_note(image: Any) -> dict[str, Any]:
    """The note in an open GIF or WebP; empty if it is missing or damaged."""
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
    """Wrap a note in an XMP packet."""
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


def add_to_webp(
    data: bytes, text: str, height: int, width: int, duration_ms: int = 0, exif: bytes = b""
) -> bytes:  # fmt: skip
    """Add a note as XMP, and EXIF if there is some, to a WebP file's bytes; a file of one plain frame gets the extended
    header that these require. duration_ms: a clip of equal frames was encoded as a still picture; turn it back into an
    animation of one frame with this duration."""
    packet = xmp(text)
    body = bytearray(data[12:])
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    if body[:4] != b"VP8X":
        body[:0] = b"VP8X" + struct.pack("<I", 10) + bytes(4) + sides
    body[8] |= 0x04  # the XMP flag
    if duration_ms and not body[8] & 0x02:
        body[8] |= 0x02  # the animation flag
        shown = bytes(6) + sides + min(duration_ms, 2**24 - 1).to_bytes(3, "little") + b"\0" + bytes(body[18:])
        body[18:] = b"ANIM" + struct.pack("<I", 6) + bytes(6) + b"ANMF" + struct.pack("<I", len(shown)) + shown
    if exif:
        body[8] |= 0x08  # the EXIF flag; the chunk comes before XMP
        body += b"EXIF" + struct.pack("<I", len(exif)) + exif + b"\0" * (len(exif) % 2)
    body += b"XMP " + struct.pack("<I", len(packet)) + packet + b"\0" * (len(packet) % 2)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + bytes(body)


def gif_comment(text: str) -> bytes:
    """Wrap a note in a GIF comment extension."""
    data = COMMENT_MARK + text.encode()
    parts = (data[i : i + 255] for i in range(0, len(data), 255))
    return b"\x21\xfe" + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def gif_header_length(head: bytes) -> int:
    """The offset of a GIF file's blocks, after the screen descriptor and the global palette."""
    return 13 + (3 * 2 ** ((head[10] & 7) + 1) if head[10] & 0x80 else 0)
