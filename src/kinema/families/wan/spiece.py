"""A tokenizer from the SentencePiece model that ComfyUI keeps inside its text encoder files.

The model is a protobuf message (sentencepiece_model.proto); three of its fields are enough, so no protobuf
library is needed: pieces with scores and types, and the table of the normalizer. The result is what the
published UMT5 tokenizer does: normalize, split at spaces, unigram pieces, end mark."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from ...core.errors import ModelError

PIECES, NORMALIZER = 1, 3
PIECE, SCORE, KIND, CHARSMAP = 1, 2, 3, 2
NORMAL, UNKNOWN = 1, 2
SPACE = "\u2581"


def tokenizer_from(model: bytes) -> Any:
    """A transformers tokenizer from the bytes of a unigram SentencePiece model. ModelError where it is not
    one."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary, unknown, charsmap = _read(model)
    names = {piece for piece, _ in vocabulary}
    if unknown is None or not {"<pad>", "</s>"} <= names:
        raise ModelError("The embedded spiece_model has no <pad>, </s> or unknown piece: not a T5 vocabulary.")
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=unknown, byte_fallback=False))
    if charsmap:
        tokenizer.normalizer = normalizers.Precompiled(charsmap)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(SPACE, "always", True)]
    )
    tokenizer.decoder = decoders.Metaspace(SPACE, "always", True)
    end = next(index for index, (piece, _) in enumerate(vocabulary) if piece == "</s>")
    tokenizer.post_processor = processors.TemplateProcessing(single=["$A", "</s>"], special_tokens=[("</s>", end)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token=vocabulary[unknown][0]
    )


def _read(model: bytes) -> tuple[list[tuple[str, float]], int | None, bytes]:
    """Pieces with their scores in order, the index of the unknown piece, and the normalizer's table."""
    vocabulary: list[tuple[str, float]] = []
    unknown, charsmap = None, b""
    try:
        for number, value in _fields(model):
            if number == PIECES:
                parts = dict(_fields(value))
                if parts.get(KIND, NORMAL) == UNKNOWN:
                    unknown = len(vocabulary)
                score = struct.unpack("<f", parts.get(SCORE, bytes(4)))[0]
                vocabulary.append((bytes(parts[PIECE]).decode("utf-8"), score))
            elif number == NORMALIZER:
                charsmap = bytes(dict(_fields(value)).get(CHARSMAP, b""))
    except (IndexError, KeyError, TypeError, ValueError, struct.error) as error:
        raise ModelError(f"The embedded spiece_model cannot be read: {error}.") from None
    return vocabulary, unknown, charsmap


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of every field of a protobuf message: an int for varints, bytes for all others."""
    view, at = memoryview(message), 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = view[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(view):
        tag = varint()
        kind = tag & 7
        if kind == 0:
            yield tag >> 3, varint()
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"wire type {kind}")
        length = varint() if kind == 2 else 8 if kind == 1 else 4
        if at + length > len(view):
            raise ValueError("cut short")
        yield tag >> 3, view[at : at + length]
        at += length
