"""Several factorizations in a row."""

import pytest

from millis import models
from millis.errors import MillisError
from millis.factorization.rank import Energy, Fixed
from millis.factorization.steps import Steps
from millis.factorization.svd import Svd
from millis.factorization.vocabulary import Vocabulary

TEXTS = ["the cat sat in the barn."]


def test_each_takes_what_the_last_one_left(model, spec, tokenizer):
    steps = Steps([Vocabulary(), Svd(["word_embeddings"], Fixed(4)), Svd(["ffn_in"], Fixed(3))])
    foretold, smaller = steps.spec(spec, tokenizer, TEXTS)
    small, same = steps.apply(model, tokenizer, TEXTS, None)
    assert small.spec == foretold
    assert smaller.to_str() == same.to_str()
    size = same.get_vocab_size()
    assert size < tokenizer.get_vocab_size()
    assert small.encoder.embeddings.word_embeddings.table.weight.shape == (size, 4)
    assert sorted(small.spec.ranks.values()) == [3, 3, 4]
    models.build(small.spec).load_state_dict(small.state_dict())
    assert steps.describe() == "vocabulary 0, svd r4, svd r3"


def test_what_one_step_cannot_know_nobody_knows_but_the_tokenizer_is_known(spec, tokenizer):
    foretold, smaller = Steps([Svd(["ffn_in"], Energy(0.5)), Vocabulary()]).spec(spec, tokenizer, TEXTS)
    assert foretold is None
    assert smaller.to_str() == Vocabulary().spec(spec, tokenizer, TEXTS)[1].to_str()


def test_no_steps():
    with pytest.raises(MillisError, match=r"^factorization\.steps is empty: give some, or choose factorization=none$"):
        Steps([])
