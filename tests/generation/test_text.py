"""Text while it comes: over real byte-level and byte-fallback vocabularies, the pieces are the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from millis.generation.text import TextStream

TEXTS = [
    "Hello, world! 你好，世界。 🙂🙃 👩‍👩‍👧 naïve café, Ωμέγα", "the cat sat on the mat and the dog sat on the log",
    "def f(x):\n    return x\n\n# 再见 🎉🎉", "User: how are you?\nAssistant: fine",
]  # fmt: skip


def byte_level():
    """BPE over bytes: a token may end inside a character. 256 bytes and few merges, so that many do."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, initial_alphabet=alphabet, special_tokens=["<end>"], show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def byte_fallback():
    """As Llama's: spaces are part of tokens, that before the first is none, and unknown characters are bytes."""
    words = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdefghijklmnopqrstuvwxyz.,!\n#"]
    tokenizer = Tokenizer(models.BPE(vocab={word: at for at, word in enumerate(words)}, merges=[], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return tokenizer


BYTES, FALLBACK = byte_level(), byte_fallback()


def streamed(decode, tokens, stop=()):
    """The pieces of `tokens`, that of the end included, and how many tokens were pushed."""
    stream, pieces = TextStream(decode, stop), []
    for count, token in enumerate(tokens, 1):
        pieces.append(stream.push(token))
        if stream.stopped:
            return [*pieces, stream.finish()], count
    return [*pieces, stream.finish()], len(tokens)


ALPHABET = st.sampled_from("ab e\n#.🙂👩‍👧你好界é\ufffd")
TEXT = st.text(ALPHABET, max_size=20) | st.text(max_size=20)


@given(st.lists(st.integers(0, BYTES.get_vocab_size() - 1), max_size=40))
def test_the_pieces_are_the_text_whatever_bytes_come(tokens):
    pieces, _ = streamed(BYTES.decode, tokens)
    assert "".join(pieces) == BYTES.decode(tokens)


@given(TEXT)
def test_the_pieces_are_the_text_with_byte_fallback(text):
    tokens = FALLBACK.encode(text).ids
    pieces, _ = streamed(FALLBACK.decode, tokens)
    assert "".join(pieces) == FALLBACK.decode(tokens)


@given(TEXT)
def test_no_piece_has_a_part_of_a_character(text):
    for tokenizer in (BYTES, FALLBACK):
        tokens = tokenizer.encode(text).ids
        whole = tokenizer.decode(tokens)
        pieces, _ = streamed(tokenizer.decode, tokens)
        assert sum(piece.count("\ufffd") for piece in pieces) == whole.count("\ufffd")
        assert "".join(pieces[:-1]) == whole[: len("".join(pieces[:-1]))]
        if not whole.endswith("\ufffd"):
            assert pieces[-1] == ""


def test_a_character_comes_when_its_last_byte_does():
    tokens = BYTES.encode("a🙃b").ids
    assert len(tokens) > 3  # the face is no token
    pieces, _ = streamed(BYTES.decode, tokens)
    assert [piece for piece in pieces if piece] == ["a", "🙃", "b"]
    assert pieces[1] == ""


def test_an_unfinished_character_is_given_at_the_end():
    tokens = BYTES.encode("a🙃").ids[:-1]
    pieces, _ = streamed(BYTES.decode, tokens)
    assert ("".join(pieces[:-1]), pieces[-1]) == ("a", "\ufffd")


def test_tokens_without_text_do_not_swallow_a_space():
    decode = FALLBACK.decode
    space, a = FALLBACK.token_to_id("▁"), FALLBACK.token_to_id("a")
    # "▁" alone is no text, for the first space is none; the one after it is.
    assert streamed(decode, [space, a, space, a])[0] == ["", "a", " ", "a", ""]
    assert streamed(decode, [space, space, a])[0] == ["", " ", "a", ""]


def test_a_stop_string_may_lie_across_tokens_and_inside_one():
    decode = lambda tokens: "".join(["", "a", "b", "xaby", "\n\n"][token] for token in tokens)  # noqa: E731
    assert streamed(decode, [1, 1, 2], ["ab"])[0] == ["", "a", "", ""]
    assert streamed(decode, [3, 1], ["ab"]) == (["x", ""], 1)
    assert streamed(decode, [1, 4], ["\n"])[0] == ["a", "", ""]
    # b may begin "bb"; then "ba" does not, and its a may begin "abc"; then "ab" may; "aba" does not, but its a may.
    assert streamed(decode, [2, 1, 2, 1], ["abc", "bb"])[0] == ["", "b", "", "ab", "a"]


def reference(decode, tokens, stop):
    """By definition: the shortest prefix of the tokens in whose text a stop string stands; text before the first."""
    for count in range(1, len(tokens) + 1):
        text = decode(tokens[:count]).rstrip("\ufffd")
        found = [text.find(one) for one in stop if one in text]
        if found:
            return text[: min(found)], count
    return decode(tokens), len(tokens)


STOPS = st.lists(st.text(ALPHABET.filter(lambda one: one != "\ufffd"), min_size=1, max_size=4), min_size=1, max_size=3)


@given(st.text(ALPHABET.filter(lambda one: one != "\ufffd"), max_size=20), STOPS)
def test_stop_strings_end_the_text_as_they_are_defined_to(text, stop):
    for tokenizer in (BYTES, FALLBACK):
        tokens = tokenizer.encode(text).ids
        pieces, count = streamed(tokenizer.decode, tokens, stop)
        assert ("".join(pieces), count) == reference(tokenizer.decode, tokens, stop)


@given(st.text("ab", max_size=12), st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3))
def test_nothing_that_may_become_a_stop_string_is_given_and_everything_else_is(text, stop):
    stream, given_out = TextStream(lambda tokens: "".join(map(chr, tokens)), stop), ""
    for count, letter in enumerate(text, 1):
        given_out += stream.push(ord(letter))
        if stream.stopped:
            break
        held = text[len(given_out) : count]
        # The longest end of what came that a stop string goes on from.
        ends = [text[at:count] for at in range(count + 1)]
        longest = next(end for end in ends if any(len(end) < len(one) and one.startswith(end) for one in stop))
        assert held == longest


@pytest.mark.parametrize(("least", "expected"), [(0, ""), (2, ""), (3, "ab"), (4, "ab"), (5, "abab")])
def test_a_stop_string_that_came_too_early_is_text(least, expected):
    # "ab" is whole at the 2nd token and at the 4th.
    stream = TextStream(lambda tokens: "".join(map(chr, tokens)), ["ab"])
    pieces = []
    for count, letter in enumerate("abab", 1):
        pieces.append(stream.push(ord(letter), count >= least))
        if stream.stopped:
            break
    assert "".join([*pieces, stream.finish()]) == expected
    assert stream.stopped == (least < 5)
