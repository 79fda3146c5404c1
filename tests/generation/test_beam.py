"""Beams: against every text there is, against transformers, and as the greedy choice with one."""

import itertools

import numpy as np
import pytest
from causal import writer
from decoders import HashedDecoder
from hypothesis import given, settings
from hypothesis import strategies as st
from sides import answering, of_transformers, row

from millis.backends.eager import session_of
from millis.errors import MillisError
from millis.generation.beam import Beam, _largest
from millis.generation.greedy import Greedy
from millis.generation.writing import Vocabulary

END = Vocabulary((2,), lambda ids: " ".join(map(str, ids)))


class Chain:
    """A decoder whose next token depends on the last alone; `table` [V, V] of logits."""

    def __init__(self, table):
        self.table, self.read_tokens = np.asarray(table, np.float32), 0

    def begin(self, room):
        chain, read = self, []

        class Text:
            length = property(lambda _: len(read))

            def read(self, tokens, every=False):
                assert len(read) + len(tokens) <= room
                read.extend(tokens.tolist())
                chain.read_tokens += len(tokens)
                return chain.table[read[-1:]]

            def rewind(self, length):
                del read[length:]

        return Text()


def score(table, prompt, tokens):
    """Log-probability of tokens behind a prompt."""
    logs = table - np.log(np.exp(table).sum(axis=1, keepdims=True))
    return sum(logs[one, other] for one, other in itertools.pairwise([prompt, *tokens]))


@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_beams_as_many_as_texts_find_the_best_of_all(seed, penalty):
    table = np.random.default_rng(seed).normal(size=(4, 4)) * 2
    most = 3
    texts = [(*body, *end) for length in range(most + 1) for body in itertools.product((0, 1, 3), repeat=length)
             for end in (((2,),) if length < most else ((),))]  # fmt: skip
    best = max(texts, key=lambda one: score(table, 0, one) / len(one) ** penalty)
    writing = Beam(most, width=60, length_penalty=penalty).begin(Chain(table), [0], END).finish()
    assert writing.tokens.tolist() == [token for token in best if token != 2]
    assert writing.ended == ("end" if best[-1] == 2 else "length")


def test_a_greedy_text_may_not_be_the_likeliest():
    #            0: 0.6 → 1, 0.4 → 3      1: 0.3 each → 0, 1, 3, 0.1 → end     3: → end
    table = np.log([[1e-9, 0.6, 1e-9, 0.4], [0.3, 0.3, 0.1, 0.3], [0.25] * 4, [1e-9, 1e-9, 1.0, 1e-9]])
    assert Greedy(2).begin(Chain(table), [0], END).finish().tokens[0] == 1  # 0.6 * 0.3
    assert Beam(2, width=2).begin(Chain(table), [0], END).finish().tokens.tolist() == [3]  # 0.4 * 1


@pytest.mark.parametrize("kind", ["t5", "bart"])
@pytest.mark.parametrize(("width", "penalty"), [(2, 1.0), (4, 0.6)])
def test_texts_are_those_of_transformers(kind, width, penalty):
    model = answering(kind)
    theirs, differing = of_transformers(model), 0
    for seed in range(4):
        ids, mask, _ = row(seed, source=6, written=0)
        expected = theirs.generate(
            input_ids=ids[:, :-1], attention_mask=mask[:, :-1], num_beams=width, length_penalty=penalty,
            early_stopping=True, max_new_tokens=8, min_new_tokens=0, do_sample=False, eos_token_id=2, pad_token_id=0,
            decoder_start_token_id=3, forced_bos_token_id=None, forced_eos_token_id=None,
        )[0, 1:].tolist()  # fmt: skip
        found = Beam(8, width=width, length_penalty=penalty).begin(session_of(model), ids[0].numpy(), END).finish()
        differing += found.tokens.tolist() != list(itertools.takewhile(lambda token: token != 2, expected))
    assert not differing


def test_a_prompt_is_read_by_itself():
    """A written token may be the one that the decoder of an encoder-decoder begins with."""
    decoder = HashedDecoder(6)
    Beam(4, width=3).begin(decoder, [5, 1, 2], Vocabulary((), str))
    assert [text.reads[0] for text in decoder.begun] == [3, 3, 3]


def test_with_several_ends_as_many_texts_go_on():
    #       1: goes on       2, 3, 4: end             5: goes on, and ends then
    table = np.full((6, 6), 1 / 6)
    table[0], table[5] = [1e-9, 0.3, 0.19, 0.18, 0.17, 0.16], [1e-9, 1e-9, 1.0, 1e-9, 1e-9, 1e-9]
    writing = Beam(4, width=2).begin(Chain(np.log(table)), [0], Vocabulary((2, 3, 4), str)).finish()
    assert writing.tokens.tolist() == [5]  # log(0.16) / 2 > log(0.19) / 1 > log(0.3 / 6) / 2


@settings(max_examples=25)
@given(st.lists(st.sampled_from([-np.inf, 0.0, 1.0, 2.5]), min_size=1, max_size=12), st.integers(1, 14))
def test_the_largest_are_those_of_a_stable_sort(values, count):
    found = _largest(np.array(values), count)
    assert found.tolist() == sorted(range(len(values)), key=lambda place: -values[place])[:count]


@pytest.mark.parametrize("model", [lambda: answering("marian"), writer], ids=["encoder-decoder", "decoder"])
def test_one_beam_is_the_greedy_choice(model):
    decoder, prompt = session_of(model()), row(1, source=5, written=0)[0][0].numpy()
    greedy, beam = (one.begin(decoder, prompt, END).finish() for one in (Greedy(9), Beam(9, width=1)))
    assert greedy.tokens.tolist() == beam.tokens.tolist() and greedy.ended == beam.ended


def test_what_was_read_is_not_read_again():
    chain = Chain(np.zeros((4, 4)))
    Beam(6, width=2, min_tokens=6).begin(chain, [0, 1, 3], END)
    # Two prompts of 3; then 5 tokens of each text, and what a text has that the slot's last one had not.
    assert chain.read_tokens <= 2 * 3 + 2 * 5 * 2


def test_least_length_and_stop_strings():
    table = np.log([[0.1, 0.1, 0.7, 0.1]] * 4)
    assert Beam(5, width=2).begin(Chain(table), [0], END).finish().tokens.tolist() == []
    assert len(Beam(5, min_tokens=5, width=2).begin(Chain(table), [0], END).finish().tokens) == 5
    table = np.log([[0.1, 0.7, 0.1, 0.1]] * 4)
    writing = Beam(5, width=2, stop=("1 1",)).begin(Chain(table), [0], END)
    assert writing.finish().ended == "stop" and "".join(writing.stream()) == ""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, "generation.width=0: expected 1 or more texts"),
        ({"length_penalty": -1.0}, "generation.length_penalty=-1.0: expected 0 or more"),
        (
            {"choices": ("a",)},
            "generation.choices with generation=beam: a search follows several texts, and writes none",
        ),
    ],
)
def test_faults(settings, message):
    with pytest.raises(MillisError, match=message):
        Beam(**settings)


def test_logits_that_are_no_numbers():
    with pytest.raises(MillisError, match="the largest of 4 logits is nan: expected a finite number"):
        Beam(3).begin(Chain(np.full((4, 4), np.nan)), [0], END)
