"""The manifest of a clip, where each format keeps it, and how it is read back.

    mp4, webm   the container tag `kinema`                gif   a comment at the front, "kinema " + JSON
    png         the text chunk `kinema`                   jpg   the same in a comment segment (if under 64 KiB)
    webp        an XMP packet with kinema:manifest        folder   kinema.json inside it: {"fps", "manifest"}
    all         a sidecar <name>.json beside the file, which is also what is left where a site strips the tags
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from kinema.core.errors import MediaError

FOLDER_NOTE = "kinema.json"
COMMENT_MARK = b"kinema "
_NAMESPACE = "https://kinema.example/ns/1/"


def sidecar_of(path: Path) -> Path:
    """Where the copy of a clip's manifest lies: clip.mp4 -> clip.mp4.json."""
    return path.with_name(path.name + ".json")


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """How a clip was made: from the file itself, else from its sidecar.

    Raises MediaError, naming the file, when it is missing, unreadable or carries no manifest.
    """
    path = Path(path)
    if not path.exists():
        raise MediaError(f"{path}: no such file.")
    text = _inside(path)
    if text is None:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = sidecar_of(path).read_text(encoding="utf-8")
    if text is None:
        raise MediaError(f"{path}: carries no manifest, neither inside nor in {sidecar_of(path).name}.")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise MediaError(f"{path}: its manifest is damaged ({error}).") from error
    if not isinstance(found, dict):
        raise MediaError(f"{path}: its manifest is not a JSON object.")
    return found


def _inside(path: Path) -> str | None:
    from kinema.media.open import open_container, open_picture, sniff

    kind = sniff(path)
    if kind == "folder":
        note = path / FOLDER_NOTE
        found = json.loads(note.read_text(encoding="utf-8")).get("manifest") if note.is_file() else None
        return None if found is None else json.dumps(found)
    if kind == "picture":
        with open_picture(path) as image:
            comment = image.info.get("comment", b"")
            comment = comment.encode() if isinstance(comment, str) else comment
            if comment.startswith(COMMENT_MARK):
                return comment[len(COMMENT_MARK) :].decode()
            return image.info.get("kinema") or _from_xmp(image.info.get("xmp"))
    with open_container(path) as container:
        return next((value for key, value in container.metadata.items() if key.lower() == "kinema"), None)


# --- putting it in, for the formats whose encoders cannot ---------------------------------------------------------


def xmp(text: str) -> bytes:
    """The manifest as an XMP packet."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:kinema="{_NAMESPACE}"><kinema:manifest>{escape(text, quote=False)}'
        "</kinema:manifest></rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def _from_xmp(packet: bytes | None) -> str | None:
    if packet:
        with contextlib.suppress(ElementTree.ParseError):
            return ElementTree.fromstring(packet).findtext(f".//{{{_NAMESPACE}}}manifest")
    return None


def add_to_webp(data: bytes, text: str) -> bytes:
    """A WebP file's bytes with the manifest as an XMP chunk. `data` must have the extended header (VP8X)."""
    packet = xmp(text)
    body = bytearray(data[12:])
    if body[:4] != b"VP8X":
        raise MediaError("The WebP encoder wrote no extended header.")
    body[8] |= 0x04  # the flag that says: there is XMP
    body += b"XMP " + struct.pack("<I", len(packet)) + packet + b"\0" * (len(packet) % 2)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + bytes(body)


def gif_comment(text: str) -> bytes:
    """The manifest as a GIF comment extension."""
    data = COMMENT_MARK + text.encode()
    parts = (data[i : i + 255] for i in range(0, len(data), 255))
    return b"\x21\xfe" + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def gif_header_length(head: bytes) -> int:
    """Where the blocks of a GIF file begin: after the screen descriptor and the global palette."""
    return 13 + (3 * 2 ** ((head[10] & 7) + 1) if head[10] & 0x80 else 0)
