"""Byte-level BPE out of a GGUF file: against a BPE written out here, by hand, and in every way that it cannot be."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("gguf")
from gguf_files import CONTROL, MERGES, METADATA, TOKENS, alphabet

from millis.errors import MillisError
from millis.models.gguf import tokenizer
from millis.models.gguf.file import GgufFile

# GPT-2's pattern (Radford et al. 2019) for ASCII, where \p{L} is [A-Za-z] and \p{N} is [0-9].
GPT2 = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")
RANKS = {tuple(merge.split(" ")): rank for rank, merge in enumerate(MERGES[:-1])}


def read(path="x.gguf", **values):
    """The tokenizer of a file with other metadata."""
    said = METADATA | {name.replace("__", "."): value for name, value in values.items()}
    return tokenizer.read(GgufFile(path, {name: value for name, value in said.items() if value is not None}, {}))


def pieces(word):
    """BPE of one word, merge by merge, the earliest learned first."""
    parts = [alphabet()[byte] for byte in word.encode()]
    while pairs := [pair for pair in pairwise(parts) if pair in RANKS]:
        first = min(pairs, key=RANKS.__getitem__)
        merged, place = [], 0
        while place < len(parts):
            found = tuple(parts[place : place + 2]) == first
            merged.append("".join(first) if found else parts[place])
            place += 1 + found
        parts = merged
    return parts


def spelled_out(text, digits_alone):
    """Control tokens, then each digit, then GPT-2's pattern, then BPE."""
    found = []
    for part in re.split("(" + "|".join(map(re.escape, CONTROL)) + ")", text):
        if part in CONTROL:
            found.append(part)
            continue
        for chunk in re.split(r"([0-9])", part) if digits_alone else [part]:
            found += [piece for word in GPT2.findall(chunk) for piece in pieces(word)]
    return [TOKENS.index(piece) for piece in found]


ASCII = st.lists(
    st.one_of(
        st.sampled_from(["the", " the", " and", "'ll", "12", " 1", "\n\n", *CONTROL]), st.characters(codec="ascii")
    ),
    max_size=20,
).map("".join)


@given(ASCII)
@settings(deadline=None)
def test_ids_are_those_of_a_bpe_that_is_spelled_out(text):
    for split, alone in tokenizer.DIGITS_ALONE.items():
        assert read(tokenizer__ggml__pre=split).encode(text).ids == spelled_out(text, alone)


@given(st.text(max_size=30))
@settings(deadline=None)
def test_decoded_it_is_the_text(text):
    made = read()
    assert made.decode(made.encode(text).ids, skip_special_tokens=False) == text


def test_by_hand():
    # " the" is one token by "t h", "th e", "Ġ the"; each digit stands alone, and so does the space before it.
    made = read()
    assert made.encode("the the 12<|im_end|>").tokens == ["the", "Ġthe", "Ġ", "1", "2", "<|im_end|>"]
    assert read(tokenizer__ggml__pre="gpt-2").encode(" 12").tokens == ["Ġ", "12"]  # "1 2" was learned before "Ġ 1"
    assert made.padding is None and made.truncation is None
    assert made.get_vocab_size() == len(TOKENS)
    assert made.decode(made.encode("a<|im_end|>").ids) == "a"


def test_tokens_around_a_text_where_the_file_says_so():
    made = read(tokenizer__ggml__add_bos_token=True, tokenizer__ggml__add_eos_token=True)
    assert made.encode("a", "b").tokens == ["<|im_start|>", "a", "b", "<|im_end|>"]
    assert read(tokenizer__ggml__add_bos_token=True).encode("a").special_tokens_mask == [1, 0]
    assert read(tokenizer__ggml__add_bos_token=True, tokenizer__ggml__bos_token_id=None).encode("a").tokens == ["a"]


def test_a_token_of_the_users_is_matched_whole_and_is_no_special_one():
    types = [3] * len(CONTROL) + [1] * (len(TOKENS) - len(CONTROL))
    types[TOKENS.index("Ġand")] = 4
    made = read(tokenizer__ggml__token_type=types)
    encoded = made.encode("aĠandb")
    assert encoded.tokens == ["a", "Ġand", "b"] and encoded.special_tokens_mask == [0, 0, 0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"tokenizer__ggml__model": "llama"},
            "x.gguf has a tokenizer of the kind 'llama', expected 'gpt2', which is byte-level BPE. Choose another "
            "file, or load the model in transformers' form with model=hub",
        ),
        (
            {"tokenizer__ggml__pre": "smollm3"},
            "x.gguf has a tokenizer that splits texts as 'smollm3', expected one of gpt-2, smollm (did you mean "
            "'smollm'?). Load the model in transformers' form with model=hub",
        ),
        (
            {"tokenizer__ggml__tokens": [*TOKENS[:-1], TOKENS[0]]},
            f"x.gguf has {len(TOKENS)} tokens, {len(TOKENS) - 1} of them different, and the types of {len(TOKENS)}: "
            "expected as many of each. Fetch or make the file again",
        ),
        (
            {"tokenizer__ggml__merges": MERGES},
            "x.gguf has merges that do not fit its tokens: Error while initializing BPE: Token `dd` out of "
            "vocabulary. Fetch or make the file again",
        ),
        (
            {"tokenizer__ggml__merges": ["th"]},
            "x.gguf has merges that do not fit its tokens: Error while initializing BPE: Token `` out of vocabulary. "
            "Fetch or make the file again",
        ),
        (
            {"tokenizer__ggml__merges": None},
            "x.gguf has metadata that cannot be: there is no required field tokenizer.ggml.merges. Fetch or make the "
            "file again",
        ),
        (
            {"tokenizer__ggml__add_bos_token": True, "tokenizer__ggml__bos_token_id": 9999},
            f"x.gguf has tokenizer.ggml.bos_token_id=9999, which is none of its {len(TOKENS)} tokens. Fetch or make "
            "the file again",
        ),
    ],
)
def test_a_tokenizer_that_cannot_be(values, message):
    with pytest.raises(MillisError) as error:
        read(**values)
    assert str(error.value) == message
