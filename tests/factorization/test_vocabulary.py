"""A task's vocabulary as a recipe's stage; how pieces are chosen is tested in tests/models."""

from dataclasses import replace

import pytest
import torch
from causal import NEXT
from hypothesis import given
from hypothesis import strategies as st

from millis import models
from millis.errors import MillisError
from millis.factorization.vocabulary import Vocabulary
from millis.models.vocabulary import kept_ids

KEPT = ["the", "cat", "dog", "barn", "sat", "in", "."]
TEXTS = ["the cat sat in the barn.", "the dog sat in the barn."]


def logits(model, tokenizer, text):
    ids = torch.tensor([tokenizer.encode(text).ids])
    with torch.no_grad():
        return model(ids, torch.ones_like(ids))


def test_the_spec_foretells_the_model(model, spec, tokenizer):
    foretold, smaller = Vocabulary().spec(spec, tokenizer, TEXTS)
    small, same = Vocabulary().apply(model, tokenizer, TEXTS, None)
    assert small.spec == foretold
    assert same.to_str() == smaller.to_str()
    assert foretold.encoder["vocab_size"] == smaller.get_vocab_size() < tokenizer.get_vocab_size()
    models.build(foretold).load_state_dict(small.state_dict())


def test_sentences_of_kept_words_have_the_very_same_logits(model, tokenizer):
    small, smaller = Vocabulary().apply(model, tokenizer, TEXTS, None)

    @given(st.lists(st.sampled_from(KEPT), max_size=8))
    def same(words):
        text = " ".join(words)
        assert smaller.encode(text).tokens == tokenizer.encode(text).tokens
        assert torch.equal(logits(small, smaller, text), logits(model, tokenizer, text))

    same()


def test_other_words_come_apart_and_are_still_answered(model, tokenizer):
    small, smaller = Vocabulary().apply(model, tokenizer, TEXTS, None)
    assert tokenizer.encode("horse").tokens == ["[CLS]", "horse", "[SEP]"]
    apart = smaller.encode("horse").tokens
    assert len(apart) > 3 and "[UNK]" not in apart
    assert logits(small, smaller, "horse").isfinite().all()


@pytest.mark.parametrize(
    "spec_of",
    [
        lambda size: {"family": "static", "vocab_size": size, "size": 8},
        lambda size: {"family": "bilstm", "vocab_size": size, "embedding_size": 8, "hidden_size": 4},
        lambda size: {"family": "convolution", "vocab_size": size, "embedding_size": 8, "filters": 4, "widths": [1, 3]},
    ],
)
def test_students_of_every_family(tokenizer, spec_of):
    torch.manual_seed(0)
    spec = models.read({**spec_of(tokenizer.get_vocab_size()), "dropout": 0.0, "num_labels": 2})
    model = models.build(spec).eval()
    small, smaller = Vocabulary().apply(model, tokenizer, TEXTS, None)
    assert small.spec == replace(spec, vocab_size=smaller.get_vocab_size())
    assert torch.equal(logits(small, smaller, TEXTS[0]), logits(model, tokenizer, TEXTS[0]))
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())


def test_min_count_and_common_change_what_is_kept(spec, tokenizer):
    """ "cat" and "dog" occur once; a share of the vocabulary keeps its first ids."""
    sizes = {}
    for name, method in {"rare": Vocabulary(2), "all": Vocabulary(), "more": Vocabulary(1, 0.9)}.items():
        smaller = method.spec(spec, tokenizer, TEXTS)[1]
        sizes[name] = smaller.get_vocab_size()
        assert (smaller.token_to_id("cat") is None) == (name == "rare")
    assert sizes["rare"] < sizes["all"] < sizes["more"] < tokenizer.get_vocab_size()
    kept = kept_ids(tokenizer, smaller)
    assert set(range(int(0.9 * tokenizer.get_vocab_size()))) <= set(kept.tolist())


def test_names():
    assert Vocabulary().describe() == "vocabulary 0"
    assert Vocabulary(2, 0.25).describe() == "vocabulary 0.25 2+"


def test_bad_input():
    with pytest.raises(MillisError, match=r"^factorization\.min_count=0: expected at least 1 occurrence$"):
        Vocabulary(0)
    with pytest.raises(
        MillisError, match=r"^factorization\.common=1\.0: expected a share of the vocabulary, 0 up to 1"
    ):
        Vocabulary(common=1.0)


def test_a_vocabulary_whose_tokens_are_asked_for_stays():
    with pytest.raises(MillisError) as error:
        Vocabulary().check_outputs((NEXT,))
    assert str(error.value) == (
        "factorization=vocabulary answers a text as a whole and each word of a text, and next answers what comes next "
        "in a text. Choose another, or factorization=none"
    )
