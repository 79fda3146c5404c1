"""Look-up: places by hand, against a slow search by definition, and the text that it must not change."""

import numpy as np
import pytest
from decoders import HashedDecoder, LlamaDecoder
from hypothesis import given
from hypothesis import strategies as st

from millis.errors import MillisError
from millis.generation.draft.lookup import Lookup
from millis.generation.greedy import Greedy
from millis.generation.sampling import Sampling
from millis.generation.writing import Vocabulary

NO_END = Vocabulary((), str)


def proposed(draft, prompt, *written, most=99):
    """What is guessed after the last of `written`, each asked for in turn."""
    looking = draft.drafter(np.array(prompt), 200, 20, None)
    return [looking.propose(one, most).tolist() for one in written][-1]


@pytest.mark.parametrize(
    ("prompt", "written", "guesses"),
    [
        ([1, 2, 3, 4, 5], [1], [2, 3, 4, 5]),  # 1 stands at the beginning
        ([1, 2, 3, 9, 2, 4, 5], [2], [4, 5, 2, 4]),  # of two places the latest, and on into the guesses
        ([1, 2, 3, 9, 2, 4, 5], [1, 2], [3, 9, 2, 4]),  # 1 2 is longer than 2
        ([1, 2, 3, 4], [9], []),
        ([7], [7], [7, 7, 7, 7]),
        ([1, 2], [1, 2], [1, 2, 1, 2]),
        ([1, 2, 3], [4], []),
    ],
)
def test_guesses_by_hand(prompt, written, guesses):
    assert proposed(Lookup(tokens=4, shortest=1), prompt, written) == guesses


def test_no_more_is_guessed_than_there_is_room_for():
    assert proposed(Lookup(tokens=4, shortest=1), [1, 2, 3, 4, 5], [1], most=2) == [2, 3]


def test_an_end_that_is_too_short_does_not_count():
    assert proposed(Lookup(), [1, 2, 3, 4], [2]) == []
    assert proposed(Lookup(tokens=2), [1, 2, 3, 4], [1, 2]) == [3, 4]
    assert proposed(Lookup(longest=1, shortest=1, tokens=2), [1, 2, 3, 9, 2, 4, 5], [1, 2]) == [4, 5]


def by_definition(tokens, longest, shortest, count):
    """The longest end that stands earlier, at its latest place; what follows, on into itself."""
    for length in range(min(longest, len(tokens) - 1), shortest - 1, -1):
        for begin in range(len(tokens) - length - 1, -1, -1):
            if tokens[begin : begin + length] == tokens[-length:]:
                period = len(tokens) - length - begin
                text = list(tokens)
                for _ in range(count):
                    text.append(text[-period])
                return text[len(tokens) :]
    return []


TOKENS = st.lists(st.integers(0, 3), min_size=1, max_size=30)


@given(TOKENS, TOKENS, st.integers(1, 4), st.integers(1, 4), st.integers(1, 6))
def test_guesses_are_as_they_are_defined(prompt, written, one, other, count):
    shortest, longest = sorted((one, other))
    draft = Lookup(count, longest, shortest)
    for steps in ([written], [written[:1], written], [written[: at + 1] for at in range(len(written))]):
        assert proposed(draft, prompt, *steps) == by_definition(prompt + written, longest, shortest, count)


@given(
    st.integers(0, 2**20), st.integers(0, 3), st.lists(st.integers(0, 5), min_size=1, max_size=12), st.integers(1, 6),
    st.integers(1, 40), st.integers(0, 40), st.lists(st.integers(0, 5), max_size=2), st.booleans(),
    st.none() | st.integers(12, 60),
)  # fmt: skip
def test_the_text_is_the_one_without_guesses(seed, memory, prompt, count, most, least, ends, greedy, context):
    """Token by token, and so are its end, what is read and what is kept, whichever way tokens are chosen."""
    decode = lambda tokens: "".join("abcdef"[token] for token in tokens)  # noqa: E731
    kind = Greedy if greedy else Sampling
    found = []
    for draft in (None, Lookup(count, shortest=1)):
        decoder = HashedDecoder(6, memory, seed)
        choice = kind(most, min(least, most), ("abc", "ff"), draft=draft)
        writing = choice.begin(decoder, prompt, Vocabulary(tuple(ends), decode), context)
        tokens, ended, drafted, accepted, refused = writing.finish()
        assert 0 <= accepted + refused <= drafted
        assert (draft is None) <= (drafted == 0)
        found.append((tokens.tolist(), ended, writing.text()))
        kept = [*prompt, *tokens.tolist()]
        assert decoder.begun[0].tokens == kept[: len(decoder.begun[0].tokens)]
    assert found[0] == found[1]


def test_what_repeats_is_read_in_few_steps():
    decoder = HashedDecoder(6, memory=1)  # the next token follows from the last one: a cycle, soon
    found = Greedy(max_tokens=60, draft=Lookup(tokens=10)).begin(decoder, [1], NO_END).finish()
    reads = decoder.begun[0].reads
    assert len(reads) < 20
    assert found.drafted == sum(read - 1 for read in reads[1:])
    # Each read brings one token more than it has right guesses, and the prompt's brings one.
    assert len(found.tokens) == len(reads) + found.accepted == 60
    assert found.refused <= len(reads)


def test_a_llama_writes_the_same():
    decoder = LlamaDecoder()
    for prompt in ([3], [1, 2, 3, 1, 2, 3, 1]):
        plain = Greedy(max_tokens=50).begin(decoder, prompt, NO_END).finish()
        guessed = Greedy(max_tokens=50, draft=Lookup(tokens=5)).begin(decoder, prompt, NO_END).finish()
        assert guessed.tokens.tolist() == plain.tokens.tolist()
        assert guessed.drafted > 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tokens": 0}, "generation.draft.tokens=0: expected 1 or more; for none choose generation/draft=none"),
        ({"shortest": 0}, "generation.draft.shortest=0 and longest=3: expected 1 ≤ shortest ≤ longest"),
        ({"shortest": 4}, "generation.draft.shortest=4 and longest=3: expected 1 ≤ shortest ≤ longest"),
    ],
)
def test_what_cannot_be_is_refused(values, message):
    with pytest.raises(MillisError) as caught:
        Lookup(**values)
    assert str(caught.value) == message


def test_a_model_that_is_not_asked_is_refused():
    with pytest.raises(MillisError) as caught:
        Greedy(draft=Lookup()).begin(HashedDecoder(), [1], NO_END, smaller=HashedDecoder())
    assert str(caught.value) == (
        "got a smaller model, which generation.draft, Lookup, does not ask: give none, or choose "
        "generation/draft=smaller_model"
    )
