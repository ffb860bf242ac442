"""Build a transformers T5 tokenizer from a SentencePiece model, which ComfyUI stores inside text encoder files and the
original Wan next to them (`spiece.model`)."""

from __future__ import annotations

from typing import Any

from ...core.errors import ModelError

UNKNOWN = 2
"""Index of the unknown piece in T5 vocabularies."""


def tokenizer_from(model: bytes) -> Any:
    """Build a transformers tokenizer from the bytes of a unigram SentencePiece model. ModelError for other bytes."""
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2
    from tokenizers import normalizers
    from transformers import T5Tokenizer

    messages: Any = sentencepiece_model_pb2
    try:
        read = messages.ModelProto.FromString(model)
        vocabulary = [(piece.piece, piece.score) for piece in read.pieces]
    except DecodeError as error:
        raise ModelError(f"The embedded spiece_model cannot be read: {error}.") from None
    if read.trainer_spec.model_type != messages.TrainerSpec.UNIGRAM:
        kind = messages.TrainerSpec.ModelType.Name(read.trainer_spec.model_type)
        raise ModelError(f"The embedded spiece_model must be of the kind UNIGRAM for T5, got {kind}.")
    kind = messages.ModelProto.SentencePiece.UNKNOWN
    unknown = [number for number, piece in enumerate(read.pieces) if piece.type == kind]
    if not all(isinstance(piece, str) for piece, _ in vocabulary):
        raise ModelError("The embedded spiece_model cannot be read: some of its pieces are not UTF-8.")
    if unknown != [UNKNOWN] or not {"<pad>", "</s>"} <= {piece for piece, _ in vocabulary}:
        raise ModelError("The embedded spiece_model is not a T5 vocabulary: it has no <pad>, </s> or unknown piece.")
    tokenizer = T5Tokenizer(
        vocab=vocabulary, unk_token=vocabulary[UNKNOWN][0], extra_ids=0, additional_special_tokens=[]
    )
    if table := read.normalizer_spec.precompiled_charsmap:  # transformers 5.0's class has no parameter for it
        tokenizer.backend_tokenizer.normalizer = normalizers.Precompiled(table)
    return tokenizer
