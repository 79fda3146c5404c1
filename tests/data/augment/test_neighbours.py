"""Neighbours: by hand, by kind, and what is never touched."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from millis.data.augment.neighbours import Neighbours, Piece, neighbours, pieces
from millis.errors import MillisError

DAYS = {"monday", "tuesday", "friday"}


def one(text, tokenizer, table, seed=0, **options):
    return Neighbours(**options).over([text], tokenizer, table)(0, np.random.default_rng(seed))


def test_nearest_by_hand():
    """Directions at 0°, 10°, 40° and 90°, of lengths that must not matter; 3 is of another kind."""
    degrees, lengths = np.radians([0, 10, 40, 90, 5]), np.array([1, 9, 2, 1, 1])
    table = (np.stack([np.cos(degrees), np.sin(degrees)], axis=1) * lengths[:, None]).astype(np.float32)
    kinds = {token: Piece(str(token), ("", "letters")) for token in range(4)} | {4: Piece("4", ("##", "letters"))}
    assert neighbours(table, kinds, [0, 3], nearest=9, similarity=-1) == {0: [1, 2, 3], 3: [2, 1, 0]}
    assert neighbours(table, kinds, [0, 3], nearest=1, similarity=-1) == {0: [1], 3: [2]}
    assert neighbours(table, kinds, [0, 3], nearest=9, similarity=0.7) == {0: [1, 2]}  # cos 40° = 0.77, cos 50° = 0.64
    assert neighbours(table, kinds, [4], nearest=9, similarity=-1) == {}  # alone of its kind
    assert neighbours(table, kinds, [], nearest=9, similarity=-1) == {}


def test_days_become_days_and_digits_digits(tokenizer, table):
    seen = {one("On Monday, 7 of us!", tokenizer, table, seed, share=1.0) for seed in range(20)}
    assert seen == {f"On {day}, 8 of us!" for day in ("tuesday", "friday")}


def test_share_of_changed_tokens(tokenizer, table):
    """Ten days and as many words without neighbours: a share of 0.3 changes three days."""
    text = " ".join(["monday please"] * 10)
    for seed in range(10):
        words = one(text, tokenizer, table, seed, share=0.3).split()
        assert sum(word != "monday" for word in words[::2]) == 3
        assert words[1::2] == ["please"] * 10


def test_special_tokens_are_never_changed_nor_made(tokenizer, table):
    """Even where a special token's vector is a day's."""
    near = table.copy()
    for token in ("[SEP]", "[PAD]", "[CLS]", "[UNK]"):
        near[tokenizer.token_to_id(token)] = near[tokenizer.token_to_id("monday")]
    special = [tokenizer.token_to_id(token) for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")]
    assert not set(pieces(tokenizer, tokenizer.get_vocab_size())) & set(special)

    @given(st.lists(st.sampled_from(["[SEP]", "[CLS]", "monday", "friday", "?"]), max_size=8), st.integers(0, 99))
    def check(words, seed):
        changed = one(" ".join(words), tokenizer, near, seed, share=1.0).split(" ")
        assert len(changed) == len(words) or not words
        for before, after in zip(words, changed, strict=False):
            assert after in DAYS - {before} if before in DAYS else after == before

    check()


def test_punctuation_and_words_without_neighbours_stay(tokenizer, table):
    assert one("?! order, order...", tokenizer, table, share=1.0) == "?! order, order..."


def test_kinds(tokenizer):
    found = pieces(tokenizer, tokenizer.get_vocab_size())
    assert found[tokenizer.token_to_id("order")] == Piece("order", ("", "letters"))
    assert found[tokenizer.token_to_id("7")] == Piece("7", ("", "digits"))
    assert found[tokenizer.token_to_id("##a")] == Piece("a", ("##", "letters"))
    assert tokenizer.token_to_id("!") not in found


def test_byte_level_pieces_keep_their_spaces_and_letters():
    """é is two bytes, which a byte-level piece spells as two other letters."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>"], show_progress=False)
    tokenizer.train_from_iterator(["un café un thé"] * 9, trainer)
    found = pieces(tokenizer, tokenizer.get_vocab_size())
    cafe, tea = (tokenizer.encode(word, add_special_tokens=False).ids[0] for word in (" café", " thé"))
    assert (found[cafe], found[tea]) == (Piece("café", ("Ġ", "letters")), Piece("thé", ("Ġ", "letters")))
    table = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 64)).astype(np.float32)
    table[tea] = table[cafe]
    changed = Neighbours(share=1.0, similarity=0.9).over(["un café,  un"], tokenizer, table)(
        0, np.random.default_rng(0)
    )
    assert changed == "un thé,  un"


def test_a_table_that_is_longer_or_shorter_than_the_vocabulary(tokenizer, table):
    longer = np.concatenate([table, table])
    assert one("monday", tokenizer, longer, share=1.0) in DAYS - {"monday"}
    known = tokenizer.token_to_id("monday")
    assert one("monday", tokenizer, table[:known], share=1.0) == "monday"


@pytest.mark.parametrize("options", [{"nearest": 0}, {"similarity": 1.5}, {"similarity": -2.0}])
def test_bad_input(options):
    with pytest.raises(MillisError, match="expected at least 1 neighbour, and a cosine from -1 to 1"):
        Neighbours(**options)
