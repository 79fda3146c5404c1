"""Greedy writing: the limits of a text by hand, and token by token as transformers' `generate`."""

import numpy as np
import pytest
import torch
from decoders import HashedDecoder, LlamaDecoder, Scripted

from millis.errors import MillisError
from millis.generation.greedy import Greedy, largest
from millis.generation.writing import Vocabulary

LETTERS = "abcdefghijklmnopqrst"
NO_END = Vocabulary((), lambda tokens: "".join(LETTERS[token] for token in tokens))
END_0 = NO_END._replace(ends=(0,))


def written(choice, script, vocabulary=END_0, context=None, prompt=(5, 6)):
    return choice.begin(Scripted([*prompt, *script]), prompt, vocabulary, context)


def test_the_largest_is_the_first_of_several():
    assert largest(np.array([1, 3, 3, 2], np.float32)) == 1
    assert largest(np.array([-np.inf, -7], np.float32)) == 1


@pytest.mark.parametrize(
    ("row", "shown"), [([1, np.nan, 2], "nan"), ([-np.inf, -np.inf, -np.inf], "-inf"), ([1, np.inf, 2], "inf")]
)
def test_logits_that_are_no_numbers_are_refused(row, shown):
    with pytest.raises(MillisError, match="largest") as caught:
        largest(np.array(row, np.float32))
    assert str(caught.value) == (
        f"the largest of 3 logits is {shown}: expected a finite number. The model diverged in training, or its weights "
        "overflow in this precision"
    )


def test_a_text_ends_at_its_length():
    found = written(Greedy(max_tokens=3), [1, 2, 3, 4, 5]).finish()
    assert (found.tokens.tolist(), found.ended, found.drafted, found.accepted) == ([1, 2, 3], "length", 0, 0)
    assert found.tokens.dtype == np.int64


def test_a_text_ends_at_an_end_token_which_is_not_in_it():
    found = written(Greedy(), [1, 2, 0, 4, 5]).finish()
    assert (found.tokens.tolist(), found.ended) == ([1, 2], "end")


def test_a_text_may_end_at_once():
    writing = written(Greedy(), [0])
    assert (writing.tokens, writing.ended, writing.text()) == ([], "end", "")
    assert writing.finish().tokens.shape == (0,)


@pytest.mark.parametrize(
    ("context", "tokens", "ended"),
    [(2, [1], "full"), (3, [1, 2], "full"), (5, [1, 2, 3, 4], "length"), (6, [1, 2, 3, 4], "length")],
)
def test_a_text_ends_where_the_decoder_has_no_room(context, tokens, ended):
    # A prompt of 2: in a context of 3 one token can be read, and one more chosen after it.
    found = written(Greedy(max_tokens=4), [1, 2, 3, 4, 5], context=context).finish()
    assert (found.tokens.tolist(), found.ended) == (tokens, ended)


def test_the_last_token_is_not_read():
    decoder = Scripted([5, 6, 1, 2, 3, 4])
    Greedy(max_tokens=3).begin(decoder, [5, 6], NO_END).finish()
    assert decoder.begun[0].tokens == [5, 6, 1, 2]  # and there was room for no more: `Written.read` raises
    assert decoder.begun[0].reads == [2, 1, 1]


def test_the_first_token_comes_before_the_others():
    decoder = Scripted([5, 6, 1, 2, 3])
    writing = Greedy(max_tokens=3).begin(decoder, [5, 6], NO_END)
    assert (writing.tokens, writing.ended, decoder.begun[0].reads) == ([1], None, [2])
    writing.step()
    assert (writing.tokens, writing.ended) == ([1, 2], None)
    assert writing.finish() is not None
    assert (writing.tokens, writing.ended) == ([1, 2, 3], "length")


def test_no_end_token_is_chosen_before_the_least_length():
    class Ending(HashedDecoder):  # the end token is the most likely everywhere, then comes 7
        def logits(self, tokens):
            row = np.zeros(self.size, np.float32)
            row[0], row[7] = 2, 1
            return row

    choice = Greedy(max_tokens=5, min_tokens=2)
    assert choice.begin(Ending(), [1], END_0).finish()[:2][1] == "end"
    assert choice.begin(Ending(), [1], END_0).finish().tokens.tolist() == [7, 7]


def test_the_decoder_keeps_its_logits():
    row = np.array([2, 1, 0], np.float32)
    row.flags.writeable = False

    class Same(HashedDecoder):
        def logits(self, tokens):
            return row

    class Continuation:
        length = 1

        def read(self, tokens, every=False):
            return row[None]

    Same.begin = lambda self, room: Continuation()
    assert Greedy(max_tokens=2, min_tokens=2).begin(Same(), [1], END_0).finish().tokens.tolist() == [1, 1]


def test_a_stop_string_ends_the_text_before_it():
    writing = written(Greedy(stop=("cd",)), [0 + 1, 2, 3, 4, 5])
    found = writing.finish()
    assert (found.tokens.tolist(), found.ended, writing.text()) == ([1, 2, 3], "stop", "b")


def test_a_stop_string_counts_from_the_least_length_on():
    # "cd" is whole at the 3rd token, too early, and again at the 5th.
    writing = written(Greedy(stop=["cd"], min_tokens=4), [1, 2, 3, 2, 3, 4])
    found = writing.finish()
    assert (found.tokens.tolist(), found.ended, writing.text()) == ([1, 2, 3, 2, 3], "stop", "bcd")


def test_a_stop_string_at_the_last_token_is_a_stop():
    assert written(Greedy(max_tokens=2, stop=["bc"]), [1, 2, 3]).finish().ended == "stop"


def test_what_may_become_a_stop_string_is_text_at_the_end():
    writing = written(Greedy(max_tokens=2, stop=["cd"]), [1, 2])
    assert [*writing.stream()] == ["b", "c"]
    assert (writing.text(), writing.ended) == ("bc", "length")
    assert [*written(Greedy(stop=["cd"]), [1, 2, 0]).stream()] == ["b", "c"]


def test_tokens_and_text_come_one_by_one_and_from_the_beginning():
    writing = written(Greedy(max_tokens=4), [1, 2, 3, 4])
    tokens, pieces = iter(writing), writing.stream()
    assert (next(tokens), next(pieces), writing.tokens) == (1, "b", [1])
    assert (next(tokens), writing.tokens, writing.text()) == (2, [1, 2], "bc")
    assert [*pieces] == ["c", "d", "e"]
    assert [*tokens] == [3, 4]
    assert ([*writing], [*writing.stream()], writing.text()) == ([1, 2, 3, 4], ["b", "c", "d", "e"], "bcde")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"max_tokens": 0},
            "generation.max_tokens=0: expected 1 or more, for the first token is always chosen",
        ),
        (
            {"max_tokens": 3, "min_tokens": 4},
            "generation.min_tokens=4: expected 0 to max_tokens=3. Raise max_tokens, or ask for fewer",
        ),
        (
            {"min_tokens": -1},
            "generation.min_tokens=-1: expected 0 to max_tokens=64. Raise max_tokens, or ask for fewer",
        ),
        ({"stop": "end"}, "generation.stop='end': expected a list of strings, such as ['end']"),
        ({"stop": ["x", ""]}, "generation.stop=['x', ''] has an empty string: leave it out"),
    ],
)
def test_what_cannot_be_is_refused(values, message):
    with pytest.raises(MillisError) as caught:
        Greedy(**values)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"prompt": []},
            "a prompt of shape [0]: expected [S] tokens, S at least 1. Begin an empty text with the tokenizer's start "
            "token",
        ),
        ({"prompt": [[1, 2]]}, "a prompt of shape [1, 2]: expected [S] tokens, S at least 1. Begin an empty text with "
            "the tokenizer's start token"),
        (
            {"prompt": [1, 2, 3], "context": 2},
            "the prompt has 3 tokens, and the model reads 2: shorten it, or use a model with a larger context",
        ),
        (
            {"vocabulary": Vocabulary((3, 20), str)},
            "the end tokens are [3, 20], and the decoder has logits of 20 tokens: expected ids below that. Use the "
            "tokenizer that the model was trained with",
        ),
        (
            {"smaller": HashedDecoder()},
            "got a smaller model, which generation.draft, none, does not ask: give none, or choose "
            "generation/draft=smaller_model",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused(given, message):
    with pytest.raises(MillisError) as caught:
        Greedy().begin(**{"decoder": HashedDecoder(), "prompt": [1], "vocabulary": NO_END, **given})
    assert str(caught.value) == message


@pytest.fixture(scope="module")
def llama():
    return LlamaDecoder()


@pytest.mark.parametrize("prompt", [[3], [7, 1, 4, 1, 5, 9, 2, 6]])
def test_a_llama_writes_as_transformers_writes_it(llama, prompt):
    found = Greedy(max_tokens=40).begin(llama, prompt, NO_END).finish()
    expected = llama.model.generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), do_sample=False, max_new_tokens=40
    )
    assert found.tokens.tolist() == expected[0, len(prompt) :].tolist()
    assert len(set(found.tokens.tolist())) > 5  # it does say something


@pytest.mark.parametrize("least", [0, 9])
def test_a_llama_ends_where_transformers_ends_it(llama, least):
    prompt = [7, 1, 4]
    ends = Greedy(max_tokens=20).begin(llama, prompt, NO_END).finish().tokens[[3, 11]].tolist()
    found = Greedy(max_tokens=30, min_tokens=least).begin(llama, prompt, Vocabulary(tuple(ends), str)).finish()
    expected = llama.model.generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, 3), do_sample=False, max_new_tokens=30,
        min_new_tokens=least, eos_token_id=ends, pad_token_id=0,
    )[0, 3:].tolist()  # fmt: skip
    assert found.tokens.tolist() == [token for token in expected if token not in ends]
    assert (found.ended == "end") == (expected[-1] in ends)
