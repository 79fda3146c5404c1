"""Encoding against the tokenizer itself, row by row, and the cache."""

import json

import labelled
import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from millis.data import encode as encoding
from millis.data.dataset import Split
from millis.data.encode import encode
from millis.errors import MillisError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "where", "is", "my", "parcel", "refund", "please"]
TEXTS = ["where is my parcel", "", "refund please", "my my my my my my", "quite unknown"]
TASK = labelled.task()


@pytest.fixture
def tokenizer():
    """A word is its index in `WORDS`; `[CLS]` … `[SEP]` around each text."""
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def rows_of(encoded, values):
    return [values[a:b].tolist() for a, b in zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True)]


def test_each_row_is_what_the_tokenizer_says(tokenizer, tmp_path):
    encoded = encode(Split(TEXTS, [0, 1, 0, 1, 0]), tokenizer, 16, tmp_path, TASK)
    assert rows_of(encoded, encoded.ids) == [tokenizer.encode(text).ids for text in TEXTS]
    assert rows_of(encoded, encoded.ids)[0] == [2, 4, 5, 6, 7, 3]  # by hand
    assert encoded.lengths.tolist() == [6, 2, 4, 8, 4]
    assert encoded.targets["logits"].tolist() == [0, 1, 0, 1, 0]
    assert (len(encoded), encoded.truncated, encoded.token_types) == (5, 0, None)


def test_longer_texts_are_cut_and_counted(tokenizer, tmp_path):
    encoded = encode(Split(TEXTS, [0] * 5), tokenizer, 5, tmp_path, TASK)
    assert rows_of(encoded, encoded.ids) == [[2, 4, 5, 6, 3], [2, 3], [2, 8, 9, 3], [2, 6, 6, 6, 3], [2, 1, 1, 3]]
    assert encoded.truncated == 2  # the texts of 6 and 8 tokens; a text of exactly 5 is not cut
    assert encode(Split(["is my refund"], [0]), tokenizer, 5, tmp_path, TASK).truncated == 0


def test_pairs_have_token_types(tokenizer, tmp_path):
    pairs = [("where", "my parcel"), ("", "refund"), ("is is is is", "my")]
    encoded = encode(Split(pairs, [0, 1, 0]), tokenizer, 7, tmp_path, TASK)
    assert rows_of(encoded, encoded.ids) == [[2, 4, 3, 6, 7, 3], [2, 3, 8, 3], [2, 5, 5, 5, 3, 6, 3]]
    assert rows_of(encoded, encoded.token_types) == [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0, 0, 1, 1]]
    assert encoded.truncated == 1


def test_the_callers_tokenizer_keeps_its_settings(tokenizer, tmp_path):
    tokenizer.enable_padding(length=12)
    tokenizer.enable_truncation(3)
    encoded = encode(Split(TEXTS, [0] * 5), tokenizer, 16, tmp_path, TASK)
    assert encoded.lengths.tolist() == [6, 2, 4, 8, 4]
    assert tokenizer.padding["length"] == 12
    assert tokenizer.truncation["max_length"] == 3


@pytest.mark.parametrize("texts", [TEXTS, [("where", "is"), ("my", "parcel")]])
def test_a_second_call_reads_and_does_not_tokenise(tokenizer, tmp_path, monkeypatch, texts):
    split = Split(texts, [0] * len(texts))
    first = encode(split, tokenizer, 5, tmp_path, TASK)
    monkeypatch.setattr(encoding, "_tokenise", lambda *_: pytest.fail("tokenised again"))
    again = encode(split, tokenizer, 5, tmp_path, TASK)
    assert list(first.targets) == list(again.targets) == ["logits"]
    for name in ("ids", "token_types", "offsets", "logits"):
        one, two = (found.targets.get(name, getattr(found, name, None)) for found in (first, again))
        assert (one is None) == (two is None), name
        if one is not None:
            assert one.dtype == two.dtype
            assert np.array_equal(one, two), name
    assert (again.truncated, again.outputs) == (first.truncated, first.outputs)


@pytest.mark.parametrize("damage", ["cut short", "emptied", "gone", "another split", "a byte"])
def test_damaged_ids_are_made_anew(tokenizer, tmp_path, damage):
    split, other = Split(TEXTS, [0] * 5), Split(TEXTS[:2], [0, 1])
    encode(split, tokenizer, 16, tmp_path, TASK)
    [path] = tmp_path.iterdir()
    content = path.read_bytes()
    if damage == "another split":
        encode(other, tokenizer, 16, tmp_path, TASK)
        [foreign] = set(tmp_path.iterdir()) - {path}
        foreign.replace(path)
    else:
        middle = content.index(b"NUMPY") + 130  # in the array, behind its header
        changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes({"cut short": content[:500], "emptied": b"", "gone": b"gone", "a byte": changed}[damage])
    encoded = encode(split, tokenizer, 16, tmp_path, TASK)
    assert rows_of(encoded, encoded.ids) == [tokenizer.encode(text).ids for text in TEXTS]
    assert path.read_bytes() == content


def test_another_text_label_length_or_tokenizer_is_encoded_anew(tokenizer, tmp_path):
    encode(Split(["my refund"], [0]), tokenizer, 16, tmp_path, TASK)
    assert encode(Split(["my parcel"], [0]), tokenizer, 16, tmp_path, TASK).ids.tolist() == [2, 6, 7, 3]
    assert encode(Split(["my refund"], [1]), tokenizer, 16, tmp_path, TASK).targets["logits"].tolist() == [1]
    assert encode(Split(["my refund"], [0]), tokenizer, 3, tmp_path, TASK).ids.tolist() == [2, 6, 3]
    tokenizer.post_processor = processors.BertProcessing(("[PAD]", 0), ("[PAD]", 0))
    assert encode(Split(["my refund"], [0]), tokenizer, 16, tmp_path, TASK).ids.tolist() == [0, 6, 8, 0]


def test_chunks_make_no_difference(tokenizer, tmp_path, monkeypatch):
    split = Split(TEXTS * 5, list(range(25)))
    whole = encode(split, tokenizer, 5, tmp_path / "whole", TASK)
    for name, size in (("CHUNK_TEXTS", 3), ("CHUNK_CHARACTERS", 20)):
        monkeypatch.setattr(encoding, name, size)
        parts = encode(split, tokenizer, 5, tmp_path / name, TASK)
        for field in ("ids", "offsets"):
            assert np.array_equal(getattr(parts, field), getattr(whole, field))
        assert np.array_equal(parts.targets["logits"], whole.targets["logits"])
        assert parts.truncated == whole.truncated == 10


def test_of_a_long_text_only_the_beginning_reaches_the_tokenizer(tokenizer, tmp_path, monkeypatch):
    longest = []

    class Watched:
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def encode_batch_fast(self, texts):
            longest.extend(map(len, texts))
            return self.inner.encode_batch_fast(texts)

    monkeypatch.setattr(encoding.tokenizers, "read", lambda text: Watched(Tokenizer.from_str(text)))
    encoded = encode(Split(["where is my parcel " * 20_000, "refund"], [0, 1]), tokenizer, 8, tmp_path, TASK)
    assert rows_of(encoded, encoded.ids) == [[2, 4, 5, 6, 7, 4, 5, 3], [2, 8, 3]]
    assert encoded.truncated == 1
    assert max(longest) < 1000


def test_a_tokenizer_that_contradicts_itself_is_no_panic(tokenizer, tmp_path):
    state = json.loads(tokenizer.to_str())
    state["post_processor"] = {
        "type": "TemplateProcessing", "special_tokens": {}, "pair": [],
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
    }  # fmt: skip
    with pytest.raises(MillisError, match=r"the model's tokenizer contradicts itself: .*Make or fetch it again"):
        encode(Split(TEXTS, [0] * 5), Tokenizer.from_str(json.dumps(state)), 16, tmp_path, TASK)


def test_a_disk_that_fills_leaves_no_cache(tokenizer, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(MillisError, match="No space left on device"):
        encode(Split(TEXTS, [0] * 5), tokenizer, 16, tmp_path, TASK)
    assert list(tmp_path.iterdir()) == []
