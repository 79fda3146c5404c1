"""A smaller model that guesses: the text stays, what is read is followed by hand."""

import numpy as np
import pytest
import torch
from decoders import HashedDecoder, LlamaDecoder, Scripted
from hypothesis import given
from hypothesis import strategies as st

from millis.errors import MillisError
from millis.generation.draft.smaller_model import SmallerModel
from millis.generation.greedy import Greedy
from millis.generation.sampling import Sampling
from millis.generation.writing import Vocabulary

NO_END = Vocabulary((), str)


class Nearly(HashedDecoder):
    """Another decoder's logits with noise: right as often as `noise` is small."""

    def __init__(self, of, noise):
        super().__init__(of.size, of.memory, of.seed)
        self._noise = noise

    def logits(self, tokens):
        drawn = np.random.default_rng(len(tokens)).normal(scale=self._noise, size=self.size)
        return super().logits(tokens) + drawn.astype(np.float32)


def test_what_both_read_by_hand():
    large, small = Scripted([5, 1, 2, 3, 4, 6, 7, 8]), Scripted([5, 1, 2, 3, 9, 6, 7, 8])
    writing = Greedy(max_tokens=7, draft=SmallerModel(tokens=2)).begin(large, [5], NO_END, smaller=small)
    big, little = large.begun[0], small.begun[0]
    assert (big.reads, little.reads, writing.tokens) == ([1], [], [1])
    writing.step()  # it guesses 2, 3, which are right, and 4 comes with them
    assert (big.reads, little.reads, writing.tokens) == ([1, 3], [1, 1, 1], [1, 2, 3, 4])
    assert (big.tokens, little.tokens) == ([5, 1, 2, 3], [5, 1, 2])
    writing.step()  # 6, 7 are right
    assert (big.reads, little.reads, writing.tokens) == ([1, 3, 3], [1, 1, 1, 2, 1], [1, 2, 3, 4, 6, 7, 8])
    assert little.tokens == [5, 1, 2, 3, 4, 6]
    assert writing.finish()[1:] == ("length", 4, 4, 0)


def test_what_was_guessed_wrong_is_forgotten_by_hand():
    large, small = Scripted([5, 1, 2, 3, 4, 6, 7, 8]), Scripted([5, 1, 2, 9, 4, 6, 7, 8])
    writing = Greedy(max_tokens=7, draft=SmallerModel(tokens=3)).begin(large, [5], NO_END, smaller=small)
    writing.step()  # it guesses 2, 9, 4: 3 comes in place of 9
    assert (writing.tokens, writing.drafted, writing.accepted, writing.refused) == ([1, 2, 3], 3, 1, 1)
    assert (large.begun[0].tokens, small.begun[0].tokens) == ([5, 1, 2], [5, 1, 2, 9])
    writing.step()  # 9 is forgotten and 3 read; of 4, 6, 7 all are right
    assert small.begun[0].tokens == [5, 1, 2, 3, 4, 6]
    assert writing.finish()[1:] == ("length", 6, 4, 1)


@given(
    st.integers(0, 2**20), st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(1, 6),
    st.integers(1, 30), st.lists(st.integers(0, 5), max_size=2), st.sampled_from([0.0, 0.3, 1.0, 9.0]), st.booleans(),
)  # fmt: skip
def test_the_text_is_the_one_without_guesses(seed, prompt, count, most, ends, noise, greedy):
    decode = lambda tokens: "".join("abcdef"[token] for token in tokens)  # noqa: E731
    found = []
    for draft in (None, SmallerModel(count)):
        decoder = HashedDecoder(6, seed=seed)
        choice = (Greedy if greedy else Sampling)(most, stop=("abc",), draft=draft)
        smaller = draft and Nearly(decoder, noise)
        writing = choice.begin(decoder, prompt, Vocabulary(tuple(ends), decode), smaller=smaller)
        tokens, ended, _, accepted, refused = writing.finish()
        found.append((tokens.tolist(), ended, writing.text()))
        if draft and greedy and not noise and ended == "length":
            assert not refused
            reads = decoder.begun[0].reads
            assert len(tokens) == len(reads) + accepted
            assert len(reads) == 1 + -(-(most - 1) // (count + 1))  # each brings `count` and one more
    assert found[0] == found[1]


def test_a_llama_writes_the_same_with_another_one():
    decoder, smaller = LlamaDecoder(), LlamaDecoder(seed=1)
    prompt = [3, 1, 4]
    plain = Greedy(max_tokens=50).begin(decoder, prompt, NO_END).finish()
    draft = SmallerModel(tokens=3)
    for other in (decoder, smaller):
        guessed = Greedy(max_tokens=50, draft=draft).begin(decoder, prompt, NO_END, smaller=other).finish()
        assert guessed.tokens.tolist() == plain.tokens.tolist()
        assert (guessed.accepted == guessed.drafted) == (other is decoder)
    expected = decoder.model.generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, 3), do_sample=False, max_new_tokens=50
    )
    assert plain.tokens.tolist() == expected[0, 3:].tolist()


def test_another_vocabulary_is_refused():
    writing = Greedy(draft=SmallerModel()).begin(HashedDecoder(20), [1], NO_END, smaller=HashedDecoder(21))
    with pytest.raises(MillisError) as caught:
        writing.finish()
    assert str(caught.value) == (
        "the smaller model has logits of 21 tokens, the one that writes of 20: expected one vocabulary. Use models "
        "with the same tokenizer"
    )


def test_a_smaller_model_has_to_be_given():
    with pytest.raises(MillisError) as caught:
        Greedy(draft=SmallerModel()).begin(HashedDecoder(), [1], NO_END)
    assert str(caught.value) == (
        "generation.draft is SmallerModel, and there is no smaller model: give one of the same vocabulary, or choose "
        "generation/draft=lookup, which needs none"
    )
