"""Trimming: which pieces stay, that texts of them are read as before, and that the model follows."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from millis.errors import MillisError
from millis.models import pieces, read, wordpiece
from millis.models.vocabulary import kept_ids, trim, trim_model, trimmed_spec

LEARNED = ["low lower lowest slow slower newest widest new wide", "the newer the wider the lower", "tests testing"] * 4
TASK = ["the lowest slow test", "newer and wider"]
LETTERS = "".join(sorted(set("".join(LEARNED + TASK)) - {" "}))


def byte_bpe():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(
        LEARNED,
        trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def unigram():
    entries = {word: -2.0 - at / 7 for at, word in enumerate(sorted({"▁" + w for t in LEARNED for w in t.split()}))}
    entries |= {"▁low": -3.5, "er": -3.0, "est": -3.1, "▁wid": -4.0, "s": -5.0, "zz": -12.0, "ing": -3.3, "▁t": -4.4}
    entries |= {letter: -6.0 - at / 11 for at, letter in enumerate(LETTERS) if letter != "s"} | {"▁": -5.5}
    vocabulary = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *entries.items(), ("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def word_piece():
    return wordpiece.train(LEARNED, 120, lowercase=True)


KINDS = {"wordpiece": word_piece, "bpe": byte_bpe, "unigram": unigram}


@pytest.fixture(params=KINDS)
def tokenizer(request):
    return KINDS[request.param]()


def test_texts_of_kept_pieces_are_read_as_before(tokenizer):
    trimmed = trim(tokenizer, TASK)
    assert trimmed.get_vocab_size() < tokenizer.get_vocab_size()
    kept = set(trimmed.get_vocab())
    words = sorted({word for text in [*LEARNED, *TASK] for word in text.split()})
    texts = st.lists(st.sampled_from(words) | st.text(LETTERS, max_size=6), max_size=5).map(" ".join)
    same = []

    @given(texts)
    def check(text):
        before, after = tokenizer.encode(text), trimmed.encode(text)
        if set(before.tokens) <= kept:
            same.append(text)
            assert after.tokens == before.tokens
            assert after.offsets == before.offsets
            assert kept_ids(tokenizer, trimmed)[after.ids].tolist() == before.ids
        assert set(after.tokens) <= kept

    check()
    assert len(same) > 10
    for text in TASK:
        assert trimmed.encode(text).tokens == tokenizer.encode(text).tokens


def test_pairs_keep_their_special_tokens(tokenizer):
    trimmed = trim(tokenizer, [tuple(TASK)])
    before, after = tokenizer.encode(*TASK), trimmed.encode(*TASK)
    assert after.tokens == before.tokens
    assert after.type_ids == before.type_ids
    assert after.special_tokens_mask == before.special_tokens_mask


def test_special_tokens_and_characters_stay(tokenizer):
    trimmed = trim(tokenizer, ["the"])
    vocabulary = trimmed.get_vocab()
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    assert special <= vocabulary.keys()
    characters = {piece for piece in tokenizer.get_vocab() if len(piece.removeprefix("##")) == 1}
    assert characters <= vocabulary.keys()
    assert [token.special for token in trimmed.get_added_tokens_decoder().values()] == [True] * len(special)


def test_ids_are_dense_and_in_their_old_order(tokenizer):
    trimmed = trim(tokenizer, TASK)
    kept = kept_ids(tokenizer, trimmed)
    assert sorted(trimmed.get_vocab().values()) == list(range(len(kept)))
    assert kept.tolist() == sorted(kept.tolist())
    for new, old in enumerate(kept.tolist()):
        assert trimmed.id_to_token(new) == tokenizer.id_to_token(old)


def test_trimming_twice_changes_nothing(tokenizer):
    once = trim(tokenizer, TASK)
    assert trim(once, TASK).to_str() == once.to_str()
    assert trim(tokenizer, TASK).to_str() == once.to_str()


def test_the_callers_tokenizer_and_its_settings_are_left_alone(tokenizer):
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=9)
    before = tokenizer.to_str()
    trimmed = trim(tokenizer, TASK)
    assert tokenizer.to_str() == before
    assert trimmed.truncation is None and trimmed.padding is None
    assert trimmed.encode(TASK[0]).tokens[-2:-1] != []
    tokenizer.no_truncation()
    tokenizer.no_padding()
    assert trimmed.encode(TASK[0]).tokens == tokenizer.encode(TASK[0]).tokens  # beyond the third token too


def test_it_survives_being_saved(tokenizer, tmp_path):
    trimmed = trim(tokenizer, TASK)
    trimmed.save(str(tmp_path / "tokenizer.json"))
    again = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert again.encode("lowest unheard of").ids == trimmed.encode("lowest unheard of").ids


def test_pieces_kept_by_hand():
    """Of low, lower, slow the task uses lower = low + ##er; slow falls apart into its letters."""
    model = {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "vocab": {p: i for i, p in enumerate(["[UNK]", "s", "##l", "##o", "##w", "low", "slow", "##er", "lower"])},
    }
    kept = pieces.WordPiece().closed(model, {"low", "##er"})
    assert kept == {"[UNK]", "s", "##l", "##o", "##w", "low", "##er"}
    ids = {piece: at for at, piece in enumerate(sorted(kept))}
    assert pieces.WordPiece().reduced(model, ids)["vocab"] == ids


def test_merges_on_the_way_stay_by_hand():
    """lowe is reached by lo, then low, then lowe: (l, o) has priority over (o, w); (w, e) is a way never taken."""
    pairs = [["l", "o"], ["lo", "w"], ["w", "e"], ["low", "e"], ["o", "w"]]
    vocabulary = {p: i for i, p in enumerate(["e", "l", "o", "w", "lo", "low", "we", "lowe", "ow"])}
    model = {
        "type": "BPE", "vocab": vocabulary, "merges": pairs, "unk_token": None,
        "continuing_subword_prefix": None, "end_of_word_suffix": None,
    }  # fmt: skip
    kept = pieces.Bpe().closed(model, {"lowe"})
    assert kept == {"e", "l", "o", "w", "lo", "low", "lowe"}
    ids = {piece: at for at, piece in enumerate(sorted(kept, key=vocabulary.get))}
    assert pieces.Bpe().reduced(model, ids)["merges"] == [["l", "o"], ["lo", "w"], ["low", "e"]]
    older = {**model, "merges": [" ".join(pair) for pair in pairs]}
    assert pieces.Bpe().reduced(older, ids) == pieces.Bpe().reduced(model, ids)


def test_the_unlikeliest_piece_stays_by_hand():
    """What an unknown character costs follows from the lowest score."""
    model = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["ab", -1.0], ["a", -2.0], ["cd", -9.0]]}
    assert pieces.Unigram().closed(model, set()) == {"<unk>", "a", "cd"}
    assert pieces.Unigram().reduced(model, {"<unk>": 0, "a": 1, "cd": 2}) == {
        "type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -2.0], ["cd", -9.0]]
    }  # fmt: skip


@pytest.mark.parametrize("model_type", ["bert", "roberta", "distilbert", "electra"])
def test_the_model_keeps_the_rows_of_its_tokens(spec, model, model_type):
    whole = model(spec(model_type))
    kept = torch.tensor([0, 1, 2, 3, 7, 50, 99])
    small = trim_model(whole, kept)
    assert small.spec.encoder["vocab_size"] == 7
    new = torch.tensor([[2, 4, 6, 5, 3]])
    mask = torch.ones_like(new)
    with torch.no_grad():
        assert torch.equal(small(new, mask), whole(kept[new], mask))
    assert not small.training and trim_model(whole.train(), kept).training
    whole.eval()


def test_special_ids_follow(spec):
    config = {**spec().encoder, "eos_token_id": 50, "bos_token_id": None, "sep_token_id": 60}
    trimmed = trimmed_spec(spec(encoder=config, affixes=[[50], [99, 7]]), torch.tensor([0, 7, 50, 99]))
    assert trimmed.affixes == ((2,), (3, 1))
    values = {name: value for name, value in trimmed.encoder.items() if name.endswith("_token_id")}
    assert values == {"pad_token_id": 0, "eos_token_id": 2, "bos_token_id": None, "sep_token_id": None}
    assert read(json.loads(json.dumps(trimmed.to_json()))) == trimmed


def test_a_tokenizer_of_another_kind():
    with pytest.raises(MillisError) as error:
        trim(Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")), TASK)
    assert str(error.value) == (
        "factorization=vocabulary cannot trim a WordLevel tokenizer; it takes WordPiece, Unigram, BPE. Choose a model "
        "with one of these, or factorization=none"
    )


def test_bpe_that_marks_the_ends_of_words():
    tokenizer = Tokenizer(models.BPE({"a</w>": 0, "a": 1}, [], end_of_word_suffix="</w>"))
    with pytest.raises(MillisError, match=r"marks pieces inside or at the end of words.*It takes WordPiece, Unigram"):
        trim(tokenizer, TASK)


def test_what_an_unknown_character_costs_stays():
    """éab: éa + b scores -24, é unknown + ab -30 - 10 - 1 = -41. Without zz, -12 - 10 - 1 = -23 would win."""
    vocabulary = [("<unk>", 0.0), ("éa", -12.0), ("a", -9.0), ("b", -12.0), ("ab", -1.0), ("zz", -30.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    trimmed = trim(tokenizer, ["éab", "ab"])
    assert tokenizer.encode("éab").tokens == trimmed.encode("éab").tokens == ["éa", "b"]
    without = Tokenizer(models.Unigram(vocabulary[:-1], unk_id=0))
    assert without.encode("éab").tokens == ["é", "ab"]


def test_added_tokens_amid_the_pieces():
    """Where ids have gaps, an added token's is the number of pieces, and is found again at another place."""
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 7, "b": 10}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(["[UNK]", "<m>"])
    assert tokenizer.token_to_id("<m>") == 3
    with pytest.raises(MillisError) as error:
        trim(tokenizer, ["a"])
    assert str(error.value) == (
        "this tokenizer numbers its added tokens in the midst of its pieces, which factorization=vocabulary cannot "
        "renumber. Choose factorization=none"
    )
