"""Vision models of transformers write captions: a tiny random BLIP in its true layout, and a stand-in that talks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from kinema.core.errors import ModelError
from kinema.curation.caption_writers import OF_BOTH, OF_CLIP, OF_FRAME, VisionModelCaptions

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*SPECIAL, "a", "red", "ball", "rolls", "over", "the", "meadow", "[DEC]", "[ENC]"]
FRAMES = np.random.default_rng(0).integers(0, 255, (3, 40, 60, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("blip")
    (place / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    sizes = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"vocab_size": len(WORDS), "encoder_hidden_size": 32, "bos_token_id": 12, "eos_token_id": 3,
            "sep_token_id": 3, "pad_token_id": 0, "max_position_embeddings": 64}  # fmt: skip
    config = transformers.BlipConfig(
        text_config=sizes | text, vision_config=sizes | {"image_size": 32, "patch_size": 16}, projection_dim=32
    )
    torch.manual_seed(0)
    transformers.BlipForConditionalGeneration(config).save_pretrained(place)
    pictures = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    transformers.BlipProcessor(pictures, transformers.BertTokenizerFast(str(place / "vocab.txt"))).save_pretrained(
        place
    )
    return place


def test_a_captioner_describes_the_middle_frame(folder):
    writer = VisionModelCaptions(folder)
    inputs = writer.processor(images=FRAMES[1], return_tensors="pt")
    tokens = writer.model.generate(**inputs, max_new_tokens=writer.MOST_TOKENS, do_sample=False)
    expected = writer.processor.batch_decode(tokens, skip_special_tokens=True)[0].strip()
    assert writer.of_frames(FRAMES) == expected and len(expected) > 3
    assert writer.of_both("a ball", "a ball rolls") == "a ball rolls"


class Talking:
    """A processor with a chat template; the model answers with the tokens of its prompt and two more."""

    chat_template = "yes"
    heard = ()

    def apply_chat_template(self, messages, **options):
        self.heard = messages[0]["content"]
        return transformers.BatchFeature({"input_ids": torch.tensor([[1, 2, 3]])})

    def batch_decode(self, tokens_BL, skip_special_tokens):
        return [" ".join(f"w{number}" for number in tokens_BL[0].tolist())]


def test_a_model_that_talks_sees_all_frames_in_order(folder):
    writer = VisionModelCaptions(folder)
    writer.processor, writer.talks = Talking(), True
    writer.model.generate = lambda input_ids, **options: torch.cat([input_ids, torch.tensor([[8, 9]])], 1)
    assert writer.of_frames(FRAMES) == "w8 w9"
    *pictures, asked = writer.processor.heard
    assert [np.array_equal(one["image"], frame) for one, frame in zip(pictures, FRAMES, strict=True)] == [True] * 3
    assert asked == {"type": "text", "text": OF_CLIP}
    writer.of_frames(FRAMES[:1])
    assert writer.processor.heard[-1]["text"] == OF_FRAME
    writer.of_both("one", "two")
    assert writer.processor.heard == [{"type": "text", "text": f"{OF_BOTH}\n1. one\n2. two"}]
    writer.model.generate = lambda input_ids, **options: input_ids
    with pytest.raises(ModelError, match="no caption"):
        writer.of_frames(FRAMES)
